import { HttpError } from "./errors.ts";

/** Bytes held for a reader before the sender is stopped, and when it may go on. */
const HIGH = 256 * 1024;
const LOW = 64 * 1024;

/** Pieces smaller than this are given together with those behind them: a client's chunks of a few hundred bytes, such as tar's blocks. */
const TOGETHER = 64 * 1024;

/**
 * Bytes on their way from a connection to their one reader. Holds about HIGH bytes: `pause` is called when the reader is that
 * far behind, `resume` when it has caught up. A reader that stops early drops the rest.
 */
export class ByteSource implements AsyncIterable<Uint8Array> {
  readonly #flow: { pause(): void; resume(): void };
  readonly #wanted: () => void;
  #chunks: Uint8Array[] = [];
  #held = 0;
  #paused = false;
  #ended = false;
  #dropped = false;
  #error: unknown;
  #wake: (() => void) | undefined;

  /** `wanted` is called once, when the reader first asks. */
  constructor(flow: { pause(): void; resume(): void }, wanted: () => void = () => {}) {
    this.#flow = flow;
    this.#wanted = wanted;
  }

  push(chunk: Uint8Array): void {
    if (this.#ended || this.#dropped || chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.#held += chunk.length;
    if (this.#held > HIGH && !this.#paused) {
      this.#paused = true;
      this.#flow.pause();
    }
    this.#wake?.();
  }

  /** With an error the reader gets that once it has read what came before. */
  end(error?: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#error = error;
    this.#wake?.();
  }

  /** What has come and what comes is read by nobody. */
  drop(): void {
    this.#dropped = true;
    this.#chunks = [];
    this.#held = 0;
    this.#release();
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, void> {
    this.#wanted();
    try {
      for (;;) {
        const chunk = this.#take();
        if (chunk) {
          this.#held -= chunk.length;
          if (this.#held < LOW) this.#release();
          yield chunk;
        } else if (this.#dropped) {
          return;
        } else if (this.#ended) {
          if (this.#error !== undefined) throw this.#error;
          return;
        } else {
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
          this.#wake = undefined;
        }
      }
    } finally {
      this.drop();
    }
  }

  /** All of it. Throws HttpError 413 above `limit` bytes. */
  async bytes(limit: number): Promise<Uint8Array> {
    const chunks: Uint8Array[] = [];
    let length = 0;
    for await (const chunk of this) {
      length += chunk.length;
      if (length > limit) throw new HttpError(413, `the body is larger than ${limit} bytes`);
      chunks.push(chunk);
    }
    return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, length);
  }

  /** What has come, at most TOGETHER bytes of it unless one piece has more. */
  #take(): Uint8Array | undefined {
    let count = 0;
    let length = 0;
    for (const { length: more } of this.#chunks) {
      if (count > 0 && length + more > TOGETHER) break;
      count++;
      length += more;
    }
    const taken = this.#chunks.splice(0, count);
    return count > 1 ? Buffer.concat(taken, length) : taken[0];
  }

  #release(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#flow.resume();
  }
}
