/** checkpoint and restore through criu(8), on real containers. */
import { afterAll, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { Spec } from "../../src/oci/spec.ts";
import { close, O, pipe2, writeAll } from "../../src/sys/index.ts";
import { type Bundle, type Call, type CallOptions, runtimePath, TestRuntime, until, untilWritten } from "../kit/bundle.ts";
import { criuDirectory } from "../kit/criu.ts";
import { joinNamespace, userNamespace, withHooks, withMount } from "../kit/oci-spec.ts";
import { ConsoleSocket } from "../kit/terminal.ts";

const runtime = new TestRuntime();
afterAll(() => runtime.close(), 60_000);

const criu = criuDirectory();
const testWithCriu = test.skipIf(criu === null);
const env = { PATH: `${criu}:${process.env.PATH}` };
/** A file that is on no mount of the container's, such as a test's log, cannot be saved. */
const quietly: CallOptions = { env, under: ["sh", "-c", 'exec "$@" > /dev/null 2>&1', "sh"] };

/** Counts in memory, and writes down where it is. */
const COUNTER = ["sh", "-c", "n=0; while true; do n=$((n + 1)); echo $n > /count.new; mv /count.new /count; sleep 0.02; done"];

const messages = ({ log }: Call): string => log.map(({ msg }) => msg).join("\n");
const images = (bundle: Bundle): string => join(bundle.directory, "images");
const count = (bundle: Bundle): number => Number(readFileSync(join(bundle.rootfs, "count"), "utf8"));

async function start(args: readonly string[], ...changes: ((spec: Spec) => void)[]): Promise<Bundle> {
  const bundle = runtime.bundle(args, ...changes);
  await runtime.ok(["run", "--detach", "--bundle", bundle.directory, bundle.id], quietly);
  return bundle;
}

async function counter(...changes: ((spec: Spec) => void)[]): Promise<Bundle> {
  const bundle = await start(COUNTER, ...changes);
  await counts(bundle, 3);
  return bundle;
}

const counts = (bundle: Bundle, from: number): Promise<void> =>
  until(() => existsSync(join(bundle.rootfs, "count")) && count(bundle) > from, `a count above ${from}`);

const checkpoint = (bundle: Bundle, ...flags: string[]): Promise<Call> =>
  runtime.call(["checkpoint", "--image-path", images(bundle), ...flags, bundle.id], { env });

const restore = (bundle: Bundle, ...flags: string[]): Promise<Call> =>
  runtime.call(
    ["restore", "--detach", "--bundle", bundle.directory, "--image-path", images(bundle), ...flags, bundle.id],
    quietly,
  );

function succeeds(call: Call): void {
  if (call.code !== 0) throw new Error(`ended with ${call.code}: ${call.stderr}${messages(call)}`);
}

const SIGTERM = 15;

/** signal(7) and proc_pid_status(5): the mask of what has a handler. */
function catches(pid: number, signal: number): boolean {
  const mask = /^SigCgt:\s*([0-9a-f]+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return ((BigInt(`0x${mask}`) >> BigInt(signal - 1)) & 1n) === 1n;
}

async function gone(bundle: Bundle): Promise<void> {
  expect((await runtime.call(["state", bundle.id])).stderr).toContain("does not exist");
  await runtime.expectNothingLeft(bundle.id);
}

testWithCriu("a checkpoint ends a container, and a restore makes it go on from where it was", async () => {
  const bundle = await counter();
  succeeds(await checkpoint(bundle));
  await gone(bundle);
  const last = count(bundle);
  await Bun.sleep(100);
  expect(count(bundle)).toBe(last);

  const pidFile = join(bundle.directory, "pid");
  succeeds(await restore(bundle, "--pid-file", pidFile));
  const state = await runtime.state(bundle.id);
  expect(state).toMatchObject({ status: "running", bundle: bundle.directory });
  expect(readFileSync(pidFile, "utf8")).toBe(String(state.pid));
  await counts(bundle, last + 3);
  for (const line of readFileSync(`/proc/${state.pid}/cgroup`, "utf8").trim().split("\n")) {
    expect(line).toEndWith(`/${runtime.tag}/${bundle.id}`);
  }
  expect(existsSync(join(runtime.root, bundle.id, "criu-root"))).toBe(false);
  const inside = await runtime.ok([
    "exec",
    bundle.id,
    "sh",
    "-c",
    "hostname; tr '\\0' ' ' < /proc/1/cmdline; ip -o link show lo",
  ]);
  expect(inside.stdout).toContain("jar\nsh -c n=0;");
  expect(inside.stdout).toContain("LOOPBACK,UP");
  await runtime.remove(bundle);
  await gone(bundle);
});

testWithCriu("what was restored can be checkpointed again", async () => {
  const bundle = await counter();
  for (let round = 0; round < 2; round++) {
    succeeds(await checkpoint(bundle));
    const last = count(bundle);
    succeeds(await restore(bundle));
    await counts(bundle, last + 1);
  }
  await runtime.remove(bundle);
});

testWithCriu("--leave-running: it goes on, and can be set back", async () => {
  const bundle = await counter();
  const before = await runtime.state(bundle.id);
  succeeds(await checkpoint(bundle, "--leave-running"));
  expect(await runtime.state(bundle.id)).toMatchObject({ status: "running", pid: before.pid });
  const saved = count(bundle);
  await counts(bundle, saved + 50);
  expect(messages(await restore(bundle))).toContain("already exists");
  await runtime.remove(bundle);
  succeeds(await restore(bundle));
  await until(() => count(bundle) < saved + 40, "the count of the checkpoint");
  await runtime.remove(bundle);
});

testWithCriu("a paused container is saved too", async () => {
  const bundle = await counter();
  await runtime.ok(["pause", bundle.id]);
  const last = count(bundle);
  succeeds(await checkpoint(bundle));
  await gone(bundle);
  succeeds(await restore(bundle));
  await counts(bundle, last);
  await runtime.remove(bundle);
});

testWithCriu("neither a created nor a stopped container is checkpointed", async () => {
  const bundle = await runtime.created(["true"]);
  expect(messages(await checkpoint(bundle))).toContain("cannot be checkpointed in created state");
  await runtime.ok(["start", bundle.id]);
  await runtime.until(bundle.id, "stopped");
  const call = await checkpoint(bundle);
  expect(call.code).toBe(1);
  expect(messages(call)).toContain("cannot be checkpointed in stopped state");
  expect(existsSync(images(bundle))).toBe(false);
  await runtime.remove(bundle);
});

testWithCriu("a checkpoint that fails says why, and the container runs on", async () => {
  const outside = join(runtime.base, "outside");
  const bundle = runtime.bundle(COUNTER);
  await runtime.ok(["run", "--detach", "--bundle", bundle.directory, bundle.id], {
    env,
    under: ["sh", "-c", `exec "$@" > ${outside} 2>&1`, "sh"],
  });
  await counts(bundle, 1);
  const work = join(bundle.directory, "work");
  const call = await checkpoint(bundle, "--work-path", work);
  expect(call.code).toBe(1);
  expect(messages(call)).toContain(`criu failed: type dump errno 0; log file: ${join(work, "dump.log")}: Error (`);
  expect(messages(call)).toContain(outside);
  await counts(bundle, count(bundle) + 3);
  expect((await runtime.state(bundle.id)).status).toBe("running");
  await runtime.remove(bundle);
});

describe("a restore that cannot be", () => {
  testWithCriu("without images", async () => {
    const bundle = runtime.bundle(COUNTER);
    const call = await restore(bundle);
    expect(call.code).toBe(1);
    expect(messages(call)).toContain(`no checkpoint of a container in ${images(bundle)}`);
    await gone(bundle);
  });

  testWithCriu("with images of which one is missing", async () => {
    const bundle = await counter();
    succeeds(await checkpoint(bundle));
    rmSync(join(images(bundle), "core-1.img"));
    const call = await restore(bundle);
    expect(call.code).toBe(1);
    expect(messages(call)).toMatch(/criu failed: type restore errno \d+; log file: .*restore\.log: .*Restoring FAILED/);
    await gone(bundle);
  });

  testWithCriu("where a hook fails", async () => {
    const bundle = await counter();
    succeeds(await checkpoint(bundle));
    bundle.spec.hooks = { createRuntime: [{ path: "/bin/sh", args: ["sh", "-c", "echo no way >&2; exit 4"] }] };
    bundle.write();
    const call = await restore(bundle);
    expect(call.code).toBe(1);
    expect(messages(call)).toContain("no way");
    await gone(bundle);
  });

  test("where criu is not in $PATH; nor a checkpoint", async () => {
    const without = { env: { PATH: "/nowhere" } };
    const bundle = await runtime.running();
    const wanted = 'exec: "criu": executable file not found in $PATH';
    for (const command of ["checkpoint", "restore"]) {
      const other = command === "restore" ? [runtime.uniqueId(), "--bundle", bundle.directory] : [bundle.id];
      if (command === "restore") await runtime.remove(bundle);
      const [id = "", ...flags] = other;
      const call = await runtime.call([command, ...flags, id], without);
      expect(call.code).toBe(1);
      expect(messages(call)).toContain(wanted);
    }
  });

  test("where criu is of no use", async () => {
    const directory = mkdtempSync(join(runtime.base, "bin-"));
    writeFileSync(join(directory, "criu"), "#!/bin/sh\necho such is life >&2\nexit 3\n", { mode: 0o755 });
    const bundle = await runtime.running();
    const call = await runtime.call(["checkpoint", bundle.id], { env: { PATH: `${directory}:${process.env.PATH}` } });
    expect(call.code).toBe(1);
    expect(messages(call)).toContain("criu failed: it ended without an answer: such is life");
    await runtime.remove(bundle);
  });
});

testWithCriu("mounts from the host, masked and read-only paths are as they were", async () => {
  const volume = mkdtempSync(join(runtime.base, "volume-"));
  const file = join(volume, "single");
  writeFileSync(file, "one\n");
  const script = "exec 5>>/volume/log; while true; do echo x >&5; sleep 0.02; done";
  const bundle = await start(
    ["sh", "-c", script],
    withMount({ destination: "/volume", type: "bind", source: volume, options: ["rbind", "rw"] }),
    withMount({ destination: "/etc/single", type: "bind", source: file, options: ["bind", "ro"] }),
    (spec) => void spec.linux!.maskedPaths!.push("/proc/interrupts"),
  );
  await untilWritten(join(volume, "log"));
  succeeds(await checkpoint(bundle));
  rmSync(join(bundle.rootfs, "etc/single"));
  rmSync(join(bundle.rootfs, "volume"), { recursive: true });
  succeeds(await restore(bundle));
  const { length } = readFileSync(join(volume, "log"), "utf8");
  await until(() => readFileSync(join(volume, "log"), "utf8").length > length + 4, "lines in the volume");
  const look = "cat /etc/single /proc/interrupts; echo two > /etc/single; ls /proc/acpi; echo 1 > /proc/sys/kernel/ns_last_pid";
  const { stdout, stderr } = await runtime.call(["exec", bundle.id, "sh", "-c", look]);
  expect(stdout).toBe("one\n");
  expect(stderr.match(/Read-only file system/g)).toHaveLength(2);
  await runtime.remove(bundle);
  expect(readdirSync(volume).sort()).toEqual(["log", "single"]);
});

testWithCriu("a container in a user namespace", async () => {
  const bundle = runtime.bundle(["sh", "-c", "exec 5>/dev/shm/n; while true; do echo x >&5; sleep 0.02; done"], userNamespace());
  Bun.spawnSync(["chown", "-R", "200000:200000", bundle.rootfs]);
  await runtime.ok(["run", "--detach", "--bundle", bundle.directory, bundle.id], quietly);
  succeeds(await checkpoint(bundle));
  for (const name of readdirSync(images(bundle)).filter((name) => name.endsWith(".img"))) {
    expect(statSync(join(images(bundle), name))).toMatchObject({ uid: 0, gid: 200_000 });
    expect(statSync(join(images(bundle), name)).mode & 0o007).toBe(0);
  }
  succeeds(await restore(bundle));
  const { pid } = await runtime.state(bundle.id);
  expect(readFileSync(`/proc/${pid}/uid_map`, "utf8")).toMatch(/^\s*0\s+200000\s+65536\s*$/);
  const inside = "echo x > /dev/null; head -c 3 /dev/zero | wc -c; stat -c %u /dev/null /dev /dev/pts; ls /dev/mqueue";
  expect((await runtime.ok(["exec", bundle.id, "sh", "-c", inside])).stdout).toBe("3\n0\n0\n0\n");
  const size = async () => Number((await runtime.ok(["exec", bundle.id, "stat", "-c", "%s", "/dev/shm/n"])).stdout);
  const before = await size();
  await Bun.sleep(200);
  expect(await size()).toBeGreaterThan(before);
  await runtime.remove(bundle);
});

testWithCriu("a network namespace that is given is joined, not saved", async () => {
  const holder = Bun.spawn(["unshare", "--net", "sleep", "1000"]);
  try {
    const path = `/proc/${holder.pid}/ns/net`;
    await until(() => readlinkSync(path) !== readlinkSync("/proc/self/ns/net"), "the namespace");
    const bundle = await counter(joinNamespace("network", path));
    succeeds(await checkpoint(bundle));
    succeeds(await restore(bundle));
    const { pid } = await runtime.state(bundle.id);
    expect(readlinkSync(`/proc/${pid}/ns/net`)).toBe(readlinkSync(path));
    await runtime.remove(bundle);
  } finally {
    holder.kill();
    await holder.exited;
  }
});

testWithCriu("hooks that set up the network run again, for the restored process", async () => {
  const bundle = runtime.bundle(COUNTER);
  const file = join(bundle.directory, "hooks");
  const tell = (name: string) => ({ path: "/bin/sh", args: ["sh", "-c", `echo ${name} $(cat) >> ${file}`] });
  withHooks({ prestart: [tell("prestart")], createRuntime: [tell("createRuntime")], poststop: [tell("poststop")] })(bundle.spec);
  bundle.write();
  await runtime.ok(["run", "--detach", "--bundle", bundle.directory, bundle.id], quietly);
  await counts(bundle, 1);
  succeeds(await checkpoint(bundle));
  succeeds(await restore(bundle));
  const { pid } = await runtime.state(bundle.id);
  await runtime.remove(bundle);
  const lines = readFileSync(file, "utf8").trim().split("\n");
  expect(lines.map((line) => line.slice(0, line.indexOf(" ")))).toEqual([
    "prestart",
    "createRuntime",
    "poststop",
    "prestart",
    "createRuntime",
    "poststop",
  ]);
  const state = JSON.parse(lines[4]!.slice("createRuntime ".length));
  expect(state).toMatchObject({ id: bundle.id, status: "creating", pid, bundle: bundle.directory });
});

testWithCriu("in the foreground: signals reach it, its exit code comes back, nothing stays", async () => {
  const bundle = await start(["sh", "-c", "trap 'exit 9' TERM; touch /ready; while true; do sleep 0.02; done"]);
  await until(() => existsSync(join(bundle.rootfs, "ready")), "the trap");
  succeeds(await checkpoint(bundle));
  const args = ["restore", "--bundle", bundle.directory, "--image-path", images(bundle), bundle.id];
  const running = runtime.spawn(args, quietly);
  await until(() => catches(running.pid, SIGTERM), "the runtime to pass signals on");
  running.kill("SIGTERM");
  expect((await running.done).code).toBe(9);
  await gone(bundle);
});

testWithCriu("standard streams that were pipes are the restore's", async () => {
  const bundle = runtime.bundle(["sh", "-c", "while read line; do echo got $line; done; exit 3"]);
  const flags = ["--bundle", bundle.directory];
  const first = piped(["run", ...flags, bundle.id]);
  first.write("one\n");
  expect(await first.line()).toBe("got one\n");
  succeeds(await checkpoint(bundle));
  expect((await first.done()).code).toBe(137);

  const second = piped(["restore", ...flags, "--image-path", images(bundle), bundle.id]);
  second.write("two\n");
  expect(await second.line()).toBe("got two\n");
  expect(await second.done()).toEqual({ code: 3, rest: "" });
});

/** The runtime with pipes, which Bun's own are not, as its standard input, and as its output and errors. */
function piped(args: readonly string[]) {
  const [[input, write], [read, output]] = [pipe2(O.O_CLOEXEC), pipe2(O.O_CLOEXEC)];
  const command = [runtimePath, "--root", runtime.root, ...args];
  const child = Bun.spawn(command, { stdio: [input, output, output], env: { ...process.env, ...env } });
  close(input);
  close(output);
  const reader = Bun.file(read).stream().getReader();
  const line = async () => new TextDecoder().decode((await reader.read()).value);
  const done = async () => {
    close(write);
    return { code: await child.exited, rest: await line() };
  };
  return { write: (text: string) => writeAll(write, text), line, done };
}

testWithCriu("a terminal is made anew, and its master sent to the console socket", async () => {
  const socket = new ConsoleSocket(mkdtempSync(join(runtime.base, "s-")));
  const bundle = runtime.bundle(["sh", "-c", "stty -echo; while read line; do echo got $line; done"], (spec) => {
    spec.process!.terminal = true;
  });
  await runtime.ok(["run", "-d", "--console-socket", socket.path, "--bundle", bundle.directory, bundle.id], { env });
  const first = await socket.terminal();
  first.write("one\n");
  await first.until("got one");
  succeeds(await checkpoint(bundle));
  first.close();
  succeeds(await restore(bundle, "--console-socket", socket.path));
  const second = await socket.terminal();
  second.write("two\n");
  await second.until("got two");
  await runtime.remove(bundle);
  second.close();
  socket.close();
});

testWithCriu("--pre-dump saves memory and lets it run on; a kernel that cannot is told of", async () => {
  const { success: tracks } = Bun.spawnSync([join(criu!, "criu"), "check", "--feature", "mem_dirty_track"]);
  const bundle = await counter();
  const parent = join(bundle.directory, "parent");
  mkdirSync(parent);
  const call = await runtime.call(["checkpoint", "--pre-dump", "--image-path", parent, bundle.id], { env });
  expect((await runtime.state(bundle.id)).status).toBe("running");
  if (tracks) {
    succeeds(call);
    succeeds(await checkpoint(bundle, "--parent-path", "../parent"));
    const last = count(bundle);
    succeeds(await restore(bundle));
    await counts(bundle, last);
  } else {
    expect(call.code).toBe(1);
    expect(messages(call)).toContain("criu is missing features on this kernel: MemTrack (CONFIG_MEM_SOFT_DIRTY)");
  }
  await runtime.remove(bundle);
});

testWithCriu(
  "--lazy-pages: the status descriptor tells when pages are served; it ends when whoever takes them hangs up",
  async () => {
    const probe = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
    const { port } = probe;
    probe.stop();
    const { success: lazy } = Bun.spawnSync([join(criu!, "criu"), "check", "--feature", "uffd-noncoop"]);
    const bundle = await counter();
    const [ready, status] = pipe2(O.O_CLOEXEC);
    const flags = ["--lazy-pages", "--page-server", `127.0.0.1:${port}`, "--status-fd", "3", "--image-path", images(bundle)];
    const saving = runtime.spawn(["checkpoint", ...flags, bundle.id], { env, fds: [status] });
    close(status);
    const { value } = await Bun.file(ready).stream().getReader().read();
    expect([...(value ?? [])]).toEqual(lazy ? [0] : []);
    if (!lazy) {
      expect(messages(await saving.done)).toContain("criu is missing features on this kernel: LazyPages");
      await runtime.remove(bundle);
      return;
    }
    expect((await runtime.state(bundle.id)).pid).toBeGreaterThan(0);
    (await Bun.connect({ hostname: "127.0.0.1", port, socket: { data() {} } })).end();
    succeeds(await saving.done);
    await gone(bundle);
  },
);

testWithCriu("a status descriptor that is none is refused", async () => {
  const bundle = await counter();
  for (const [fd, why] of [
    ["77", "bad file descriptor"],
    ["0", "not writable"],
  ]) {
    const call = await checkpoint(bundle, "--lazy-pages", "--status-fd", fd!);
    expect(call.code).toBe(1);
    expect(messages(call).toLowerCase()).toMatch(
      new RegExp(`invalid --status-fd argument ${fd}: .*${why}|criu is missing features`),
    );
  }
  await runtime.remove(bundle);
});

testWithCriu("a parent that is none is refused", async () => {
  const bundle = await counter();
  const call = await checkpoint(bundle, "--parent-path", "nowhere");
  expect(call.code).toBe(1);
  expect(messages(call)).toContain("invalid --parent-path");
  await runtime.remove(bundle);
});

testWithCriu("a restore that is killed leaves nothing that delete --force does not take away", async () => {
  const bundle = await counter();
  succeeds(await checkpoint(bundle));
  const args = ["restore", "--detach", "--bundle", bundle.directory, "--image-path", images(bundle), bundle.id];
  for (let after = 20; after <= 260; after += 40) {
    const running = runtime.spawn(args, quietly);
    await Bun.sleep(after);
    running.kill("SIGKILL");
    await running.done;
    await runtime.call(["delete", "--force", bundle.id]);
    await runtime.expectNothingLeft(bundle.id);
  }
  expect(existsSync(join(bundle.rootfs, "bin/sh"))).toBe(true);
});
