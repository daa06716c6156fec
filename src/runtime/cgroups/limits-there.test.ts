import { afterEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { limitsThere } from "./limits-there.ts";

const roots: string[] = [];
afterEach(() => {
  for (const root of roots.splice(0)) rmSync(root, { recursive: true });
});

/** A host with these mounts, and these files in its cgroups. */
function host(mounts: readonly string[], files: readonly string[], controllers = ""): string {
  const root = mkdtempSync(`${tmpdir()}/onggi-limits-`);
  roots.push(root);
  const lines = mounts.map((mount, index) => `${30 + index} 1 0:${index} / /sys/fs/cgroup${mount}`);
  for (const [path, text] of [
    ["/proc/self/mountinfo", lines.join("\n")],
    ["/sys/fs/cgroup/cgroup.controllers", controllers],
    ...files.map((file) => [`/sys/fs/cgroup/${file}`, ""]),
  ] as [string, string][]) {
    mkdirSync(`${root}${path}`.replace(/\/[^/]*$/, ""), { recursive: true });
    writeFileSync(root + path, text);
  }
  return root;
}

const none = {
  ...{ memory: false, swap: false, memorySwappiness: false, cpuShares: false, cpuPeriod: false, cpuQuota: false },
  ...{ cpuRealtime: false, cpuset: false, pids: false, oomKillDisable: false },
};
const V2 = [" rw - cgroup2 cgroup2 rw"];

test("v2: by the controllers, and by the files of a group below the root", () => {
  expect(limitsThere(host(V2, []))).toEqual(none);
  const all = host(
    V2,
    ["a/cgroup.procs", "b/memory.max", "b/memory.swap.max", "b/cpu.weight", "b/cpu.max"],
    "cpu memory pids cpuset",
  );
  const there = { memory: true, swap: true, cpuShares: true, cpuPeriod: true, cpuQuota: true, cpuset: true, pids: true };
  expect(limitsThere(all)).toEqual({ ...none, ...there });
  expect(limitsThere(host(V2, ["b/memory.max"], "memory"))).toEqual({ ...none, memory: true });
});

test("v1: by the files of its hierarchies", () => {
  const mounts = [
    "/memory rw - cgroup cgroup rw,memory",
    "/cpu rw - cgroup cgroup rw,cpu,cpuacct",
    "/pids rw - cgroup cgroup rw,pids",
  ];
  const memory = ["memory.limit_in_bytes", "memory.oom_control", "memory.swappiness"].map((file) => `memory/${file}`);
  const there = { memory: true, memorySwappiness: true, oomKillDisable: true, cpuShares: true, pids: true };
  expect(limitsThere(host(mounts, [...memory, "cpu/cpu.shares"]))).toEqual({ ...none, ...there });
  expect(limitsThere(host(mounts, ["cpu/cpu.rt_runtime_us"])).cpuRealtime).toBe(true);
  expect(limitsThere(host(mounts, [...memory, "cpu/cpu.shares"]))).toEqual({ ...none, ...there });
});
