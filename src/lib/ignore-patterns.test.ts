import { expect, test } from "bun:test";
import fc from "fast-check";
import { IgnorePatterns } from "./ignore-patterns.ts";

test.each([
  [["a"], ["a", "a/b", "a/b/c"], ["b", "ab", "x/a"]],
  [["*.md"], ["a.md"], ["x/a.md", "a.mdx"]],
  [["*/*.md"], ["x/a.md"], ["a.md", "x/y/a.md"]],
  [["**/*.md"], ["a.md", "x/a.md", "x/y/a.md"], ["a.txt"]],
  [["**/node_modules"], ["node_modules/a", "x/node_modules/a"], ["node_module"]],
  [["a/**"], ["a/b", "a/b/c"], ["b/a"]],
  [["a?c"], ["abc"], ["a/c", "ac"]],
  [
    ["[a-c]x", "[^a-c]y"],
    ["ax", "dy"],
    ["dx", "ay"],
  ],
  [["/a/", "./b", "c//d", "e/../f"], ["a", "b", "c/d", "f"], ["e"]],
  [
    ["*", "!keep", "keep/not"],
    ["a", "keep/not", "keep/not/x"],
    ["keep", "keep/x"],
  ],
  [["# a", "", "  ", "\\#b"], ["#b"], ["a", "# a"]],
  [["a+b(c)$.^"], ["a+b(c)$.^"], ["aab(c)$.^"]],
  [["."], ["a", "a/b"], []],
  [["[z-a]"], ["[z-a]"], ["b"]],
  [["a b "], ["a b"], ["a"]],
])("%j", (patterns, matched, others) => {
  const ignored = new IgnorePatterns(patterns);
  expect(matched.filter((path) => !ignored.matches(path))).toEqual([]);
  expect(others.filter((path) => ignored.matches(path))).toEqual([]);
});

test("any lines are patterns; a name matches itself when it is escaped", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), fc.string({ unit: "grapheme", minLength: 1 }), (line, name) => {
      new IgnorePatterns([line, name]).matches(name);
      fc.pre(!/[/\s]/.test(name) && name !== "." && name !== "..");
      const escaped = [...name].map((letter) => `\\${letter}`).join("");
      expect(new IgnorePatterns([escaped]).matches(name)).toBe(true);
    }),
  );
});
