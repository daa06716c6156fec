/** Which cgroup a container gets. */
import type { Spec } from "../oci/spec.ts";
import type { CgroupManager } from "../runtime/cgroups/index.ts";
import { OnggiError } from "../lib/errors.ts";
import type { Host } from "./host.ts";

export interface OwnCgroup {
  readonly manager: CgroupManager;
  readonly path: string;
}

/** Null: the host's cgroups are not this user's, and the container does without. */
export function cgroupOf(host: Host, spec: Spec, id: string): OwnCgroup | null {
  const manager = host.cgroups(host.systemdCgroup);
  const asked = spec.linux?.cgroupsPath;
  const path = `/${(asked || id).replace(/^\/+/, "")}`;
  if (manager.occupied(path)) {
    throw new OnggiError("cgroup_occupied", `container's cgroup is not empty: ${path} has processes in it`);
  }
  return { manager, path };
}
