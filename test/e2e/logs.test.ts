import { afterAll, beforeAll, expect, test } from "bun:test";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { type Engine, eventually, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";

let engine: Engine;
beforeAll(async () => {
  engine = startEngine();
  await bootstrapBusybox(engine);
}, 120_000);
afterAll(() => engine.close(), 120_000);

const RFC3339_NANO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z /;

test("logs keep the streams apart and outlive the process", async () => {
  await engine.ok(["run", "--name", "both", "busybox", "sh", "-c", "echo out; echo err >&2"]);
  const { stdout, stderr } = await engine.onggi(["logs", "both"]);
  expect({ stdout, stderr }).toEqual({ stdout: "out\n", stderr: "err\n" });
  await engine.ok(["rm", "both"]);
});

test("the file is Docker's json-file, one object per line", async () => {
  await engine.ok(["run", "--name", "json", "busybox", "sh", "-c", 'printf "a\\t\\"q\\"\\n"; printf "no newline"']);
  const lines = readFileSync((await engine.inspect("json")).LogPath, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(lines.map(({ log, stream }) => ({ log, stream }))).toEqual([
    { log: 'a\t"q"\n', stream: "stdout" },
    { log: "no newline", stream: "stdout" },
  ]);
  for (const line of lines) expect(`${line.time} `).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z $/);
  await engine.ok(["rm", "json"]);
});

test("--tail, --timestamps", async () => {
  await engine.ok(["run", "--name", "ten", "busybox", "seq", "1", "10"]);
  expect(await engine.ok(["logs", "--tail", "3", "ten"])).toBe("8\n9\n10");
  expect(await engine.ok(["logs", "-n", "0", "ten"])).toBe("");
  expect((await engine.ok(["logs", "--tail", "all", "ten"])).split("\n").length).toBe(10);
  for (const line of (await engine.ok(["logs", "-t", "ten"])).split("\n")) expect(line).toMatch(RFC3339_NANO);
  await engine.ok(["rm", "ten"]);
});

test("--since and --until cut by time", async () => {
  await engine.ok(["run", "--name", "timed", "busybox", "sh", "-c", "echo early; sleep 1.2; echo late"]);
  const stamps = (await engine.ok(["logs", "-t", "timed"])).split("\n").map((line) => line.split(" ")[0]!);
  const between = new Date(Date.parse(stamps[0]!) + 600).toISOString();
  expect(await engine.ok(["logs", "--since", between, "timed"])).toBe("late");
  expect(await engine.ok(["logs", "--until", between, "timed"])).toBe("early");
  expect(await engine.ok(["logs", "--since", "10m", "timed"])).toBe("early\nlate");
  expect(await engine.ok(["logs", "--since", String(Date.parse(between) / 1000), "timed"])).toBe("late");
  await engine.ok(["rm", "timed"]);
});

test("--follow shows what is there, then what comes, and ends with the container", async () => {
  await engine.ok(["run", "-d", "--name", "talk", "busybox", "sh", "-c", "for i in 1 2 3 4 5; do echo $i; sleep 0.2; done"]);
  const { stdout, code } = await engine.onggi(["logs", "-f", "talk"]);
  expect({ stdout, code }).toEqual({ stdout: "1\n2\n3\n4\n5\n", code: 0 });
  await engine.ok(["rm", "talk"]);
});

test("--follow goes on over rotation, and rotation keeps size and count", async () => {
  const flags = ["--log-opt", "max-size=20k", "--log-opt", "max-file=3"];
  await engine.ok([
    "run",
    "-d",
    "--name",
    "spin",
    ...flags,
    "busybox",
    "sh",
    "-c",
    "for i in $(seq 1 3000); do echo line $i; [ $((i % 100)) = 0 ] && sleep 0.02; done; sleep 1",
  ]);
  const followed = engine.spawn(["logs", "-f", "spin"], { timeout: 60_000 });
  const { stdout } = await followed.done;
  const lines = stdout.trimEnd().split("\n");
  expect(lines.at(-1)).toBe("line 3000");
  const first = Number(lines[0]!.split(" ")[1]);
  expect(lines).toEqual(Array.from({ length: 3000 - first + 1 }, (_, index) => `line ${first + index}`));
  const path = (await engine.inspect("spin")).LogPath;
  const name = path.slice(dirname(path).length + 1);
  const files = readdirSync(dirname(path)).filter((file) => file.startsWith(name));
  expect(files.length).toBe(3);
  for (const file of files) expect(statSync(join(dirname(path), file)).size).toBeLessThanOrEqual(20 * 1024 + 300);
  // Without --follow: everything that is still kept, oldest first, the end complete.
  const kept = (await engine.ok(["logs", "spin"])).split("\n");
  expect(kept.at(-1)).toBe("line 3000");
  expect(kept.length).toBeGreaterThan(400);
  await engine.ok(["rm", "-f", "spin"]);
}, 90_000);

test("a line over 16 KiB comes back in one piece, bytes that are no UTF-8 as U+FFFD", async () => {
  await engine.ok([
    "run",
    "--name",
    "long",
    "busybox",
    "sh",
    "-c",
    "head -c 50000 /dev/zero | tr '\\0' x; echo; printf 'a\\377b\\n'",
  ]);
  expect(await engine.ok(["logs", "long"])).toBe(`${"x".repeat(50_000)}\na\uFFFDb`);
  await engine.ok(["rm", "long"]);
});

test("--log-driver none keeps nothing and logs says so; cri writes its own form", async () => {
  await engine.ok(["run", "--name", "mute", "--log-driver", "none", "busybox", "echo", "x"]);
  expect((await engine.onggi(["logs", "mute"])).code).not.toBe(0);
  await engine.ok(["run", "--name", "cri", "--log-driver", "cri", "busybox", "echo", "x"]);
  expect(await engine.ok(["logs", "cri"])).toBe("x");
  expect(readFileSync((await engine.inspect("cri")).LogPath, "utf8")).toMatch(/^\d{4}-\S+Z stdout F x\n$/);
  await engine.ok(["rm", "mute", "cri"]);
});

test("logs flow on while there is no engine, and the next one has them all", async () => {
  await engine.ok([
    "run",
    "-d",
    "--name",
    "steady",
    "busybox",
    "sh",
    "-c",
    "i=0; while :; do i=$((i+1)); echo $i; sleep 0.01; done",
  ]);
  await eventually("it counts", async () => Number((await engine.ok(["logs", "--tail", "1", "steady"])) || 0) > 10);
  const path = (await engine.inspect("steady")).LogPath;
  await engine.murder();
  const size = statSync(path).size;
  await eventually("the log grows without an engine", () => statSync(path).size > size + 1000);
  const numbers = (await engine.ok(["logs", "steady"])).split("\n").map(Number);
  expect(numbers.every((number, index) => number === index + 1)).toBe(true);
  await engine.ok(["rm", "-f", "steady"]);
});

test("logs of what does not exist: an error that names it", async () => {
  const { stderr, code } = await engine.onggi(["logs", "not-there"]);
  expect(stderr).toContain("not-there");
  expect(code).toBe(1);
});
