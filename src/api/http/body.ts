import { HttpError } from "./errors.ts";

/** Takes the body of a request out of the bytes behind its head, however they were cut. */
export interface BodyDecoder {
  readonly done: boolean;
  /**
   * Hands `take` the body's bytes out of `bytes` and returns how many of `bytes` were the body's with its framing: fewer than all
   * only when it is done. Throws HttpError; nothing can follow then.
   */
  push(bytes: Uint8Array, take: (data: Uint8Array) => void): number;
}

export const bodyDecoder = (framing: number | "chunked"): BodyDecoder =>
  framing === "chunked" ? new ChunkedBody() : new CountedBody(framing);

class CountedBody implements BodyDecoder {
  #left: number;

  constructor(length: number) {
    this.#left = length;
  }

  get done(): boolean {
    return this.#left === 0;
  }

  push(bytes: Uint8Array, take: (data: Uint8Array) => void): number {
    const count = Math.min(this.#left, bytes.length);
    if (count > 0) take(count === bytes.length ? bytes : bytes.subarray(0, count));
    this.#left -= count;
    return count;
  }
}

/** Longest line between chunks: a size with its extensions, a trailer. */
const MAX_LINE = 4096;
/** Of all trailers together. */
const MAX_TRAILERS = 16 * 1024;

/** RFC 9112, 7.1. Extensions are passed over, trailers dropped. */
class ChunkedBody implements BodyDecoder {
  #state: "size" | "data" | "data-end" | "trailer" | "done" = "size";
  #left = 0;
  /** Of a line that has not ended. */
  #line = "";
  #trailers = 0;

  get done(): boolean {
    return this.#state === "done";
  }

  push(bytes: Uint8Array, take: (data: Uint8Array) => void): number {
    let at = 0;
    while (at < bytes.length && this.#state !== "done") {
      if (this.#state === "data") {
        const count = Math.min(this.#left, bytes.length - at);
        take(bytes.subarray(at, at + count));
        at += count;
        this.#left -= count;
        if (this.#left === 0) this.#state = "data-end";
        continue;
      }
      const end = bytes.indexOf(10, at);
      const part = bytes.subarray(at, end < 0 ? bytes.length : end + 1);
      if (this.#line.length + part.length > MAX_LINE) throw new HttpError(400, "a line between chunks is too long");
      this.#line += String.fromCharCode(...part);
      at += part.length;
      if (end >= 0) this.#endLine();
    }
    return at;
  }

  #endLine(): void {
    const line = this.#line;
    this.#line = "";
    if (!line.endsWith("\r\n") || line.indexOf("\r") !== line.length - 2)
      throw new HttpError(400, "a line between chunks does not end in CR LF");
    const text = line.slice(0, -2);
    if (this.#state === "data-end") {
      if (text !== "") throw new HttpError(400, "a chunk is longer than its size says");
      this.#state = "size";
    } else if (this.#state === "size") {
      const [, size] = /^([0-9a-fA-F]{1,12})[\t ]*(?:;.*)?$/.exec(text) ?? [];
      if (size === undefined) throw new HttpError(400, "malformed chunk size");
      this.#left = Number.parseInt(size, 16);
      this.#state = this.#left === 0 ? "trailer" : "data";
    } else if (text === "") {
      this.#state = "done";
    } else {
      this.#trailers += line.length;
      if (this.#trailers > MAX_TRAILERS) throw new HttpError(431, "the trailers are too long");
    }
  }
}
