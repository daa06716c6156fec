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
}

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

export interface CgroupManager {
  readonly version: "v1" | "v2" | "hybrid";
  /** Which controllers can be used. */
  readonly controllers: ReadonlySet<string>;
  /** Makes the group and applies the limits. A limit whose controller is missing is an error that names it. */
  create(path: string, resources: LinuxResources): CgroupJoin;
  join(path: string): CgroupJoin;
  update(path: string, resources: LinuxResources): void;
  /** Returns when every process of the group is frozen (or thawed). */
  freeze(path: string, frozen: boolean): Promise<void>;
  stats(path: string): CgroupStats;
  /** Pids of the group and the groups below it. */
  processes(path: string): number[];
  /** SIGKILLs every process of the group, again until none is left or 10 s have passed. */
  kill(path: string): Promise<void>;
  remove(path: string): Promise<void>;
  /** Paths of the groups directly below `path`, for reconciling. */
  children(path: string): string[];
}
