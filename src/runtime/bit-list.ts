/** The list format of cpuset(7): "0-2,7". */
import { OnggiError } from "../lib/errors.ts";

/** Far above any machine's CPUs or memory nodes; a bound on what one string can make us allocate. */
const MAX_BIT = 65_535;

/** A little-endian bit mask of the listed numbers, padded to 8 bytes. Throws OnggiError `invalid_list`. */
export function parseBitList(list: string, what: string): Uint8Array {
  const ranges = list.split(",").map((range): [number, number] => {
    const match = /^\s*(\d{1,5})(?:-(\d{1,5}))?\s*$/.exec(range);
    const first = Number(match?.[1]);
    const last = Number(match?.[2] ?? match?.[1]);
    if (!match || first > last || last > MAX_BIT) {
      throw new OnggiError("invalid_list", `${what}: want a list like "0-2,7", got ${JSON.stringify(list)}`);
    }
    return [first, last];
  });
  const highest = Math.max(...ranges.map(([, last]) => last));
  const mask = new Uint8Array(8 * Math.ceil((highest + 1) / 64));
  for (const [first, last] of ranges) {
    for (let bit = first; bit <= last; bit++) mask[bit >> 3]! |= 1 << (bit & 7);
  }
  return mask;
}
