import { expect, test } from "bun:test";
import fc from "fast-check";
import type { TarEntry } from "../archive/tar-types.ts";
import { wasteOf } from "./waste.ts";

const file = (name: string, size = 0): TarEntry => ({ type: "file", name, size }) as TarEntry;

test("what a later layer replaces or deletes is the waste of the layer that has it", () => {
  const waste = wasteOf([
    [file("a", 10), file("d/x", 20), file("d/y", 30), file("o/z", 40)],
    [file("a", 1), file(".wh.d"), file("o/.wh..wh..opq"), file("o/new", 5)],
    [file("a", 2), file("a", 3)],
  ]);
  expect(waste.map(({ bytes }) => bytes)).toEqual([100, 1, 2]);
  expect(waste[0]!.files).toEqual([
    { path: "o/z", size: 40, why: "deleted" },
    { path: "d/y", size: 30, why: "deleted" },
    { path: "d/x", size: 20, why: "deleted" },
    { path: "a", size: 10, why: "replaced" },
  ]);
});

test("waste is never more than the files' bytes", () => {
  const name = fc.constantFrom("a", "b", "d/a", "d/b", ".wh.a", ".wh.d", "d/.wh..wh..opq", "d/.wh.a");
  const entry = fc.tuple(name, fc.nat(100)).map(([path, size]) => file(path, size));
  fc.assert(
    fc.property(fc.array(fc.array(entry, { maxLength: 8 }), { maxLength: 5 }), (layers) => {
      wasteOf(layers).forEach(({ bytes }, i) => {
        expect(bytes).toBeLessThanOrEqual(layers[i]!.reduce((sum, { size }) => sum + size, 0));
      });
    }),
  );
});
