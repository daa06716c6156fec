/**
 * What a specification asks for and this host has not, said before anything is made.
 *
 * Only what would come out as a riddle otherwise: a missing cgroup controller or file, a missing namespace, a source that is not
 * there are named by those who look for them (`cgroups`, `checkNamespaces`, `bindSources`).
 */
import { existsSync, readFileSync } from "node:fs";
import { OnggiError } from "../lib/errors.ts";
import { lookUp } from "../lib/tables.ts";
import type { Linux, Process, Spec } from "../oci/spec.ts";
import { CAP } from "../sys/constants.ts";
import { statfs } from "../sys/index.ts";
import { parseBitList } from "./bit-list.ts";
import type { HostFacts } from "./types.ts";

export interface HostSupport {
  readonly facts: Pick<HostFacts, "kernel" | "lastCap" | "idmap" | "unprivileged">;
  /** Where /proc and /sys are; "/". */
  readonly root?: string;
}

const refuse = (property: string, problem: string): never => {
  throw new OnggiError("unsupported_here", `${property}: ${problem}`);
};

/**
 * Throws OnggiError `unsupported_here`, which names the property, for what cannot be had. Returns warnings, in sentences, for
 * what the specification wants done without: capabilities that this kernel does not know.
 */
export function checkHostSupport(spec: Spec, { facts, root = "/" }: HostSupport): string[] {
  const host = new Host(root);
  const { process, linux = {} } = spec;
  checkLabels(process, linux, host);
  checkMemoryPolicy(linux, facts, host);
  checkMounts(spec, facts);
  if (facts.unprivileged) checkPrivileges(spec);
  return [...capabilityWarnings(process, facts.lastCap), ...memoryWarnings(linux)];
}

/** Files below a root directory. */
class Host {
  private readonly root: string;

  constructor(root: string) {
    this.root = root.replace(/\/+$/, "");
  }

  has(path: string): boolean {
    return existsSync(`${this.root}${path}`);
  }

  text(path: string): string {
    try {
      return readFileSync(`${this.root}${path}`, "utf8").trim();
    } catch {
      return "";
    }
  }

  fileSystem(path: string): number {
    try {
      return statfs(`${this.root}${path}`).type;
    } catch {
      return 0;
    }
  }
}

/** linux/magic.h */
const SELINUX_MAGIC = 0xf97c_ff8c;

function checkLabels(process: Process | undefined, linux: Linux, host: Host): void {
  if (process?.apparmorProfile && !host.text("/sys/module/apparmor/parameters/enabled").startsWith("Y"))
    refuse("process.apparmorProfile", "AppArmor is not enabled in this kernel");
  const selinux = () => host.fileSystem("/sys/fs/selinux") === SELINUX_MAGIC;
  const label = process?.selinuxLabel ? "process.selinuxLabel" : linux.mountLabel ? "linux.mountLabel" : null;
  if (label !== null && !selinux()) refuse(label, "SELinux is not enabled in this kernel");
}

/** Modes and the kernel that has them first. */
const memoryModes: Readonly<Record<string, readonly [number, number]>> = {
  MPOL_PREFERRED_MANY: [5, 15],
  MPOL_WEIGHTED_INTERLEAVE: [6, 9],
};

function checkMemoryPolicy({ memoryPolicy }: Linux, { kernel }: Pick<HostFacts, "kernel">, host: Host): void {
  if (!memoryPolicy) return;
  if (!host.has("/proc/self/numa_maps")) refuse("linux.memoryPolicy", "this kernel has no NUMA memory policies");
  const since = lookUp(memoryModes, memoryPolicy.mode);
  if (since && (kernel[0] < since[0] || (kernel[0] === since[0] && kernel[1] < since[1])))
    refuse("linux.memoryPolicy.mode", `${memoryPolicy.mode} needs Linux ${since.join(".")}, this is ${kernel.join(".")}`);
  const nodes = memoryPolicy.nodes?.trim();
  const present = host.text("/sys/devices/system/node/has_memory");
  // relative nodes are counted within those the container may use
  if (!nodes || present === "" || memoryPolicy.flags?.includes("MPOL_F_RELATIVE_NODES")) return;
  const have = parseBitList(present, "/sys/devices/system/node/has_memory");
  const wanted = parseBitList(nodes, "linux.memoryPolicy.nodes");
  if (wanted.some((byte, i) => (byte & ~(have[i] ?? 0)) !== 0))
    refuse("linux.memoryPolicy.nodes", `${nodes} is more than the nodes of this machine that have memory, ${present}`);
}

function checkMounts({ mounts = [] }: Spec, facts: Pick<HostFacts, "idmap">): void {
  const index = mounts.findIndex(
    ({ uidMappings, options }) => uidMappings || options?.some((option) => /^r?idmap$/.test(option)),
  );
  if (index >= 0 && !facts.idmap)
    refuse(`mounts[${index}]`, "this kernel, or this user, cannot id-map mounts, which takes Linux 5.12 and root's privileges");
}

/** What takes the privileges of the host's root whatever the container's own are. */
function checkPrivileges({ linux = {}, process }: Spec): void {
  if (Object.keys(linux.netDevices ?? {}).length > 0)
    refuse("linux.netDevices", "moving the host's network devices takes root's privileges");
  if (linux.intelRdt) refuse("linux.intelRdt", "it takes root's privileges");
  if (process?.ioPriority?.class === "IOPRIO_CLASS_RT")
    refuse("process.ioPriority.class", "IOPRIO_CLASS_RT takes root's privileges");
}

const numbers: Readonly<Record<string, number>> = CAP;

/** config.md, "Linux Process": what cannot be mapped to the kernel is a warning, not an error. */
function capabilityWarnings(process: Process | undefined, lastCap: number): string[] {
  const names = new Set(Object.values(process?.capabilities ?? {}).flat());
  return [...names]
    .filter((name) => (lookUp(numbers, name) ?? Number.POSITIVE_INFINITY) > lastCap)
    .map((name) => `process.capabilities: this kernel has no ${JSON.stringify(name)}; it is left out`);
}

/** Linux 5.11 and later account hierarchically, in cgroup v1 too. */
const memoryWarnings = ({ resources }: Linux): string[] =>
  resources?.memory?.useHierarchy === false
    ? ["linux.resources.memory.useHierarchy: memory is always accounted hierarchically; false has no effect"]
    : [];
