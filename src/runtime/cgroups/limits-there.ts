/** Which limits the cgroups of a host can set at all: kernels are built, and started, without some of them. */
import { type CgroupLayout, detectCgroups } from "./detect.ts";
import { childNames, tryReadText } from "./files.ts";

export interface LimitsThere {
  readonly memory: boolean;
  readonly swap: boolean;
  /** v1 only. */
  readonly memorySwappiness: boolean;
  readonly cpuShares: boolean;
  readonly cpuPeriod: boolean;
  readonly cpuQuota: boolean;
  /** v1, of kernels with groups of realtime processes. */
  readonly cpuRealtime: boolean;
  readonly cpuset: boolean;
  readonly pids: boolean;
  /** An OOM killer that a group can do without: v1 only. */
  readonly oomKillDisable: boolean;
}

/** Looks at the files of the host whose root directory is `root`. Throws `cgroup_unavailable`. */
export function limitsThere(root = "/"): LimitsThere {
  const prefix = root === "/" ? "" : root.replace(/\/+$/, "");
  const layout = detectCgroups(root);
  const has = layout.version === "v2" ? ofUnified(layout, prefix) : ofV1(layout, prefix);
  return {
    memory: has("memory", "memory.max", "memory.limit_in_bytes"),
    swap: has("memory", "memory.swap.max", "memory.memsw.limit_in_bytes"),
    memorySwappiness: layout.version !== "v2" && has("memory", "", "memory.swappiness"),
    cpuShares: has("cpu", "cpu.weight", "cpu.shares"),
    cpuPeriod: has("cpu", "cpu.max", "cpu.cfs_period_us"),
    cpuQuota: has("cpu", "cpu.max", "cpu.cfs_quota_us"),
    cpuRealtime: layout.version !== "v2" && has("cpu", "", "cpu.rt_runtime_us"),
    cpuset: has("cpuset", "cpuset.cpus", "cpuset.cpus"),
    pids: has("pids", "pids.max", ""),
    oomKillDisable: layout.version !== "v2" && has("memory", "", "memory.oom_control"),
  };
}

const hasFile = (path: string): boolean => tryReadText(path) !== null;

type Has = (controller: string, v2: string, v1: string) => boolean;

/** The root group has no limits: a group below it shows which there are, if one has that controller; else the controller says it. */
function ofUnified({ v2 }: CgroupLayout, prefix: string): Has {
  const mountpoint = `${prefix}${v2!.mountpoint}`;
  const groups = childNames(mountpoint).map((name) => `${mountpoint}/${name}`);
  return (controller, file) => {
    if (!v2!.controllers.has(controller)) return false;
    const usual = { memory: "memory.max", cpu: "cpu.weight", cpuset: "cpuset.cpus", pids: "pids.max" }[controller];
    const group = groups.find((path) => hasFile(`${path}/${usual}`));
    return group === undefined || hasFile(`${group}/${file}`);
  };
}

/** Every group has the limits, the root group too; but pids, which has none there. */
function ofV1({ v1, v2 }: CgroupLayout, prefix: string): Has {
  return (controller, unified, file) => {
    const hierarchy = v1.find(({ controllers }) => controllers.has(controller));
    if (hierarchy) return file === "" || hasFile(`${prefix}${hierarchy.mountpoint}/${file}`);
    return v2 !== null && ofUnified({ version: "v2", v1: [], v2 }, prefix)(controller, unified, file);
  };
}
