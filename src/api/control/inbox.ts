import { OnggiError } from "../../lib/errors.ts";

/**
 * Standard input on its way from a connection to its one reader. Holds at most `window` bytes: the other side may send no more
 * than it was granted, and more is granted as chunks are taken. Ends at an empty chunk or with `end`.
 */
export class Inbox implements AsyncIterable<Uint8Array> {
  readonly #window: number;
  readonly #grant: (bytes: number) => void;
  #chunks: Uint8Array[] = [];
  #held = 0;
  /** Taken by the reader and not granted again yet. */
  #consumed = 0;
  #ended = false;
  #wake: (() => void) | undefined;

  constructor(window: number, grant: (bytes: number) => void) {
    this.#window = window;
    this.#grant = grant;
  }

  /** Throws `protocol_error` when the sender exceeds its window. Bytes after the end are dropped. */
  push(chunk: Uint8Array): void {
    if (this.#ended) return;
    if (chunk.length === 0) {
      this.end();
      return;
    }
    this.#held += chunk.length;
    if (this.#held + this.#consumed > this.#window) {
      throw new OnggiError("protocol_error", `more than ${this.#window} bytes of standard input were sent unasked`);
    }
    // views of the decoder's buffer would keep all of it alive
    this.#chunks.push(chunk.slice());
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    for (;;) {
      const chunk = this.#chunks.shift();
      if (chunk) {
        yield chunk;
        this.#took(chunk.length);
      } else if (this.#ended) {
        return;
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        this.#wake = undefined;
      }
    }
  }

  /** Grants in halves of the window, so that small chunks do not make a frame each. */
  #took(bytes: number): void {
    this.#held -= bytes;
    this.#consumed += bytes;
    if (this.#ended || this.#consumed < this.#window / 2) return;
    const granted = this.#consumed;
    this.#consumed = 0;
    this.#grant(granted);
  }
}
