/** Layers as they travel: one tar always gives the same bytes, in whichever store, so that its blob's digest can be kept. */
import { createReadStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import { constants, createGzip, createZstdCompress } from "node:zlib";
import { mediaTypes } from "./manifest.ts";
import type { Compression } from "./stream.ts";

const CHUNK = 1 << 20;
const GZIP_LEVEL = 6;
const ZSTD_LEVEL = 3;

/** The file's bytes compressed, on the thread pool. Gzip without name and time (RFC 1952: MTIME 0). Leaving the loop ends it. */
export async function* compressedFile(path: string, compression: Compression): AsyncGenerator<Uint8Array> {
  const file = createReadStream(path, { highWaterMark: CHUNK });
  if (compression === "none") {
    yield* file as AsyncIterable<Uint8Array>;
    return;
  }
  const packer =
    compression === "gzip"
      ? createGzip({ level: GZIP_LEVEL, chunkSize: CHUNK })
      : createZstdCompress({ chunkSize: CHUNK, params: { [constants.ZSTD_c_compressionLevel]: ZSTD_LEVEL } });
  const feeding = pipeline(file, packer);
  // whoever reads the packer is told
  feeding.catch(() => {});
  try {
    yield* packer as AsyncIterable<Uint8Array>;
    await feeding;
  } finally {
    file.destroy();
    packer.destroy();
  }
}

/** How a layer of that media type is compressed, in OCI's words and in Docker's. */
export const compressionOfType = (mediaType: string): Compression =>
  /[+.]gzip$/.test(mediaType) ? "gzip" : /[+.]zstd$/.test(mediaType) ? "zstd" : "none";

export const layerTypeOf = (compression: Compression): string =>
  compression === "none" ? mediaTypes.layer : `${mediaTypes.layer}+${compression}`;
