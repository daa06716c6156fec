/** Sizes, durations and moments as callers write them, as the engine takes them. Throws `invalid_option`. */
import { parseDuration } from "../lib/time.ts";
import { parseBytes } from "../lib/units.ts";
import { invalid } from "./errors.ts";
import type { Duration, Size } from "./options.ts";

export function bytes(size: Size, what: string): number {
  if (typeof size === "string") {
    try {
      return parseBytes(size, what);
    } catch (error) {
      throw invalid((error as Error).message);
    }
  }
  if (!Number.isSafeInteger(size)) throw invalid(`${what} ${size} is not a size: give bytes, or text such as "64m"`);
  return size;
}

export function nanoseconds(duration: Duration, what: string): number {
  const given = typeof duration === "string" ? Number(parseDuration(duration) ?? Number.NaN) : Math.round(duration * 1e6);
  if (Number.isSafeInteger(given) && given >= 0) return given;
  throw invalid(`${what} ${JSON.stringify(duration)} is not a duration: give milliseconds, or text such as "30s"`);
}

export const milliseconds = (duration: Duration, what: string): number => nanoseconds(duration, what) / 1e6;

/** A moment as `since` and `until` of the engine's calls: RFC 3339, or a duration before now. */
export const moment = (when: Date | Duration, what: string): string =>
  when instanceof Date ? when.toISOString() : `${nanoseconds(when, what)}ns`;
