/** What the tar decoder reports. Names are byte strings (see bytes.ts). */

export type EntryType = "file" | "dir" | "symlink" | "link" | "char" | "block" | "fifo";

/** One member of a tar. */
export interface TarEntry {
  type: EntryType;
  /** Path inside the archive, cleaned: no leading, trailing or double slash, no "." and no ".." component; "" is the root. */
  name: string;
  /** Symlink: the target as stored. Hard link: the target's path, cleaned as `name`. */
  link: string;
  /** Permission bits, 07777 at most. */
  mode: number;
  uid: number;
  gid: number;
  /** Seconds since the epoch, possibly negative, and nanoseconds. */
  mtime: number;
  mtimeNs: number;
  /** Bytes a reader of the file sees. */
  size: number;
  /** Where the stored bytes begin in the tar: a multiple of 512. */
  offset: number;
  /** How many bytes are stored; below `size` for a sparse file. */
  stored: number;
  major: number;
  minor: number;
  /** Extended attributes: full name and value. */
  xattrs: readonly Xattr[] | null;
  /** Sparse file: offset and length of each stored region, ascending; stored one after another from `offset`. */
  sparse: readonly Region[] | null;
  /** Where the entry's own header lies in the tar, for messages. */
  at: number;
}

export interface Xattr {
  readonly name: string;
  readonly value: Uint8Array;
}

export interface Region {
  readonly offset: number;
  readonly length: number;
}

/** The longest path, as PATH_MAX without its NUL. */
export const MAX_PATH = 4095;
/** The longest component, as NAME_MAX. */
export const MAX_NAME = 255;
