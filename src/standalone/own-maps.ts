/** Id maps of a user without privileges: an own id the kernel lets everybody map, more of them newuidmap(1) does. */
import { OnggiError } from "../lib/errors.ts";
import type { IdMapping, Linux } from "../oci/spec.ts";

const isOwn = (mappings: readonly IdMapping[], id: number): boolean => {
  const [only, ...others] = mappings;
  return only !== undefined && others.length === 0 && only.size === 1 && only.hostID === id;
};

/** Whether the maps hold more than the user's own ids. */
export function needsMapTools({ uidMappings = [], gidMappings = [] }: Linux, uid: number, gid: number): boolean {
  return !isOwn(uidMappings, uid) || !isOwn(gidMappings, gid);
}

/** Throws OnggiError `id_map_failed`: the tool is missing, or /etc/subuid or /etc/subgid do not give these ids to the user. */
export function mapIdsByTools(pid: number, { uidMappings = [], gidMappings = [] }: Linux): void {
  for (const [tool, mappings] of [
    ["newuidmap", uidMappings],
    ["newgidmap", gidMappings],
  ] as const) {
    const path = Bun.which(tool);
    if (!path)
      throw new OnggiError(
        "id_map_failed",
        `${tool} is not installed (Debian's package uidmap); without it only an own id can be mapped`,
      );
    const ranges = mappings.flatMap(({ containerID, hostID, size }) => [containerID, hostID, size].map(String));
    const { success, stderr } = Bun.spawnSync([path, String(pid), ...ranges], {
      stdin: "ignore",
      stdout: "ignore",
      stderr: "pipe",
    });
    if (!success) throw new OnggiError("id_map_failed", `${tool} ${ranges.join(" ")}: ${String(stderr).trim()}`);
  }
}
