/**
 * Whether what a container mounts can be shown with its ids: the kernel has id-mapped mounts for some file systems only
 * (mount_setattr(2), "ID-mapped mounts").
 */
import { dirname } from "node:path";
import { AT, close, createUserNamespace, isErrno, mountSetattr, pickTree } from "../sys/index.ts";
import type { Context } from "./context.ts";
import { mountTypeAt } from "./mount-type.ts";
import type { MountPoint } from "./types.ts";

/** Those of a volume that is not mounted yet. */
const CAPABLE = new Set(["ext4", "xfs", "btrfs", "tmpfs", "f2fs", "vfat", "exfat", "ext2", "ext3", "erofs", "squashfs"]);

let probe: number | undefined;

/** A user namespace to try with; made once. */
function namespace(): number {
  const map = [{ containerID: 0, hostID: 2 ** 20, size: 1 }];
  probe ??= createUserNamespace(map, map);
  return probe;
}

/** Tries it. What is not there yet lies where its directory does. */
export function canIdMap(path: string): boolean {
  let fd: number;
  try {
    fd = pickTree(path);
  } catch (error) {
    if (isErrno(error, "ENOENT") && path !== "/") return canIdMap(dirname(path));
    throw error;
  }
  try {
    mountSetattr(fd, "", AT.AT_EMPTY_PATH, { userns: namespace() });
    return true;
  } catch (error) {
    if (isErrno(error, "EINVAL", "EPERM", "EOPNOTSUPP")) return false;
    throw error;
  } finally {
    close(fd);
  }
}

/** Why these mounts rule a user namespace out; empty if they do not. */
export function noIdMapReason({ volumes }: Pick<Context, "volumes">, mounts: readonly MountPoint[]): string {
  for (const { type, name, source, destination, options, volume } of mounts) {
    if ((type !== "bind" && type !== "volume") || options.some((option) => option === "idmap" || option === "ridmap")) continue;
    const place = type === "bind" ? { path: source, type: null } : volumes.fileSystem({ ...(name ? { name } : {}), ...volume });
    if (place.path === null ? CAPABLE.has(place.type ?? "") : canIdMap(place.path)) continue;
    const what = type === "bind" ? source : `volume ${name}`;
    const on = place.type ?? mountTypeAt(place.path!);
    return `${what} for ${destination} lies on ${on}, which has no id-mapped mounts`;
  }
  return "";
}
