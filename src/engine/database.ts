/**
 * The engine's record of intent: one row per container.
 *
 * What a client was told is done is committed with `synchronous=FULL`. What nobody was told, or what a power cut undoes anyway
 * (that a process runs, everything about a container that removes itself), survives the engine's death but not the machine's.
 */
import { Database } from "bun:sqlite";
import { OnggiError } from "../lib/errors.ts";
import type { ForeignRuntime } from "./runtimes.ts";
import type { ContainerRequest, ContainerState, HealthCheck, HealthState, MountPoint } from "./types.ts";

/** All the engine knows of one container, apart from what the kernel and the shim know. */
export interface ContainerRecord {
  readonly id: string;
  name: string;
  /** Nanoseconds since the epoch, decimal. */
  readonly createdNs: string;
  /** Changed as a whole by `update`. */
  request: ContainerRequest;
  /** Digest of the image's configuration; empty for a plain root directory. */
  readonly imageId: string;
  /** Id of the snapshot it is a fork of, whose files that image is. */
  readonly snapshot?: string;
  /** Entry point and command. */
  readonly args: readonly string[];
  /** Which range of host ids its user namespace maps to; null without user namespace. */
  readonly slot: number | null;
  /** Why it has no user namespace; empty when it has one. */
  readonly isolationReason: string;
  /** Chosen anew when it is started by an engine with another cgroup driver. */
  cgroupPath: string;
  /** The program that makes it; absent or null: onggi itself. */
  readonly runtime?: ForeignRuntime | null;
  /** What it has mounted besides what every container has; absent in records of former versions, which had what was asked for. */
  mounts?: readonly MountPoint[];
  /** It is being removed, with its anonymous volumes. */
  removeVolumes?: boolean;
  readonly logFile: string;
  state: ContainerState;
  /** It is paused because a commit reads it, and goes on when that ends. */
  frozenForCommit?: boolean;
  /** How often its restart policy has started it since somebody did, and how long it waited before the last time. */
  restartCount?: number;
  restartDelayMs?: number;
  /** It was stopped in order to be started again: an engine that finds it ended starts it. */
  resume?: boolean;
  /** Somebody has stopped or killed it since it was started. */
  stoppedByHand?: boolean;
  /** How its health is found out, and what is known of it; absent: nobody looks. */
  readonly healthcheck?: Required<HealthCheck>;
  health?: HealthState;
  /** Number of the exec that looks at it; 0: none. */
  probing?: number;
  /** It is being ended because it was unhealthy; its policy starts it again. */
  foundUnhealthy?: boolean;
  /** It runs, and is being put into a network or taken out of one: an engine that finds this so has to finish it. */
  networksChange?: boolean;
  /** The boot in which it was last started: after another boot nothing of it can be alive. */
  bootId: string;
}

const SCHEMA_VERSION = 1;

export class ContainerTable {
  private readonly db: Database;
  private full = false;

  /** Opens or makes the database. Throws for one that a newer onggi wrote. */
  constructor(path: string) {
    this.db = new Database(path, { create: true, strict: true });
    this.db.run("PRAGMA journal_mode = WAL");
    this.db.run("PRAGMA synchronous = NORMAL");
    const { user_version: version } = this.db.query("PRAGMA user_version").get() as { user_version: number };
    if (version > SCHEMA_VERSION) {
      this.db.close();
      throw new OnggiError(
        "database_too_new",
        `${path} was written by a newer onggi (schema ${version}, this one knows ${SCHEMA_VERSION}); use that version or another --root`,
      );
    }
    this.db.run(
      "CREATE TABLE IF NOT EXISTS containers (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, data TEXT NOT NULL) STRICT",
    );
    this.db.run(`PRAGMA user_version = ${SCHEMA_VERSION}`);
  }

  all(): ContainerRecord[] {
    const rows = this.db.query("SELECT data FROM containers").all() as { data: string }[];
    return rows.map((row) => JSON.parse(row.data) as ContainerRecord);
  }

  /** All or none. */
  insert(...records: readonly ContainerRecord[]): void {
    this.durable(records.some(({ request }) => !request.autoRemove));
    const query = this.db.query("INSERT INTO containers (id, name, data) VALUES (?, ?, ?)");
    const insert = ({ id, name }: ContainerRecord, data: string) => query.run(id, name, data);
    const [first] = records;
    if (records.length === 1 && first) insert(first, JSON.stringify(first));
    else this.db.transaction(() => records.map((record) => insert(record, JSON.stringify(record)))).immediate();
  }

  /** `durable`: survives a power cut once this returns. */
  update(record: ContainerRecord, durable: boolean): void {
    this.durable(durable);
    this.db.query("UPDATE containers SET name = ?, data = ? WHERE id = ?").run(record.name, JSON.stringify(record), record.id);
  }

  delete(record: ContainerRecord): void {
    this.durable(!record.request.autoRemove);
    this.db.query("DELETE FROM containers WHERE id = ?").run(record.id);
  }

  close(): void {
    this.db.close();
  }

  private durable(full: boolean): void {
    if (full === this.full) return;
    this.db.run(`PRAGMA synchronous = ${full ? "FULL" : "NORMAL"}`);
    this.full = full;
  }
}
