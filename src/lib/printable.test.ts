import { expect, test } from "bun:test";
import fc from "fast-check";
import { printable } from "./printable.ts";

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
