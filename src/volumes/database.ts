/** The record of volumes: one row each. */
import { Database } from "bun:sqlite";
import { OnggiError } from "../lib/errors.ts";

/** What is being done to a volume: made (until then it is not there), filled out of its staging directory, removed. */
export type VolumePhase = "making" | "ready" | "filling" | "removing";

export interface VolumeRecord {
  readonly name: string;
  readonly created: string;
  readonly options: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly anonymous: boolean;
  owner: string | null;
  readonly lease?: string;
  phase: VolumePhase;
}

const SCHEMA_VERSION = 1;

export class VolumeTable {
  readonly #db: Database;
  #full = false;

  /** Opens or makes the database. Throws for one that a newer onggi wrote. */
  constructor(path: string) {
    this.#db = new Database(path, { create: true, strict: true });
    this.#db.run("PRAGMA journal_mode = WAL");
    this.#db.run("PRAGMA synchronous = NORMAL");
    const { user_version: version } = this.#db.query("PRAGMA user_version").get() as { user_version: number };
    if (version > SCHEMA_VERSION) {
      this.#db.close();
      throw new OnggiError(
        "database_too_new",
        `${path} was written by a newer onggi (schema ${version}, this one knows ${SCHEMA_VERSION}); use that version or another --root`,
      );
    }
    this.#db.run("CREATE TABLE IF NOT EXISTS volumes (name TEXT PRIMARY KEY, data TEXT NOT NULL) STRICT");
    this.#db.run(`PRAGMA user_version = ${SCHEMA_VERSION}`);
  }

  all(): VolumeRecord[] {
    const rows = this.#db.query<{ data: string }, []>("SELECT data FROM volumes ORDER BY name").all();
    return rows.map(({ data }) => JSON.parse(data) as VolumeRecord);
  }

  /** `durable`: survives a power cut once this returns; it survives the engine's death in any case. */
  put(record: VolumeRecord, durable: boolean): void {
    this.#durable(durable);
    this.#db.query("INSERT OR REPLACE INTO volumes (name, data) VALUES (?, ?)").run(record.name, JSON.stringify(record));
  }

  delete(name: string, durable: boolean): void {
    this.#durable(durable);
    this.#db.query("DELETE FROM volumes WHERE name = ?").run(name);
  }

  close(): void {
    this.#db.close();
  }

  #durable(full: boolean): void {
    if (full === this.#full) return;
    this.#db.run(`PRAGMA synchronous = ${full ? "FULL" : "NORMAL"}`);
    this.#full = full;
  }
}
