/**
 * Pulling: from a name to layers in the store. Each layer is one pass from the socket to its file (layer.ts) and is compared with
 * what the manifest and the configuration say before it gets its name.
 */

import type { TarEntry } from "../archive/tar-types.ts";
import { messageOf, OnggiError } from "../lib/errors.ts";
import { Limiter } from "../lib/limiter.ts";
import { SharedWork } from "../lib/shared-work.ts";
import { type Digest, hexOf } from "../oci/digest.ts";
import { type Platform, parsePlatform, platformText } from "../oci/platform.ts";
import { canonicalName, type Reference } from "../oci/reference.ts";
import { onTheWay } from "./add.ts";
import type { ContentStore, Lease } from "./content.ts";
import { blobBytes } from "./copy.ts";
import type { ImageDatabase } from "./database.ts";
import { diffIdsOf, hostPlatform, parseConfig } from "./image-config.ts";
import type { IndexLayer } from "./image-index.ts";
import { type LayerOptions, type NewLayer, takeLayer } from "./layer.ts";
import { choose, type Descriptor, type Manifest, parseDocument } from "./manifest.ts";
import { counted } from "./progress.ts";
import type { RemoteManifest, Repository } from "./remote/types.ts";
import type { Chunks } from "./stream.ts";
import type { ImageConfig, Progress } from "./types.ts";

const MAX_CONFIG = 8 << 20;
const MAX_DEPTH = 8;
/** Layers that one pull, and that all pulls together, take in at a time. */
const LAYERS_AT_ONCE = 4;
const ALL_LAYERS_AT_ONCE = 6;

/** A layer on its way whose content is what it should be. */
interface Verified {
  readonly verified: IndexLayer;
}

/** A layer that is in the store, durable under its name. */
export interface PulledLayer {
  readonly diffId: Digest;
  readonly size: number;
  /** Absent: it was there already. */
  readonly entries?: readonly TarEntry[];
  /** Who sent it. Absent: nobody did. */
  readonly source?: string;
}

/** An image whose layers have all come. */
export interface PulledImage {
  readonly id: Digest;
  readonly configText: string;
  readonly config: ImageConfig;
  readonly layers: readonly PulledLayer[];
  /** The indexes it was found by, the outermost first, and the manifest. */
  readonly documents: readonly RemoteManifest[];
  /** What the registry calls it: the digest of the index, or of the manifest. */
  readonly digest: Digest;
  /** Who said so: the registry, or a mirror. */
  readonly source: string;
  /** What `PullRequest.index` gave: the index, under way. */
  readonly index?: Promise<void>;
}

export interface PullRequest {
  readonly repository: Repository;
  readonly reference: Reference;
  /** Absent: this machine's, and where a name has but one image, that one. */
  readonly platform?: Platform;
  readonly lease: Lease;
  readonly signal: AbortSignal;
  readonly progress: Progress;
  /** Makes the image's index of layers that are still coming. Who is called sees to what it leaves when the pull fails. */
  readonly index?: (id: Digest, layers: readonly Promise<IndexLayer>[]) => Promise<void> | null;
  /** Asked before anything but manifests is fetched; what it throws ends the pull. */
  readonly admit?: (digests: readonly Digest[]) => Promise<void>;
  /** Layers that are fetched at a time. */
  readonly atOnce?: number | undefined;
}

interface WantedLayer {
  readonly descriptor: Descriptor;
  readonly diffId: Digest;
  /** What errors call it. */
  readonly label: string;
}

/** All bytes of a layer are here; they are not durable yet. */
const DOWNLOADED = "Download complete";

type Step = { readonly message: string; readonly current: number; readonly total: number };

/** "sha256:" and the digits' first twelve: how a layer is called on the way. */
const shortOf = (digest: Digest): string => hexOf(digest).slice(0, 12);

const named = (error: unknown, what: string): unknown => {
  if (!(error instanceof OnggiError)) return error;
  return new OnggiError(error.code, `${what}: ${messageOf(error)}`, { cause: error });
};

export class Puller {
  readonly #content: ContentStore;
  readonly #database: ImageDatabase;
  readonly #layerOptions: LayerOptions;
  readonly #layers = new SharedWork<PulledLayer, Step | Verified>();
  readonly #limiter = new Limiter(ALL_LAYERS_AT_ONCE);

  constructor(content: ContentStore, database: ImageDatabase, layerOptions: LayerOptions) {
    this.#content = content;
    this.#database = database;
    this.#layerOptions = layerOptions;
  }

  /**
   * Brings an image's content into the store, leased. A layer that is whole stays there when the rest fails: the next pull need
   * not bring it again. Throws what Repository throws, "manifest_invalid", "manifest_unsupported", "platform_not_found",
   * "platform_invalid", "image_config_invalid", "digest_mismatch" and what takeLayer throws.
   */
  async pull(request: PullRequest): Promise<PulledImage> {
    const { reference, repository, lease, signal } = request;
    const what = canonicalName(reference);
    const top = await repository.manifest(reference.digest ?? reference.tag ?? "latest", signal);
    const { manifest, documents } = await this.#manifest(request, top, what);
    await request.admit?.(documents.map(({ digest }) => digest));
    const where = `${what}, configuration ${manifest.config.digest}`;
    const configText = await smallBlob(repository, manifest.config, where, signal);
    const config = parseConfig(configText, where);
    if (request.platform) checkPlatform(config, request.platform, what);
    const diffIds = diffIdsOf(config);
    if (diffIds.length !== manifest.layers.length) {
      const counts = `its configuration names ${diffIds.length} layers, its manifest ${manifest.layers.length}`;
      throw new OnggiError("manifest_invalid", `${what}: ${counts}`);
    }
    for (const digest of [manifest.config.digest, ...diffIds]) lease.digests.add(digest);
    const id = manifest.config.digest;
    const contents = new Map(diffIds.map((diffId) => [diffId, Promise.withResolvers<IndexLayer>()]));
    const index = request.index?.(
      id,
      diffIds.map((diffId) => contents.get(diffId)!.promise),
    );
    // Whoever waits for it is told.
    index?.catch(() => {});
    try {
      const layers = await this.#allLayers(request, manifest, diffIds, what, (layer) =>
        contents.get(layer.diffId as Digest)!.resolve(layer),
      );
      const pulled = { id, configText, config, layers, documents, digest: top.digest, source: top.source };
      return index ? { ...pulled, index } : pulled;
    } catch (error) {
      for (const { reject, promise } of contents.values()) {
        promise.catch(() => {});
        reject(error);
      }
      await index?.catch(() => {});
      throw error;
    }
  }

  /** The manifest for the platform, by way of indexes. */
  async #manifest(
    { repository, platform, signal }: PullRequest,
    top: RemoteManifest,
    what: string,
  ): Promise<{ manifest: Manifest; documents: RemoteManifest[] }> {
    const documents = [top];
    let document = top;
    for (let depth = 0; depth <= MAX_DEPTH; depth++) {
      const text = Buffer.from(document.bytes).toString("utf8");
      const found = parseDocument(text, document.mediaType, `${what}, manifest ${document.digest}`);
      if ("manifest" in found) return { manifest: found.manifest, documents };
      const chosen = choose(found.index, platform ?? hostPlatform(), what, platform !== undefined);
      document = await repository.manifest(chosen.digest, signal);
      const size = document.bytes.length;
      if (size !== chosen.size) {
        const sizes = `expected ${chosen.size} bytes, as its index says, the registry sent ${size}`;
        throw new OnggiError("digest_mismatch", `${what}, manifest ${chosen.digest}: ${sizes}`);
      }
      documents.push(document);
    }
    throw new OnggiError("manifest_invalid", `${what}: its indexes are nested more than ${MAX_DEPTH} deep`);
  }

  /**
   * All layers, or the first failure, with the others' downloads ended. `verified` is told of each when its content is known, which
   * is before it is durable.
   */
  async #allLayers(
    request: PullRequest,
    manifest: Manifest,
    diffIds: readonly Digest[],
    what: string,
    verified: (layer: IndexLayer) => void,
  ): Promise<PulledLayer[]> {
    const ours = new AbortController();
    const signal = AbortSignal.any([request.signal, ours.signal]);
    const { atOnce = LAYERS_AT_ONCE } = request;
    this.#limiter.most = Math.max(ALL_LAYERS_AT_ONCE, atOnce);
    const limiter = new Limiter(atOnce);
    const pulls = new Map<Digest, Promise<PulledLayer>>();
    const all = manifest.layers.map((descriptor, position) => {
      const diffId = diffIds[position]!;
      const same = pulls.get(diffId);
      if (same) return same;
      const label = `${what}, layer ${position + 1} of ${diffIds.length} (${descriptor.digest})`;
      const pull = limiter
        .enter()
        .then((leave) => this.#layer({ ...request, signal }, { descriptor, diffId, label }, leave, verified).finally(leave));
      pulls.set(diffId, pull);
      // One that was there, or that others had brought this far.
      pull.then(verified, () => {});
      return pull;
    });
    try {
      return await Promise.all(all);
    } catch (error) {
      ours.abort(error);
      await Promise.allSettled(all);
      throw error;
    }
  }

  /** Calls `downloaded` when all bytes have come: while they are flushed to disk, the next layer may. */
  async #layer(
    { repository, signal, progress }: PullRequest,
    wanted: WantedLayer,
    downloaded: () => void,
    verified: (layer: IndexLayer) => void,
  ): Promise<PulledLayer> {
    const { descriptor, diffId } = wanted;
    const id = shortOf(descriptor.digest);
    const size = this.#content.blobSize(diffId);
    if (size !== null) {
      progress({ id, message: "Already exists", current: size, total: size });
      return { diffId, size };
    }
    progress({ id, message: "Waiting", current: 0, total: descriptor.size });
    const layer = await this.#layers.join(
      // Of one repository: another one's failure is none of this.
      `${repository.name} ${descriptor.digest} ${diffId}`,
      (ended, tell) => this.#fetch(repository, wanted, ended, tell),
      signal,
      (step) => {
        if ("verified" in step) {
          verified(step.verified);
          return;
        }
        if (step.message === DOWNLOADED) downloaded();
        progress({ id, ...step });
      },
    );
    const { source } = layer;
    const whole = { current: descriptor.size, total: descriptor.size };
    progress({ id, message: "Pull complete", ...whole, ...(source ? { source } : {}) });
    return layer;
  }

  /** One layer from the registry to its name in the store. */
  async #fetch(
    repository: Repository,
    { descriptor, diffId, label }: WantedLayer,
    signal: AbortSignal,
    tell: (step: Step | Verified) => void,
  ): Promise<PulledLayer> {
    const { digest, size: total, mediaType } = descriptor;
    try {
      const { layer, source } = await this.#limiter.run(() => this.#genuine(repository, descriptor, signal, tell));
      tell({ message: DOWNLOADED, current: total, total });
      const { ingest, entries, size } = layer;
      try {
        checkDigest({ digest: layer.diffId, size }, { digest: diffId, size }, "it expands to");
      } catch (error) {
        await ingest.drop();
        throw error;
      }
      tell({ verified: onTheWay(this.#content, layer) });
      await this.#content.leased(async (lease) => {
        await ingest.keep(diffId, lease);
        await this.#content.flushNames();
        this.#database.addLayerBlob({ digest, size: total, mediaType, diffId }, repository.name);
      });
      return { diffId, size, entries, source };
    } catch (error) {
      throw named(error, label);
    }
  }

  /** The layer whose blob is the one that was asked for: where a mirror sent something else, from the next one. */
  async #genuine(
    repository: Repository,
    descriptor: Descriptor,
    signal: AbortSignal,
    tell: (step: Step) => void,
  ): Promise<{ layer: NewLayer; source: string }> {
    for (;;) {
      const read = repository.blob(descriptor.digest, descriptor.size, signal);
      try {
        const layer = await this.#download(read, descriptor, signal, tell);
        return { layer, source: read.sources.join(", ") };
      } catch (error) {
        if (!(isWrongContent(error) && read.wrong(messageOf(error)))) throw error;
      }
    }
  }

  async #download(
    source: Chunks,
    { digest, size: total }: Descriptor,
    signal: AbortSignal,
    tell: (step: Step) => void,
  ): Promise<NewLayer> {
    signal.throwIfAborted();
    const onBytes = counted((current) => tell({ message: "Downloading", current, total }), total);
    const layer = await takeLayer(this.#content, source, { ...this.#layerOptions, onBytes });
    try {
      checkDigest(layer.blob, { digest, size: total }, "the registry sent");
      return layer;
    } catch (error) {
      await layer.ingest.drop();
      throw error;
    }
  }
}

interface Identity {
  readonly digest: Digest;
  readonly size: number;
}

const checkDigest = (found: Identity, expected: Identity, how: string): void => {
  if (found.digest === expected.digest && found.size === expected.size) return;
  const text = `expected ${expected.digest} of ${expected.size} bytes, ${how} ${found.digest} of ${found.size}`;
  throw new OnggiError("digest_mismatch", text);
};

/** A blob that is kept in memory, as text. Throws "image_config_invalid" for one that is too large or no UTF-8, "digest_mismatch". */
export const smallBlob = async (
  repository: Repository,
  { digest, size }: Pick<Descriptor, "digest" | "size">,
  what: string,
  signal?: AbortSignal,
): Promise<string> => {
  if (size > MAX_CONFIG) throw new OnggiError("image_config_invalid", `${what} has ${size} bytes; the limit is ${MAX_CONFIG}`);
  let data: Buffer;
  try {
    data = await blobBytes(repository, { digest, size }, signal);
  } catch (error) {
    throw named(error, what);
  }
  const text = data.toString("utf8");
  if (Buffer.compare(Buffer.from(text, "utf8"), data) !== 0)
    throw new OnggiError("image_config_invalid", `${what}: it is not UTF-8`);
  return text;
};

/** A name that has one image only has it for whatever platform; that it is the one asked for is checked here. */
const checkPlatform = ({ os, architecture, variant }: ImageConfig, wanted: Platform, what: string): void => {
  const found = parsePlatform([os, architecture, ...(variant ? [variant] : [])].join("/"));
  if (found.os === wanted.os && found.architecture === wanted.architecture) return;
  throw new OnggiError("platform_not_found", `${what} is for ${platformText(found)}, not for ${platformText(wanted)}`);
};

/** Failures that are the content's: what came with it is of no use to the next try. */
const contentFailures: ReadonlySet<string> = new Set([
  "digest_mismatch",
  "layer_invalid",
  "layer_too_large",
  "decompression_limit",
  "compressed_data_invalid",
  "registry_answer_invalid",
  "blob_unknown",
  "out_of_disk",
]);

/** Of those, what comes of bytes that are not the blob's: the source's fault, and maybe its alone. */
const isWrongContent = (error: unknown): boolean =>
  isContentFailure(error) &&
  error instanceof OnggiError &&
  !["registry_answer_invalid", "blob_unknown", "out_of_disk"].includes(error.code);

export const isContentFailure = (error: unknown): boolean => error instanceof OnggiError && contentFailures.has(error.code);
