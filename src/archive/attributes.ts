/** What a file has besides its content, set by a descriptor: whoever exchanges its name meanwhile changes nothing. */
import { AT, fchmodat, fchownat, isErrno, setxattr, utimensat } from "../sys/index.ts";
import { bytesOf } from "./bytes.ts";
import type { EntryType, Xattr } from "./tar-types.ts";

export interface FileAttributes {
  readonly type: EntryType;
  readonly uid: number;
  readonly gid: number;
  /** Permission bits, 07777 at most. */
  readonly mode: number;
  readonly mtimeNs: bigint;
  readonly xattrs: readonly Xattr[];
}

/**
 * Sets all of them on the file behind an O_PATH descriptor: owner, then mode (a change of owner clears set-id bits), attributes, and
 * time last. Attributes that the file system cannot keep are left out, as tar does.
 */
export function setAttributes(fd: number, { type, uid, gid, mode, mtimeNs, xattrs }: FileAttributes): void {
  const path = `/proc/self/fd/${fd}`;
  fchownat(fd, "", uid, gid, AT.AT_EMPTY_PATH);
  if (type !== "symlink") fchmodat(AT.AT_FDCWD, path, mode);
  for (const { name, value } of xattrs) {
    try {
      setxattr(path, bytesOf(name).toString("utf8"), value);
    } catch (error) {
      if (!isErrno(error, "EOPNOTSUPP", "EPERM")) throw error;
    }
  }
  utimensat(fd, "", mtimeNs, mtimeNs, AT.AT_EMPTY_PATH);
}
