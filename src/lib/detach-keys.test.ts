import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { DetachScanner, parseDetachKeys } from "./detach-keys.ts";

test.each([
  ["ctrl-p,ctrl-q", [16, 17]],
  ["ctrl-P", [16]],
  ["a,ctrl-[", [97, 27]],
  ["ctrl-@,ctrl-\\,ctrl-],ctrl-^,ctrl-_", [0, 28, 29, 30, 31]],
  ["~,.", [126, 46]],
  ["", []],
])("parseDetachKeys(%p)", (text, bytes) => expect([...parseDetachKeys(text)]).toEqual(bytes));

test.each(["ctrl-", "ctrl-1", "ab", "ctrl-p,", "한", " "])("parseDetachKeys refuses %p", (text) => {
  expect(() => parseDetachKeys(text)).toThrow("is neither a character nor ctrl-");
});

/** Everything passed on, and whether and where the keys were found. */
function scanAll(keys: number[], chunks: Uint8Array[]): { pass: number[]; detached: boolean } {
  const scanner = new DetachScanner(Uint8Array.from(keys));
  const pass: number[] = [];
  for (const chunk of chunks) {
    const result = scanner.scan(chunk);
    pass.push(...result.pass);
    if (result.detached) return { pass, detached: true };
  }
  return { pass, detached: false };
}

describe("DetachScanner", () => {
  const bytes = (...values: number[]) => Uint8Array.from(values);

  test("finds the keys within and across chunks, and passes what came before", () => {
    expect(scanAll([16, 17], [bytes(97, 16, 17, 98)])).toEqual({ pass: [97], detached: true });
    expect(scanAll([16, 17], [bytes(97, 16), bytes(17)])).toEqual({ pass: [97], detached: true });
  });

  test("holds a beginning back and lets it go when it was none", () => {
    expect(scanAll([16, 17], [bytes(16)])).toEqual({ pass: [], detached: false });
    expect(scanAll([16, 17], [bytes(16), bytes(97)])).toEqual({ pass: [16, 97], detached: false });
    expect(scanAll([16, 17], [bytes(16, 16, 17)])).toEqual({ pass: [16], detached: true });
    expect(scanAll([1, 1, 2], [bytes(1, 1, 1, 2)])).toEqual({ pass: [1], detached: true });
  });

  test("without keys everything passes", () => {
    expect(scanAll([], [bytes(16, 17)])).toEqual({ pass: [16, 17], detached: false });
  });

  test("detaches exactly when the keys are in the stream, and passes exactly what is before them", () => {
    const small = fc.integer({ min: 1, max: 3 });
    fc.assert(
      fc.property(
        fc.array(small, { minLength: 1, maxLength: 4 }),
        fc.array(fc.array(small, { maxLength: 5 }), { maxLength: 8 }),
        (keys, chunks) => {
          const all = chunks.flat();
          const at = all.findIndex((_, index) => keys.every((key, offset) => all[index + offset] === key));
          const { pass, detached } = scanAll(
            keys,
            chunks.map((chunk) => Uint8Array.from(chunk)),
          );
          expect(detached).toBe(at >= 0);
          if (detached) expect(pass).toEqual(all.slice(0, at));
          else expect(pass).toEqual(all.slice(0, pass.length));
        },
      ),
      { numRuns: 1000 },
    );
  });
});
