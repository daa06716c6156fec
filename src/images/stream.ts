/** Byte streams: reading them with an abort signal, counting, and decompression by magic number. */
import { Readable } from "node:stream";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { messageOf, OnggiError } from "../lib/errors.ts";

export type Chunks = AsyncIterable<Uint8Array>;

/** The chunks of a stream. An abort ends the pending read at once and throws the signal's reason; so does leaving the loop. */
export async function* chunksOf(source: ReadableStream<Uint8Array>, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  signal?.throwIfAborted();
  const reader = source.getReader();
  const abort = (): void => void reader.cancel(signal?.reason).catch(() => {});
  signal?.addEventListener("abort", abort);
  try {
    // One read ahead: the source works while the consumer does.
    let ahead = reader.read();
    for (;;) {
      const { done, value } = await ahead;
      signal?.throwIfAborted();
      if (done) return;
      ahead = reader.read();
      // Whoever waits for it is told; after an early end nobody does.
      ahead.catch(() => {});
      if (value.length > 0) yield value;
    }
  } finally {
    signal?.removeEventListener("abort", abort);
    // Tells the producer that nobody reads any more; after the end it means nothing.
    await reader.cancel().catch(() => {});
    reader.releaseLock();
  }
}

export type Compression = "none" | "gzip" | "zstd";

/** By magic number. `head` are the first bytes, four at least unless the stream is shorter. */
export const compressionOf = (head: Uint8Array): Compression => {
  if (head[0] === 0x1f && head[1] === 0x8b) return "gzip";
  if (head[0] === 0x28 && head[1] === 0xb5 && head[2] === 0x2f && head[3] === 0xfd) return "zstd";
  return "none";
};

/** Takes at least `size` bytes off a stream, if it has them, and returns them with the whole stream. */
export const peek = async (source: Chunks, size: number): Promise<{ head: Uint8Array; whole: AsyncGenerator<Uint8Array> }> => {
  const iterator = source[Symbol.asyncIterator]();
  let head: Uint8Array = new Uint8Array(0);
  while (head.length < size) {
    const { done, value } = await iterator.next();
    if (done) break;
    head = head.length === 0 ? value : Buffer.concat([head, value]);
  }
  async function* whole(): AsyncGenerator<Uint8Array> {
    try {
      if (head.length > 0) yield head;
      for (let next = await iterator.next(); !next.done; next = await iterator.next()) yield next.value;
    } finally {
      await iterator.return?.();
    }
  }
  return { head, whole: whole() };
};

export interface Limits {
  /** A stream may grow to this many bytes whatever it was compressed from. */
  readonly freeBytes: number;
  /** Beyond that, to this many times its compressed size. */
  readonly ratio: number;
}

/**
 * A gigabyte, then 500 times: real layers stay below 50 times, gzip cannot exceed 1,032, and a layer that is mostly zeros is
 * stored with holes, so what a bomb costs is the processor time of one gigabyte.
 */
export const defaultLimits: Limits = { freeBytes: 2 ** 30, ratio: 500 };

/** The stream decompressed by its magic number. Throws "decompression_limit" and "compressed_data_invalid". */
export async function* decompressed(source: Chunks, limits: Limits = defaultLimits): AsyncGenerator<Uint8Array> {
  const { head, whole } = await peek(source, 4);
  yield* expand(whole, compressionOf(head), limits);
}

/** As `decompressed`, where the compression is known. */
export async function* expand(source: Chunks, compression: Compression, limits: Limits): AsyncGenerator<Uint8Array> {
  if (compression === "none") {
    yield* source;
    return;
  }
  let input = 0;
  let failed: { error: unknown } | null = null;
  async function* counted(): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of source) {
        input += chunk.length;
        yield chunk;
      }
    } catch (error) {
      failed = { error };
      throw error;
    }
  }
  const options = { chunkSize: 256 << 10 };
  const transform = compression === "gzip" ? createGunzip(options) : createZstdDecompress(options);
  const feed = Readable.from(counted(), { objectMode: false, highWaterMark: 256 << 10 });
  feed.on("error", (error) => transform.destroy(error));
  feed.pipe(transform);
  let output = 0;
  try {
    for await (const chunk of transform) {
      output += chunk.length;
      if (output > limits.freeBytes && output > input * limits.ratio) {
        throw new OnggiError(
          "decompression_limit",
          `${input} compressed bytes expand to more than ${output} bytes; the limit is ${limits.ratio} times the compressed size`,
        );
      }
      yield chunk as Uint8Array;
    }
  } catch (error) {
    if (failed) throw (failed as { error: unknown }).error;
    if (error instanceof OnggiError) throw error;
    throw new OnggiError("compressed_data_invalid", `the ${compression} data are damaged or cut off: ${messageOf(error)}`, {
      cause: error,
    });
  } finally {
    feed.destroy();
    transform.destroy();
  }
}
