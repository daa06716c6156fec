import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { OnggiError } from "./errors.ts";
import { binarySize, decimalSize, humanDuration, parseBytes, parseNanoCpus, parseRate } from "./units.ts";

describe("parseBytes", () => {
  test.each([
    ["0", 0],
    ["512", 512],
    ["512b", 512],
    ["1k", 1024],
    ["1K", 1024],
    ["1kb", 1024],
    ["1KiB", 1024],
    ["64m", 64 * 1024 ** 2],
    ["64MB", 64 * 1024 ** 2],
    ["1.5g", 1.5 * 1024 ** 3],
    ["2t", 2 * 1024 ** 4],
    ["1 G", 1024 ** 3],
  ])("%s", (text, bytes) => expect(parseBytes(text)).toBe(bytes));

  test.each(["", "m", "-1", "1x", "1mm", "0x10", "1e3", "64 m b", "9999999999p", "NaN"])("refuses %p", (text) => {
    expect(() => parseBytes(text, "--memory")).toThrow(OnggiError);
  });

  test.each([
    ["20mbit", 2_500_000],
    ["20Mbit/s", 2_500_000],
    ["1gbit", 125_000_000],
    ["1.5 kbitps", 188],
    ["9bit", 2],
    ["0", 0],
    ["2mb", 2 * 1024 ** 2],
  ])("a rate of %s", (text, bytes) => expect(parseRate(text)).toBe(bytes));

  test.each(["8kbps", "mbit", "-1mbit", "1 mbit/h"])("no rate: %p", (text) => {
    expect(() => parseRate(text)).toThrow("is not a rate");
  });

  test.each([parseBytes, parseRate])("never throws anything else", (parse) => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        try {
          expect(parse(text)).toBeGreaterThanOrEqual(0);
        } catch (error) {
          expect((error as OnggiError).code).toBe("invalid_size");
        }
      }),
    );
  });
});

test.each([
  [0, "0B"],
  [999, "999B"],
  [1000, "1kB"],
  [1_240_000, "1.24MB"],
  [4_261_502, "4.26MB"],
  [123_456_789_012, "123GB"],
])("decimalSize(%d)", (bytes, text) => expect(decimalSize(bytes)).toBe(text));

test.each([
  [0, "0B"],
  [1023, "1023B"],
  [1024, "1KiB"],
  [1_298_432, "1.238MiB"],
  [64 * 1024 ** 2, "64MiB"],
  [8_331_522_048, "7.759GiB"],
])("binarySize(%d)", (bytes, text) => expect(binarySize(bytes)).toBe(text));

test.each([
  [0.4, "Less than a second"],
  [1, "1 second"],
  [59, "59 seconds"],
  [60, "About a minute"],
  [119, "About a minute"],
  [120, "2 minutes"],
  [3600, "About an hour"],
  [7200, "2 hours"],
  [48 * 3600, "2 days"],
  [15 * 24 * 3600, "2 weeks"],
  [70 * 24 * 3600, "2 months"],
  [3 * 365 * 24 * 3600, "3 years"],
])("humanDuration(%d)", (seconds, text) => expect(humanDuration(seconds)).toBe(text));

test("parseNanoCpus", () => {
  expect(parseNanoCpus("1.5")).toBe(1_500_000_000);
  expect(parseNanoCpus(".5")).toBe(500_000_000);
  for (const bad of ["", "x", "-1", "1.5.2", "1e3", "."]) expect(() => parseNanoCpus(bad)).toThrow(OnggiError);
});
