/**
 * Which images there are, as the database has them, parsed: found by id, name, digest and prefix, and told to those who read the
 * store as an OCI layout.
 */
import * as fs from "node:fs";
import { join } from "node:path";
import { OnggiError } from "../lib/errors.ts";
import { isDigest } from "../oci/digest.ts";
import { distance, nativeDistance, nearest, type Platform, platformText } from "../oci/platform.ts";
import { canonicalName, familiarName, parseReference } from "../oci/reference.ts";
import type { ContentStore } from "./content.ts";
import type { ImageDatabase, ImageDocument, ImageRecord, RepositoryDigest } from "./database.ts";
import { ImageAmbiguous, ImageNotFound, OtherPlatform } from "./errors.ts";
import { hostPlatform, parseConfig, platformOf } from "./image-config.ts";
import type { Image, ImageConfig } from "./types.ts";

export interface Known {
  readonly record: ImageRecord;
  readonly config: ImageConfig;
  readonly platform: Platform;
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
    for (const { record, documents } of this.#images.values()) {
      for (const digest of [record.id, record.manifest, ...record.layers]) needed.add(digest);
      for (const { digest } of documents) needed.add(digest);
    }
    return needed;
  }

  /** The images of a canonical name, which may be one by digest: one for each platform, newest first. */
  named(canonical: string): Known[] {
    return this.all().filter(
      ({ names, repositoryDigests }) =>
        names.includes(canonical) || repositoryDigests.some(({ repository, digest }) => `${repository}@${digest}` === canonical),
    );
  }

  /**
   * By id, by name, by a unique prefix of an id; `name` is the canonical name it was found by. Of a name's images the one for the
   * platform, or where none is asked for the best for this machine. Throws ImageNotFound, ImageAmbiguous, and "platform_not_found"
   * for an id of another platform's image.
   */
  find(reference: string, platform: Platform | null = null): { known: Known; name: string | null } {
    const { found, name } = this.findAll(reference);
    const wanted = platform ?? hostPlatform();
    const far = platform ? distance : nativeDistance;
    const known = nearest(found, (one) => far(wanted, one.platform));
    if (known) return { known, name };
    if (!platform) return { known: found[0]!, name };
    const there = found.map((one) => platformText(one.platform)).join(", ");
    throw new OtherPlatform(reference, platformText(platform), there, !name && !reference.includes("@"));
  }

  /** As `find`, with all the images of a name; at least one. */
  findAll(reference: string): { found: readonly Known[]; name: string | null } {
    const byId = this.#images.get(isDigest(`sha256:${reference}`) ? `sha256:${reference}` : reference);
    if (byId) return { found: [byId], name: null };
    try {
      const asked = parseReference(reference);
      const canonical = canonicalName({ ...asked, tag: asked.digest ? null : asked.tag });
      const found = this.named(canonical);
      if (found.length > 0) return { found, name: asked.digest ? null : canonical };
    } catch (error) {
      if (!(error instanceof OnggiError)) throw error;
    }
    const prefix = reference.replace(/^sha256:/, "");
    if (/^[0-9a-f]{4,64}$/.test(prefix) || (reference.startsWith("sha256:") && /^[0-9a-f]+$/.test(prefix))) {
      const found = this.all().filter(({ record }) => record.id.startsWith(`sha256:${prefix}`));
      if (found.length > 1)
        throw new ImageAmbiguous(
          reference,
          found.map(({ record }) => record.id),
        );
      if (found.length > 0) return { found, name: null };
    }
    throw new ImageNotFound(reference);
  }

  /** The canonical names in a repository that is named without a tag; nothing for what names an image otherwise. */
  ofRepository(reference: string): string[] {
    if (this.#images.has(reference) || this.#images.has(`sha256:${reference}`)) return [];
    try {
      const { domain, path, tag, digest } = parseReference(reference);
      if (tag !== null || digest !== null) return [];
      const prefix = `${domain}/${path}:`;
      return [...new Set(this.all().flatMap(({ names }) => names.filter((name) => name.startsWith(prefix))))];
    } catch {
      return [];
    }
  }

  /** Reads the database's state again. An image that cannot be read is an error of the store, not of its caller. */
  refresh(): void {
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
        platform: this.#images.get(record.id)?.platform ?? platformOf(config),
        names: names.get(record.id) ?? [],
        documents: documents.get(record.id) ?? [],
        repositoryDigests: digests.get(record.id) ?? [],
      });
    }
    this.#images = images;
    const manifests = new Set([...images.values()].map(({ record }) => record.manifest));
    for (const digest of this.#manifestSizes.keys()) if (!manifests.has(digest)) this.#manifestSizes.delete(digest);
  }

  /** To be called when the database has changed. */
  changed(): void {
    this.refresh();
    this.#writeLayoutIndex();
  }

  /** index.json, for those who read the store as an OCI layout. It says what the database says, which is what counts. */
  layoutIndex(): string {
    // Who reads it by a name takes the first of that name: this machine's come before others'.
    const machine = hostPlatform();
    const groups = Object.groupBy(this.all(), ({ platform }) => (nativeDistance(machine, platform) === null ? "others" : "own"));
    const manifests = [...(groups.own ?? []), ...(groups.others ?? [])].flatMap(({ record, names, platform }) => {
      // Remembered: with a thousand images a thousand files would be asked at each change.
      const size = this.#manifestSize(record);
      const descriptor = {
        mediaType: "application/vnd.oci.image.manifest.v1+json",
        digest: record.manifest,
        size,
        platform,
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

export const imageOf = ({ record, config, platform, names, repositoryDigests }: Known): Image => ({
  id: record.id,
  names: names.map(familiar),
  repoDigests: repositoryDigests.map(({ repository, digest }) => familiar(`${repository}@${digest}`)),
  config,
  platform: platformText(platform),
  size: record.size,
});
