/** When images were last used: a table beside the containers'. A power cut may take the last of it away. */
import { Database } from "bun:sqlite";

/** A use is written down when the last that was lies so far back, in milliseconds. */
const FINE = 60_000;

export class ImageUses {
  readonly #db: Database;
  readonly #last = new Map<string, number>();

  /** Opens or makes the table in the database at `path`. */
  constructor(path: string) {
    this.#db = new Database(path, { create: true, strict: true });
    this.#db.run("PRAGMA journal_mode = WAL");
    this.#db.run("PRAGMA synchronous = NORMAL");
    this.#db.run("CREATE TABLE IF NOT EXISTS image_uses (id TEXT PRIMARY KEY, at INTEGER NOT NULL) STRICT, WITHOUT ROWID");
    for (const { id, at } of this.#db.query<{ id: string; at: number }, []>("SELECT id, at FROM image_uses").all())
      this.#last.set(id, at);
  }

  /** It is used now. */
  touch(id: string, now = Date.now()): void {
    if (id === "" || now - (this.#last.get(id) ?? 0) < FINE) return;
    this.#db.query("INSERT OR REPLACE INTO image_uses (id, at) VALUES (?, ?)").run(id, now);
    this.#last.set(id, now);
  }

  /** Milliseconds since the epoch; undefined for one that has never been seen. */
  lastUsed(id: string): number | undefined {
    return this.#last.get(id);
  }

  /** Forgets images that are not among those. */
  keep(ids: ReadonlySet<string>): void {
    for (const id of [...this.#last.keys()].filter((known) => !ids.has(known))) {
      this.#db.query("DELETE FROM image_uses WHERE id = ?").run(id);
      this.#last.delete(id);
    }
  }

  close(): void {
    this.#db.close();
  }
}
