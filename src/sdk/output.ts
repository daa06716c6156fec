import { OnggiError } from "../lib/errors.ts";
import { streamOf } from "../lib/streams.ts";
import { Channel } from "./channel.ts";

/** Bytes that wait for whoever reads them. */
const WAITING = 1 << 20;

interface OutputOptions {
  /** The reader has left. */
  readonly left?: () => void;
  /** Somebody begins to read. */
  readonly begin?: () => void;
}

/** What an output is filled by. */
export interface OutputSink {
  push(chunk: Uint8Array): Promise<void> | undefined;
  end(failure?: { readonly error: unknown }): void;
}

/**
 * Bytes as they come: an async iterable of chunks, or by one of its methods a web stream, lines, or all of it. It is read once.
 *
 *     for await (const line of process.stdout.lines()) console.log(line);
 *
 * Whoever writes is held back while the reader does not keep up: nothing is lost, and memory stays bounded. An output of a process that
 * nobody has begun to read must not stop that process: 1 MiB of it is kept, and reading it after more than that throws `output_lost`.
 */
export class Output implements AsyncIterable<Uint8Array> {
  readonly #channel: Channel<Uint8Array>;
  readonly #begin: () => void;
  #read = false;
  #lost = 0;

  private constructor({ left = () => {}, begin = () => {} }: OutputOptions) {
    this.#begin = begin;
    this.#channel = new Channel({ limit: WAITING, sizeOf: (chunk) => chunk.length, left });
  }

  /** @internal */
  static make(options: OutputOptions = {}): { output: Output; sink: OutputSink } {
    const output = new Output(options);
    return {
      output,
      sink: {
        push: (chunk) => output.#push(chunk.slice()),
        end: (failure) => output.#channel.end(failure),
      },
    };
  }

  #push(chunk: Uint8Array): Promise<void> | undefined {
    const waiting = this.#channel.push(chunk);
    if (this.#read || !waiting) return waiting;
    while (this.#channel.isFull) {
      this.#lost += 1;
      this.#channel.drop();
    }
    return undefined;
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    if (this.#read) throw new OnggiError("output_taken", "this output is being read already; it can be read once");
    this.#read = true;
    if (this.#lost > 0) {
      const why = `more than ${WAITING} bytes came before anybody read this output, the first are lost; read it while the process runs`;
      throw new OnggiError("output_lost", why);
    }
    this.#begin();
    return this.#channel;
  }

  /** As a web stream. */
  stream(): ReadableStream<Uint8Array> {
    return streamOf(this);
  }

  /** Lines without their ends, decoded as UTF-8; the last one also where it has no end. */
  async *lines(): AsyncGenerator<string, void, void> {
    const decoder = new TextDecoder();
    let rest = "";
    for await (const chunk of this) {
      const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = parts.pop() as string;
      for (const line of parts) yield line.endsWith("\r") ? line.slice(0, -1) : line;
    }
    rest += decoder.decode();
    if (rest !== "") yield rest;
  }

  /** All of it, decoded as UTF-8. */
  async text(): Promise<string> {
    return new TextDecoder().decode(await this.bytes());
  }

  /** All of it. */
  async bytes(): Promise<Uint8Array> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of this) chunks.push(chunk);
    const all = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
    let at = 0;
    for (const chunk of chunks) {
      all.set(chunk, at);
      at += chunk.length;
    }
    return all;
  }
}

/** @internal The bytes that a call sends; it begins with the reader, and ends with it. */
export function callOutput(
  start: (stdout: (chunk: Uint8Array) => Promise<void> | undefined, cut: AbortSignal) => Promise<unknown>,
  signal?: AbortSignal,
): Output {
  const leave = new AbortController();
  const cut = signal ? AbortSignal.any([signal, leave.signal]) : leave.signal;
  const begin = (): void =>
    void start((chunk) => sink.push(chunk), cut).then(
      () => sink.end(),
      (error: unknown) => sink.end({ error }),
    );
  const { output, sink } = Output.make({ left: () => leave.abort(), begin });
  return output;
}
