/** pause, resume, update, events, ps, list, features, spec: what they say is what the kernel says. */
import { afterAll, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Spec } from "../../src/oci/spec.ts";
import { TestRuntime, until } from "../kit/bundle.ts";
import { cgroupDirectory } from "../kit/oci-remains.ts";

const runtime = new TestRuntime();
afterAll(() => runtime.close(), 60_000);

const counting = ["sh", "-c", "while true; do date +%s%N > /beat; sleep 0.02; done"];

test("pause stands still, resume goes on, and both say the state", async () => {
  const bundle = await runtime.running(counting);
  const beat = (): string => (existsSync(join(bundle.rootfs, "beat")) ? readFileSync(join(bundle.rootfs, "beat"), "utf8") : "");
  await until(() => beat() !== "", "a beat");
  await runtime.ok(["pause", bundle.id]);
  expect((await runtime.state(bundle.id)).status).toBe("paused");
  const last = beat();
  await Bun.sleep(200);
  expect(beat()).toBe(last);
  expect((await runtime.call(["pause", bundle.id])).code).toBe(1);
  expect((await runtime.state(bundle.id)).status).toBe("paused");
  await runtime.ok(["resume", bundle.id]);
  expect((await runtime.state(bundle.id)).status).toBe("running");
  await until(() => beat() !== last, "another beat");
  expect((await runtime.call(["resume", bundle.id])).code).toBe(1);
  await runtime.remove(bundle);
});

test("a paused container that is killed is gone after all", async () => {
  const bundle = await runtime.running(counting);
  await runtime.ok(["pause", bundle.id]);
  await runtime.ok(["kill", bundle.id, "KILL"]);
  if ((await runtime.state(bundle.id)).status === "paused") await runtime.ok(["resume", bundle.id]);
  await runtime.until(bundle.id, "stopped");
  await runtime.ok(["delete", bundle.id]);
  await runtime.expectNothingLeft(bundle.id);
});

test("update by options is in the cgroup afterwards", async () => {
  const bundle = await runtime.running();
  const { pid } = await runtime.state(bundle.id);
  const read = (controller: string, file: string): string =>
    readFileSync(join(cgroupDirectory(pid, controller), file), "utf8").trim();
  const options = [
    "--memory",
    "67108864",
    "--cpu-share",
    "512",
    "--cpu-period",
    "50000",
    "--cpu-quota",
    "25000",
    "--pids-limit",
    "20",
  ];
  await runtime.ok(["update", ...options, "--cpuset-cpus", "0", bundle.id]);
  expect(read("memory", "memory.limit_in_bytes")).toBe("67108864");
  expect(read("cpu", "cpu.shares")).toBe("512");
  expect(read("cpu", "cpu.cfs_period_us")).toBe("50000");
  expect(read("cpu", "cpu.cfs_quota_us")).toBe("25000");
  expect(read("pids", "pids.max")).toBe("20");
  expect(read("cpuset", "cpuset.cpus")).toBe("0");
  await runtime.remove(bundle);
});

test("update by a file, and by standard input", async () => {
  const bundle = await runtime.running();
  const { pid } = await runtime.state(bundle.id);
  const limit = (): string => readFileSync(join(cgroupDirectory(pid, "memory"), "memory.limit_in_bytes"), "utf8").trim();
  const file = join(runtime.base, "resources.json");
  writeFileSync(file, JSON.stringify({ memory: { limit: 33_554_432 } }));
  await runtime.ok(["update", "--resources", file, bundle.id]);
  expect(limit()).toBe("33554432");
  await runtime.ok(["update", "--resources", "-", bundle.id], { stdin: JSON.stringify({ memory: { limit: 50_331_648 } }) });
  expect(limit()).toBe("50331648");
  // What is not named stays.
  await runtime.ok(["update", "--pids-limit", "9", bundle.id]);
  expect(limit()).toBe("50331648");
  await runtime.remove(bundle);
});

test.each([[["--memory", "nonsense"]], [["--cpuset-cpus", "4096"]], [["--resources", "/nowhere"]]])(
  "update with %p is refused and the container lives",
  async (options) => {
    const bundle = await runtime.running();
    const { code, stderr } = await runtime.call(["update", ...options, bundle.id]);
    expect(code).toBe(1);
    expect(stderr).not.toBe("");
    expect((await runtime.state(bundle.id)).status).toBe("running");
    await runtime.remove(bundle);
  },
);

test("events --stats is what the meters say", async () => {
  const bundle = await runtime.running(["sh", "-c", "sleep 1000 & sleep 1000"], (spec) => {
    spec.linux!.resources!.pids = { limit: 33 };
    spec.linux!.resources!.memory = { limit: 67_108_864 };
  });
  const { stdout } = await runtime.ok(["events", "--stats", bundle.id]);
  const event = JSON.parse(stdout);
  expect(event).toMatchObject({ type: "stats", id: bundle.id });
  expect(event.data.pids.limit).toBe(33);
  expect(event.data.pids.current).toBeGreaterThanOrEqual(2);
  expect(event.data.memory.usage.limit).toBe(67_108_864);
  expect(event.data.memory.usage.usage).toBeGreaterThan(0);
  expect(event.data.cpu.usage.total).toBeGreaterThan(0);
  await runtime.remove(bundle);
});

test("events reports statistics in its interval and ends when the container is deleted", async () => {
  const bundle = await runtime.running();
  const call = runtime.spawn(["events", "--interval", "100ms", bundle.id]);
  await until(() => call.stdout().split("\n").length > 3, "three events");
  await runtime.remove(bundle);
  expect((await call.done).code).toBe(0);
});

test("ps lists the container's processes, as the host numbers them", async () => {
  const bundle = await runtime.running(["sh", "-c", "sleep 1000 & sleep 1000 & wait"]);
  const { pid } = await runtime.state(bundle.id);
  const pids = async (): Promise<number[]> =>
    JSON.parse((await runtime.ok(["ps", "--format", "json", bundle.id])).stdout) as number[];
  let found = await pids();
  for (let tries = 0; found.length < 3 && tries < 100; tries++) found = await pids();
  expect(found).toContain(pid);
  expect(found.length).toBe(3);
  const table = (await runtime.ok(["ps", bundle.id])).stdout;
  expect(table.split("\n")[0]).toMatch(/PID/);
  for (const each of found) expect(table).toContain(String(each));
  expect((await runtime.ok(["ps", bundle.id, "-o", "pid,comm"])).stdout).toMatch(/sleep/);
  await runtime.remove(bundle);
});

test("list: a table, JSON, ids alone; also of containers that are broken or stopped", async () => {
  const own = new TestRuntime();
  expect((await own.ok(["list", "--quiet"])).stdout).toBe("");
  expect(JSON.parse((await own.ok(["list", "--format", "json"])).stdout || "null") ?? []).toEqual([]);
  const [running, created] = [await own.running(), await own.created(["true"])];
  expect((await own.ok(["list", "--quiet"])).stdout.trim().split("\n").toSorted()).toEqual([running.id, created.id].toSorted());
  const rows = JSON.parse((await own.ok(["list", "--format", "json"])).stdout) as Record<string, unknown>[];
  expect(rows.find(({ id }) => id === running.id)).toMatchObject({ status: "running", bundle: running.directory, owner: "root" });
  expect(Date.parse(String(rows[0]!.created))).toBeGreaterThan(Date.now() - 60_000);
  expect((await own.ok(["list"])).stdout).toMatch(
    new RegExp(`^ID +PID +STATUS +BUNDLE +CREATED +OWNER\\n(.*\\n)*${created.id} +\\d+ +created `),
  );
  expect((await own.call(["list", "--format", "nonsense"])).code).toBe(1);
  await own.close();
});

test("features is JSON that names what the specification wants named", async () => {
  const features = JSON.parse((await runtime.ok(["features"])).stdout);
  expect(features.ociVersionMin).toMatch(/^1\./);
  expect(features.ociVersionMax).toMatch(/^1\./);
  for (const hook of ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"])
    expect(features.hooks).toContain(hook);
  expect(features.mountOptions).toContain("ro");
  for (const type of ["mount", "pid", "user", "network", "ipc", "uts", "cgroup"])
    expect(features.linux.namespaces).toContain(type);
  expect(features.linux.capabilities).toContain("CAP_SYS_ADMIN");
  expect(features.linux.seccomp.enabled).toBe(true);
  expect(features.linux.seccomp.actions).toContain("SCMP_ACT_NOTIFY");
});

test("spec writes a config.json that runs, and never over another", async () => {
  const directory = join(runtime.base, "fresh");
  mkdirSync(directory);
  await runtime.ok(["spec", "--bundle", directory]);
  const spec = JSON.parse(readFileSync(join(directory, "config.json"), "utf8")) as Spec;
  expect(spec.process!.args).toEqual(["sh"]);
  expect((await runtime.call(["spec", "--bundle", directory])).code).toBe(1);
  Object.assign(spec.process!, {
    terminal: false,
    args: ["sh", "-c", "id -u; hostname; touch /x 2>/dev/null || echo read-only"],
  });
  const bundle = runtime.bundle(["true"]);
  Object.assign(bundle.spec, spec);
  bundle.write();
  expect((await runtime.call(["run", "--bundle", bundle.directory, bundle.id])).stdout).toMatch(/^0\n\S+\nread-only\n$/);
});

test("spec --rootless maps the caller's ids", async () => {
  const directory = join(runtime.base, "rootless");
  mkdirSync(directory);
  await runtime.ok(["spec", "--rootless", "--bundle", directory]);
  const spec = JSON.parse(readFileSync(join(directory, "config.json"), "utf8")) as Spec;
  expect(spec.linux!.namespaces!.map(({ type }) => type)).toContain("user");
  expect(spec.linux!.uidMappings).toEqual([{ containerID: 0, hostID: 0, size: 1 }]);
  expect(readdirSync(directory)).toEqual(["config.json"]);
});

test.each([[["--version"]], [["--help"]], [["help"]], [["create", "--help"]]])("%p prints and ends with 0", async (args) => {
  expect((await runtime.ok(args)).stdout).toMatch(/\w/);
});

test.each([[["nonsense"]], [["create"]], [["create", "--nonsense", "a"]], [["kill"]], [["--nonsense", "list"]]])(
  "%p is refused",
  async (args) => {
    const { code, stdout, stderr } = await runtime.call(args);
    expect(code).not.toBe(0);
    expect(stdout + stderr).not.toBe("");
  },
);
