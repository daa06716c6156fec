/** exec: a further process in a container, with what was asked for and nothing else. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Bundle, isOldRunc, TestRuntime, until, untilWritten } from "../kit/bundle.ts";
import { cgroupDirectory } from "../kit/oci-remains.ts";
import { ConsoleSocket } from "../kit/terminal.ts";

const runtime = new TestRuntime();
let container: Bundle;
beforeAll(async () => {
  container = await runtime.running(["sleep", "1000"], (spec) => {
    spec.process!.env!.push("COLOUR=celadon");
    spec.process!.cwd = "/tmp";
  });
});
afterAll(() => runtime.close(), 60_000);

const exec = (...args: string[]) => runtime.call(["exec", ...args]);
const output = async (options: readonly string[], script: string): Promise<string> => {
  const { stdout, stderr, code } = await exec(...options, container.id, "sh", "-c", script);
  expect({ stderr, code }).toEqual({ stderr: "", code: 0 });
  return stdout;
};

test("is in every namespace and cgroup of the container", async () => {
  const { pid } = await runtime.state(container.id);
  const pidFile = join(runtime.base, "ns.pid");
  await runtime.ok(["exec", "--detach", "--pid-file", pidFile, container.id, "sleep", "1000"]);
  const own = readFileSync(pidFile, "utf8");
  for (const type of ["pid", "mnt", "net", "ipc", "uts", "cgroup", "user"]) {
    const link = (process: string | number): string =>
      Bun.spawnSync(["readlink", `/proc/${process}/ns/${type}`]).stdout.toString();
    expect(link(own), type).toBe(link(pid));
  }
  expect(readFileSync(`/proc/${own}/cgroup`, "utf8")).toBe(readFileSync(`/proc/${pid}/cgroup`, "utf8"));
  process.kill(Number(own), "SIGKILL");
});

test("takes working directory, environment and limits from the container", async () => {
  expect(await output([], "pwd; echo $COLOUR $HOME; ulimit -n")).toBe("/tmp\nceladon /root\n1024\n");
});

test("--cwd, --env, --user, --additional-gids say otherwise", async () => {
  const options = ["--cwd", "/etc", "--env", "COLOUR=jade", "--env", "MORE=1", "--user", "65534:7", "--additional-gids", "8"];
  expect(await output(options, "pwd; echo $COLOUR $MORE; id -u; id -g; id -G")).toBe("/etc\njade 1\n65534\n7\n7 8\n");
});

test("a user who is not root has no capability in effect, unless --cap asks for it", async () => {
  const effective = "grep CapEff /proc/self/status | cut -f 2";
  expect(BigInt(`0x${(await output(["--user", "1000"], effective)).trim()}`)).toBe(0n);
  const some = BigInt(`0x${(await output(["--cap", "CAP_SYS_PTRACE"], effective)).trim()}`);
  expect(some & (1n << 19n)).toBe(1n << 19n);
});

test("--no-new-privs", async () => {
  const open = await runtime.running(["sleep", "1000"], (spec) => {
    spec.process!.noNewPrivileges = false;
  });
  const flag = async (...options: string[]) =>
    (await exec(...options, open.id, "grep", "NoNewPrivs", "/proc/self/status")).stdout;
  expect(await flag()).toBe("NoNewPrivs:\t0\n");
  expect(await flag("--no-new-privs")).toBe("NoNewPrivs:\t1\n");
  await runtime.remove(open);
});

test.each([0, 1, 77, 255])("ends with the status %d of the program", async (status) => {
  expect((await exec(container.id, "sh", "-c", `exit ${status}`)).code).toBe(status);
});

test("a program that is missing or not executable ends with 255 or its like, and says why", async () => {
  for (const program of ["/nowhere", "nowhere", "/etc", "/etc/passwd"]) {
    const { code, stderr } = await exec(container.id, program);
    expect(code).toBeOneOf([1, 126, 127, 255]);
    expect(stderr).toContain(program);
  }
});

test("process.json describes the whole process", async () => {
  const file = join(runtime.base, "process.json");
  const capabilities = { bounding: ["CAP_KILL"], effective: ["CAP_KILL"], permitted: ["CAP_KILL"] };
  const described = {
    args: ["sh", "-c", "id -u; pwd; echo $ONLY $COLOUR; umask; ulimit -n; grep CapEff /proc/self/status"],
    cwd: "/etc",
    env: ["PATH=/bin", "ONLY=this"],
    user: { uid: 0, gid: 0, ...(isOldRunc ? {} : { umask: 0o77 }) },
    rlimits: [{ type: "RLIMIT_NOFILE", soft: 99, hard: 99 }],
    capabilities,
    noNewPrivileges: true,
  };
  writeFileSync(file, JSON.stringify(described));
  const { stdout, code, stderr } = await exec("--process", file, container.id);
  expect({ stdout, code, stderr }).toEqual({
    stdout: `0\n/etc\nthis\n${isOldRunc ? "0022" : "0077"}\n99\nCapEff:\t0000000000000020\n`,
    code: 0,
    stderr: "",
  });
});

test.each([
  ["not JSON", "{"],
  ["without a working directory", JSON.stringify({ args: ["true"], cwd: "" })],
  ["with a relative working directory", JSON.stringify({ args: ["true"], cwd: "tmp" })],
  ["without args", JSON.stringify({ args: [], cwd: "/" })],
  [
    "with an unknown capability",
    JSON.stringify({ args: ["true"], cwd: "/", rlimits: [{ type: "RLIMIT_NONSENSE", soft: 1, hard: 1 }] }),
  ],
])("a process.json %s is refused", async (_, text) => {
  const file = join(runtime.base, "bad-process.json");
  writeFileSync(file, text);
  const { code, stderr, log } = await exec("--process", file, container.id);
  expect(code).toBeOneOf([1, 255]);
  expect(stderr).not.toBe("");
  expect(log.length).toBeGreaterThan(0);
});

test("--detach returns at once; the pid file's process is in the container; it ends with it", async () => {
  const bundle = await runtime.running();
  const pidFile = join(runtime.base, "detached.pid");
  await runtime.ok(["exec", "--detach", "--pid-file", pidFile, bundle.id, "sleep", "1000"]);
  const pid = Number(readFileSync(pidFile, "utf8"));
  expect(readFileSync(`/proc/${pid}/cmdline`, "utf8")).toBe("sleep\x001000\0");
  expect((await runtime.ok(["ps", "--format", "json", bundle.id])).stdout).toContain(String(pid));
  await runtime.ok(["kill", bundle.id, "KILL"]);
  await runtime.until(bundle.id, "stopped");
  await runtime.ok(["delete", bundle.id]);
  await runtime.expectNothingLeft(bundle.id);
});

test("--tty over a console socket", async () => {
  const socket = new ConsoleSocket(mkdtempSync(join(runtime.base, "s-")));
  const pidFile = join(runtime.base, "tty.pid");
  const script = "tty; read line; echo got $line; exit";
  await runtime.ok([
    "exec",
    "--tty",
    "--detach",
    "--console-socket",
    socket.path,
    "--pid-file",
    pidFile,
    container.id,
    "sh",
    "-c",
    script,
  ]);
  const console = await socket.terminal();
  await console.until("/dev/pts/");
  console.write("hello\n");
  expect((await console.until()).replaceAll("\r", "")).toMatch(/^\/dev\/pts\/\d+\nhello\ngot hello\n$/);
  console.close();
  socket.close();
});

test("an exec's standard streams are the caller's, and it inherits nothing else", async () => {
  const input = "x".repeat(300_000);
  const { stdout } = await runtime.call(["exec", container.id, "cat"], { stdin: input });
  expect(stdout === input).toBe(true);
});

test("a signal at the foreground exec reaches its program", async () => {
  const script = "trap 'echo got; exit 4' TERM; echo up; while true; do sleep 0.02; done";
  const call = runtime.spawn(["exec", container.id, "sh", "-c", script]);
  await until(() => call.stdout() !== "", "the trap");
  call.kill("SIGTERM");
  const { code, stdout } = await call.done;
  expect({ code, stdout }).toEqual({ code: 4, stdout: "up\ngot\n" });
});

test("into a paused container it is refused, with --ignore-paused it waits for the thaw", async () => {
  const bundle = await runtime.running();
  await runtime.ok(["pause", bundle.id]);
  expect((await exec(bundle.id, "true")).code).toBe(255);
  const call = runtime.spawn(["exec", "--ignore-paused", bundle.id, "true"]);
  await Bun.sleep(200);
  await runtime.ok(["resume", bundle.id]);
  expect((await call.done).code).toBe(0);
  await runtime.remove(bundle);
});

test("--cgroup puts it into a group below the container's", async () => {
  const { pid } = await runtime.state(container.id);
  const directory = join(cgroupDirectory(pid, "pids"), "below");
  Bun.spawnSync(["mkdir", directory]);
  const { code, stdout } = await exec("--cgroup", "pids:below", container.id, "cat", "/proc/self/cgroup");
  expect(code).toBe(0);
  expect(stdout).toMatch(/:pids:.*\/below$/m);
  const missing = await exec("--cgroup", "pids:nowhere", container.id, "true");
  expect(missing.code).not.toBe(0);
  expect((await exec("--cgroup", "pids:../..", container.id, "true")).code).not.toBe(0);
});

test("many at once", async () => {
  const calls = await Promise.all(Array.from({ length: 12 }, (_, n) => exec(container.id, "sh", "-c", `echo ${n}; exit ${n}`)));
  expect(calls.map(({ code, stdout }) => `${code} ${stdout}`)).toEqual(Array.from({ length: 12 }, (_, n) => `${n} ${n}\n`));
});

test("its file in the container is written by the container's own ids", async () => {
  await exec("--detach", "--user", "1234:1234", container.id, "sh", "-c", "id -u > /tmp/by-1234");
  expect(await untilWritten(join(container.rootfs, "tmp/by-1234"))).toBe("1234\n");
});
