/** Finds the cgroup hierarchies of the host in /proc/self/mountinfo and /proc/cgroups. */
import { OnggiError } from "../../lib/errors.ts";
import type { HostFacts } from "../types.ts";
import { tryReadText } from "./files.ts";

export interface Hierarchy {
  /** Where it is mounted, as mountinfo says. */
  readonly mountpoint: string;
  /** v1: the controllers bound to it; v2: cgroup.controllers of its root. */
  readonly controllers: ReadonlySet<string>;
  /** v1: the name of a named hierarchy ("systemd"). */
  readonly name?: string;
}

export interface CgroupLayout {
  readonly version: "v1" | "v2" | "hybrid";
  /** v1 hierarchies, in the order they are mounted; none on v2. */
  readonly v1: readonly Hierarchy[];
  readonly v2: Hierarchy | null;
}

/** The part of `HostFacts` that cgroups decide. */
export type CgroupHostFacts = Pick<HostFacts, "cgroup" | "cgroupHierarchies">;

const V1_CONTROLLERS = new Set(
  "cpuset cpu cpuacct blkio memory devices freezer net_cls perf_event net_prio hugetlb pids rdma misc".split(" "),
);

/** With any of these on v1 a host counts as hybrid; a v1 mount of another one beside a whole v2 tree is not for us. */
const MAIN = ["cpu", "cpuacct", "cpuset", "memory", "pids", "blkio", "devices", "freezer"];

interface CgroupMount {
  mountpoint: string;
  type: "cgroup" | "cgroup2";
  options: string[];
}

const unescaped = (field: string): string =>
  field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));

/** The cgroup mounts of /proc/PID/mountinfo (proc_pid_mountinfo(5)), later mounts of one point hiding earlier ones. */
export function parseCgroupMounts(mountinfo: string): CgroupMount[] {
  const mounts = new Map<string, CgroupMount>();
  for (const line of mountinfo.split("\n")) {
    // A process may see thousands of mounts: those that cannot matter are not taken apart.
    const dash = line.indexOf(" - ");
    const isCgroup = line.startsWith("cgroup", dash + 3);
    if (dash < 0 || (!isCgroup && mounts.size === 0)) continue;
    const mountpoint = line.slice(0, dash).split(" ", 5)[4];
    if (!mountpoint?.startsWith("/")) continue;
    const point = mountpoint.includes("\\") ? unescaped(mountpoint) : mountpoint;
    const [type, , options = ""] = isCgroup ? line.slice(dash + 3).split(" ") : [];
    if (type === "cgroup" || type === "cgroup2") mounts.set(point, { mountpoint: point, type, options: options.split(",") });
    else mounts.delete(point);
  }
  return [...mounts.values()];
}

/**
 * The layout of the host whose root directory is `root`. Throws `cgroup_unavailable` if no hierarchy is mounted.
 * A hierarchy mounted several times counts once, where /sys/fs/cgroup has it if it does.
 */
export function detectCgroups(root = "/"): CgroupLayout {
  const prefix = root === "/" ? "" : root.replace(/\/+$/, "");
  const mounts = parseCgroupMounts(tryReadText(`${prefix}/proc/self/mountinfo`) ?? "");
  const isUsual = ({ mountpoint }: CgroupMount): boolean => mountpoint.startsWith("/sys/fs/cgroup");
  mounts.sort((a, b) => Number(isUsual(b)) - Number(isUsual(a)));
  const v1: Hierarchy[] = [];
  let v2: Hierarchy | null = null;
  const seen = new Set<string>();
  for (const { mountpoint, type, options } of mounts) {
    if (type === "cgroup2") {
      const controllers = (tryReadText(`${prefix}${mountpoint}/cgroup.controllers`) ?? "").trim().split(" ").filter(Boolean);
      v2 ??= { mountpoint, controllers: new Set(controllers) };
      continue;
    }
    const controllers = options.filter((option) => V1_CONTROLLERS.has(option));
    const name = options.find((option) => option.startsWith("name="))?.slice(5);
    const key = name === undefined ? controllers.join() : `name=${name}`;
    if (key === "" || seen.has(key)) continue;
    seen.add(key);
    v1.push({ mountpoint, controllers: new Set(controllers), ...(name === undefined ? {} : { name }) });
  }
  const onV1 = v1.some((hierarchy) => MAIN.some((controller) => hierarchy.controllers.has(controller)));
  if (v2 && !onV1) return { version: "v2", v1: [], v2 };
  if (v1.length === 0) {
    throw new OnggiError("cgroup_unavailable", "no cgroup hierarchy is mounted: mount cgroup2 on /sys/fs/cgroup");
  }
  return { version: v2 ? "hybrid" : "v1", v1, v2 };
}

/** /proc/cgroups (cgroups(7)): the controllers of the kernel, and those switched off at boot. */
export function parseProcCgroups(text: string): { known: Set<string>; disabled: Set<string> } {
  const known = new Set<string>();
  const disabled = new Set<string>();
  for (const line of text.split("\n")) {
    const [name, , , enabled] = line.split(/\s+/);
    if (!name || name.startsWith("#")) continue;
    known.add(name);
    if (enabled === "0") disabled.add(name);
  }
  return { known, disabled };
}

/** Why a controller cannot be used, for the message of an error on the host whose root directory is `root`. */
export function whyMissing(root: string): (controller: string) => string {
  return (controller) => {
    const { disabled, known } = parseProcCgroups(tryReadText(`${root.replace(/\/+$/, "")}/proc/cgroups`) ?? "");
    const name = controller === "io" ? "blkio" : controller;
    if (disabled.has(name)) return "it was disabled at boot (cgroup_disable)";
    return known.has(name) ? "no hierarchy that has it is mounted" : "this kernel does not have it";
  };
}

/** What the plan compiler wants to know: v1 hierarchies by their names below /sys/fs/cgroup; none on v2. */
export function cgroupFacts(layout: CgroupLayout): CgroupHostFacts {
  const cgroupHierarchies = layout.v1.map(({ mountpoint, controllers, name }) => ({
    mountpoint: mountpoint.startsWith("/sys/fs/cgroup/")
      ? mountpoint.slice("/sys/fs/cgroup/".length)
      : mountpoint.slice(mountpoint.lastIndexOf("/") + 1),
    options: [...controllers, ...(name === undefined ? [] : [`name=${name}`])].join(","),
  }));
  return { cgroup: layout.version, cgroupHierarchies };
}
