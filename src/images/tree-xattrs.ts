/** The extended attributes that an inode shows, the same in every form of an image. */
import { byteStringOf } from "../archive/bytes.ts";
import type { Xattr } from "../archive/tar-types.ts";
import type { Inode } from "./tree.ts";

/**
 * The name space overlayfs keeps its books in. Every container's root is an overlay over its image: an attribute of this kind out
 * of a layer would be obeyed (a file with trusted.overlay.metacopy cannot be opened, trusted.overlay.opaque and whiteout hide
 * files), so none is taken over, as umoci does it. user.overlay.* means nothing to these overlays and stays.
 */
const OVERLAY = "trusted.overlay.";

const opaqueMarks: readonly Xattr[] = ["trusted.overlay.opaque", "user.overlay.opaque"].map((name) => ({
  name: byteStringOf(name),
  value: Buffer.from("y"),
}));

/** What the layer says but for overlayfs's own, and the marks of a directory whose opacity is kept (see Whiteouts). */
export const shownXattrs = ({ entry, opaque }: Inode): readonly Xattr[] => {
  const own = entry.xattrs?.some(({ name }) => name.startsWith(OVERLAY))
    ? entry.xattrs.filter(({ name }) => !name.startsWith(OVERLAY))
    : (entry.xattrs ?? []);
  return opaque ? [...own, ...opaqueMarks] : own;
};
