/** What a container inherits and what it is given: exit codes, streams, descriptors, terminals, signals. */
import { afterAll, expect, test } from "bun:test";
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runtimePath, TestRuntime, until, untilWritten } from "../kit/bundle.ts";
import type { Change } from "../kit/oci-spec.ts";
import { ConsoleSocket } from "../kit/terminal.ts";

const runtime = new TestRuntime();
afterAll(() => runtime.close(), 60_000);

const terminal: Change = (spec) => {
  spec.process!.terminal = true;
};
/** Prints the numbers of the shell's descriptors: the directory it reads them from is not one of them. */
const LIST = 'for n in 0 1 2 3 4 5 6 7 8 9; do [ -e /proc/self/fd/$n ] && echo -n "$n "; done; echo';

test.each([0, 1, 3, 126, 255])("run ends with the program's status %d, and leaves nothing", async (status) => {
  const { code, stderr } = await runtime.shell(`exit ${status}`);
  expect({ code, stderr }).toEqual({ code: status, stderr: "" });
  await runtime.expectNothingLeft();
});

test.each([
  ["TERM", 143],
  ["KILL", 137],
  ["ABRT", 134],
])("a program ended by %s gives %d", async (signal, status) => {
  const bundle = runtime.bundle(["sleep", "1000"]);
  const call = runtime.spawn(["run", "--bundle", bundle.directory, bundle.id]);
  await runtime.until(bundle.id, "running");
  // A first process is deaf to signals it has no handler for, but for those of its parent namespace.
  process.kill((await runtime.state(bundle.id)).pid, signal === "KILL" ? "SIGKILL" : `SIG${signal}`);
  if (signal !== "KILL") {
    await Bun.sleep(100);
    process.kill((await runtime.state(bundle.id)).pid || call.pid, "SIGKILL");
    expect((await call.done).code).toBeOneOf([status, 137]);
  } else expect((await call.done).code).toBe(status);
});

test("an exec ended by a signal gives 128 + its number", async () => {
  const { id } = await runtime.running();
  for (const [signal, status] of [
    ["TERM", 143],
    ["KILL", 137],
    ["SEGV", 139],
  ] as const)
    expect((await runtime.call(["exec", id, "sh", "-c", `kill -${signal} $$`])).code).toBe(status);
  await runtime.remove(id);
});

test("stdin, stdout and stderr are the caller's own, to the last byte", async () => {
  const bundle = runtime.bundle(["sh", "-c", "cat; echo error >&2"]);
  const input = `${"line\n".repeat(50_000)}end without newline`;
  const { stdout, stderr } = await runtime.call(["run", "--bundle", bundle.directory, bundle.id], { stdin: input });
  expect(stdout === input).toBe(true);
  expect(stderr).toBe("error\n");
});

test("a container has no descriptor but the three, however many the caller has open", async () => {
  const root = openSync("/", "r");
  const bundle = runtime.bundle(["sh", "-c", LIST]);
  const { stdout } = await runtime.call(["run", "--bundle", bundle.directory, bundle.id], { fds: [root, root, root, root] });
  closeSync(root);
  expect(stdout).toBe("0 1 2 \n");
});

test.each([
  ["<&- >&- 2>&-", ""],
  ["<&-", ""],
  ["2>&-", ""],
  [">&- 2>&-", ""],
])("called with %s, nothing of the runtime's own lands on the numbers that are free", async (redirection) => {
  // Whatever is there instead must not be a directory, nor a file but /dev/null, nor writable to the host.
  const script = `for n in 0 1 2 3 4 5 6 7 8 9; do
    [ -e /proc/self/fd/$n ] || [ -L /proc/self/fd/$n ] || continue
    echo "$n $(readlink /proc/$$/fd/$n)"; done > /seen`;
  const bundle = runtime.bundle(["sh", "-c", script]);
  const under = ["sh", "-c", `exec "$@" ${redirection}`, "sh"];
  await runtime.call(["run", "--bundle", bundle.directory, bundle.id], { under });
  if (existsSync(join(bundle.rootfs, "seen"))) {
    const seen = readFileSync(join(bundle.rootfs, "seen"), "utf8").trim().split("\n");
    for (const line of seen)
      expect(line).toMatch(/^([012] (\/dev\/null|pipe:.*|\/tmp\/onggi-oci-.*\/call-\d+\.(out|err))|1 \/seen|\d+ )$/);
  }
  await runtime.remove(bundle);
  await runtime.expectNothingLeft(bundle.id);
});

test("--preserve-fds passes so many from 3 on, to run and to exec", async () => {
  const files = ["a", "b", "c"].map((name) => {
    const file = join(runtime.base, `preserved-${name}`);
    writeFileSync(file, name);
    return openSync(file, "r");
  });
  const bundle = runtime.bundle(["sh", "-c", `cat <&3; cat <&4; echo; ${LIST}`]);
  const run = await runtime.call(["run", "--preserve-fds", "2", "--bundle", bundle.directory, bundle.id], { fds: files });
  expect(run.stdout).toBe("ab\n0 1 2 3 4 \n");
  const other = await runtime.running();
  const exec = await runtime.call(["exec", "--preserve-fds", "1", other.id, "sh", "-c", LIST], { fds: files });
  expect(exec.stdout).toBe("0 1 2 3 \n");
  await runtime.remove(other);
  for (const fd of files) closeSync(fd);
});

test("LISTEN_FDS of the caller are passed on, with LISTEN_PID the container's", async () => {
  const file = openSync(join(runtime.base, "busybox/etc/passwd"), "r");
  const bundle = runtime.bundle(["sh", "-c", `echo $LISTEN_FDS $LISTEN_PID; ${LIST}`]);
  const { stdout } = await runtime.call(["run", "--bundle", bundle.directory, bundle.id], {
    fds: [file],
    // LISTEN_PID is the runtime's own, as a service manager sets it.
    under: ["sh", "-c", 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"', "sh"],
  });
  closeSync(file);
  expect(stdout).toBe("1 1\n0 1 2 3 \n");
});

test("--console-socket receives the terminal's master, which has the size asked for", async () => {
  const socket = new ConsoleSocket(mkdtempSync(join(runtime.base, "s-")));
  const bundle = runtime.bundle(
    ["sh", "-c", "stty size; tty; read line; echo got $line; stat -c %F:%t /dev/console"],
    terminal,
    (spec) => {
      spec.process!.consoleSize = { height: 33, width: 77 };
    },
  );
  await runtime.ok(["create", "--console-socket", socket.path, "--bundle", bundle.directory, bundle.id]);
  const console = await socket.terminal();
  await runtime.ok(["start", bundle.id]);
  await console.until("/dev/pts/0");
  console.write("hello\n");
  expect((await console.until()).replaceAll("\r", "")).toBe("33 77\n/dev/pts/0\nhello\ngot hello\ncharacter special file:88\n");
  console.close();
  socket.close();
  await runtime.until(bundle.id, "stopped");
  await runtime.ok(["delete", bundle.id]);
});

test.each([
  ["create with a terminal and no socket", ["create"], true],
  ["run --detach with a terminal and no socket", ["run", "--detach"], true],
  ["create with a socket and no terminal", ["create", "--console-socket", "/nowhere"], false],
  ["create with a socket that is none", ["create", "--console-socket", "/etc/passwd"], true],
] as const)("%s is refused and leaves nothing", async (_, command, wanted) => {
  const bundle = runtime.bundle(["sleep", "1000"], (spec) => {
    spec.process!.terminal = wanted;
  });
  const { code, stderr } = await runtime.call([...command, "--bundle", bundle.directory, bundle.id]);
  expect(code).toBe(1);
  expect(stderr).not.toBe("");
  await runtime.expectNothingLeft(bundle.id);
});

test("run with a terminal, on one: raw, resized, hung up at the end", async () => {
  const bundle = runtime.bundle(["sh", "-c", "stty size; read line; echo got $line; stty size; exit 7"], terminal);
  let screen = "";
  const child = Bun.spawn([runtimePath, "--root", runtime.root, "run", "--bundle", bundle.directory, bundle.id], {
    cwd: runtime.base,
    terminal: {
      cols: 91,
      rows: 17,
      data: (_, data) => {
        screen += new TextDecoder().decode(data);
      },
    },
  });
  await until(() => screen.includes("17 91"), "the size");
  child.terminal!.resize(100, 20);
  await Bun.sleep(300);
  child.terminal!.write("hello\n");
  expect(await child.exited).toBe(7);
  expect(screen.replaceAll("\r", "")).toBe("17 91\nhello\ngot hello\n20 100\n");
  await runtime.expectNothingLeft(bundle.id);
});

test.each(["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGQUIT"] as const)(
  "%s at the foreground runtime reaches the program",
  async (signal) => {
    const script = `trap 'echo got; exit 9' ${signal.slice(3)}; echo up; while true; do sleep 0.02; done`;
    const bundle = runtime.bundle(["sh", "-c", script]);
    const call = runtime.spawn(["run", "--bundle", bundle.directory, bundle.id]);
    await until(() => call.stdout().includes("up"), "the trap");
    call.kill(signal);
    const { code, stdout } = await call.done;
    expect({ code, stdout }).toEqual({ code: 9, stdout: "up\ngot\n" });
    await runtime.expectNothingLeft(bundle.id);
  },
);

test("run --detach returns at once, with the pid in a file, and the output goes on", async () => {
  const bundle = runtime.bundle(["sh", "-c", "sleep 0.3; echo later"]);
  const pidFile = join(runtime.base, "detached.pid");
  const call = await runtime.ok(["run", "--detach", "--pid-file", pidFile, "--bundle", bundle.directory, bundle.id]);
  expect(call.stdout).toBe("");
  expect(Number(readFileSync(pidFile, "utf8"))).toBe((await runtime.state(bundle.id)).pid);
  await runtime.until(bundle.id, "stopped");
  expect(call.stdout).toBe("later\n");
  await runtime.ok(["delete", bundle.id]);
});

test("run --keep leaves the container's state, stopped", async () => {
  const bundle = runtime.bundle(["true"]);
  const { code, stderr } = await runtime.call(["run", "--keep", "--bundle", bundle.directory, bundle.id]);
  if (/flag provided but not defined/.test(stderr)) return;
  expect(code).toBe(0);
  expect((await runtime.state(bundle.id)).status).toBe("stopped");
  await runtime.ok(["delete", bundle.id]);
});

test("a detached container outlives whoever started it", async () => {
  const bundle = runtime.bundle(["sh", "-c", "sleep 0.5; echo alive > /alive"]);
  const under = ["setsid", "sh", "-c", '"$@" & wait', "sh"];
  await runtime.ok(["run", "--detach", "--bundle", bundle.directory, bundle.id], { under });
  expect(await untilWritten(join(bundle.rootfs, "alive"))).toBe("alive\n");
  await runtime.remove(bundle);
});
