/**
 * Removes a file or a directory with all below it, by descriptor: names are opened below one another and never followed, so nothing
 * outside of it goes, whatever is exchanged for a link meanwhile.
 */
import { AT, close, errno, fstat, isErrno, SysError, unlinkat } from "../sys/index.ts";
import { bytesOf } from "./bytes.ts";
import { namesIn, openName, typeOf } from "./tree-reader.ts";

/** `name`: a byte string in an open directory. What is gone already is no error; what is mounted below it stays: EBUSY. */
export function removeTree(dir: number, name: string): void {
  const fd = openName(dir, name);
  if (fd === null) return;
  let isDirectory: boolean;
  try {
    const stat = fstat(fd);
    isDirectory = typeOf(stat) === "dir";
    if (isDirectory) {
      if (stat.mountId !== fstat(dir).mountId)
        throw new SysError("unlinkat", errno.EBUSY, { path: bytesOf(name).toString("utf8") });
      for (const child of namesIn(fd)) removeTree(fd, child);
    }
  } finally {
    close(fd);
  }
  try {
    unlinkat(dir, bytesOf(name), isDirectory ? AT.AT_REMOVEDIR : 0);
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
  }
}
