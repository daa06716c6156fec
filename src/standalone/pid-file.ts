import { renameSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";

/** Beside, then renamed: whoever waits for the file finds the whole number in it. */
export function writePidFile(path: string, pid: number): void {
  const beside = join(dirname(path), `.${basename(path)}.${process.pid}`);
  writeFileSync(beside, String(pid));
  renameSync(beside, path);
}
