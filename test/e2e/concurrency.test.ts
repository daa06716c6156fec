import { afterAll, beforeAll, expect, test } from "bun:test";
import { type Engine, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";

let engine: Engine;
beforeAll(async () => {
  engine = startEngine();
  await bootstrapBusybox(engine);
}, 120_000);
afterAll(() => engine.close(), 120_000);

/** Runs tasks 0 to count - 1, at most `width` at a time. */
async function pool<T>(count: number, width: number, task: (index: number) => Promise<T>): Promise<T[]> {
  const results: T[] = new Array(count);
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) {
      const index = next++;
      results[index] = await task(index);
    }
  };
  await Promise.all(Array.from({ length: width }, worker));
  return results;
}

test("50 containers at concurrency 8: each its own output, host name and exit status", async () => {
  const results = await pool(50, 8, (index) =>
    engine.onggi(["run", "--rm", "busybox", "sh", "-c", `echo ${index} $(hostname); exit ${index}`], { timeout: 60_000 }),
  );
  expect(results.map(({ code }) => code)).toEqual(Array.from({ length: 50 }, (_, index) => index));
  expect(results.map(({ stdout }) => stdout.split(" ")[0])).toEqual(Array.from({ length: 50 }, (_, index) => String(index)));
  expect(new Set(results.map(({ stdout }) => stdout.split(" ")[1])).size).toBe(50);
  expect(await engine.ok(["ps", "-aq"])).toBe("");
}, 120_000);

test("100 mixed requests on one container end, none is lost, and it is whole afterwards", async () => {
  await engine.ok([
    "run",
    "-d",
    "--name",
    "busy",
    "--memory",
    "64m",
    "busybox",
    "sh",
    "-c",
    "i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done",
  ]);
  const requests: ((index: number) => string[])[] = [
    () => ["exec", "busy", "echo", "hello"],
    () => ["inspect", "busy"],
    () => ["logs", "--tail", "5", "busy"],
    () => ["stats", "--no-stream", "busy"],
    () => ["pause", "busy"],
    () => ["unpause", "busy"],
    (index) => ["update", "--pids-limit", String(50 + index), "busy"],
    () => ["ps", "-a"],
    () => ["stop", "-t", "0", "busy"],
    () => ["start", "busy"],
  ];
  const results = await pool(100, 8, async (index) => ({
    args: requests[index % requests.length]!(index),
    ...(await engine.onggi(requests[index % requests.length]!(index), { timeout: 60_000 })),
  }));
  for (const { args, stderr, code } of results) {
    // What comes at a wrong moment is refused with a sentence, never with a crash.
    // An exec that the container's end caught is killed with it, as with Docker.
    if (code !== 0 && !(args[0] === "exec" && code === 137))
      expect(stderr, args.join(" ")).toMatch(/not running|paused|not paused|already|start it|stopped|exited|ended/i);
    expect(stderr).not.toMatch(/TypeError|undefined|at .*\.ts:\d+/);
  }
  for (const index of [1, 7]) for (const result of results.filter((_, at) => at % 10 === index)) expect(result.code).toBe(0);
  const state = (await engine.inspect("busy")).State;
  expect(["running", "exited", "paused"]).toContain(state.Status);
  await engine.ok(["rm", "-f", "busy"]);
}, 120_000);

test("ten creates of one name: one wins", async () => {
  const results = await Promise.all(
    Array.from({ length: 10 }, () => engine.onggi(["create", "--name", "one", "busybox", "true"])),
  );
  expect(results.filter(({ code }) => code === 0).length).toBe(1);
  for (const { stderr, code } of results) if (code !== 0) expect(stderr).toContain("one");
  await engine.ok(["rm", "one"]);
});

test("ten removes of one container: it goes once, and all end", async () => {
  await engine.ok(["run", "-d", "--name", "prey", "busybox", "sleep", "1000"]);
  const results = await Promise.all(Array.from({ length: 10 }, () => engine.onggi(["rm", "-f", "prey"])));
  expect(results.some(({ code }) => code === 0)).toBe(true);
  expect(await engine.ok(["ps", "-aq"])).toBe("");
});

test("a slow request on one container does not hold another", async () => {
  await engine.ok(["run", "-d", "--name", "slow", "busybox", "sh", "-c", "trap '' TERM; while :; do sleep 1; done"]);
  const stopping = engine.onggi(["stop", "-t", "5", "slow"], { timeout: 30_000 });
  await Bun.sleep(100);
  const { ms } = await engine.onggi(["run", "--rm", "busybox", "true"]);
  expect(ms).toBeLessThan(3000);
  await stopping;
  await engine.ok(["rm", "slow"]);
}, 60_000);
