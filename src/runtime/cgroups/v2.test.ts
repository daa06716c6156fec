/** What the v2 manager writes, on a directory tree that looks like cgroup2; the kernel's part is in test/cgroups.test.ts. */
import { afterEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import type { LinuxResources } from "../../oci/spec.ts";
import { openCgroups } from "./index.ts";
import type { CgroupManager } from "./types.ts";

const FILES = `cgroup.procs cgroup.freeze cgroup.kill cpu.weight cpu.max cpu.max.burst cpu.idle cpuset.cpus cpuset.mems memory.max
  memory.low memory.high memory.swap.max pids.max io.weight io.max hugetlb.2MB.max hugetlb.2MB.rsvd.max`.split(/\s+/);
const CONTROLLERS = "cpuset cpu io memory hugetlb pids";
let root = "";

/** The tree with the group /a/c in it, every file empty. */
function tree(controllers = CONTROLLERS): { cgroups: CgroupManager; written: () => Record<string, string> } {
  root = mkdtempSync(`${tmpdir()}/onggi-v2-`);
  const at = `${root}/sys/fs/cgroup`;
  mkdirSync(`${root}/proc/self`, { recursive: true });
  mkdirSync(`${at}/a/c`, { recursive: true });
  mkdirSync(`${root}/sys/kernel/mm/hugepages/hugepages-2048kB`, { recursive: true });
  writeFileSync(`${root}/proc/self/mountinfo`, "30 1 0:1 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
  for (const directory of [at, `${at}/a`]) {
    writeFileSync(`${directory}/cgroup.controllers`, `${controllers}\n`);
    writeFileSync(`${directory}/cgroup.subtree_control`, "");
  }
  for (const file of FILES) writeFileSync(`${at}/a/c/${file}`, "");
  const written = (): Record<string, string> => {
    const read = FILES.map((file): [string, string] => [file, readFileSync(`${at}/a/c/${file}`, "utf8")]);
    return Object.fromEntries(read.filter(([, value]) => value !== ""));
  };
  return { cgroups: openCgroups({ root }), written };
}

const put = (file: string, text: string): void => writeFileSync(`${root}/sys/fs/cgroup/a/c/${file}`, text);
const control = (group: string): string => readFileSync(`${root}/sys/fs/cgroup/${group}cgroup.subtree_control`, "utf8");

afterEach(() => rmSync(root, { recursive: true, force: true }));

describe("create", () => {
  test("hands the controllers down and writes each limit to its file", () => {
    const { cgroups, written } = tree();
    const resources: LinuxResources = {
      cpu: { shares: 1024, quota: 50_000, period: 100_000, burst: 10, idle: 0, cpus: "0-1", mems: "0" },
      memory: { limit: 1 << 20, swap: 3 << 20, reservation: 4096 },
      pids: { limit: 9 },
      blockIO: { weight: 500, throttleReadBpsDevice: [{ major: 8, minor: 0, rate: 7 }] },
      hugepageLimits: [{ pageSize: "2MB", limit: -1 }],
      unified: { "memory.high": "4095" },
    };
    const join = cgroups.create("/a/c", resources);
    const directory = `${root}/sys/fs/cgroup/a/c`;
    expect(join).toEqual({ cloneInto: directory, tasks: [], oom: `${directory}/memory.events` });
    const all = "+cpuset +cpu +io +memory +hugetlb +pids";
    expect([control(""), control("a/")]).toEqual([all, all]);
    expect(written()).toEqual({
      "cpu.weight": "100",
      "cpu.max": "50000 100000",
      "cpu.max.burst": "10",
      "cpu.idle": "0",
      "cpuset.cpus": "0-1",
      "cpuset.mems": "0",
      "memory.max": "1048576",
      "memory.low": "4096",
      "memory.high": "4095",
      "memory.swap.max": "2097152",
      "pids.max": "9",
      "io.weight": "default 4950",
      "io.max": "8:0 rbps=7",
      "hugetlb.2MB.max": "max",
      "hugetlb.2MB.rsvd.max": "max",
    });
  });

  test("what it would write is told, and not written", () => {
    const { cgroups, written } = tree();
    const blockIO = { throttleReadBpsDevice: [{ major: 8, minor: 0, rate: 7 }] };
    const file = `${root}/sys/fs/cgroup/a/c/io.max`;
    expect(cgroups.limits("/a/c", { blockIO })).toEqual([{ file, value: "8:0 rbps=7", limit: "blockIO.throttleReadBpsDevice" }]);
    expect([written(), control("")]).toEqual([{}, ""]);
    expect(() => cgroups.limits("/a/c", { rdma: { x: {} } })).toThrow("needs the rdma controller");
  });

  test("what is enabled already is not enabled again", () => {
    const { cgroups } = tree();
    writeFileSync(`${root}/sys/fs/cgroup/cgroup.subtree_control`, "cpuset cpu io memory hugetlb pids\n");
    writeFileSync(`${root}/sys/fs/cgroup/a/cgroup.subtree_control`, "cpu memory\n");
    cgroups.create("/a/c", {});
    expect(control("")).toBe("cpuset cpu io memory hugetlb pids\n");
    expect(control("a/")).toBe("+cpuset +io +hugetlb +pids");
  });

  test("a controller the tree does not have", () => {
    const { cgroups, written } = tree("cpu");
    expect(() => cgroups.create("/a/c", { memory: { limit: 5 } })).toThrow(/memory.limit = "5" needs the memory controller/);
    expect(written()).toEqual({});
    expect(cgroups.join("/a/c").oom).toBeNull();
  });

  test("a controller that is lost on the way is named with the group that does not have it", () => {
    const { cgroups } = tree();
    writeFileSync(`${root}/sys/fs/cgroup/a/cgroup.controllers`, "cpu\n");
    expect(() => cgroups.create("/a/c", { memory: { limit: 5 } })).toThrow(
      /the memory controller cannot be handed to the groups below .*\/a: /,
    );
  });

  test("a file the kernel does not have names limit, value and file, and what was made is gone", () => {
    const { cgroups } = tree();
    writeFileSync(`${root}/sys/fs/cgroup/a/cgroup.subtree_control`, CONTROLLERS);
    expect(() => cgroups.create("/a/new", { pids: { limit: 5 } })).toThrow(
      /limit pids.limit = "5": this kernel has no .*\/a\/new\/pids.max/,
    );
    expect(() => cgroups.create("/a/new", { blockIO: { weight: 500 } })).toThrow(
      /limit blockIO.weight = "500": this kernel has no .*io.bfq.weight and no io.weight/,
    );
    expect(cgroups.children("/a")).toEqual(["/a/c"]);
  });
});

test("update with checkBeforeUpdate compares with what is in use", () => {
  const { cgroups, written } = tree();
  put("memory.current", "5000\n");
  expect(() => cgroups.update("/a/c", { memory: { limit: 4096, checkBeforeUpdate: true } }, console.error)).toThrow(
    /5000 bytes are in use/,
  );
  cgroups.update("/a/c", { memory: { limit: 8192, checkBeforeUpdate: true } }, console.error);
  expect(written()).toEqual({ "memory.max": "8192" });
});

test("an update that is refused is put back, each device's line for itself; what cannot be is told", () => {
  const { cgroups, written } = tree();
  const there = { "memory.max": "1048576\n", "io.max": "8:0 rbps=9 wbps=max riops=max wiops=max\n", "cpuset.cpus": "0-1\n" };
  for (const [file, text] of Object.entries(there)) put(file, text);
  const throttleReadBpsDevice = [{ major: 8, minor: 0, rate: 7 }];
  const told: string[] = [];
  const resources = { cpu: { cpus: "0,1" }, memory: { limit: 2097152 }, blockIO: { throttleReadBpsDevice } };
  const unified = { "misc.max": "x 5", "memory.none": "1" };
  writeFileSync(`${root}/sys/fs/cgroup/cgroup.controllers`, `${CONTROLLERS} misc\n`);
  const update = (more: LinuxResources): void =>
    openCgroups({ root }).update("/a/c", { ...resources, ...more }, (message) => told.push(message));
  expect(() => update({ unified: { "memory.none": "1" } })).toThrow(/^limit unified\[memory.none\] = "1"/);
  expect([written(), told]).toEqual([there, []]);
  put("misc.max", "y 6\n");
  expect(() => cgroups && update({ unified })).toThrow(/^limit unified\[memory.none\] = "1"/);
  expect(told).toEqual([expect.stringMatching(/left in part: .*misc.max cannot be put back/)]);
});

test("freeze and thaw wait for cgroup.events", async () => {
  const { cgroups, written } = tree();
  put("cgroup.events", "populated 1\nfrozen 0\n");
  const frozen = cgroups.freeze("/a/c", true);
  await Bun.sleep(5);
  expect(written()).toEqual({ "cgroup.freeze": "1" });
  put("cgroup.events", "populated 1\nfrozen 1\n");
  await frozen;
  put("cgroup.events", "populated 1\nfrozen 0\n");
  await cgroups.freeze("/a/c", false);
  expect(written()).toEqual({ "cgroup.freeze": "0" });
});

test("whether it is frozen, and whether somebody lives there", () => {
  const { cgroups } = tree();
  expect([cgroups.isFrozen("/a/c"), cgroups.occupied("/a/c"), cgroups.isFrozen("/a/x"), cgroups.occupied("/a/x")]).toEqual(
    Array.from({ length: 4 }, () => false),
  );
  put("cgroup.events", "populated 1\nfrozen 1\n");
  expect([cgroups.isFrozen("/a/c"), cgroups.occupied("/a/c")]).toEqual([true, true]);
});

test("memory in detail: with swap, as v1 counts it, and in full", () => {
  const { cgroups } = tree();
  const memory = () => cgroups.stats("/a/c", { detail: true }).detail?.memory;
  put("memory.current", "100\n");
  put("memory.swap.current", "8\n");
  put("memory.max", "4096\n");
  put("memory.swap.max", "1000\n");
  put("memory.stat", "anon 1\nbig 9223372036854771712\n");
  expect(memory()).toMatchObject({
    usage: { limit: 4096, usage: 100 },
    swap: { limit: 5096, usage: 108 },
    raw: { anon: 1, big: 9223372036854771712n },
  });
  put("memory.swap.max", "max\n");
  expect(memory()?.swap.limit).toBe(2n ** 64n - 1n);
  expect(cgroups.stats("/a/c").detail).toBeUndefined();
});

test("kill writes cgroup.kill; statistics are read with their units", async () => {
  const { cgroups, written } = tree();
  await cgroups.kill("/a/c");
  expect(written()).toEqual({ "cgroup.kill": "1" });
  put("cpu.stat", "usage_usec 5\nuser_usec 3\nsystem_usec 2\nnr_periods 7\nnr_throttled 1\nthrottled_usec 4\n");
  put("memory.current", "100\n");
  put("memory.max", "max\n");
  put("memory.peak", "120\n");
  put("memory.stat", "anon 1\nfile 40\ninactive_file 30\n");
  put("memory.swap.current", "8\n");
  put("memory.events", "low 0\nmax 6\noom 2\noom_kill 1\n");
  put("pids.current", "3\n");
  put("pids.max", "9\n");
  put("io.stat", "8:0 rbytes=1 wbytes=2 rios=3 wios=4\n");
  put("hugetlb.2MB.current", "2097152\n");
  put("hugetlb.2MB.events", "max 5\n");
  expect(cgroups.stats("/a/c")).toEqual({
    cpu: { usageNs: 5000, userNs: 3000, systemNs: 2000, periods: 7, throttledPeriods: 1, throttledNs: 4000 },
    memory: {
      usageBytes: 100,
      limitBytes: 0,
      cacheBytes: 40,
      inactiveFileBytes: 30,
      maxUsageBytes: 120,
      swapBytes: 8,
      failures: 6,
      oomKills: 1,
    },
    pids: { current: 3, limit: 9 },
    io: { readBytes: 1, writeBytes: 2, readOps: 3, writeOps: 4 },
    hugetlb: { "2MB": { usageBytes: 2097152, maxUsageBytes: 2097152, failures: 5 } },
  });
  expect(() => cgroups.stats("/a/none")).toThrow(/cgroup \/a\/none: .* does not exist/);
});
