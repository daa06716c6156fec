import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, readlinkSync } from "node:fs";
import { type Engine, eventually, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";

let engine: Engine;
let pid = 0;
beforeAll(async () => {
  engine = startEngine();
  await bootstrapBusybox(engine);
  await engine.ok(["run", "-d", "--name", "box", "-e", "BASE=1", "-w", "/tmp", "busybox", "sleep", "100000"]);
  pid = (await engine.inspect("box")).State.Pid;
}, 120_000);
afterAll(() => engine.close(), 120_000);

const exec = (...words: string[]) => engine.onggi(["exec", ...words]);

describe("exec", () => {
  test("streams and exit status", async () => {
    const { stdout, stderr, code } = await exec("box", "sh", "-c", "echo out; echo err >&2; exit 17");
    expect({ stdout, stderr, code }).toEqual({ stdout: "out\n", stderr: "err\n", code: 17 });
  });

  test("a missing command: 127; one that is not executable: 126; an unknown container: 1", async () => {
    expect((await exec("box", "no-such-command")).code).toBe(127);
    expect((await exec("box", "/etc/passwd")).code).toBe(126);
    const unknown = await exec("nobody", "true");
    expect(unknown.code).toBe(1);
    expect(unknown.stderr).toContain("nobody");
  });

  test("killed by a signal: 128 + the signal", async () => {
    expect((await exec("box", "sh", "-c", "kill -KILL $$")).code).toBe(137);
  });

  test("environment, directory and user: the container's, or what is asked for", async () => {
    expect((await exec("-e", "MORE=2", "box", "sh", "-c", "echo $BASE$MORE; pwd")).stdout).toBe("12\n/tmp\n");
    expect((await exec("-w", "/etc", "-u", "33:44", "box", "sh", "-c", "pwd; id -u; id -g")).stdout).toBe("/etc\n33\n44\n");
  });

  test("-i feeds it; without, its input is empty", async () => {
    expect((await engine.onggi(["exec", "-i", "box", "cat"], { stdin: "fed" })).stdout).toBe("fed");
    expect((await engine.onggi(["exec", "box", "wc", "-c"], { stdin: "fed" })).stdout.trim()).toBe("0");
  });

  test("-it: a terminal with the caller's size, resize, Ctrl-C and exit status", async () => {
    const call = engine.terminal(["exec", "-it", "box", "sh"], { columns: 77, rows: 22 });
    await call.until("# ");
    call.write("stty size\n");
    await call.until("22 77");
    call.resize(100, 40);
    await eventually("it is resized", async () => {
      call.write("stty size\n");
      await Bun.sleep(100);
      return call.screen().includes("40 100");
    });
    call.write("sleep 1000\n");
    await Bun.sleep(200);
    call.write("\x03");
    call.write("echo status $?\n");
    await call.until("status 130");
    call.write("exit 9\n");
    expect(await call.done).toBe(9);
  });

  test("-d returns at once and the process runs on", async () => {
    const { ms, code } = await exec("-d", "box", "sh", "-c", "sleep 0.4; echo x > /tmp/detached");
    expect(code).toBe(0);
    expect(ms).toBeLessThan(2000);
    await eventually("it has written", async () => (await exec("box", "test", "-e", "/tmp/detached")).code === 0);
  });

  test("it is inside every namespace and cgroup of the container, with its privileges", async () => {
    const call = engine.spawn(["exec", "box", "sleep", "4321"]);
    let found = 0;
    await eventually("the process is there", () => {
      found = Number(Bun.spawnSync(["pgrep", "-f", "^sleep 4321"]).stdout.toString().trim() || 0);
      return found > 0;
    });
    for (const name of ["mnt", "pid", "net", "ipc", "uts", "user", "cgroup"])
      expect(readlinkSync(`/proc/${found}/ns/${name}`)).toBe(readlinkSync(`/proc/${pid}/ns/${name}`));
    const field = (of: number, name: string) =>
      new RegExp(`^${name}:.*$`, "m").exec(readFileSync(`/proc/${of}/status`, "utf8"))![0];
    for (const name of ["CapEff", "CapBnd", "CapAmb", "Seccomp", "NoNewPrivs", "Uid", "Gid"])
      expect(field(found, name)).toBe(field(pid, name));
    expect(readFileSync(`/proc/${found}/cgroup`, "utf8")).toBe(readFileSync(`/proc/${pid}/cgroup`, "utf8"));
    process.kill(found, "SIGKILL");
    expect((await call.done).code).toBe(137);
  });

  test("--privileged gives it every capability", async () => {
    const { stdout } = await exec("--privileged", "box", "grep", "CapEff", "/proc/self/status");
    expect(BigInt(`0x${stdout.split("\t")[1]!.trim()}`)).toBeGreaterThan(0xa80425fbn);
  });

  test("a container that is not running cannot be entered", async () => {
    await engine.ok(["create", "--name", "idle", "busybox"]);
    const { stderr, code } = await exec("idle", "true");
    expect(code).toBe(1);
    expect(stderr).toMatch(/not running|start it/);
    await engine.ok(["rm", "idle"]);
  });

  test("execs end with the container", async () => {
    await engine.ok(["run", "-d", "--name", "brief", "busybox", "sleep", "1000"]);
    const call = engine.spawn(["exec", "brief", "sleep", "1000"]);
    await Bun.sleep(300);
    await engine.ok(["kill", "brief"]);
    expect((await call.done).code).toBe(137);
    await engine.ok(["rm", "brief"]);
  });

  test("one that ends its container is told its own end, or that of all: never that of the supervisor", async () => {
    const codes = new Set<number>();
    for (let round = 0; round < 15; round++) {
      const id = await engine.ok(["run", "-d", "--rm", "busybox", "sh", "-c", "while [ ! -e /go ]; do :; done"]);
      const { code, stderr } = await engine.onggi(["exec", id, "touch", "/go"]);
      expect(stderr).toBe("");
      codes.add(code);
    }
    expect([...codes].filter((code) => code !== 0 && code !== 137)).toEqual([]);
  });

  test("those that the container's end meets on their way are told of it, never of the supervisor", async () => {
    for (let round = 0; round < 10; round++) {
      await engine.ok(["run", "-d", "--name", "ends", "busybox", "sleep", "1000"]);
      const { Pid: pid } = (await engine.inspect("ends")).State;
      const shim = Number(/^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]);
      process.kill(shim, "SIGSTOP");
      const calls = Array.from({ length: 4 }, () => engine.spawn(["exec", "ends", "true"]));
      await Bun.sleep(100);
      process.kill(pid, "SIGKILL");
      process.kill(shim, "SIGCONT");
      for (const call of calls) {
        const { code, stderr } = await call.done;
        if (code !== 137 && code !== 0) expect(stderr).toMatch(/ends: it is not running/);
      }
      await engine.ok(["rm", "-f", "ends"]);
    }
  }, 60_000);

  test("200 in a row leave no descriptor and no process behind", async () => {
    for (let round = 0; round < 10; round += 1) await exec("box", "true");
    const before = await engine.descriptorCount();
    for (let round = 0; round < 200; round += 1) expect((await exec("box", "true")).code).toBe(0);
    expect(await engine.descriptorCount()).toBeLessThanOrEqual(before + 2);
    expect((await exec("box", "sh", "-c", "ls -d /proc/[0-9]* | wc -l")).stdout.trim()).toMatch(/^[345]$/);
  }, 120_000);
});
