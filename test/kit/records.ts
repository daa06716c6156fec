/** An engine's records of containers, read and changed while it does not run. */
import { Database } from "bun:sqlite";
import { join } from "node:path";
import type { Engine } from "./engine.ts";

/** The database between engines, or as they write it. */
export function records<T>({ root }: Engine, use: (db: Database) => T): T {
  const db = new Database(join(root, "engine.db"));
  try {
    return use(db);
  } finally {
    db.close();
  }
}

/** What ran last did so in another boot of the machine: of one container, or of all. */
export const otherBoot = (engine: Engine, id = "%"): void =>
  records(
    engine,
    (db) => void db.query("UPDATE containers SET data = json_set(data, '$.bootId', 'another') WHERE id LIKE ?").run(id),
  );
