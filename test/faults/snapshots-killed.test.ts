/**
 * The engine is killed with SIGKILL in the middle of a snapshot or a fork, again and again at another moment: what there is then is
 * whole, and what runs goes on. An eighth of ONGGI_ROUNDS (default 100) rounds of each kind.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { type Engine, eventually, gone, isAlive, slowness, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";

const rounds = Math.ceil(Number(process.env.ONGGI_ROUNDS ?? 100) / 8);
const limit = rounds * 6000 * slowness + 60_000;

let engine: Engine;
beforeAll(async () => {
  engine = startEngine();
  await bootstrapBusybox(engine);
  const count = "i=0; while :; do i=$((i+1)); echo $i > /count; sleep 0.02; done";
  await engine.ok(["run", "-d", "--name", "witness", "busybox", "sh", "-c", count]);
}, 120_000);
afterAll(() => engine.close(), 120_000);

async function killDuring(args: readonly string[], round: number, spanMs: number): Promise<void> {
  const pid = await engine.pid();
  const call = engine.spawn(args, { stdin: "", timeout: 30_000 });
  await Bun.sleep((spanMs * slowness * (round + 0.5)) / rounds);
  if (isAlive(pid)) process.kill(pid, "SIGKILL");
  await gone(pid);
  await call.done;
}

const indexes = (): number => readdirSync(join(engine.root, "images/index")).length;

/** The witness is not frozen. */
async function expectAlive(): Promise<void> {
  const count = () => engine.ok(["exec", "witness", "cat", "/count"]);
  const before = await count();
  await eventually("the witness goes on", async () => (await count()) !== before);
}

test(
  "during snapshot",
  async () => {
    for (let round = 0; round < rounds; round += 1) {
      await killDuring(["snapshot", "witness", "one"], round, 60);
      await expectAlive();
      const there = await engine.ok(["snapshot", "ls", "-q"]);
      expect(["", "one"]).toContain(there);
      expect(indexes()).toBe(there === "" ? 1 : 2);
      if (there === "") continue;
      expect(await engine.ok(["fork", "--no-start", "--name", "check", "one"])).not.toBe("");
      await engine.ok(["rm", "check"]);
      await engine.ok(["snapshot", "rm", "one"]);
    }
  },
  limit,
);

test(
  "during fork: all of them are there, or none",
  async () => {
    for (let round = 0; round < rounds; round += 1) {
      await killDuring(["fork", "-n", "5", "--name", "f", "witness"], round, 160);
      await expectAlive();
      const names = (await engine.ok(["ps", "-a", "--format", "{{.Names}}"])).split("\n").filter((name) => name !== "witness");
      expect([0, 5]).toContain(names.length);
      expect(indexes()).toBe(names.length === 0 ? 1 : 2);
      for (const name of names) await engine.onggi(["start", name]);
      for (const name of names) expect((await engine.inspect(name)).State.Running).toBe(true);
      if (names.length > 0) await engine.ok(["rm", "-f", ...names]);
      await eventually("the files went with them", () => indexes() === 1);
      await eventually("no directory is left", () => readdirSync(join(engine.root, "containers")).length === 1);
    }
  },
  limit,
);
