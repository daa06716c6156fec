/** `linux.resources`: the limit is in the cgroup, and the kernel keeps it. cgroup v1 by its files, or v2 by its own. */
import { afterAll, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { LinuxResources } from "../../src/oci/spec.ts";
import { type Bundle, TestRuntime } from "../kit/bundle.ts";
import { cgroupDirectory } from "../kit/oci-remains.ts";
import type { Change } from "../kit/oci-spec.ts";
import { skipLoudly } from "../kit/skip.ts";

const runtime = new TestRuntime();
afterAll(() => runtime.close(), 60_000);

const v1 = existsSync("/sys/fs/cgroup/memory/memory.limit_in_bytes");
if (!v1) skipLoudly("limits by the files of cgroup v1: this machine has v2");

const limited =
  (resources: LinuxResources): Change =>
  (spec) => {
    Object.assign(spec.linux!.resources!, resources);
  };

/** A file of the container's cgroup; null where the kernel has no such file. */
async function read(bundle: Bundle, controller: string, file: string): Promise<string | null> {
  const { pid } = await runtime.state(bundle.id);
  const path = join(cgroupDirectory(pid, controller), file);
  return existsSync(path) ? readFileSync(path, "utf8").trim() : null;
}

const MIB = 1024 * 1024;
const limits: [string, LinuxResources, string, string, string][] = [
  ["memory", { memory: { limit: 64 * MIB } }, "memory", "memory.limit_in_bytes", String(64 * MIB)],
  ["soft memory", { memory: { reservation: 32 * MIB } }, "memory", "memory.soft_limit_in_bytes", String(32 * MIB)],
  ["swappiness", { memory: { swappiness: 7 } }, "memory", "memory.swappiness", "7"],
  ["processes", { pids: { limit: 17 } }, "pids", "pids.max", "17"],
  ["unlimited processes", { pids: { limit: -1 } }, "pids", "pids.max", "max"],
  ["shares", { cpu: { shares: 333 } }, "cpu", "cpu.shares", "333"],
  ["quota", { cpu: { quota: 40_000, period: 80_000 } }, "cpu", "cpu.cfs_quota_us", "40000"],
  ["period", { cpu: { quota: 40_000, period: 80_000 } }, "cpu", "cpu.cfs_period_us", "80000"],
  ["processors", { cpu: { cpus: "0" } }, "cpuset", "cpuset.cpus", "0"],
  ["memory nodes", { cpu: { mems: "0" } }, "cpuset", "cpuset.mems", "0"],
];

test.skipIf(!v1).each(limits)("%s", async (what, resources, controller, file, expected) => {
  const bundle = await runtime.running(["sleep", "1000"], limited(resources));
  const found = await read(bundle, controller, file);
  if (found === null) skipLoudly(`${what}: this kernel has no ${file}`);
  else expect(found).toBe(expected);
  await runtime.remove(bundle);
  await runtime.expectNothingLeft(bundle.id);
});

test("the process is in the cgroup asked for, in every hierarchy, before it runs", async () => {
  const bundle = runtime.bundle(["cat", "/proc/self/cgroup"]);
  const { stdout } = await runtime.call(["run", "--bundle", bundle.directory, bundle.id]);
  for (const line of stdout.trim().split("\n")) expect(line).toEndWith(`/${runtime.tag}/${bundle.id}`);
});

test("without a cgroupsPath it gets one of its own, which goes with it", async () => {
  const bundle = runtime.bundle(["cat", "/proc/self/cgroup"]);
  delete bundle.spec.linux!.cgroupsPath;
  bundle.write();
  const { stdout } = await runtime.call(["run", "--bundle", bundle.directory, bundle.id]);
  expect(stdout).toContain(bundle.id);
  await runtime.expectNothingLeft(bundle.id);
});

test("memory beyond the limit is not to be had", async () => {
  const { code } = await runtime.shell(
    "head -c 100m /dev/zero | tail -c 90m > /dev/null",
    limited({ memory: { limit: 16 * MIB } }),
  );
  expect(code).not.toBe(0);
});

test("processes beyond the limit are not to be had", async () => {
  const { stdout, stderr } = await runtime.shell(
    "for n in 1 2 3 4 5 6 7 8 9; do sleep 1 & done; wait; echo end",
    limited({ pids: { limit: 5 } }),
  );
  expect(stdout + stderr).toMatch(/can't fork|Resource temporarily unavailable/);
});

test("a quota of a tenth of a processor is kept", async () => {
  const { stdout } = await runtime.shell(
    "end=$(($(date +%s) + 2)); while [ $(date +%s) -lt $end ]; do :; done; cat /proc/self/stat /proc/1/stat | head -1 | cut -d ' ' -f 14-17",
    limited({ cpu: { quota: 10_000, period: 100_000 } }),
  );
  const ticks = stdout
    .trim()
    .split(" ")
    .map(Number)
    .reduce((sum, value) => sum + value, 0);
  // 2 s at a tenth are 20 ticks of a hundredth of a second; a whole processor would be some 200.
  expect(ticks).toBeLessThan(90);
});

test("devices are refused by default and allowed by rule, the last that fits decides", async () => {
  const rules: Change = (spec) => {
    spec.linux!.devices = [{ path: "/dev/loopctl", type: "c", fileMode: 0o666, major: 10, minor: 237 }];
    spec.linux!.resources!.devices = [
      { allow: false, access: "rwm" },
      { allow: true, type: "c", major: 10, minor: 237, access: "rw" },
      { allow: false, type: "c", major: 10, minor: 237, access: "w" },
    ];
  };
  const { stdout, stderr } = await runtime.shell(
    "(: < /dev/loopctl) 2>/dev/null; echo $?; (: > /dev/loopctl) 2>/dev/null; echo $?; echo x > /dev/null && echo null",
    rules,
  );
  expect({ stdout, stderr }).toEqual({ stdout: "0\n1\nnull\n", stderr: "" });
});

test("an out-of-memory kill is told by events", async () => {
  const bundle = await runtime.running(
    ["sh", "-c", "sleep 0.5; tail -c 90m /dev/zero & wait; sleep 1000"],
    limited({ memory: { limit: 16 * MIB } }),
  );
  const call = runtime.spawn(["events", "--interval", "60s", bundle.id]);
  for (let tries = 0; !call.stdout().includes("oom") && tries < 500; tries++) await Bun.sleep(10);
  expect(call.stdout()).toContain('"type":"oom"');
  await runtime.remove(bundle);
  await call.done;
});
