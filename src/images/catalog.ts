/**
 * Which images there are, as the database has them, parsed: found by id, name, digest and prefix, and told to those who read the
 * store as an OCI layout.
 */
import * as fs from "node:fs";
import { join } from "node:path";
import { OnggiError } from "../lib/errors.ts";
import { isDigest } from "../oci/digest.ts";
import { canonicalName, familiarName, parseReference } from "../oci/reference.ts";
import type { ContentStore } from "./content.ts";
import type { ImageDatabase, ImageDocument, ImageRecord, RepositoryDigest } from "./database.ts";
import { ImageAmbiguous, ImageNotFound } from "./errors.ts";
import { parseConfig } from "./image-config.ts";
import type { Image, ImageConfig } from "./types.ts";

export interface Known {
  readonly record: ImageRecord;
  readonly config: ImageConfig;
  /** Canonical names, sorted. */
  readonly names: readonly string[];
  readonly documents: readonly ImageDocument[];
  readonly repositoryDigests: readonly RepositoryDigest[];
}

export class Catalog {
  readonly #database: ImageDatabase;
  readonly #content: ContentStore;
  /** By id. */
  #images = new Map<string, Known>();
  /** Bytes of manifests, whose content their digest fixes. */
  readonly #manifestSizes = new Map<string, number>();

  constructor(database: ImageDatabase, content: ContentStore) {
    this.#database = database;
    this.#content = content;
    this.changed();
  }

  /** Newest first. */
  all(): Known[] {
    return [...this.#images.values()];
  }

  get(id: string): Known | undefined {
    return this.#images.get(id);
  }

  has(id: string): boolean {
    return this.#images.has(id);
  }

  ids(): Set<string> {
    return new Set(this.#images.keys());
  }

  /** Every blob that some image needs. */
  needed(): Set<string> {
    const needed = new Set<string>();
    for (const { record, config, documents } of this.#images.values()) {
      // Should record and configuration disagree, `check` tells; until then nothing is thrown away that either names.
      for (const digest of [record.id, record.manifest, ...record.layers, ...config.rootfs.diff_ids]) needed.add(digest);
      for (const { digest } of documents) needed.add(digest);
    }
    return needed;
  }

  /** Id of the image of a canonical name, which may be one by digest. */
  named(canonical: string): string | null {
    for (const { record, names, repositoryDigests } of this.#images.values()) {
      if (names.includes(canonical)) return record.id;
      if (repositoryDigests.some(({ repository, digest }) => `${repository}@${digest}` === canonical)) return record.id;
    }
    return null;
  }

  /** By id, by name, by a unique prefix of an id; `name` is the canonical name it was found by. */
  find(reference: string): { known: Known; name: string | null } {
    const byId = this.#images.get(isDigest(`sha256:${reference}`) ? `sha256:${reference}` : reference);
    if (byId) return { known: byId, name: null };
    try {
      const asked = parseReference(reference);
      const canonical = canonicalName({ ...asked, tag: asked.digest ? null : asked.tag });
      const known = this.#images.get(this.named(canonical) ?? "");
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

  /** Every tag of a repository that is named without one; nothing for what names an image otherwise. */
  ofRepository(reference: string): { id: string; name: string }[] {
    if (this.#images.has(reference) || this.#images.has(`sha256:${reference}`)) return [];
    try {
      const { domain, path, tag, digest } = parseReference(reference);
      if (tag !== null || digest !== null) return [];
      const prefix = `${domain}/${path}:`;
      return this.all().flatMap(({ record, names }) =>
        names.filter((name) => name.startsWith(prefix)).map((name) => ({ id: record.id, name })),
      );
    } catch {
      return [];
    }
  }

  /** To be called before `refresh` when an image's record was written anew. */
  forget(id: string): void {
    this.#images.delete(id);
  }

  /** Reads the database's state again. A record that cannot be read is for `check` to tell: nobody else fails of it. */
  refresh(): void {
    const names = new Map<string, string[]>();
    for (const { name, image } of this.#database.names()) names.set(image, [...(names.get(image) ?? []), name]);
    const documents = Map.groupBy(this.#database.documents(), ({ image }) => image);
    const digests = Map.groupBy(this.#database.repositoryDigests(), ({ image }) => image);
    const images = new Map<string, Known>();
    for (const record of this.#database.images()) {
      const config = this.#images.get(record.id)?.config ?? this.#configOf(record);
      images.set(record.id, {
        record,
        config,
        names: names.get(record.id) ?? [],
        documents: documents.get(record.id) ?? [],
        repositoryDigests: digests.get(record.id) ?? [],
      });
    }
    this.#images = images;
    const manifests = new Set([...images.values()].map(({ record }) => record.manifest));
    for (const digest of this.#manifestSizes.keys()) if (!manifests.has(digest)) this.#manifestSizes.delete(digest);
  }

  /** The configuration as recorded, or where that is damaged as it lies among the blobs, or what is left to say without it. */
  #configOf({ id, config, layers }: ImageRecord): ImageConfig {
    const path = this.#content.blobPath(id);
    const texts = [() => config, () => fs.readFileSync(path, "utf8")];
    for (const text of texts) {
      try {
        return parseConfig(text(), `stored image ${id}`);
      } catch {
        // the next one
      }
    }
    return { architecture: "unknown", os: "linux", config: {}, rootfs: { type: "layers", diff_ids: [...layers] } };
  }

  /** To be called when the database has changed. */
  changed(): void {
    this.refresh();
    this.#writeLayoutIndex();
  }

  /** index.json, for those who read the store as an OCI layout. It says what the database says, which is what counts. */
  layoutIndex(): string {
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
    const size = this.#content.blobSize(manifest);
    if (size !== null) this.#manifestSizes.set(manifest, size);
    return size ?? 0;
  }

  #writeLayoutIndex(): void {
    const path = join(this.#content.root, "index.json");
    const text = this.layoutIndex();
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

/** A name to give an image. Throws "reference_invalid" for one by digest. */
export const canonicalTag = (name: string): string => {
  const reference = parseReference(name);
  if (reference.digest) throw new OnggiError("reference_invalid", `"${name}": an image is not named by a digest; give a tag`);
  return canonicalName(reference);
};

/** Each list and each change asks for the short form of every name. */
const MAX_FAMILIAR = 20_000;
const familiarNames = new Map<string, string>();

/** The short form of a canonical name. */
export const familiar = (canonical: string): string => {
  const known = familiarNames.get(canonical);
  if (known !== undefined) return known;
  const short = familiarName(parseReference(canonical));
  if (familiarNames.size >= MAX_FAMILIAR) familiarNames.clear();
  familiarNames.set(canonical, short);
  return short;
};

export const imageOf = ({ record, config, names, repositoryDigests }: Known): Image => ({
  id: record.id,
  names: names.map(familiar),
  repoDigests: repositoryDigests.map(({ repository, digest }) => familiar(`${repository}@${digest}`)),
  config,
  size: record.size,
});
