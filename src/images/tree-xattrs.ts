/**
 * The extended attributes that an inode shows, the same in every form of an image: what the layer says, but for what Linux keeps
 * on no file system and for overlayfs's own.
 */
import { byteStringOf } from "../archive/bytes.ts";
import type { EntryType, Xattr } from "../archive/tar-types.ts";
import type { Inode } from "./tree.ts";

/**
 * The name space overlayfs keeps its books in. Every container's root is an overlay over its image: an attribute of this kind out
 * of a layer would be obeyed (a file with trusted.overlay.metacopy cannot be opened, trusted.overlay.opaque and whiteout hide
 * files), so none is taken over, as umoci does it. user.overlay.* means nothing to these overlays and stays.
 */
const OVERLAY = "trusted.overlay.";

/** Revisions 2 and 3, by their sizes. Source: capabilities(7), linux/capability.h (struct vfs_ns_cap_data). */
const isCapability = (value: Uint8Array): boolean =>
  (value.length === 20 && value[3] === 2) || (value.length === 24 && value[3] === 3);

/** Tags of an ACL's entries, each a letter: its owner, users, its group, groups, mask, others. */
const tags: Readonly<Record<number, string>> = { 1: "u", 2: "U", 4: "g", 8: "G", 16: "m", 32: "o" };

/** An ACL as the kernel takes it, its entries in the order that `shape` says. Source: acl(5), linux/posix_acl_xattr.h. */
const isAcl = (value: Uint8Array, shape: RegExp): boolean => {
  const view = new DataView(value.buffer, value.byteOffset, value.length);
  if (value.length < 4 || value.length % 8 !== 4 || view.getUint32(0, true) !== 2) return false;
  let found = "";
  for (let at = 4; at < value.length; at += 8) {
    const tag = tags[view.getUint16(at, true)];
    if (!tag || view.getUint16(at + 2, true) > 7) return false;
    if ((tag === "U" || tag === "G") && view.getUint32(at + 4, true) === 0xffffffff) return false;
    found += tag;
  }
  return shape.test(found);
};

/** An access ACL without named entries and mask is no more than the mode; the kernel keeps none. */
const ACCESS = /^uU*gG*mo$/;
const DEFAULT = /^u(U*gG*mo|go)$/;

const isShown = ({ name, value }: Xattr, type: EntryType): boolean => {
  switch (name.slice(0, name.indexOf(".") + 1)) {
    case "user.":
      return name.length > 5 && (type === "file" || type === "dir");
    case "trusted.":
      return name.length > 8 && !name.startsWith(OVERLAY);
    case "security.":
      return name.length > 9 && (name !== "security.capability" || isCapability(value));
    case "system.":
      if (name === "system.posix_acl_access") return type !== "symlink" && isAcl(value, ACCESS);
      return name === "system.posix_acl_default" && type === "dir" && isAcl(value, DEFAULT);
    default:
      return false;
  }
};

const opaqueMarks: readonly Xattr[] = ["trusted.overlay.opaque", "user.overlay.opaque"].map((name) => ({
  name: byteStringOf(name),
  value: Buffer.from("y"),
}));

/** An inode's attributes, with the marks of a directory whose opacity is kept (see Whiteouts). */
export const shownXattrs = ({ entry, opaque }: Inode): readonly Xattr[] => {
  const own = (entry.xattrs ?? []).filter((xattr) => isShown(xattr, entry.type));
  return opaque ? [...own, ...opaqueMarks] : own;
};
