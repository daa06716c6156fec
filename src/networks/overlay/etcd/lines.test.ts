import { expect, test } from "bun:test";
import fc from "fast-check";
import { LineSplitter } from "./lines.ts";

/** What comes of bytes that come in pieces. */
function split(pieces: readonly Uint8Array[], limit = 1 << 20): string[] {
  const splitter = new LineSplitter(limit);
  return [...pieces.flatMap((piece) => splitter.push(piece)), ...splitter.end()];
}

/** Bytes, cut at places. */
function cut(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const at = [0, ...places.map((place) => place % (bytes.length + 1)).sort((one, other) => one - other), bytes.length];
  return at.slice(1).map((end, index) => bytes.subarray(at[index]!, end));
}

test("objects come whole wherever the stream is cut", () => {
  fc.assert(
    fc.property(fc.array(fc.json()), fc.array(fc.nat()), fc.boolean(), (objects, places, ended) => {
      const bytes = Buffer.from(objects.join("\n") + (ended ? "\n" : ""));
      expect(split(cut(bytes, places))).toEqual(objects.map((text) => text.trim()).filter((text) => text !== ""));
    }),
  );
});

test("any bytes, in any pieces, are the same lines", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.array(fc.nat()), (bytes, places) => {
      expect(split(cut(bytes, places))).toEqual(split([bytes]));
    }),
  );
});

test("a line has a limit, a stream has none", () => {
  expect(split(Array(100).fill(Buffer.from("12345678\n")), 8)).toHaveLength(100);
  expect(() => split([Buffer.from("1234"), Buffer.from("56789\n")], 8)).toThrow("etcd's answer is longer than");
});
