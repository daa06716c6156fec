/** Finds out, by trying, what this kernel can do. Runs once, when the engine starts; takes about a millisecond. */
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
import type { CgroupHostFacts } from "./cgroups/index.ts";
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
    const map = "0 1 1\n";
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

export function probeHost(cgroup: CgroupHostFacts): HostFacts {
  const lastCap = procNumber("/proc/sys/kernel/cap_last_cap", 40);
  const [major = 0, minor = 0] = release()
    .split(".")
    .map((part) => Number.parseInt(part, 10));
  return Object.freeze({
    kernel: [major, minor] as const,
    arch: process.arch === "arm64" ? ("arm64" as const) : ("x64" as const),
    overlayFds: probeOverlayFds(),
    cloneDetached: probeCloneDetached(),
    idmap: probeIdmap(),
    cgroup: cgroup.cgroup,
    cgroupHierarchies: cgroup.cgroupHierarchies,
    lastCap,
    unavailableCaps: missingCapabilities(lastCap),
  });
}
