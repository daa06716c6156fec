import { expect, test } from "bun:test";
import fc from "fast-check";
import { expandWord, splitWords, variablesOf } from "./change-words.ts";

const variables = variablesOf(["POT=clay", "EMPTY=", "none"]);
const expand = (word: string): string => expandWord(word, variables);

test.each([
  ["plain", "plain"],
  ["$POT", "clay"],
  [`a\${POT}b`, "aclayb"],
  ["$POTS", ""],
  ["'$POT'", "$POT"],
  ['"$POT x"', "clay x"],
  ["\\$POT", "$POT"],
  ['"\\$POT \\a"', "$POT \\a"],
  [`\${EMPTY:-or $POT}`, "or clay"],
  [`\${POT:-x}`, "clay"],
  [`\${POT:+has \${POT}}`, "has clay"],
  [`\${EMPTY:+x}`, ""],
  ["it\\'s", "it's"],
  ["5$", "5$"],
])("%s is %s", (word, expected) => {
  expect(expand(word)).toBe(expected);
});

test.each(["'a", '"a', `\${POT`, `\${}`, `\${POT:-a`])("%s is not closed or no variable", (word) => {
  expect(() => expand(word)).toThrow(SyntaxError);
});

test("words end at white space outside of quotes", () => {
  expect(splitWords('a=1  b=\'2 3\' c="4 \\" 5" d=6\\ 7')).toEqual(["a=1", "b='2 3'", 'c="4 \\" 5"', "d=6\\ 7"]);
  expect(splitWords("  ")).toEqual([]);
});

test("any text is words, or is not closed", () => {
  const text = fc.string({ unit: fc.constantFrom(...`ab '"\\$\${}:-+=POT`.split("")), maxLength: 40 });
  fc.assert(
    fc.property(text, (line) => {
      for (const word of splitWords(line)) {
        try {
          expand(word);
        } catch (error) {
          expect(error).toBeInstanceOf(SyntaxError);
        }
      }
    }),
  );
});

test("what is quoted comes out as it was", () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 40 }), (text) => {
      expect(expand(`"${text.replace(/["$\\]/g, "\\$&")}"`)).toBe(text);
    }),
  );
});
