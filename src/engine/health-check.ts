/** Health checks, as Docker has them: what is asked for, and what a result makes of a container's health. */
import { OnggiError } from "../lib/errors.ts";
import { parseRfc3339 } from "../lib/time.ts";
import type { HealthCheck, HealthResult, HealthState } from "./types.ts";

const MS = 1_000_000;
const SECOND = 1000 * MS;
/** Results that are kept, and how much of their output, in bytes. */
const LOGGED = 5;
export const MOST_OUTPUT = 4096;

/** A check with every value it needs. Durations in nanoseconds. */
export type Check = Required<HealthCheck>;

const defaults = { interval: 30 * SECOND, timeout: 30 * SECOND, retries: 3, startPeriod: 0, startInterval: 5 * SECOND };

const durations = ["interval", "timeout", "startPeriod", "startInterval"] as const;

/** Throws "invalid_health_check". */
export function checkHealthRequest(check: HealthCheck | undefined): void {
  if (!check) return;
  const refuse = (why: string): never => {
    throw new OnggiError("invalid_health_check", why);
  };
  for (const name of durations) {
    const value = check[name];
    if (value === undefined || value === 0) continue;
    const shown = `${name[0]?.toUpperCase()}${name.slice(1)}`;
    if (!(value >= MS)) refuse(`${shown} in Healthcheck cannot be less than one millisecond`);
    if (!Number.isSafeInteger(value)) refuse(`${shown} in Healthcheck is not a number of nanoseconds`);
  }
  const { retries = 0, test = [] } = check;
  if (!Number.isSafeInteger(retries) || retries < 0) refuse("Retries in Healthcheck cannot be negative");
  if (!Array.isArray(test) || !test.every((word) => typeof word === "string"))
    refuse("Test in Healthcheck is not a list of words");
  const [kind] = test;
  if (kind !== undefined && !["NONE", "CMD", "CMD-SHELL"].includes(kind))
    refuse(`Unknown healthcheck type ${JSON.stringify(kind)}: it is NONE, CMD or CMD-SHELL`);
}

/** HEALTHCHECK of an image, which may hold anything: what it says of use. */
function ofImage(value: unknown): HealthCheck {
  if (typeof value !== "object" || value === null) return {};
  const { Test, Retries, ...rest } = value as Record<string, unknown>;
  const number = (given: unknown): number => (Number.isSafeInteger(given) && (given as number) > 0 ? (given as number) : 0);
  const duration = (given: unknown): number => (number(given) >= MS ? number(given) : 0);
  return {
    test: Array.isArray(Test) && Test.every((word) => typeof word === "string") ? Test : [],
    retries: number(Retries),
    interval: duration(rest.Interval),
    timeout: duration(rest.Timeout),
    startPeriod: duration(rest.StartPeriod),
    startInterval: duration(rest.StartInterval),
  };
}

/** The check a container gets: what was asked for, then the image's, then Docker's values; undefined: none. */
export function healthCheckOf(asked: HealthCheck | undefined, image: unknown): Check | undefined {
  const theirs = ofImage(image);
  const test = asked?.test?.length ? asked.test : (theirs.test ?? []);
  if (test.length < 2 || test[0] === "NONE") return undefined;
  const of = (name: keyof typeof defaults): number => asked?.[name] || theirs[name] || defaults[name];
  return {
    test,
    interval: of("interval"),
    timeout: of("timeout"),
    retries: of("retries"),
    startPeriod: of("startPeriod"),
    startInterval: of("startInterval"),
  };
}

/** The command of a check; `shell` is the image's. */
export function probeCommand({ test: [kind, ...words] }: Check, shell: readonly string[] = ["/bin/sh", "-c"]): string[] {
  return kind === "CMD-SHELL" ? [...shell, ...words] : words;
}

/** Of a container that has just started; what was found out before is remembered. */
export const startingHealth = (before: HealthState | undefined): HealthState => ({
  status: "starting",
  failingStreak: 0,
  log: before?.log ?? [],
});

const nanoseconds = (moment: string): number => Number(parseRfc3339(moment) ?? 0n);

/** What a result makes of a health. A failure does not count before the first success as long as the start period lasts. */
export function judge(health: HealthState, check: Check, result: HealthResult, startedAt: string): HealthState {
  const log = [...health.log.slice(1 - LOGGED), result];
  if (result.exitCode === 0) return { status: "healthy", failingStreak: 0, log };
  const early = nanoseconds(result.start) - nanoseconds(startedAt) < check.startPeriod;
  if (health.status === "starting" && early) return { ...health, log };
  const failingStreak = health.failingStreak + 1;
  return { status: failingStreak >= check.retries ? "unhealthy" : health.status, failingStreak, log };
}

/** Milliseconds from now to the next check: an interval after the last one of this run ended. `now` in nanoseconds since the epoch. */
export function untilNextCheck(health: HealthState, check: Check, startedAt: string, now: bigint): number {
  const started = parseRfc3339(startedAt) ?? now;
  const ended = parseRfc3339(health.log.at(-1)?.end ?? "") ?? started;
  const passed = Math.min(Number(now - ended), Number(now - started));
  const starting = health.status === "starting" && Number(now - started) < check.startPeriod;
  const interval = starting ? check.startInterval : check.interval;
  return Math.max(0, (interval - passed) / MS);
}

/** As an image has it. */
export const dockerHealthCheck = (check: Check): object => ({
  Test: check.test,
  Interval: check.interval,
  Timeout: check.timeout,
  StartPeriod: check.startPeriod,
  StartInterval: check.startInterval,
  Retries: check.retries,
});
