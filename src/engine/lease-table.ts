/** Leases that have not ended: a table beside the containers'. What belongs to a lease names it in its own record. */
import { Database } from "bun:sqlite";

export interface LeaseRecord {
  readonly id: string;
  /** The boot in which it was given: whoever held it is not there after another one. */
  readonly bootId: string;
  /** What was made under it is being removed. */
  readonly ended: boolean;
}

export class LeaseTable {
  readonly #db: Database;

  /** Opens or makes the table in the database at `path`. */
  constructor(path: string) {
    this.#db = new Database(path, { create: true, strict: true });
    this.#db.run("PRAGMA journal_mode = WAL");
    this.#db.run("PRAGMA synchronous = NORMAL");
    this.#db.run("CREATE TABLE IF NOT EXISTS leases (id TEXT PRIMARY KEY, data TEXT NOT NULL) STRICT");
  }

  all(): LeaseRecord[] {
    return this.#db
      .query<{ data: string }, []>("SELECT data FROM leases")
      .all()
      .map(({ data }) => JSON.parse(data) as LeaseRecord);
  }

  put(lease: LeaseRecord): void {
    this.#db.query("INSERT OR REPLACE INTO leases (id, data) VALUES (?, ?)").run(lease.id, JSON.stringify(lease));
  }

  delete(id: string): void {
    this.#db.query("DELETE FROM leases WHERE id = ?").run(id);
  }

  close(): void {
    this.#db.close();
  }
}
