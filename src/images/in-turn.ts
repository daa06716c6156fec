/**
 * What is read, changed and written again in a registry, which knows no other way: within one process one after the other. Another
 * process may come in between.
 */
import { Mutex } from "../lib/mutex.ts";
import type { Repository } from "./remote/types.ts";

const locks = new Map<string, { readonly mutex: Mutex; users: number }>();

/** Runs work on a tag, or a blob, of a repository. */
export async function inTurn<T>(repository: Repository, tagOrDigest: string, work: () => Promise<T>): Promise<T> {
  const name = `${repository.name} ${tagOrDigest}`;
  const lock = locks.get(name) ?? { mutex: new Mutex(), users: 0 };
  locks.set(name, lock);
  lock.users++;
  try {
    return await lock.mutex.run(work);
  } finally {
    if (--lock.users === 0) locks.delete(name);
  }
}
