/**
 * Control groups behind one interface.
 *
 * A **cgroup** here is one container's group, by its path below the root of every hierarchy ("/onggi/4f53cda1/<id>"),
 * whether the kernel has one hierarchy (v2) or one per controller (v1, hybrid).
 *
 * Lifecycle: `create` makes the directories and applies the limits; the plan joins the process by the descriptors that
 * `joinPaths` names; `update`, `freeze`, `stats`, `kill` work while it lives; `remove` kills what is left and deletes it.
 * Guarantees: `create` leaves nothing behind when it throws; `remove` of what is gone is no error and collects errors.
 */
import type { LinuxResources } from "../../oci/spec.ts";

export interface CgroupStats {
  cpu: { usageNs: number; userNs: number; systemNs: number; periods: number; throttledPeriods: number; throttledNs: number };
  memory: {
    usageBytes: number;
    limitBytes: number;
    cacheBytes: number;
    inactiveFileBytes: number;
    maxUsageBytes: number;
    swapBytes: number;
    failures: number;
    oomKills: number;
  };
  pids: { current: number; limit: number };
  io: { readBytes: number; writeBytes: number; readOps: number; writeOps: number };
  hugetlb: Record<string, { usageBytes: number; maxUsageBytes: number; failures: number }>;
  /** Only if it was asked for: it takes twenty files more. */
  detail?: CgroupDetail;
}

/** One of memory's counters; the limit of what is unlimited is the kernel's largest number, which may exceed 2^53. */
export interface MemoryEntry {
  limit: number | bigint;
  usage: number;
  max: number;
  failures: number;
}

export interface IoEntry {
  major: number;
  minor: number;
  /** "Read", "Write", "Sync" ...; empty where the counter has none. */
  op: string;
  value: number;
}

/** What `runc events` tells beyond the rest, by runc's names where they have no unit. Empty or 0: this version has it not. */
export interface CgroupDetail {
  perCpu: { totalNs: number[]; kernelNs: number[]; userNs: number[] };
  /** v1: cpuset.* by name without the prefix: "cpus", "mem_exclusive". */
  cpuset: Record<string, string>;
  /** `swap` is memory and swap together, in both versions. */
  memory: Record<"usage" | "swap" | "kernel" | "kernelTCP", MemoryEntry> & { raw: Record<string, number | bigint> };
  io: Record<string, IoEntry[]>;
}

/** Who makes the groups. */
export type CgroupDriver = "cgroupfs" | "systemd";

/** Files a plan uses to put a process into a cgroup. */
export interface CgroupJoin {
  /** The directory of the v2 hierarchy, whole or hybrid, for CLONE_INTO_CGROUP. */
  readonly cloneInto: string | null;
  /**
   * v1 and hybrid: each `tasks` file, to which the child writes "0", itself. A thread that moves itself takes no lock of the
   * kernel's that waits for an RCU grace period; moving another process through cgroup.procs does, and takes 6 ms when nobody
   * has done it just before.
   */
  readonly tasks: readonly string[];
  /** memory.events or memory.oom_control, for the shim's OOM report; null where there is no memory controller. */
  readonly oom: string | null;
}

export interface CreateOptions {
  /** A process that the systemd driver puts into the scope as it makes it; without, a place-holder stands there until one joins. */
  readonly pid?: number;
}

/** A limit as it is written. */
export interface LimitFile {
  readonly file: string;
  readonly value: string;
  /** As the specification names it: "memory.limit". */
  readonly limit: string;
}

export interface CgroupManager {
  readonly version: "v1" | "v2" | "hybrid";
  readonly driver: CgroupDriver;
  /** Which controllers can be used. */
  readonly controllers: ReadonlySet<string>;
  /** Makes the group and applies the limits. A limit whose controller is missing is an error that names it. */
  create(path: string, resources: LinuxResources, options?: CreateOptions): CgroupJoin;
  join(path: string): CgroupJoin;
  /** What `create` would write into a new group; of v2 without the program for its devices. Writes nothing. */
  limits(path: string, resources: LinuxResources): LimitFile[];
  /** True if the group is there and it, or one below it, has processes. */
  occupied(path: string): boolean;
  /** On v2: gives the group to a user, who may make groups in it. Nothing on v1, where that is not safe. Throws SysError. */
  delegate(path: string, uid: number): void;
  /**
   * Lets the groups below `parent` have what these resources ask of realtime for `path`, besides what the others have. `parent` is
   * the engine's own. Nothing on v2. Throws `cgroup_limit_refused` where the host has not so much left.
   */
  reserveRealtime(parent: string, path: string, resources: LinuxResources): void;
  /** All or nothing: what is refused leaves the limits as they were. `warn` is told of those that could not be put back. */
  update(path: string, resources: LinuxResources, warn: (message: string) => void): void;
  /** Returns when every process of the group is frozen (or thawed). */
  freeze(path: string, frozen: boolean): Promise<void>;
  /** False for a group that is still freezing, and for one that is not there. */
  isFrozen(path: string): boolean;
  stats(path: string, options?: { readonly detail?: boolean }): CgroupStats;
  /** Pids of the group and the groups below it. */
  processes(path: string): number[];
  /** SIGKILLs every process of the group, again until none is left or 10 s have passed. */
  kill(path: string): Promise<void>;
  /** The group and those below it, with what is in them; never one above it, also if `create` has made that. */
  remove(path: string): Promise<void>;
  /** Paths of the groups directly below `path`, for reconciling. */
  children(path: string): string[];
}
