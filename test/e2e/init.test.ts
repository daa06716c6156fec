/** --init: a process 1 that passes signals on, reaps orphans and ends as the program does. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type Engine, eventually, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";

let engine: Engine;
beforeAll(async () => {
  engine = startEngine();
  await bootstrapBusybox(engine);
}, 120_000);
afterAll(() => engine.close(), 120_000);

const run = (...args: string[]) => engine.onggi(["run", "--rm", "--init", ...args]);
const sh = (script: string, ...flags: string[]) => run(...flags, "busybox", "sh", "-c", script);

test("it is process 1, the program its child; input and output are the program's", async () => {
  const { stdout, code } = await engine.onggi(
    ["run", "-i", "--rm", "--init", "busybox", "sh", "-c", "cat; ps -o pid,ppid,args"],
    {
      stdin: "typed\n",
    },
  );
  expect(code).toBe(0);
  const [typed, , first, second] = stdout.split("\n");
  expect(typed).toBe("typed");
  expect(first).toMatch(/^\s*1\s+0 \/sbin\/docker-init -- sh -c cat; ps/);
  expect(second).toMatch(/^\s*\d+\s+1 .*sh -c/);
});

test("exit codes: the program's, of a signal, of one that cannot be run", async () => {
  expect((await sh("exit 7")).code).toBe(7);
  expect((await sh("kill -9 $$")).code).toBe(137);
  expect((await sh("kill -SEGV $$")).code).toBe(139);
  const missing = await run("busybox", "nothing-here");
  expect(missing.code).toBe(127);
  expect(missing.stderr).toContain('"nothing-here": executable file not found in $PATH');
  expect((await run("busybox", "/etc/passwd")).code).toBe(126);
  expect((await run("--user", "1000:1000", "busybox", "id", "-u")).stdout).toBe("1000\n");
  expect((await run("-w", "/tmp", "busybox", "pwd")).stdout).toBe("/tmp\n");
});

test("orphans are reaped while the program runs", async () => {
  const zombies = `grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l`;
  const { stdout } = await sh(`for i in 1 2 3 4 5; do sh -c 'sleep 0.1 & exit 0'; done; sleep 0.5; ${zombies}`);
  expect(stdout.trim()).toBe("0");
});

describe("signals", () => {
  test("reach the program, which need not be process 1 to hear them", async () => {
    await engine.ok(["run", "-d", "--init", "--name", "deaf", "busybox", "sleep", "1000"]);
    // as process 1 sleep would not end by SIGTERM
    const { ms } = await engine.onggi(["stop", "-t", "20", "deaf"]);
    expect(ms).toBeLessThan(15_000);
    expect((await engine.inspect("deaf")).State.ExitCode).toBe(143);
    await engine.ok(["rm", "deaf"]);
  });

  test("all that can be caught, once each, real-time ones too", async () => {
    const script = `for s in HUP INT QUIT USR1 USR2 WINCH CONT 40; do trap "echo got $s" $s; done; echo ready; while :; do sleep 0.02; done`;
    await engine.ok(["run", "-d", "--init", "--name", "hears", "busybox", "sh", "-c", script]);
    const logs = () => engine.ok(["logs", "hears"]);
    await eventually("it is ready", async () => (await logs()).includes("ready"));
    for (const signal of ["HUP", "INT", "QUIT", "USR1", "USR2", "WINCH", "40"]) {
      await engine.ok(["kill", "-s", signal, "hears"]);
      await eventually(`it got ${signal}`, async () => (await logs()).includes(`got ${signal}`));
    }
    await engine.ok(["rm", "-f", "hears"]);
  });

  test("with a terminal ctrl-c goes to the program's group", async () => {
    const call = engine.terminal([
      "run",
      "-it",
      "--rm",
      "--init",
      "busybox",
      "sh",
      "-c",
      "trap 'echo caught; exit 3' INT; echo go; while :; do sleep 0.05; done",
    ]);
    await call.until("go");
    call.write("\x03");
    expect(await call.done).toBe(3);
  });
});

test("nobody inside can write to its executable; nothing is left in the file system", async () => {
  const { stdout } = await sh("echo x > /proc/1/exe; echo $?; ls /sbin/docker-init", "--privileged");
  expect(stdout).not.toContain("0\n");
  await engine.ok(["run", "--init", "--name", "clean", "busybox", "true"]);
  expect(await engine.ok(["diff", "clean"])).toBe("");
  await engine.ok(["rm", "clean"]);
});

test("inspect says so, and names the program as it was asked for", async () => {
  await engine.ok(["create", "--init", "--name", "said", "busybox", "echo", "a"]);
  const info = (await engine.inspect("said")) as unknown as { Path: string; Args: string[]; HostConfig: { Init: boolean } };
  expect(info).toMatchObject({ Path: "echo", Args: ["a"], HostConfig: { Init: true } });
  await engine.ok(["rm", "said"]);
});
