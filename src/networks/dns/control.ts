/** The resolver's side of its connection to the engine. */
import { mkdirSync } from "node:fs";
import { messageOf } from "../../lib/errors.ts";
import { EPOLL, LOCK, MSG, O, SO, SOCK } from "../../sys/constants.ts";
import type { Epoll } from "../../sys/epoll.ts";
import { errno, isErrno } from "../../sys/errno.ts";
import { sys, sysRaw } from "../../sys/ffi.ts";
import { close, flock, open, unlinkat } from "../../sys/file.ts";
import { accept, recvFds, sendFds, unixListen } from "../../sys/socket.ts";
import { decode, encode, FDS_MOST, type Hello, LOCK_FILE, MESSAGE_MAX, type Order, PROTOCOL, SOCKET } from "./protocol.ts";

interface Held {
  readonly container: string;
  readonly netns: string;
  readonly fds: readonly number[];
}

export interface ControlHandlers {
  /** Whom a new engine is told of. */
  held(): readonly Held[];
  /** The descriptors then belong to the handler. */
  order(order: Order, fds: readonly number[]): void;
  log(message: string): void;
}

const peeked = new Uint8Array(1);

export class Control {
  readonly #dir: number;
  readonly #lock: number;
  readonly #listening: number;
  #epoll: Epoll | null = null;
  #handlers: ControlHandlers | null = null;
  #connection = -1;
  #generation = 0;

  /** Listens in a run directory. Null if another resolver does. */
  static open(run: string): Control | null {
    mkdirSync(run, { recursive: true, mode: 0o711 });
    const dir = open(run, O.O_PATH | O.O_DIRECTORY);
    const lock = open(`${run}/${LOCK_FILE}`, O.O_RDWR | O.O_CREAT, 0o600);
    if (!flock(lock, LOCK.LOCK_EX | LOCK.LOCK_NB)) {
      close(lock);
      close(dir);
      return null;
    }
    return new Control(dir, lock);
  }

  private constructor(dir: number, lock: number) {
    this.#dir = dir;
    this.#lock = lock;
    this.#unlink();
    this.#listening = unixListen(dir, SOCKET, 8, { type: SOCK.SOCK_SEQPACKET, mode: 0o600, nonblock: true });
  }

  get isConnected(): boolean {
    return this.#connection >= 0;
  }

  /** Counts the connections that there have been. */
  get generation(): number {
    return this.#generation;
  }

  serve(epoll: Epoll, handlers: ControlHandlers): void {
    this.#epoll = epoll;
    this.#handlers = handlers;
    epoll.add(this.#listening, EPOLL.EPOLLIN, () => this.#accept());
  }

  close(): void {
    this.#disconnect();
    this.#epoll?.remove(this.#listening);
    close(this.#listening);
    this.#unlink();
    close(this.#lock);
    close(this.#dir);
  }

  #unlink(): void {
    try {
      unlinkat(this.#dir, SOCKET);
    } catch (error) {
      if (!isErrno(error, "ENOENT")) throw error;
    }
  }

  /** An engine that connects takes the place of the one before. */
  #accept(): void {
    let fd: number;
    try {
      fd = accept(this.#listening);
    } catch {
      return;
    }
    // An engine that does not read must not keep the containers waiting.
    sys("setsockopt", fd, fd, SO.SOL_SOCKET, SO.SO_SNDTIMEO, new BigInt64Array([1n, 0n]), 16);
    this.#disconnect();
    this.#connection = fd;
    this.#generation += 1;
    this.#epoll!.add(fd, EPOLL.EPOLLIN, () => this.receive());
    try {
      this.#greet(this.#handlers!.held());
    } catch (error) {
      this.#handlers!.log(`the engine's connection: ${messageOf(error)}`);
      this.#disconnect();
    }
  }

  #greet(held: readonly Held[]): void {
    const most = FDS_MOST / 2;
    for (let from = 0; from === 0 || from < held.length; from += most) {
      const part = held.slice(from, from + most);
      const hello: Hello = {
        protocol: PROTOCOL,
        held: part.map(({ container, netns }) => ({ container, netns })),
        isLast: from + most >= held.length,
      };
      sendFds(
        this.#connection,
        encode(hello),
        part.flatMap(({ fds }) => fds),
        MSG.MSG_NOSIGNAL,
      );
    }
  }

  /** Carries out what the engine has said. Whoever asks after that is answered by it. */
  receive(): void {
    while (this.#connection >= 0) {
      const there = sysRaw("recvfrom", this.#connection, peeked, 1, MSG.MSG_PEEK | MSG.MSG_DONTWAIT, null, null);
      if (there === -errno.EAGAIN) return;
      try {
        const { data, fds } = recvFds(this.#connection, MESSAGE_MAX, FDS_MOST, MSG.MSG_DONTWAIT);
        if (data.length === 0) {
          this.#disconnect();
          return;
        }
        let used = 0;
        for (const order of decode<readonly Order[]>(data)) {
          const count = order.op === "serve" && order.sockets ? 2 : 0;
          this.#handlers!.order(order, fds.slice(used, used + count));
          used += count;
        }
      } catch (error) {
        if (!isErrno(error, "ECONNRESET")) this.#handlers!.log(`the engine's connection: ${messageOf(error)}`);
        this.#disconnect();
        return;
      }
    }
  }

  #disconnect(): void {
    if (this.#connection < 0) return;
    this.#epoll!.remove(this.#connection);
    close(this.#connection);
    this.#connection = -1;
  }
}
