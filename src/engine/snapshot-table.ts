/** Snapshots: a table beside the containers', durable when a call returns. */
import { Database } from "bun:sqlite";
import type { ContainerRequest } from "./types.ts";

export interface SnapshotRecord {
  readonly id: string;
  readonly name: string;
  /** Nanoseconds since the epoch, decimal. */
  readonly createdNs: string;
  /** The container it is of, as it was called then. */
  readonly container: { readonly id: string; readonly name: string };
  /** What that was asked to be. */
  readonly request: ContainerRequest;
  /** Its files: the container's image, and over it what the container had changed. */
  readonly imageId: string;
  readonly lease?: string;
}

export class SnapshotTable {
  readonly #db: Database;
  readonly #snapshots = new Map<string, SnapshotRecord>();
  readonly #holds = new Map<string, number>();

  /** Opens or makes the table in the database at `path`. */
  constructor(path: string) {
    this.#db = new Database(path, { create: true, strict: true });
    this.#db.run("PRAGMA journal_mode = WAL");
    this.#db.run("PRAGMA synchronous = FULL");
    this.#db.run(
      "CREATE TABLE IF NOT EXISTS snapshots (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, data TEXT NOT NULL) STRICT",
    );
    for (const { data } of this.#db.query<{ data: string }, []>("SELECT data FROM snapshots ORDER BY rowid").all()) {
      const snapshot = JSON.parse(data) as SnapshotRecord;
      this.#snapshots.set(snapshot.id, snapshot);
    }
  }

  /** Oldest first. */
  all(): SnapshotRecord[] {
    return [...this.#snapshots.values()];
  }

  has(id: string): boolean {
    return this.#snapshots.has(id);
  }

  insert(snapshot: SnapshotRecord): void {
    const { id, name } = snapshot;
    this.#db.query("INSERT INTO snapshots (id, name, data) VALUES (?, ?, ?)").run(id, name, JSON.stringify(snapshot));
    this.#snapshots.set(id, snapshot);
  }

  delete(id: string): void {
    this.#db.query("DELETE FROM snapshots WHERE id = ?").run(id);
    this.#snapshots.delete(id);
  }

  /** The snapshot's files stay, with or without a record, until the function that is returned is called. */
  hold(id: string): () => void {
    this.#holds.set(id, (this.#holds.get(id) ?? 0) + 1);
    return () => {
      const left = (this.#holds.get(id) ?? 1) - 1;
      if (left > 0) this.#holds.set(id, left);
      else this.#holds.delete(id);
    };
  }

  isHeld(id: string): boolean {
    return this.#holds.has(id);
  }

  close(): void {
    this.#db.close();
  }
}
