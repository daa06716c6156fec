import type { StatsLook } from "../../../engine/index.ts";
import type { StatsSample } from "../../../engine/types.ts";
import { dockerCounters } from "../../shapes/stats.ts";
import { ApiError } from "../errors.ts";
import { json, operation } from "../operation.ts";
import * as q from "../query.ts";
import { isAtLeast } from "../versions.ts";

const NEVER = "0001-01-01T00:00:00Z";

const cpuShape = ({ cpu }: StatsSample): object => ({
  cpu_usage: { total_usage: cpu.usageNs, usage_in_kernelmode: cpu.systemNs, usage_in_usermode: cpu.userNs },
  system_cpu_usage: cpu.systemUsageNs,
  online_cpus: cpu.onlineCpus,
  throttling_data: { periods: 0, throttled_periods: cpu.throttledPeriods, throttled_time: cpu.throttledNs },
});

const noCpu = {
  cpu_usage: { total_usage: 0, usage_in_kernelmode: 0, usage_in_usermode: 0 },
  throttling_data: { periods: 0, throttled_periods: 0, throttled_time: 0 },
};

const networkShape = ({ network }: StatsSample): object =>
  Object.fromEntries(Object.entries(network).map(([name, counters]) => [name, dockerCounters(counters)]));

const ofBlock = (op: string, value: number): object => ({ major: 0, minor: 0, op, value });

/** A sample, with the one before it if there is one. Of a container that does not run all is zero. */
export function statsShape(sample: StatsSample, before: StatsSample | undefined, runs: boolean): object {
  const { memory, pids, io } = sample;
  const head = { id: sample.id, name: `/${sample.name}` };
  if (!runs)
    return {
      ...head,
      read: NEVER,
      preread: NEVER,
      pids_stats: {},
      cpu_stats: noCpu,
      precpu_stats: noCpu,
      memory_stats: {},
      blkio_stats: {},
    };
  return {
    ...head,
    read: sample.read,
    preread: before?.read ?? NEVER,
    pids_stats: { current: pids.current, ...(pids.limit > 0 ? { limit: pids.limit } : {}) },
    num_procs: 0,
    storage_stats: {},
    cpu_stats: cpuShape(sample),
    precpu_stats: before ? cpuShape(before) : noCpu,
    memory_stats: {
      // clients take what the kernel can drop away again
      usage: memory.usageBytes + memory.inactiveFileBytes,
      max_usage: memory.maxUsageBytes,
      limit: memory.limitBytes,
      failcnt: memory.failures,
      stats: {
        cache: memory.cacheBytes,
        inactive_file: memory.inactiveFileBytes,
        total_inactive_file: memory.inactiveFileBytes,
      },
    },
    blkio_stats: {
      io_service_bytes_recursive: [ofBlock("read", io.readBytes), ofBlock("write", io.writeBytes)],
      io_serviced_recursive: [ofBlock("read", io.readOps), ofBlock("write", io.writeOps)],
    },
    networks: networkShape(sample),
  };
}

export const stats = operation({
  id: "ContainerStats",
  tag: "Container",
  summary: "what a container uses, every second",
  needs: "read",
  method: "GET",
  path: "/containers/{id}/stats",
  query: {
    stream: q.bool("go on until the client leaves", true),
    "one-shot": q.bool("with stream=false: one look, with nothing to compare it with", false, { since: "1.41" }),
  },
  answers: { 200: "samples", 404: "no such container" },
  run: async ({ engine, path, query, version, signal }) => {
    const { id } = engine.inspect(path.id);
    const osType = isAtLeast(version, "1.51") ? { os_type: "linux" } : {};
    const shape = ({ sample, before, runs }: StatsLook): object => ({ ...osType, ...statsShape(sample, before, runs) });
    if (!query.stream)
      return json(200, shape(query["one-shot"] ? engine.usage.look(id) : await twoLooks(engine.usage.follow(id, signal))));
    return {
      status: 200,
      headers: { "Content-Type": "application/json" },
      body: untilRemoved(engine.usage.follow(id, signal), (look) => `${JSON.stringify(shape(look))}\n`),
    };
  },
});

/** The first look that can be compared with one before; of a container that does not run the first. */
async function twoLooks(looks: AsyncIterable<StatsLook>): Promise<StatsLook> {
  for await (const look of looks) if (look.before || !look.runs) return look;
  throw new ApiError(500, "the client left");
}

/** A container that goes ends its samples. */
async function* untilRemoved(looks: AsyncIterable<StatsLook>, text: (look: StatsLook) => string): AsyncGenerator<string> {
  try {
    for await (const look of looks) yield text(look);
  } catch (error) {
    if ((error as { code?: unknown }).code !== "container_not_found") throw error;
  }
}
