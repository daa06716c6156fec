import { expect, test } from "bun:test";
import fc from "fast-check";
import { parseJsonWithLines } from "./json-lines.ts";

test("keys and the lines they stand in", () => {
  const { value, lines } = parseJsonWithLines('{\n  "a": [1, {"b": 2}],\n\n  "c": {\n "d\\n": null}\n}\n');
  expect(value).toEqual({ a: [1, { b: 2 }], c: { "d\n": null } });
  expect([...lines]).toEqual([
    ["a", 2],
    ["a.b", 2],
    ["c", 4],
    ["c.d\n", 5],
  ]);
});

for (const [text, message] of [
  ["", "line 1: expected a value, found the end"],
  ['{\n"a": 1,\n}', 'line 3: expected a key in quotes, found "}"'],
  ['{"a"\n: 1\n"b": 2}', 'line 3: expected "," or "}", found "\\""'],
  ["{'a': 1}", 'line 1: expected a key in quotes, found "\'"'],
  ["[1,\n2", 'line 2: expected "," or "]", found the end'],
  ["\n// no\n{}", 'line 2: expected a value, found "/"'],
  ["[".repeat(300), "line 1: nested more than 200 deep"],
] as const) {
  test(`refused: ${JSON.stringify(text.slice(0, 20))}`, () => expect(() => parseJsonWithLines(text)).toThrow(message));
}

test("takes what JSON.parse takes, and gives the same", () => {
  const mangled = fc
    .tuple(fc.json(), fc.nat(), fc.constantFrom("", ",", "}", '"', "\n", "0", "\u0001"))
    .map(([text, at, put]) => {
      const where = at % (text.length + 1);
      return text.slice(0, where) + put + text.slice(where + 1);
    });
  fc.assert(
    fc.property(fc.oneof(fc.json(), mangled, fc.string()), (text) => {
      let wanted: unknown;
      try {
        wanted = JSON.parse(text);
      } catch {
        expect(() => parseJsonWithLines(text)).toThrow(/^line \d+: /);
        return;
      }
      expect(parseJsonWithLines(text).value).toEqual(wanted);
    }),
  );
});
