/** Loop devices: a file as a block device, loop(4). Needs CAP_SYS_ADMIN and /dev/loop-control. */
import { existsSync, readdirSync } from "node:fs";
import { LOOP, O } from "./constants.ts";
import { isErrno } from "./errno.ts";
import { stable } from "./ffi.ts";
import { close, open } from "./file.ts";
import { ioctl } from "./io.ts";
import { fstat } from "./stat.ts";

export interface LoopDevice {
  /** The open device. With autoclear it detaches when this and every other use (a mount) is gone. */
  readonly fd: number;
  /** "/dev/loop7" */
  readonly path: string;
}

export interface LoopOptions {
  readonly readOnly?: boolean;
  /** Detach with the last user; on unless set to false. */
  readonly autoclear?: boolean;
  readonly directIo?: boolean;
  /** Bytes of the file to skip, and to offer; 0 is up to the end. */
  readonly offset?: number;
  readonly size?: number;
  /** What `losetup` shows; at most 63 bytes are kept. */
  readonly name?: string;
}

/**
 * Attaches an open file to the next free loop device. Another process that takes the same device in between is no error.
 * @throws SysError EBUSY after many such races, ENOENT where there are no loop devices
 */
export function attachLoop(
  file: number,
  { readOnly = true, autoclear = true, directIo = false, offset = 0, size = 0, name = "" }: LoopOptions = {},
): LoopDevice {
  const config = stable(304);
  const view = new DataView(config.buffer);
  view.setUint32(0, file, true);
  view.setBigUint64(8 + 24, BigInt(offset), true);
  view.setBigUint64(8 + 32, BigInt(size), true);
  const flags =
    (readOnly ? LOOP.LO_FLAGS_READ_ONLY : 0) |
    (autoclear ? LOOP.LO_FLAGS_AUTOCLEAR : 0) |
    (directIo ? LOOP.LO_FLAGS_DIRECT_IO : 0);
  view.setUint32(8 + 52, flags, true);
  new TextEncoder().encodeInto(name, config.subarray(8 + 56, 8 + 56 + 63));
  const control = open("/dev/loop-control", O.O_RDWR);
  try {
    for (let attempt = 0; ; attempt++) {
      const path = `/dev/loop${ioctl(control, LOOP.LOOP_CTL_GET_FREE)}`;
      const fd = open(path, readOnly ? O.O_RDONLY : O.O_RDWR);
      try {
        ioctl(fd, LOOP.LOOP_CONFIGURE, config);
        return { fd, path };
      } catch (error) {
        close(fd);
        if (!isErrno(error, "EBUSY") || attempt >= 64) throw error;
      }
    }
  } finally {
    close(control);
  }
}

/**
 * A loop device that has the whole of a file already, its descriptor open; null if there is none. Two devices on one file are two
 * caches of it: what a file system writes through one is lost behind the other.
 */
export function findLoop(file: number, readOnly: boolean): LoopDevice | null {
  const { dev, ino } = fstat(file);
  const status = stable(232);
  const view = new DataView(status.buffer);
  for (const name of readdirSync("/sys/block")) {
    if (!/^loop\d+$/.test(name) || !existsSync(`/sys/block/${name}/loop/backing_file`)) continue;
    const path = `/dev/${name}`;
    let fd: number | undefined;
    try {
      fd = open(path, readOnly ? O.O_RDONLY : O.O_RDWR);
      ioctl(fd, LOOP.LOOP_GET_STATUS64, status);
      const same = view.getBigUint64(0, true) === BigInt(dev) && view.getBigUint64(8, true) === ino;
      if (same && view.getBigUint64(24, true) === 0n) return { fd, path };
      close(fd);
    } catch (error) {
      if (fd !== undefined) close(fd);
      // it has just let go of its file
      if (!isErrno(error, "ENXIO", "ENOENT", "EACCES", "EROFS", "EBUSY")) throw error;
    }
  }
  return null;
}

/** Detaches a loop device; while it is in use it is detached with its last user. ENXIO if nothing is attached. */
export const detachLoop = (fd: number): void => {
  ioctl(fd, LOOP.LOOP_CLR_FD);
};
