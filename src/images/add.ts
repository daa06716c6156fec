/** Images on their way into a store: their content is kept, then they are recorded, all or none. */
import * as fs from "node:fs";
import type { TarEntry } from "../archive/tar-types.ts";
import { OnggiError } from "../lib/errors.ts";
import type { Digest } from "../oci/digest.ts";
import { platformText } from "../oci/platform.ts";
import type { FoundImage } from "./archive.ts";
import type { ContentStore, Lease } from "./content.ts";
import type { ImageRecord, NewImage, RepositoryDigest } from "./database.ts";
import { digestOf } from "./digest.ts";
import { forget } from "./discard.ts";
import { explainDisk } from "./files.ts";
import { manifestFor, platformOf } from "./image-config.ts";
import { storeIndex } from "./image-index.ts";
import type { NewLayer } from "./layer.ts";
import type { RemoteManifest } from "./remote/types.ts";
import type { Rooms } from "./rooms.ts";
import type { ImageConfig } from "./types.ts";

/** A layer of an image that is being added. */
export interface AddedLayer {
  readonly diffId: Digest;
  readonly size: number;
  readonly entries?: readonly TarEntry[];
  /** Where it lies if not under its name. */
  readonly path?: string;
  /** Resolves when all of it is in its file. */
  written(): Promise<void>;
  /** Resolves when it is durable, and has its name. */
  keep(lease: Lease): Promise<unknown>;
}

/** An image whose content is there, about to be recorded. */
export interface AddedImage {
  readonly id: Digest;
  readonly configText: string;
  readonly config: ImageConfig;
  readonly layers: readonly AddedLayer[];
  readonly names: readonly string[];
  /** See NewImage. */
  readonly beside?: boolean;
  /** Its index, if it is being made already. */
  readonly index?: Promise<void>;
  readonly documents?: readonly RemoteManifest[];
  readonly repositoryDigests?: readonly RepositoryDigest[];
}

/** What is wrong with an image's layers, with its name. */
const ofImage = (error: unknown, { id, names, repositoryDigests: [digest] = [] }: AddedImage): unknown => {
  if (!(error instanceof OnggiError) || error.code !== "layer_invalid") return error;
  const name = names[0] ?? (digest ? `${digest.repository}@${digest.digest}` : id);
  return new OnggiError(error.code, `${name}, ${error.message}`, { cause: error });
};

/** A layer that is still in the temporary area, or has just got its name. */
export const onTheWay = (content: ContentStore, { diffId, size, entries, ingest }: NewLayer): AddedLayer => {
  const blobPath = content.blobPath(diffId);
  return {
    ...{ diffId, size, entries },
    get path() {
      return fs.existsSync(ingest.file.path) ? ingest.file.path : blobPath;
    },
    written: () => ingest.finish(),
    keep: (lease) => ingest.keep(diffId, lease),
  };
};

/** What came in one piece, its layers still in the temporary area. */
export const arrived = (content: ContentStore, image: FoundImage): AddedImage => ({
  ...image,
  layers: image.layers.map((layer) => onTheWay(content, layer)),
});

/** Keeps what the images need and records them, all or none. */
export async function addImages(
  store: Rooms,
  found: readonly AddedImage[],
  lease: Lease,
  signal: AbortSignal | undefined,
): Promise<void> {
  try {
    const records: NewImage[] = [];
    for (const image of found) {
      const { names, beside = false, documents = [], repositoryDigests = [] } = image;
      const platform = platformText(platformOf(image.config));
      const record = await keepImage(store, image, lease).catch((error: unknown) => {
        throw ofImage(error, image);
      });
      records.push({ record, names, platform, beside, documents, repositoryDigests });
    }
    if (store.mounts.form === "directories") {
      for (const { id, layers } of found) store.mounts.mount(id, () => layers);
    }
    await store.content.flushNames();
    signal?.throwIfAborted();
    store.catalog.changed(store.database.add(records));
  } catch (error) {
    store.catalog.reload();
    forget(store, lease);
    throw explainDisk(error, "storing an image");
  }
}

/** Puts an image's content into the store. The index is built while the layers are being flushed to disk. */
async function keepImage(store: Rooms, image: AddedImage, lease: Lease): Promise<ImageRecord> {
  const { id, configText, layers, documents = [] } = image;
  lease.digests.add(id);
  const sizes = layers.map(({ diffId, size }) => ({ digest: diffId, size }));
  const manifest = manifestFor({ digest: id, size: Buffer.byteLength(configText) }, sizes);
  // Waits for all of them, whichever fails: nothing may go on behind the caller's back.
  const results = await Promise.allSettled([
    image.index ?? (store.catalog.has(id) ? null : storeIndex(store.content, id, layers)),
    ...[configText, manifest.text, ...documents.map(({ bytes }) => bytes)].map((data) => store.content.putBlob(data, lease)),
  ]);
  for (const result of results) if (result.status === "rejected") throw result.reason;
  // Another image of that id may have come and gone, and taken it along.
  if (!fs.existsSync(store.content.indexPath(id))) await storeIndex(store.content, id, layers);
  for (const layer of new Set(layers)) await layer.keep(lease);
  const total = sizes.reduce((sum, { size }) => sum + size, 0);
  return { id, config: configText, manifest: digestOf(manifest.text), layers: layers.map(({ diffId }) => diffId), size: total };
}
