/** Which images there are, of what they consist and how they are called: SQLite, durable when a call returns. */
import { Database } from "bun:sqlite";
import { OnggiError } from "../lib/errors.ts";
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

const SCHEMA_VERSION = 1;

const schema = `
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
  PRAGMA user_version = ${SCHEMA_VERSION};
`;

export class ImageDatabase {
  readonly #db: Database;

  /** Opens or makes the database. Throws "store_version" for one that a newer onggi wrote. */
  constructor(path: string) {
    this.#db = new Database(path, { create: true, strict: true });
    this.#db.run("PRAGMA journal_mode = WAL");
    this.#db.run("PRAGMA synchronous = FULL");
    this.#db.run("PRAGMA foreign_keys = ON");
    const { user_version: version } = this.#db.query<{ user_version: number }, []>("PRAGMA user_version").get()!;
    if (version > SCHEMA_VERSION) {
      this.#db.close();
      throw new OnggiError("store_version", `${path} has schema version ${version}; this onggi knows up to ${SCHEMA_VERSION}`);
    }
    if (version === 0) this.#db.transaction(() => this.#db.run(schema)).immediate();
  }

  /** Records images with their names, all or none. A name moves to the image that has it last. */
  add(images: readonly { record: ImageRecord; names: readonly string[] }[]): void {
    this.#transaction("recording an image", () => {
      for (const { record, names } of images) {
        this.#db
          .query("INSERT INTO images (id, config, manifest, size) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING")
          .run(record.id, record.config, record.manifest, record.size);
        record.layers.forEach((diffId, position) => {
          this.#db
            .query("INSERT INTO image_layers (image, position, diff_id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
            .run(record.id, position, diffId);
        });
        for (const name of names) this.#setName(name, record.id);
      }
    });
  }

  setName(name: string, image: string): void {
    this.#transaction("naming an image", () => this.#setName(name, image));
  }

  removeNames(names: readonly string[]): void {
    this.#transaction("removing a name", () => {
      for (const name of names) this.#db.query("DELETE FROM names WHERE name = ?").run(name);
    });
  }

  removeImage(id: string): void {
    this.#transaction("removing an image", () => void this.#db.query("DELETE FROM images WHERE id = ?").run(id));
  }

  images(): ImageRecord[] {
    const layers = new Map<string, string[]>();
    const rows = this.#db.query<{ image: string; diff_id: string }, []>(
      "SELECT image, diff_id FROM image_layers ORDER BY image, position",
    );
    for (const row of rows.all()) {
      const list = layers.get(row.image);
      if (list) list.push(row.diff_id);
      else layers.set(row.image, [row.diff_id]);
    }
    return this.#db
      .query<Omit<ImageRecord, "layers">, []>("SELECT id, config, manifest, size FROM images ORDER BY rowid DESC")
      .all()
      .map((row) => ({ ...row, layers: layers.get(row.id) ?? [] }));
  }

  names(): { name: string; image: string }[] {
    return this.#db.query<{ name: string; image: string }, []>("SELECT name, image FROM names ORDER BY name").all();
  }

  close(): void {
    this.#db.close();
  }

  #setName(name: string, image: string): void {
    this.#db
      .query("INSERT INTO names (name, image) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET image = excluded.image")
      .run(name, image);
  }

  #transaction(doing: string, work: () => void): void {
    try {
      this.#db.transaction(work).immediate();
    } catch (error) {
      throw explainDisk(error, doing);
    }
  }
}
