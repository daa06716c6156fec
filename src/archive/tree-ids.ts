/** Ids on the host and inside of a container. */
import type { Xattr } from "./tar-types.ts";

/** The first of the host ids that stand for 0 and up in the container, and how many. */
export interface IdRange {
  readonly hostId: number;
  readonly size: number;
}

/** A host id as the container sees it; ids outside of its range come from the image and are its own. */
export const insideId = (id: number, ids: IdRange | null): number =>
  ids && id >= ids.hostId && id < ids.hostId + ids.size ? id - ids.hostId : id;

/** The id on the host for one inside; null where the container's user namespace has none for it. */
export const outsideId = (id: number, ids: IdRange | null): number | null => (!ids ? id : id < ids.size ? id + ids.hostId : null);

/** The reverse of `insideXattr`: file capabilities bound to the container's root. */
export function outsideXattr(xattr: Xattr, ids: IdRange | null): Xattr {
  if (!ids || xattr.name !== "security.capability" || xattr.value.length !== 20) return xattr;
  const value = Buffer.alloc(24);
  value.set(xattr.value);
  value.writeUInt32LE(((value.readUInt32LE(0) & 0x00ffffff) | 0x03000000) >>> 0, 0);
  value.writeUInt32LE(ids.hostId, 20);
  return { name: xattr.name, value };
}

/**
 * File capabilities that a container's root has set are bound to it by its host id (vfs_ns_cap_data, revision 3); inside, and so
 * in an image, they are revision 2. Source: capabilities(7), "File capability extended attribute versioning".
 */
export function insideXattr(xattr: Xattr, ids: IdRange | null): Xattr {
  if (!ids || xattr.name !== "security.capability" || xattr.value.length !== 24) return xattr;
  const value = Buffer.from(xattr.value);
  if (value.readUInt32LE(20) !== ids.hostId) return xattr;
  value.writeUInt32LE(((value.readUInt32LE(0) & 0x00ffffff) | 0x02000000) >>> 0, 0);
  return { name: xattr.name, value: value.subarray(0, 20) };
}
