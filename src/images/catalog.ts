/**
 * Which images there are, as the database has them, parsed: found by id, name, digest and prefix, and told to those who read the
 * store as an OCI layout. A change costs what it concerns, however many images there are.
 */
import * as fs from "node:fs";
import { OnggiError } from "../lib/errors.ts";
import { isDigest } from "../oci/digest.ts";
import { distance, nativeDistance, nearest, type Platform, platformText } from "../oci/platform.ts";
import { canonicalName, familiarName, parseReference } from "../oci/reference.ts";
import type { ContentStore } from "./content.ts";
import type { ImageDatabase, ImageDocument, ImageRecord, RepositoryDigest } from "./database.ts";
import { ImageAmbiguous, ImageNotFound, OtherPlatform } from "./errors.ts";
import { hostPlatform, parseConfig, platformOf } from "./image-config.ts";
import { LayoutIndex } from "./layout-index.ts";
import type { Image, ImageConfig } from "./types.ts";

export interface Known {
  readonly record: ImageRecord;
  readonly config: ImageConfig;
  readonly platform: Platform;
  /** This machine runs it by itself. */
  readonly native: boolean;
  /** Canonical names, sorted. */
  readonly names: readonly string[];
  readonly documents: readonly ImageDocument[];
  readonly repositoryDigests: readonly RepositoryDigest[];
}

/** The blobs of an image. Should record and configuration disagree, `check` tells; until then what either names is needed. */
const blobsOf = ({ record, config, documents }: Known): string[] => {
  const layers = [...record.layers, ...config.rootfs.diff_ids];
  return [...new Set([record.id, record.manifest, ...layers, ...documents.map(({ digest }) => digest)])];
};

/** Every canonical name of an image, those by digest too. */
const allNames = ({ names, repositoryDigests }: Known): string[] => [
  ...names,
  ...repositoryDigests.map(({ repository, digest }) => `${repository}@${digest}`),
];

export class Catalog {
  readonly #database: ImageDatabase;
  readonly #content: ContentStore;
  readonly #layout: LayoutIndex;
  /** By id, oldest first. */
  readonly #images = new Map<string, Known>();
  /** Ids by `allNames`. */
  readonly #ids = new Map<string, Set<string>>();
  /** How many images need a blob. */
  readonly #needed = new Map<string, number>();
  /** By id: what index.json says of an image. */
  readonly #descriptors = new Map<string, string>();

  constructor(database: ImageDatabase, content: ContentStore) {
    this.#database = database;
    this.#content = content;
    this.#layout = new LayoutIndex(content, () => this.#layoutText());
    this.reload();
  }

  /** Newest first. */
  all(): Known[] {
    return [...this.#images.values()].reverse();
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
    return new Set(this.#needed.keys());
  }

  /** Whether some image needs a blob. */
  needs(digest: string): boolean {
    return this.#needed.has(digest);
  }

  /** The images of a canonical name, which may be one by digest: one for each platform, newest first. */
  named(canonical: string): Known[] {
    const ids = this.#ids.get(canonical);
    if (!ids) return [];
    if (ids.size > 1) return this.all().filter(({ record }) => ids.has(record.id));
    return [...ids].map((id) => this.#images.get(id)!);
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

  /** As `find`, with all the images of a name; at least one. `digest`: what a repository calls it by, where that was asked for. */
  findAll(reference: string): { found: readonly Known[]; name: string | null; digest: RepositoryDigest | null } {
    const byId = this.#images.get(isDigest(`sha256:${reference}`) ? `sha256:${reference}` : reference);
    if (byId) return { found: [byId], name: null, digest: null };
    try {
      const asked = parseReference(reference);
      const canonical = canonicalName({ ...asked, tag: asked.digest ? null : asked.tag });
      const found = this.named(canonical);
      const digest = asked.digest ? { repository: `${asked.domain}/${asked.path}`, digest: asked.digest } : null;
      if (found.length > 0) return { found, name: digest ? null : canonical, digest };
    } catch (error) {
      if (!(error instanceof OnggiError)) throw error;
    }
    const prefix = reference.replace(/^sha256:/, "");
    if (/^[0-9a-f]{4,64}$/.test(prefix) || (reference.startsWith("sha256:") && /^[0-9a-f]+$/.test(prefix))) {
      const matches = this.#database.idsWith(`sha256:${prefix}`);
      if (matches.length > 1) throw new ImageAmbiguous(reference, matches);
      const known = this.#images.get(matches[0] ?? "");
      if (known) return { found: [known], name: null, digest: null };
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

  /** To be called with the ids of the images that a change of the database concerned. */
  changed(ids: Iterable<string>): void {
    for (const id of new Set(ids)) {
      const [known] = this.#read(id);
      if (known) this.#put(known);
      else this.#drop(id);
    }
    this.#layout.changed();
  }

  /** Reads everything again, and makes index.json right. A record that cannot be read is for `check` to tell: nobody fails of it. */
  reload(): void {
    const found = this.#read();
    for (const id of this.ids()) this.#drop(id);
    for (const known of found) this.#put(known);
    this.#layout.restore();
  }

  /** What index.json should say; changes it has not been told of yet are written first. */
  layoutIndex(): string {
    this.#layout.catchUp();
    return this.#layoutText();
  }

  /** The last changes reach index.json. */
  close(): void {
    this.#layout.catchUp();
  }

  /** What the database says of all images, or of one. */
  #read(id?: string): Known[] {
    const names = Map.groupBy(this.#database.names(id), ({ image }) => image);
    const documents = Map.groupBy(this.#database.documents(id), ({ image }) => image);
    const digests = Map.groupBy(this.#database.repositoryDigests(id), ({ image }) => image);
    return this.#database.images(id).map((record) => ({
      ...this.#parsed(record),
      record,
      names: (names.get(record.id) ?? []).map(({ name }) => name),
      documents: documents.get(record.id) ?? [],
      repositoryDigests: digests.get(record.id) ?? [],
    }));
  }

  /** What follows from a record: from its configuration, where that is damaged from the one among the blobs, else next to nothing. */
  #parsed({ id, config: text, layers }: ImageRecord): Pick<Known, "config" | "platform" | "native"> {
    const known = this.#images.get(id);
    if (known?.record.config === text) return known;
    const path = this.#content.blobPath(id);
    let config: ImageConfig = {
      architecture: "unknown",
      os: "linux",
      config: {},
      rootfs: { type: "layers", diff_ids: [...layers] },
    };
    for (const read of [() => text, () => fs.readFileSync(path, "utf8")]) {
      try {
        config = parseConfig(read(), `stored image ${id}`);
        break;
      } catch {
        // the next one
      }
    }
    const platform = platformOf(config);
    return { config, platform, native: nativeDistance(hostPlatform(), platform) !== null };
  }

  /** An image keeps its place; a new one is the newest. */
  #put(known: Known): void {
    const { id } = known.record;
    this.#forget(id);
    this.#images.set(id, known);
    for (const name of allNames(known)) this.#ids.set(name, (this.#ids.get(name) ?? new Set()).add(id));
    for (const digest of blobsOf(known)) this.#needed.set(digest, (this.#needed.get(digest) ?? 0) + 1);
  }

  #drop(id: string): void {
    this.#forget(id);
    this.#images.delete(id);
  }

  /** Takes out what was derived from an image. */
  #forget(id: string): void {
    const known = this.#images.get(id);
    if (!known) return;
    this.#descriptors.delete(id);
    for (const name of allNames(known)) {
      const ids = this.#ids.get(name)!;
      ids.delete(id);
      if (ids.size === 0) this.#ids.delete(name);
    }
    for (const digest of blobsOf(known)) {
      const others = this.#needed.get(digest)! - 1;
      if (others > 0) this.#needed.set(digest, others);
      else this.#needed.delete(digest);
    }
  }

  /** Who reads it by a name takes the first of that name: what this machine runs comes before the others. */
  #layoutText(): string {
    const all = this.all();
    const ordered = [...all.filter(({ native }) => native), ...all.filter(({ native }) => !native)];
    return `{"schemaVersion":2,"manifests":[${ordered.map((known) => this.#descriptorsOf(known))}]}`;
  }

  /** A descriptor for each name, or one without, as JSON. */
  #descriptorsOf({ record, names, platform }: Known): string {
    const before = this.#descriptors.get(record.id);
    if (before !== undefined) return before;
    const size = this.#content.blobSize(record.manifest);
    const descriptor = {
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      digest: record.manifest,
      size: size ?? 0,
      platform,
    };
    const named = names.map((name) => ({
      ...descriptor,
      annotations: { "org.opencontainers.image.ref.name": familiar(name) },
    }));
    const text = (named.length > 0 ? named : [descriptor]).map((one) => JSON.stringify(one)).join();
    // One that is missing may come back.
    if (size !== null) this.#descriptors.set(record.id, text);
    return text;
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
