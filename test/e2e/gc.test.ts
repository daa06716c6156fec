import { afterAll, beforeAll, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Engine, eventually, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox, sh } from "../kit/images.ts";

let engine: Engine;
beforeAll(async () => {
  engine = startEngine();
  await bootstrapBusybox(engine);
});
afterAll(() => engine.close(), 120_000);

/** An image of one megabyte of its own. */
async function makeImage(name: string): Promise<void> {
  const tree = join(engine.base, `tree-${name}`);
  sh(["sh", "-c", `mkdir ${tree} && head -c 1000000 /dev/urandom > ${tree}/file && tar -C ${tree} -cf ${tree}.tar .`]);
  await engine.ok(["import", `${tree}.tar`, `${name}:1`]);
}

const names = async (): Promise<string[]> =>
  (await engine.ok(["images", "--format", "{{.Repository}}"])).split("\n").filter(Boolean).sort();

test("by hand: by age, by size, only told, and never what is used, tagged or a snapshot's unless said", async () => {
  for (const name of ["aa", "bb", "cc"]) await makeImage(name);
  await engine.ok(["commit", (await engine.ok(["create", "busybox", "true"])).trim()]);
  await engine.ok(["create", "--name", "user", "bb:1", "/x"]);
  await engine.ok(["run", "--name", "shot", "busybox", "true"]);
  await engine.ok(["snapshot", "shot"]);
  expect((await engine.onggi(["system", "gc"])).stderr).toContain("say what may go");
  expect(await names()).toEqual(["<none>", "aa", "bb", "busybox", "cc"]);
  // seen now for the first time: nothing is old yet
  expect(await engine.ok(["system", "gc", "-a", "--unused-for", "1h"])).toBe("Total reclaimed space: 0B");
  await Bun.sleep(1100);
  const told = await engine.ok(["system", "gc", "-a", "--unused-for", "1s", "--dry-run"]);
  expect(told.split("\n").at(-1)).toMatch(/^Would be reclaimed: 2\.\d+MB$/);
  expect(told).toContain("aa:1");
  expect(await names()).toEqual(["<none>", "aa", "bb", "busybox", "cc"]);
  await engine.ok(["system", "gc", "--unused-for", "1s"]);
  expect(await names()).toEqual(["aa", "bb", "busybox", "cc"]);
  // 1 MB each and busybox's 2: one has to go
  expect(await engine.ok(["system", "gc", "-a", "--keep-storage", "4600k"])).toMatch(/(aa|cc):1(.|\n)*space: 1\.\d+MB$/);
  expect((await names()).length).toBe(3);
  await engine.ok(["system", "gc", "-a", "--keep-storage", "1"]);
  expect(await names()).toEqual(["bb", "busybox"]);
  await engine.ok(["fork", "--no-start", "shot@1"]);
  await engine.ok(["rm", "-f", ...(await engine.ok(["ps", "-aq"])).split("\n")]);
  await engine.ok(["snapshot", "rm", "shot@1"]);
});

test("at a timer, as engine.toml says when it is read anew", async () => {
  await engine.ok(["engine", "stop"]);
  const config = join(engine.base, "engine.toml");
  writeFileSync(config, '[gc]\nevery = "1s"\nunused-for = "1s"\n');
  await engine.ok(["engine", "start", "--config", config]);
  await makeImage("dd");
  await engine.ok(["commit", (await engine.ok(["create", "--name", "x", "busybox", "true"])).trim()]);
  await engine.ok(["rm", "x"]);
  await eventually("what has no name goes", async () => !(await names()).includes("<none>"));
  expect(await names()).toContain("dd");
  writeFileSync(config, '[gc]\nevery = "1s"\nunused-for = "1s"\nall = true\n');
  await engine.ok(["engine", "reload"]);
  await eventually("what has one goes too", async () => (await names()).length === 0);
  await engine.ok(["engine", "stop"]);
});

test("system prune takes an age by --until", async () => {
  await makeImage("ee");
  await engine.ok(["system", "prune", "-af", "--until", "1h"]);
  expect(await names()).toEqual(["ee"]);
  await engine.ok(["system", "prune", "-af", "--until", "0s"]);
  expect(await names()).toEqual([]);
});
