/** A stream of JSON objects, each ended by a newline as grpc-gateway does it, whatever pieces it comes in. Pure. */
import { EtcdError } from "./errors.ts";

const NEWLINE = 10;

export const tooLong = (limit: number): EtcdError =>
  new EtcdError("etcd_invalid_answer", `etcd's answer is longer than ${limit / 1024 / 1024} MiB`);

export class LineSplitter {
  readonly #limit: number;
  #parts: Uint8Array[] = [];
  #size = 0;

  /** @param limit  of bytes in one line */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /**
   * The lines that end in a chunk, without empty ones.
   * @throws EtcdError etcd_invalid_answer for one that is too long
   */
  push(chunk: Uint8Array): string[] {
    const lines: string[] = [];
    let from = 0;
    for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, from)) {
      this.#add(chunk.subarray(from, at));
      lines.push(...this.end());
      from = at + 1;
    }
    this.#add(chunk.subarray(from));
    return lines;
  }

  /** What is left when the stream ends: one line or none. */
  end(): string[] {
    const line = Buffer.concat(this.#parts).toString("utf8").trim();
    this.#parts = [];
    this.#size = 0;
    return line === "" ? [] : [line];
  }

  #add(part: Uint8Array): void {
    if (part.length === 0) return;
    this.#size += part.length;
    if (this.#size > this.#limit) throw tooLong(this.#limit);
    this.#parts.push(part);
  }
}
