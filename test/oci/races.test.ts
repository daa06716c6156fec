/** Commands on one container at the same time: whatever wins, the container is whole or gone, and nothing is left in the end. */
import { afterAll, expect, test } from "bun:test";
import { type Call, ROUNDS, TestRuntime } from "../kit/bundle.ts";

const runtime = new TestRuntime();
afterAll(() => runtime.close(), 60_000);

/** A command that lost says so: it does not crash, hang or claim success for nothing. */
function expectOrderly(calls: readonly Call[]): void {
  for (const { code, stderr } of calls) {
    expect(code).toBeOneOf([0, 1, 137, 255]);
    expect(stderr).not.toMatch(/^\s+at .*:\d+:\d+\)?$|goroutine \d+/m);
    if (code === 1) expect(stderr).not.toBe("");
  }
}

test("start, start, kill, delete, exec, state at once", async () => {
  for (let round = 0; round < ROUNDS; round++) {
    const { id } = await runtime.created(["sleep", "1000"]);
    const commands = [
      ["start", id],
      ["start", id],
      ["kill", id, "KILL"],
      ["delete", id],
      ["exec", id, "true"],
      ["state", id],
    ];
    const order = commands.map((command) => ({ command, at: Math.random() })).toSorted((a, b) => a.at - b.at);
    expectOrderly(await Promise.all(order.map(({ command }) => runtime.call(command))));
    await runtime.ok(["delete", "--force", id]);
    await runtime.expectNothingLeft(id);
  }
}, 600_000);

test("of two starts one wins", async () => {
  for (let round = 0; round < ROUNDS / 4; round++) {
    const { id } = await runtime.created(["sleep", "1000"]);
    const calls = await Promise.all([runtime.call(["start", id]), runtime.call(["start", id]), runtime.call(["start", id])]);
    expect(calls.map(({ code }) => code).toSorted()).toEqual([0, 1, 1]);
    expect((await runtime.state(id)).status).toBe("running");
    await runtime.remove(id);
  }
}, 300_000);

test("delete --force many times over", async () => {
  for (let round = 0; round < ROUNDS / 4; round++) {
    const { id } = await runtime.running();
    expectOrderly(await Promise.all(Array.from({ length: 4 }, () => runtime.call(["delete", "--force", id]))));
    await runtime.ok(["delete", "--force", id]);
    await runtime.expectNothingLeft(id);
  }
}, 300_000);

test("execs while the container is deleted", async () => {
  for (let round = 0; round < ROUNDS / 4; round++) {
    const { id } = await runtime.running();
    const execs = Array.from({ length: 4 }, () => runtime.call(["exec", id, "sleep", "0.05"]));
    const detached = runtime.call(["exec", "--detach", id, "sleep", "1000"]);
    await Bun.sleep(Math.random() * 60);
    const deleted = await runtime.call(["delete", "--force", id]);
    expect(deleted.code).toBe(0);
    expectOrderly(await Promise.all([...execs, detached]));
    await runtime.ok(["delete", "--force", id]);
    await runtime.expectNothingLeft(id);
  }
}, 300_000);

test("pause and resume against kill and delete", async () => {
  for (let round = 0; round < ROUNDS / 4; round++) {
    const { id } = await runtime.running();
    const commands = [
      ["pause", id],
      ["resume", id],
      ["kill", id, "KILL"],
      ["pause", id],
      ["update", "--pids-limit", "10", id],
    ];
    expectOrderly(await Promise.all(commands.map((command) => runtime.call(command))));
    await runtime.ok(["delete", "--force", id]);
    await runtime.expectNothingLeft(id);
  }
}, 300_000);

test("create and delete of one id, over and over", async () => {
  const bundle = runtime.bundle(["sleep", "1000"]);
  const command = ["create", "--bundle", bundle.directory, bundle.id];
  for (let round = 0; round < ROUNDS / 4; round++) {
    expectOrderly(
      await Promise.all([
        runtime.call(command),
        runtime.call(["delete", "--force", bundle.id]),
        runtime.call(command),
        runtime.call(["state", bundle.id]),
      ]),
    );
  }
  await runtime.ok(["delete", "--force", bundle.id]);
  await runtime.expectNothingLeft(bundle.id);
}, 300_000);

test("many containers at once, each its own", async () => {
  const results = await Promise.all(Array.from({ length: 12 }, (_, n) => runtime.shell(`echo ${n}; exit ${n}`)));
  expect(results.map(({ code, stdout }) => `${code} ${stdout}`)).toEqual(Array.from({ length: 12 }, (_, n) => `${n} ${n}\n`));
});
