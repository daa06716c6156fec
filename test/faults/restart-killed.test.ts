/**
 * The engine is killed with SIGKILL again and again while containers with restart policies end and start. Whatever the moment: what
 * should run comes back, once, what somebody has stopped stays down, and nothing is left of the starts that were interrupted.
 *
 * ONGGI_ROUNDS rounds (default 100).
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { type Engine, eventually, gone, slowness, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";

const rounds = Number(process.env.ONGGI_ROUNDS ?? 100);
const limit = rounds * 4000 * slowness + 60_000;

let engine: Engine;
beforeAll(async () => {
  engine = startEngine();
  await bootstrapBusybox(engine);
}, 120_000);
afterAll(() => engine.close(), 200_000);

/** Pids of processes that sleep so long. */
const sleepers = (time: string): number[] =>
  readdirSync("/proc").flatMap((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, "latin1") === `sleep\0${time}\0` ? [Number(pid)] : [];
    } catch {
      return [];
    }
  });

const status = async (name: string) => (await engine.inspect(name)).State.Status;
const killAfter = async (ms: number) => {
  const pid = await engine.pid();
  await Bun.sleep(ms);
  process.kill(pid, "SIGKILL");
  await gone(pid);
};

test(
  "its process killed and the engine, one shortly after the other: it runs again, once",
  async () => {
    await engine.ok(["run", "-d", "--restart", "always", "--name", "lives", "busybox", "sleep", "8314159"]);
    for (let round = 0; round < rounds; round += 1) {
      await eventually("it runs", () => sleepers("8314159").length === 1);
      const engineDies = killAfter((round * 7) % 160);
      await Bun.sleep((round * 3) % 20);
      for (const pid of sleepers("8314159")) process.kill(pid, "SIGKILL");
      await engineDies;
      await eventually("it says that it runs", async () => (await status("lives")) === "running");
      const [pid, ...more] = sleepers("8314159");
      expect(more).toEqual([]);
      // it may have ended once more since
      if (pid !== undefined && (await status("lives")) === "running") expect((await engine.inspect("lives")).State.Pid).toBe(pid);
    }
    await engine.ok(["rm", "-f", "lives"]);
    expect(sleepers("8314159")).toEqual([]);
  },
  limit,
);

test(
  "killed during stop: once it was stopped it stays down",
  async () => {
    for (let round = 0; round < rounds; round += 1) {
      const name = `down${round}`;
      await engine.ok(["run", "-d", "--restart", "unless-stopped", "--name", name, "busybox", "sleep", "8314160"]);
      const stop = engine.spawn(["stop", "-t", "0", name]);
      await killAfter((round * 5) % 60);
      const { code } = await stop.done;
      if (code === 0 || (await status(name)) === "exited") {
        await Bun.sleep(120);
        expect(await status(name)).toBe("exited");
      } else {
        await eventually("it runs or has been stopped", async () => ["running", "exited"].includes(await status(name)));
      }
      await engine.ok(["rm", "-f", name]);
    }
  },
  limit,
);

test(
  "killed while it restarts again and again: the count goes on, it comes to an end where it should",
  async () => {
    for (let round = 0; round < Math.ceil(rounds / 5); round += 1) {
      const name = `ends${round}`;
      await engine.ok(["run", "-d", "--restart", "on-failure:3", "--name", name, "busybox", "sh", "-c", "echo run; exit 9"]);
      await killAfter((round * 37) % 700);
      await eventually("it gave up", async () => (await status(name)) === "exited", 30);
      const info = await engine.inspect(name);
      expect(info.RestartCount).toBe(3);
      expect(info.State.ExitCode).toBe(9);
      const runs = (await engine.ok(["logs", name])).split("\n").length;
      // an engine that dies between the start and the record of it starts it once more
      expect(runs).toBeGreaterThanOrEqual(4);
      expect(runs).toBeLessThanOrEqual(5);
      await engine.ok(["rm", name]);
    }
  },
  limit,
);

test(
  "killed in the middle of health checks: one check at a time, and its health is kept",
  async () => {
    const flags = [
      "--health-cmd",
      "sleep 8314.161",
      "--health-interval",
      "20ms",
      "--health-timeout",
      "120ms",
      "--health-retries",
      "1",
    ];
    await engine.ok(["run", "-d", "--name", "looked", ...flags, "busybox", "sleep", "8314162"]);
    const health = async () =>
      ((await engine.inspect("looked")).State as unknown as { Health: { Status: string } }).Health.Status;
    await eventually("it is unhealthy", async () => (await health()) === "unhealthy");
    for (let round = 0; round < Math.ceil(rounds / 2); round += 1) {
      await killAfter((round * 11) % 150);
      expect(await health()).toBe("unhealthy");
      expect(sleepers("8314.161").length).toBeLessThanOrEqual(1);
    }
    await engine.ok(["rm", "-f", "looked"]);
    await eventually("no check is left", () => sleepers("8314.161").length === 0);
  },
  limit,
);

test("a container that is ending while an engine starts keeps it from nothing", async () => {
  await engine.ok(["run", "-d", "--name", "ending", "busybox", "sleep", "8314162"]);
  const pid = (await engine.inspect("ending")).State.Pid;
  // a process of its pid namespace with a parent outside that does not reap: until then the end of process 1 is not told
  const outside = Bun.spawn(["nsenter", "-t", String(pid), "-p", "-m", "sleep", "8314163"], {
    stdio: ["ignore", "ignore", "ignore"],
  });
  try {
    await eventually("it is in there", () => sleepers("8314163").length === 1);
    process.kill(outside.pid, "SIGSTOP");
    await killAfter(0);
    process.kill(pid, "SIGKILL");
    await eventually("it has no namespaces any more", () => !existsSync(`/proc/${pid}/ns/net`));
    expect(await status("ending")).toBe("running");
  } finally {
    outside.kill("SIGKILL");
  }
  await eventually("its end is told", async () => (await status("ending")) === "exited");
  expect((await engine.inspect("ending")).State.ExitCode).toBe(137);
  await engine.ok(["rm", "ending"]);
}, 30_000);
