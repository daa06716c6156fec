import { closeSync, constants, lstatSync, openSync, readdirSync } from "node:fs";

/** From so many bytes on a path begins anew at an open directory: no call takes PATH_MAX and more. */
const LONG = 3500;

/** Bytes of all files below a directory, whatever their names, hard links once; what goes away meanwhile counts nothing. */
export function bytesBelow(path: string): number {
  const seen = new Set<number>();
  let bytes = 0;
  const list = (folder: Buffer): void => {
    for (const name of readdirSync(folder, { encoding: "buffer" })) {
      const whole = Buffer.concat([folder, Buffer.from("/"), name]);
      const stat = lstatSync(whole, { throwIfNoEntry: false });
      if (stat?.isDirectory()) look(whole);
      else if (stat?.isFile() && !seen.has(stat.ino)) {
        seen.add(stat.ino);
        bytes += stat.size;
      }
    }
  };
  const look = (folder: Buffer): void => {
    let fd: number | null = null;
    try {
      if (folder.length > LONG) fd = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
      list(fd === null ? folder : Buffer.from(`/proc/self/fd/${fd}`));
    } catch {
      // gone, or not ours to read
    } finally {
      if (fd !== null) closeSync(fd);
    }
  };
  look(Buffer.from(path));
  return bytes;
}
