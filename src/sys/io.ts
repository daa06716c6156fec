/** Bytes in and out of descriptors. Calls block; on a non-blocking descriptor they throw SysError EAGAIN. */
import { errno, SysError } from "./errno.ts";
import { type Arg, printable, sys, sysRaw } from "./ffi.ts";

type Buffer = Uint8Array;

/**
 * read(2), or pread(2) if a position is given. Fills the start of `buffer`.
 * @returns bytes read, 0 at the end of the file
 */
export const read = (fd: number, buffer: Buffer, position?: number): number =>
  position === undefined
    ? sys("read", fd, fd, buffer, buffer.byteLength)
    : sys("pread64", fd, fd, buffer, buffer.byteLength, position);

/** write(2), or pwrite(2) if a position is given; may write less than all. Returns bytes written. */
export const write = (fd: number, data: Buffer, position?: number): number =>
  position === undefined ? sys("write", fd, fd, data, data.byteLength) : sys("pwrite64", fd, fd, data, data.byteLength, position);

/** Writes all of `data`. After an error an unknown part of it is written. */
export function writeAll(fd: number, data: Buffer | string, position?: number): void {
  const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
  for (let done = 0; done < bytes.byteLength; ) {
    const rest = done === 0 ? bytes : bytes.subarray(done);
    done += write(fd, rest, position === undefined ? undefined : position + done);
  }
}

/** Everything from the descriptor's position to the end: a file of /proc or /sys, a pipe whose writer closes it. */
export function readAll(fd: number): Uint8Array {
  let buffer = new Uint8Array(4096);
  let length = 0;
  for (;;) {
    const count = read(fd, length === 0 ? buffer : buffer.subarray(length));
    if (count === 0) return buffer.subarray(0, length);
    length += count;
    if (length === buffer.length) {
      const larger = new Uint8Array(buffer.length * 4);
      larger.set(buffer);
      buffer = larger;
    }
  }
}

/** lseek(2); `whence` 0 from the start, 1 from the position, 2 from the end, 3 next data, 4 next hole. Returns the position. */
export const lseek = (fd: number, offset: number, whence: 0 | 1 | 2 | 3 | 4): number => sys("lseek", fd, fd, offset, whence);

/** fsync(2): data and metadata are on the disk when it returns. For a directory: its names are. */
export const fsync = (fd: number): void => {
  sys("fsync", fd, fd);
};

/** fdatasync(2): data, and the metadata needed to read it, are on the disk when it returns. */
export const fdatasync = (fd: number): void => {
  sys("fdatasync", fd, fd);
};

/** syncfs(2): the whole file system that `fd` lies on is written. */
export const syncfs = (fd: number): void => {
  sys("syncfs", fd, fd);
};

/** fallocate(2): reserves, or with `FALLOC` modes frees, `length` bytes from `offset` on. */
export const fallocate = (fd: number, mode: number, offset: number, length: number): void => {
  sys("fallocate", fd, fd, mode, offset, length);
};

/** ftruncate(2) */
export const ftruncate = (fd: number, length: number): void => {
  sys("ftruncate", fd, fd, length);
};

/** posix_fadvise(2): 0 normal, 1 random, 2 sequential, 3 will need, 4 don't need, 5 no reuse. Length 0: to the end. */
export const fadvise = (fd: number, offset: number, length: number, advice: 0 | 1 | 2 | 3 | 4 | 5): void => {
  sys("fadvise64", fd, fd, offset, length, advice);
};

const offsetCell = new BigInt64Array(2);

/** A cell with an offset in it, for the calls that take a pointer to one; null lets them use the file position. */
function offset(index: 0 | 1, value: number | undefined): Arg {
  if (value === undefined) return null;
  const cell = index === 0 ? offsetCell.subarray(0, 1) : offsetCell.subarray(1, 2);
  cell[0] = BigInt(value);
  return cell;
}

/**
 * copy_file_range(2): copies inside the kernel, as a reflink where the file system can.
 * @param from position in `input`; absent: its file position, which then advances. Likewise `to`.
 * @returns bytes copied, 0 at the end; may be less than `length`
 */
export const copyFileRange = (input: number, output: number, length: number, from?: number, to?: number): number =>
  sys("copy_file_range", input, input, offset(0, from), output, offset(1, to), length);

/** sendfile(2): from a file to any descriptor. Returns bytes sent; may be less than `length`. */
export const sendfile = (output: number, input: number, length: number, from?: number): number =>
  sys("sendfile", output, output, input, offset(0, from), length);

/** ioctl(2) with a number or a buffer as third argument. Returns what the driver returns. */
export const ioctl = (fd: number, request: number, argument: Arg = 0): number => sys("ioctl", fd, fd, request, argument);

/**
 * Waits until one of the events (`POLL`) is there, ppoll(2) for one descriptor.
 * @param timeoutMs -1 waits for ever
 * @returns the events, 0 after the timeout or an interruption
 */
export function poll(fd: number, events: number, timeoutMs = -1): number {
  const request = new Int32Array([fd, events]);
  const timeout = new BigInt64Array([BigInt(Math.trunc(timeoutMs / 1000)), BigInt(Math.round((timeoutMs % 1000) * 1e6))]);
  const result = sysRaw("ppoll", request, 1, timeoutMs < 0 ? null : timeout, null, 8);
  if (result < 0 && result !== -errno.EINTR) throw new SysError("ppoll", -result, { path: printable(fd) });
  return result > 0 ? request[1]! >>> 16 : 0;
}

/**
 * poll(2) for several descriptors; one of -1 is left out.
 * @returns the events of each, all 0 after the timeout or an interruption
 */
export function pollAll(requests: readonly { readonly fd: number; readonly events: number }[], timeoutMs = -1): number[] {
  const set = new Int32Array(requests.flatMap(({ fd, events }) => [fd, events]));
  const timeout = new BigInt64Array([BigInt(Math.trunc(timeoutMs / 1000)), BigInt(Math.round((timeoutMs % 1000) * 1e6))]);
  const result = sysRaw("ppoll", set, requests.length, timeoutMs < 0 ? null : timeout, null, 8);
  if (result < 0 && result !== -errno.EINTR) throw new SysError("ppoll", -result);
  return requests.map((_, i) => (result > 0 ? set[2 * i + 1]! >>> 16 : 0));
}
