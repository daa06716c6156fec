import { readFileSync, realpathSync } from "node:fs";
import { parseMountinfo } from "../sys/index.ts";

/** The file system that a path lies on, by name, for people. */
export function mountTypeAt(path: string): string {
  try {
    const real = realpathSync(path);
    const mounts = parseMountinfo(readFileSync("/proc/self/mountinfo", "utf8"));
    const above = mounts.filter(
      ({ mountPoint }) => mountPoint === "/" || real === mountPoint || real.startsWith(`${mountPoint}/`),
    );
    // of equals the last one covers the others
    const longest = Math.max(...above.map(({ mountPoint }) => mountPoint.length));
    return above.findLast(({ mountPoint }) => mountPoint.length === longest)?.type ?? "a file system";
  } catch {
    return "a file system";
  }
}
