/** The image store: content on disk, names and images in the database, mounts in memory. */
import * as fs from "node:fs";
import { join } from "node:path";
import { messageOf, OnggiError } from "../lib/errors.ts";
import { type Digest, isDigest, parseDigest } from "../oci/digest.ts";
import { parsePlatform } from "../oci/platform.ts";
import { canonicalName, familiarName, parseReference } from "../oci/reference.ts";
import { type FoundImage, findImages } from "./archive.ts";
import { ArchiveContents } from "./archive-contents.ts";
import { checkStore, LAYOUT } from "./check.ts";
import { ContentStore, type Lease } from "./content.ts";
import { ImageDatabase, type ImageDocument, type ImageRecord, type NewImage, type RepositoryDigest } from "./database.ts";
import { digestOf } from "./digest.ts";
import { ImageAmbiguous, ImageInUse, ImageNotFound } from "./errors.ts";
import { explainDisk, writeWhole } from "./files.ts";
import { diffIdsOf, hostArchitecture, manifestFor, parseConfig } from "./image-config.ts";
import { storeIndex } from "./image-index.ts";
import { type LayerOptions, scanLayer, takeLayer } from "./layer.ts";
import { type MountForm, Mounts } from "./mount.ts";
import { isContentFailure, Puller } from "./pull.ts";
import { type ImageToPush, pushImage } from "./push.ts";
import type { RemoteManifest } from "./remote/types.ts";
import { archiveChunks, type SavedImage, writeArchive, writeLayout } from "./save.ts";
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

interface Known {
  readonly record: ImageRecord;
  readonly config: ImageConfig;
  /** Canonical names, sorted. */
  names: string[];
  readonly documents: readonly ImageDocument[];
  readonly repositoryDigests: readonly RepositoryDigest[];
}

const canonicalTag = (name: string): string => {
  const reference = parseReference(name);
  if (reference.digest) throw new OnggiError("reference_invalid", `"${name}": an image is not named by a digest; give a tag`);
  return canonicalName(reference);
};

/** Opens the store below `root`, making it where there is none. Throws "store_version". */
export const openImageStore = (root: string, options: StoreOptions = {}): ImageStore & { readonly form: MountForm } =>
  new LocalImageStore(root, options);

class LocalImageStore implements ImageStore {
  readonly #content: ContentStore;
  readonly #database: ImageDatabase;
  readonly #mounts: Mounts;
  readonly #options: StoreOptions;
  readonly #puller: Puller;
  /** Every image by id; the database's content, parsed. */
  #images = new Map<string, Known>();
  /** Bytes of manifests, whose content their digest fixes. */
  readonly #manifestSizes = new Map<string, number>();

  constructor(root: string, options: StoreOptions) {
    this.#options = options;
    this.#content = new ContentStore(root);
    this.#database = new ImageDatabase(join(root, "images.db"));
    this.#mounts = new Mounts(this.#content, options.form ?? null, options.attached);
    this.#puller = new Puller(this.#content, this.#database, this.#layerOptions());
    this.#changed();
  }

  get form(): MountForm {
    return this.#mounts.form;
  }

  list(): Image[] {
    return [...this.#images.values()].map(imageOf);
  }

  get(reference: string): Image {
    return imageOf(this.#find(reference).known);
  }

  mount(id: string): MountedImage {
    const { record, config } = this.#find(id).known;
    return this.#mounts.mount(record.id, () =>
      diffIdsOf(config).map((diffId) => ({ diffId, size: fs.statSync(this.#content.blobPath(diffId)).size })),
    );
  }

  async importRootfs(source: ReadableStream<Uint8Array>, options: ImportOptions): Promise<Image> {
    const name = options.name === undefined ? null : canonicalTag(options.name);
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
        const created = new Date().toISOString();
        const config: ImageConfig = {
          architecture: options.architecture ?? hostArchitecture(),
          os: "linux",
          created,
          config: options.config ?? {},
          rootfs: { type: "layers", diff_ids: [layer.diffId] },
          history: [{ created, comment: options.message ?? "Imported from a root file system" }],
        };
        const configText = JSON.stringify(config);
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
      const { config: parent } = this.#find(options.parent).known;
      // From here on no removal of the parent takes them away.
      for (const digest of diffIdsOf(parent)) lease.digests.add(digest);
      const layer = await takeLayer(this.#content, chunksOf(source, undefined), this.#layerOptions());
      try {
        const stored = async (): Promise<void> => {};
        const below = diffIdsOf(parent).map((diffId): AddedLayer => {
          const size = fs.statSync(this.#content.blobPath(diffId)).size;
          return { diffId, size, written: stored, keep: stored };
        });
        const created = new Date().toISOString();
        const { author, message } = options;
        const step = {
          created,
          created_by: options.createdBy,
          ...(author ? { author } : {}),
          ...(message ? { comment: message } : {}),
        };
        const configText = JSON.stringify({
          ...parent,
          created,
          ...(author ? { author } : {}),
          config: options.config,
          rootfs: { type: "layers", diff_ids: [...parent.rootfs.diff_ids, layer.diffId] },
          history: [...(parent.history ?? []), step],
        });
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
    const before = this.#images.get(this.#named(canonicalName(reference)) ?? "");
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
    const { known, name } = this.#find(reference);
    const { id } = known.record;
    const others = known.names.filter((other) => other !== name);
    if (name === null && known.names.length > 1 && !options.force) {
      throw new ImageInUse(
        `image ${id} has several names (${known.names.map(familiar).join(", ")}); remove them one by one, or with force`,
      );
    }
    const last = name === null || others.length === 0;
    const used = options.inUse.has(id);
    if (last && used && !options.force) {
      throw new ImageInUse(`image ${reference} is needed by a container; remove the container first`);
    }
    const untag = name === null ? known.names : [name];
    const untagged = untag.map(familiar);
    // A container's image stays, without a name, until the container is gone.
    if (!last || used) {
      this.#database.removeNames(untag);
      this.#changed();
      return { untagged, deleted: [] };
    }
    const documents = known.documents.map(({ digest }) => digest);
    this.#database.removeImage(id);
    this.#changed();
    this.#mounts.release(id);
    this.#manifestSizes.delete(known.record.manifest);
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
    const { record } = this.#find(id).known;
    this.#database.setName(canonical, record.id);
    this.#refresh();
    this.#writeLayoutIndex();
  }

  async push(name: string, options: PushOptions): Promise<PushedImage> {
    const target = parseReference(canonicalTag(name));
    const repository = `${target.domain}/${target.path}`;
    const { record, documents, repositoryDigests } = this.#find(name).known;
    return this.#content.leased(async (lease) => {
      for (const digest of [record.id, ...record.layers, ...documents.map(({ digest }) => digest)]) lease.digests.add(digest);
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
      await this.#content.putBlob(text, lease);
      await this.#content.flushNames();
      // removed meanwhile, it stays so
      if (this.#images.has(record.id)) {
        const repositoryDigests = [{ repository, digest }];
        this.#database.add([{ record, names: [], documents: [{ digest, mediaType }], repositoryDigests }]);
        this.#changed();
      }
      return { digest, mediaType, size: Buffer.byteLength(text) };
    });
  }

  layers(id: string): { diffId: string; size: number }[] {
    return this.#find(id).known.record.layers.map((diffId) => ({ diffId, size: this.#blobOf(diffId).size }));
  }

  async save(references: readonly string[], { format, path, write, signal }: SaveOptions): Promise<void> {
    const images = this.#toSave(references);
    const held = new Set<string>();
    try {
      await this.#content.leased(async (lease) => {
        for (const { id, manifest, layers } of images) for (const digest of [id, manifest, ...layers]) lease.digests.add(digest);
        for (const digest of lease.digests) held.add(digest);
        const blobOf = (digest: string) => this.#blobOf(digest);
        if (format === "oci-dir") {
          if (path === undefined) throw new OnggiError("usage", "an OCI layout is a directory: name it with --output");
          if (fs.existsSync(path) && (!fs.statSync(path).isDirectory() || fs.readdirSync(path).length > 0)) {
            throw new OnggiError("target_exists", `${path} is there and not empty; name a new directory`);
          }
          await writeLayout(path, images, blobOf, signal);
        } else if (path !== undefined) await writeArchive(path, images, blobOf, format, signal);
        else {
          for await (const chunk of archiveChunks(images, blobOf, format)) {
            signal?.throwIfAborted();
            await write?.(chunk);
          }
        }
      });
    } catch (error) {
      throw explainDisk(error, "saving images");
    } finally {
      // Images that were removed meanwhile have left their content to this.
      this.#discard([...held]);
    }
  }

  waste(id: string): LayerWaste[] {
    return wasteOf(this.#find(id).known.record.layers.map((diffId) => scanLayer(this.#content.blobPath(diffId))));
  }

  async check({ quick = false, repair = false, inUse, signal, progress }: CheckRequest): Promise<StoreReport> {
    const { problems: found, bytes } = await checkStore(
      {
        content: this.#content,
        images: () =>
          [...this.#images.values()].map(({ record, names, documents }) => ({
            record,
            names: names.map(familiar),
            documents: documents.map(({ digest }) => digest),
          })),
        databaseState: () => this.#database.state(),
        layoutIndex: () => this.#layoutIndex(),
        garbage: () => this.#garbage(),
      },
      { quick, signal, progress },
    );
    const images = this.#images.size;
    const problems = found.map((problem) => ({ ...problem, repaired: null }));
    return { problems: repair ? await this.#repair(problems, inUse) : problems, images, bytes };
  }

  #garbage(): string[] {
    const blobs = this.#needed();
    for (const diffId of this.#database.layersTakenSince(Date.now() - KEEP_TAKEN_MS)) blobs.add(diffId);
    return this.#content.garbage({ blobs, images: new Set(this.#images.keys()) });
  }

  /** Mends problem after problem; what one repair takes away needs no other. */
  async #repair(problems: readonly StoreProblem[], inUse: ReadonlySet<string>): Promise<StoreProblem[]> {
    const done: StoreProblem[] = [];
    const lost = new Set<string>();
    for (const problem of problems) {
      let repaired: string | null;
      try {
        repaired = await this.#mend(problem, inUse, lost);
      } catch (error) {
        repaired = null;
        done.push({ ...problem, repaired, advice: `the repair failed: ${messageOf(error)}` });
        continue;
      }
      done.push({ ...problem, repaired });
    }
    this.#changed();
    await this.#content.flushNames();
    return done;
  }

  async #mend(problem: StoreProblem, inUse: ReadonlySet<string>, lost: Set<string>): Promise<string | null> {
    const { kind, image, layer, path } = problem;
    if (kind === "orphan") {
      await this.collectGarbage();
      return "removed";
    }
    if (kind === "layout") {
      if (path === "oci-layout") fs.writeFileSync(join(this.#content.root, path), LAYOUT, { flush: true });
      return "written again";
    }
    if (image === null) return null;
    if (lost.has(image)) return "gone with its image";
    const known = this.#images.get(image);
    if (!known) return "its image was removed meanwhile";
    const { record } = known;
    if (kind === "index") {
      const layers = record.layers.map((diffId) => ({ diffId, size: this.#blobOf(diffId).size }));
      await storeIndex(this.#content, image, layers);
      this.#mounts.release(image);
      return "built again; containers that run keep the old one until they end";
    }
    if (kind === "configuration" || kind === "manifest") {
      const config = { digest: image, size: Buffer.byteLength(record.config) };
      const layers = record.layers.map((digest) => ({ digest, size: this.#blobOf(digest).size }));
      const text = kind === "configuration" ? record.config : manifestFor(config, layers).text;
      await writeWhole(join(this.#content.root, path), this.#content.temporaryPath(), text);
      return "written again";
    }
    if (kind === "document") {
      const digest = `sha256:${path.slice("blobs/sha256/".length)}`;
      this.#database.removeDocument(digest);
      fs.rmSync(join(this.#content.root, path), { force: true });
      this.#refresh();
      return "forgotten, with the name its registry has for the image";
    }
    // A layer, or the record itself: only whoever has the image can bring it back.
    if (layer !== null) {
      fs.rmSync(this.#content.blobPath(layer), { force: true });
      this.#database.removeLayerBlobs([layer]);
    }
    this.#mounts.release(image);
    const names = known.names.map(familiar).join(", ") || image;
    if (inUse.has(image) && layer !== null) {
      return `the layer was removed; the record of ${names} stays because a container needs it, and loading or pulling the image again mends it`;
    }
    if (inUse.has(image)) return null;
    lost.add(image);
    await this.remove(image, { force: true, inUse });
    return `removed the image ${names}: load or pull it again`;
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
        records.push({ record: await this.#keep(image, lease), names, documents, repositoryDigests });
      }
      if (this.#mounts.form === "directories") {
        for (const { id, layers } of found) this.#mounts.mount(id, () => layers);
      }
      await this.#content.flushNames();
      signal?.throwIfAborted();
      this.#database.add(records);
    } catch (error) {
      this.#refresh();
      this.#forget(lease);
      throw explainDisk(error, "storing an image");
    }
    this.#changed();
  }

  /** Puts an image's content into the store. The index is built while the layers are being flushed to disk. */
  async #keep(image: AddedImage, lease: Lease): Promise<ImageRecord> {
    const { id, configText, layers, documents = [] } = image;
    lease.digests.add(id);
    const sizes = layers.map(({ diffId, size }) => ({ digest: diffId, size }));
    const manifest = manifestFor({ digest: id, size: Buffer.byteLength(configText) }, sizes);
    // Waits for all of them, whichever fails: nothing may go on behind the caller's back.
    const results = await Promise.allSettled([
      this.#images.has(id) ? null : storeIndex(this.#content, id, layers),
      ...[configText, manifest.text, ...documents.map(({ bytes }) => bytes)].map((data) => this.#content.putBlob(data, lease)),
    ]);
    for (const result of results) if (result.status === "rejected") throw result.reason;
    for (const layer of new Set(layers)) await layer.keep(lease);
    const total = sizes.reduce((sum, { size }) => sum + size, 0);
    return { id, config: configText, manifest: digestOf(manifest.text), layers: layers.map(({ diffId }) => diffId), size: total };
  }

  /** After a failure: what the operation had already put into the store, and nothing else needs, goes again. */
  #forget(lease: Lease): void {
    const digests = [...lease.digests];
    lease.digests.clear();
    for (const digest of digests) {
      if (this.#images.has(digest) || this.#content.isLeased(digest)) continue;
      this.#mounts.release(digest);
      fs.rmSync(this.#content.indexPath(digest), { force: true });
      fs.rmSync(this.#content.treePath(digest), { recursive: true, force: true });
    }
    this.#discard(digests);
  }

  /** Deletes blobs that no image and no operation needs; returns which. */
  #discard(digests: readonly string[]): string[] {
    const needed = this.#needed();
    const gone = new Set<string>();
    for (const digest of digests) {
      if (needed.has(digest) || this.#content.isLeased(digest) || !this.#content.hasBlob(digest)) continue;
      fs.rmSync(this.#content.blobPath(digest), { force: true });
      gone.add(digest);
    }
    this.#database.removeLayerBlobs([...gone]);
    return [...gone];
  }

  #blobOf(digest: string): { path: string; size: number } {
    const path = this.#content.blobPath(digest);
    const stat = fs.statSync(path, { throwIfNoEntry: false });
    if (stat) return { path, size: stat.size };
    throw new OnggiError("store_damaged", `${digest} is missing in the image store; "onggi system check" says more`);
  }

  /** The images asked for, each once, with the names that were asked for. */
  #toSave(references: readonly string[]): SavedImage[] {
    const chosen = new Map<string, Set<string>>();
    const choose = (id: string, names: readonly string[]): void => {
      const before = chosen.get(id) ?? new Set();
      chosen.set(id, before);
      for (const name of names) before.add(name);
    };
    for (const reference of references) {
      const whole = namesOfRepository(reference, [...this.#images.values()]);
      if (whole.length > 0) for (const { id, name } of whole) choose(id, [name]);
      else {
        const { known, name } = this.#find(reference);
        choose(known.record.id, name === null ? [] : [name]);
      }
    }
    return [...chosen].map(([id, names]) => {
      const { record, config } = this.#images.get(id)!;
      const platform = { architecture: config.architecture, os: config.os };
      return { id, manifest: record.manifest, layers: record.layers, names: [...names].sort(), platform };
    });
  }

  /** Every blob that some image needs. */
  #needed(): Set<string> {
    const needed = new Set<string>();
    for (const { record, documents } of this.#images.values()) {
      for (const digest of [record.id, record.manifest, ...record.layers]) needed.add(digest);
      for (const { digest } of documents) needed.add(digest);
    }
    return needed;
  }

  /** Id of the image of a canonical name, which may be one by digest. */
  #named(canonical: string): string | null {
    for (const { record, names, repositoryDigests } of this.#images.values()) {
      if (names.includes(canonical)) return record.id;
      if (repositoryDigests.some(({ repository, digest }) => `${repository}@${digest}` === canonical)) return record.id;
    }
    return null;
  }

  /** By id, by name, by a unique prefix of an id; `name` is the canonical name it was found by. */
  #find(reference: string): { known: Known; name: string | null } {
    const byId = this.#images.get(isDigest(`sha256:${reference}`) ? `sha256:${reference}` : reference);
    if (byId) return { known: byId, name: null };
    try {
      const asked = parseReference(reference);
      const canonical = canonicalName({ ...asked, tag: asked.digest ? null : asked.tag });
      const known = this.#images.get(this.#named(canonical) ?? "");
      if (known) return { known, name: asked.digest ? null : canonical };
    } catch (error) {
      if (!(error instanceof OnggiError)) throw error;
    }
    const prefix = reference.replace(/^sha256:/, "");
    if (/^[0-9a-f]{4,64}$/.test(prefix) || (reference.startsWith("sha256:") && /^[0-9a-f]+$/.test(prefix))) {
      const matches = [...this.#images.values()].filter(({ record }) => record.id.startsWith(`sha256:${prefix}`));
      if (matches.length > 1)
        throw new ImageAmbiguous(
          reference,
          matches.map(({ record }) => record.id),
        );
      if (matches[0]) return { known: matches[0], name: null };
    }
    throw new ImageNotFound(reference);
  }

  /** Reads the database's state again. An image that cannot be read is an error of the store, not of its caller. */
  #refresh(): void {
    const names = new Map<string, string[]>();
    for (const { name, image } of this.#database.names()) names.set(image, [...(names.get(image) ?? []), name]);
    const documents = Map.groupBy(this.#database.documents(), ({ image }) => image);
    const digests = Map.groupBy(this.#database.repositoryDigests(), ({ image }) => image);
    const images = new Map<string, Known>();
    for (const record of this.#database.images()) {
      const config = this.#images.get(record.id)?.config ?? parseConfig(record.config, `stored image ${record.id}`);
      images.set(record.id, {
        record,
        config,
        names: names.get(record.id) ?? [],
        documents: documents.get(record.id) ?? [],
        repositoryDigests: digests.get(record.id) ?? [],
      });
    }
    this.#images = images;
  }

  #changed(): void {
    this.#refresh();
    this.#writeLayoutIndex();
  }

  /** index.json, for those who read the store as an OCI layout. It says what the database says, which is what counts. */
  #layoutIndex(): string {
    const manifests = [...this.#images.values()].flatMap(({ record, names, config }) => {
      // Remembered: with a thousand images a thousand files would be asked at each change.
      const size = this.#manifestSize(record);
      const descriptor = {
        mediaType: "application/vnd.oci.image.manifest.v1+json",
        digest: record.manifest,
        size,
        platform: { architecture: config.architecture, os: config.os },
      };
      if (names.length === 0) return [descriptor];
      return names.map((name) => ({ ...descriptor, annotations: { "org.opencontainers.image.ref.name": familiar(name) } }));
    });
    return JSON.stringify({ schemaVersion: 2, manifests });
  }

  #manifestSize({ manifest }: ImageRecord): number {
    const known = this.#manifestSizes.get(manifest);
    if (known !== undefined) return known;
    const size = fs.statSync(this.#content.blobPath(manifest), { throwIfNoEntry: false })?.size;
    if (size !== undefined) this.#manifestSizes.set(manifest, size);
    return size ?? 0;
  }

  #writeLayoutIndex(): void {
    const path = join(this.#content.root, "index.json");
    const text = this.#layoutIndex();
    if (fs.existsSync(path) && fs.readFileSync(path, "utf8") === text) return;
    const temporary = this.#content.temporaryPath();
    try {
      fs.writeFileSync(temporary, text);
      fs.renameSync(temporary, path);
    } catch {
      // What the operation was about is done and durable; this file is derived, and written again when the store is opened.
      fs.rmSync(temporary, { force: true });
    }
  }
}

/** Every tag of a repository that is named without one; nothing for what names an image otherwise. */
const namesOfRepository = (reference: string, images: readonly Known[]): { id: string; name: string }[] => {
  if (images.some(({ record }) => record.id === reference || record.id === `sha256:${reference}`)) return [];
  try {
    const { domain, path, tag, digest } = parseReference(reference);
    if (tag !== null || digest !== null) return [];
    const prefix = `${domain}/${path}:`;
    return images.flatMap(({ record, names }) =>
      names.filter((name) => name.startsWith(prefix)).map((name) => ({ id: record.id, name })),
    );
  } catch {
    return [];
  }
};

/** Each list and each change asks for the short form of every name. */
const MAX_FAMILIAR = 20_000;
const familiarNames = new Map<string, string>();

const familiar = (canonical: string): string => {
  const known = familiarNames.get(canonical);
  if (known !== undefined) return known;
  const short = familiarName(parseReference(canonical));
  if (familiarNames.size >= MAX_FAMILIAR) familiarNames.clear();
  familiarNames.set(canonical, short);
  return short;
};

const imageOf = ({ record, config, names, repositoryDigests }: Known): Image => ({
  id: record.id,
  names: names.map(familiar),
  repoDigests: repositoryDigests.map(({ repository, digest }) => familiar(`${repository}@${digest}`)),
  config,
  size: record.size,
});
