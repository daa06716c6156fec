import { AT, close, isErrno, O, openat2, RESOLVE, read, statx } from "../sys/index.ts";

/** A password file larger than this is nobody's honest one. */
const LIMIT = 4 * 2 ** 20;
const WITHIN = RESOLVE.RESOLVE_IN_ROOT | RESOLVE.RESOLVE_NO_MAGICLINKS;
const S_IFMT = 0o170000;
const S_IFREG = 0o100000;

/** Whether the path leads to something in any of the directories; resolved as by readRootFile. */
export function isInRoot(directories: readonly number[], path: string): boolean {
  return directories.some((directory) => {
    try {
      close(openat2(directory, path, { flags: O.O_PATH | O.O_CLOEXEC, resolve: WITHIN }));
      return true;
    } catch {
      return false;
    }
  });
}

/**
 * The text of a file as a container sees it, from directories that are stacked, topmost first; undefined where it is missing.
 *
 * Runs in the engine, as root, on files a container may have written. Safe because: the path is resolved by openat2 with
 * RESOLVE_IN_ROOT below each directory, so that no link leads out and no /proc magic link is followed; O_NONBLOCK and the check of the
 * type keep a pipe or device from holding the engine up; the size is bounded.
 */
export function readRootFile(directories: readonly number[], path: string): string | undefined {
  for (const directory of directories) {
    let fd: number;
    try {
      fd = openat2(directory, path, {
        flags: O.O_RDONLY | O.O_NONBLOCK | O.O_NOCTTY | O.O_CLOEXEC,
        resolve: WITHIN,
      });
    } catch (error) {
      if (isErrno(error, "ENOENT")) continue;
      // a whiteout cannot be opened as a device (ENXIO), a link loop or a file in place of a directory hides what lies below
      if (isErrno(error, "ENXIO", "ELOOP", "ENOTDIR", "EXDEV", "EACCES")) return undefined;
      throw error;
    }
    try {
      const { mode, size } = statx(fd, "", AT.AT_EMPTY_PATH);
      if ((mode & S_IFMT) !== S_IFREG || size > LIMIT) return undefined;
      const buffer = new Uint8Array(size);
      const count = read(fd, buffer);
      return new TextDecoder().decode(buffer.subarray(0, count));
    } finally {
      close(fd);
    }
  }
  return undefined;
}
