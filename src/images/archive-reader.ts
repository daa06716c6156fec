/** The members of a tar stream, one after another: an entry, then its bytes as a stream of its own. */

import { TarDecoder } from "../archive/tar.ts";
import type { TarEntry } from "../archive/tar-types.ts";
import { OnggiError } from "../lib/errors.ts";
import { LayerInvalid } from "./errors.ts";
import type { Chunks } from "./stream.ts";

type Event = { readonly entry: TarEntry } | { readonly data: Uint8Array };

/** Throws "archive_invalid" for a tar that is malformed or cut off. */
export class ArchiveReader {
  readonly #chunks: AsyncIterator<Uint8Array>;
  readonly #decoder: TarDecoder;
  #events: Event[] = [];
  /** Next event to be taken. */
  #next = 0;
  #ended = false;

  constructor(source: Chunks) {
    this.#chunks = source[Symbol.asyncIterator]();
    this.#decoder = new TarDecoder({
      entry: (entry) => this.#events.push({ entry }),
      data: (data) => this.#events.push({ data }),
    });
  }

  /** The next member, or null after the last. Bytes of the one before that nobody took are passed over. */
  async next(): Promise<TarEntry | null> {
    for (let event = await this.#event(); event; event = await this.#event()) if ("entry" in event) return event.entry;
    return null;
  }

  /** The bytes of the member that `next` returned. May be left early, and read once. */
  async *body(entry: TarEntry): AsyncGenerator<Uint8Array> {
    let left = entry.stored;
    while (left > 0) {
      const event = await this.#event();
      if (!event || !("data" in event)) throw new OnggiError("archive_invalid", "the archive's member was read twice");
      left -= event.data.length;
      yield event.data;
    }
  }

  /** Ends reading; the source is told. */
  async close(): Promise<void> {
    await this.#chunks.return?.();
  }

  async #event(): Promise<Event | null> {
    while (this.#next === this.#events.length) {
      if (this.#ended) return null;
      this.#events = [];
      this.#next = 0;
      const { done, value } = await this.#chunks.next();
      try {
        if (done) {
          this.#ended = true;
          this.#decoder.end();
        } else {
          this.#decoder.push(value);
        }
      } catch (error) {
        if (!(error instanceof LayerInvalid)) throw error;
        throw new OnggiError("archive_invalid", `the archive is not a whole tar: ${error.message}`, { cause: error });
      }
    }
    return this.#events[this.#next++]!;
  }
}
