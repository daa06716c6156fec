import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import type { LinuxResources } from "../../oci/spec.ts";
import { apply } from "./apply.ts";
import type { LimitWrite } from "./limits.ts";
import { limitsV1 } from "./limits-v1.ts";
import { ioWeightOf, limitsV2, weightOfShares } from "./limits-v2.ts";

const lines = (writes: LimitWrite[]): string[] => writes.map(({ file, value }) => `${file} = ${value}`);
const v1 = (resources: LinuxResources, fresh = true, memoryLimit: number | null = null): string[] =>
  lines(limitsV1(resources, { fresh, memoryLimit }));
const v2 = (resources: LinuxResources, fresh = true): string[] => lines(limitsV2(resources, { fresh }));

const everything: LinuxResources = {
  cpu: { shares: 512, quota: 50_000, period: 100_000, burst: 1000, cpus: "0-1", mems: "0" },
  memory: { limit: 1000, swap: 3000, reservation: 500 },
  pids: { limit: 10 },
  blockIO: {
    weight: 500,
    weightDevice: [{ major: 8, minor: 0, weight: 10 }],
    throttleReadBpsDevice: [{ major: 8, minor: 0, rate: 1 }],
    throttleWriteBpsDevice: [{ major: 8, minor: 0, rate: 2 }],
    throttleReadIOPSDevice: [{ major: 8, minor: 0, rate: 3 }],
    throttleWriteIOPSDevice: [{ major: 8, minor: 0, rate: 4 }],
  },
  hugepageLimits: [{ pageSize: "2MB", limit: 4096 }],
  rdma: { mlx5_0: { hcaHandles: 2, hcaObjects: 2000 } },
};

describe("v1", () => {
  test("every limit, in order", () => {
    const network = { classID: 0x10001, priorities: [{ name: "eth0", priority: 5 }] };
    const devices = [
      { allow: false, access: "rwm" },
      { allow: true, type: "c" as const, major: 1, minor: 3, access: "rw" },
    ];
    expect(v1({ ...everything, network, devices })).toEqual([
      "cpuset.cpus = 0-1",
      "cpuset.mems = 0",
      "memory.limit_in_bytes = 1000",
      "memory.memsw.limit_in_bytes = 3000",
      "memory.soft_limit_in_bytes = 500",
      "cpu.shares = 512",
      "cpu.cfs_period_us = 100000",
      "cpu.cfs_burst_us = 1000",
      "cpu.cfs_quota_us = 50000",
      "pids.max = 10",
      "blkio.bfq.weight = 500",
      "blkio.bfq.weight_device = 8:0 10",
      "blkio.throttle.read_bps_device = 8:0 1",
      "blkio.throttle.write_bps_device = 8:0 2",
      "blkio.throttle.read_iops_device = 8:0 3",
      "blkio.throttle.write_iops_device = 8:0 4",
      "hugetlb.2MB.limit_in_bytes = 4096",
      "hugetlb.2MB.rsvd.limit_in_bytes = 4096",
      "devices.deny = a *:* rwm",
      "devices.allow = c 1:3 rw",
      "net_cls.classid = 65537",
      "net_prio.ifpriomap = eth0 5",
      "rdma.max = mlx5_0 hca_handle=2 hca_object=2000",
    ]);
  });

  test("what is not asked for, or is the default of a new group, is not written", () => {
    expect(v1({})).toEqual([]);
    const unlimited = { memory: { limit: -1, swap: -1 }, pids: { limit: -1 }, cpu: { quota: -1, shares: 0, idle: 0, burst: 0 } };
    expect(v1(unlimited)).toEqual([]);
    expect(v1(unlimited, false)).toEqual([
      "memory.memsw.limit_in_bytes = -1",
      "memory.limit_in_bytes = -1",
      "cpu.idle = 0",
      "cpu.cfs_burst_us = 0",
      "cpu.cfs_quota_us = -1",
      "pids.max = max",
    ]);
  });

  test("memory and swap of a living group: what must be larger first", () => {
    const grow = ["memory.memsw.limit_in_bytes = 400", "memory.limit_in_bytes = 200"];
    expect(v1({ memory: { limit: 200, swap: 400 } }, false, 100)).toEqual(grow);
    expect(v1({ memory: { limit: 200, swap: 400 } }, false, 1000)).toEqual([...grow].reverse());
    expect(v1({ memory: { limit: 200, swap: 400 } }, false, null)).toEqual([...grow].reverse());
  });

  test("unlimited memory means unlimited swap", () => {
    expect(v1({ memory: { limit: -1 } }, false)).toEqual(["memory.memsw.limit_in_bytes = -1", "memory.limit_in_bytes = -1"]);
  });

  test("the rest of memory", () => {
    const memory = { kernel: 1, kernelTCP: 2, swappiness: 0, disableOOMKiller: true };
    expect(v1({ memory })).toEqual([
      "memory.kmem.limit_in_bytes = 1",
      "memory.kmem.tcp.limit_in_bytes = 2",
      "memory.swappiness = 0",
      "memory.oom_control = 1",
    ]);
    expect(v1({ memory: { swappiness: -1, disableOOMKiller: false } })).toEqual([]);
  });

  test("a limit of kernel memory that is taken without effect is an error", () => {
    const directory = mkdtempSync(join(tmpdir(), "onggi-limits-"));
    const writes = limitsV1({ memory: { kernel: 8192 } }, { fresh: true, memoryLimit: null });
    try {
      // a plain file keeps what follows the four digits, so the value stays as large as the kernel's "unlimited"
      writeFileSync(join(directory, "memory.kmem.limit_in_bytes"), "9223372036854771712\n");
      expect(() => apply(writes, () => directory)).toThrow(/memory.kernel = "8192": this kernel takes it, but without effect/);
      writeFileSync(join(directory, "memory.kmem.limit_in_bytes"), "");
      apply(writes, () => directory);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  test("an idle group takes no shares; one that wakes takes them after", () => {
    expect(v1({ cpu: { idle: 1, shares: 512 } })).toEqual(["cpu.idle = 1"]);
    expect(v1({ cpu: { idle: 0, shares: 512 } }, false)).toEqual(["cpu.idle = 0", "cpu.shares = 512"]);
  });

  test("unified is refused by name", () => {
    expect(() => v1({ unified: { "memory.high": "1" } })).toThrow(/unified\[memory.high\] = "1": cgroup v1 does not have it/);
  });
});

describe("v2", () => {
  test("every limit, in order", () => {
    expect(v2({ ...everything, unified: { "memory.high": "900", "io.max": "8:0 rbps=1\n8:16 rbps=2\n" } })).toEqual([
      "cpuset.cpus = 0-1",
      "cpuset.mems = 0",
      "memory.swap.max = 2000",
      "memory.low = 500",
      "memory.max = 1000",
      "cpu.weight = 59",
      "cpu.max.burst = 1000",
      "cpu.max = 50000 100000",
      "pids.max = 10",
      "io.bfq.weight = 500",
      "io.bfq.weight = 8:0 10",
      "io.max = 8:0 rbps=1",
      "io.max = 8:0 wbps=2",
      "io.max = 8:0 riops=3",
      "io.max = 8:0 wiops=4",
      "hugetlb.2MB.max = 4096",
      "hugetlb.2MB.rsvd.max = 4096",
      "rdma.max = mlx5_0 hca_handle=2 hca_object=2000",
      "memory.high = 900",
      "io.max = 8:0 rbps=1",
      "io.max = 8:16 rbps=2",
    ]);
  });

  test("cpu.max: each of quota and period alone", () => {
    expect(v2({ cpu: { quota: 5000 } })).toEqual(["cpu.max = 5000 100000"]);
    expect(v2({ cpu: { period: 5000 } })).toEqual(["cpu.max = max 5000"]);
    expect(v2({ cpu: { quota: -1 } })).toEqual([]);
    expect(v2({ cpu: { quota: -1 } }, false)).toEqual(["cpu.max = max"]);
    expect(v2({ cpu: { quota: -1, period: 5000 } }, false)).toEqual(["cpu.max = max 5000"]);
  });

  test("shares as weight: both ends and the default are exact, and it grows", () => {
    expect([1, 2, 1024, 262144, 10 ** 9].map(weightOfShares)).toEqual([1, 1, 100, 10000, 10000]);
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 262143 }), (shares) => {
        const weight = weightOfShares(shares);
        return weight >= 1 && weight <= 10000 && Number.isInteger(weight) && weightOfShares(shares + 1) >= weight;
      }),
    );
  });

  test("blkio weight as io.weight", () => {
    expect([10, 500, 1000].map(ioWeightOf)).toEqual([1, 4950, 10000]);
  });

  test("swap is what is left of memory and swap", () => {
    expect(v2({ memory: { limit: 1000, swap: 1000 } })).toEqual(["memory.swap.max = 0", "memory.max = 1000"]);
    expect(v2({ memory: { limit: 1000, swap: -1 } }, false)).toEqual(["memory.swap.max = max", "memory.max = 1000"]);
    expect(v2({ memory: { limit: -1 } }, false)).toEqual(["memory.swap.max = max", "memory.max = max"]);
    expect(() => v2({ memory: { swap: 5 } })).toThrow(/memory.limit, which must be given/);
    expect(() => v2({ memory: { limit: 10, swap: 5 } })).toThrow(/at least memory.limit \(10\)/);
  });

  test.each([
    [{ memory: { kernel: 5 } }, /memory.kernel = 5/],
    [{ memory: { kernelTCP: 5 } }, /memory.kernelTCP = 5/],
    [{ memory: { swappiness: 60 } }, /memory.swappiness = 60/],
    [{ memory: { disableOOMKiller: true } }, /memory.disableOOMKiller = true/],
    [{ cpu: { realtimeRuntime: 5 } }, /cpu.realtimeRuntime = 5/],
    [{ blockIO: { leafWeight: 5 } }, /blockIO.leafWeight = 5/],
    [{ network: { classID: 5 } }, /network.classID = 5/],
    [{ unified: { "../memory.max": "5" } }, /unified/],
    [{ unified: { "cgroup.procs": "1" } }, /it is no limit/],
    [{ hugepageLimits: [{ pageSize: "2MB/..", limit: 1 }] }, /pageSize/],
    [{ pids: { limit: 1.5 } }, /pids.limit = 1.5: an integer is needed/],
    [{ rdma: { "a b": {} } }, /one word/],
  ] as [LinuxResources, RegExp][])("%j is refused", (resources, message) => {
    expect(() => v2(resources)).toThrow(message);
  });
});
