import { lstatSync, readdirSync } from "node:fs";
import { join } from "node:path";

/** Bytes of all files below a directory, hard links once; what goes away meanwhile counts nothing. */
export function bytesBelow(path: string): number {
  const seen = new Set<number>();
  let bytes = 0;
  const look = (folder: string): void => {
    let names: string[];
    try {
      names = readdirSync(folder);
    } catch {
      return;
    }
    for (const name of names) {
      const stat = lstatSync(join(folder, name), { throwIfNoEntry: false });
      if (stat?.isDirectory()) look(join(folder, name));
      else if (stat?.isFile() && !seen.has(stat.ino)) {
        seen.add(stat.ino);
        bytes += stat.size;
      }
    }
  };
  look(path);
  return bytes;
}
