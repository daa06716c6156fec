/** Health checks: who looks, what it makes of a container, and what becomes of it when engines and checks end early. */
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { type Engine, eventually, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";

let engine: Engine;
beforeAll(async () => {
  engine = startEngine();
  await bootstrapBusybox(engine);
}, 120_000);
afterAll(() => engine.close(), 120_000);
afterEach(async () => {
  const all = (await engine.ok(["ps", "-aq"])).split("\n").filter(Boolean);
  if (all.length > 0) await engine.ok(["rm", "-f", ...all]);
});

interface Health {
  Status: string;
  FailingStreak: number;
  Log: { Start: string; End: string; ExitCode: number; Output: string }[];
}
const health = async (name: string) => ((await engine.inspect(name)).State as unknown as { Health: Health }).Health;
const status = (name: string, wanted: string) =>
  eventually(`${name} is ${wanted}`, async () => (await health(name)).Status === wanted);
const check = (name: string, command: string, ...flags: string[]) =>
  engine.ok([
    ...["run", "-d", "--name", name, "--health-cmd", command, "--health-interval", "100ms", "--health-retries", "2", ...flags],
    ...["busybox", "sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.05; done"],
  ]);
const FLAG = "test -e /well || { echo is not well; exit 4; }";

test("starting, healthy, unhealthy and back; events, ps, its filter and the log", async () => {
  const since = String(Date.now() / 1000 - 0.001);
  await check("web", FLAG, "--health-start-period", "200s", "--health-start-interval", "60ms");
  expect(await health("web")).toMatchObject({ Status: "starting", FailingStreak: 0 });
  expect(await engine.ok(["ps", "--format", "{{.Status}}"])).toMatch(/^Up .*\(health: starting\)$/);
  await eventually("failures of the start period are logged", async () => (await health("web")).Log.length > 1);
  expect(await health("web")).toMatchObject({ Status: "starting", FailingStreak: 0 });
  await engine.ok(["exec", "web", "touch", "/well"]);
  await status("web", "healthy");
  expect(await engine.ok(["ps", "--format", "{{.Status}}"])).toMatch(/^Up .*\(healthy\)$/);
  expect(await engine.ok(["ps", "-q", "--filter", "health=healthy"])).not.toBe("");
  expect(await engine.ok(["ps", "-q", "--filter", "health=none"])).toBe("");
  await engine.ok(["exec", "web", "rm", "/well"]);
  await status("web", "unhealthy");
  await eventually("five are kept", async () => (await health("web")).Log.every(({ ExitCode }) => ExitCode === 4));
  const { Log, FailingStreak } = await health("web");
  expect(FailingStreak).toBeGreaterThanOrEqual(2);
  expect(Log.length).toBe(5);
  expect(Log[0]?.Output).toBe("is not well\n");
  await engine.ok(["exec", "web", "touch", "/well"]);
  await status("web", "healthy");
  await engine.ok(["stop", "web"]);
  const actions = async (filter: string) =>
    (
      await engine.ok([
        ...[
          "events",
          "--since",
          since,
          "--until",
          String(Date.now() / 1000),
          "--filter",
          "container=web",
          "--filter",
          `event=${filter}`,
        ],
        ...["--format", "{{.Action}}"],
      ])
    ).split("\n");
  expect(await actions("health_status")).toEqual(["healthy", "unhealthy", "healthy"].map((word) => `health_status: ${word}`));
  for (const action of ["exec_create", "exec_start"]) expect(await actions(action)).toContain(`${action}: /bin/sh -c ${FLAG}`);
  expect(await actions("exec_die")).toContain("exec_die");
}, 60_000);

test("an image's check, asked for otherwise, and not at all", async () => {
  await engine.ok(["create", "--name", "base", "busybox", "true"]);
  await engine.ok(["commit", "--change", "HEALTHCHECK --interval=90ms --retries=1 CMD exit 3", "base", "checked"]);
  await engine.ok(["run", "-d", "--name", "theirs", "checked", "sleep", "1000"]);
  await engine.ok(["run", "-d", "--name", "ours", "--health-cmd", "true", "checked", "sleep", "1000"]);
  await engine.ok(["run", "-d", "--name", "without", "--no-healthcheck", "checked", "sleep", "1000"]);
  await status("theirs", "unhealthy");
  await status("ours", "healthy");
  expect(await health("without")).toBeUndefined();
  const { Config } = (await engine.inspect("ours")) as unknown as { Config: { Healthcheck: object } };
  expect(Config.Healthcheck).toMatchObject({ Test: ["CMD-SHELL", "true"], Interval: 90_000_000, Retries: 1 });
  await engine.ok(["rm", "-f", "theirs", "ours", "without", "base"]);
  await engine.ok(["rmi", "checked"]);
});

test("too slow: killed with all it has started, -1 and Docker's words; too much output: cut", async () => {
  await check("slow", "echo so far; sleep 7654321 & setsid sleep 7654321 & sleep 7654321", "--health-timeout", "300ms");
  await check("loud", "head -c 100000 /dev/zero | tr '\\0' x");
  await status("slow", "unhealthy");
  const [first] = (await health("slow")).Log;
  expect(first).toMatchObject({ ExitCode: -1, Output: "Health check exceeded timeout (300ms): so far\n" });
  await engine.ok(["stop", "-t", "1", "slow"]);
  expect(sleepers()).toEqual([]);
  await status("loud", "healthy");
  expect((await health("loud")).Log[0]?.Output).toBe(`${"x".repeat(4096)}...`);
});

test("while it is killed at its timeout, what it left behind is gone before the next", async () => {
  await check(
    "leaves",
    "sleep 7654322 & sleep 7654322",
    "--health-timeout",
    "200ms",
    "--health-interval",
    "20s",
    "--health-start-period",
    "1s",
    "--health-start-interval",
    "100ms",
  );
  await eventually("one has been killed", async () => (await health("leaves")).Log.length > 0);
  expect(sleepers("7654322")).toEqual([]);
});

test("a check that cannot be run fails", async () => {
  await engine.ok(["create", "--name", "base", "busybox", "true"]);
  await engine.ok(["commit", "--change", `HEALTHCHECK --interval=80ms --retries=1 CMD ["/no/such"]`, "base", "lost"]);
  await engine.ok(["run", "-d", "--name", "lost", "lost", "sleep", "1000"]);
  await status("lost", "unhealthy");
  expect((await health("lost")).Log[0]?.Output).toContain("/no/such");
  await engine.ok(["rm", "-f", "lost", "base"]);
  await engine.ok(["rmi", "lost"]);
});

test("who is paused is not looked at, and keeps its health", async () => {
  await check("resting", "true");
  await status("resting", "healthy");
  await engine.ok(["pause", "resting"]);
  await Bun.sleep(300);
  const { Log } = await health("resting");
  await Bun.sleep(400);
  expect(await health("resting")).toMatchObject({ Status: "healthy", Log });
  expect(await engine.ok(["ps", "--format", "{{.Status}}"])).toMatch(/\(Paused\)$/);
  await engine.ok(["unpause", "resting"]);
  await eventually("it is looked at again", async () => (await health("resting")).Log.at(-1)?.Start !== Log.at(-1)?.Start);
});

test("the engine killed: health and log are kept, checks go on, the one that ran is ended", async () => {
  await check("kept", FLAG);
  await engine.ok(["exec", "kept", "touch", "/well"]);
  await status("kept", "healthy");
  await engine.ok([
    "run",
    "-d",
    "--name",
    "stuck",
    "--health-cmd",
    "sleep 7654323",
    "--health-interval",
    "50ms",
    "busybox",
    "sleep",
    "1000",
  ]);
  await eventually("a check runs", () => sleepers("7654323").length > 0);
  const before = await health("kept");
  await engine.murder();
  const after = await health("kept");
  expect(after.Status).toBe("healthy");
  expect(after.Log.length).toBeGreaterThanOrEqual(Math.min(5, before.Log.length));
  await eventually("it is looked at again", async () => (await health("kept")).Log.at(-1)?.Start !== before.Log.at(-1)?.Start);
  await eventually("one check at a time", () => sleepers("7654323").length <= 1);
});

test("on-unhealthy: ended and started again, with a new health, so many times", async () => {
  await check("sick", "exit 1", "--restart", "on-unhealthy:2", "--health-interval", "60ms");
  const info = async () =>
    (await engine.inspect("sick")) as unknown as { RestartCount: number; State: { Status: string; Pid: number } };
  await eventually(
    "it was started twice more and then ended",
    async () => {
      const { RestartCount, State } = await info();
      return RestartCount === 2 && State.Status === "exited";
    },
    30,
  );
  await engine.ok(["start", "sick"]);
  expect((await info()).RestartCount).toBe(0);
  await engine.ok(["stop", "sick"]);
  await Bun.sleep(250);
  expect((await info()).State.Status).toBe("exited");
}, 60_000);

test("what cannot be is refused in Docker's words", async () => {
  const refused = async (...args: string[]) => (await engine.onggi(["run", ...args, "busybox", "true"])).stderr;
  expect(await refused("--health-interval", "-1s")).toContain("--health-interval cannot be negative");
  expect(await refused("--health-interval", "5us")).toContain("Interval in Healthcheck cannot be less than one millisecond");
  expect(await refused("--no-healthcheck", "--health-retries", "1")).toContain(
    "--no-healthcheck conflicts with --health-* options",
  );
});

/** Processes that sleep so long. */
function sleepers(time = "7654321"): string[] {
  return readdirSync("/proc").filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, "latin1").startsWith(`sleep\0${time}\0`);
    } catch {
      return false;
    }
  });
}
