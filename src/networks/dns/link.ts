/** The engine's side of its connection to the resolver. */
import type { FdSocketOptions, UnixSocketOptions } from "bun";
import { isErrno } from "../../sys/errno.ts";
import { close, dup, MSG, O, open, recvFds, SO, SOCK, sendFds, setSocketOption, unixConnect } from "../../sys/index.ts";
import { BATCH_SIZE, decode, FDS_MOST, type Hello, MESSAGE_MAX, type Order, PROTOCOL, SOCKET } from "./protocol.ts";
import type { Sockets } from "./sockets.ts";

/** How long a resolver may take to say whom it serves: milliseconds. */
const GREETING_MS = 5000;
/** How long to wait when it does not keep up with what it is told: milliseconds. */
const BUSY_MS = 1;
/** Orders that it has not read yet, in bytes as the kernel counts them. */
const ROOM = 2 ** 20;

/** A container that a resolver serves, and duplicates of its sockets, the receiver's. */
export interface Held {
  readonly container: string;
  readonly netns: string;
  readonly sockets: Sockets;
}

export const closeSockets = ({ udp, tcp }: Sockets): void => {
  close(udp);
  close(tcp);
};

/** Orders that are one message, and duplicates of their descriptors. */
interface Batch {
  readonly orders: string[];
  readonly fds: number[];
  size: number;
}

export class Link {
  /** What the resolver said when it was connected. */
  readonly held: readonly Held[];
  /** False: it is of another version, and understands nothing but `stop`. */
  readonly speaksOurs: boolean;
  readonly #fd: number;
  readonly #unsent: Batch[] = [];
  /** It will be flushed without being told. */
  #isFlushing = false;
  #retry: ReturnType<typeof setTimeout> | null = null;
  #isClosed = false;
  #end: () => void = () => {};

  /** Null if none listens in the run directory. `lost` is called once, unless it is closed by us before. */
  static async connect(run: string, lost: () => void): Promise<Link | null> {
    let dir: number;
    try {
      dir = open(run, O.O_PATH | O.O_DIRECTORY);
    } catch (error) {
      if (isErrno(error, "ENOENT")) return null;
      throw error;
    }
    let fd: number;
    try {
      fd = unixConnect(dir, SOCKET, { type: SOCK.SOCK_SEQPACKET, nonblock: true });
    } catch (error) {
      if (isErrno(error, "ENOENT") || isErrno(error, "ECONNREFUSED") || isErrno(error, "EAGAIN")) return null;
      throw error;
    } finally {
      close(dir);
    }
    setSocketOption(fd, SO.SOL_SOCKET, SO.SO_SNDBUFFORCE, ROOM);
    const said = await greeting(fd);
    if (said === null) {
      close(fd);
      return null;
    }
    const link = new Link(fd, said);
    let isKnown = false;
    await link.#watch(() => isKnown && lost());
    isKnown = true;
    if (!link.#isClosed) return link;
    for (const { sockets } of link.held) closeSockets(sockets);
    return null;
  }

  private constructor(fd: number, { held, protocol }: Greeting) {
    this.#fd = fd;
    this.held = held;
    this.speaksOurs = protocol === PROTOCOL;
  }

  /** Bun looks after a duplicate: nothing comes any more but the end. */
  async #watch(lost: () => unknown): Promise<void> {
    const options: FdSocketOptions<undefined> = {
      fd: dup(this.#fd),
      socket: {
        data: () => {},
        close: () => {
          if (this.#isClosed) return;
          this.close();
          lost();
        },
        error: () => {},
      },
    };
    // Bun takes a descriptor; its declarations only say so in the options' own type.
    const socket = await Bun.connect<undefined>(options as unknown as UnixSocketOptions<undefined>);
    this.#end = () => socket.terminate();
  }

  /**
   * In order: before any event is handled, unless the resolver does not keep up. The descriptors may be closed at once.
   */
  send(order: Order, fds: readonly number[] = []): void {
    if (this.#isClosed) return;
    const text = JSON.stringify(order);
    let batch = this.#unsent.at(-1);
    if (batch === undefined || batch.size + text.length > BATCH_SIZE || batch.fds.length + fds.length > FDS_MOST) {
      batch = { orders: [], fds: [], size: 0 };
      this.#unsent.push(batch);
    }
    batch.orders.push(text);
    batch.size += text.length;
    for (const fd of fds) batch.fds.push(dup(fd));
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    queueMicrotask(() => this.#flush());
  }

  /** What can be sent at once is sent. */
  close(): void {
    if (this.#isClosed) return;
    this.#flush();
    this.#isClosed = true;
    if (this.#retry) clearTimeout(this.#retry);
    for (const { fds } of this.#unsent) for (const fd of fds) close(fd);
    close(this.#fd);
    this.#end();
  }

  #flush(): void {
    if (this.#isClosed) return;
    for (let next = this.#unsent[0]; next; next = this.#unsent[0]) {
      if (!this.#put(next)) {
        this.#retry = setTimeout(() => this.#flush(), BUSY_MS);
        return;
      }
      this.#unsent.shift();
      for (const fd of next.fds) close(fd);
    }
    this.#isFlushing = false;
  }

  /** False if there is no room. A connection that has ended takes everything: its end is told. */
  #put({ orders, fds }: Batch): boolean {
    try {
      sendFds(this.#fd, new TextEncoder().encode(`[${orders.join()}]`), fds, MSG.MSG_NOSIGNAL | MSG.MSG_DONTWAIT);
    } catch (error) {
      return isErrno(error, "EPIPE", "ECONNRESET", "ENOTCONN");
    }
    return true;
  }
}

interface Greeting {
  readonly held: readonly Held[];
  readonly protocol: number;
}

/** Whom a resolver serves; null if it goes away before it has said so. */
async function greeting(fd: number): Promise<Greeting | null> {
  const held: Held[] = [];
  const deadline = performance.now() + GREETING_MS;
  for (let pause = 0.2; performance.now() < deadline; ) {
    try {
      const { data, fds } = recvFds(fd, MESSAGE_MAX, FDS_MOST, MSG.MSG_DONTWAIT);
      if (data.length === 0) break;
      const hello = decode<Hello>(data);
      for (const [index, { container, netns }] of hello.held.entries()) {
        held.push({ container, netns, sockets: { udp: fds[2 * index]!, tcp: fds[2 * index + 1]! } });
      }
      if (hello.isLast) return { held, protocol: hello.protocol };
    } catch (error) {
      if (!isErrno(error, "EAGAIN")) break;
      await Bun.sleep(pause);
      pause = Math.min(pause * 2, 20);
    }
  }
  for (const { sockets } of held) closeSockets(sockets);
  return null;
}
