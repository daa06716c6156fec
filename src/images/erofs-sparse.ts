/**
 * How a sparse file is mapped by chunks. A chunk is a power of two of blocks and is either a hole or one run of blocks.
 * Where the file's regions fit chunks, chunks point into the tar; where they do not (a region that does not begin on a block,
 * a huge file with tiny regions), the chunks that hold data are copied behind the index, itself a sparse file.
 */

import type { TarEntry } from "../archive/tar-types.ts";
import { BLOCK_SIZE, HOLE } from "./erofs-format.ts";
import type { ChunkMap, Copy } from "./erofs-types.ts";

/** Address entries we are willing to spend on one file when its regions fit (1 MiB of them). */
const MAX_FITTING = 1 << 18;
/** ... and when they do not, and chunks have to grow. */
const MAX_GROWN = 1 << 16;

const lowestBit = (value: number): number => {
  let bit = 1;
  while (value % (bit * 2) === 0 && bit < 2 ** 40) bit *= 2;
  return bit;
};

const bitsOf = (chunk: number): number => Math.log2(chunk / BLOCK_SIZE);

/** Chunks that point into the tar, or null where that cannot be. */
const fitting = (entry: TarEntry): ChunkMap | null => {
  const regions = entry.sparse!;
  let chunk = 2 ** 40;
  for (const { offset, length } of regions) {
    if (offset > 0) chunk = Math.min(chunk, lowestBit(offset));
    // The file's last region may end anywhere: nothing is read behind the end of the file.
    if (offset + length < entry.size) chunk = Math.min(chunk, lowestBit(offset + length));
  }
  const count = Math.ceil(entry.size / chunk);
  if (chunk < BLOCK_SIZE || count > MAX_FITTING) return null;
  const chunks = new Map<number, number>();
  let from = entry.offset;
  for (const { offset, length } of regions) {
    if (from % BLOCK_SIZE !== 0) return null;
    for (let done = 0; done < length; done += chunk) chunks.set((offset + done) / chunk, from + done);
    from += length;
  }
  return { bits: bitsOf(chunk), count, chunks, copied: 0, copies: [] };
};

const copying = (entry: TarEntry, areaStart: number): ChunkMap => {
  let chunk = 4096;
  while (Math.ceil(entry.size / chunk) > MAX_GROWN) chunk *= 2;
  const chunks = new Map<number, number>();
  const copies: Omit<Copy, "layer">[] = [];
  let used = 0;
  let from = entry.offset;
  for (const { offset, length } of entry.sparse!) {
    for (let done = 0; done < length; ) {
      const number = Math.floor((offset + done) / chunk);
      const inside = offset + done - number * chunk;
      const part = Math.min(length - done, chunk - inside);
      let start = chunks.get(number);
      if (start === undefined) {
        start = areaStart + used;
        chunks.set(number, start);
        used += chunk;
      }
      copies.push({ from: from + done, length: part, to: start + inside });
      done += part;
    }
    from += length;
  }
  return { bits: bitsOf(chunk), count: Math.ceil(entry.size / chunk), chunks, copied: used, copies };
};

/** The map of a sparse file; `areaStart` is where in the copied area its chunks would begin. */
export const mapSparse = (entry: TarEntry, areaStart: number): ChunkMap => fitting(entry) ?? copying(entry, areaStart);

/** Fills the address array of `map` at word `at`; `tar` and `area` are the first blocks of the tar and of the copied area. */
export const writeChunks = (words: Uint32Array, at: number, map: ChunkMap, tar: number, area: number): void => {
  words.fill(HOLE, at, at + map.count);
  const base = map.copied > 0 ? area : tar;
  for (const [number, position] of map.chunks) words[at + number] = base + position / BLOCK_SIZE;
};
