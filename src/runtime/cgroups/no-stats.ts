/** Meters that all stand at zero. Pure. */
import type { CgroupDetail, CgroupStats, MemoryEntry } from "./types.ts";

export const noStats = (): CgroupStats => ({
  cpu: { usageNs: 0, userNs: 0, systemNs: 0, periods: 0, throttledPeriods: 0, throttledNs: 0 },
  memory: {
    usageBytes: 0,
    limitBytes: 0,
    cacheBytes: 0,
    inactiveFileBytes: 0,
    maxUsageBytes: 0,
    swapBytes: 0,
    failures: 0,
    oomKills: 0,
  },
  pids: { current: 0, limit: 0 },
  io: { readBytes: 0, writeBytes: 0, readOps: 0, writeOps: 0 },
  hugetlb: {},
});

const noMemory = (): MemoryEntry => ({ limit: 0, usage: 0, max: 0, failures: 0 });

export const noDetail = (): CgroupDetail => ({
  perCpu: { totalNs: [], kernelNs: [], userNs: [] },
  cpuset: {},
  memory: { usage: noMemory(), swap: noMemory(), kernel: noMemory(), kernelTCP: noMemory(), raw: {} },
  io: {},
});
