/** What the plugin looks at itself, by plain calls: that loads less than streams do. */
import { readSync, statfsSync } from "node:fs";

/** Standard input to its end. @throws Error for more than `most` bytes, or what read(2) says */
export function readStdin(most: number): Uint8Array {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const chunk = new Uint8Array(65_536);
    const count = readBlocking(chunk);
    if (count === 0) return Buffer.concat(chunks, length);
    length += count;
    if (length > most) throw new Error(`more than ${most} bytes`);
    chunks.push(chunk.subarray(0, count));
  }
}

/** Waits also where the caller has made the descriptor non-blocking. */
function readBlocking(chunk: Uint8Array): number {
  for (;;) {
    try {
      return readSync(0, chunk);
    } catch (error) {
      if ((error as { code?: unknown }).code !== "EAGAIN") throw error;
      Bun.sleepSync(1);
    }
  }
}

/** NSFS_MAGIC, statfs(2) */
const NSFS_MAGIC = 0x6e73_6673;

/** Whether a path leads to a namespace. */
export function isNamespace(path: string): boolean {
  try {
    return statfsSync(path).type === NSFS_MAGIC;
  } catch {
    return false;
  }
}
