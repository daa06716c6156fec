import { OnggiError } from "./errors.ts";

/** Sizes and spans as Docker's users write and read them (github.com/docker/go-units has the same rules). */

const binary: Record<string, number> = { "": 1, b: 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40, p: 2 ** 50 };

/**
 * "64m", "1.5g", "512", "2GiB" in bytes; every unit is a power of 1024. `what` names the value in the error.
 * Throws `invalid_size`.
 */
export function parseBytes(text: string, what = "size"): number {
  const match = /^(\d+(?:\.\d+)?)\s*([kmgtp]?)(?:i?b)?$/i.exec(text.trim());
  const bytes = match ? Number(match[1]) * binary[(match[2] ?? "").toLowerCase()]! : Number.NaN;
  if (!match || !Number.isFinite(bytes) || bytes > Number.MAX_SAFE_INTEGER) {
    throw new OnggiError("invalid_size", `${what} "${text}" is not a size; write a number and b, k, m or g, as in 64m`);
  }
  return Math.floor(bytes);
}

const bits: Record<string, number> = { "": 1, k: 1e3, m: 1e6, g: 1e9, t: 1e12 };

/**
 * "20mbit" in bytes per second, by powers of 1000 as with tc(8), or "2m", "2mb" as a size that passes in a second.
 * `what` names the value in the error. Throws `invalid_size`.
 */
export function parseRate(text: string, what = "rate"): number {
  const match = /^(\d+(?:\.\d+)?)\s*([kmgt]?)bit(?:\/s|ps)?$/i.exec(text.trim());
  if (match) return Math.ceil((Number(match[1]) * bits[(match[2] ?? "").toLowerCase()]!) / 8);
  try {
    return parseBytes(text, what);
  } catch {
    throw new OnggiError(
      "invalid_size",
      `${what} "${text}" is not a rate; write bits per second as in 20mbit, or bytes as in 2mb`,
    );
  }
}

/** `digits` significant digits without trailing zeros, as C's %.*g for the range used here. */
const significant = (value: number, digits: number): string => String(Number(value.toPrecision(digits)));

function scaled(bytes: number, base: number, digits: number, names: readonly string[]): string {
  let value = bytes;
  let unit = 0;
  while (value >= base && unit < names.length - 1) {
    value /= base;
    unit++;
  }
  return `${significant(value, digits)}${names[unit]}`;
}

/** Decimal: "1.24MB", as `docker images` writes sizes. */
export const decimalSize = (bytes: number, digits = 3): string =>
  scaled(bytes, 1000, digits, ["B", "kB", "MB", "GB", "TB", "PB"]);

/** Binary: "1.238MiB", as `docker stats` writes memory. */
export const binarySize = (bytes: number): string => scaled(bytes, 1024, 4, ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]);

/** "3 seconds", "About a minute", "2 hours". */
export function humanDuration(seconds: number): string {
  if (seconds < 1) return "Less than a second";
  if (seconds < 2) return "1 second";
  if (seconds < 60) return `${Math.floor(seconds)} seconds`;
  const minutes = Math.floor(seconds / 60);
  if (minutes === 1) return "About a minute";
  if (minutes < 60) return `${minutes} minutes`;
  const hours = Math.round(seconds / 3600);
  if (hours === 1) return "About an hour";
  if (hours < 48) return `${hours} hours`;
  if (hours < 24 * 7 * 2) return `${Math.floor(hours / 24)} days`;
  if (hours < 24 * 30 * 2) return `${Math.floor(hours / 24 / 7)} weeks`;
  if (hours < 24 * 365 * 2) return `${Math.floor(hours / 24 / 30)} months`;
  return `${Math.floor(hours / 24 / 365)} years`;
}

/** "1.5" CPUs in billionths. Throws `invalid_cpus`. */
export function parseNanoCpus(text: string): number {
  const nano = /^\d+(\.\d+)?$|^\.\d+$/.test(text) ? Math.round(Number(text) * 1e9) : Number.NaN;
  if (!Number.isSafeInteger(nano)) {
    throw new OnggiError("invalid_cpus", `"${text}" is not a number of CPUs; write a decimal number, as in 1.5`);
  }
  return nano;
}
