/** The OCI runtime under containerd's own shim, driven by `ctr`: every call the shim makes of a runtime. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync, readlinkSync } from "node:fs";
import { type CallOptions, followsSize, IN_FOREGROUND, type RunningCall } from "../kit/command.ts";
import { type Containerd, containerdUnavailable, startContainerd } from "../kit/containerd.ts";
import { memoryLimit } from "../kit/control.ts";
import { eventually, gone, isAlive } from "../kit/engine.ts";
import { busyboxArchive } from "../kit/images.ts";
import { requireRuntime } from "../kit/runtime.ts";
import { skipLoudly } from "../kit/skip.ts";

const IMAGE = "docker.io/onggi-test/busybox:latest";
const reason = containerdUnavailable();
if (reason) skipLoudly(`the OCI runtime under containerd: ${reason}`);

let containerd: Containerd;
let made = 0;
const newId = (): string => `c${++made}`;
const ctr = (args: readonly string[], options?: CallOptions) => containerd.client.run(args, options);
const ok = (...args: string[]): Promise<string> => containerd.client.ok(args);
const words = (id: string, flags: readonly string[], command: readonly string[]): string[] => [
  ...["run", ...containerd.runFlags(id), ...flags, IMAGE, id],
  ...command,
];
const run = (flags: readonly string[], command: readonly string[], options?: CallOptions) =>
  ctr(words(newId(), ["--rm", ...flags], command), options);

/** A container in the background. */
async function detached(command: readonly string[], ...flags: string[]): Promise<string> {
  const id = newId();
  await ok(...words(id, ["-d", ...flags], command));
  return id;
}
const sleeping = (...flags: string[]): Promise<string> => detached(["sleep", "1000"], ...flags);

/** A container that `ctr run` waits for. */
function foreground(command: readonly string[]): { id: string; call: RunningCall } {
  const id = newId();
  return { id, call: containerd.client.spawn(words(id, ["--rm"], command)) };
}

const task = async (id: string): Promise<{ pid: number; status: string } | null> => {
  const line = (await ok("tasks", "ls")).split("\n").find((row) => row.startsWith(`${id} `));
  if (!line) return null;
  const [, pid, status] = line.trim().split(/\s+/);
  return { pid: Number(pid), status: status! };
};
const pidOf = async (id: string): Promise<number> => (await task(id))!.pid;

/** Pids of the processes a task has, by `ctr tasks ps`; `commands` gives the command lines of those that are still there. */
const pidsOf = async (id: string): Promise<number[]> =>
  (await ok("tasks", "ps", id))
    .split("\n")
    .slice(1)
    .map((line) => Number(line.split(/\s+/)[0]));
const commands = async (id: string): Promise<string[]> =>
  (await pidsOf(id)).map((pid) => commandOf(pid).replaceAll("\0", " ").trim()).filter(Boolean);
const commandOf = (pid: number): string => (existsSync(`/proc/${pid}`) ? readFileSync(`/proc/${pid}/cmdline`, "utf8") : "");

let execs = 0;
const exec = (id: string, flags: readonly string[], command: readonly string[], options?: CallOptions) =>
  ctr(["tasks", "exec", "--fifo-dir", containerd.base.at("fifo"), "--exec-id", `e${++execs}`, ...flags, id, ...command], options);

async function remove(id: string): Promise<void> {
  await ok("tasks", "delete", "-f", id);
  await ok("containers", "delete", id);
}

describe.skipIf(reason !== null)("containerd", () => {
  beforeAll(async () => {
    containerd = await startContainerd(requireRuntime());
    await ok("images", "import", busyboxArchive());
  }, 60_000);
  afterAll(() => containerd?.stop(), 60_000);

  describe("run", () => {
    test("output, errors, input and exit status", async () => {
      // not to the end of its input: this `ctr run` does not pass that on
      const { stdout, stderr, code } = await run([], ["sh", "-c", "head -n 1; echo err >&2; exit 3"], { stdin: "in\n" });
      expect({ stdout, stderr, code }).toEqual({ stdout: "in\n", stderr: "err\n", code: 3 });
      expect((await run([], ["true"])).code).toBe(0);
    });

    test("--cwd, --env, --read-only, --mount, --pid-file, --cap-drop", async () => {
      const mount = `type=bind,src=${containerd.base.path},dst=/mnt,options=rbind:ro`;
      const flags = ["--cwd", "/tmp", "--env", "COLOUR=celadon", "--read-only", "--mount", mount, "--cap-drop", "CAP_CHOWN"];
      const script = "pwd; echo $COLOUR; touch /x; touch /mnt/x; ls -d /mnt/fifo; chown 1 /etc";
      const { stdout, stderr } = await run([...flags, "--pid-file", containerd.base.at("pid")], ["sh", "-c", script]);
      expect(stdout).toBe("/tmp\nceladon\n/mnt/fifo\n");
      expect(stderr.match(/Read-only file system/g)?.length).toBe(3);
      expect(readFileSync(containerd.base.at("pid"), "utf8")).toMatch(/^\d+$/);
    });

    test.each([
      ["no-such-command", "executable file not found in $PATH"],
      ["/etc/passwd", "permission denied"],
    ])("%s is refused (%s) and leaves no task", async (command, message) => {
      const { stderr, code } = await run([], [command]);
      expect(code).toBe(1);
      expect(stderr).toContain(message);
      expect(await ok("tasks", "ls", "-q")).toBe("");
    });

    test("on a terminal, with its size and its changes", async () => {
      const call = containerd.client.terminal(words(newId(), ["--rm", "-t"], ["sh"]), { columns: 100, rows: 30 });
      await call.until("# ");
      call.write("tty; stty size\n");
      await call.until(/\/dev\/(pts\/0|console)\r+\n30 100\r+\n/);
      await followsSize(call, 132, 43);
      call.write("exit 4\n");
      expect(await call.done).toBe(4);
    });

    test("--memory-limit kills, and the kernel has it", async () => {
      const id = await sleeping("--memory-limit", String(64 << 20));
      expect(memoryLimit(await pidOf(id))).toBe(String(64 << 20));
      await remove(id);
      const hungry = "x=$(head -c 200000000 /dev/zero | tr '\\0' x); echo survived";
      const { stdout, code } = await run(["--memory-limit", String(32 << 20)], ["sh", "-c", hungry]);
      // without swap it is killed; with swap it may be the subshell that is
      expect(stdout).toBe("");
      expect(code).toBe(137);
    });

    test("namespaces: its own, the host's network, or another's", async () => {
      const id = await sleeping();
      const theirs = readlinkSync(`/proc/${await pidOf(id)}/ns/net`);
      const own = readlinkSync("/proc/self/ns/net");
      expect(theirs).not.toBe(own);
      const read = ["readlink", "/proc/self/ns/net"];
      expect((await run(["--net-host"], read)).stdout.trim()).toBe(own);
      expect((await run(["--with-ns", `network:/proc/${await pidOf(id)}/ns/net`], read)).stdout.trim()).toBe(theirs);
      await remove(id);
    });

    test("a user namespace: root inside is somebody else outside", async () => {
      const id = await sleeping("--uidmap", "0:300000:65536", "--gidmap", "0:300000:65536");
      const pid = await pidOf(id);
      expect(readFileSync(`/proc/${pid}/uid_map`, "utf8").trim().split(/\s+/)).toEqual(["0", "300000", "65536"]);
      expect((await exec(id, [], ["sh", "-c", "id -u; stat -c %u /; touch /mine && echo touched"])).stdout).toBe(
        "0\n0\ntouched\n",
      );
      await remove(id);
    });

    test("eight at once", async () => {
      const calls = Array.from({ length: 8 }, (_, index) => run([], ["sh", "-c", `echo ${index}; exit ${index}`]));
      expect((await Promise.all(calls)).map(({ stdout, code }) => `${stdout.trim()} ${code}`)).toEqual(
        Array.from({ length: 8 }, (_, index) => `${index} ${index}`),
      );
    });
  });

  describe("tasks", () => {
    test("exec: input, output, exit status, directory, user", async () => {
      const id = await sleeping();
      const { stdout, stderr, code } = await exec(id, [], ["sh", "-c", "cat; echo err >&2; exit 5"], { stdin: "in" });
      expect({ stdout, stderr, code }).toEqual({ stdout: "in", stderr: "err\n", code: 5 });
      expect((await exec(id, ["--cwd", "/tmp", "--user", "1234:55"], ["sh", "-c", "pwd; id -u; id -g"])).stdout).toBe(
        "/tmp\n1234\n55\n",
      );
      const missing = await exec(id, [], ["no-such-command"]);
      expect(missing.code).not.toBe(0);
      expect(missing.stderr).toContain("executable file not found in $PATH");
      await remove(id);
    });

    test("execs that end at once: no end is missed", async () => {
      const id = await sleeping();
      for (let index = 0; index < 40; index += 1) expect((await exec(id, [], ["sh", "-c", `exit ${index}`])).code).toBe(index);
      await remove(id);
    });

    test("exec on a terminal: Ctrl-C", async () => {
      const id = await sleeping();
      const fifo = ["--fifo-dir", containerd.base.at("fifo")];
      const call = containerd.client.terminal(["tasks", "exec", ...fifo, "-t", "--exec-id", "tty", id, "sh"]);
      await call.until("# ");
      call.write(IN_FOREGROUND.typed);
      await call.until(IN_FOREGROUND.seen);
      call.write("\x03");
      call.write("echo status $?; exit 6\n");
      await call.until("status 130");
      expect(await call.done).toBe(6);
      await remove(id);
    });

    test("exec -d goes on, ps lists it, it ends with the container", async () => {
      const id = await sleeping();
      expect((await exec(id, ["-d"], ["sleep", "1234"])).code).toBe(0);
      expect((await commands(id)).sort()).toEqual(["sleep 1000", "sleep 1234"]);
      const pids = await pidsOf(id);
      await remove(id);
      for (const pid of pids) await gone(pid);
    });

    test("attach takes over the terminal of one in the background, and gives its exit status", async () => {
      const id = newId();
      const script = "trap 'echo told; exit 9' USR1; while :; do sleep 0.1; done";
      expect(await containerd.client.terminal(words(id, ["-d", "-t"], ["sh", "-c", script])).done).toBe(0);
      const call = containerd.client.terminal(["tasks", "attach", id]);
      await Bun.sleep(500);
      await ok("tasks", "kill", "-s", "SIGUSR1", id);
      await call.until("told");
      expect(await call.done).toBe(9);
      await ok("containers", "delete", id);
    });

    test("kill: a signal, all processes, one exec", async () => {
      const script = "trap 'exit 12' USR2; echo ready; sleep 1000 & while :; do sleep 0.1; done";
      const { id, call } = foreground(["sh", "-c", script]);
      await call.until("ready");
      await exec(id, ["-d"], ["sleep", "1234"]);
      await ok("tasks", "kill", "-s", "SIGKILL", "--exec-id", `e${execs}`, id);
      await eventually("the exec is gone", async () => !(await commands(id)).includes("sleep 1234"));
      await ok("tasks", "kill", "-s", "SIGUSR2", id);
      expect((await call.done).code).toBe(12);
      const other = foreground(["sh", "-c", "trap '' TERM; sleep 1234 & echo ready; wait"]);
      await other.call.until("ready");
      await ok("tasks", "kill", "-a", "-s", "SIGKILL", other.id);
      expect((await other.call.done).code).toBe(137);
    });

    test("pause and resume", async () => {
      const id = await detached(["sh", "-c", "while :; do echo x >> /count; sleep 0.05; done"]);
      const file = `/proc/${await pidOf(id)}/root/count`;
      await eventually("it counts", () => Bun.file(file).size > 0);
      await ok("tasks", "pause", id);
      expect((await task(id))?.status).toBe("PAUSED");
      const size = readFileSync(file).length;
      await Bun.sleep(300);
      expect(readFileSync(file).length).toBe(size);
      await ok("tasks", "resume", id);
      await eventually("it counts again", () => readFileSync(file).length > size);
      await remove(id);
    });

    test("metrics are of its cgroup", async () => {
      const id = await sleeping("--memory-limit", String(64 << 20));
      const metrics = await ok("tasks", "metrics", id);
      expect(metrics).toMatch(/^memory\.(usage_in_bytes|usage)\s+[1-9]\d*\s*$/m);
      expect(metrics).toMatch(/^pids\.current\s+1\s*$/m);
      await remove(id);
    });

    test("delete refuses one that runs, unless forced", async () => {
      const id = await sleeping();
      const pid = await pidOf(id);
      expect((await ctr(["tasks", "delete", id])).code).not.toBe(0);
      expect(isAlive(pid)).toBe(true);
      await remove(id);
      await gone(pid);
      expect(await task(id)).toBe(null);
    });
  });

  describe("faults", () => {
    test("a killed shim: containerd has the runtime delete what is left", async () => {
      const id = await detached(["sh", "-c", "sleep 1000 & exec sleep 1000"]);
      const pid = await pidOf(id);
      const shim = containerd.shim(id);
      process.kill(shim, "SIGKILL");
      await gone(pid);
      await eventually("the task is gone", async () => (await task(id)) === null);
      await ok("containers", "delete", id);
    });

    test("a killed containerd: the container goes on, the next one finds it", async () => {
      const id = await sleeping();
      const before = await task(id);
      await containerd.kill();
      expect(isAlive(before!.pid)).toBe(true);
      await containerd.start();
      expect(await task(id)).toEqual(before);
      expect((await exec(id, [], ["sh", "-c", "exit 17"])).code).toBe(17);
      await remove(id);
    }, 60_000);

    test("an init that was killed from outside: 137, and its children are gone", async () => {
      const { id, call } = foreground(["sh", "-c", "sleep 1234 & echo ready; exec sleep 1000"]);
      await call.until("ready");
      const pids = await pidsOf(id);
      process.kill(await pidOf(id), "SIGKILL");
      for (const pid of pids) await gone(pid);
      expect((await call.done).code).toBe(137);
    });
  });

  test("at its end nothing is left on the machine", async () => {
    expect([await ok("tasks", "ls", "-q"), await ok("containers", "ls", "-q")]).toEqual(["", ""]);
    await containerd.end();
    await containerd.base.expectNothingLeft();
  }, 60_000);
});
