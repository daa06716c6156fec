/** What `runc events` tells of a group beyond `stats.ts`, from v1 or v2 files. A file that is missing counts as 0. */
import { parsePairs, readNumber, tryReadText } from "./files.ts";
import { noDetail } from "./no-stats.ts";
import type { CgroupDetail, IoEntry, MemoryEntry } from "./types.ts";

/** What a v2 file of "max" counts as: the kernel's largest number. */
const UINT64_MAX = 2n ** 64n - 1n;

/** A number in full: as a bigint where a double would round it. */
export function exact(text: string): number | bigint {
  if (text === "max") return UINT64_MAX;
  const value = Number(text);
  if (Number.isSafeInteger(value)) return value;
  return /^[0-9]+$/.test(text) ? BigInt(text) : 0;
}

const exactFile = (path: string): number | bigint => exact((tryReadText(path) ?? "").trim());
const numberFile = (path: string): number => readNumber(path) ?? 0;

function rawOf(text: string): Record<string, number | bigint> {
  const raw: Record<string, number | bigint> = {};
  for (const line of text.split("\n")) {
    const [name, value] = line.split(" ");
    if (name && value !== undefined) raw[name] = exact(value);
  }
  return raw;
}

/** "8:0 Read 4096" and, without an operation, "8:0 17"; the sum of all devices is left out. */
export function parseBlkio(text: string): IoEntry[] {
  return text.split("\n").flatMap((line): IoEntry[] => {
    const [, major, minor, op = "", value] = /^([0-9]+):([0-9]+) (?:(\w+) )?([0-9]+)$/.exec(line) ?? [];
    return value === undefined ? [] : [{ major: Number(major), minor: Number(minor), op, value: Number(value) }];
  });
}

/** io.stat as runc tells it: under the names of v1. */
export function parseIoStat(text: string): CgroupDetail["io"] {
  const bytes: IoEntry[] = [];
  const operations: IoEntry[] = [];
  const places: Record<string, readonly [IoEntry[], string]> = {
    rbytes: [bytes, "Read"],
    wbytes: [bytes, "Write"],
    rios: [operations, "Read"],
    wios: [operations, "Write"],
  };
  for (const line of text.split("\n")) {
    const [, major, minor, rest = ""] = /^([0-9]+):([0-9]+) (.*)$/.exec(line) ?? [];
    for (const word of rest.split(" ")) {
      const [key = "", value] = word.split("=");
      const place = Object.hasOwn(places, key) ? places[key] : undefined;
      place?.[0].push({ major: Number(major), minor: Number(minor), op: place[1], value: Number(value) });
    }
  }
  return { ioServiceBytesRecursive: bytes, ioServicedRecursive: operations };
}

/** runc's names of blkio's counters, with the kernel's. Of those without a throttling twin only BFQ knows. */
const BLKIO = {
  ioServiceBytesRecursive: "io_service_bytes",
  ioServicedRecursive: "io_serviced",
  ioQueueRecursive: "io_queued",
  ioServiceTimeRecursive: "io_service_time",
  ioWaitTimeRecursive: "io_wait_time",
  ioMergedRecursive: "io_merged",
  ioTimeRecursive: "time",
  sectorsRecursive: "sectors",
} as const;

function blkio(directory: string): CgroupDetail["io"] {
  const read = (counter: string): IoEntry[] => {
    for (const file of [`blkio.bfq.${counter}_recursive`, `blkio.throttle.${counter}_recursive`, `blkio.throttle.${counter}`]) {
      const entries = parseBlkio(tryReadText(`${directory}/${file}`) ?? "");
      if (entries.length > 0) return entries;
    }
    return [];
  };
  return Object.fromEntries(Object.entries(BLKIO).map(([name, counter]) => [name, read(counter)]));
}

/** `directoryOf` is null for a controller that is not there. */
export function detailV1(directoryOf: (controller: string) => string | null): CgroupDetail {
  const cpuacct = directoryOf("cpuacct");
  const words = (file: string): number[] => (tryReadText(`${cpuacct}/${file}`) ?? "").trim().split(/\s+/).map(Number);
  const columns = cpuacct ? (tryReadText(`${cpuacct}/cpuacct.usage_all`) ?? "").trim().split("\n").slice(1) : [];
  const column = (index: number): number[] => columns.map((line) => Number(line.split(" ")[index] ?? 0));
  const cpuset = directoryOf("cpuset");
  const names = "cpus mems cpu_exclusive mem_hardwall mem_exclusive memory_migrate memory_spread_page memory_spread_slab";
  const memory = directoryOf("memory");
  const entry = (name: string): MemoryEntry =>
    memory === null
      ? noDetail().memory.usage
      : {
          limit: exactFile(`${memory}/memory.${name}limit_in_bytes`),
          usage: numberFile(`${memory}/memory.${name}usage_in_bytes`),
          max: numberFile(`${memory}/memory.${name}max_usage_in_bytes`),
          failures: numberFile(`${memory}/memory.${name}failcnt`),
        };
  const io = directoryOf("blkio");
  return {
    perCpu: { totalNs: cpuacct ? words("cpuacct.usage_percpu") : [], userNs: column(1), kernelNs: column(2) },
    cpuset: Object.fromEntries(
      cpuset === null
        ? []
        : [...names.split(" "), "memory_pressure", "sched_load_balance", "sched_relax_domain_level"].map((name) => [
            name,
            (tryReadText(`${cpuset}/cpuset.${name}`) ?? "").trim(),
          ]),
    ),
    memory: {
      usage: entry(""),
      swap: entry("memsw."),
      kernel: entry("kmem."),
      kernelTCP: entry("kmem.tcp."),
      raw: memory === null ? {} : rawOf(tryReadText(`${memory}/memory.stat`) ?? ""),
    },
    io: io === null ? {} : blkio(io),
  };
}

/** Memory and swap are counted apart on v2; together they are what v1 calls swap. */
export function detailV2(directory: string, controllers: ReadonlySet<string>): CgroupDetail {
  const detail = noDetail();
  const { memory } = detail;
  if (controllers.has("memory")) {
    const failures = parsePairs(tryReadText(`${directory}/memory.events`) ?? "").get("max") ?? 0;
    const limit = exactFile(`${directory}/memory.max`);
    const usage = numberFile(`${directory}/memory.current`);
    const swapLimit = exactFile(`${directory}/memory.swap.max`);
    const unlimited = limit === UINT64_MAX || swapLimit === UINT64_MAX;
    memory.usage = { limit, usage, max: numberFile(`${directory}/memory.peak`), failures };
    memory.swap = {
      limit: unlimited ? UINT64_MAX : exact((BigInt(limit) + BigInt(swapLimit)).toString()),
      usage: usage + numberFile(`${directory}/memory.swap.current`),
      max: 0,
      failures: parsePairs(tryReadText(`${directory}/memory.swap.events`) ?? "").get("max") ?? 0,
    };
    memory.raw = rawOf(tryReadText(`${directory}/memory.stat`) ?? "");
  }
  if (controllers.has("io")) detail.io = parseIoStat(tryReadText(`${directory}/io.stat`) ?? "");
  return detail;
}
