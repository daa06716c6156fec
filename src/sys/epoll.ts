/**
 * epoll(7), for a process that waits for its descriptors itself and not in Bun's loop.
 *
 *     const epoll = new Epoll();
 *     epoll.add(fd, EPOLL.EPOLLIN, () => read(fd, buffer));
 *     for (;;) epoll.wait(1000);
 */
import { EPOLL } from "./constants.ts";
import { errno, SysError } from "./errno.ts";
import { sys, sysRaw } from "./ffi.ts";
import { close } from "./file.ts";

/** struct epoll_event is packed on x86_64 only: events, and at `dataAt` what was registered with them. */
const [eventSize, dataAt] = process.arch === "arm64" ? [16, 8] : [12, 4];

const MOST = 64;

export class Epoll implements Disposable {
  readonly #fd: number;
  readonly #handlers = new Map<number, (events: number) => void>();
  readonly #ready = new DataView(new ArrayBuffer(MOST * eventSize));
  readonly #one = new DataView(new ArrayBuffer(eventSize));

  constructor() {
    this.#fd = sys("epoll_create1", undefined, EPOLL.EPOLL_CLOEXEC);
  }

  /** Calls `handler` whenever one of the events (`EPOLL`) is there, and at a hang-up or error in any case. */
  add(fd: number, events: number, handler: (events: number) => void): void {
    this.#control(EPOLL.EPOLL_CTL_ADD, fd, events);
    this.#handlers.set(fd, handler);
  }

  modify(fd: number, events: number): void {
    this.#control(EPOLL.EPOLL_CTL_MOD, fd, events);
  }

  /** Before the descriptor is closed. Its handler is not called any more, not even for what has been seen already. */
  remove(fd: number): void {
    if (this.#handlers.delete(fd)) this.#control(EPOLL.EPOLL_CTL_DEL, fd, 0);
  }

  /**
   * Waits for events, at most so many milliseconds, and calls the handlers of those that are there. A handler must bear being called
   * for a descriptor that is not ready: it may have taken the number of one that was closed just before. `first` is called before them.
   */
  wait(timeoutMs: number, first?: () => void): void {
    const count = sysRaw("epoll_pwait", this.#fd, this.#ready, MOST, timeoutMs, null, 8);
    if (count < 0 && count !== -errno.EINTR) throw new SysError("epoll_pwait", -count);
    if (count > 0) first?.();
    for (let at = 0; at < count * eventSize; at += eventSize) {
      this.#handlers.get(this.#ready.getInt32(at + dataAt, true))?.(this.#ready.getUint32(at, true));
    }
  }

  close(): void {
    close(this.#fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #control(operation: number, fd: number, events: number): void {
    this.#one.setUint32(0, events, true);
    this.#one.setInt32(dataAt, fd, true);
    sys("epoll_ctl", fd, this.#fd, operation, fd, this.#one);
  }
}
