/** The four ways GNU tar stores a sparse file's map. Source: GNU tar manual, "Storing Sparse Files", and tar(5). */
import { byteString } from "./bytes.ts";
import { FieldError, numberField, paxNumber } from "./tar-fields.ts";
import type { Region, TarEntry } from "./tar-types.ts";

const MAX_REGIONS = 1 << 20;

/** Reads up to `count` (offset, length) pairs of the old GNU form; a pair of zero bytes ends the list. */
const readPairs = (block: Buffer, at: number, count: number, into: Region[]): void => {
  for (let i = 0; i < count; i++) {
    const pos = at + i * 24;
    if (block[pos] === 0) return;
    into.push({
      offset: numberField(block, pos, 12, "sparse offset"),
      length: numberField(block, pos + 12, 12, "sparse length"),
    });
    if (into.length > MAX_REGIONS) throw new FieldError("too many sparse regions");
  }
};

/** Old GNU form, type "S": four pairs in the header, more in extension blocks. */
export const oldGnuHeader = (block: Buffer, at: number): { regions: Region[]; extended: boolean; size: number } => {
  const regions: Region[] = [];
  readPairs(block, at + 386, 4, regions);
  return { regions, extended: block[at + 482] === 1, size: numberField(block, at + 483, 12, "sparse file size") };
};

/** One extension block of the old GNU form. Returns whether another follows. */
export const oldGnuExtension = (block: Buffer, at: number, regions: Region[]): boolean => {
  readPairs(block, at, 21, regions);
  return block[at + 504] === 1;
};

const pairsOf = (numbers: readonly string[]): Region[] => {
  if (numbers.length % 2 !== 0) throw new FieldError("sparse map has an odd number of values");
  if (numbers.length > 2 * MAX_REGIONS) throw new FieldError("too many sparse regions");
  const regions: Region[] = [];
  for (let i = 0; i < numbers.length; i += 2) {
    regions.push({ offset: paxNumber(numbers[i]!, "sparse offset"), length: paxNumber(numbers[i + 1]!, "sparse length") });
  }
  return regions;
};

/** PAX 0.0: GNU.sparse.offset and GNU.sparse.numbytes by turns, here gathered in order; 0.1: one comma-separated list. */
export const paxMap = (list: string): Region[] => pairsOf(list === "" ? [] : list.split(","));

/**
 * PAX 1.0: the map stands before the data, as decimal lines (count, then offset and length of each), padded to a block.
 * Blocks are added until it is complete; each is scanned once.
 */
export class LeadingMap {
  readonly #numbers: string[] = [];
  #rest = "";

  /** Takes one block; true when the map is complete with it. Throws FieldError. */
  add(block: Buffer): boolean {
    const lines = (this.#rest + byteString(block, 0, block.length)).split("\n");
    this.#rest = lines.pop()!;
    for (const line of lines) {
      this.#numbers.push(line);
      if (this.#isComplete()) return true;
    }
    if (this.#rest.length > 32) throw new FieldError("sparse map is malformed");
    return false;
  }

  regions(): Region[] {
    return pairsOf(this.#numbers.slice(1));
  }

  #isComplete(): boolean {
    return this.#numbers.length === 1 + 2 * Number(this.#numbers[0]);
  }
}

/** Puts a checked map into the entry. Throws FieldError when it is out of order or does not agree with the sizes. */
export const setSparse = (entry: TarEntry, regions: readonly Region[], size: number): void => {
  let end = 0;
  let stored = 0;
  const kept: Region[] = [];
  for (const region of regions) {
    if (region.length < 0 || region.offset < end) throw new FieldError("sparse map is not ascending");
    end = region.offset + region.length;
    if (!Number.isSafeInteger(end)) throw new FieldError("sparse map is out of range");
    stored += region.length;
    if (region.length > 0) kept.push(region);
  }
  if (size < 0 || end > size) throw new FieldError("sparse map reaches beyond the file's size");
  if (stored !== entry.stored) throw new FieldError(`sparse map names ${stored} bytes, ${entry.stored} are stored`);
  entry.size = size;
  entry.sparse = kept.length === 1 && kept[0]!.offset === 0 && kept[0]!.length === size ? null : kept;
};
