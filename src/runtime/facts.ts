/**
 * Finds out, by trying, what this kernel can do. A fact is looked up when it is first asked for: the engine asks for all, once,
 * which takes about a millisecond; an invocation of the OCI runtime for few.
 */
import { readFileSync } from "node:fs";
import { release } from "node:os";
import {
  AT,
  close,
  createUserNamespace,
  fsconfigCreate,
  fsconfigFd,
  fsopen,
  MOUNT_ATTR,
  mkdirat,
  mountFs,
  mountSetattr,
  O,
  OPEN_TREE,
  openat2,
  openTree,
} from "../sys/index.ts";
import { type CgroupHostFacts, cgroupFacts, detectCgroups } from "./cgroups/index.ts";
import type { HostFacts } from "./types.ts";

/** Whether `attempt` gets through; closes the descriptors it collected either way. */
function works(attempt: (keep: (fd: number) => number) => void): boolean {
  const fds: number[] = [];
  try {
    attempt((fd) => {
      fds.push(fd);
      return fd;
    });
    return true;
  } catch {
    return false;
  } finally {
    for (const fd of fds) close(fd);
  }
}

/** overlayfs with layers given as descriptors below a detached mount (6.15). */
const probeOverlayFds = (): boolean =>
  works((keep) => {
    const layers = keep(mountFs("tmpfs", {}));
    const context = keep(fsopen("overlay"));
    for (const [key, name] of [
      ["lowerdir+", "lower"],
      ["upperdir", "upper"],
      ["workdir", "work"],
    ] as const) {
      mkdirat(layers, name, 0o700);
      fsconfigFd(context, key, keep(openat2(layers, name, { flags: O.O_PATH | O.O_DIRECTORY })));
    }
    fsconfigCreate(context);
  });

const cloneTree = (fd: number): number =>
  openTree(fd, "", AT.AT_EMPTY_PATH | OPEN_TREE.OPEN_TREE_CLONE | OPEN_TREE.OPEN_TREE_CLOEXEC);

const probeCloneDetached = (): boolean => works((keep) => cloneTree(keep(mountFs("tmpfs", {}))) && undefined);

const probeIdmap = (): boolean =>
  works((keep) => {
    const map = [{ containerID: 0, hostID: 2 ** 20, size: 1 }];
    const userns = keep(createUserNamespace(map, map));
    const tree = keep(mountFs("tmpfs", {}));
    mountSetattr(tree, "", AT.AT_EMPTY_PATH, { set: MOUNT_ATTR.MOUNT_ATTR_IDMAP, userns });
  });

/** Reads a number out of /proc; `otherwise` where the file is missing. */
function procNumber(path: string, otherwise: number): number {
  try {
    return Number(readFileSync(path, "utf8"));
  } catch {
    return otherwise;
  }
}

/** Capabilities that are not in this process's bounding set: the host is a container or jail itself. */
function missingCapabilities(lastCap: number): number[] {
  const bounding = /^CapBnd:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "";
  const set = BigInt(`0x${bounding || "0"}`);
  return Array.from({ length: lastCap + 1 }, (_, number) => number).filter((number) => (set & (1n << BigInt(number))) === 0n);
}

/** user_namespaces(7): the initial one maps every id to itself. */
function isUnprivileged(): boolean {
  if (process.geteuid?.() !== 0) return true;
  try {
    return readFileSync("/proc/self/uid_map", "utf8").trim().split(/\s+/).join(" ") !== "0 0 4294967295";
  } catch {
    return false; // a kernel without user namespaces
  }
}

function kernelVersion(): readonly [number, number] {
  const [major = 0, minor = 0] = release()
    .split(".")
    .map((part) => Number.parseInt(part, 10));
  return [major, minor];
}

const isAtLeast = ([major, minor]: readonly [number, number], wantedMajor: number, wantedMinor: number): boolean =>
  major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);

/** An object whose members are computed when they are first read, and kept. */
function lazy<T extends object>(probes: { readonly [K in keyof T]-?: () => T[K] }): T {
  const target = {} as T;
  for (const name of Object.keys(probes) as (keyof T)[]) {
    Object.defineProperty(target, name, {
      enumerable: true,
      configurable: true,
      get() {
        const value = probes[name]();
        Object.defineProperty(target, name, { enumerable: true, value });
        return value;
      },
    });
  }
  return target;
}

/** `cgroup`: what `cgroupFacts` says, where that is known already. */
export function probeHost(cgroup?: CgroupHostFacts): HostFacts {
  const found = lazy<{ cgroup: CgroupHostFacts }>({ cgroup: () => cgroup ?? cgroupFacts(detectCgroups()) });
  const facts: HostFacts = lazy<HostFacts>({
    kernel: kernelVersion,
    arch: () => (process.arch === "arm64" ? "arm64" : "x64"),
    overlayFds: probeOverlayFds,
    // since Linux 6.15; a distribution may have brought it to an older one, and to find out costs as much as a small container
    cloneDetached: () => isAtLeast(facts.kernel, 6, 15) || probeCloneDetached(),
    idmap: probeIdmap,
    cgroup: () => found.cgroup.cgroup,
    cgroupHierarchies: () => found.cgroup.cgroupHierarchies,
    lastCap: () => procNumber("/proc/sys/kernel/cap_last_cap", 40),
    unavailableCaps: () => missingCapabilities(facts.lastCap),
    unprivileged: isUnprivileged,
  });
  return facts;
}
