/**
 * Files and directories by descriptor: names are resolved from a directory descriptor, so that nothing can be swapped
 * between two calls. `AT.AT_FDCWD` stands for the current directory. Every descriptor made here is O_CLOEXEC.
 * Errors are `SysError`. Reads and writes at a descriptor are in io.ts, attributes in stat.ts and xattr.ts.
 */
import { AT, CLOSE_RANGE, F, LOCK, MFD, O } from "./constants.ts";
import { errno, SysError } from "./errno.ts";
import { type Arg, cstring, type Path, printable, sys, sysRaw } from "./ffi.ts";

export interface OpenHow {
  /** `O`; O_CLOEXEC is always added. */
  readonly flags: number;
  /** Permission bits of a file this call creates; must be 0 or absent if it creates none. */
  readonly mode?: number;
  /** `RESOLVE` */
  readonly resolve?: number;
}

const how = new BigUint64Array(3);

/** Opens a path as openat2(2) does, with restrictions on how it is resolved. EAGAIN (a race with a rename) is retried. */
export function openat2(dir: number, path: Path, { flags, mode = 0, resolve = 0 }: OpenHow): number {
  for (let attempt = 0; ; attempt++) {
    how[0] = BigInt((flags | O.O_CLOEXEC) >>> 0);
    how[1] = BigInt(mode);
    how[2] = BigInt(resolve);
    const fd = sysRaw("openat2", dir, cstring(path, "openat2"), how, 24);
    if (fd >= 0) return fd;
    if (fd === -errno.EINTR || (fd === -errno.EAGAIN && resolve !== 0 && attempt < 128)) continue;
    throw new SysError("openat2", -fd, { path: printable(path) });
  }
}

/** openat(2) */
export const openat = (dir: number, path: Path, flags: number, mode = 0): number =>
  sys("openat", path, dir, cstring(path, "openat"), flags | O.O_CLOEXEC, mode);

/** open(2) */
export const open = (path: Path, flags: number, mode = 0): number => openat(AT.AT_FDCWD, path, flags, mode);

/**
 * close(2). Not repeated after EINTR: the descriptor is gone then, and another thread may have its number already.
 * @throws SysError EBADF, and the write errors that some file systems report only here
 */
export function close(fd: number): void {
  const result = sysRaw("close", fd);
  if (result < 0 && result !== -errno.EINTR) throw new SysError("close", -result, { path: printable(fd) });
}

/** Closes, or marks close-on-exec with CLOSE_RANGE_CLOEXEC, the descriptors `first` to `last`, close_range(2). */
export const closeRange = (first: number, last = 0xffffffff, flags: number = CLOSE_RANGE.CLOSE_RANGE_CLOEXEC): void => {
  sys("close_range", first, first, last, flags);
};

/** mkdirat(2) */
export const mkdirat = (dir: number, path: Path, mode: number): void => {
  sys("mkdirat", path, dir, cstring(path, "mkdirat"), mode);
};

/** mknodat(2). `mode` holds the file type too (`S`), `dev` comes from `makedev`. */
export const mknodat = (dir: number, path: Path, mode: number, dev = 0): void => {
  sys("mknodat", path, dir, cstring(path, "mknodat"), mode, dev);
};

/** symlinkat(2): makes `path` a link to `target`. */
export const symlinkat = (target: Path, dir: number, path: Path): void => {
  sys("symlinkat", path, cstring(target, "symlinkat"), dir, cstring(path, "symlinkat"));
};

/** linkat(2). `from` "" with AT_EMPTY_PATH links the open file `fromDir` itself. */
export const linkat = (fromDir: number, from: Path, toDir: number, to: Path, flags = 0): void => {
  sys("linkat", to, fromDir, cstring(from, "linkat"), toDir, cstring(to, "linkat"), flags);
};

/** unlinkat(2); a directory with AT_REMOVEDIR. */
export const unlinkat = (dir: number, path: Path, flags = 0): void => {
  sys("unlinkat", path, dir, cstring(path, "unlinkat"), flags);
};

/** renameat2(2) with `RENAME` flags. The move is atomic; it is durable once both directories are fsynced. */
export const renameat2 = (fromDir: number, from: Path, toDir: number, to: Path, flags = 0): void => {
  sys("renameat2", to, fromDir, cstring(from, "renameat2"), toDir, cstring(to, "renameat2"), flags);
};

/** fchownat(2). An id of -1 leaves that id as it is. Follows a last symbolic link unless AT_SYMLINK_NOFOLLOW. */
export const fchownat = (dir: number, path: Path, uid: number, gid: number, flags = 0): void => {
  sys("fchownat", path, dir, cstring(path, "fchownat"), uid, gid, flags);
};

/** fchmodat2(2) if flags are given (kernel 6.6 or newer, else ENOSYS), otherwise fchmodat(2), which follows symbolic links. */
export const fchmodat = (dir: number, path: Path, mode: number, flags = 0): void => {
  sys(flags === 0 ? "fchmodat" : "fchmodat2", path, dir, cstring(path, "fchmodat"), mode, flags);
};

/** fchmod(2); not for O_PATH descriptors. */
export const fchmod = (fd: number, mode: number): void => {
  sys("fchmod", fd, fd, mode);
};

const times = new BigInt64Array(4);

/**
 * utimensat(2), times in nanoseconds since 1970; "now", or "omit" to leave one as it is.
 * An empty path with AT_EMPTY_PATH means `dir` itself.
 */
export function utimensat(dir: number, path: Path, atimeNs: TimeNs, mtimeNs: TimeNs, flags = 0): void {
  putTime(0, atimeNs);
  putTime(2, mtimeNs);
  sys("utimensat", path, dir, cstring(path, "utimensat"), times, flags);
}

export type TimeNs = bigint | "now" | "omit";

function putTime(at: number, time: TimeNs): void {
  let seconds = 0n;
  let nanoseconds = time === "now" ? 0x3fffffffn : 0x3ffffffen;
  if (typeof time === "bigint") {
    nanoseconds = ((time % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
    seconds = (time - nanoseconds) / 1_000_000_000n;
  }
  times[at] = seconds;
  times[at + 1] = nanoseconds;
}

/** The target of a symbolic link as bytes, readlinkat(2). `path` "" reads the link that `dir` (O_PATH | O_NOFOLLOW) is. */
export function readlinkatBytes(dir: number, path: Path): Uint8Array {
  for (let size = 256; ; size *= 4) {
    const target = new Uint8Array(size);
    const length = sys("readlinkat", path, dir, cstring(path, "readlinkat"), target, size);
    if (length < size) return target.slice(0, length);
  }
}

/** The target of a symbolic link as text. */
export const readlinkat = (dir: number, path: Path): string => new TextDecoder().decode(readlinkatBytes(dir, path));

export interface DirEntry {
  /** Raw bytes, without "." and "..". */
  readonly name: Uint8Array;
  readonly ino: bigint;
  /** `DT`; DT_UNKNOWN where the file system does not tell. */
  readonly type: number;
}

/** One buffer for all listings: each is done before the next begins. */
let listing: DataView<ArrayBuffer> | undefined;

/**
 * All entries of an open directory, in the file system's order, getdents64(2). Reads from the descriptor's position on: a
 * fresh descriptor gives everything, a second call nothing.
 */
export function getdents(fd: number): DirEntry[] {
  listing ??= new DataView(new ArrayBuffer(64 * 1024));
  const view = listing;
  const buffer = new Uint8Array(view.buffer);
  const entries: DirEntry[] = [];
  for (;;) {
    const length = sys("getdents64", fd, fd, buffer, buffer.length);
    if (length === 0) return entries;
    for (let at = 0; at < length; ) {
      const size = view.getUint16(at + 16, true);
      const name = buffer.slice(at + 19, buffer.indexOf(0, at + 19));
      const isDots = name[0] === 0x2e && (name.length === 1 || (name.length === 2 && name[1] === 0x2e));
      if (!isDots) entries.push({ name, ino: view.getBigUint64(at, true), type: buffer[at + 18]! });
      at += size;
    }
  }
}

/** faccessat2(2) with the process's effective ids: true if `mode` (4 read, 2 write, 1 execute, 0 exists) is granted. */
export function access(dir: number, path: Path, mode = 0, flags: number = AT.AT_EACCESS): boolean {
  const result = sysRaw("faccessat2", dir, cstring(path, "faccessat2"), mode, flags);
  if (result === 0) return true;
  if (result === -errno.ENOENT || result === -errno.EACCES || result === -errno.ENOTDIR || result === -errno.EROFS) return false;
  throw new SysError("faccessat2", -result, { path: printable(path) });
}

/** fcntl(2) with a number as third argument. */
export const fcntl = (fd: number, command: number, argument: Arg = 0): number => sys("fcntl", fd, fd, command, argument);

/** A second descriptor of the same open file, close-on-exec, numbered `least` or above. */
export const dup = (fd: number, least = 0): number => fcntl(fd, F.F_DUPFD_CLOEXEC, least);

/** Sets or clears close-on-exec, so that a child inherits the descriptor. */
export const setCloexec = (fd: number, on: boolean): void => {
  fcntl(fd, F.F_SETFD, on ? F.FD_CLOEXEC : 0);
};

const pair = new Int32Array(2);

/** A pipe, [read end, write end], pipe2(2). `flags`: O_NONBLOCK, O_DIRECT. */
export function pipe2(flags = 0): [read: number, write: number] {
  sys("pipe2", undefined, pair, flags | O.O_CLOEXEC);
  return [pair[0]!, pair[1]!];
}

/** An anonymous file in memory, memfd_create(2). `flags`: `MFD`; MFD_ALLOW_SEALING is needed for `seal`. */
export const memfd = (name: string, flags: number = MFD.MFD_ALLOW_SEALING): number =>
  sys("memfd_create", name, cstring(name, "memfd_create"), flags | MFD.MFD_CLOEXEC);

/** Adds `F_SEAL` seals to a memfd. EBUSY if F_SEAL_WRITE is asked for while a writable mapping exists. */
export const seal = (fd: number, seals: number): void => {
  fcntl(fd, F.F_ADD_SEALS, seals);
};

/** The seals a memfd has. */
export const seals = (fd: number): number => fcntl(fd, F.F_GET_SEALS);

/**
 * flock(2) on the open file, shared by its duplicates and released with the last of them.
 * @returns false if LOCK_NB was given and somebody else holds the lock
 */
export function flock(fd: number, operation: number): boolean {
  for (;;) {
    const result = sysRaw("flock", fd, operation);
    if (result === 0) return true;
    if (result === -errno.EWOULDBLOCK && (operation & LOCK.LOCK_NB) !== 0) return false;
    if (result !== -errno.EINTR) throw new SysError("flock", -result, { path: printable(fd) });
  }
}

const DIR = O.O_PATH | O.O_DIRECTORY;

/** An O_PATH descriptor of a directory: enough to resolve names from. */
export const openDir = (path: Path, dir: number = AT.AT_FDCWD): number => openat(dir, path, DIR);
