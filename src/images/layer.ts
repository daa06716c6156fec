/**
 * A layer comes in: one pass from the stream to the store. Each chunk is hashed, its tar headers are read, and it is written
 * in the background; nothing is read back and nothing is written twice.
 */
import * as fs from "node:fs";
import { TarDecoder } from "../archive/tar.ts";
import type { TarEntry } from "../archive/tar-types.ts";
import { OnggiError } from "../lib/errors.ts";
import type { Digest } from "../oci/digest.ts";
import type { ContentStore, Ingest } from "./content.ts";
import { finishHash, newHash } from "./digest.ts";
import { explainDisk } from "./files.ts";
import { type Chunks, compressionOf, expand, type Limits, peek } from "./stream.ts";

export interface NewLayer {
  /** Digest of the tar. */
  readonly diffId: Digest;
  /** Digest and size of the bytes as they came, compressed or not. */
  readonly blob: { readonly digest: Digest; readonly size: number };
  /** Size of the tar. */
  readonly size: number;
  readonly entries: readonly TarEntry[];
  /** Where it waits to be kept or thrown away. */
  readonly ingest: Ingest;
}

export interface LayerOptions {
  readonly limits: Limits & { readonly layerBytes: number; readonly layerEntries: number };
  readonly onBytes?: ((bytes: number) => void) | undefined;
}

/**
 * Takes a layer in. It lies in the store's temporary area, its flush to disk under way, until `ingest.keep` or `ingest.drop`.
 * Throws LayerInvalid, "layer_too_large", "decompression_limit", "compressed_data_invalid", "out_of_disk"; then nothing is left.
 */
export const takeLayer = async (store: ContentStore, source: Chunks, options: LayerOptions): Promise<NewLayer> => {
  const entries: TarEntry[] = [];
  const { layerEntries, layerBytes } = options.limits;
  const decoder = new TarDecoder({
    entry: (entry) => {
      if (entries.push(entry) > layerEntries) {
        throw new OnggiError("layer_too_large", `the layer has more than the limit of ${layerEntries} entries`);
      }
    },
  });
  const blobHash = newHash();
  let blobSize = 0;
  const hash = newHash();
  const ingest = store.ingest();
  try {
    const { head, whole } = await peek(source, 4);
    const compression = compressionOf(head);
    async function* tapped(): AsyncGenerator<Uint8Array> {
      for await (const chunk of whole) {
        blobSize += chunk.length;
        options.onBytes?.(chunk.length);
        // A plain tar's is the layer's own digest.
        if (compression !== "none") blobHash.update(chunk);
        yield chunk;
      }
    }
    for await (const chunk of expand(tapped(), compression, options.limits)) {
      const room = ingest.file.add(chunk);
      hash.update(chunk);
      decoder.push(chunk);
      if (decoder.position > layerBytes) {
        throw new OnggiError("layer_too_large", `the layer is larger than the limit of ${layerBytes} bytes`);
      }
      if (room) await room;
    }
    decoder.end();
    // The decompressor does not notice that zstd data are cut off; a tar made to be compressed has its end blocks.
    if (compression === "zstd" && !decoder.complete) {
      throw new OnggiError("compressed_data_invalid", "the zstd data are cut off: the end of the tar is missing");
    }
    const diffId = finishHash(hash);
    const blob = compression !== "none" ? { digest: finishHash(blobHash), size: blobSize } : { digest: diffId, size: blobSize };
    void ingest.finish();
    return { diffId, blob, size: decoder.position, entries, ingest };
  } catch (error) {
    await ingest.drop();
    throw explainDisk(error, "writing a layer");
  }
};

const SCAN_BYTES = 1 << 20;

/** The entries of a layer that is already there. Reads headers and leaves out large files' data. Throws LayerInvalid. */
export const scanLayer = (path: string): TarEntry[] => {
  const entries: TarEntry[] = [];
  const decoder = new TarDecoder({ entry: (entry) => entries.push(entry) });
  const buffer = Buffer.allocUnsafeSlow(SCAN_BYTES);
  const fd = fs.openSync(path, "r");
  try {
    const { size } = fs.fstatSync(fd);
    while (decoder.position < size) {
      const bytes = fs.readSync(fd, buffer, 0, SCAN_BYTES, decoder.position);
      if (bytes === 0) break;
      decoder.push(buffer.subarray(0, bytes));
      const skip = Math.min(decoder.skippable, size - decoder.position);
      if (decoder.skippable === Number.POSITIVE_INFINITY) break;
      if (skip > 0) decoder.skip(skip);
    }
    decoder.end();
    return entries;
  } finally {
    fs.closeSync(fd);
  }
};
