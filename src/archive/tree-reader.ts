/**
 * Files of a directory tree that somebody else may be changing, by descriptor. A name is opened once, with O_PATH and without
 * following it; whatever is read of it afterwards is read of that inode. So nothing outside of the tree is ever opened.
 */
import { AT, close, errno, getdents, getxattr, listxattr, O, openat, read, S, type Stat, SysError } from "../sys/index.ts";
import { byteStringOf } from "./bytes.ts";
import type { EntryType, Xattr } from "./tar-types.ts";

const types: ReadonlyMap<number, EntryType> = new Map([
  [S.S_IFREG, "file"],
  [S.S_IFDIR, "dir"],
  [S.S_IFLNK, "symlink"],
  [S.S_IFCHR, "char"],
  [S.S_IFBLK, "block"],
  [S.S_IFIFO, "fifo"],
]);

/** What a tar calls it; null for a socket, which no tar holds. */
export const typeOf = ({ mode }: Stat): EntryType | null => types.get(mode & S.S_IFMT) ?? null;

const GONE: readonly number[] = [errno.ENOENT, errno.ENOTDIR, errno.ESTALE];

/** An O_PATH descriptor of `name` (a byte string) in a directory, to be closed; null when there is none, or no longer. */
export function openName(dir: number, name: string): number | null {
  try {
    return openat(dir, Buffer.from(name, "latin1"), O.O_PATH | O.O_NOFOLLOW);
  } catch (error) {
    if (error instanceof SysError && GONE.includes(error.errno)) return null;
    throw error;
  }
}

/** The names in a directory (O_PATH), as byte strings, sorted bytewise. */
export function namesIn(dir: number): string[] {
  const fd = openat(dir, ".", O.O_RDONLY | O.O_DIRECTORY);
  try {
    return getdents(fd)
      .map(({ name }) => Buffer.from(name).toString("latin1"))
      .sort();
  } catch (error) {
    // removed meanwhile: it has no names any more
    if (error instanceof SysError && GONE.includes(error.errno)) return [];
    throw error;
  } finally {
    close(fd);
  }
}

/** The file's own attributes: those that overlayfs keeps its books in are left out. user.overlay.* are none of our overlays'. */
export function xattrsOf(fd: number): Xattr[] {
  const path = `/proc/self/fd/${fd}`;
  let names: string[];
  try {
    names = listxattr(path);
  } catch (error) {
    if (error instanceof SysError && (error.errno === errno.EOPNOTSUPP || error.errno === errno.ENOENT)) return [];
    throw error;
  }
  const found: Xattr[] = [];
  for (const name of names.sort()) {
    if (name.startsWith("trusted.overlay.")) continue;
    const value = getxattr(path, name);
    if (value) found.push({ name: byteStringOf(name), value });
  }
  return found;
}

const CHUNK = 1 << 18;

/**
 * Exactly `size` bytes of a regular file (O_PATH), in chunks of at most 256 KiB: zeros where it has become shorter. Every chunk
 * is a buffer of its own.
 */
export function* contentOf(fd: number, size: number): Generator<Buffer> {
  const file = openat(AT.AT_FDCWD, `/proc/self/fd/${fd}`, O.O_RDONLY);
  try {
    for (let at = 0; at < size; ) {
      const buffer = Buffer.alloc(Math.min(CHUNK, size - at));
      for (let filled = 0; filled < buffer.length; ) {
        const length = read(file, buffer.subarray(filled), at + filled);
        if (length === 0) break;
        filled += length;
      }
      at += buffer.length;
      yield buffer;
    }
  } finally {
    close(file);
  }
}

/** The inode behind a descriptor, told apart from all others while it is held. */
export const inodeKey = (stat: Stat): string => `${stat.dev}:${stat.ino}`;
