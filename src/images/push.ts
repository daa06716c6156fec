/**
 * Sends an image to a registry. A layer is looked for there in every form that is known of it, mounted from a repository of the
 * same registry, streamed over from where it was pulled from, and only then compressed again. Where every layer has the blob that a
 * manifest of the image names, that manifest is sent as it is and keeps its digest. It goes last: a tag never names what is not
 * whole. `pushed` is told of each layer's blob as soon as the repository has it. Sources: OCI distribution specification 1.1; OCI image specification 1.1, manifest.md.
 */
import { OnggiError } from "../lib/errors.ts";
import { type Digest, hexOf } from "../oci/digest.ts";
import { parseReference, type Reference } from "../oci/reference.ts";
import { compressedFile, compressionOfType, layerTypeOf } from "./compress.ts";
import { checkedBlob, sendBytes } from "./copy.ts";
import type { LayerBlob } from "./database.ts";
import { digestOf } from "./digest.ts";
import { mediaTypes, parseDocument } from "./manifest.ts";
import { counted } from "./progress.ts";
import type { Repository } from "./remote/types.ts";
import type { Compression } from "./stream.ts";
import type { PushOptions } from "./types.ts";

export interface KnownBlob extends LayerBlob {
  /** "registry.example/team/app": who has it. */
  readonly repositories: readonly string[];
}

/** A layer of the store, and the forms in which registries have it, the best first. */
export interface LayerToPush {
  readonly diffId: Digest;
  /** The plain tar. */
  readonly path: string;
  readonly blobs: readonly KnownBlob[];
}

export interface ImageToPush {
  /** Digest of the configuration. */
  readonly id: Digest;
  readonly config: string;
  /** Lowest first. */
  readonly layers: readonly LayerToPush[];
  /** What registries described this image by; the best first. Others than manifests are passed over. */
  readonly documents: readonly { readonly mediaType: string; readonly text: string }[];
}

export interface Pushed {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly text: string;
}

/** Layers that are sent at a time, as Docker. */
const PARALLEL = 5;
const SHORT = 12;

const nameOf = ({ domain, path }: Reference): string => `${domain}/${path}`;

/** The manifest that names, for each layer, one of its known blobs; its digests in the layers' order. */
const knownManifest = ({ id, layers, documents }: ImageToPush, compression: Compression | undefined) => {
  for (const document of documents) {
    const found = parseDocument(document.text, document.mediaType, `the manifest of ${id}`);
    if (!("manifest" in found) || found.manifest.config.digest !== id) continue;
    const digests = found.manifest.layers.map(({ digest }) => digest);
    const fits = (digest: Digest, position: number): boolean =>
      layers[position]!.blobs.some(
        (blob) => blob.digest === digest && (!compression || compressionOfType(blob.mediaType) === compression),
      );
    if (digests.length === layers.length && digests.every(fits)) return { ...document, digests };
  }
  return null;
};

/** Sends one image to one name. Throws what the registry's client throws; what was sent until then stays there. */
export async function pushImage(
  image: ImageToPush,
  target: Reference,
  options: PushOptions,
  pushed: (blob: LayerBlob) => void,
): Promise<Pushed> {
  const stop = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, stop.signal]) : stop.signal;
  const repository = options.registries.repository(target, options.authOf?.(target.domain), options);
  const known = knownManifest(image, options.compression);
  const preferred = new Map(image.layers.map(({ diffId }, position) => [diffId, known?.digests[position]]));
  const push = new LayerPush(repository, target, { ...options, signal });
  const results = new Map<string, LayerBlob>();
  const waiting = [...new Map(image.layers.map((layer) => [layer.diffId, layer])).values()];
  const work = async (): Promise<void> => {
    for (let layer = waiting.shift(); layer && !signal.aborted; layer = waiting.shift()) {
      const wanted = preferred.get(layer.diffId);
      const blobs = [...layer.blobs].sort((a, b) => Number(b.digest === wanted) - Number(a.digest === wanted));
      const blob = await push.layer({ ...layer, blobs });
      pushed(blob);
      results.set(layer.diffId, blob);
    }
  };
  let first: { error: unknown } | null = null;
  const guarded = (task: Promise<unknown>): Promise<unknown> =>
    task.catch((error: unknown) => {
      first ??= { error };
      stop.abort(error);
    });
  await Promise.all([
    guarded(sendBytes(repository, Buffer.from(image.config), signal)),
    ...Array.from({ length: options.atOnce ?? PARALLEL }, () => guarded(work())),
  ]);
  if (first) throw (first as { error: unknown }).error;
  signal.throwIfAborted();
  const blobs = image.layers.map(({ diffId }) => results.get(diffId)!);
  const same = known?.digests.every((digest, position) => blobs[position]!.digest === digest);
  const manifest = known && same ? known : newManifest(image, blobs);
  const bytes = Buffer.from(manifest.text);
  const digest = await repository.putManifest(target.tag ?? digestOf(bytes), manifest.mediaType, bytes, signal);
  return { digest, mediaType: manifest.mediaType, text: manifest.text };
}

const newManifest = ({ id, config }: ImageToPush, blobs: readonly LayerBlob[]): { mediaType: string; text: string } => ({
  mediaType: mediaTypes.manifest,
  text: JSON.stringify({
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    config: { mediaType: mediaTypes.config, digest: id, size: Buffer.byteLength(config) },
    layers: blobs.map(({ digest, size, mediaType }) => ({
      mediaType: layerTypeOf(compressionOfType(mediaType)),
      digest,
      size,
    })),
  }),
});

/** The layers of one push, each by the cheapest way there is. */
class LayerPush {
  readonly #repository: Repository;
  readonly #target: Reference;
  readonly #options: PushOptions & { readonly signal: AbortSignal };
  /** Registries that were not reached: the next layer does not wait for them again. */
  readonly #gone = new Set<string>();

  constructor(repository: Repository, target: Reference, options: PushOptions & { readonly signal: AbortSignal }) {
    this.#repository = repository;
    this.#target = target;
    this.#options = options;
  }

  async layer(layer: LayerToPush): Promise<LayerBlob> {
    const { compression, signal } = this.#options;
    const blobs = layer.blobs.filter(({ mediaType }) => !compression || compressionOfType(mediaType) === compression);
    const tell = (message: string): void =>
      this.#options.progress?.({ id: hexOf(layer.diffId).slice(0, SHORT), current: 0, message });
    tell("Preparing");
    for (const blob of blobs) {
      if ((await this.#repository.hasBlob(blob.digest as Digest, signal)) === null) continue;
      tell("Layer already exists");
      return blob;
    }
    for (const blob of blobs) {
      const from = await this.#mount(blob);
      if (from === null) continue;
      tell(`Mounted from ${from}`);
      return blob;
    }
    for (const blob of blobs) {
      if (!(await this.#copy(blob))) continue;
      tell("Pushed");
      return blob;
    }
    const blob = await this.#compress(layer, compression ?? "gzip");
    tell("Pushed");
    return blob;
  }

  /** The repository it was taken over from; null: none would give it. */
  async #mount(blob: KnownBlob): Promise<string | null> {
    for (const name of blob.repositories) {
      const { domain, path } = parseReference(name);
      if (domain !== this.#target.domain || path === this.#target.path) continue;
      if (await this.#repository.mountBlob(blob.digest as Digest, path, this.#options.signal)) return path;
    }
    return null;
  }

  /** Streams a blob over from a repository that has it; false where none gives it any more. */
  async #copy(blob: KnownBlob): Promise<boolean> {
    const { registries, authOf, signal } = this.#options;
    const digest = blob.digest as Digest;
    for (const name of blob.repositories) {
      const reference = parseReference(name);
      if (nameOf(reference) === nameOf(this.#target) || this.#gone.has(reference.domain)) continue;
      const source = registries.repository(reference, authOf?.(reference.domain), authOf ? { authOf } : {});
      let unread: { readonly error: unknown } | null = null;
      const open = async function* (): AsyncGenerator<Uint8Array> {
        // The upload may be tried again; what could not be read has been tried often enough.
        if (unread) throw unread.error;
        try {
          yield* checkedBlob(source, { digest, size: blob.size }, signal);
        } catch (error) {
          unread = { error };
          throw error;
        }
      };
      try {
        await this.#repository.upload(
          { open: () => this.#counted(blob.diffId, open(), blob.size), digest, size: blob.size },
          signal,
        );
        return true;
      } catch (error) {
        // the layer itself is here: a registry that no longer gives its form of it is no reason to fail
        if (!unread || signal.aborted) throw error;
        const { error: cause } = unread as { error: unknown };
        if (cause instanceof OnggiError && cause.code === "registry_unreachable") this.#gone.add(reference.domain);
      }
    }
    return false;
  }

  async #compress({ diffId, path }: LayerToPush, compression: Compression): Promise<LayerBlob> {
    const open = (): AsyncIterable<Uint8Array> => this.#counted(diffId, compressedFile(path, compression));
    const { digest, size } = await this.#repository.upload({ open }, this.#options.signal);
    return { digest, size, mediaType: layerTypeOf(compression), diffId };
  }

  async *#counted(diffId: string, chunks: AsyncIterable<Uint8Array>, total?: number): AsyncGenerator<Uint8Array> {
    const { progress } = this.#options;
    const id = hexOf(diffId).slice(0, SHORT);
    const count = counted((current) =>
      progress?.({ id, current, ...(total === undefined ? {} : { total }), message: "Pushing" }),
    );
    for await (const chunk of chunks) {
      yield chunk;
      count(chunk.length);
    }
  }
}
