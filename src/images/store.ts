/** The image store: content on disk, names and images in the database, mounts in memory. */
import * as fs from "node:fs";
import { join } from "node:path";
import { type Digest, parseDigest } from "../oci/digest.ts";
import { parsePlatform, platformText } from "../oci/platform.ts";
import { canonicalName, parseReference, type Reference } from "../oci/reference.ts";
import { type AddedLayer, addImages, arrived } from "./add.ts";
import { type FoundImage, findImages } from "./archive.ts";
import { ArchiveContents } from "./archive-contents.ts";
import { Catalog, canonicalTag, familiar, imageOf } from "./catalog.ts";
import { checkStore } from "./check.ts";
import { ContentStore } from "./content.ts";
import { explainDamage, ImageDatabase } from "./database.ts";
import { digestOf } from "./digest.ts";
import { forget, holding } from "./discard.ts";
import { explainDisk } from "./files.ts";
import { committedConfig, diffIdsOf, hostPlatform, importedConfig, parseConfig } from "./image-config.ts";
import { storeIndex } from "./image-index.ts";
import { type LayerOptions, scanLayer, takeLayer } from "./layer.ts";
import { StoredLists } from "./lists.ts";
import { mediaTypes } from "./manifest.ts";
import { type MountForm, Mounts } from "./mount.ts";
import { isContentFailure, Puller } from "./pull.ts";
import { type ImageToPush, pushImage } from "./push.ts";
import { removeImages } from "./remove.ts";
import { repairStore } from "./repair.ts";
import type { Rooms } from "./rooms.ts";
import { archiveChunks, imagesToSave, writeArchive, writeLayout } from "./save.ts";
import { chunksOf, decompressed, defaultLimits } from "./stream.ts";
import type {
  CheckRequest,
  CommitImage,
  Image,
  ImageStore,
  ImagesInUse,
  ImportOptions,
  LayerWaste,
  LoadOptions,
  ManifestLists,
  MountedImage,
  PullOptions,
  PushedImage,
  PushOptions,
  RemovedImages,
  RemoveOptions,
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
  readonly #rooms: Rooms;
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
    this.#rooms = { content: this.#content, database: this.#database, catalog: this.#catalog, mounts: this.#mounts };
    this.#puller = new Puller(this.#content, this.#database, this.#layerOptions());
    this.lists = new StoredLists(this.#database, this.#catalog, (id, target, options) => this.#send(id, target, options));
  }

  get form(): MountForm {
    return this.#mounts.form;
  }

  list(): Image[] {
    return this.#catalog.all().map(imageOf);
  }

  get(reference: string, platform?: string): Image {
    return imageOf(this.#find(reference, platform).known);
  }

  #find(reference: string, platform: string | undefined): ReturnType<Catalog["find"]> {
    return this.#catalog.find(reference, platform === undefined ? null : parsePlatform(platform));
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
        await addImages(this.#rooms, [arrived(this.#content, found)], lease, signal);
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
        const top = arrived(this.#content, { id, configText, config, layers: [layer], names: name ? [name] : [] });
        await addImages(this.#rooms, [{ ...top, layers: [...below, ...top.layers] }], lease, undefined);
        return this.get(id);
      } finally {
        await layer.ingest.drop();
      }
    });
  }

  async load(source: ReadableStream<Uint8Array>, options: LoadOptions = {}): Promise<Image[]> {
    const { signal, progress } = options;
    const platform = options.platform === undefined ? null : parsePlatform(options.platform);
    return this.#content.leased(async (lease) => {
      const layerOptions = this.#layerOptions();
      const whole = decompressed(chunksOf(source, signal), layerOptions.limits);
      const contents = await ArchiveContents.read(this.#content, whole, { ...layerOptions, progress });
      try {
        const found = findImages(contents, platform);
        await addImages(
          this.#rooms,
          found.map((image) => arrived(this.#content, image)),
          lease,
          signal,
        );
        return found.map(({ id }) => this.get(id));
      } finally {
        await contents.drop();
      }
    });
  }

  async pull(name: string, options: PullOptions): Promise<{ image: Image; digest: string; upToDate: boolean; source: string }> {
    const reference = parseReference(name);
    const { registries, authOf, policy, signal = new AbortController().signal, progress = () => {} } = options;
    policy?.check(reference);
    const platform = options.platform === undefined ? null : parsePlatform(options.platform);
    const auth = authOf?.(reference.domain);
    const repository = registries.repository(reference, auth, authOf ? { authOf } : {});
    const before = this.#catalog.named(canonicalName(reference)).map(({ record }) => record.id);
    return this.#content.leased(async (lease) => {
      try {
        // a mirror may not have the signatures yet
        const signers = [repository, registries.repository(reference, auth, { mirrors: false })];
        const admit = async (digests: readonly Digest[]) => policy?.admit(signers, reference, digests, signal);
        const index = (id: Digest, coming: Parameters<typeof storeIndex>[2]) =>
          this.#catalog.has(id) ? null : storeIndex(this.#content, id, coming);
        const request = { repository, reference, lease, signal, progress, admit, index, atOnce: options.atOnce };
        const { documents, digest, source, ...pulled } = await this.#puller.pull(platform ? { ...request, platform } : request);
        const layers = pulled.layers.map((layer): AddedLayer => ({ ...layer, written: async () => {}, keep: async () => {} }));
        const names = reference.digest ? [] : [canonicalName(reference)];
        const repositoryDigests = [{ repository: `${reference.domain}/${reference.path}`, digest }];
        signal.throwIfAborted();
        // From here on it is carried through: given up now, its layers would go.
        // What an index brought leaves the name to the images of its other platforms.
        const beside = documents.length > 1;
        await addImages(this.#rooms, [{ ...pulled, layers, documents, names, beside, repositoryDigests }], lease, undefined);
        return { image: this.get(pulled.id), digest, upToDate: before.includes(pulled.id), source };
      } catch (error) {
        // The index that had been begun goes too, and what an image that was removed meanwhile left to the pull.
        forget(this.#rooms, lease, isContentFailure(error) ? new Set() : this.#taken());
        throw error;
      }
    });
  }

  async remove(reference: string, options: RemoveOptions): Promise<RemovedImages> {
    return removeImages(this.#rooms, reference, options, (id) => this.lists.needs(id));
  }

  tag(reference: string, name: string): void {
    const { found } = this.#catalog.findAll(reference);
    const images = found.map(({ record, platform }) => ({ id: record.id, platform: platformText(platform) }));
    this.#catalog.changed(this.#database.setName(canonicalTag(name), images));
  }

  async push(name: string, options: PushOptions): Promise<PushedImage> {
    return this.#send(name, parseReference(canonicalTag(name)), options);
  }

  /** Sends an image of the store under the target's tag; without one, under its digest. */
  #send(image: string, target: Reference, options: PushOptions): Promise<PushedImage> {
    const repository = `${target.domain}/${target.path}`;
    const { record, documents, repositoryDigests, platform } = this.#find(image, options.platform).known;
    const digests = [record.id, ...record.layers, ...documents.map(({ digest }) => digest)];
    return holding(this.#rooms, digests, async (lease) => {
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
        const described = { platform: platformText(platform), documents: [{ digest, mediaType }], repositoryDigests };
        this.#catalog.changed(this.#database.add([{ record, names: [], ...described }]));
      }
      return { digest, mediaType, size: Buffer.byteLength(text) };
    });
  }

  layers(id: string): { diffId: string; size: number }[] {
    return this.#catalog.find(id).known.record.layers.map((diffId) => ({ diffId, size: this.#content.blob(diffId).size }));
  }

  descriptor(id: string): { mediaType: string; digest: string; size: number } {
    const digest = this.#catalog.find(id).known.record.manifest;
    return { mediaType: mediaTypes.manifest, digest, size: this.#content.blob(digest).size };
  }

  async save(references: readonly string[], { format, path, write, signal, platform }: SaveOptions): Promise<void> {
    const images = imagesToSave(this.#catalog, references, platform === undefined ? null : parsePlatform(platform));
    const digests = images.flatMap(({ id, manifest, layers }) => [id, manifest, ...layers]);
    const blobOf = (digest: string) => this.#content.blob(digest);
    try {
      await holding(this.#rooms, digests, async () => {
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

  /** Layers that came with pulls, and are kept for the next whether an image has them or not. */
  #taken(): Set<string> {
    return new Set(this.#database.layersTakenSince(Date.now() - KEEP_TAKEN_MS));
  }

  #garbage(): string[] {
    const blobs = this.#catalog.needed();
    for (const diffId of this.#taken()) blobs.add(diffId);
    return this.#content.garbage({ blobs, images: this.#catalog.ids() });
  }

  #repair(problems: readonly StoreProblem[], inUse: ImagesInUse): Promise<StoreProblem[]> {
    const remove = (id: string) => this.remove(id, { force: true, inUse });
    return repairStore({ ...this.#rooms, remove, collectGarbage: () => this.collectGarbage() }, problems, inUse);
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
}
