/** Processes that a runtime makes: here a shell, whose background process is "the container". As root. */
import { afterEach, expect, test } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { SetupFailed, type Shim } from "../../src/native/shim.ts";
import { encode } from "../../src/plan/encode.ts";
import type { Plan, Supervision } from "../../src/plan/ops.ts";
import { alive, cleanUp, listener, spawn, stateDir, until } from "./kit.ts";
import { execve, leaveTable, op, planOf } from "./plans.ts";

afterEach(cleanUp);

interface Parts {
  readonly started?: boolean;
  readonly supervision?: Partial<Supervision>;
}

/** A plan whose program is `script`, run in the state directory, with `pid` and `console` as places. */
function runtime(dir: string, script: string, { started = false, supervision = {} }: Parts = {}): Plan {
  const streams = [0, 1, 2].map((fd) => op({ kind: "dup", fd, target: fd, flags: 0 }));
  return planOf([], {
    child: [
      op({ kind: "chdir", path: dir }),
      leaveTable,
      ...streams,
      op({ kind: "notify", event: 1 }),
      execve(["sh", "-c", script]),
    ],
    supervision: { ...supervision, runtime: { pidPath: "pid", consolePath: supervision.tty ? "console" : null, started } },
  });
}

const states = async (shim: Shim) => (await shim.status()).map(({ state }) => state);

test("what a runtime leaves takes its place: streams, start, exit", async () => {
  const dir = stateDir();
  const script = "exec 3<&0; cat <&3 & echo $! > pid";
  const shim = await spawn(runtime(dir, script, { supervision: { openStdin: true, stdinOnce: true } }), dir);
  const heard = listener({ stdin: true });
  const attachment = await shim.attach(0, heard.options);
  const { pid } = await shim.main.created;
  await until(() => readFileSync(`/proc/${pid}/cmdline`, "utf8").startsWith("cat"));
  expect(await shim.status()).toMatchObject([{ state: "created", pid }]);
  expect(existsSync(`${dir}/pid`)).toBe(false);
  shim.start();
  expect((await shim.main.started).pid).toBe(pid);
  expect(await states(shim)).toEqual(["running"]);
  await attachment.write(new TextEncoder().encode("typed\n"));
  await attachment.closeInput();
  expect(await shim.main.exited).toMatchObject({ exitCode: 0, neverStarted: false });
  await attachment.ended;
  expect(heard.stdout).toBe("typed\n");
});

test("START that comes while the runtime works takes effect when it has ended", async () => {
  const dir = stateDir();
  const shim = await spawn(runtime(dir, "sleep 60 & echo $! > pid; sleep 0.3"), dir);
  shim.start();
  await Bun.sleep(100);
  expect(await states(shim)).toEqual(["creating"]);
  const { pid } = await shim.main.started;
  await shim.kill(0, 9);
  expect(await shim.main.exited).toMatchObject({ exitCode: 137 });
  expect(alive(pid)).toBe(false);
});

test("a process that ends before its runtime is not lost, nor one that ends between created and START", async () => {
  const dir = stateDir();
  const shim = await spawn(runtime(dir, "sh -c 'sleep 0.05; exit 9' & echo $! > pid; exec sleep 0.3"), dir);
  expect((await shim.main.created).pid).toBeGreaterThan(1);
  expect(await shim.main.exited).toMatchObject({ exitCode: 9, neverStarted: false });
});

test.each([
  ["fails", "echo complaint; exit 3", "the runtime has failed"],
  ["is killed", "kill -9 $$", "the runtime has failed"],
  ["names nobody", "true", "the runtime has named no process"],
  ["names what is no number", "echo nobody > pid", "the runtime has named no process"],
  ["names init", "echo 1 > pid", "the runtime has named no process"],
  ["names a stranger", "echo 2 > pid", "the runtime has named a process that is not its child"],
  ["names itself", "echo $$ > pid", "the runtime has named another process"],
])("a runtime that %s", async (_, script, text) => {
  const dir = stateDir();
  writeFileSync(`${dir}/pid`, `${process.pid}\n`);
  const shim = await spawn(runtime(dir, script), dir);
  const heard = listener();
  const attachment = await shim.attach(0, heard.options);
  const error: unknown = await shim.main.created.catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(SetupFailed);
  expect((error as SetupFailed).failure).toMatchObject({ section: "child", index: null, errno: 0, text });
  expect(await shim.main.exited).toMatchObject({ neverStarted: true });
  await attachment.ended;
  expect(heard.stdout).toBe("");
});

test("a runtime that is not there fails as any program", async () => {
  const dir = stateDir();
  const plan = runtime(dir, "");
  const child = [...plan.child.slice(0, -1), op({ kind: "execve", path: "/nowhere", argv: ["x"], envp: [] })];
  const shim = await spawn({ ...plan, child }, dir);
  const error: unknown = await shim.main.created.catch((reason: unknown) => reason);
  expect((error as SetupFailed).failure).toMatchObject({ section: "child", index: child.length - 1, errno: 2 });
  await shim.main.exited;
});

test("a terminal that is not sent is a failure, and the process does not stay", async () => {
  const dir = stateDir();
  const script = "[ -S console ] && sleep 60 & echo $! > pid; cp pid made";
  const shim = await spawn(runtime(dir, script, { supervision: { tty: true } }), dir);
  const error: unknown = await shim.main.created.catch((reason: unknown) => reason);
  expect((error as SetupFailed).failure.text).toBe("the runtime has sent no terminal");
  await until(() => !alive(Number(readFileSync(`${dir}/made`, "utf8"))));
  await shim.main.exited;
  expect(existsSync(`${dir}/console`)).toBe(false);
});

test("an exec by a runtime runs at once, several side by side, and each has its own exit", async () => {
  const dir = stateDir();
  const shim = await spawn(runtime(dir, "sleep 60 & echo $! > pid"), dir);
  await shim.main.created;
  shim.start();
  await shim.main.started;
  const codes = await Promise.all(
    [1, 2, 3, 4].map(async (code) => {
      const pidPath = `exec-${code}`;
      const plan = runtime(dir, `sh -c 'sleep 0.05; exit ${code}' & echo $! > ${pidPath}; exec sleep 0.${code}`, {
        started: true,
      });
      const { process } = await shim.exec(
        encode({
          ...plan,
          supervision: { ...plan.supervision, exitPath: null, runtime: { pidPath, consolePath: null, started: true } },
        }),
      );
      await process.started;
      return (await process.exited).exitCode;
    }),
  );
  expect(codes).toEqual([1, 2, 3, 4]);
  await shim.kill(0, 9);
  await shim.main.exited;
});

test("a set-up that is called off ends the runtime too", async () => {
  const dir = stateDir();
  const shim = await spawn(runtime(dir, "echo $$ > self; sleep 60"), dir);
  await until(() => existsSync(`${dir}/self`) && readFileSync(`${dir}/self`, "utf8") !== "");
  await shim.kill(0, 9, true);
  expect(await shim.main.exited).toMatchObject({ neverStarted: true });
  expect(alive(Number(readFileSync(`${dir}/self`, "utf8")))).toBe(false);
});

test.each([
  ["a console without a terminal", { tty: false, consolePath: "console" }],
  ["a terminal without a console", { tty: true, consolePath: null }],
])("%s is no plan", async (_, { tty, consolePath }) => {
  const dir = stateDir();
  const plan = runtime(dir, "true", { supervision: { tty: false } });
  const supervision = { ...plan.supervision, tty, runtime: { pidPath: "pid", consolePath, started: false } };
  const shim = await spawn({ ...plan, supervision }, dir);
  const error: unknown = await shim.main.created.catch((reason: unknown) => reason);
  expect((error as SetupFailed).failure.section).toBe("decode");
});
