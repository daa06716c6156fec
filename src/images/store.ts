/** The image store: content on disk, names and images in the database, mounts in memory. */
import * as fs from "node:fs";
import { join } from "node:path";
import { OnggiError } from "../lib/errors.ts";
import { type Digest, isDigest } from "../oci/digest.ts";
import { parsePlatform } from "../oci/platform.ts";
import { canonicalName, familiarName, parseReference } from "../oci/reference.ts";
import { type FoundImage, findImages } from "./archive.ts";
import { ArchiveContents } from "./archive-contents.ts";
import { ContentStore, type Lease } from "./content.ts";
import { ImageDatabase, type ImageDocument, type ImageRecord, type NewImage, type RepositoryDigest } from "./database.ts";
import { digestOf } from "./digest.ts";
import { ImageAmbiguous, ImageInUse, ImageNotFound } from "./errors.ts";
import { explainDisk } from "./files.ts";
import { diffIdsOf, hostArchitecture, manifestFor, parseConfig } from "./image-config.ts";
import { storeIndex } from "./image-index.ts";
import { type LayerOptions, takeLayer } from "./layer.ts";
import { type MountForm, Mounts } from "./mount.ts";
import { isContentFailure, Puller } from "./pull.ts";
import type { RemoteManifest } from "./remote/types.ts";
import { chunksOf, decompressed, defaultLimits } from "./stream.ts";
import type { TarEntry } from "./tar-types.ts";
import type { CommitImage, Image, ImageConfig, ImageStore, ImportOptions, MountedImage, Progress, PullOptions } from "./types.ts";

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
        const layers = pulled.layers.map(({ kept, ...layer }): AddedLayer => {
          return { ...layer, written: async () => void (await kept), keep: () => kept };
        });
        const names = reference.digest ? [] : [canonicalName(reference)];
        const repositoryDigests = [{ repository: `${reference.domain}/${reference.path}`, digest }];
        await this.#add([{ ...pulled, layers, documents, names, repositoryDigests }], lease, signal);
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

  async collectGarbage(): Promise<string[]> {
    const blobs = this.#needed();
    for (const diffId of this.#database.layersTakenSince(Date.now() - KEEP_TAKEN_MS)) blobs.add(diffId);
    const found = this.#content.garbage({ blobs, images: new Set(this.#images.keys()) });
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
  #writeLayoutIndex(): void {
    const manifests = [...this.#images.values()].flatMap(({ record, names, config }) => {
      const size = fs.statSync(this.#content.blobPath(record.manifest), { throwIfNoEntry: false })?.size ?? 0;
      const descriptor = {
        mediaType: "application/vnd.oci.image.manifest.v1+json",
        digest: record.manifest,
        size,
        platform: { architecture: config.architecture, os: config.os },
      };
      if (names.length === 0) return [descriptor];
      return names.map((name) => ({ ...descriptor, annotations: { "org.opencontainers.image.ref.name": familiar(name) } }));
    });
    const path = join(this.#content.root, "index.json");
    const text = JSON.stringify({ schemaVersion: 2, manifests });
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

const familiar = (canonical: string): string => familiarName(parseReference(canonical));

const imageOf = ({ record, config, names, repositoryDigests }: Known): Image => ({
  id: record.id,
  names: names.map(familiar),
  repoDigests: repositoryDigests.map(({ repository, digest }) => familiar(`${repository}@${digest}`)),
  config,
  size: record.size,
});
