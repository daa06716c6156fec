/** Bytes, and milliseconds, after which it is told again how far something has come. */
const BYTES = 512 << 10;
const EVERY = 200;

/** Counts bytes; tells of the first ones, then after enough of them or enough time, and when all of `total` are there. */
export function counted(tell: (current: number) => void, total?: number): (bytes: number) => void {
  let current = 0;
  let told = 0;
  let at = Number.NEGATIVE_INFINITY;
  return (bytes) => {
    current += bytes;
    const now = performance.now();
    if (current !== total && current - told < BYTES && now - at < EVERY) return;
    told = current;
    at = now;
    tell(current);
  };
}
