import { readFileSync } from "node:fs";
import { availableParallelism, totalmem } from "node:os";
import { nowNs, rfc3339 } from "../lib/time.ts";
import { countersInside } from "../networks/index.ts";
import { close, O, open } from "../sys/index.ts";
import type { Container } from "./container.ts";
import type { Context } from "./context.ts";
import type { ContainerRecord } from "./database.ts";
import { networkMode } from "./network-mode.ts";
import type { StatsSample } from "./types.ts";

/** Nanoseconds of CPU time all processors of the host have spent, idle included, out of the text of /proc/stat. */
export function parseSystemUsage(text: string): number {
  const line = /^cpu\s+(.*)$/m.exec(text);
  const ticks = (line?.[1] ?? "").trim().split(/\s+/).slice(0, 8).map(Number);
  return ticks.reduce((sum, value) => sum + value, 0) * 10_000_000;
}

/** As with Docker, a container in the host's network has no counters of its own. */
function networkOf({ request, state }: ContainerRecord): StatsSample["network"] {
  if (networkMode(request).kind === "host") return {};
  try {
    const netns = open(`/proc/${state.pid}/ns/net`, O.O_RDONLY | O.O_CLOEXEC);
    try {
      return countersInside(netns);
    } finally {
      close(netns);
    }
  } catch {
    return {}; // it has ended
  }
}

const zero: Omit<StatsSample, "id" | "name" | "read"> = {
  cpu: { usageNs: 0, userNs: 0, systemNs: 0, throttledPeriods: 0, throttledNs: 0, onlineCpus: 0, systemUsageNs: 0 },
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
  network: {},
};

/** One sample; all zero for a container that does not run. Memory use leaves out file pages the kernel can drop, as Docker's. */
export function sampleStats(context: Context, { record, isUp }: Container): StatsSample {
  const head = { id: record.id, name: record.name, read: rfc3339(nowNs()) };
  if (!isUp) return { ...head, ...structuredClone(zero) };
  const { cpu, memory, pids, io } = context.cgroups.stats(record.cgroupPath);
  return {
    ...head,
    cpu: {
      usageNs: cpu.usageNs,
      userNs: cpu.userNs,
      systemNs: cpu.systemNs,
      throttledPeriods: cpu.throttledPeriods,
      throttledNs: cpu.throttledNs,
      onlineCpus: availableParallelism(),
      systemUsageNs: parseSystemUsage(readFileSync("/proc/stat", "utf8")),
    },
    memory: {
      usageBytes: Math.max(0, memory.usageBytes - memory.inactiveFileBytes),
      // without a limit, what the machine has
      limitBytes: memory.limitBytes || totalmem(),
      cacheBytes: memory.cacheBytes,
      inactiveFileBytes: memory.inactiveFileBytes,
      maxUsageBytes: memory.maxUsageBytes,
      swapBytes: memory.swapBytes,
      failures: memory.failures,
      oomKills: memory.oomKills,
    },
    pids,
    io,
    network: networkOf(record),
  };
}
