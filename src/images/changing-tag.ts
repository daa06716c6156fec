/**
 * Tags that are read, changed and written again, as registries know no other way: within one process one after the other. Others'
 * processes may come in between.
 */
import { Mutex } from "../lib/mutex.ts";
import type { Repository } from "./remote/types.ts";

const locks = new Map<string, { readonly mutex: Mutex; users: number }>();

/** Runs what reads and then writes a tag. */
export async function changingTag<T>(repository: Repository, tag: string, change: () => Promise<T>): Promise<T> {
  const name = `${repository.name}:${tag}`;
  const lock = locks.get(name) ?? { mutex: new Mutex(), users: 0 };
  locks.set(name, lock);
  lock.users++;
  try {
    return await lock.mutex.run(change);
  } finally {
    if (--lock.users === 0) locks.delete(name);
  }
}
