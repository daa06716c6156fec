/**
 * Where an engine's containers have their cgroups: below a group named after its data root, so that engines side by side do not
 * touch each other's. Pure.
 *
 * cgroupfs: /onggi-DIGEST/ID. systemd: a scope in a slice of the engine's own, /onggi_DIGEST.slice/onggi-ID.scope; with "-" in
 * the slice's name systemd would nest it in an onggi.slice that all engines share and none may remove.
 */
import { createHash } from "node:crypto";
import { OnggiError } from "../lib/errors.ts";
import { type CgroupDriver, expandSlice } from "../runtime/cgroups/index.ts";

/** The groups of the engine of one data root: that of its driver, and what one with the other driver has left. */
export interface CgroupRoots {
  readonly own: string;
  readonly other: string;
}

/** Eight hex digits that name what an engine makes in the kernel, by its data root. */
export const rootTag = (root: string): string => createHash("sha256").update(root).digest("hex").slice(0, 8);

export function cgroupRoots(root: string, driver: CgroupDriver): CgroupRoots {
  const digest = rootTag(root);
  const plain = `/onggi-${digest}`;
  const slice = `/onggi_${digest}.slice`;
  return driver === "systemd" ? { own: slice, other: plain } : { own: plain, other: slice };
}

/** A container's group. `parent` is what was asked for: a path, or with systemd a slice. Throws `invalid_cgroup_parent`. */
export function containerCgroup(driver: CgroupDriver, own: string, id: string, parent?: string): string {
  if (driver === "cgroupfs") return `${parent ?? own}/${id}`;
  if (parent === undefined) return `${own}/onggi-${id}.scope`;
  if (parent.includes("/") || !parent.endsWith(".slice")) {
    throw new OnggiError(
      "invalid_cgroup_parent",
      `--cgroup-parent ${parent}: with the systemd cgroup driver give a slice, such as machine.slice`,
    );
  }
  return `${expandSlice(parent)}/onggi-${id}.scope`;
}

/** The id of the container that a group was made for; null for one no engine has made. */
export function containerOf(path: string): string | null {
  return /\/(?:onggi-([0-9a-f]{64})\.scope|([0-9a-f]{64}))$/.exec(path)?.slice(1).find(Boolean) ?? null;
}

/** A driver by name. Throws `invalid_cgroup_driver`. */
export function cgroupDriverOf(name: string): CgroupDriver {
  if (name === "cgroupfs" || name === "systemd") return name;
  throw new OnggiError("invalid_cgroup_driver", `no such cgroup driver: ${JSON.stringify(name)}; it is cgroupfs or systemd`);
}
