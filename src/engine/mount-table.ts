/** Where images are mounted for people to look at: a table beside the containers', durable when a call returns. */
import { Database } from "bun:sqlite";

export interface ImageMount {
  /** Absolute, as the kernel resolved it. */
  readonly path: string;
  readonly imageId: string;
  /** The directory was made for it, and goes with it. */
  readonly own: boolean;
  /** The kernel's number of the mount, and the boot in which that means something. */
  readonly mountId: number;
  readonly bootId: string;
}

export class MountTable {
  readonly #db: Database;
  readonly #mounts = new Map<string, ImageMount>();

  /** Opens or makes the table in the database at `path`. */
  constructor(path: string) {
    this.#db = new Database(path, { create: true, strict: true });
    this.#db.run("PRAGMA journal_mode = WAL");
    this.#db.run("PRAGMA synchronous = FULL");
    this.#db.run("CREATE TABLE IF NOT EXISTS image_mounts (path TEXT PRIMARY KEY, data TEXT NOT NULL) STRICT");
    for (const { data } of this.#db.query<{ data: string }, []>("SELECT data FROM image_mounts ORDER BY rowid").all()) {
      const mount = JSON.parse(data) as ImageMount;
      this.#mounts.set(mount.path, mount);
    }
  }

  all(): ImageMount[] {
    return [...this.#mounts.values()];
  }

  get(path: string): ImageMount | undefined {
    return this.#mounts.get(path);
  }

  insert(mount: ImageMount): void {
    this.#db.query("INSERT INTO image_mounts (path, data) VALUES (?, ?)").run(mount.path, JSON.stringify(mount));
    this.#mounts.set(mount.path, mount);
  }

  delete(path: string): void {
    this.#db.query("DELETE FROM image_mounts WHERE path = ?").run(path);
    this.#mounts.delete(path);
  }

  close(): void {
    this.#db.close();
  }
}
