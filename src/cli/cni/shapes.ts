/** Looks at values of others' JSON. Everything is bounded; what is not as it should be is `invalidConfiguration`. Pure. */
import { CniError, CODE } from "./errors.ts";

export type Dictionary = Readonly<Record<string, unknown>>;

/** Most entries of a list, longest text. */
const MOST = 1024;
const LONGEST = 4096;

export const invalid = (key: string, what: string): CniError => new CniError(CODE.invalidConfiguration, `"${key}": ${what}`);

export const isDictionary = (value: unknown): value is Dictionary =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Of an optional key: null is as good as nothing, as in Go. */
const isAbsent = (value: unknown): value is undefined | null => value === undefined || value === null;

export function dictionary(key: string, value: unknown): Dictionary {
  if (isAbsent(value)) return {};
  if (!isDictionary(value)) throw invalid(key, "not an object");
  return value;
}

export function list(key: string, value: unknown): readonly unknown[] {
  if (isAbsent(value)) return [];
  if (!Array.isArray(value)) throw invalid(key, "not a list");
  if (value.length > MOST) throw invalid(key, `more than ${MOST} entries`);
  return value;
}

export function text(key: string, value: unknown): string | undefined {
  if (isAbsent(value) || value === "") return undefined;
  if (typeof value !== "string") throw invalid(key, "not a string");
  if (value.length > LONGEST || value.includes("\0")) throw invalid(key, "too long, or not text");
  return value;
}

export const texts = (key: string, value: unknown): string[] => list(key, value).flatMap((one) => text(key, one) ?? []);

export function flag(key: string, value: unknown): boolean | undefined {
  if (isAbsent(value)) return undefined;
  if (typeof value !== "boolean") throw invalid(key, "neither true nor false");
  return value;
}

export function number(key: string, value: unknown, [least, most]: readonly [number, number]): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= least && value <= most) return value;
  throw invalid(key, `not a whole number from ${least} to ${most}`);
}
