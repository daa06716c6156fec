import { expect, test } from "bun:test";
import fc from "fast-check";
import { printable, visible } from "./printable.ts";

test("what does not show is left out, what is long is cut", () => {
  expect(printable("\u001b[31mred\u0007\r\nnext")).toBe("[31mred next");
  expect(printable("a\u202egnp.exe\u2028b")).toBe("a gnp.exe b");
  expect(printable("  한국어 ok ")).toBe("한국어 ok");
  expect(printable("x".repeat(9), 5)).toBe("xxxx…");
});

test("any text becomes one short line", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), fc.integer({ min: 1, max: 50 }), (text, limit) => {
      const shown = printable(text, limit);
      expect([...shown].length).toBeLessThanOrEqual(limit);
      expect(shown).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
      expect(printable(shown, limit)).toBe(shown);
    }),
  );
});

test("what a terminal would obey is spelled out, the rest stays", () => {
  expect(visible("\u001b]0;title\u0007 \u009b31m \u007f\r\n\t")).toBe("\\x1b]0;title\\x07 \\x9b31m \\x7f\\r\\n\\t");
  expect(visible("a\u202eb\u2028c")).toBe("a\\u202eb\\u2028c");
  expect(visible("옹기 👩‍🔧 e\u0301 \\x1b")).toBe("옹기 👩‍🔧 e\u0301 \\x1b");
});

test("of no text is anything left that moves a cursor", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      expect(visible(text)).not.toMatch(/[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/u);
      expect(visible(visible(text))).toBe(visible(text));
    }),
  );
});
