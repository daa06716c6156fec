import { messageOf, OnggiError } from "../lib/errors.ts";
import type { Sink } from "./context.ts";
import { Exit } from "./errors.ts";

const encoder = new TextEncoder();

/** Bytes after which a pipe or terminal is written without blocking. */
const PATIENCE = 64 * 1024;

const S_IFMT = 0o170000;
const S_IFIFO = 0o010000;
const S_IFCHR = 0o020000;

/**
 * Standard output or error, in order and with back-pressure.
 *
 * The first bytes are written with blocking calls on the descriptor itself: nothing has to be set up, which is all that short
 * output needs. A long stream to a pipe or terminal must not block this process (signals have to be passed on while a pager
 * stands still), and the descriptor must not become non-blocking either: its open file is shared with whoever started us, who
 * would get EAGAIN. So from then on it is written through an open file of its own, by way of /proc.
 *
 * A reader that has gone away (EPIPE) ends the command quietly with 141, as SIGPIPE would.
 */
export class Output implements Sink {
  readonly #fd: 1 | 2;
  readonly #file: Bun.BunFile;
  #written = 0;
  #own: Bun.FileSink | null | undefined;
  #last: Promise<void> = Promise.resolve();

  constructor(fd: 1 | 2) {
    this.#fd = fd;
    this.#file = fd === 1 ? Bun.stdout : Bun.stderr;
  }

  write(chunk: Uint8Array | string): Promise<void> {
    const bytes = typeof chunk === "string" ? encoder.encode(chunk) : chunk;
    const writing = this.#last.then(() => this.#write(bytes));
    this.#last = writing.catch(() => {});
    return writing;
  }

  async #write(bytes: Uint8Array): Promise<void> {
    try {
      if (this.#own === undefined && this.#written >= PATIENCE) this.#own = await this.#open();
      this.#written += bytes.length;
      if (this.#own) {
        this.#own.write(bytes);
        await this.#own.flush();
        return;
      }
      for (let rest = bytes; rest.length > 0; ) rest = rest.subarray(await Bun.write(this.#file, rest));
    } catch (error) {
      if ((error as { code?: string }).code === "EPIPE") throw new Exit(141);
      throw new OnggiError("output_failed", `cannot write standard ${this.#fd === 1 ? "output" : "error"}: ${messageOf(error)}`);
    }
  }

  /** Null when the descriptor itself is to be used on: a file, a socket, a pipe that cannot be opened again. */
  async #open(): Promise<Bun.FileSink | null> {
    // this is going to be long enough for compiling to pay (see Makefile)
    Bun.unsafe.setJITPolicy(1);
    try {
      const kind = (await this.#file.stat()).mode & S_IFMT;
      if (kind !== S_IFIFO && kind !== S_IFCHR) return null;
      return Bun.file(`/proc/self/fd/${this.#fd}`).writer({ highWaterMark: PATIENCE });
    } catch {
      return null;
    }
  }
}
