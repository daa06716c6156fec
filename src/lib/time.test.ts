import { expect, test } from "bun:test";
import fc from "fast-check";
import { fixedWidth, goDuration, NEVER, parseDuration, parseMoment, parseRfc3339, rfc3339 } from "./time.ts";

test("RFC 3339 keeps nanoseconds and cuts trailing zeros", () => {
  expect(rfc3339(1_700_000_000_123_456_789n)).toBe("2023-11-14T22:13:20.123456789Z");
  expect(rfc3339(1_700_000_000_500_000_000n)).toBe("2023-11-14T22:13:20.5Z");
  expect(rfc3339(1_700_000_000_000_000_000n)).toBe("2023-11-14T22:13:20Z");
});

test("what is written is read back", () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 253_402_300_799_999_999_999n }), (ns) => {
      expect(parseRfc3339(rfc3339(ns))).toBe(ns);
    }),
  );
});

test("offsets count, and what is no time is undefined", () => {
  expect(parseRfc3339("2023-11-14T23:13:20+01:00")).toBe(1_700_000_000_000_000_000n);
  expect(parseRfc3339("2023-13-14T23:13:20Z")).toBeUndefined();
  expect(parseRfc3339("yesterday")).toBeUndefined();
  expect(parseRfc3339(NEVER)).toBeLessThan(0n);
});

test("durations as Go writes them", () => {
  expect(parseDuration("1h30m")).toBe(5_400_000_000_000n);
  expect(parseDuration("1.5s")).toBe(1_500_000_000n);
  expect(parseDuration("250ms")).toBe(250_000_000n);
  expect(parseDuration("10")).toBeUndefined();
  expect(parseDuration("")).toBeUndefined();
});

test("moments: seconds, durations before now, dates", () => {
  expect(parseMoment("12.5")).toBe(12_500_000_000n);
  expect(parseMoment("10s", 20_000_000_000n)).toBe(10_000_000_000n);
  expect(parseMoment("2023-11-14")).toBe(1_699_920_000_000_000_000n);
  expect(parseMoment("2023-11-14T22:13:20")).toBe(1_700_000_000_000_000_000n);
  expect(parseMoment("soon")).toBeUndefined();
});

test("a time written with any number of digits has nine when columns must line up", () => {
  expect(fixedWidth("2026-01-02T03:04:05.92421525Z")).toBe("2026-01-02T03:04:05.924215250Z");
  expect(fixedWidth("2026-01-02T03:04:05Z")).toBe("2026-01-02T03:04:05.000000000Z");
  expect(fixedWidth("2026-01-02T03:04:05.5+01:00")).toBe("2026-01-02T03:04:05.500000000+01:00");
  expect(fixedWidth("2026-01-02T03:04:05.123456789Z")).toBe("2026-01-02T03:04:05.123456789Z");
});

test("durations as Go writes them", () => {
  const shown = [0, 1, 1500, 250e6, 1.5e9, 30e9, 90e9, 3600e9, 3661e9].map(goDuration);
  expect(shown).toEqual(["0s", "1ns", "1.5µs", "250ms", "1.5s", "30s", "1m30s", "1h0m0s", "1h1m1s"]);
});
