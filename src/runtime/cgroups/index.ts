/**
 * Control groups: what a container may use, and what it has used.
 *
 * Terms. A **hierarchy** is a tree of groups that the kernel shows as a file system: v2 has one with all controllers, v1 one
 * per controller, a hybrid host both. A **controller** meters and limits one resource. A **group** is named by its path
 * below the root of every hierarchy. The **cgroupfs driver** makes directories itself; the **systemd driver** asks systemd
 * for a transient scope and works inside it.
 *
 * Lifecycle: `create` -> the plan joins the process by `CgroupJoin` -> `update`, `freeze`, `stats`, `kill` -> `remove`.
 * Guarantees: `create` leaves no directory behind when it throws; a wrong value is refused before anything is made;
 * `remove` of what is gone is no error, kills what is left, and goes on after a failure; a limit that cannot be had is an
 * OnggiError that names limit, value and file, never silently dropped.
 *
 *     const cgroups = openCgroups();
 *     const join = cgroups.create("/onggi/7f3a/web", { memory: { limit: 64 << 20 }, pids: { limit: 100 } });
 *     // v2: clone3(CLONE_INTO_CGROUP, open(join.cloneInto)); v1: the child writes "0" to each of join.tasks
 *     cgroups.stats("/onggi/7f3a/web").memory.usageBytes;
 *     await cgroups.remove("/onggi/7f3a/web");
 */
import { OnggiError } from "../../lib/errors.ts";
import { type CgroupLayout, detectCgroups, whyMissing } from "./detect.ts";
import { childNames, exists } from "./files.ts";
import { hugePageSizes } from "./lifecycle.ts";
import { SystemdCgroups } from "./systemd.ts";
import type { CgroupManager } from "./types.ts";
import { V1Cgroups } from "./v1.ts";
import { V2Cgroups } from "./v2.ts";

export { type CgroupHostFacts, type CgroupLayout, cgroupFacts, detectCgroups } from "./detect.ts";
export { compileDeviceProgram } from "./devices.ts";
export { statsForEvents } from "./events-shape.ts";
export { type LimitsThere, limitsThere } from "./limits-there.ts";
export { type OwnCgroup, ownCgroup } from "./paths.ts";
export { cgroupPathOf, expandSlice, scopePath } from "./scopes.ts";
export type { CgroupDriver, CgroupJoin, CgroupManager, CgroupStats, CreateOptions, LimitFile } from "./types.ts";

export interface CgroupOptions {
  /** The host's root directory, where /proc and /sys are looked up; "/". */
  readonly root?: string;
  /** Let systemd make the groups (v2 only). */
  readonly systemd?: boolean;
  /** The caller is not root: device rules are left to the kernel, which lets nobody else make device nodes (v2 only). */
  readonly rootless?: boolean;
  /** What `detectCgroups` found, if that was asked already. */
  readonly layout?: CgroupLayout;
}

/** The cgroups of this host. Throws `cgroup_unavailable` if none is mounted, or if systemd is wanted and cannot be had. */
export function openCgroups(options: CgroupOptions = {}): CgroupManager {
  const { root = "/", systemd = false, rootless = false } = options;
  const prefix = root === "/" ? "" : root.replace(/\/+$/, "");
  const layout = options.layout ?? detectCgroups(root);
  const pageSizes = (): string[] => hugePageSizes(childNames(`${prefix}/sys/kernel/mm/hugepages`));
  const why = whyMissing(root);
  const v2 = layout.v2 && {
    mountpoint: prefix + layout.v2.mountpoint,
    controllers: layout.v2.controllers,
    whyMissing: why,
    pageSizes,
    rootless,
  };
  if (systemd) {
    if (layout.version !== "v2" || !v2) {
      throw new OnggiError(
        "cgroup_unavailable",
        `the systemd driver needs cgroup v2, this host has ${layout.version}: use the cgroupfs driver`,
      );
    }
    // sd_booted(3)
    if (!exists(`${prefix}/run/systemd/system`)) {
      throw new OnggiError(
        "cgroup_unavailable",
        "the systemd driver needs a host that systemd runs, and /run/systemd/system is not there: use the cgroupfs driver",
      );
    }
    return new SystemdCgroups(v2);
  }
  if (layout.version === "v2" && v2) return new V2Cgroups(v2);
  return new V1Cgroups({
    hierarchies: layout.v1.map((hierarchy) => ({ ...hierarchy, mountpoint: prefix + hierarchy.mountpoint })),
    unified: v2 && new V2Cgroups(v2),
    unifiedMountpoint: v2?.mountpoint ?? null,
    whyMissing: why,
    pageSizes,
  });
}
