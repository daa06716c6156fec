/** `linux.seccomp`: errno, kill, conditions, and notify with an agent at listenerPath. Source: config-linux.md, "Seccomp". */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import type { Seccomp } from "../../src/oci/spec.ts";
import { close, ioctl } from "../../src/sys/index.ts";
import { TestRuntime } from "../kit/bundle.ts";
import type { Change } from "../kit/oci-spec.ts";
import { ConsoleSocket } from "../kit/terminal.ts";

const runtime = new TestRuntime();
afterAll(() => runtime.close(), 60_000);

const arch = process.arch === "arm64" ? "SCMP_ARCH_AARCH64" : "SCMP_ARCH_X86_64";
const filter =
  (seccomp: Partial<Seccomp>): Change =>
  (spec) => {
    spec.linux!.seccomp = { defaultAction: "SCMP_ACT_ALLOW", architectures: [arch], ...seccomp };
  };
const MKDIR = ["mkdir", "mkdirat"];

test("errno, the default one and one of its own", async () => {
  const script = "mkdir /x 2>&1; [ -e /x ] || echo missing";
  expect((await runtime.shell(script, filter({ syscalls: [{ names: MKDIR, action: "SCMP_ACT_ERRNO" }] }))).stdout).toBe(
    "mkdir: can't create directory '/x': Operation not permitted\nmissing\n",
  );
  const own = filter({ syscalls: [{ names: MKDIR, action: "SCMP_ACT_ERRNO", errnoRet: 28 }] });
  expect((await runtime.shell(script, own)).stdout).toBe(
    "mkdir: can't create directory '/x': No space left on device\nmissing\n",
  );
});

test("kill ends the process with SIGSYS", async () => {
  for (const action of ["SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS"] as const) {
    const { stdout } = await runtime.shell("mkdir /x; echo $?", filter({ syscalls: [{ names: MKDIR, action }] }));
    expect(stdout).toBe("159\n");
  }
});

test("a condition on an argument", async () => {
  const syscalls = [
    { names: ["kill"], action: "SCMP_ACT_ERRNO" as const, errnoRet: 1, args: [{ index: 1, value: 10, op: "SCMP_CMP_EQ" }] },
  ];
  const { stdout } = await runtime.shell(
    "sleep 100 & kill -USR1 $! 2>/dev/null || echo refused; kill -KILL $! && echo sent",
    filter({ syscalls }),
  );
  expect(stdout).toBe("refused\nsent\n");
});

test("a filter that allows little: what is not named is refused", async () => {
  const { code, stdout } = await runtime.shell(
    "echo runs",
    filter({ defaultAction: "SCMP_ACT_ERRNO", syscalls: [{ names: ["mkdir"], action: "SCMP_ACT_ALLOW" }] }),
  );
  // Not even exit_group: the process cannot be started, and cannot end by itself either.
  expect(code).toBe(1);
  expect(stdout).toBe("");
  await runtime.expectNothingLeft();
});

test("an exec is under the same filter", async () => {
  const bundle = await runtime.running(["sleep", "1000"], filter({ syscalls: [{ names: MKDIR, action: "SCMP_ACT_ERRNO" }] }));
  const { stdout } = await runtime.call(["exec", bundle.id, "sh", "-c", "mkdir /x 2>&1; grep Seccomp: /proc/self/status"]);
  expect(stdout).toBe("mkdir: can't create directory '/x': Operation not permitted\nSeccomp:\t2\n");
  await runtime.remove(bundle);
});

test("no seccomp, no filter", async () => {
  expect((await runtime.run(["grep", "Seccomp:", "/proc/self/status"])).stdout).toBe("Seccomp:\t0\n");
});

// linux/seccomp.h: struct seccomp_notif is 80 bytes, struct seccomp_notif_resp 24.
const NOTIF_RECV = 0xc0502100;
const NOTIF_SEND = 0xc0182101;

/** Takes one notification and answers it with an errno. */
async function answer(listener: number, errno: number): Promise<{ pid: number }> {
  const { poll } = await import("../../src/sys/io.ts");
  for (let tries = 0; tries < 1000; tries++) {
    if (poll(listener, 1, 10) !== 0) break;
    await Bun.sleep(5);
  }
  const request = new Uint8Array(80);
  ioctl(listener, NOTIF_RECV, request);
  const view = new DataView(request.buffer);
  const response = new Uint8Array(24);
  const reply = new DataView(response.buffer);
  reply.setBigUint64(0, view.getBigUint64(0, true), true);
  reply.setInt32(16, -errno, true);
  ioctl(listener, NOTIF_SEND, response);
  return { pid: view.getUint32(8, true) };
}

test("notify: the agent receives the descriptor with the state, and its answers are the program's", async () => {
  const agent = new ConsoleSocket(mkdtempSync(join(runtime.base, "s-")), "agent.sock");
  const bundle = runtime.bundle(
    ["sh", "-c", "mkdir /x 2>&1"],
    filter({
      syscalls: [{ names: MKDIR, action: "SCMP_ACT_NOTIFY" }],
      listenerPath: agent.path,
      listenerMetadata: "some metadata",
    }),
  );
  const call = runtime.spawn(["run", "--bundle", bundle.directory, bundle.id]);
  const { fd, message } = await agent.receive();
  const state = JSON.parse(message);
  expect(state).toMatchObject({
    fds: ["seccompFd"],
    metadata: "some metadata",
    state: { id: bundle.id, status: "creating", bundle: bundle.directory },
  });
  expect(state.ociVersion).toMatch(/^1\.|^0\.2/);
  expect(state.pid).toBe(state.state.pid);
  expect(readlinkSync(`/proc/self/fd/${fd}`)).toBe("anon_inode:seccomp notify");
  const { pid } = await answer(fd, 17);
  expect(readFileSync(`/proc/${pid}/cgroup`, "utf8")).toContain(bundle.id);
  const { stdout } = await call.done;
  expect(stdout).toBe("mkdir: can't create directory '/x': File exists\n");
  close(fd);
  agent.close();
});

test("notify without an agent is refused and leaves nothing", async () => {
  const syscalls = [{ names: MKDIR, action: "SCMP_ACT_NOTIFY" as const }];
  for (const listenerPath of [undefined, join(runtime.base, "nobody.sock")]) {
    const bundle = runtime.bundle(["true"], filter({ syscalls, ...(listenerPath ? { listenerPath } : {}) }));
    const { code, stderr } = await runtime.call(["run", "--bundle", bundle.directory, bundle.id]);
    expect(code).toBe(1);
    expect(stderr).not.toBe("");
    await runtime.expectNothingLeft(bundle.id);
  }
});
