/** One consumer of a process's standard streams, on a connection of its own. */
import { OnggiError } from "../lib/errors.ts";
import { errnoName } from "../sys/errno.ts";
import { type Connection, type ConnectionHandlers, ShimGone } from "./connection.ts";
import type { ShimProcess } from "./process.ts";
import { decodeDropped, decodeError, encodeFrame, type Frame, reply, request, stream } from "./protocol.ts";

export interface AttachOptions {
  readonly stdin?: boolean;
  readonly stdout?: boolean;
  readonly stderr?: boolean;
  /** Hold the process back rather than lose output (for at most 60 s without progress). Default false. */
  readonly lossless?: boolean;
  /** A returned promise stops further output of this attachment until it is settled. `data` is the callee's to keep. */
  readonly onOutput?: (stream: "stdout" | "stderr", data: Uint8Array) => void | Promise<void>;
  /** Output that was lost because this attachment did not keep up, in bytes. */
  readonly onDropped?: (bytes: number) => void | Promise<void>;
}

export const streamBits = ({ stdin, stdout, stderr }: AttachOptions): number =>
  (stdin ? stream.stdin : 0) | (stdout ? stream.stdout : 0) | (stderr ? stream.stderr : 0);

/** Input is sent in frames of this many bytes, so that others get their turn. */
const INPUT_CHUNK = 65536;

export class Attachment {
  /** Both output streams are at their end and all of it was handed over; or it was detached, or the shim is gone. Never rejects. */
  readonly ended: Promise<void>;
  /** The process, once the shim has numbered it. */
  readonly numbered: Promise<ShimProcess>;

  private readonly options: AttachOptions;
  private readonly find: (number: number) => ShimProcess;
  private target: ShimProcess | null;
  private connection: Connection | null = null;
  private end!: () => void;
  private number!: (process: ShimProcess) => void;
  private refuse!: (error: Error) => void;
  private confirmed: { resolve: () => void; reject: (error: Error) => void } | null = null;

  /** Made by Shim. @param process null: an exec's, which `find` gives once it has a number */
  constructor(process: ShimProcess | null, options: AttachOptions, find: (number: number) => ShimProcess = () => this.process) {
    this.target = process;
    this.options = options;
    this.find = find;
    this.ended = new Promise((resolve) => {
      this.end = resolve;
    });
    this.numbered = new Promise((resolve, reject) => {
      this.number = resolve;
      this.refuse = reject;
    });
    this.numbered.catch(() => {});
    if (process) this.number(process);
  }

  get process(): ShimProcess {
    if (!this.target) throw new Error("the process has no number yet");
    return this.target;
  }

  /** Resolves when the socket has taken the bytes; wait for it before writing more. Rejects with ShimGone. */
  async write(data: Uint8Array): Promise<void> {
    for (let at = 0; at < data.length; at += INPUT_CHUNK) {
      await this.opened.send(encodeFrame(request.stdin, this.process.number, data.subarray(at, at + INPUT_CHUNK)));
    }
  }

  /** End of input, after all that was written. No effect on a terminal. */
  closeInput(): Promise<void> {
    return this.opened.send(encodeFrame(request.stdin, this.process.number));
  }

  /** Ends the attachment; the process goes on. Idempotent. */
  detach(): void {
    this.connection?.close();
    this.end();
  }

  /** Resolves once the shim has taken every frame sent so far; rejects if it has refused one. */
  confirm(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.confirmed = { resolve, reject };
      this.opened.post(encodeFrame(request.status, 0));
    });
  }

  use(connection: Connection): void {
    this.connection = connection;
  }

  handlers(): ConnectionHandlers {
    return { frame: (frame) => this.take(frame), closed: (error) => this.onClosed(error) };
  }

  private get opened(): Connection {
    if (!this.connection) throw new Error("the attachment is not connected yet");
    return this.connection;
  }

  private take(frame: Frame): void | Promise<void> {
    switch (frame.type) {
      case reply.execed:
        this.target = this.find(frame.process);
        this.number(this.target);
        return;
      case reply.error:
        return this.onRefused(frame);
      case reply.status:
        this.confirmed?.resolve();
        return;
    }
    if (!this.target || frame.process !== this.target.number) return;
    switch (frame.type) {
      case reply.stdout:
        return this.options.onOutput?.("stdout", frame.payload);
      case reply.stderr:
        return this.options.onOutput?.("stderr", frame.payload);
      case reply.dropped:
        return this.options.onDropped?.(decodeDropped(frame));
      case reply.outputEnd:
        this.end();
        return;
    }
    this.target.take(frame);
    if (frame.type === reply.exit) this.detach();
  }

  private onRefused(frame: Frame): void {
    const { request: type, errno, text } = decodeError(frame);
    if (type === request.stdin) return;
    const error = new OnggiError("shim_refused", `the shim refused to attach: ${text}: ${errnoName(errno)}`);
    this.refuse(error);
    this.confirmed?.reject(error);
    this.detach();
  }

  private onClosed(error: Error | null): void {
    const gone = new ShimGone("the shim is gone", error ? { cause: error } : undefined);
    this.refuse(gone);
    this.confirmed?.reject(gone);
    this.end();
  }
}
