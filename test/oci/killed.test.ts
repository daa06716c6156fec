/**
 * The runtime is killed with SIGKILL at random moments. Whatever it was doing: `delete --force` succeeds afterwards, and no process,
 * mount, cgroup or state is left.
 */
import { afterAll, expect, test } from "bun:test";
import { ROUNDS, type RunningCall, TestRuntime } from "../kit/bundle.ts";

const runtime = new TestRuntime();
afterAll(() => runtime.close(), 60_000);

/** How long a call takes here when nobody disturbs it. */
async function duration(call: () => RunningCall): Promise<number> {
  const start = performance.now();
  expect((await call().done).code).toBe(0);
  return performance.now() - start;
}

async function killAt(call: RunningCall, milliseconds: number): Promise<void> {
  // Bun.sleep has whole milliseconds; a start takes few of them.
  for (const end = performance.now() + milliseconds; performance.now() < end; ) await Promise.resolve();
  call.kill("SIGKILL");
  await call.done;
}

async function expectDeletable(id: string): Promise<void> {
  const { code, stderr } = await runtime.call(["delete", "--force", id]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  await runtime.expectNothingLeft(id);
}

test.each(["create", "run --detach", "run"])(
  "killed during %s",
  async (line) => {
    const command = line.split(" ");
    const calls = (): { id: string; call: RunningCall } => {
      const bundle = runtime.bundle(line === "run" ? ["sleep", "0.01"] : ["sleep", "1000"]);
      return { id: bundle.id, call: runtime.spawn([...command, "--bundle", bundle.directory, bundle.id]) };
    };
    let first = "";
    const whole = await duration(() => {
      const { id, call } = calls();
      first = id;
      return call;
    });
    await expectDeletable(first);
    for (let round = 0; round < ROUNDS; round++) {
      const { id, call } = calls();
      await killAt(call, Math.random() * whole * 1.1);
      await expectDeletable(id);
    }
  },
  300_000,
);

test("killed during start and delete", async () => {
  for (let round = 0; round < ROUNDS / 2; round++) {
    const bundle = await runtime.created(["sleep", "1000"]);
    const verb = round % 2 ? ["start"] : ["delete", "--force"];
    await killAt(runtime.spawn([...verb, bundle.id]), Math.random() * 40);
    await expectDeletable(bundle.id);
  }
}, 300_000);

test("killed during exec: the container runs on, and is deleted with what the exec left", async () => {
  const bundle = await runtime.running();
  const exec = (): RunningCall => runtime.spawn(["exec", bundle.id, "true"]);
  const whole = await duration(exec);
  for (let round = 0; round < ROUNDS; round++) await killAt(exec(), Math.random() * whole * 1.1);
  expect((await runtime.state(bundle.id)).status).toBe("running");
  await runtime.ok(["exec", bundle.id, "true"]);
  await expectDeletable(bundle.id);
}, 300_000);
