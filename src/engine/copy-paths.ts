/**
 * Paths in a view of a container's files, as Docker's archive endpoints take them: absolute whether they begin with a slash or not,
 * ".." lexically, "/." and "/" at the end kept: they ask for a directory, and a link there is followed.
 */
import { byteStringOf, bytesOf } from "../archive/bytes.ts";
import { openName, typeOf } from "../archive/tree-reader.ts";
import { OnggiError } from "../lib/errors.ts";
import { components } from "../runtime/paths.ts";
import { close, fstat, isErrno, MAGIC, O, openat2, readlinkatBytes, S, type Stat, statfs } from "../sys/index.ts";
import { IN_ROOT } from "./copy-view.ts";
import type { PathStat } from "./types.ts";

export interface CopyPath {
  /** "/etc/passwd", "/etc/.", "/etc/", "/". */
  readonly text: string;
  /** What its files are called by in a tar: "passwd", ".", "etc", "" of the root. */
  readonly base: string;
  readonly directory: boolean;
}

/** Throws `invalid_path` for an empty one, and one with a NUL. */
export function copyPath(given: string): CopyPath {
  if (given === "") throw new OnggiError("invalid_path", "bad parameter: path cannot be empty");
  if (given.includes("\0")) throw new OnggiError("invalid_path", "bad parameter: a path has no NUL");
  const parts = components(given);
  const clean = `/${parts.join("/")}`;
  const current = /(^|\/)\.$/.test(given);
  const directory = current || given.endsWith("/") || clean === "/";
  const end = current ? (clean === "/" ? "." : "/.") : directory && clean !== "/" ? "/" : "";
  return { text: `${clean}${end}`, base: current ? "." : (parts.at(-1) ?? ""), directory };
}

/** Opens it (O_PATH), a last link not followed unless a directory is asked for. Null where there is nothing. Throws `not_a_directory`. */
export function openPath(root: number, { text, directory }: CopyPath): number | null {
  const flags = O.O_PATH | (directory ? O.O_DIRECTORY : O.O_NOFOLLOW);
  try {
    return openat2(root, text, { flags, resolve: IN_ROOT });
  } catch (error) {
    if (isErrno(error, "ENOENT")) return null;
    if (isErrno(error, "ENOTDIR")) throw new OnggiError("not_a_directory", `lstat ${text}: not a directory`);
    if (isErrno(error, "ELOOP")) throw new OnggiError("too_many_links", `lstat ${text}: too many links`);
    throw error;
  }
}

const KERNEL: ReadonlySet<number> = new Set([
  ...[MAGIC.PROC_SUPER_MAGIC, MAGIC.SYSFS_MAGIC, MAGIC.CGROUP_SUPER_MAGIC, MAGIC.CGROUP2_SUPER_MAGIC, MAGIC.DEVPTS_SUPER_MAGIC],
  ...[MAGIC.NSFS_MAGIC, MAGIC.BPF_FS_MAGIC],
  // magic.h(debugfs, tracefs, securityfs), mqueue, configfs, efivarfs, binfmt_misc
  ...[0x64626720, 0x74726163, 0x73636673, 0x19800202, 0x62656570, 0xde5e81e4, 0x42494e4d],
]);

/** Whether it lies on a file system that is the kernel's face and holds no files: those are not copied, and nothing into them. */
export const isKernels = (fd: number): boolean => KERNEL.has(statfs(fd).type);

const TYPES: ReadonlyMap<number, number> = new Map([
  [S.S_IFDIR, 2 ** 31],
  [S.S_IFLNK, 2 ** 27],
  [S.S_IFBLK, 2 ** 26],
  [S.S_IFCHR, 2 ** 26 + 2 ** 21],
  [S.S_IFIFO, 2 ** 25],
  [S.S_IFSOCK, 2 ** 24],
]);

/** A mode of stat(2) as Go's os.FileMode. */
export const goMode = (mode: number): number =>
  (mode & 0o777) +
  (TYPES.get(mode & S.S_IFMT) ?? 0) +
  (mode & 0o4000 ? 2 ** 23 : 0) +
  (mode & 0o2000 ? 2 ** 22 : 0) +
  (mode & 0o1000 ? 2 ** 20 : 0);

export function describePath(root: number, path: CopyPath, stat: Stat, time: (ns: bigint) => string): PathStat {
  const link = typeOf(stat) === "symlink" ? finalPath(root, path.text) : "";
  const name = path.base === "" ? "/" : path.base;
  return { name, size: stat.size, mode: goMode(stat.mode), mtime: time(stat.mtimeNs), linkTarget: link };
}

/** Where a path leads once its links are followed; what is not there is taken as it is written. Only told: nothing is opened by it. */
export function finalPath(root: number, path: string): string {
  const rest = components(path).map(byteStringOf);
  const done: string[] = [];
  for (let links = 0; rest.length > 0; ) {
    const name = rest.shift()!;
    if (name === "..") done.pop();
    if (name === ".." || name === "." || name === "") continue;
    const target = linkTargetOf(root, done, name);
    if (target === null) done.push(name);
    else {
      links += 1;
      if (links > 255) throw new OnggiError("too_many_links", `${path}: too many links`);
      if (target.startsWith("/")) done.length = 0;
      rest.unshift(...target.split("/"));
    }
  }
  return bytesOf(`/${done.join("/")}`).toString("utf8");
}

function linkTargetOf(root: number, directory: readonly string[], name: string): string | null {
  let dir: number;
  try {
    dir = openat2(root, bytesOf(`/${directory.join("/")}`), { flags: O.O_PATH | O.O_DIRECTORY, resolve: IN_ROOT });
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR", "ELOOP", "ENAMETOOLONG")) return null;
    throw error;
  }
  try {
    const fd = openName(dir, name);
    if (fd === null) return null;
    try {
      if (typeOf(fstat(fd)) !== "symlink") return null;
      return Buffer.from(readlinkatBytes(fd, "")).toString("latin1");
    } finally {
      close(fd);
    }
  } finally {
    close(dir);
  }
}
