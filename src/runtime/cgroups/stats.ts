/** Usage of a group, read from v1 or v2 files into one shape. A file that is missing counts as 0; "max" as 0, no limit. */
import { readNumber, readPairs, tryReadText } from "./files.ts";
import type { CgroupStats } from "./types.ts";

/** Above this a v1 limit means none: the kernel shows the largest page-aligned number. */
const UNLIMITED = 2 ** 62;

const number = (path: string): number => readNumber(path) ?? 0;

/** Fills `stats` with what the v1 hierarchies know; `directoryOf` is null for a controller that is not there. */
export function readV1(
  stats: CgroupStats,
  directoryOf: (controller: string) => string | null,
  pageSizes: () => readonly string[],
): void {
  const cpuacct = directoryOf("cpuacct");
  if (cpuacct) {
    stats.cpu.usageNs = number(`${cpuacct}/cpuacct.usage`);
    stats.cpu.userNs = number(`${cpuacct}/cpuacct.usage_user`);
    stats.cpu.systemNs = number(`${cpuacct}/cpuacct.usage_sys`);
  }
  const cpu = directoryOf("cpu");
  if (cpu) {
    const pairs = readPairs(`${cpu}/cpu.stat`);
    stats.cpu.periods = pairs.get("nr_periods") ?? 0;
    stats.cpu.throttledPeriods = pairs.get("nr_throttled") ?? 0;
    stats.cpu.throttledNs = pairs.get("throttled_time") ?? 0;
  }
  const memory = directoryOf("memory");
  if (memory) readMemoryV1(stats, memory);
  const pids = directoryOf("pids");
  if (pids) stats.pids = { current: number(`${pids}/pids.current`), limit: number(`${pids}/pids.max`) };
  const blkio = directoryOf("blkio");
  if (blkio) {
    const bytes = readBlkio(blkio, "io_service_bytes");
    const operations = readBlkio(blkio, "io_serviced");
    stats.io = { readBytes: bytes.read, writeBytes: bytes.write, readOps: operations.read, writeOps: operations.write };
  }
  const hugetlb = directoryOf("hugetlb");
  if (!hugetlb) return;
  for (const size of pageSizes()) {
    stats.hugetlb[size] = {
      usageBytes: number(`${hugetlb}/hugetlb.${size}.usage_in_bytes`),
      maxUsageBytes: number(`${hugetlb}/hugetlb.${size}.max_usage_in_bytes`),
      failures: number(`${hugetlb}/hugetlb.${size}.failcnt`),
    };
  }
}

function readMemoryV1(stats: CgroupStats, directory: string): void {
  const pairs = readPairs(`${directory}/memory.stat`);
  const usageBytes = number(`${directory}/memory.usage_in_bytes`);
  const limit = number(`${directory}/memory.limit_in_bytes`);
  stats.memory = {
    usageBytes,
    limitBytes: limit > UNLIMITED ? 0 : limit,
    cacheBytes: pairs.get("total_cache") ?? pairs.get("cache") ?? 0,
    inactiveFileBytes: pairs.get("total_inactive_file") ?? pairs.get("inactive_file") ?? 0,
    maxUsageBytes: number(`${directory}/memory.max_usage_in_bytes`),
    swapBytes: pairs.get("total_swap") ?? pairs.get("swap") ?? 0,
    failures: number(`${directory}/memory.failcnt`),
    oomKills: readPairs(`${directory}/memory.oom_control`).get("oom_kill") ?? 0,
  };
}

/** Sums "8:0 Read 4096" over devices, from the first of the kernel's counters that counts anything. */
function readBlkio(directory: string, counter: string): { read: number; write: number } {
  for (const file of [`blkio.throttle.${counter}_recursive`, `blkio.bfq.${counter}_recursive`, `blkio.throttle.${counter}`]) {
    const sum = sumBlkio(tryReadText(`${directory}/${file}`) ?? "");
    if (sum.read || sum.write) return sum;
  }
  return { read: 0, write: 0 };
}

export function sumBlkio(text: string): { read: number; write: number } {
  const sum = { read: 0, write: 0 };
  for (const line of text.split("\n")) {
    const [, direction, value] = line.split(" ");
    const count = Number(value);
    if (!Number.isFinite(count)) continue;
    if (direction === "Read") sum.read += count;
    if (direction === "Write") sum.write += count;
  }
  return sum;
}

/** Fills `stats` with what the v2 group `directory` knows, for the controllers in `controllers`. */
export function readV2(
  stats: CgroupStats,
  directory: string,
  controllers: ReadonlySet<string>,
  pageSizes: () => readonly string[],
): void {
  if (controllers.has("cpu")) {
    const pairs = readPairs(`${directory}/cpu.stat`);
    stats.cpu = {
      usageNs: (pairs.get("usage_usec") ?? 0) * 1000,
      userNs: (pairs.get("user_usec") ?? 0) * 1000,
      systemNs: (pairs.get("system_usec") ?? 0) * 1000,
      periods: pairs.get("nr_periods") ?? 0,
      throttledPeriods: pairs.get("nr_throttled") ?? 0,
      throttledNs: (pairs.get("throttled_usec") ?? 0) * 1000,
    };
  }
  if (controllers.has("memory")) {
    const pairs = readPairs(`${directory}/memory.stat`);
    const events = readPairs(`${directory}/memory.events`);
    stats.memory = {
      usageBytes: number(`${directory}/memory.current`),
      limitBytes: number(`${directory}/memory.max`),
      cacheBytes: pairs.get("file") ?? 0,
      inactiveFileBytes: pairs.get("inactive_file") ?? 0,
      maxUsageBytes: number(`${directory}/memory.peak`),
      swapBytes: number(`${directory}/memory.swap.current`),
      failures: events.get("max") ?? 0,
      oomKills: events.get("oom_kill") ?? 0,
    };
  }
  if (controllers.has("pids")) {
    stats.pids = { current: number(`${directory}/pids.current`), limit: number(`${directory}/pids.max`) };
  }
  if (controllers.has("io")) stats.io = sumIoStat(tryReadText(`${directory}/io.stat`) ?? "");
  if (!controllers.has("hugetlb")) return;
  for (const size of pageSizes()) {
    stats.hugetlb[size] = {
      usageBytes: number(`${directory}/hugetlb.${size}.current`),
      // v2 keeps no peak.
      maxUsageBytes: number(`${directory}/hugetlb.${size}.current`),
      failures: readPairs(`${directory}/hugetlb.${size}.events`).get("max") ?? 0,
    };
  }
}

/** Sums "8:0 rbytes=1 wbytes=2 rios=3 wios=4 ..." over devices. */
export function sumIoStat(text: string): CgroupStats["io"] {
  const io = { readBytes: 0, writeBytes: 0, readOps: 0, writeOps: 0 };
  const fields: Record<string, keyof typeof io> = {
    rbytes: "readBytes",
    wbytes: "writeBytes",
    rios: "readOps",
    wios: "writeOps",
  };
  for (const [, key, value] of text.matchAll(/\b([a-z]+)=([0-9]+)/g)) {
    const field = fields[key ?? ""];
    if (field) io[field] += Number(value);
  }
  return io;
}
