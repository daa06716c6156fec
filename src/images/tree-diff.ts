/**
 * What has changed in a container's file system, as `docker diff` has it: its tree is compared with its image's; where its own
 * layer holds nothing, nothing is looked at. A file is changed when its type, mode, owner, size, time or attributes differ, so
 * a file that was only copied up is not; a directory when its mode, owner or attributes differ, or anything below it.
 */

import { type IdRange, insideId, insideXattr } from "../archive/tree-ids.ts";
import { namesIn, openName, typeOf, xattrsOf } from "../archive/tree-reader.ts";
import type { Change } from "../archive/tree-tar.ts";
import { close, fstat, getxattr, type Stat } from "../sys/index.ts";

/** Directories, O_PATH. `upper` is null where everything has to be looked at. */
interface Level {
  readonly merged: number;
  readonly lower: number | null;
  readonly upper: number | null;
}

const attributesOf = (fd: number, ids: IdRange | null): string =>
  JSON.stringify(xattrsOf(fd).map((xattr) => [xattr.name, Buffer.from(insideXattr(xattr, ids).value).toString("latin1")]));

const differ = (fd: number, is: Stat, lowerFd: number, was: Stat, ids: IdRange | null): boolean =>
  is.mode !== was.mode ||
  insideId(is.uid, ids) !== was.uid ||
  insideId(is.gid, ids) !== was.gid ||
  is.rdev !== was.rdev ||
  (typeOf(is) !== "dir" && (is.size !== was.size || is.mtimeNs !== was.mtimeNs)) ||
  attributesOf(fd, ids) !== attributesOf(lowerFd, ids);

/** A directory that holds more changes than its entries tell: what it hides, or where its content comes from. */
const tellsLess = (fd: number): boolean =>
  ["trusted.overlay.opaque", "trusted.overlay.redirect"].some((name) => getxattr(`/proc/self/fd/${fd}`, name) !== null);

/**
 * Changes in the order of the paths, a directory before what it holds. `ignored` paths are not looked at: what the engine itself
 * puts there.
 */
export function changesOf(root: Level, ids: IdRange | null, ignored: ReadonlySet<string>): Change[] {
  const changes: Change[] = [];
  const compare = ({ merged, lower, upper }: Level, path: string): void => {
    const now = namesIn(merged);
    const before = new Set(lower === null ? [] : namesIn(lower));
    const looked = upper === null ? null : new Set(namesIn(upper));
    for (const name of [...new Set([...now, ...before])].sort()) {
      if (looked && !looked.has(name) && before.has(name)) continue;
      const whole = `${path}${name}`;
      if (!ignored.has(whole)) one({ merged, lower: before.has(name) ? lower : null, upper }, name, whole);
    }
  };
  const one = (level: Level, name: string, path: string): void => {
    const opened: (number | null)[] = [];
    const opening = (dir: number | null): number | null => {
      const fd = dir === null ? null : openName(dir, name);
      opened.push(fd);
      return fd;
    };
    try {
      const merged = opening(level.merged);
      const lower = opening(level.lower);
      if (merged === null) {
        if (lower !== null) changes.push({ kind: "D", path });
        return;
      }
      const is = fstat(merged);
      const was = lower === null ? null : fstat(lower);
      if (typeOf(is) === null) return;
      const at = changes.length;
      if (was === null) changes.push({ kind: "A", path });
      else if (differ(merged, is, lower!, was, ids)) changes.push({ kind: "C", path });
      if (typeOf(is) !== "dir") return;
      const own = changes.length > at;
      const upper = opening(level.upper);
      const below = upper !== null && tellsLess(upper) ? null : upper;
      compare({ merged, lower: was && typeOf(was) === "dir" ? lower : null, upper: below }, `${path}/`);
      if (!own && changes.length > at) changes.splice(at, 0, { kind: "C", path });
    } finally {
      for (const fd of opened) if (fd !== null) close(fd);
    }
  };
  compare(root, "");
  return changes;
}
