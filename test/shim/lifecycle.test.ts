/** From clone to the exit record: hand-shake, failures, exit, the next engine. As root. */
import { afterEach, describe, expect, test } from "bun:test";
import { closeSync, existsSync, openSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { decodeExitRecord } from "../../src/native/exit-record.ts";
import { SetupFailed, Shim, ShimGone } from "../../src/native/shim.ts";
import { reg } from "../../src/plan/ops.ts";
import { CLONE, O } from "../../src/sys/constants.ts";
import { errno } from "../../src/sys/errno.ts";
import { alive, cleanUp, descriptors, field, guard, run, SANITIZED, spawn, stateDir, until } from "./kit.ts";
import { execve, handshake, leaveTable, NAMESPACES, op, open, planOf, sh } from "./plans.ts";

afterEach(cleanUp);

const text = (value: string) => new TextEncoder().encode(value);
const record = (dir: string) => decodeExitRecord(readFileSync(join(dir, "exit")));

describe("a process", () => {
  test("runs in every namespace of its own, with ids mapped by the shim's section", async () => {
    const parent = op({ kind: "openProc", out: 30 });
    const map = (file: string, value: string) => [
      open(file, O.O_WRONLY, 31, 30),
      op({ kind: "write", fd: 31, data: text(value) }),
      op({ kind: "close", fd: 31 }),
    ];
    const plan = sh("id -u; echo $$; cat /proc/self/uid_map | tr -s ' '; hostname", {
      flags: NAMESPACES | CLONE.CLONE_NEWUSER | 0x80,
      after: [parent, ...map("uid_map", "0 100000 65536"), ...map("gid_map", "0 100000 65536"), op({ kind: "release" })],
      setUp: [
        op({ kind: "await" }),
        op({ kind: "setresgid", rgid: 0, egid: 0, sgid: 0 }),
        op({ kind: "setresuid", ruid: 0, euid: 0, suid: 0 }),
        op({ kind: "sethostname", name: text("jar") }),
      ],
    });
    const { stdout, stderr, exit, shim } = await run(plan);
    expect(stderr).toBe("");
    expect(stdout).toBe("0\n1\n 0 100000 65536\njar\n");
    expect(exit.exitCode).toBe(0);
    const { pid, shimStart, decoded, cloned, setUp, created } = await shim.main.created;
    expect(pid).toBeGreaterThan(1);
    const times = [shimStart, decoded, cloned, setUp, created, (await shim.main.started).at];
    expect([...times].sort((a, b) => (a < b ? -1 : 1))).toEqual(times);
  });

  test("waits at created until it is started, and a start sent before that takes effect there", async () => {
    const dir = stateDir();
    const shim = await spawn(sh(`echo ran > ${dir}/ran`), dir);
    const { pid } = await shim.main.created;
    await Bun.sleep(50);
    expect(existsSync(join(dir, "ran"))).toBe(false);
    expect((await shim.status())[0]).toMatchObject({ process: 0, pid, state: "created" });
    shim.start();
    expect((await shim.main.exited).exitCode).toBe(0);
    expect(existsSync(join(dir, "ran"))).toBe(true);

    const slow = sh("true", { after: [op({ kind: "release" })], setUp: [op({ kind: "await" })] });
    const early = await spawn(slow);
    early.start();
    expect((await early.main.exited).neverStarted).toBe(false);
  });

  test("finds the engine's descriptors in registers, and inherits none of the shim's", async () => {
    const fd = openSync("/etc/hostname", "r");
    const dir = stateDir();
    const plan = planOf(["sleep", "60"], {
      before: [open("given", O.O_WRONLY | O.O_CREAT, 30, reg.state)].map((o) => ({ ...o, mode: 0o600 })),
      setUp: [
        op({ kind: "write", fd: 30, data: text("x") }),
        op({ kind: "chown", dir: reg.passed, path: "", uid: 0, gid: 0, flags: 0x1000 }),
      ],
    });
    const shim = await spawn(plan, dir, [fd]);
    closeSync(fd);
    shim.start();
    const { pid } = await shim.main.started;
    const held = descriptors(pid).map((name) => readlinkSync(`/proc/${pid}/fd/${name}`).replace(/\d+\]$/, ""));
    expect(held).toEqual(["/dev/null", "pipe:[", "pipe:["]);
    expect(descriptors(shim.pid).map((name) => readlinkSync(`/proc/${shim.pid}/fd/${name}`))).not.toContain("/etc/hostname");
    expect(readFileSync(join(dir, "given"), "utf8")).toBe("x");
  });

  // whatever the engine was started with, the two signals libc keeps for itself included
  test("gets default signal handling and an empty mask", async () => {
    const { stdout } = await run(planOf(["grep", "^Sig[BIC]", "/proc/self/status"]));
    expect(stdout.replaceAll(/\s+/g, " ")).toBe("SigBlk: 0000000000000000 SigIgn: 0000000000000000 SigCgt: 0000000000000000 ");
  });

  test.each([
    ["exit 7", 7, 0, 7 << 8],
    ["kill -TERM $$", 143, 15, 15],
    ["kill -KILL $$", 137, 9, 9],
  ])("%s is told, and recorded durably before that", async (script, exitCode, signal, waitStatus) => {
    const dir = stateDir();
    const { exit } = await run(sh(script), dir);
    expect(exit).toMatchObject({ exitCode, signal, waitStatus, oomKilled: false, neverStarted: false });
    expect(record(dir)).toEqual({ ...exit, failure: null });
    expect(Math.abs(Number(exit.at / 1000000n) - Date.now())).toBeLessThan(10_000);
    expect(existsSync(join(dir, "exit.new"))).toBe(false);
  });

  test.each([
    ["memory.events", "low 0\nhigh 0\nmax 5\noom 1\noom_kill 1\noom_group_kill 0\n", true],
    ["memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n", true],
    ["memory.events without a kill", "oom 1\noom_kill 0\n", false],
  ])("an OOM kill is read from %s", async (_, events, oomKilled) => {
    const dir = stateDir();
    writeFileSync(join(dir, "events"), events);
    const { exit } = await run(sh("kill -9 $$", { before: [open("events", O.O_RDONLY, reg.oom, reg.state)] }), dir);
    expect(exit.oomKilled).toBe(oomKilled);
    expect(record(dir).oomKilled).toBe(oomKilled);
  });

  test("orphans are reaped by the shim, which keeps no descriptor and no zombie", async () => {
    const shim = await spawn(sh("for i in 1 2 3 4 5; do (true &) ; done; sleep 0.2; (sleep 60 &); exec sleep 60"));
    await shim.main.created;
    const before = descriptors(shim.pid).length;
    shim.start();
    const { pid } = await shim.main.started;
    await Bun.sleep(400);
    const children = readFileSync(`/proc/${shim.pid}/task/${shim.pid}/children`, "utf8").trim().split(" ");
    expect(children).toHaveLength(2);
    expect(children).toContain(String(pid));
    expect(descriptors(shim.pid).length).toBeLessThanOrEqual(before);
    await shim.kill(0, 9, true);
    expect((await shim.main.exited).signal).toBe(9);
    await until(() => children.every((child) => !alive(Number(child))));
  });
});

describe("a failed set-up names the operation", () => {
  const missing = open("/nowhere", O.O_RDONLY, 40);
  const nop = op({ kind: "umask", mask: 0o22 });

  async function failure(plan: Parameters<typeof spawn>[0]) {
    const dir = stateDir();
    const shim = await spawn(plan, dir);
    shim.start();
    const error = await shim.main.started.catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(SetupFailed);
    const exit = await shim.main.exited;
    expect(exit.neverStarted).toBe(true);
    await until(() => !alive(shim.pid));
    return { failure: (error as SetupFailed).failure, dir, shim };
  }

  test("in before, whose undoing in after is still run", async () => {
    const dir = "undone";
    const after = [
      { ...open(dir, O.O_WRONLY | O.O_CREAT, 41, reg.state), mode: 0o600 },
      op({ kind: "openProc", out: 42 }),
      op({ kind: "release" }),
      op({ kind: "write", fd: 41, data: text("yes") }),
    ];
    const result = await failure(sh("true", { before: [nop, missing], after }));
    expect(result.failure).toEqual({ section: "before", index: 1, errno: errno.ENOENT!, text: "open" });
    expect(record(result.dir).failure).toEqual({ section: "before", index: 1, errno: errno.ENOENT!, text: "" });
    expect(readFileSync(join(result.dir, dir), "utf8")).toBe("yes");
  });

  test("in clone", async () => {
    // A cgroup register that is no cgroup.
    const plan = sh("true", { before: [open("/tmp", O.O_RDONLY, 30)] });
    const result = await failure({ ...plan, clone: { flags: 0, cgroup: 30 } });
    expect(result.failure).toMatchObject({ section: "clone", index: null, errno: errno.EBADF! });
  });

  test("in after, and the child is gone", async () => {
    const result = await failure(sh("true", { after: [missing], setUp: [op({ kind: "await" })] }));
    expect(result.failure).toEqual({ section: "after", index: 0, errno: errno.ENOENT!, text: "open" });
  });

  test("in the child, before and after created", async () => {
    const early = await failure(sh("true", { setUp: [nop, missing] }));
    expect(early.failure).toEqual({ section: "child", index: 1, errno: errno.ENOENT!, text: "open" });
    const child = [leaveTable, ...handshake, op({ kind: "execve", path: "/nowhere", argv: ["x"], envp: [] })];
    const late = await failure(planOf([], { child }));
    expect(late.failure).toEqual({ section: "child", index: 3, errno: errno.ENOENT!, text: "execve" });
  });

  test("at fail, with the errno a PATH search ends with", async () => {
    const attempt = (path: string) =>
      op({ kind: "execve", path, argv: ["x"], envp: [], accept: [errno.ENOENT!, errno.EACCES!, errno.ENOTDIR!] });
    const search = (...paths: string[]) =>
      planOf([], { child: [leaveTable, ...handshake, ...paths.map(attempt), op({ kind: "fail" })] });
    expect((await failure(search("/nowhere", "/etc/passwd/x"))).failure).toMatchObject({
      index: 5,
      errno: errno.ENOTDIR!,
      text: "fail",
    });
    expect((await failure(search("/etc/passwd", "/nowhere"))).failure).toMatchObject({ index: 5, errno: errno.EACCES! });
  });

  test("where the child would notify in the shim's descriptor table, or never", async () => {
    const shared = await failure(planOf([], { child: [...handshake, execve(["true"])] }));
    expect(shared.failure).toMatchObject({ section: "child", index: 0, errno: errno.EPROTO! });
    const silent = await failure(planOf([], { child: [leaveTable, execve(["true"])] }));
    expect(silent.failure).toMatchObject({ section: "child", index: 1, errno: errno.EPROTO! });
    const endless = await failure(planOf([], { child: [leaveTable, ...handshake] }));
    expect(endless.failure).toMatchObject({ section: "child", index: null, errno: errno.EPROTO! });
  });

  test("where the child is killed before it could tell", async () => {
    const shim = await spawn(sh("true", { setUp: [op({ kind: "await" })] }));
    await until(() => readFileSync(`/proc/${shim.pid}/task/${shim.pid}/children`, "utf8") !== "");
    await shim.kill(0, 9);
    const exit = await shim.main.exited;
    expect(exit).toMatchObject({ neverStarted: true, signal: 9 });
    expect(shim.main.failure).toMatchObject({ section: "child", index: null, errno: 0 });
  });

  test("but not where it is accepted: what needs its result is skipped", async () => {
    const accept = [errno.ENOENT!];
    const { stdout, exit } = await run(
      sh("echo on", {
        before: [{ ...missing, accept }, op({ kind: "write", fd: 40, data: text("x") }), op({ kind: "setns", fd: 40, flags: 0 })],
      }),
    );
    expect({ stdout, code: exit.exitCode }).toEqual({ stdout: "on\n", code: 0 });
  });
});

describe("the engine", () => {
  test("may go away and another may come: state, exit and output are there", async () => {
    const dir = stateDir();
    const first = await spawn(sh("read x; echo got $x; exit 5", { supervision: { openStdin: true } }), dir);
    first.start();
    const { pid } = await first.main.started;
    first.disconnect();
    expect(await first.closed).toBeNull();

    const second = guard(await Shim.connect(dir));
    expect(second.pid).toBe(first.pid);
    expect((await second.main.started).pid).toBe(pid);
    expect((await second.main.created).pid).toBe(pid);
    let heard = "";
    const attachment = await second.attach(0, {
      stdin: true,
      stdout: true,
      lossless: true,
      onOutput: (_, data) => {
        heard += Buffer.from(data);
      },
    });
    await attachment.write(text("news\n"));
    expect((await second.main.exited).exitCode).toBe(5);
    await attachment.ended;
    expect(heard).toBe("got news\n");
    expect(await second.closed).toBeNull();
    await expect(Shim.connect(dir)).rejects.toBeInstanceOf(ShimGone);
    expect(record(dir).exitCode).toBe(5);
  });

  test("is told by the end of the connection that the shim was killed", async () => {
    const shim = await spawn(sh("sleep 60"));
    shim.start();
    const { pid } = await shim.main.started;
    process.kill(shim.pid, 9);
    expect(await shim.closed).toBeInstanceOf(ShimGone);
    await expect(shim.main.exited).rejects.toBeInstanceOf(ShimGone);
    process.kill(pid, 9);
  });

  test("learns of an exit nobody was there for from the record", async () => {
    const dir = stateDir();
    const shim = await spawn(sh("sleep 0.1; exit 9"), dir);
    shim.start();
    await shim.main.started;
    shim.disconnect();
    await until(() => !alive(shim.pid));
    expect(record(dir)).toMatchObject({ exitCode: 9, neverStarted: false });
  });

  test("cannot end the shim by signals that are not SIGKILL", async () => {
    const shim = await spawn(sh("sleep 0.3; exit 4"));
    shim.start();
    await shim.main.started;
    for (const signal of ["SIGTERM", "SIGINT", "SIGHUP", "SIGPIPE", "SIGUSR1"] as const) process.kill(shim.pid, signal);
    expect((await shim.main.exited).exitCode).toBe(4);
  });

  test("is refused a signal to a process that is gone", async () => {
    const shim = await spawn(sh("true"));
    await expect(shim.kill(7, 15)).rejects.toMatchObject({ code: "shim_refused" });
    await expect(shim.attach(7, { stdout: true })).rejects.toMatchObject({ code: "shim_refused" });
    await shim.kill(0, 0);
  });

  test.skipIf(SANITIZED)("costs the machine less than 1 MiB per idle container", async () => {
    const shim = await spawn(
      sh("yes | head -c 20000000; sleep 60", {
        supervision: { log: { format: "json-file", path: "log", maxSize: 1 << 20, maxFiles: 2 } },
      }),
    );
    shim.start();
    await shim.main.started;
    await Bun.sleep(1500);
    const kib = field(`/proc/${shim.pid}/smaps_rollup`, "Private_Dirty");
    expect(kib).toBeLessThan(300);
  });
});
