import { expect, test } from "bun:test";
import fc from "fast-check";
import { type Node, plain, positionOf } from "./node.ts";
import { type ComposeFileError, Problems } from "./problems.ts";
import { BOUNDS, parseYaml } from "./yaml.ts";

const parse = (text: string): Node[] => {
  const problems = new Problems("/");
  const nodes = parseYaml(text, "/f", problems);
  problems.throwIfAny();
  return nodes;
};
const value = (text: string): unknown => plain(parse(text)[0]!);

function refusal(text: string): string {
  try {
    parse(text);
  } catch (error) {
    return (error as ComposeFileError).message;
  }
  throw new Error("it was read");
}

test("every value knows where it stands", () => {
  const [root] = parse("a:\n  b: [x, {c: 1}]\n  d: |\n    text\n");
  expect(positionOf(root!, ["a", "b", 1, "c"])).toEqual({ file: "/f", line: 2, column: 14 });
  expect(positionOf(root!, ["a", "d"], true)).toEqual({ file: "/f", line: 3, column: 3 });
  expect(positionOf(root!, ["a", "none", "below"])).toMatchObject({ line: 2 });
});

test("anchors, aliases and merges: the nearer value counts", () => {
  expect(value("x: &a {k: 1, l: 1}\ny: &b {l: 2, m: 2}\nz: {<<: [*a, *b], k: 3}\nw: {<<: *a}\nv: *b")).toEqual({
    x: { k: 1, l: 1 },
    y: { l: 2, m: 2 },
    z: { k: 3, l: 1, m: 2 },
    w: { k: 1, l: 1 },
    v: { l: 2, m: 2 },
  });
});

test("an anchor may be given anew", () => {
  expect(value("a: &x 1\nb: *x\nc: &x 2\nd: *x")).toEqual({ a: 1, b: 1, c: 2, d: 2 });
});

test("tags of merging are kept", () => {
  const [root] = parse("a: !reset null\nb: !override [1]\nc: !!str 5\nd: ! 5");
  expect(root).toMatchObject({ kind: "map" });
  const entries = root!.kind === "map" ? root!.entries : new Map();
  expect(entries.get("a")?.value.tag).toBe("reset");
  expect(entries.get("b")?.value).toMatchObject({ tag: "override", kind: "list" });
  expect(plain(entries.get("c")!.value)).toBe("5");
});

test.each([
  ["a: [1", "f:1:6: is not valid YAML: "],
  ["a: 1\n b: 2", "is not valid YAML: "],
  ["a: 1\nb: 2\na: 3", 'f:3:1: "a" is given twice, first in line 1; keep one'],
  ["a: *b", "f:1:4: *b names an anchor that is not defined before it"],
  ["a: &x [*x]", "f:1:8: *x stands inside the value that it names"],
  ["a: {<<: [1]}", '"<<" takes mappings'],
  ["? [1]\n: 2", "a key is a list or mapping"],
  [`${"[".repeat(200)}${"]".repeat(200)}`, "more than 100 levels"],
  [`a: ${"{a: ".repeat(50_000)}`, "f:1:"],
  ["\ta: 1", "is not valid YAML: "],
  ["%YAML 9\n---\n@", "is not valid YAML: "],
])("%j is refused", (text, message) => {
  expect(refusal(text)).toContain(message);
});

test("a bomb of aliases is refused, before it goes off", () => {
  const lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"];
  for (let level = 1; level < 30; level++) lines.push(`a${level}: &a${level} [${`*a${level - 1}, `.repeat(9)}*a${level - 1}]`);
  expect(refusal(lines.join("\n"))).toContain(`more than ${BOUNDS.nodes} values here`);
  const merges = ["a0: &a0 {k: 1}"];
  for (let level = 1; level < 200; level++)
    merges.push(`a${level}: &a${level} {<<: [*a${level - 1}, *a${level - 1}], k${level}: *a${level - 1}}`);
  expect(refusal(merges.join("\n"))).toContain("values here");
}, 60_000);

test("many keys take no longer than they must", () => {
  const keys = Array.from({ length: 20_000 }, (_, index) => `k${index}: ${index}`).join("\n");
  expect(Object.keys(value(keys) as object)).toHaveLength(20_000);
}, 60_000);

test("any text is read, or refused with lines of it", () => {
  const piece = fc.constantFrom(
    "a",
    ":",
    " ",
    "\n",
    "- ",
    "[",
    "]",
    "{",
    "}",
    ",",
    "&x",
    "*x",
    "<<: ",
    "!reset ",
    "!",
    "|",
    ">",
    '"',
    "'",
    "#",
    "---\n",
    "? ",
    "\t",
    "0",
    "~",
    "\0",
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
      const text = pieces.join("");
      const problems = new Problems("/");
      for (const node of parseYaml(text, "/f", problems)) JSON.stringify(plain(node));
      try {
        problems.throwIfAny();
      } catch (error) {
        for (const { at } of (error as ComposeFileError).problems) expect(at.line).toBeWithin(1, text.split("\n").length + 2);
      }
    }),
    { numRuns: 300 },
  );
});

test("keys with a meaning to JavaScript are keys", () => {
  const read = value("__proto__: {polluted: 1}\nconstructor: 2\ntoString: 3") as object;
  expect(Object.keys(read)).toEqual(["__proto__", "constructor", "toString"]);
  expect(({} as Record<string, unknown>).polluted).toBeUndefined();
});
