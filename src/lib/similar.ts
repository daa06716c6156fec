/** Edits (insert, delete, replace, swap of neighbours) between two words. */
export function distance(a: string, b: string): number {
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, n) => n);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let best = Math.min(previous[j]! + 1, row[j - 1]! + 1, previous[j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) best = Math.min(best, before[j - 2]! + 1);
      row.push(best);
    }
    before = previous;
    previous = row;
  }
  return previous[b.length]!;
}

/** The candidates somebody who wrote `word` may have meant, nearest first; at most three. */
export function similar(word: string, candidates: Iterable<string>): string[] {
  const limit = word.length <= 3 ? 1 : 2;
  const scored: [number, string][] = [];
  for (const candidate of candidates) {
    const edits = distance(word, candidate);
    if (edits <= limit) scored.push([edits, candidate]);
    else if (word.length >= 3 && candidate.startsWith(word)) scored.push([limit + 1, candidate]);
  }
  return scored
    .sort(([a, x], [b, y]) => a - b || (x < y ? -1 : 1))
    .slice(0, 3)
    .map(([, candidate]) => candidate);
}
