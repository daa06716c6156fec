/** Guests: a table beside the containers'. Nothing of a guest outlives the machine's next start, so no call waits for the disk. */
import { Database } from "bun:sqlite";
import { Mutex } from "../lib/mutex.ts";

/** An interface of a guest in a network of ours. What it has there is the networks' endpoint. */
export interface GuestInterface {
  /** Its name in the guest. */
  readonly interface: string;
  /** The network's id. */
  readonly network: string;
  /** The name of the CNI network configuration that asked for it. */
  readonly configuration: string;
}

/** Somebody else's sandbox. */
export interface GuestRecord {
  /** What networks and names know it by. */
  readonly id: string;
  /** What its runtime calls it. */
  readonly containerId: string;
  /** By which it is found. */
  readonly name: string;
  /** Path of its network namespace, and what the namespace there was (ForeignNamespace). */
  readonly netns: string;
  readonly identity: string;
  readonly bootId: string;
  /** Name servers, by address, that its questions for the world's names go to; none: the host's. */
  readonly dns: readonly string[];
  readonly interfaces: readonly GuestInterface[];
}

export class GuestTable {
  readonly #db: Database;
  readonly #guests = new Map<string, GuestRecord>();
  readonly #locks = new Map<string, { readonly mutex: Mutex; users: number }>();

  /** Opens or makes the table in the database at `path`. */
  constructor(path: string) {
    this.#db = new Database(path, { create: true, strict: true });
    this.#db.run("PRAGMA journal_mode = WAL");
    this.#db.run("PRAGMA synchronous = NORMAL");
    this.#db.run("CREATE TABLE IF NOT EXISTS guests (id TEXT PRIMARY KEY, data TEXT NOT NULL) STRICT");
    for (const { data } of this.#db.query<{ data: string }, []>("SELECT data FROM guests").all()) {
      const guest = JSON.parse(data) as GuestRecord;
      this.#guests.set(guest.id, guest);
    }
  }

  all(): GuestRecord[] {
    return [...this.#guests.values()];
  }

  get(id: string): GuestRecord | undefined {
    return this.#guests.get(id);
  }

  put(guest: GuestRecord): void {
    this.#db.query("INSERT OR REPLACE INTO guests (id, data) VALUES (?, ?)").run(guest.id, JSON.stringify(guest));
    this.#guests.set(guest.id, guest);
  }

  delete(id: string): void {
    this.#guests.delete(id);
    this.#db.query("DELETE FROM guests WHERE id = ?").run(id);
  }

  /** One task of a guest after the other, whether it is known already or not. */
  async locked<T>(id: string, task: () => Promise<T>): Promise<T> {
    const lock = this.#locks.get(id) ?? { mutex: new Mutex(), users: 0 };
    this.#locks.set(id, lock);
    lock.users += 1;
    try {
      return await lock.mutex.run(task);
    } finally {
      lock.users -= 1;
      if (lock.users === 0) this.#locks.delete(id);
    }
  }

  close(): void {
    this.#db.close();
  }
}
