/**
 * Reading, writing and walking cgroup trees, through `src/sys`.
 *
 * Runs in the engine, in the host's namespaces, usually as root. Paths are a mount point the kernel named in mountinfo and
 * a group path that passed `checkPath`; cgroup file systems hold no symbolic links, so no path can be redirected.
 */
import { AT, close, getdents, isErrno, mkdirat, O, open, readAll, unlinkat, write } from "../../sys/index.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const DT_DIR = 4;

/** The whole file. Throws SysError. */
export function readText(path: string): string {
  const fd = open(path, O.O_RDONLY);
  try {
    return decoder.decode(readAll(fd));
  } finally {
    close(fd);
  }
}

/** The whole file, or null where the kernel has no such file or no longer the group. Throws SysError otherwise. */
export function tryReadText(path: string): string | null {
  try {
    return readText(path);
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENODEV", "EOPNOTSUPP")) return null;
    throw error;
  }
}

/** One write(2) of the whole value, as cgroup files want it. Throws SysError. */
export function writeText(path: string, value: string): void {
  const fd = open(path, O.O_WRONLY);
  try {
    write(fd, encoder.encode(value));
  } finally {
    close(fd);
  }
}

/** Makes one directory; false if it was there. Throws SysError. */
export function makeDirectory(path: string): boolean {
  try {
    mkdirat(AT.AT_FDCWD, path, 0o755);
    return true;
  } catch (error) {
    if (isErrno(error, "EEXIST")) return false;
    throw error;
  }
}

/** Removes one group; what is gone is no error. False if it is busy: it holds processes or groups. */
export function removeDirectory(path: string): boolean {
  try {
    unlinkat(AT.AT_FDCWD, path, AT.AT_REMOVEDIR);
    return true;
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENODEV")) return true;
    if (isErrno(error, "EBUSY", "ENOTEMPTY")) return false;
    throw error;
  }
}

/** Names of the groups directly below; none if the group is gone. */
export function childNames(path: string): string[] {
  let fd: number;
  try {
    fd = open(path, O.O_RDONLY | O.O_DIRECTORY);
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENODEV")) return [];
    throw error;
  }
  try {
    const names: string[] = [];
    for (const entry of getdents(fd)) {
      if (entry.type !== DT_DIR) continue;
      const name = decoder.decode(entry.name);
      if (name !== "." && name !== "..") names.push(name);
    }
    return names;
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENODEV")) return [];
    throw error;
  } finally {
    close(fd);
  }
}

/** Every group below `path`, deepest first, then `path` itself. */
export function* depthFirst(path: string): Generator<string> {
  for (const name of childNames(path)) yield* depthFirst(`${path}/${name}`);
  yield path;
}

/** Pids in the group's own cgroup.procs and those of the groups below it. */
export function processesBelow(path: string): number[] {
  const pids: number[] = [];
  for (const group of depthFirst(path)) {
    for (const line of (tryReadText(`${group}/cgroup.procs`) ?? "").split("\n")) {
      // 0 is a process outside this pid namespace: nothing here can signal it.
      const pid = Number(line);
      if (pid > 0) pids.push(pid);
    }
  }
  return pids;
}

/** Whether the group is there. */
export function exists(path: string): boolean {
  try {
    close(open(path, O.O_PATH | O.O_DIRECTORY));
    return true;
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENODEV", "ENOTDIR")) return false;
    throw error;
  }
}

/** "key value" lines as a map. A file that is missing is an empty map. */
export function readPairs(path: string): Map<string, number> {
  return parsePairs(tryReadText(path) ?? "");
}

/** "key value" lines (memory.stat, cpu.stat, cgroup.events); lines of another form are left out. */
export function parsePairs(text: string): Map<string, number> {
  const pairs = new Map<string, number>();
  for (const line of text.split("\n")) {
    const space = line.indexOf(" ");
    if (space <= 0) continue;
    const value = Number(line.slice(space + 1));
    if (Number.isFinite(value)) pairs.set(line.slice(0, space), value);
  }
  return pairs;
}

/** A file of one number; `max`, a file that is missing or one that is no number are null. */
export function readNumber(path: string): number | null {
  const text = tryReadText(path)?.trim();
  if (text === undefined || text === "" || text === "max") return null;
  const value = Number(text);
  return Number.isFinite(value) ? value : null;
}
