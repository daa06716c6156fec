/** What a host keeps of its membership: `cluster.db`, SQLite, there while it is a member. Readable by its owner alone: it holds etcd's password. */
import { Database } from "bun:sqlite";
import { closeSync, existsSync, openSync, rmSync } from "node:fs";
import { messageOf } from "../../lib/errors.ts";
import type { EtcdOptions } from "./etcd/index.ts";
import type { Kept, Leases } from "./membership.ts";
import type { MirroredKey, MirrorStore } from "./mirror.ts";
import type { NodeRecord } from "./records.ts";

export interface Joined {
  readonly node: NodeRecord;
  readonly etcd: EtcdOptions;
  readonly prefix: string;
  /** Of the node's public key. */
  readonly privateKey: string;
  /** UDP port of VXLAN. */
  readonly port: number;
  readonly leases: Leases;
}

export class ClusterStore implements MirrorStore {
  readonly #db: Database;
  readonly #path: string;
  readonly #log: (message: string) => void;

  private constructor(path: string, log: (message: string) => void) {
    this.#path = path;
    this.#log = log;
    closeSync(openSync(path, "a", 0o600));
    this.#db = new Database(path, { create: true, strict: true });
    this.#db.run("PRAGMA journal_mode = WAL");
    // The leases and the mirror may be a moment old after a power cut: etcd knows better, and leases end early by their margin.
    this.#db.run("PRAGMA synchronous = NORMAL");
    this.#db.run(`
      CREATE TABLE IF NOT EXISTS joined (only INTEGER PRIMARY KEY CHECK (only = 1), data TEXT NOT NULL, kept TEXT) STRICT;
      CREATE TABLE IF NOT EXISTS keys (key TEXT PRIMARY KEY, value TEXT NOT NULL, revision INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    `);
  }

  /** That of a host that is a member; null for one that is not. */
  static open(path: string, log: (message: string) => void): ClusterStore | null {
    if (!existsSync(path)) return null;
    const store = new ClusterStore(path, log);
    if (store.#row() !== null) return store;
    store.#db.close();
    return null;
  }

  static make(path: string, joined: Joined, log: (message: string) => void): ClusterStore {
    ClusterStore.#remove(path);
    const store = new ClusterStore(path, log);
    store.#db.query("INSERT INTO joined (only, data) VALUES (1, ?)").run(JSON.stringify(joined));
    return store;
  }

  static #remove(path: string): void {
    for (const suffix of ["", "-wal", "-shm"]) rmSync(path + suffix, { force: true });
  }

  #row(): { data: string; kept: string | null } | null {
    return this.#db.query<{ data: string; kept: string | null }, []>("SELECT data, kept FROM joined").get();
  }

  joined(): Joined {
    return JSON.parse(this.#row()!.data);
  }

  kept(): Kept | null {
    const { kept } = this.#row()!;
    return kept === null ? null : JSON.parse(kept);
  }

  keep(kept: Kept): void {
    this.#attempt(() => this.#db.query("UPDATE joined SET kept = ?").run(JSON.stringify(kept)));
  }

  read(): MirroredKey[] {
    return this.#db
      .query<{ key: string; value: string; revision: number }, []>("SELECT key, value, revision FROM keys")
      .all()
      .map(({ key, value, revision }) => ({ key, value, modRevision: revision }));
  }

  write({ put, removed, all }: Parameters<MirrorStore["write"]>[0]): void {
    this.#attempt(
      this.#db.transaction(() => {
        if (all) this.#db.run("DELETE FROM keys");
        const remove = this.#db.query("DELETE FROM keys WHERE key = ?");
        for (const key of removed) remove.run(key);
        const insert = this.#db.query("INSERT OR REPLACE INTO keys (key, value, revision) VALUES (?, ?, ?)");
        for (const { key, value, modRevision } of put) insert.run(key, value, modRevision);
      }),
    );
  }

  #attempt(work: () => unknown): void {
    try {
      work();
    } catch (error) {
      this.#log(`cluster: ${this.#path}: ${messageOf(error)}`);
    }
  }

  close(): void {
    this.#db.close();
  }

  /** The host is no member any more. */
  remove(): void {
    this.#db.close();
    ClusterStore.#remove(this.#path);
  }
}
