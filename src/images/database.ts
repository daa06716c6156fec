/** Which images there are, of what they consist and how they are called: SQLite, durable when a call returns. */
import { Database } from "bun:sqlite";
import { messageOf, OnggiError } from "../lib/errors.ts";
import { explainDisk } from "./files.ts";

export interface ImageRecord {
  readonly id: string;
  /** The configuration's exact text. */
  readonly config: string;
  /** Digest of the manifest in the content store. */
  readonly manifest: string;
  /** diffIDs, lowest first. */
  readonly layers: readonly string[];
  /** Bytes of all layers. */
  readonly size: number;
}

/** An image to record, with what is known about where it came from. */
export interface NewImage {
  readonly record: ImageRecord;
  /** Canonical names. */
  readonly names: readonly string[];
  /** "linux/arm64": what the image is for. */
  readonly platform: string;
  /** The names keep the images of other platforms that they have. */
  readonly beside?: boolean;
  readonly documents?: readonly ImageDocument[];
  readonly repositoryDigests?: readonly RepositoryDigest[];
}

/** What a name means for one platform. */
export interface NamedImage {
  readonly id: string;
  readonly platform: string;
}

/** One form in which registries have a layer: the bytes of that digest expand to the tar. */
export interface LayerBlob {
  /** Digest and size of the blob as it travels. */
  readonly digest: string;
  readonly size: number;
  readonly mediaType: string;
  readonly diffId: string;
}

/** A manifest or index that was pulled or pushed, kept under its digest among the blobs. */
export interface ImageDocument {
  readonly digest: string;
  readonly mediaType: string;
}

/** What registries call an image: "docker.io/library/busybox" has it under this digest. */
export interface RepositoryDigest {
  readonly repository: string;
  /** Of the index, or of the manifest where there is no index. */
  readonly digest: string;
}

const SCHEMA_VERSION = 4;

/** What changed a database of the version before into this version. */
const steps: readonly string[] = [
  `
  CREATE TABLE images (
    id TEXT PRIMARY KEY,
    config TEXT NOT NULL,
    manifest TEXT NOT NULL,
    size INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE image_layers (
    image TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    diff_id TEXT NOT NULL,
    PRIMARY KEY (image, position)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX image_layers_by_layer ON image_layers (diff_id);
  CREATE TABLE names (
    name TEXT PRIMARY KEY,
    image TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX names_by_image ON names (image);
`,
  `
  CREATE TABLE layer_blobs (
    digest TEXT PRIMARY KEY,
    size INTEGER NOT NULL,
    media_type TEXT NOT NULL,
    diff_id TEXT NOT NULL,
    taken INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX layer_blobs_by_layer ON layer_blobs (diff_id);
  CREATE TABLE blob_sources (
    digest TEXT NOT NULL REFERENCES layer_blobs (digest) ON DELETE CASCADE,
    repository TEXT NOT NULL,
    PRIMARY KEY (digest, repository)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE documents (
    image TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    digest TEXT NOT NULL,
    media_type TEXT NOT NULL,
    PRIMARY KEY (image, digest)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE repository_digests (
    repository TEXT NOT NULL,
    digest TEXT NOT NULL,
    image TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    PRIMARY KEY (repository, digest)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX repository_digests_by_image ON repository_digests (image);
`,
  `
  CREATE TABLE manifest_lists (
    name TEXT PRIMARY KEY,
    members TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
`,
  // A name has an image for each platform, and so has an index's digest.
  `
  CREATE TABLE platform_names (
    name TEXT NOT NULL,
    platform TEXT NOT NULL,
    image TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    PRIMARY KEY (name, platform)
  ) STRICT, WITHOUT ROWID;
  INSERT INTO platform_names (name, platform, image)
    SELECT name, 'linux/' || architecture || CASE
        WHEN variant = '' OR architecture || variant IN ('amd64v1', 'arm64v8', 'armv7') THEN '' ELSE '/' || variant END, image
    FROM (
      SELECT name, image, coalesce(json_extract(config, '$.architecture'), 'unknown') AS architecture,
        coalesce(json_extract(config, '$.variant'), '') AS variant
      FROM names JOIN (SELECT id, CASE WHEN json_valid(config) THEN config ELSE '{}' END AS config FROM images) ON id = image
    );
  DROP TABLE names;
  ALTER TABLE platform_names RENAME TO names;
  CREATE INDEX names_by_image ON names (image);
  CREATE TABLE platform_digests (
    repository TEXT NOT NULL,
    digest TEXT NOT NULL,
    image TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    PRIMARY KEY (repository, digest, image)
  ) STRICT, WITHOUT ROWID;
  INSERT INTO platform_digests (repository, digest, image) SELECT repository, digest, image FROM repository_digests;
  DROP TABLE repository_digests;
  ALTER TABLE platform_digests RENAME TO repository_digests;
  CREATE INDEX repository_digests_by_image ON repository_digests (image);
`,
];

/** Turns what SQLite says of a file it cannot read into an error that says what to do; other errors pass. */
export const explainDamage = (error: unknown, path: string): unknown => {
  const { code, message } = error as { code?: unknown; message?: string };
  if (typeof code !== "string" || !["SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_ERROR"].includes(code)) return error;
  return new OnggiError(
    "store_damaged",
    `${path} is damaged (${message}): put a copy of it in its place, or move it away and load or pull the images again`,
    { cause: error },
  );
};

/** Rows as their table's columns allow them. Throws as SQLite does for a damaged file: it trusts what it has once written. */
const sound = <T>(rows: T[]): T[] => {
  const allowed = (value: unknown): boolean => typeof value === "string" || typeof value === "number";
  if (rows.every((row) => Object.values(row as object).every(allowed))) return rows;
  throw Object.assign(new Error("a row holds what its table forbids"), { code: "SQLITE_CORRUPT" });
};

export class ImageDatabase {
  readonly #db: Database;

  /** Opens or makes the database. Throws "store_version" for one that a newer onggi wrote, "store_damaged". */
  constructor(path: string) {
    this.#db = new Database(path, { create: true, strict: true });
    try {
      this.#open(path);
    } catch (error) {
      this.#db.close();
      throw explainDamage(error, path);
    }
  }

  #open(path: string): void {
    this.#db.run("PRAGMA journal_mode = WAL");
    this.#db.run("PRAGMA synchronous = FULL");
    this.#db.run("PRAGMA foreign_keys = ON");
    const { user_version: version } = this.#db.query<{ user_version: number }, []>("PRAGMA user_version").get()!;
    if (version > SCHEMA_VERSION)
      throw new OnggiError("store_version", `${path} has schema version ${version}; this onggi knows up to ${SCHEMA_VERSION}`);
    this.#db
      .transaction(() => {
        for (const step of steps.slice(version)) this.#db.run(step);
        if (version < SCHEMA_VERSION) this.#db.run(`PRAGMA user_version = ${SCHEMA_VERSION}`);
      })
      .immediate();
  }

  // Each change of images returns the ids of those it concerned.

  /** Records images with their names, all or none. A name moves to the image that has it last; see `beside`. */
  add(images: readonly NewImage[]): string[] {
    return this.#transaction("recording an image", () => {
      const changed: string[] = [];
      for (const { record, names, platform, beside = false, documents = [], repositoryDigests = [] } of images) {
        changed.push(record.id);
        this.#db
          .query("INSERT INTO images (id, config, manifest, size) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING")
          .run(record.id, record.config, record.manifest, record.size);
        record.layers.forEach((diffId, position) => {
          this.#db
            .query("INSERT INTO image_layers (image, position, diff_id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
            .run(record.id, position, diffId);
        });
        for (const name of names) {
          if (!beside) changed.push(...this.#delete("names", "name", name));
          changed.push(...this.#setName(name, { id: record.id, platform }));
        }
        for (const { digest, mediaType } of documents) {
          this.#db
            .query("INSERT INTO documents (image, digest, media_type) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
            .run(record.id, digest, mediaType);
        }
        for (const { repository, digest } of repositoryDigests) {
          this.#db
            .query("INSERT INTO repository_digests (repository, digest, image) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
            .run(repository, digest, record.id);
        }
      }
      return changed;
    });
  }

  /** Writes the record of an image that is there anew. */
  restoreImage({ id, config, manifest, layers, size }: ImageRecord): string[] {
    return this.#transaction("recording an image", () => {
      this.#db.query("UPDATE images SET config = ?, manifest = ?, size = ? WHERE id = ?").run(config, manifest, size, id);
      this.#db.query("DELETE FROM image_layers WHERE image = ?").run(id);
      layers.forEach((diffId, position) => {
        this.#db.query("INSERT INTO image_layers (image, position, diff_id) VALUES (?, ?, ?)").run(id, position, diffId);
      });
      return [id];
    });
  }

  /** A layer that is whole in the content store came as this blob, from that repository. Survives a pull that fails later. */
  addLayerBlob({ digest, size, mediaType, diffId }: LayerBlob, repository: string): void {
    this.#transaction("recording a layer", () => {
      this.#db
        .query(
          `INSERT INTO layer_blobs (digest, size, media_type, diff_id, taken) VALUES (?, ?, ?, ?, ?)
           ON CONFLICT (digest) DO UPDATE SET diff_id = excluded.diff_id, taken = excluded.taken`,
        )
        .run(digest, size, mediaType, diffId, Date.now());
      this.#db
        .query("INSERT INTO blob_sources (digest, repository) VALUES (?, ?) ON CONFLICT DO NOTHING")
        .run(digest, repository);
    });
  }

  /** The blob of that digest, if its layer was ever taken in. */
  layerBlob(digest: string): LayerBlob | null {
    return this.#db
      .query<LayerBlob, [string]>(
        "SELECT digest, size, media_type AS mediaType, diff_id AS diffId FROM layer_blobs WHERE digest = ?",
      )
      .get(digest);
  }

  /** Every known form of a layer, the one seen last first, each with the repositories that have it. */
  blobsOfLayer(diffId: string): (LayerBlob & { readonly repositories: readonly string[] })[] {
    return this.#db
      .query<LayerBlob, [string]>(
        "SELECT digest, size, media_type AS mediaType, diff_id AS diffId FROM layer_blobs WHERE diff_id = ? ORDER BY taken DESC, digest",
      )
      .all(diffId)
      .map((blob) => ({
        ...blob,
        repositories: this.#db
          .query<{ repository: string }, [string]>("SELECT repository FROM blob_sources WHERE digest = ? ORDER BY repository")
          .all(blob.digest)
          .map(({ repository }) => repository),
      }));
  }

  /** Layers taken in since `since` (milliseconds since the epoch), which no image need have yet. */
  layersTakenSince(since: number): string[] {
    return this.#db
      .query<{ diff_id: string }, [number]>("SELECT DISTINCT diff_id FROM layer_blobs WHERE taken >= ?")
      .all(since)
      .map(({ diff_id }) => diff_id);
  }

  /** Forgets the forms of layers that are gone. */
  removeLayerBlobs(diffIds: readonly string[]): void {
    this.#transaction("forgetting a layer", () => {
      for (const diffId of diffIds) this.#db.query("DELETE FROM layer_blobs WHERE diff_id = ?").run(diffId);
    });
  }

  /** Forgets a document, and that a registry calls an image by it. */
  removeDocument(digest: string): string[] {
    return this.#transaction("forgetting a document", () =>
      ["documents", "repository_digests"].flatMap((table) => this.#delete(table, "digest", digest)),
    );
  }

  /** What SQLite finds wrong with its file, and references that lead nowhere; "ok" alone when all is well. */
  state(): string[] {
    try {
      const found = this.#db.query<{ integrity_check: string }, []>("PRAGMA integrity_check").all();
      const loose = this.#db.query<{ table: string }, []>("PRAGMA foreign_key_check").all();
      return [...found.map((row) => row.integrity_check), ...loose.map(({ table }) => `a row of ${table} refers to no image`)];
    } catch (error) {
      return [messageOf(error)];
    }
  }

  /** The name means these images and no others. */
  setName(name: string, images: readonly NamedImage[]): string[] {
    return this.#transaction("naming an image", () => [
      ...this.#delete("names", "name", name),
      ...images.flatMap((image) => this.#setName(name, image)),
    ]);
  }

  /** With the names, what `repositories` call the image. */
  removeNames(image: string, names: readonly string[], digests: readonly RepositoryDigest[] = []): string[] {
    this.#transaction("removing a name", () => {
      for (const name of names) this.#db.query("DELETE FROM names WHERE name = ? AND image = ?").run(name, image);
      const gone = this.#db.query("DELETE FROM repository_digests WHERE repository = ? AND digest = ? AND image = ?");
      for (const { repository, digest } of digests) gone.run(repository, digest, image);
    });
    return [image];
  }

  removeImage(id: string): string[] {
    this.#transaction("removing an image", () => this.#db.query("DELETE FROM images WHERE id = ?").run(id));
    return [id];
  }

  // What there is: of all images, oldest first, or of one.

  images(id?: string): ImageRecord[] {
    const layers = Map.groupBy(
      this.#rows<{ image: string; diff_id: string }>("SELECT image, diff_id FROM image_layers", "image", "image, position", id),
      ({ image }) => image,
    );
    return this.#rows<Omit<ImageRecord, "layers">>("SELECT id, config, manifest, size FROM images", "id", "rowid", id).map(
      (row) => ({
        ...row,
        layers: (layers.get(row.id) ?? []).map(({ diff_id }) => diff_id),
      }),
    );
  }

  names(image?: string): { name: string; image: string }[] {
    return this.#rows("SELECT name, image FROM names", "image", "name", image);
  }

  documents(image?: string): (ImageDocument & { readonly image: string })[] {
    return this.#rows("SELECT image, digest, media_type AS mediaType FROM documents", "image", "image, digest", image);
  }

  repositoryDigests(image?: string): (RepositoryDigest & { readonly image: string })[] {
    return this.#rows("SELECT repository, digest, image FROM repository_digests", "image", "repository, digest", image);
  }

  /** Ids that begin with that text. */
  idsWith(prefix: string): string[] {
    // "g" comes after every hexadecimal digit
    return this.#db
      .query<{ id: string }, [string, string]>("SELECT id FROM images WHERE id >= ? AND id < ? ORDER BY id")
      .all(prefix, `${prefix}g`)
      .map(({ id }) => id);
  }

  /** Manifest lists by canonical name; the members as JSON text. */
  manifestLists(): { name: string; members: string }[] {
    return this.#db.query<{ name: string; members: string }, []>("SELECT name, members FROM manifest_lists ORDER BY name").all();
  }

  /** Reads a list's members (null: there is none), and writes what `change` makes of them (null: removes it), in one transaction. */
  changeManifestList(name: string, change: (members: string | null) => string | null): void {
    this.#transaction("recording a manifest list", () => {
      const found = this.#db.query<{ members: string }, [string]>("SELECT members FROM manifest_lists WHERE name = ?").get(name);
      const members = change(found?.members ?? null);
      if (members === null) this.#db.query("DELETE FROM manifest_lists WHERE name = ?").run(name);
      else
        this.#db
          .query(
            "INSERT INTO manifest_lists (name, members) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET members = excluded.members",
          )
          .run(name, members);
    });
  }

  close(): void {
    this.#db.close();
  }

  #rows<T>(select: string, column: string, order: string, only: string | undefined): T[] {
    if (only === undefined) return sound(this.#db.query<T, []>(`${select} ORDER BY ${order}`).all());
    return sound(this.#db.query<T, [string]>(`${select} WHERE ${column} = ? ORDER BY ${order}`).all(only));
  }

  /** Deletes the rows that have the value; returns the images they were about. */
  #delete(table: string, column: string, value: string): string[] {
    return this.#db
      .query<{ image: string }, [string]>(`DELETE FROM ${table} WHERE ${column} = ? RETURNING image`)
      .all(value)
      .map(({ image }) => image);
  }

  #setName(name: string, { id, platform }: NamedImage): string[] {
    const before = this.#db
      .query<{ image: string }, [string, string]>("SELECT image FROM names WHERE name = ? AND platform = ?")
      .get(name, platform);
    this.#db
      .query(
        `INSERT INTO names (name, platform, image) VALUES (?, ?, ?)
         ON CONFLICT (name, platform) DO UPDATE SET image = excluded.image`,
      )
      .run(name, platform, id);
    return before ? [before.image, id] : [id];
  }

  #transaction<T>(doing: string, work: () => T): T {
    try {
      return this.#db.transaction(work).immediate();
    } catch (error) {
      throw explainDisk(error, doing);
    }
  }
}
