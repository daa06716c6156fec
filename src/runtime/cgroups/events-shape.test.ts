import { expect, test } from "bun:test";
import { numbersOf, statsForEvents } from "./events-shape.ts";
import { noStats } from "./no-stats.ts";
import { exact, parseBlkio, parseIoStat } from "./stats-detail.ts";

test("what is 0 or empty is there or not as in runc", () => {
  expect(JSON.stringify(statsForEvents(noStats()))).toBe(
    '{"cpu":{"usage":{"kernel":0,"user":0},"throttling":{}},' +
      '"cpuset":{"cpu_exclusive":0,"mem_hardwall":0,"mem_exclusive":0,"memory_migrate":0,"memory_spread_page":0,' +
      '"memory_spread_slab":0,"memory_pressure":0,"sched_load_balance":0,"sched_relax_domain_level":0},' +
      '"memory":{"usage":{"limit":0,"failcnt":0},"swap":{"limit":0,"failcnt":0},"kernel":{"limit":0,"failcnt":0},' +
      '"kernelTCP":{"limit":0,"failcnt":0}},' +
      '"pids":{},"blkio":{},"hugetlb":{},"intel_rdt":{},"network_interfaces":null}',
  );
});

test("what runc prints of a container on v1", () => {
  const unlimited = 9223372036854771712n;
  const stats = {
    ...noStats(),
    cpu: { usageNs: 12905735, userNs: 10000000, systemNs: 0, periods: 7, throttledPeriods: 2, throttledNs: 99 },
    pids: { current: 1, limit: 100 },
    hugetlb: { "2MB": { usageBytes: 0, maxUsageBytes: 2097152, failures: 3 } },
    detail: {
      perCpu: { totalNs: [11067305, 1838430], kernelNs: [0, 0], userNs: [8000000, 0] },
      cpuset: { cpus: "0-1", mems: "0", sched_load_balance: "1", sched_relax_domain_level: "-1" },
      memory: {
        usage: { limit: 67108864, usage: 815104, max: 2510848, failures: 4 },
        swap: { limit: unlimited, usage: 815104, max: 2510848, failures: 0 },
        kernel: { limit: unlimited, usage: 475136, max: 610304, failures: 0 },
        kernelTCP: { limit: unlimited, usage: 0, max: 0, failures: 0 },
        raw: { cache: 0, hierarchical_memsw_limit: unlimited },
      },
      io: { ioServiceBytesRecursive: parseBlkio("8:0 Read 4096\n8:0 Write 0\nTotal 4096\n"), ioQueueRecursive: [] },
    },
  };
  stats.memory = { ...stats.memory, cacheBytes: 5 };
  expect(JSON.stringify(statsForEvents(stats))).toBe(
    '{"cpu":{"usage":{"total":12905735,"percpu":[11067305,1838430],"percpu_kernel":[0,0],"percpu_user":[8000000,0],' +
      '"kernel":0,"user":10000000},"throttling":{"periods":7,"throttledPeriods":2,"throttledTime":99}},' +
      '"cpuset":{"cpus":[0,1],"cpu_exclusive":0,"mems":[0],"mem_hardwall":0,"mem_exclusive":0,"memory_migrate":0,' +
      '"memory_spread_page":0,"memory_spread_slab":0,"memory_pressure":0,"sched_load_balance":1,"sched_relax_domain_level":-1},' +
      '"memory":{"cache":5,"usage":{"limit":67108864,"usage":815104,"max":2510848,"failcnt":4},' +
      '"swap":{"limit":9223372036854771712,"usage":815104,"max":2510848,"failcnt":0},' +
      '"kernel":{"limit":9223372036854771712,"usage":475136,"max":610304,"failcnt":0},' +
      '"kernelTCP":{"limit":9223372036854771712,"failcnt":0},' +
      '"raw":{"cache":0,"hierarchical_memsw_limit":9223372036854771712}},' +
      '"pids":{"current":1,"limit":100},' +
      '"blkio":{"ioServiceBytesRecursive":[{"major":8,"op":"Read","value":4096},{"major":8,"op":"Write"}]},' +
      '"hugetlb":{"2MB":{"max":2097152,"failcnt":3}},"intel_rdt":{},"network_interfaces":null}',
  );
});

test("io.stat under the names of v1", () => {
  expect(parseIoStat("8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n8:16 \n")).toEqual({
    ioServiceBytesRecursive: [
      { major: 8, minor: 0, op: "Read", value: 1 },
      { major: 8, minor: 0, op: "Write", value: 2 },
    ],
    ioServicedRecursive: [
      { major: 8, minor: 0, op: "Read", value: 3 },
      { major: 8, minor: 0, op: "Write", value: 4 },
    ],
  });
});

test("numbers and lists", () => {
  expect([exact("12"), exact("max"), exact("9223372036854771712"), exact("x")]).toEqual([
    12,
    2n ** 64n - 1n,
    9223372036854771712n,
    0,
  ]);
  expect([numbersOf("0-2,7"), numbersOf(""), numbersOf("3")]).toEqual([[0, 1, 2, 7], [], [3]]);
});
