/** The image store: content on disk, names and images in the database, mounts in memory. */
import * as fs from "node:fs";
import { join } from "node:path";
import { OnggiError } from "../lib/errors.ts";
import { type Digest, parseDigest } from "../oci/digest.ts";
import { parsePlatform } from "../oci/platform.ts";
import { canonicalName, parseReference, type Reference } from "../oci/reference.ts";
import { type FoundImage, findImages } from "./archive.ts";
import { ArchiveContents } from "./archive-contents.ts";
import { Catalog, canonicalTag, familiar, imageOf } from "./catalog.ts";
import { checkStore } from "./check.ts";
import { ContentStore, type Lease } from "./content.ts";
import { explainDamage, ImageDatabase, type ImageRecord, type NewImage, type RepositoryDigest } from "./database.ts";
import { digestOf } from "./digest.ts";
import { ImageInUse } from "./errors.ts";
import { explainDisk } from "./files.ts";
import { committedConfig, diffIdsOf, hostPlatform, importedConfig, manifestFor, parseConfig } from "./image-config.ts";
import { storeIndex } from "./image-index.ts";
import { type LayerOptions, scanLayer, takeLayer } from "./layer.ts";
import { StoredLists } from "./lists.ts";
import { type MountForm, Mounts } from "./mount.ts";
import { isContentFailure, Puller } from "./pull.ts";
import { type ImageToPush, pushImage } from "./push.ts";
import type { RemoteManifest } from "./remote/types.ts";
import { repairStore } from "./repair.ts";
import { archiveChunks, imagesToSave, writeArchive, writeLayout } from "./save.ts";
import { chunksOf, decompressed, defaultLimits } from "./stream.ts";
import type { TarEntry } from "./tar-types.ts";
import type {
  CheckRequest,
  CommitImage,
  Image,
  ImageConfig,
  ImageStore,
  ImportOptions,
  LayerWaste,
  ManifestLists,
  MountedImage,
  Progress,
  PullOptions,
  PushedImage,
  PushOptions,
  SaveOptions,
  StoreProblem,
  StoreReport,
} from "./types.ts";
import { wasteOf } from "./waste.ts";

export interface StoreOptions {
  /** Use this form of mount, whatever the machine can do; absent: the best that works. */
  readonly form?: MountForm;
  /** Mount every image at a path, for a kernel whose overlayfs takes no descriptors. */
  readonly attached?: boolean;
  /** The most bytes one layer may have uncompressed; 64 GiB unless told. */
  readonly maxLayerBytes?: number;
  /** The most entries one layer may have, which are in memory while it is indexed; two million unless told. */
  readonly maxLayerEntries?: number;
  /** The most a compressed layer may grow, beyond the first `freeBytes`. */
  readonly limits?: { readonly freeBytes: number; readonly ratio: number };
}

const MAX_LAYER_BYTES = 64 * 2 ** 30;
const MAX_LAYER_ENTRIES = 2_000_000;
/** A layer that came with a pull which did not end is kept this long for the next try. */
const KEEP_TAKEN_MS = 24 * 3600 * 1000;
/** Progress is told every so many bytes. */
const PROGRESS_BYTES = 4 << 20;

/** A layer of an image that is being added. */
interface AddedLayer {
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
interface AddedImage {
  readonly id: Digest;
  readonly configText: string;
  readonly config: ImageConfig;
  readonly layers: readonly AddedLayer[];
  readonly names: readonly string[];
  readonly documents?: readonly RemoteManifest[];
  readonly repositoryDigests?: readonly RepositoryDigest[];
}

/** What is wrong with an image's layers, with its name. */
const ofImage = (error: unknown, { id, names, repositoryDigests: [digest] = [] }: AddedImage): unknown => {
  if (!(error instanceof OnggiError) || error.code !== "layer_invalid") return error;
  const name = names[0] ?? (digest ? `${digest.repository}@${digest.digest}` : id);
  return new OnggiError(error.code, `${name}, ${error.message}`, { cause: error });
};

/** Opens the store below `root`, making it where there is none. Throws "store_version", "store_damaged". */
export const openImageStore = (root: string, options: StoreOptions = {}): ImageStore & { readonly form: MountForm } =>
  new LocalImageStore(root, options);

class LocalImageStore implements ImageStore {
  readonly #content: ContentStore;
  readonly #database: ImageDatabase;
  readonly #mounts: Mounts;
  readonly #options: StoreOptions;
  readonly #puller: Puller;
  readonly #catalog: Catalog;
  readonly lists: ManifestLists;

  constructor(root: string, options: StoreOptions) {
    this.#options = options;
    this.#content = new ContentStore(root);
    const path = join(root, "images.db");
    this.#database = new ImageDatabase(path);
    try {
      this.#catalog = new Catalog(this.#database, this.#content);
    } catch (error) {
      this.#database.close();
      throw explainDamage(error, path);
    }
    this.#mounts = new Mounts(this.#content, options.form ?? null, options.attached);
    this.#puller = new Puller(this.#content, this.#database, this.#layerOptions());
    this.lists = new StoredLists(this.#database, this.#catalog, (id, target, options) => this.#send(id, target, options));
  }

  get form(): MountForm {
    return this.#mounts.form;
  }

  list(): Image[] {
    return this.#catalog.all().map(imageOf);
  }

  get(reference: string): Image {
    return imageOf(this.#catalog.find(reference).known);
  }

  mount(id: string): MountedImage {
    const { record, config } = this.#catalog.find(id).known;
    return this.#mounts.mount(record.id, () =>
      diffIdsOf(config).map((diffId) => ({ diffId, size: fs.statSync(this.#content.blobPath(diffId)).size })),
    );
  }

  async importRootfs(source: ReadableStream<Uint8Array>, options: ImportOptions): Promise<Image> {
    const name = options.name === undefined ? null : canonicalTag(options.name);
    const platform = options.platform === undefined ? hostPlatform() : parsePlatform(options.platform);
    return this.#content.leased(async (lease) => {
      const { signal, progress } = options;
      let current = 0;
      let told = 0;
      const onBytes = (bytes: number): void => {
        current += bytes;
        if (current - told < PROGRESS_BYTES) return;
        told = current;
        progress?.({ id: "rootfs", current, message: "Importing" });
      };
      const layer = await takeLayer(this.#content, chunksOf(source, signal), { ...this.#layerOptions(), onBytes });
      try {
        const configText = JSON.stringify(importedConfig(layer.diffId, platform, options, new Date()));
        const found: FoundImage = {
          id: digestOf(configText),
          configText,
          config: parseConfig(configText, "the new image"),
          layers: [layer],
          names: name ? [name] : [],
        };
        await this.#add([this.#arrived(found)], lease, signal);
        return this.get(found.id);
      } finally {
        await layer.ingest.drop();
      }
    });
  }

  async commit(source: ReadableStream<Uint8Array>, options: CommitImage): Promise<Image> {
    const name = options.name === undefined ? null : canonicalTag(options.name);
    return this.#content.leased(async (lease) => {
      const { config: parent } = this.#catalog.find(options.parent).known;
      // From here on no removal of the parent takes them away.
      for (const digest of diffIdsOf(parent)) lease.digests.add(digest);
      const layer = await takeLayer(this.#content, chunksOf(source, undefined), this.#layerOptions());
      try {
        const stored = async (): Promise<void> => {};
        const below = diffIdsOf(parent).map((diffId): AddedLayer => {
          const size = fs.statSync(this.#content.blobPath(diffId)).size;
          return { diffId, size, written: stored, keep: stored };
        });
        const configText = JSON.stringify(committedConfig(parent, layer.diffId, options, new Date()));
        const config = parseConfig(configText, "the new image");
        const id = digestOf(configText);
        const top = this.#arrived({ id, configText, config, layers: [layer], names: name ? [name] : [] });
        await this.#add([{ ...top, layers: [...below, ...top.layers] }], lease, undefined);
        return this.get(id);
      } finally {
        await layer.ingest.drop();
      }
    });
  }

  async load(source: ReadableStream<Uint8Array>, options: { signal?: AbortSignal; progress?: Progress } = {}): Promise<Image[]> {
    const { signal, progress } = options;
    return this.#content.leased(async (lease) => {
      const layerOptions = this.#layerOptions();
      const whole = decompressed(chunksOf(source, signal), layerOptions.limits);
      const contents = await ArchiveContents.read(this.#content, whole, { ...layerOptions, progress });
      try {
        const found = findImages(contents);
        await this.#add(
          found.map((image) => this.#arrived(image)),
          lease,
          signal,
        );
        return found.map(({ id }) => this.get(id));
      } finally {
        await contents.drop();
      }
    });
  }

  async pull(name: string, options: PullOptions): Promise<{ image: Image; digest: string; upToDate: boolean }> {
    const reference = parseReference(name);
    const { registries, auth, signal = new AbortController().signal, progress = () => {} } = options;
    const platform = options.platform === undefined ? null : parsePlatform(options.platform);
    const repository = registries.repository(reference, auth);
    const before = this.#catalog.get(this.#catalog.named(canonicalName(reference)) ?? "");
    return this.#content.leased(async (lease) => {
      try {
        const request = { repository, reference, lease, signal, progress };
        const { documents, digest, ...pulled } = await this.#puller.pull(platform ? { ...request, platform } : request);
        const layers = pulled.layers.map((layer): AddedLayer => ({ ...layer, written: async () => {}, keep: async () => {} }));
        const names = reference.digest ? [] : [canonicalName(reference)];
        const repositoryDigests = [{ repository: `${reference.domain}/${reference.path}`, digest }];
        signal.throwIfAborted();
        // From here on it is carried through: given up now, its layers would go.
        await this.#add([{ ...pulled, layers, documents, names, repositoryDigests }], lease, undefined);
        return { image: this.get(pulled.id), digest, upToDate: before?.record.id === pulled.id };
      } catch (error) {
        if (isContentFailure(error)) this.#forget(lease);
        throw error;
      }
    });
  }

  async remove(
    reference: string,
    options: { force?: boolean; inUse: ReadonlySet<string> },
  ): Promise<{ untagged: string[]; deleted: string[] }> {
    const { known, name } = this.#catalog.find(reference);
    const { id } = known.record;
    const others = known.names.filter((other) => other !== name);
    if (name === null && known.names.length > 1 && !options.force) {
      throw new ImageInUse(
        `image ${id} has several names (${known.names.map(familiar).join(", ")}); remove them one by one, or with force`,
      );
    }
    const last = name === null || others.length === 0;
    const used = options.inUse.has(id) || this.lists.needs(id);
    if (last && used && !options.force) {
      const who = options.inUse.has(id) ? "container" : "manifest list";
      throw new ImageInUse(`image ${reference} is needed by a ${who}; remove the ${who} first`);
    }
    const untag = name === null ? known.names : [name];
    const untagged = untag.map(familiar);
    // A container's image stays, without a name, until the container is gone.
    if (!last || used) {
      this.#catalog.changed(this.#database.removeNames(untag));
      return { untagged, deleted: [] };
    }
    const documents = known.documents.map(({ digest }) => digest);
    this.#catalog.changed(this.#database.removeImage(id));
    this.#mounts.release(id);
    const deleted = [
      id,
      ...this.#discard([...known.record.layers]),
      ...this.#discard([id, known.record.manifest, ...documents]).filter((digest) => digest !== id),
    ];
    fs.rmSync(this.#content.indexPath(id), { force: true });
    fs.rmSync(this.#content.treePath(id), { recursive: true, force: true });
    return { untagged, deleted: deleted.filter((digest) => digest !== known.record.manifest && !documents.includes(digest)) };
  }

  tag(id: string, name: string): void {
    const canonical = canonicalTag(name);
    const { record } = this.#catalog.find(id).known;
    this.#catalog.changed(this.#database.setName(canonical, record.id));
  }

  async push(name: string, options: PushOptions): Promise<PushedImage> {
    return this.#send(name, parseReference(canonicalTag(name)), options);
  }

  /** Sends an image of the store under the target's tag; without one, under its digest. */
  #send(image: string, target: Reference, options: PushOptions): Promise<PushedImage> {
    const repository = `${target.domain}/${target.path}`;
    const { record, documents, repositoryDigests } = this.#catalog.find(image).known;
    const digests = [record.id, ...record.layers, ...documents.map(({ digest }) => digest)];
    return this.#holding(digests, async (lease) => {
      const here = new Set(repositoryDigests.filter((one) => one.repository === repository).map(({ digest }) => digest));
      // what the repository called it before comes first: the same push again is the same manifest
      const ordered = [...documents].sort((a, b) => Number(here.has(b.digest)) - Number(here.has(a.digest)));
      const image: ImageToPush = {
        id: parseDigest(record.id, "image id"),
        config: record.config,
        layers: record.layers.map((diffId) => ({
          diffId: parseDigest(diffId, "diffID"),
          path: this.#content.blobPath(diffId),
          blobs: this.#database.blobsOfLayer(diffId),
        })),
        documents: ordered.map(({ digest, mediaType }) => ({
          mediaType,
          text: fs.readFileSync(this.#content.blobPath(digest), "utf8"),
        })),
      };
      const { digest, mediaType, text } = await pushImage(image, target, options, (blob) => {
        if (this.#content.hasBlob(blob.diffId)) this.#database.addLayerBlob(blob, repository);
      });
      // removed meanwhile, it stays so
      if (this.#catalog.has(record.id)) {
        await this.#content.putBlob(text, lease);
        await this.#content.flushNames();
        const repositoryDigests = [{ repository, digest }];
        this.#catalog.changed(this.#database.add([{ record, names: [], documents: [{ digest, mediaType }], repositoryDigests }]));
      }
      return { digest, mediaType, size: Buffer.byteLength(text) };
    });
  }

  layers(id: string): { diffId: string; size: number }[] {
    return this.#catalog.find(id).known.record.layers.map((diffId) => ({ diffId, size: this.#content.blob(diffId).size }));
  }

  async save(references: readonly string[], { format, path, write, signal }: SaveOptions): Promise<void> {
    const images = imagesToSave(this.#catalog, references);
    const digests = images.flatMap(({ id, manifest, layers }) => [id, manifest, ...layers]);
    const blobOf = (digest: string) => this.#content.blob(digest);
    try {
      await this.#holding(digests, async () => {
        if (format === "oci-dir") await writeLayout(path, images, blobOf, signal);
        else if (path !== undefined) await writeArchive(path, images, blobOf, format, signal);
        else {
          for await (const chunk of archiveChunks(images, blobOf, format)) {
            signal?.throwIfAborted();
            await write?.(chunk);
          }
        }
      });
    } catch (error) {
      throw explainDisk(error, "saving images");
    }
  }

  waste(id: string): LayerWaste[] {
    return wasteOf(this.#catalog.find(id).known.record.layers.map((diffId) => scanLayer(this.#content.blobPath(diffId))));
  }

  async check({ quick = false, repair = false, inUse, signal, progress }: CheckRequest): Promise<StoreReport> {
    const { problems: found, bytes } = await checkStore(
      {
        content: this.#content,
        images: () =>
          this.#catalog.all().map(({ record, names, documents }) => ({
            record,
            names: names.map(familiar),
            documents: documents.map(({ digest }) => digest),
          })),
        databaseState: () => this.#database.state(),
        layoutIndex: () => this.#catalog.layoutIndex(),
        garbage: () => this.#garbage(),
      },
      { quick, signal, progress },
    );
    const images = this.#catalog.all().length;
    const problems = found.map((problem) => ({ ...problem, repaired: null }));
    return { problems: repair ? await this.#repair(problems, inUse) : problems, images, bytes };
  }

  #garbage(): string[] {
    const blobs = this.#catalog.needed();
    for (const diffId of this.#database.layersTakenSince(Date.now() - KEEP_TAKEN_MS)) blobs.add(diffId);
    return this.#content.garbage({ blobs, images: this.#catalog.ids() });
  }

  #repair(problems: readonly StoreProblem[], inUse: ReadonlySet<string>): Promise<StoreProblem[]> {
    const parts = { content: this.#content, database: this.#database, catalog: this.#catalog, mounts: this.#mounts };
    const remove = (id: string) => this.remove(id, { force: true, inUse });
    return repairStore({ ...parts, remove, collectGarbage: () => this.collectGarbage() }, problems, inUse);
  }

  async collectGarbage(): Promise<string[]> {
    const found = this.#garbage();
    for (const path of found) {
      if (path.startsWith("mounts/")) this.#mounts.release(`sha256:${path.slice("mounts/".length)}`);
      fs.rmSync(join(this.#content.root, path), { recursive: true, force: true });
    }
    return found;
  }

  close(): void {
    this.#mounts.close();
    this.#catalog.close();
    this.#database.close();
  }

  #layerOptions(): Pick<LayerOptions, "limits"> {
    const { limits, maxLayerBytes, maxLayerEntries } = this.#options;
    return {
      limits: {
        ...(limits ?? defaultLimits),
        layerBytes: maxLayerBytes ?? MAX_LAYER_BYTES,
        layerEntries: maxLayerEntries ?? MAX_LAYER_ENTRIES,
      },
    };
  }

  /** What came in one piece, its layers still in the temporary area. */
  #arrived(image: FoundImage): AddedImage {
    const layers = image.layers.map(({ diffId, size, entries, ingest }): AddedLayer => {
      const blobPath = this.#content.blobPath(diffId);
      return {
        ...{ diffId, size, entries },
        // Another image of the same archive may have put it into the store meanwhile.
        get path() {
          return fs.existsSync(ingest.file.path) ? ingest.file.path : blobPath;
        },
        written: () => ingest.finish(),
        keep: (lease) => ingest.keep(diffId, lease),
      };
    });
    return { ...image, layers };
  }

  /** Keeps what the images need and records them, all or none. */
  async #add(found: readonly AddedImage[], lease: Lease, signal: AbortSignal | undefined): Promise<void> {
    try {
      const records: NewImage[] = [];
      for (const image of found) {
        const { names, documents = [], repositoryDigests = [] } = image;
        const record = await this.#keep(image, lease).catch((error: unknown) => {
          throw ofImage(error, image);
        });
        records.push({ record, names, documents, repositoryDigests });
      }
      if (this.#mounts.form === "directories") {
        for (const { id, layers } of found) this.#mounts.mount(id, () => layers);
      }
      await this.#content.flushNames();
      signal?.throwIfAborted();
      this.#catalog.changed(this.#database.add(records));
    } catch (error) {
      this.#catalog.reload();
      this.#forget(lease);
      throw explainDisk(error, "storing an image");
    }
  }

  /** Puts an image's content into the store. The index is built while the layers are being flushed to disk. */
  async #keep(image: AddedImage, lease: Lease): Promise<ImageRecord> {
    const { id, configText, layers, documents = [] } = image;
    lease.digests.add(id);
    const sizes = layers.map(({ diffId, size }) => ({ digest: diffId, size }));
    const manifest = manifestFor({ digest: id, size: Buffer.byteLength(configText) }, sizes);
    // Waits for all of them, whichever fails: nothing may go on behind the caller's back.
    const results = await Promise.allSettled([
      this.#catalog.has(id) ? null : storeIndex(this.#content, id, layers),
      ...[configText, manifest.text, ...documents.map(({ bytes }) => bytes)].map((data) => this.#content.putBlob(data, lease)),
    ]);
    for (const result of results) if (result.status === "rejected") throw result.reason;
    for (const layer of new Set(layers)) await layer.keep(lease);
    const total = sizes.reduce((sum, { size }) => sum + size, 0);
    return { id, config: configText, manifest: digestOf(manifest.text), layers: layers.map(({ diffId }) => diffId), size: total };
  }

  /**
   * Runs what only reads blobs. They stay meanwhile, whoever removes their images; what nobody needs any more goes with the end.
   */
  async #holding<T>(digests: readonly string[], work: (lease: Lease) => Promise<T>): Promise<T> {
    try {
      return await this.#content.leased((lease) => {
        for (const digest of digests) lease.digests.add(digest);
        return work(lease);
      });
    } finally {
      this.#discard(digests);
    }
  }

  /** After a failure: what the operation had already put into the store, and nothing else needs, goes again. */
  #forget(lease: Lease): void {
    const digests = [...lease.digests];
    lease.digests.clear();
    for (const digest of digests) {
      if (this.#catalog.has(digest) || this.#content.isLeased(digest)) continue;
      this.#mounts.release(digest);
      fs.rmSync(this.#content.indexPath(digest), { force: true });
      fs.rmSync(this.#content.treePath(digest), { recursive: true, force: true });
    }
    this.#discard(digests);
  }

  /** Deletes blobs that no image and no operation needs; returns which. */
  #discard(digests: readonly string[]): string[] {
    const gone = new Set<string>();
    for (const digest of digests) {
      if (this.#catalog.needs(digest) || this.#content.isLeased(digest) || !this.#content.hasBlob(digest)) continue;
      fs.rmSync(this.#content.blobPath(digest), { force: true });
      gone.add(digest);
    }
    this.#database.removeLayerBlobs([...gone]);
    return [...gone];
  }
}
