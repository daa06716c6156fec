/**
 * A group's meters in the shape of `runc events --stats` (runc, types/events.go), which containerd and others read. Pure.
 *
 * Members that runc leaves out when they are 0 or empty are left out here. Numbers above 2^53 are JSON.rawJSON, so that the
 * text JSON.stringify makes has every digit.
 */
import { noDetail } from "./no-stats.ts";
import type { CgroupDetail, CgroupStats, IoEntry, MemoryEntry } from "./types.ts";

declare global {
  interface JSON {
    /** ECMAScript proposal "JSON.parse source text access": a piece of JSON that stringify takes over as it is. */
    rawJSON(text: string): unknown;
  }
}

type Shape = Record<string, unknown>;

/** Without what Go's "omitempty" leaves out. */
const filled = (members: Shape): Shape =>
  Object.fromEntries(
    Object.entries(members).filter(([, value]) => value !== 0 && value !== "" && !(Array.isArray(value) && value.length === 0)),
  );

const whole = (value: number | bigint): unknown =>
  typeof value === "bigint" || !Number.isSafeInteger(value) ? JSON.rawJSON(BigInt(value).toString()) : value;

/** The numbers of a list like "0-3,7". */
export function numbersOf(list: string): number[] {
  return list
    .split(",")
    .filter((part) => part !== "")
    .flatMap((part) => {
      const [first = 0, last = first] = part.split("-").map(Number);
      return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => first + index);
    });
}

const memoryEntry = ({ limit, usage, max, failures }: MemoryEntry): Shape => ({
  limit: whole(limit),
  ...filled({ usage, max }),
  failcnt: failures,
});

const ioEntry = ({ major, minor, op, value }: IoEntry): Shape => filled({ major, minor, op, value });

function cpusetShape(cpuset: CgroupDetail["cpuset"]): Shape {
  const flag = (name: string): number => Number(cpuset[name] ?? 0);
  return {
    ...filled({ cpus: numbersOf(cpuset.cpus ?? "") }),
    cpu_exclusive: flag("cpu_exclusive"),
    ...filled({ mems: numbersOf(cpuset.mems ?? "") }),
    mem_hardwall: flag("mem_hardwall"),
    mem_exclusive: flag("mem_exclusive"),
    memory_migrate: flag("memory_migrate"),
    memory_spread_page: flag("memory_spread_page"),
    memory_spread_slab: flag("memory_spread_slab"),
    memory_pressure: flag("memory_pressure"),
    sched_load_balance: flag("sched_load_balance"),
    sched_relax_domain_level: flag("sched_relax_domain_level"),
  };
}

function memoryShape(stats: CgroupStats, detail: CgroupDetail): Shape {
  const { usage, swap, kernel, kernelTCP, raw } = detail.memory;
  return {
    ...filled({ cache: stats.memory.cacheBytes }),
    usage: memoryEntry(usage),
    swap: memoryEntry(swap),
    kernel: memoryEntry(kernel),
    kernelTCP: memoryEntry(kernelTCP),
    ...(Object.keys(raw).length === 0
      ? {}
      : { raw: Object.fromEntries(Object.entries(raw).map(([name, value]) => [name, whole(value)])) }),
  };
}

/** `stats` should have been asked for with its detail: without, what that holds is 0 or not there. */
export function statsForEvents(stats: CgroupStats): Shape {
  const { cpu, pids, hugetlb, detail = noDetail() } = stats;
  return {
    cpu: {
      usage: {
        ...filled({
          total: cpu.usageNs,
          percpu: detail.perCpu.totalNs,
          percpu_kernel: detail.perCpu.kernelNs,
          percpu_user: detail.perCpu.userNs,
        }),
        kernel: cpu.systemNs,
        user: cpu.userNs,
      },
      throttling: filled({
        periods: cpu.periods,
        throttledPeriods: cpu.throttledPeriods,
        throttledTime: cpu.throttledNs,
      }),
    },
    cpuset: cpusetShape(detail.cpuset),
    memory: memoryShape(stats, detail),
    pids: filled({ current: pids.current, limit: pids.limit }),
    blkio: filled(Object.fromEntries(Object.entries(detail.io).map(([name, entries]) => [name, entries.map(ioEntry)]))),
    hugetlb: Object.fromEntries(
      Object.entries(hugetlb).map(([size, { usageBytes, maxUsageBytes, failures }]) => [
        size,
        { ...filled({ usage: usageBytes, max: maxUsageBytes }), failcnt: failures },
      ]),
    ),
    intel_rdt: {},
    network_interfaces: null,
  };
}
