/** Standard input, read to its end by plain reads: that loads less than a stream does. */
import { readSync } from "node:fs";

/** @throws Error for more than `most` bytes, or what read(2) says */
export function readStdin(most: number): Uint8Array {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const chunk = new Uint8Array(65_536);
    const count = readSync(0, chunk);
    if (count === 0) return Buffer.concat(chunks, length);
    length += count;
    if (length > most) throw new Error(`more than ${most} bytes`);
    chunks.push(chunk.subarray(0, count));
  }
}
