import { readFileSync } from "node:fs";
import { availableParallelism, totalmem } from "node:os";
import { nowNs, rfc3339 } from "../lib/time.ts";
import type { Container } from "./container.ts";
import type { Context } from "./context.ts";
import type { StatsSample } from "./types.ts";

/** Counters by interface out of the text of /proc/PID/net/dev; the loopback interface is left out. */
export function parseNetDev(text: string): StatsSample["network"] {
  const network: StatsSample["network"] = {};
  for (const line of text.split("\n").slice(2)) {
    const match = /^\s*([^:\s]+):\s*(.*)$/.exec(line);
    if (!match || match[1] === "lo") continue;
    const fields = (match[2] as string).trim().split(/\s+/).map(Number);
    const [rxBytes = 0, rxPackets = 0, , , , , , , txBytes = 0, txPackets = 0] = fields;
    network[match[1] as string] = { rxBytes, rxPackets, txBytes, txPackets };
  }
  return network;
}

/** Nanoseconds of CPU time all processors of the host have spent, idle included, out of the text of /proc/stat. */
export function parseSystemUsage(text: string): number {
  const line = /^cpu\s+(.*)$/m.exec(text);
  const ticks = (line?.[1] ?? "").trim().split(/\s+/).slice(0, 8).map(Number);
  return ticks.reduce((sum, value) => sum + value, 0) * 10_000_000;
}

function networkOf(pid: number): StatsSample["network"] {
  try {
    return parseNetDev(readFileSync(`/proc/${pid}/net/dev`, "utf8"));
  } catch {
    return {};
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
    network: networkOf(record.state.pid),
  };
}
