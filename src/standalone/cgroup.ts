/** Which cgroup a container gets. */
import { readFileSync } from "node:fs";
import { OnggiError } from "../lib/errors.ts";
import type { LinuxResources, Spec } from "../oci/spec.ts";
import { type CgroupManager, cgroupPathOf, ownCgroup } from "../runtime/cgroups/index.ts";
import { AT } from "../sys/constants.ts";
import { access } from "../sys/file.ts";
import type { Host } from "./host.ts";

export interface OwnCgroup {
  readonly manager: CgroupManager;
  readonly path: string;
}

const W_OK = 2;

/**
 * Null: the host's cgroups are not this user's, and the container does without. Throws OnggiError `cgroup_occupied` for a group
 * that others are in, `cgroup_unavailable` for limits that nobody could set.
 */
export function cgroupOf(host: Host, spec: Spec, id: string): OwnCgroup | null {
  const manager = host.cgroups(host.systemdCgroup);
  const { version } = manager;
  const own = { version, path: ownCgroup(readFileSync("/proc/self/cgroup", "utf8"), version), rootless: host.rootless };
  const path = cgroupPathOf(spec, id, manager.driver, own);
  if (host.rootless && !host.systemdCgroup && !mayMake(host, path)) {
    if (!asksForLimits(spec.linux?.resources)) return null;
    throw new OnggiError(
      "cgroup_unavailable",
      `linux.resources: this user may not make the cgroup ${path}; have one delegated, or ask for no limits`,
    );
  }
  if (manager.occupied(path)) {
    throw new OnggiError("cgroup_occupied", `container's cgroup is not empty: there are processes in ${path}`);
  }
  return { manager, path };
}

/** Device rules do not count: without privileges no device can be made. */
function asksForLimits(resources: LinuxResources = {}): boolean {
  const { devices: _, ...limits } = resources;
  return Object.values(limits).some((limit) => limit !== undefined && Object.keys(limit).length > 0);
}

/** Whether the nearest directory that there is, is this user's, in every hierarchy. */
function mayMake({ layout }: Host, path: string): boolean {
  const mountpoints = [...layout.v1, ...(layout.v2 ? [layout.v2] : [])].map(({ mountpoint }) => mountpoint);
  return mountpoints.every((mountpoint) => {
    let group = path;
    while (group !== "" && !access(AT.AT_FDCWD, mountpoint + group)) group = group.slice(0, group.lastIndexOf("/"));
    return access(AT.AT_FDCWD, mountpoint + group, W_OK);
  });
}
