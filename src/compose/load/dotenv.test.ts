// biome-ignore-all lint/suspicious/noTemplateCurlyInString: variables are the matter
import { expect, test } from "bun:test";
import fc from "fast-check";
import { DotenvError, parseDotenv, parseRawEnv } from "./dotenv.ts";

const read = (text: string, parse = parseDotenv): Record<string, string> => {
  const into = new Map<string, string>();
  parse(text, into, (name) => (name === "CALLER" ? "caller's" : undefined));
  return Object.fromEntries(into);
};

test.each([
  ["A=1\nB=2", { A: "1", B: "2" }],
  ["A=1\r\nB=2\r\n", { A: "1", B: "2" }],
  ["\uFEFFA=1", { A: "1" }],
  ["  A = 1  \n\n # comment\nB: 2", { A: "1", B: "2" }],
  ["export A=1\nexport  B='2'", { A: "1", B: "2" }],
  ["A=", { A: "" }],
  ["A=\nB=1", { A: "", B: "1" }],
  ["A=a#b # c\nB=#x", { A: "a#b", B: "#x" }],
  ["A=' $B \\n # '", { A: " $B \\n # " }],
  ["A='it\\'s'", { A: "it's" }],
  [`A="a\\tb\\"c\\\\d\\$e" # c`, { A: `a\tb"c\\d$e` }],
  [`A="one\ntwo"\nB=3`, { A: "one\ntwo", B: "3" }],
  ["A=1\nB=$A-${A}-${NO:-d}\nC='$A'", { A: "1", B: "1-1-d", C: "$A" }],
  ["CALLER=mine\nB=$CALLER", { CALLER: "mine", B: "caller's" }],
  ["CALLER\nNOBODY\nA=1", { CALLER: "caller's", A: "1" }],
  ["A.b-c[0]=1", { "A.b-c[0]": "1" }],
  ["__proto__=1\nconstructor=2", { ["__proto__"]: "1", constructor: "2" }],
  ["", {}],
  ["# only\n\n", {}],
])("%j", (text, result) => {
  expect(Object.entries(read(text))).toEqual(Object.entries(result));
});

test.each([
  ["A=1\n=2", 2, "cannot begin a variable's name"],
  ["A=1\n\nB C=2", 3, "no spaces in it"],
  ["A='x\ny", 1, "never ends"],
  ["A=${", 1, "is not a variable"],
  ["A=${NO:?needed}", 1, "needed"],
  ["A%=1", 1, "%"],
])("%j is refused with its line", (text, line, message) => {
  expect(() => read(text)).toThrow(expect.objectContaining({ line, message: expect.stringContaining(message) }));
});

test("raw: values as they stand", () => {
  expect(read(`A="$x" # y\n  B='1\n#c\nCALLER\nC=`, parseRawEnv)).toEqual({ A: `"$x" # y`, B: "'1", CALLER: "caller's", C: "" });
  expect(() => read("A=1\nB C=1", parseRawEnv)).toThrow("is not a variable's name");
});

test("any text is read or refused with a line of it", () => {
  const piece = fc.constantFrom("A", "=", '"', "'", "\\", "$", "{", "}", "\n", " ", "#", ":", "export ", "é", "\0");
  fc.assert(
    fc.property(fc.array(piece), (pieces) => {
      const text = pieces.join("");
      try {
        read(text);
      } catch (error) {
        expect(error).toBeInstanceOf(DotenvError);
        expect((error as DotenvError).line).toBeWithin(1, text.split("\n").length + 1);
      }
    }),
  );
});

test("any value comes back that is written between quotes", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), (value) => {
      fc.pre(!value.includes("\r"));
      const quoted = value.replace(/[\\"$]/g, "\\$&");
      expect(read(`A="${quoted}"\nB=1`)).toEqual({ A: value, B: "1" });
    }),
  );
});

test("a long value is no trouble", () => {
  const value = "x\\n y ".repeat(200_000);
  expect(read(`A="${value}"`).A).toHaveLength(value.length - 200_000);
  expect(read(`${"# comment\n".repeat(100_000)}A=1`)).toEqual({ A: "1" });
});
