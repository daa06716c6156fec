/** Images of very many files: everything is there, in time, in bounded memory. `make test` extracts more of them. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { contentsOf, run, withScratch } from "./images/harness.ts";

interface Cost {
  found: number;
  named: boolean;
  milliseconds: { import: number; mount: number };
  peakMiB: number;
}

const thorough = Number(process.env.ONGGI_ROUNDS ?? 100) >= 100;

const take = (form: string, entries: number, perDirectory: number): Promise<Cost> =>
  withScratch((scratch) => {
    const store = join(scratch, "store");
    const script = join(import.meta.dir, "images/many.ts");
    const cost: Cost = JSON.parse(run(process.execPath, script, form, store, `${entries}`, `${perDirectory}`).toString());
    expect(contentsOf(store)).toEqual([]);
    return cost;
  });

const cases: [form: string, entries: number, perDirectory: number, peakMiB: number][] = [
  ["erofs", 1_000_000, 1000, 1500],
  ["erofs", 200_000, 200_000, 1000],
  ["directories", thorough ? 300_000 : 30_000, 1000, 1000],
  ["directories", thorough ? 100_000 : 30_000, 200_000, 1000],
];

test.each(cases)(
  "as %s: %d files, %d in a directory",
  async (form, entries, perDirectory, limit) => {
    const { found, named, peakMiB } = await take(form, entries, perDirectory);
    expect({ found, named }).toEqual({ found: entries, named: true });
    expect(peakMiB).toBeLessThan(limit);
  },
  300_000,
);
