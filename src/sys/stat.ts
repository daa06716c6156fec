/** What the kernel knows of a file and of a file system. */
import { AT, STATX } from "./constants.ts";
import { cstring, type Path, stable, sys } from "./ffi.ts";

export interface Stat {
  /** Type and permissions, `S`. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly nlink: number;
  /** Bytes. */
  readonly size: number;
  /** A bigint: overlayfs and some disk file systems use all 64 bits. */
  readonly ino: bigint;
  /** Device of the file system, as `makedev` makes it. */
  readonly dev: number;
  /** Device that a device file stands for. */
  readonly rdev: number;
  /** Nanoseconds since 1970, as the others. */
  readonly atimeNs: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  /** Allocated blocks of 512 bytes. */
  readonly blocks: number;
  /** As in /proc/self/mountinfo. */
  readonly mountId: number;
  /** `STATX_ATTR` bits that are set; only those that the file system reports. */
  readonly attributes: number;
}

const buffer = stable(256);
const view = new DataView(buffer.buffer);

/** Nanoseconds of the struct statx_timestamp at an offset. */
const timeAt = (at: number): bigint => view.getBigInt64(at, true) * 1_000_000_000n + BigInt(view.getUint32(at + 8, true));
const u64At = (at: number): number => view.getUint32(at, true) + view.getUint32(at + 4, true) * 0x1_0000_0000;

const MASK = STATX.STATX_BASIC_STATS | STATX.STATX_MNT_ID;

/**
 * statx(2). `path` "" with AT_EMPTY_PATH means `dir` itself. Follows a last symbolic link unless AT_SYMLINK_NOFOLLOW.
 * @param mask `STATX`; what is not asked for may be 0
 */
export function statx(dir: number, path: Path, flags = 0, mask: number = MASK): Stat {
  sys("statx", path === "" ? dir : path, dir, cstring(path, "statx"), flags, mask, buffer);
  return {
    mode: view.getUint16(28, true),
    uid: view.getUint32(20, true),
    gid: view.getUint32(24, true),
    nlink: view.getUint32(16, true),
    size: u64At(40),
    ino: view.getBigUint64(32, true),
    dev: makedev(view.getUint32(136, true), view.getUint32(140, true)),
    rdev: makedev(view.getUint32(128, true), view.getUint32(132, true)),
    atimeNs: timeAt(64),
    mtimeNs: timeAt(112),
    ctimeNs: timeAt(96),
    blocks: u64At(48),
    mountId: u64At(144),
    attributes: u64At(8),
  };
}

/** `statx` of an open descriptor. */
export const fstat = (fd: number, mask?: number): Stat => statx(fd, "", AT.AT_EMPTY_PATH, mask);

/** A device number as user space writes it, makedev(3). The kernel has 12 bits of major and 20 of minor. */
export const makedev = (majorNumber: number, minorNumber: number): number =>
  (majorNumber & 0xfff) * 0x100 +
  (minorNumber & 0xff) +
  (minorNumber >>> 8) * 0x10_0000 +
  (majorNumber >>> 12) * 0x1000_0000_0000;

export const major = (dev: number): number => ((dev >>> 8) & 0xfff) + Math.floor(dev / 0x1000_0000_0000) * 0x1000;

export const minor = (dev: number): number => (dev & 0xff) + (Math.floor(dev / 0x10_0000) % 0x100_0000) * 0x100;

export interface StatFs {
  /** `MAGIC` */
  readonly type: number;
  /** Bytes; the unit of the block counts. */
  readonly blockSize: number;
  readonly blocks: number;
  readonly free: number;
  /** Free for those without privileges. */
  readonly available: number;
  readonly files: number;
  readonly filesFree: number;
  /** The mount, or the file system, cannot be written to. */
  readonly readOnly: boolean;
}

function readStatFs(): StatFs {
  return {
    type: view.getUint32(0, true),
    blockSize: u64At(8),
    blocks: u64At(16),
    free: u64At(24),
    available: u64At(32),
    files: u64At(40),
    filesFree: u64At(48),
    readOnly: (view.getUint32(80, true) & 1) !== 0,
  };
}

/** statfs(2) of a path, or of an open descriptor. */
export function statfs(path: Path | number): StatFs {
  if (typeof path === "number") sys("fstatfs", path, path, buffer);
  else sys("statfs", path, cstring(path, "statfs"), buffer);
  return readStatFs();
}
