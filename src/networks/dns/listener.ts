/**
 * What answers the containers: two sockets in a container's network namespace, one for datagrams and one for streams. Who asks is
 * known by the socket, whatever a packet says.
 */
import { EPOLL } from "../../sys/constants.ts";
import type { Epoll } from "../../sys/epoll.ts";
import { sysRaw } from "../../sys/ffi.ts";
import { close } from "../../sys/file.ts";
import { accept } from "../../sys/socket.ts";
import type { Timers } from "./timers.ts";

/** Answers a message: `reply` is called once or never, now or later; its bytes are only valid during the call. */
export type Answerer = (asked: Uint8Array, length: number, limit: number | null, reply: (answer: Uint8Array) => void) => void;

/** Datagrams that are answered before the next container has its turn. */
const TURN = 32;
/** Streams of one container at a time. */
const MOST_STREAMS = 32;
/** How long a stream may be silent: milliseconds. RFC 7766 section 6.2.3. */
const IDLE_MS = 10_000;
/** Answers of a stream that nobody fetches, in bytes. */
const MOST_UNSENT = 256 * 1024;
const MESSAGE_MAX = 65_535;

const EAGAIN = -11;
const EINTR = -4;
const MSG_NOSIGNAL = 0x4000;

const datagram = new Uint8Array(4096);
const sender = new Uint8Array(28);
const senderSize = new Uint32Array(1);

export class Listener {
  readonly #epoll: Epoll;
  readonly #timers: Timers;
  readonly #udp: number;
  readonly #tcp: number;
  readonly #answer: Answerer;
  readonly #streams = new Set<Stream>();
  #isClosed = false;

  /** The sockets, which are non-blocking, then belong to this object. */
  constructor(epoll: Epoll, timers: Timers, sockets: { readonly udp: number; readonly tcp: number }, answer: Answerer) {
    this.#epoll = epoll;
    this.#timers = timers;
    this.#udp = sockets.udp;
    this.#tcp = sockets.tcp;
    this.#answer = answer;
    epoll.add(this.#udp, EPOLL.EPOLLIN, () => this.#receive());
    epoll.add(this.#tcp, EPOLL.EPOLLIN, () => this.#accept());
  }

  get sockets(): readonly [udp: number, tcp: number] {
    return [this.#udp, this.#tcp];
  }

  close(): void {
    this.#isClosed = true;
    for (const stream of this.#streams) stream.close();
    for (const fd of this.sockets) {
      this.#epoll.remove(fd);
      close(fd);
    }
  }

  #receive(): void {
    for (let count = 0; count < TURN; count++) {
      senderSize[0] = sender.length;
      const length = sysRaw("recvfrom", this.#udp, datagram, datagram.length, 0, sender, senderSize);
      if (length < 0) return;
      const to = sender.slice(0, senderSize[0]);
      this.#answer(datagram, length, null, (answer) => {
        // An answer that does not get through is as one that was lost on the way.
        if (!this.#isClosed) sysRaw("sendto", this.#udp, answer, answer.length, MSG_NOSIGNAL, to, to.length);
      });
    }
  }

  #accept(): void {
    for (let count = 0; count < TURN; count++) {
      let fd: number;
      try {
        fd = accept(this.#tcp, true);
      } catch {
        return;
      }
      if (this.#streams.size >= MOST_STREAMS) {
        // The one that has been silent for longest gives way.
        this.#streams.values().next().value?.close();
      }
      const stream = new Stream(fd, this.#epoll, this.#timers, this.#answer, this.#streams);
      this.#streams.add(stream);
    }
  }
}

class Stream {
  readonly #fd: number;
  readonly #epoll: Epoll;
  readonly #timers: Timers;
  readonly #answer: Answerer;
  readonly #all: Set<Stream>;
  #received = new Uint8Array(0);
  #unsent: Uint8Array[] = [];
  #unsentBytes = 0;
  #cancel: () => void = () => {};
  #isClosed = false;

  constructor(fd: number, epoll: Epoll, timers: Timers, answer: Answerer, all: Set<Stream>) {
    this.#fd = fd;
    this.#epoll = epoll;
    this.#timers = timers;
    this.#answer = answer;
    this.#all = all;
    epoll.add(fd, EPOLL.EPOLLIN, (events) => this.#on(events));
    this.#touch();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#cancel();
    this.#epoll.remove(this.#fd);
    close(this.#fd);
    this.#all.delete(this);
  }

  #touch(): void {
    this.#cancel();
    this.#cancel = this.#timers.after(IDLE_MS, () => this.close());
    if (this.#all.delete(this)) this.#all.add(this);
  }

  #on(events: number): void {
    if ((events & EPOLL.EPOLLOUT) !== 0) this.#flush();
    if (!this.#isClosed && (events & ~EPOLL.EPOLLOUT) !== 0) this.#read();
  }

  #read(): void {
    const length = sysRaw("recvfrom", this.#fd, datagram, datagram.length, 0, null, null);
    if (length === EAGAIN || length === EINTR) return;
    if (length <= 0) {
      this.close();
      return;
    }
    this.#touch();
    const bytes = new Uint8Array(this.#received.length + length);
    bytes.set(this.#received);
    bytes.set(datagram.subarray(0, length), this.#received.length);
    let at = 0;
    while (!this.#isClosed && at + 2 <= bytes.length) {
      const size = (bytes[at]! << 8) | bytes[at + 1]!;
      if (at + 2 + size > bytes.length) break;
      this.#answer(bytes.subarray(at + 2, at + 2 + size), size, MESSAGE_MAX, (answer) => this.#send(answer));
      at += 2 + size;
    }
    this.#received = bytes.slice(at);
  }

  #send(answer: Uint8Array): void {
    if (this.#isClosed) return;
    const bytes = new Uint8Array(answer.length + 2);
    bytes[0] = answer.length >> 8;
    bytes[1] = answer.length;
    bytes.set(answer, 2);
    this.#unsent.push(bytes);
    this.#unsentBytes += bytes.length;
    if (this.#unsentBytes > MOST_UNSENT) this.close();
    else if (this.#unsent.length === 1) this.#flush();
  }

  #flush(): void {
    while (this.#unsent.length > 0) {
      const first = this.#unsent[0]!;
      const sent = sysRaw("sendto", this.#fd, first, first.length, MSG_NOSIGNAL, null, 0);
      if (sent === EAGAIN || sent === EINTR) break;
      if (sent < 0) {
        this.close();
        return;
      }
      this.#touch();
      this.#unsentBytes -= sent;
      if (sent < first.length) this.#unsent[0] = first.subarray(sent);
      else this.#unsent.shift();
    }
    this.#epoll.modify(this.#fd, EPOLL.EPOLLIN | (this.#unsent.length > 0 ? EPOLL.EPOLLOUT : 0));
  }
}
