/** Random numbers for tests that choose their moments: another seed each time, said so that a failure can be repeated with it. */

/** Numbers from 0 to 1 (mulberry32). ONGGI_SEED sets the seed; else it is the clock's, and printed with `what` it is for. */
export function seededRandom(what: string): () => number {
  const seed = Number(process.env.ONGGI_SEED ?? Date.now() % 2 ** 31) | 0;
  process.stderr.write(`${what}: ONGGI_SEED=${seed}\n`);
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
