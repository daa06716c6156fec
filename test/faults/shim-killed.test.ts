import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { type Engine, eventually, gone, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";

let engine: Engine;
beforeAll(async () => {
  engine = startEngine();
  await bootstrapBusybox(engine);
}, 120_000);
afterAll(() => engine.close(), 120_000);

/** The shim is the parent of the container's first process. */
function shimOf(pid: number): number {
  const shim = Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]);
  expect(readFileSync(`/proc/${shim}/comm`, "utf8")).toContain("onggi-shim");
  return shim;
}

async function expectDead(name: string, pid: number): Promise<void> {
  await eventually("it is reported dead", async () => (await engine.inspect(name)).State.Status === "dead");
  const { State } = await engine.inspect(name);
  expect(State).toMatchObject({ Running: false, Dead: true, Pid: 0 });
  expect(State.Error).toMatch(/shim/);
  // Without its supervisor nothing of the container may run on unseen.
  await gone(pid);
}

test("a killed shim: the container is dead with the reason, its processes are ended, it can be removed", async () => {
  await engine.ok(["run", "-d", "--name", "orphan", "busybox", "sh", "-c", "echo before; sleep 5000"]);
  const { Pid } = (await engine.inspect("orphan")).State;
  await eventually("its output is logged", async () => (await engine.ok(["logs", "orphan"])) === "before");
  process.kill(shimOf(Pid), "SIGKILL");
  await expectDead("orphan", Pid);
  expect(await engine.ok(["logs", "orphan"])).toBe("before");
  expect((await engine.onggi(["exec", "orphan", "true"])).code).toBe(1);
  expect((await engine.onggi(["wait", "orphan"])).code).toBe(0);
  await engine.ok(["rm", "orphan"]);
  await engine.expectClean();
});

test("a shim killed while no engine was there: the next one finds out", async () => {
  await engine.ok(["run", "-d", "--name", "both", "busybox", "sleep", "5000"]);
  const { Pid } = (await engine.inspect("both")).State;
  const shim = shimOf(Pid);
  await engine.murder();
  process.kill(shim, "SIGKILL");
  await gone(shim);
  await expectDead("both", Pid);
  await engine.ok(["rm", "-f", "both"]);
});

test("a foreground run whose shim is killed ends with an error that says so", async () => {
  const call = engine.spawn(["run", "--name", "front", "busybox", "sh", "-c", "echo up; sleep 5000"]);
  await call.until("up");
  process.kill(shimOf((await engine.inspect("front")).State.Pid), "SIGKILL");
  const { stderr, code } = await call.done;
  expect(code).not.toBe(0);
  expect(stderr).toMatch(/shim/);
  await engine.ok(["rm", "-f", "front"]);
});

test("a stopped shim does not stop the engine", async () => {
  await engine.ok(["run", "-d", "--name", "frozen", "busybox", "sleep", "5000"]);
  const shim = shimOf((await engine.inspect("frozen")).State.Pid);
  process.kill(shim, "SIGSTOP");
  try {
    expect((await engine.onggi(["run", "--rm", "busybox", "echo", "others"])).stdout).toBe("others\n");
    expect((await engine.onggi(["ps", "-q"])).code).toBe(0);
  } finally {
    process.kill(shim, "SIGCONT");
  }
  await engine.ok(["rm", "-f", "frozen"]);
});
