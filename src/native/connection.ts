/** One connection to a shim: whole frames in and out, with back-pressure both ways. */
import type { FdSocketOptions, Socket, UnixSocketOptions } from "bun";
import { messageOf, OnggiError } from "../lib/errors.ts";
import { unixConnect } from "../sys/socket.ts";
import { type Frame, FrameDecoder } from "./protocol.ts";

export const SOCKET_NAME = "shim.sock";

/** The shim does not answer, or went away before it told what was asked. */
export class ShimGone extends OnggiError {
  constructor(message: string, options?: ErrorOptions) {
    super("shim_gone", message, options);
    this.name = "ShimGone";
  }
}

export interface ConnectionHandlers {
  /** A returned promise holds back further frames, and the shim, until it is settled. Nothing it throws is caught. */
  frame(frame: Frame): void | Promise<void>;
  /** Once, after the last frame. `error`: what broke it, null if it was closed by either end. */
  closed(error: Error | null): void;
}

export class Connection {
  private readonly decoder = new FrameDecoder();
  private readonly handlers: ConnectionHandlers;
  private socket: Socket<undefined> | null = null;
  /** Bytes the socket has not taken, and who waits for that. */
  private unsent: Uint8Array[] = [];
  private waiting: { resolve: () => void; reject: (error: Error) => void }[] = [];
  /** Frames that arrived while a handler's promise was pending. */
  private frames: Frame[] = [];
  private busy = false;
  private ended = false;
  private failure: Error | null = null;

  private constructor(handlers: ConnectionHandlers) {
    this.handlers = handlers;
  }

  /**
   * Connects to the socket in a state directory; what is sent at once is in the socket's buffer before any event can come.
   * @param stateDir an open directory, only used during the call
   * @throws ShimGone if nobody listens there
   */
  static async open(stateDir: number, handlers: ConnectionHandlers): Promise<Connection> {
    const connection = new Connection(handlers);
    let fd: number;
    try {
      fd = unixConnect(stateDir, SOCKET_NAME, { nonblock: true });
    } catch (error) {
      throw new ShimGone(`no shim listens in the container's state directory: ${messageOf(error)}`, { cause: error });
    }
    const options: FdSocketOptions<undefined> = {
      fd,
      socket: {
        open: (socket) => {
          connection.socket = socket;
        },
        data: (_, data) => connection.receive(data),
        drain: () => connection.flush(),
        error: (_, error) => {
          connection.failure = error;
        },
        close: () => connection.onClose(),
      },
    };
    // Bun takes a descriptor; its declarations only say so in the options' own type.
    connection.socket = await Bun.connect<undefined>(options as unknown as UnixSocketOptions<undefined>);
    return connection;
  }

  /** Sends a frame. Resolves when the socket has taken it; rejects with ShimGone when it is closed before that. */
  send(frame: Uint8Array): Promise<void> {
    if (this.ended || !this.socket) return Promise.reject(new ShimGone("the connection to the shim is closed"));
    if (this.unsent.length === 0) {
      const sent = Math.max(0, this.socket.write(frame));
      if (sent === frame.length) return Promise.resolve();
      this.unsent.push(frame.subarray(sent));
    } else {
      this.unsent.push(frame);
    }
    return new Promise((resolve, reject) => {
      this.waiting.push({ resolve, reject });
    });
  }

  /** Sends without caring for the outcome: `closed` tells of a lost connection. */
  post(frame: Uint8Array): void {
    this.send(frame).catch(() => {});
  }

  /** Closes at once; what was not sent yet is not sent, frames not handed over are dropped. Idempotent. */
  close(): void {
    this.frames = [];
    this.socket?.end();
    this.onClose();
  }

  private flush(): void {
    while (this.socket && this.unsent.length > 0) {
      const first = this.unsent[0] as Uint8Array;
      const sent = Math.max(0, this.socket.write(first));
      if (sent < first.length) {
        this.unsent[0] = first.subarray(sent);
        return;
      }
      this.unsent.shift();
      this.waiting.shift()?.resolve();
    }
  }

  private receive(data: Uint8Array): void {
    try {
      this.decoder.push(data, (frame) => {
        this.frames.push(frame);
      });
    } catch (error) {
      this.failure = error as Error;
      this.socket?.end();
    }
    this.deliver();
  }

  private deliver(): void {
    while (!this.busy && this.frames.length > 0) {
      const pending = this.handlers.frame(this.frames.shift() as Frame);
      if (!pending) continue;
      this.busy = true;
      this.socket?.pause();
      const resume = () => {
        this.busy = false;
        if (!this.ended) this.socket?.resume();
        this.deliver();
      };
      pending.then(resume, resume);
    }
    if (this.ended && !this.busy && this.frames.length === 0) this.tellClosed();
  }

  private onClose(): void {
    if (this.ended) return;
    this.ended = true;
    const gone = new ShimGone("the connection to the shim was closed", this.failure ? { cause: this.failure } : undefined);
    for (const { reject } of this.waiting) reject(gone);
    this.waiting = [];
    this.unsent = [];
    this.deliver();
  }

  private told = false;
  private tellClosed(): void {
    if (this.told) return;
    this.told = true;
    this.handlers.closed(this.failure);
  }
}
