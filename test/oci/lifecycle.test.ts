/** create, start, kill, delete: every state, every wrong order, every bad name. Source: runtime-spec, runtime.md. */
import { afterAll, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Call, TestRuntime, until } from "../kit/bundle.ts";

const runtime = new TestRuntime();
afterAll(() => runtime.close(), 60_000);

/** Refused with 1 (an exec: with 255, which a program may give too), and a reason on stderr and in the log. */
function expectRefusal(call: Call, reason?: RegExp, code = 1): void {
  expect(call.code).toBe(code);
  expect(call.stderr.trim()).not.toBe("");
  const errors = call.log.filter(({ level }) => level === "error" || level === "fatal");
  expect(errors.length).toBeGreaterThan(0);
  expect(Number.isNaN(Date.parse(errors[0]!.time))).toBe(false);
  if (reason) expect(call.stderr).toMatch(reason);
}

test("created, running, stopped, deleted", async () => {
  const marker = "ran";
  const bundle = runtime.bundle(["sh", "-c", `echo ${marker} > /marker; sleep 0.2; exit 3`], (spec) => {
    spec.annotations = { "org.example.key": "value" };
  });
  const pidFile = join(runtime.base, "pid");
  await runtime.ok(["create", "--bundle", bundle.directory, "--pid-file", pidFile, bundle.id]);
  const created = await runtime.state(bundle.id);
  expect(created).toMatchObject({
    id: bundle.id,
    status: "created",
    bundle: bundle.directory,
    annotations: { "org.example.key": "value" },
  });
  expect(created.ociVersion).toMatch(/^1\./);
  expect(readFileSync(pidFile, "utf8")).toBe(String(created.pid));
  expect(existsSync(`/proc/${created.pid}`)).toBe(true);
  expect(existsSync(join(bundle.rootfs, "marker"))).toBe(false);

  await runtime.ok(["start", bundle.id]);
  expect((await runtime.state(bundle.id)).status).toBeOneOf(["running", "stopped"]);
  const stopped = await runtime.until(bundle.id, "stopped");
  expect(stopped.pid).toBe(0);
  expect(readFileSync(join(bundle.rootfs, "marker"), "utf8")).toBe(`${marker}\n`);

  await runtime.ok(["delete", bundle.id]);
  expectRefusal(await runtime.call(["state", bundle.id]), /does not exist/);
  await runtime.expectNothingLeft(bundle.id);
});

test("a config.json altered between create and start is of no effect", async () => {
  const bundle = await runtime.created(["sh", "-c", "echo first > /which"]);
  bundle.spec.process!.args = ["sh", "-c", "echo second > /which"];
  bundle.write();
  await runtime.ok(["start", bundle.id]);
  await runtime.until(bundle.id, "stopped");
  expect(readFileSync(join(bundle.rootfs, "which"), "utf8")).toBe("first\n");
  await runtime.ok(["delete", bundle.id]);
});

test("what is not allowed in a state is refused and changes nothing", async () => {
  const bundle = await runtime.created(["sleep", "1000"]);
  const { id } = bundle;
  expectRefusal(await runtime.call(["create", "--bundle", bundle.directory, id]), /exist/);
  expectRefusal(await runtime.call(["run", "--bundle", bundle.directory, id]), /exist/);
  expect((await runtime.state(id)).status).toBe("created");

  await runtime.ok(["start", id]);
  const { pid } = await runtime.state(id);
  expectRefusal(await runtime.call(["start", id]));
  expectRefusal(await runtime.call(["delete", id]));
  expectRefusal(await runtime.call(["create", "--bundle", bundle.directory, id]), /exist/);
  expect(await runtime.state(id)).toMatchObject({ status: "running", pid });

  await runtime.ok(["kill", id, "KILL"]);
  await runtime.until(id, "stopped");
  expectRefusal(await runtime.call(["start", id]));
  expectRefusal(await runtime.call(["exec", id, "true"]), undefined, 255);
  expectRefusal(await runtime.call(["kill", id, "TERM"]), /not running|no such process|already finished|stopped/i);
  expectRefusal(await runtime.call(["pause", id]));
  await runtime.ok(["delete", id]);
  await runtime.expectNothingLeft(id);
});

test.each([
  ["TERM", 15],
  ["SIGTERM", 15],
  ["9", 9],
  ["USR1", 10],
])("kill with %s sends it", async (name, number) => {
  const script = `for n in 10 15; do trap "echo $n > /got; exit" $n; done; echo up > /up; while true; do sleep 0.05; done`;
  const bundle = await runtime.running(["sh", "-c", script]);
  await until(() => existsSync(join(bundle.rootfs, "up")), "the traps");
  await runtime.ok(["kill", bundle.id, name]);
  await runtime.until(bundle.id, "stopped");
  const got = join(bundle.rootfs, "got");
  expect(existsSync(got) ? Number(readFileSync(got, "utf8")) : 9).toBe(number);
  await runtime.ok(["delete", bundle.id]);
});

test("kill sends TERM if nothing is said, and refuses a name that is no signal", async () => {
  const bundle = await runtime.running(["sh", "-c", "trap 'exit 0' TERM; echo up > /up; while true; do sleep 0.05; done"]);
  await until(() => existsSync(join(bundle.rootfs, "up")), "the trap");
  expectRefusal(await runtime.call(["kill", bundle.id, "NONSENSE"]), /signal/);
  expect((await runtime.state(bundle.id)).status).toBe("running");
  await runtime.ok(["kill", bundle.id]);
  await runtime.until(bundle.id, "stopped");
  await runtime.ok(["delete", bundle.id]);
});

test("kill --all ends every process of a container without a pid namespace", async () => {
  const bundle = await runtime.running(["sh", "-c", "sleep 1000 & sleep 1000 & wait"], (spec) => {
    spec.linux!.namespaces = spec.linux!.namespaces!.filter(({ type }) => type !== "pid");
  });
  await until(() => runtime.remains(bundle.id).filter((line) => line.startsWith("process")).length >= 3, "three processes");
  await runtime.ok(["kill", "--all", bundle.id, "KILL"]);
  await runtime.until(bundle.id, "stopped");
  await runtime.ok(["delete", bundle.id]);
  await runtime.expectNothingLeft(bundle.id);
});

test("a created container is killed before it was started", async () => {
  const bundle = await runtime.created(["sleep", "1000"]);
  await runtime.ok(["kill", bundle.id, "KILL"]);
  await runtime.until(bundle.id, "stopped");
  await runtime.ok(["delete", bundle.id]);
  await runtime.expectNothingLeft(bundle.id);
});

test("delete ends a container that was never started", async () => {
  const bundle = await runtime.created(["sleep", "1000"]);
  await runtime.ok(["delete", bundle.id]);
  await runtime.expectNothingLeft(bundle.id);
});

test.each(["created", "running", "paused", "stopped"] as const)("delete --force of one that is %s", async (status) => {
  const bundle = await runtime.created(["sleep", "1000"]);
  if (status !== "created") await runtime.ok(["start", bundle.id]);
  if (status === "paused") await runtime.ok(["pause", bundle.id]);
  if (status === "stopped") await runtime.ok(["kill", bundle.id, "KILL"]);
  await runtime.until(bundle.id, status);
  await runtime.ok(["delete", "--force", bundle.id]);
  await runtime.expectNothingLeft(bundle.id);
});

test("of an unknown id: delete --force is content, everything else refuses", async () => {
  const id = runtime.uniqueId();
  for (const command of [
    ["state"],
    ["start"],
    ["kill"],
    ["delete"],
    ["pause"],
    ["resume"],
    ["ps"],
    ["events", "--stats"],
    ["update"],
  ])
    expectRefusal(await runtime.call([...command, id]), /does not exist/);
  expectRefusal(await runtime.call(["exec", id, "true"]), /does not exist/, 255);
  await runtime.ok(["delete", "--force", id]);
});

test.each([["../x"], [""], ["."], [".."], ["a/b"], ["/a"], ["a b"], ["a\nb"], ["ä"], ["a\\b"], ["a*"], ["x".repeat(2000)]])(
  "the id %j is refused by every command and touches nothing",
  async (id) => {
    const bundle = runtime.bundle(["true"]);
    mkdirSync(join(runtime.base, "x"), { recursive: true });
    const before = readdirSync(runtime.base).filter((name) => !name.startsWith("call-"));
    for (const command of [
      ["create", "--bundle", bundle.directory],
      ["run", "--bundle", bundle.directory],
      ["state"],
      ["start"],
      ["kill"],
    ])
      expectRefusal(await runtime.call([...command, id]));
    expectRefusal(await runtime.call(["delete", id]));
    await runtime.call(["delete", "--force", id]);
    expect(readdirSync(runtime.base).filter((name) => !name.startsWith("call-"))).toEqual(before);
    await runtime.expectNothingLeft(bundle.id);
  },
);

test.each(["a", "A.b_c+d-0", "-a", "..a", "x".repeat(200)])("the id %j is fine", async (suffix) => {
  const bundle = runtime.bundle(["true"]);
  const id = `${runtime.tag}-${suffix}`;
  await runtime.ok(["create", "--bundle", bundle.directory, id]);
  expect((await runtime.state(id)).id).toBe(id);
  await runtime.remove(id);
});

test("of many creates of one id exactly one wins, and the container is whole", async () => {
  const bundle = runtime.bundle(["sleep", "1000"]);
  const command = ["create", "--bundle", bundle.directory, bundle.id];
  const codes = (await Promise.all(Array.from({ length: 8 }, () => runtime.call(command)))).map(({ code }) => code);
  expect(codes.toSorted()).toEqual([0, 1, 1, 1, 1, 1, 1, 1]);
  await runtime.ok(["start", bundle.id]);
  expect((await runtime.state(bundle.id)).status).toBe("running");
  await runtime.remove(bundle);
  await runtime.expectNothingLeft(bundle.id);
});

test.each([
  ["a program that does not exist", { args: ["/bin/nowhere"] }],
  ["a program that is not executable", { args: ["/etc/passwd"] }],
  ["a directory as program", { args: ["/etc"] }],
  ["a working directory that is a file", { cwd: "/etc/passwd" }],
  ["a capability that cannot be", { capabilities: { bounding: [], effective: ["CAP_KILL"], permitted: [] } }],
])("a create that fails half-way (%s) leaves nothing", async (_, process) => {
  const bundle = runtime.bundle(["true"]);
  Object.assign(bundle.spec.process!, process);
  bundle.write();
  const created = await runtime.call(["create", "--bundle", bundle.directory, bundle.id]);
  // Some of it is found out only by the execve, which is start's.
  if (created.code === 0) {
    const started = await runtime.call(["start", bundle.id]);
    if (started.code !== 0) expect(started.stderr).not.toBe("");
  } else expectRefusal(created);
  await runtime.ok(["delete", "--force", bundle.id]);
  await runtime.expectNothingLeft(bundle.id);
});

test("a pid file that cannot be written makes create fail and leaves nothing", async () => {
  const bundle = runtime.bundle(["true"]);
  const pidFile = join(runtime.base, "nowhere/pid");
  expectRefusal(await runtime.call(["create", "--bundle", bundle.directory, "--pid-file", pidFile, bundle.id]));
  await runtime.expectNothingLeft(bundle.id);
});

test("a state that is broken is refused by name, and delete --force clears it away", async () => {
  const bundle = await runtime.created(["sleep", "1000"]);
  const directory = join(runtime.root, bundle.id);
  const { pid } = await runtime.state(bundle.id);
  for (const name of readdirSync(directory).filter((file) => file.endsWith(".json"))) writeFileSync(join(directory, name), "{");
  expect((await runtime.call(["state", bundle.id])).code).toBe(1);
  // What it was cannot be known any more; the test ends the process itself.
  process.kill(pid, "SIGKILL");
  await runtime.call(["delete", "--force", bundle.id]);
  expect((await runtime.call(["state", bundle.id])).code).toBe(1);
});

test("variables meant for the caller's own interpreters do not change the runtime", async () => {
  const env = { BUN_JSC_nonsense: "1", BUN_OPTIONS: "--nonsense", BUN_BE_BUN: "1", NODE_OPTIONS: "--nonsense" };
  const { code, stderr } = await runtime.call(["state", "nobody"], { env });
  expect(code).toBe(1);
  expect(stderr).toContain("container does not exist");
});
