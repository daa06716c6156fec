/** Execs: plans that run beside the container's first process. As root. */
import { afterEach, describe, expect, test } from "bun:test";
import { readFileSync, readlinkSync } from "node:fs";
import { SetupFailed, Shim } from "../../src/native/shim.ts";
import { encode } from "../../src/plan/encode.ts";
import type { Op } from "../../src/plan/ops.ts";
import { CLONE, O, SIG } from "../../src/sys/constants.ts";
import { errno } from "../../src/sys/errno.ts";
import { alive, cleanUp, descriptors, guard, listener, spawn, stateDir, until } from "./kit.ts";
import { execve, leaveTable, NAMESPACES, op, open, planOf, sh } from "./plans.ts";

afterEach(cleanUp);

const quiet = { exitPath: null };
const { CLONE_NEWPID } = CLONE;

async function container(argv = ["sleep", "60"], dir = stateDir()): Promise<Shim> {
  const shim = await spawn(planOf(argv, { flags: NAMESPACES }), dir);
  shim.start();
  await shim.main.started;
  return shim;
}

/** Children of the shim are to be born in the namespace of `pid`, and no longer once that is done. */
const enter = (pid: number): { before: Op[]; after: Op[] } => ({
  before: [
    open("/proc/self/ns/pid", O.O_RDONLY, 30),
    open(`/proc/${pid}/ns/pid`, O.O_RDONLY, 31),
    op({ kind: "setns", fd: 31, flags: CLONE_NEWPID }),
  ],
  after: [op({ kind: "setns", fd: 30, flags: CLONE_NEWPID })],
});

const childNamespace = (shim: Shim) => readlinkSync(`/proc/${shim.pid}/ns/pid_for_children`);

describe("an exec", () => {
  test("runs in the container's pid namespace, with its own streams and exit", async () => {
    const shim = await container();
    const { pid } = await shim.main.started;
    const heard = listener({ stdin: true });
    const { process, attachment } = await shim.exec(
      encode(sh("cat; echo $PPID; echo err >&2; exit 3", { ...enter(pid), supervision: { ...quiet, openStdin: true } })),
      heard.options,
    );
    expect(process.number).toBe(1);
    shim.start(process.number);
    await attachment?.write(new TextEncoder().encode("typed\n"));
    await attachment?.closeInput();
    await attachment?.ended;
    expect(heard.stdout).toBe("typed\n0\n");
    expect(heard.stderr).toBe("err\n");
    expect(await process.exited).toMatchObject({ exitCode: 3, neverStarted: false });
    expect((await process.created).pid).toBeGreaterThan(pid);
    expect(childNamespace(shim)).toBe(readlinkSync("/proc/self/ns/pid"));
    expect(shim.main.hasExited).toBe(false);
  });

  test.each<[string, (entered: { before: Op[]; after: Op[] }) => { before: Op[]; after: Op[]; flags?: number; child?: Op[] }]>([
    ["before", ({ before, after }) => ({ before: [...before, open("/nowhere", 0, 40)], after })],
    ["clone", (entered) => entered],
    [
      "after",
      ({ before, after }) => ({
        before,
        after: [open("/nowhere", 0, 40), op({ kind: "openProc", out: 41 }), op({ kind: "release" }), ...after],
      }),
    ],
    ["child", ({ before, after }) => ({ before, after, child: [leaveTable, open("/nowhere", 0, 40), execve(["true"])] })],
  ])("that fails in %s leaves the shim as it was", async (section, change) => {
    const shim = await container();
    const { pid } = await shim.main.started;
    const before = descriptors(shim.pid).length;
    const plan = planOf(["true"], { supervision: quiet, ...change(enter(pid)) });
    const broken =
      section === "clone" ? { ...plan, before: [...plan.before, open("/tmp", 0, 50)], clone: { flags: 0, cgroup: 50 } } : plan;
    const { process } = await shim.exec(encode(broken));
    await expect(process.started).rejects.toBeInstanceOf(SetupFailed);
    expect(process.failure?.section).toBe(section as "clone");
    expect((await process.exited).neverStarted).toBe(true);
    expect(childNamespace(shim)).toBe(readlinkSync("/proc/self/ns/pid"));
    await until(() => descriptors(shim.pid).length <= before);
    expect(shim.main.hasExited).toBe(false);
  });

  test("that failed but has not ended yet holds back the next one, and lets it go at its end", async () => {
    const shim = await container();
    const { pid } = await shim.main.started;
    const broken = {
      ...planOf(["true"], { supervision: quiet, ...enter(pid) }),
      child: [open("/nowhere", 0, 40), execve(["true"])],
    };
    for (let round = 0; round < 50; round++) {
      const { process: failing } = await shim.exec(encode(broken));
      await failing.started.catch(() => {});
      // stopped between its word and its end, if it still is there
      await shim.kill(failing.number, SIG.SIGSTOP).catch(() => {});
      const next = shim.exec(encode(planOf(["true"], { supervision: quiet })));
      await shim.kill(failing.number, SIG.SIGKILL).catch(() => {});
      const { process } = await next;
      shim.start(process.number);
      expect((await process.exited).exitCode).toBe(0);
    }
  }, 20_000);

  test("that is killed before what forked it has ended has ended, too", async () => {
    const shim = await container();
    // the process that goes on dies without a word, at its next call, while what it was forked from is ending
    const killing = new Uint8Array(new Uint32Array([0x06, 0x80000000]).buffer); // BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS
    const child = [leaveTable, op({ kind: "fork" }), op({ kind: "seccomp", flags: 0, program: killing }), execve(["true"])];
    const plan = encode(planOf(["true"], { supervision: quiet, child }));
    for (let round = 0; round < 500; round++) {
      const { process } = await shim.exec(plan);
      const told = await Promise.race([process.exited, Bun.sleep(5000)]);
      expect(told?.neverStarted).toBe(true);
    }
  }, 30_000);

  test("whose plan cannot be decoded fails alone", async () => {
    const shim = await container();
    const { process } = await shim.exec(new TextEncoder().encode("no plan at all"));
    await expect(process.started).rejects.toMatchObject({ failure: { section: "decode", errno: errno.EINVAL! } });
    await expect(shim.exec(new Uint8Array(0), { stdout: true })).rejects.toMatchObject({ code: "shim_refused" });
    expect(shim.main.hasExited).toBe(false);
  });

  test("has a terminal of its own", async () => {
    const shim = await container();
    const heard = listener();
    const { process, attachment } = await shim.exec(
      encode(sh("stty size", { supervision: { ...quiet, tty: true } })),
      heard.options,
    );
    shim.resize(process.number, 12, 34);
    shim.start(process.number);
    await attachment?.ended;
    expect(heard.stdout).toBe("12 34\r\n");
  });

  test("can be signalled, and dies with the container", async () => {
    const shim = await container();
    const [first, second] = await Promise.all(
      [1, 2].map(() => shim.exec(encode(planOf(["sleep", "60"], { supervision: quiet })))),
    );
    for (const { process } of [first!, second!]) {
      shim.start(process.number);
      await process.started;
    }
    await shim.kill(first!.process.number, 15);
    expect((await first!.process.exited).signal).toBe(15);
    const { pid } = await second!.process.started;
    await shim.kill(0, 9);
    expect((await shim.main.exited).signal).toBe(9);
    expect((await second!.process.exited).signal).toBe(9);
    expect(alive(pid)).toBe(false);
    await expect(shim.exec(encode(planOf(["true"])))).rejects.toThrow(/not running|shim/);
  });

  test("in any number, at once and one after another, leaves nothing behind", async () => {
    const shim = await container();
    const { pid } = await shim.main.started;
    const plan = encode(sh("echo $$", { ...enter(pid), supervision: quiet }));
    const one = async () => {
      const heard = listener();
      const { process, attachment } = await shim.exec(plan, heard.options);
      shim.start(process.number);
      await attachment?.ended;
      expect((await process.exited).exitCode).toBe(0);
      expect(Number(heard.stdout)).toBeGreaterThan(1);
      return process.number;
    };
    await one();
    const before = descriptors(shim.pid).length;
    const numbers = new Set<number>();
    for (let round = 0; round < 10; round++)
      for (const number of await Promise.all(Array.from({ length: 10 }, one))) numbers.add(number);
    expect(numbers.size).toBe(100);
    await until(() => descriptors(shim.pid).length <= before);
    expect(readFileSync(`/proc/${shim.pid}/task/${shim.pid}/children`, "utf8").trim()).toBe(String(pid));
  });

  test("that ended while no engine was there is in the status", async () => {
    const dir = stateDir();
    const shim = await container(undefined, dir);
    const { process } = await shim.exec(encode(sh("sleep 0.2; exit 8", { supervision: quiet })));
    shim.start(process.number);
    const { pid } = await process.started;
    shim.disconnect();
    await Bun.sleep(400);
    const next = guard(await Shim.connect(dir));
    expect(await next.status()).toMatchObject([
      { process: 0, state: "running" },
      { process: 1, pid, state: "exited", waitStatus: 8 << 8 },
    ]);
  });
});
