/** Descriptors that tell of events: counters and watches on files. */
import { EFD, IN } from "./constants.ts";
import { errno, SysError } from "./errno.ts";
import { cstring, type Path, sys, sysRaw } from "./ffi.ts";

/** eventfd(2): a counter that polls readable while it is not zero. `flags`: `EFD`. */
export const eventfd = (initial = 0, flags: number = EFD.EFD_NONBLOCK): number =>
  sys("eventfd2", undefined, initial, flags | EFD.EFD_CLOEXEC);

const cell = new BigUint64Array(1);

/** Takes the counter's value, which becomes 0. 0n if it was 0 and the descriptor is non-blocking. */
export function readEventfd(fd: number): bigint {
  const result = sysRaw("read", fd, cell, 8);
  if (result === -errno.EAGAIN) return 0n;
  if (result === -errno.EINTR) return readEventfd(fd);
  if (result < 0) throw new SysError("read", -result, { path: `fd ${fd}` });
  return cell[0]!;
}

export function writeEventfd(fd: number, add: bigint): void {
  cell[0] = add;
  sys("write", fd, fd, cell, 8);
}

/** inotify_init1(2), non-blocking if `flags` are absent. EMFILE over /proc/sys/fs/inotify/max_user_instances. */
export const inotify = (flags: number = IN.IN_NONBLOCK): number => sys("inotify_init1", undefined, flags | IN.IN_CLOEXEC);

/** Watches a path for events (`IN`). Returns the watch's number. ENOSPC over /proc/sys/fs/inotify/max_user_watches. */
export const inotifyAdd = (fd: number, path: Path, mask: number): number =>
  sys("inotify_add_watch", path, fd, cstring(path, "inotify_add_watch"), mask);

/** Ends a watch; an IN_IGNORED event follows. */
export const inotifyRemove = (fd: number, watch: number): void => {
  sys("inotify_rm_watch", fd, fd, watch);
};

export interface FileEvent {
  /** -1 with IN_Q_OVERFLOW: events were lost. */
  readonly watch: number;
  readonly mask: number;
  /** Joins the two halves of a rename. */
  readonly cookie: number;
  /** The entry of a watched directory; "" for the watched file itself. */
  readonly name: string;
}

/** The events that are there; none if there are none and the descriptor is non-blocking. */
export function inotifyRead(fd: number): FileEvent[] {
  const buffer = new Uint8Array(16384);
  const length = sysRaw("read", fd, buffer, buffer.length);
  if (length === -errno.EAGAIN || length === -errno.EINTR) return [];
  if (length < 0) throw new SysError("read", -length, { path: `fd ${fd}` });
  const view = new DataView(buffer.buffer);
  const events: FileEvent[] = [];
  for (let at = 0; at < length; ) {
    const size = view.getUint32(at + 12, true);
    const name = buffer.subarray(at + 16, at + 16 + size);
    const end = name.indexOf(0);
    events.push({
      watch: view.getInt32(at, true),
      mask: view.getUint32(at + 4, true),
      cookie: view.getUint32(at + 8, true),
      name: new TextDecoder().decode(end < 0 ? name : name.subarray(0, end)),
    });
    at += 16 + size;
  }
  return events;
}
