/** Points in time as the engine keeps them: nanoseconds since the epoch, written as RFC 3339. */

/** What Docker writes for "has not happened". */
export const NEVER = "0001-01-01T00:00:00Z";

const BILLION = 1_000_000_000n;

/** Now, in nanoseconds since the epoch. The resolution is that of the clock, the last digits are steady within a process. */
export function nowNs(): bigint {
  return BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000)) * 1000n;
}

/** RFC 3339 in UTC with the fraction's trailing zeros cut, as Go's RFC3339Nano. */
export function rfc3339(ns: bigint): string {
  const seconds = ns / BILLION;
  const fraction = (ns % BILLION).toString().padStart(9, "0").replace(/0+$/, "");
  const whole = new Date(Number(seconds) * 1000).toISOString().slice(0, 19);
  return fraction === "" ? `${whole}Z` : `${whole}.${fraction}Z`;
}

/** A written time with all nine digits of its fraction, so that columns line up: how `logs --timestamps` prints it. */
export const fixedWidth = (time: string): string =>
  time.replace(
    /(?:\.(\d{1,9}))?(?=Z$|[+-]\d\d:\d\d$)/,
    (_, fraction: string | undefined) => `.${(fraction ?? "").padEnd(9, "0")}`,
  );

/** Parses RFC 3339 with up to nine digits of fraction; undefined if it is not one. */
export function parseRfc3339(text: string): bigint | undefined {
  const match = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/.exec(text);
  if (!match) return undefined;
  const milliseconds = Date.parse(`${match[1]}${match[3]}`);
  if (Number.isNaN(milliseconds)) return undefined;
  return BigInt(milliseconds) * 1_000_000n + BigInt((match[2] ?? "").padEnd(9, "0"));
}

const units: Record<string, bigint> = {
  ns: 1n,
  us: 1000n,
  µs: 1000n,
  ms: 1_000_000n,
  s: BILLION,
  m: 60n * BILLION,
  h: 3600n * BILLION,
};

/** Go's duration syntax ("1h30m", "250ms") in nanoseconds; undefined if it is not one. */
export function parseDuration(text: string): bigint | undefined {
  if (!/^(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+$/.test(text)) return undefined;
  let total = 0n;
  for (const [, number, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)) {
    const [whole = "0", fraction = ""] = (number as string).split(".");
    const scale = units[unit as string] as bigint;
    total += BigInt(whole) * scale;
    if (fraction !== "") total += (BigInt(fraction) * scale) / 10n ** BigInt(fraction.length);
  }
  return total;
}

/** Nanoseconds as Go writes a duration: "1m30s", "1.5s", "250ms", "0s". */
export function goDuration(ns: number): string {
  if (ns === 0) return "0s";
  if (ns < 1e3) return `${ns}ns`;
  if (ns < 1e6) return `${ns / 1e3}µs`;
  if (ns < 1e9) return `${ns / 1e6}ms`;
  const minutes = Math.floor(ns / 60e9);
  const seconds = `${(ns - minutes * 60e9) / 1e9}s`;
  if (minutes === 0) return seconds;
  return minutes < 60 ? `${minutes}m${seconds}` : `${Math.floor(minutes / 60)}h${minutes % 60}m${seconds}`;
}

/**
 * A moment as `--since` and `--until` take it: RFC 3339, seconds since the epoch with a fraction, a date, or a duration
 * before now. Undefined if it is none of them.
 */
export function parseMoment(text: string, now: bigint = nowNs()): bigint | undefined {
  const seconds = /^(\d+)(?:\.(\d{1,9}))?$/.exec(text);
  if (seconds) return BigInt(seconds[1] as string) * BILLION + BigInt((seconds[2] ?? "").padEnd(9, "0"));
  const duration = parseDuration(text);
  if (duration !== undefined) return now - duration;
  const date = /^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00:00Z` : text;
  return parseRfc3339(date) ?? parseRfc3339(`${date}Z`);
}
