import { expect, test } from "bun:test";
import { afterExit, atEngineStart, checkRestart, type Restartable } from "./restart-policy.ts";
import type { RestartPolicy } from "./types.ts";

const policy = (name: RestartPolicy["name"], maximumRetryCount = 0): Restartable => ({
  request: { image: "a", restart: { name, maximumRetryCount } },
});
const FAILED = { exitCode: 1, ranMs: 5 };
const FINE = { exitCode: 0, ranMs: 5 };

test("waits twice as long each time, a minute at most, and begins anew after a run of ten seconds", () => {
  let record = policy("always");
  const delays: number[] = [];
  for (let i = 0; i < 12; i++) {
    const then = afterExit(record, FAILED);
    delays.push(then?.restartDelayMs ?? -1);
    record = { ...record, ...then };
  }
  expect(delays).toEqual([100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 60000, 60000]);
  expect(record.restartCount).toBe(12);
  expect(afterExit(record, { exitCode: 1, ranMs: 10_000 })).toEqual({ restartCount: 13, restartDelayMs: 100 });
});

test("always and unless-stopped whatever the end; on-failure only a failure, so many times", () => {
  for (const name of ["always", "unless-stopped"] as const) expect(afterExit(policy(name), FINE)).not.toBeNull();
  expect(afterExit(policy("on-failure"), FINE)).toBeNull();
  expect(afterExit({ ...policy("on-failure"), restartCount: 1000 }, FAILED)).not.toBeNull();
  expect(afterExit({ ...policy("on-failure", 2), restartCount: 1 }, FAILED)).not.toBeNull();
  expect(afterExit({ ...policy("on-failure", 2), restartCount: 2 }, FAILED)).toBeNull();
  expect(afterExit({ request: { image: "a" } }, FAILED)).toBeNull();
  expect(afterExit(policy("on-unhealthy"), FINE)).toBeNull();
  expect(afterExit(policy("on-unhealthy"), FAILED)).not.toBeNull();
  expect(afterExit({ ...policy("on-unhealthy"), foundUnhealthy: true }, FINE)).not.toBeNull();
  expect(afterExit({ ...policy("on-unhealthy", 1), foundUnhealthy: true, restartCount: 1 }, FINE)).toBeNull();
});

test("who stops it keeps it down; with always until the engine starts", () => {
  const stopped = (name: RestartPolicy["name"]) => ({ ...policy(name), stoppedByHand: true });
  for (const name of ["always", "unless-stopped", "on-failure"] as const) expect(afterExit(stopped(name), FAILED)).toBeNull();
  expect(atEngineStart(stopped("always"))).toBe(true);
  expect(atEngineStart(stopped("unless-stopped"))).toBe(false);
  expect(atEngineStart(policy("unless-stopped"))).toBe(true);
  expect(atEngineStart(policy("on-failure"))).toBe(false);
});

test("what is no policy is refused in Docker's words", () => {
  const check = (name: string, most: number, autoRemove = false) =>
    checkRestart({ name, maximumRetryCount: most } as RestartPolicy, { autoRemove });
  expect(() => check("sometimes", 0)).toThrow("unknown policy 'sometimes'; use one of 'no', 'always'");
  expect(() => check("always", 3)).toThrow("maximum retry count can only be used with 'on-failure'");
  expect(() => check("on-failure", -1)).toThrow("maximum retry count cannot be negative");
  expect(() => check("always", 0, true)).toThrow("conflicting options: cannot specify both --restart and --rm");
  check("no", 0, true);
  check("on-failure", 3);
});
