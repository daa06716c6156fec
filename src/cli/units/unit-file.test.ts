import { expect, test } from "bun:test";
import fc from "fast-check";
import { commandLine, mergeUnits, parseUnit, UnitError, words } from "./unit-file.ts";

const at = (value: string) => ({ key: "K", value, place: { file: "f", line: 1 } });

test("sections, comments, continued lines", () => {
  const text = "# a\n[A]\nx=1\n; b\ny = two \\\n# between\n  three\n\n[B]\nx=\n[A]\nx=4\n";
  const read = parseUnit(text, "f");
  expect(
    read.map(({ name, assignments }) => [name, ...assignments.map(({ key, value, place }) => `${key}=${value}@${place.line}`)]),
  ).toEqual([
    ["A", "x=1@3", "y=two  three@5"],
    ["B", "x=@10"],
    ["A", "x=4@12"],
  ]);
  expect(
    mergeUnits([read])
      .get("A")
      ?.map(({ value }) => value),
  ).toEqual(["1", "two  three", "4"]);
});

test.each([
  ["x=1\n", 'f: line 1: "x" stands before any [Section]'],
  ["[A]\n\nwhat is this\n", 'f: line 3: this is no KEY=VALUE: "what is this"'],
  ["[A\nx=1\n", "f: line 1: this is no KEY=VALUE"],
])("refused: %j", (text, message) => expect(() => parseUnit(text, "f")).toThrow(message));

test("words, with quotes and escapes", () => {
  const value = String.raw`a "b c" 'd "e' f\sg "\x41\n" \q "" h"i j"k`;
  expect(words(at(value))).toEqual(["a", "b c", 'd "e', "f g", "A\n", "\\q", "", "hi jk"]);
  expect(() => words(at('a "b'))).toThrow('f: line 1: a quote (") has no end');
});

test("a command that is written is read again as the same words", () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: "grapheme" })), (given) => {
      expect(words(at(commandLine(given)))).toEqual(given);
    }),
  );
});

test("anything is read or refused with a place", () => {
  const line = fc.oneof(fc.string(), fc.constantFrom("[Container]", "Image=a", "Exec=\\", "# c", "[", "="));
  fc.assert(
    fc.property(fc.array(line), (lines) => {
      try {
        for (const { assignments } of parseUnit(lines.join("\n"), "f")) for (const one of assignments) words(one);
      } catch (error) {
        expect(error).toBeInstanceOf(UnitError);
        expect((error as Error).message).toMatch(/^f: line \d+: /);
      }
    }),
  );
});
