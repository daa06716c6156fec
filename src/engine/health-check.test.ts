import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { rfc3339 } from "../lib/time.ts";
import { checkHealthRequest, healthCheckOf, judge, probeCommand, startingHealth, untilNextCheck } from "./health-check.ts";
import type { HealthState } from "./types.ts";

const S = 1_000_000_000;
const at = (seconds: number) => rfc3339(1_700_000_000n * BigInt(S) + BigInt(Math.round(seconds * 1000)) * 1_000_000n);
const STARTED = at(0);
const check = healthCheckOf({ test: ["CMD", "true"], startPeriod: 10 * S, startInterval: 2 * S }, undefined)!;
const result = (seconds: number, exitCode: number) => ({ start: at(seconds), end: at(seconds + 0.5), exitCode, output: "" });

const after = (...results: [number, number][]): HealthState =>
  results.reduce((health, [seconds, code]) => judge(health, check, result(seconds, code), STARTED), startingHealth(undefined));

describe("what is asked for", () => {
  test("then what the image says, then Docker's values", () => {
    const image = { Test: ["CMD-SHELL", "curl x"], Interval: 7 * S, Retries: 9 };
    expect(healthCheckOf(undefined, image)).toEqual({
      test: ["CMD-SHELL", "curl x"],
      ...{ interval: 7 * S, timeout: 30 * S, retries: 9, startPeriod: 0, startInterval: 5 * S },
    });
    expect(healthCheckOf({ interval: S, test: ["CMD", "a"] }, image)).toMatchObject({
      test: ["CMD", "a"],
      interval: S,
      retries: 9,
    });
    expect(healthCheckOf({ test: ["NONE"] }, image)).toBeUndefined();
    expect(healthCheckOf({ interval: S }, undefined)).toBeUndefined();
    expect(healthCheckOf(undefined, { Test: ["NONE"] })).toBeUndefined();
  });

  test("an image may hold anything", () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.constantFrom("Test", "Interval", "Timeout", "Retries", "StartPeriod"), fc.jsonValue()),
        (image) => {
          const found = healthCheckOf({ test: ["CMD", "a"] }, image)!;
          for (const value of [found.interval, found.timeout]) expect(value).toBeGreaterThanOrEqual(1_000_000);
          expect(found.retries).toBeGreaterThan(0);
          healthCheckOf(undefined, image);
        },
      ),
    );
    for (const image of [null, 3, "x", [], undefined]) expect(healthCheckOf(undefined, image)).toBeUndefined();
  });

  test("what cannot be is refused in Docker's words", () => {
    expect(() => checkHealthRequest({ interval: 5 })).toThrow("Interval in Healthcheck cannot be less than one millisecond");
    expect(() => checkHealthRequest({ startPeriod: -S })).toThrow("StartPeriod in Healthcheck cannot be less than");
    expect(() => checkHealthRequest({ retries: -1 })).toThrow("Retries in Healthcheck cannot be negative");
    expect(() => checkHealthRequest({ test: ["MAYBE"] })).toThrow('Unknown healthcheck type "MAYBE"');
    checkHealthRequest({ interval: 0, test: ["NONE"] });
  });

  test("words as they are, a line by the image's shell", () => {
    expect(probeCommand({ ...check, test: ["CMD", "a", "b c"] })).toEqual(["a", "b c"]);
    expect(probeCommand({ ...check, test: ["CMD-SHELL", "a b"] })).toEqual(["/bin/sh", "-c", "a b"]);
    expect(probeCommand({ ...check, test: ["CMD-SHELL", "a b"] }, ["/bin/ash", "-ec"])).toEqual(["/bin/ash", "-ec", "a b"]);
  });
});

describe("what results make of it", () => {
  test("a failure of the start period does not count until there was a success", () => {
    expect(after([1, 1], [3, 1], [5, 1], [7, 1])).toMatchObject({ status: "starting", failingStreak: 0 });
    expect(after([1, 1], [3, 0], [5, 1])).toMatchObject({ status: "healthy", failingStreak: 1 });
    expect(after([11, 1], [12, 1])).toMatchObject({ status: "starting", failingStreak: 2 });
    expect(after([11, 1], [12, 1], [13, -1])).toMatchObject({ status: "unhealthy", failingStreak: 3 });
  });

  test("a success makes good; the last five are kept", () => {
    const health = after([11, 1], [12, 1], [13, 1], [14, 1], [15, 1], [16, 0]);
    expect(health).toMatchObject({ status: "healthy", failingStreak: 0 });
    expect(health.log.map(({ start }) => start)).toEqual([12, 13, 14, 15, 16].map(at));
  });

  test("the next check comes an interval after the last, a short one in the start period; at once if it is overdue", () => {
    const now = (seconds: number) => BigInt(Date.parse(at(seconds))) * 1_000_000n;
    expect(untilNextCheck(startingHealth(undefined), check, STARTED, now(0))).toBe(2000);
    expect(untilNextCheck(after([2, 1]), check, STARTED, now(3))).toBe(1500);
    expect(untilNextCheck(after([2, 0]), check, STARTED, now(3))).toBe(29_500);
    expect(untilNextCheck(after([2, 0]), check, STARTED, now(100))).toBe(0);
    // results of an earlier run
    expect(untilNextCheck({ ...startingHealth(after([2, 0])) }, check, at(50), now(50))).toBe(2000);
  });
});
