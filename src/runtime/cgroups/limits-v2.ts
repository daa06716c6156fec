/**
 * Resources as writes to cgroup v2 files. Pure.
 * Source: Linux Documentation/admin-guide/cgroup-v2.rst for the files, crun(1) "CGROUP v2" for what v1 values become.
 */
import type { LinuxResources, ThrottleDevice } from "../../oci/spec.ts";
import { checkPageSize, checkWord, deviceNumber, integer, invalidLimit, type LimitWrite, unsupportedLimit } from "./limits.ts";
import { rdma } from "./limits-v1.ts";

export interface V2State {
  /** The group was just made: it has the kernel's defaults. */
  readonly fresh: boolean;
}

/**
 * Every write that `resources` asks for except the devices, which are a program (`device-program.ts`).
 * Throws `invalid_cgroup_limit`, or `cgroup_limit_unsupported` for what only v1 has.
 */
export function limitsV2(resources: LinuxResources, state: V2State): LimitWrite[] {
  const { network } = resources;
  if (network?.classID)
    unsupportedLimit("network.classID", network.classID, "v2", "mark the traffic by the cgroup's path instead");
  if (network?.priorities?.length) unsupportedLimit("network.priorities", network.priorities, "v2");
  return [
    ...cpuset(resources.cpu),
    ...memory(resources.memory, state),
    ...cpu(resources.cpu, state),
    ...pids(resources.pids, state),
    ...io(resources.blockIO),
    ...hugetlb(resources.hugepageLimits),
    ...rdma(resources.rdma),
    ...unified(resources.unified),
  ];
}

/**
 * cpu.shares (2 to 262144, default 1024) as cpu.weight (1 to 10000, default 100): a curve through both ends and the
 * defaults, 10^((log2(x)^2 + 125 log2(x)) / 612 - 7/34), rounded up.
 */
export function weightOfShares(shares: number): number {
  if (shares <= 2) return 1;
  if (shares >= 262144) return 10000;
  const log = Math.log2(shares);
  // Rounding noise must not lift an exact result (1024 is 100) to the next integer.
  return Math.ceil(10 ** ((log * log + 125 * log) / 612 - 7 / 34) - 1e-9);
}

/** blkio weight (10 to 1000) as io.weight (1 to 10000), linearly. */
export const ioWeightOf = (weight: number): number => Math.max(1, Math.min(10000, 1 + Math.trunc(((weight - 10) * 9999) / 990)));

function cpuset(cpu: LinuxResources["cpu"]): LimitWrite[] {
  const writes: LimitWrite[] = [];
  if (cpu?.cpus) writes.push({ limit: "cpu.cpus", controller: "cpuset", file: "cpuset.cpus", value: cpu.cpus });
  if (cpu?.mems) writes.push({ limit: "cpu.mems", controller: "cpuset", file: "cpuset.mems", value: cpu.mems });
  return writes;
}

/**
 * Swap is counted apart here: memory.swap.max = swap - limit. memory.max comes last, so that a group whose swap grows has
 * the room before its memory shrinks.
 */
function memory(memory: LinuxResources["memory"], state: V2State): LimitWrite[] {
  if (!memory) return [];
  const { limit = 0, reservation = 0, swappiness = -1 } = memory;
  const swap = limit === -1 && !memory.swap ? -1 : (memory.swap ?? 0);
  if (memory.kernel && memory.kernel !== -1) unsupportedLimit("memory.kernel", memory.kernel, "v2", "memory.limit includes it");
  if (memory.kernelTCP && memory.kernelTCP !== -1) {
    unsupportedLimit("memory.kernelTCP", memory.kernelTCP, "v2", "memory.limit includes it");
  }
  if (swappiness !== -1) unsupportedLimit("memory.swappiness", swappiness, "v2", "leave it out");
  if (memory.disableOOMKiller) unsupportedLimit("memory.disableOOMKiller", true, "v2", "leave it out");
  const writes: LimitWrite[] = [];
  const add = (name: string, file: string, value: number, optional?: true): void => {
    if (value === -1 && state.fresh) return;
    const text = value === -1 ? "max" : integer(`memory.${name}`, value, 0);
    const write = { limit: `memory.${name}`, controller: "memory", file, value: text };
    writes.push(optional ? { ...write, optional } : write);
  };
  if (swap === -1) add("swap", "memory.swap.max", -1, true);
  if (swap > 0) {
    if (limit === -1) invalidLimit("memory.swap", swap, "it includes memory.limit, which is unlimited");
    if (limit === 0) invalidLimit("memory.swap", swap, "it includes memory.limit, which must be given with it");
    if (swap < limit) invalidLimit("memory.swap", swap, `it is memory and swap together, so at least memory.limit (${limit})`);
    // Without swap accounting a container that may not swap has what it asked for.
    add("swap", "memory.swap.max", swap - limit, swap === limit ? true : undefined);
  }
  if (reservation !== 0) add("reservation", "memory.low", reservation === -1 ? 0 : reservation);
  if (limit !== 0) add("limit", "memory.max", limit);
  return writes;
}

/** cpu.max takes quota and period at once; a period alone goes with an unlimited quota, a quota alone with 100 ms. */
function cpu(cpu: LinuxResources["cpu"], state: V2State): LimitWrite[] {
  if (!cpu) return [];
  const writes: LimitWrite[] = [];
  const add = (name: string, file: string, value: string, retry?: true): void => {
    const write = { limit: `cpu.${name}`, controller: "cpu", file, value };
    writes.push(retry ? { ...write, retry } : write);
  };
  const { shares = 0, period = 0, quota = 0, burst, idle, realtimePeriod, realtimeRuntime } = cpu;
  if (realtimePeriod) unsupportedLimit("cpu.realtimePeriod", realtimePeriod, "v2");
  if (realtimeRuntime) unsupportedLimit("cpu.realtimeRuntime", realtimeRuntime, "v2");
  if (idle !== undefined && (idle !== 0 || !state.fresh)) add("idle", "cpu.idle", integer("cpu.idle", idle, 0));
  if (shares !== 0 && idle !== 1) {
    add("shares", "cpu.weight", String(weightOfShares(Number(integer("cpu.shares", shares, 1)))));
  }
  if (burst !== undefined && (burst !== 0 || !state.fresh)) {
    add("burst", "cpu.max.burst", integer("cpu.burst", burst, 0), true);
  }
  const limited = quota > 0;
  if (limited || period !== 0 || (quota < 0 && !state.fresh)) {
    const name = quota === 0 ? "period" : "quota";
    const value = limited ? integer("cpu.quota", quota, 1) : "max";
    add(
      name,
      "cpu.max",
      period === 0 && !limited ? value : `${value} ${period === 0 ? 100000 : integer("cpu.period", period, 1)}`,
      true,
    );
  }
  return writes;
}

function pids(pids: LinuxResources["pids"], state: V2State): LimitWrite[] {
  const limit = pids?.limit;
  if (limit === undefined || (limit <= 0 && state.fresh)) return [];
  return [
    { limit: "pids.limit", controller: "pids", file: "pids.max", value: limit <= 0 ? "max" : integer("pids.limit", limit, 1) },
  ];
}

/** BFQ's file takes blkio's own scale; io.weight, where BFQ is not, a converted one. */
function io(blockIO: LinuxResources["blockIO"]): LimitWrite[] {
  if (!blockIO) return [];
  const writes: LimitWrite[] = [];
  const controller = "io";
  if (blockIO.leafWeight) unsupportedLimit("blockIO.leafWeight", blockIO.leafWeight, "v2");
  if (blockIO.weight) {
    const value = integer("blockIO.weight", blockIO.weight, 1);
    const otherwise = { file: "io.weight", value: `default ${ioWeightOf(blockIO.weight)}` };
    writes.push({ limit: "blockIO.weight", controller, file: "io.bfq.weight", value, otherwise });
  }
  for (const device of blockIO.weightDevice ?? []) {
    const limit = "blockIO.weightDevice";
    if (device.leafWeight) unsupportedLimit(`${limit}.leafWeight`, device.leafWeight, "v2");
    if (!device.weight) continue;
    const number = deviceNumber(limit, device);
    const value = `${number} ${integer(limit, device.weight, 1)}`;
    const otherwise = { file: "io.weight", value: `${number} ${ioWeightOf(device.weight)}` };
    writes.push({ limit, controller, file: "io.bfq.weight", value, otherwise });
  }
  const throttle = (name: string, key: string, devices: readonly ThrottleDevice[] = []): void => {
    for (const device of devices) {
      const limit = `blockIO.${name}`;
      // A rate of 0 lifts the limit in v1; io.max calls that "max".
      const rate = device.rate === 0 ? "max" : integer(limit, device.rate, 1);
      writes.push({ limit, controller, file: "io.max", value: `${deviceNumber(limit, device)} ${key}=${rate}` });
    }
  };
  throttle("throttleReadBpsDevice", "rbps", blockIO.throttleReadBpsDevice);
  throttle("throttleWriteBpsDevice", "wbps", blockIO.throttleWriteBpsDevice);
  throttle("throttleReadIOPSDevice", "riops", blockIO.throttleReadIOPSDevice);
  throttle("throttleWriteIOPSDevice", "wiops", blockIO.throttleWriteIOPSDevice);
  return writes;
}

function hugetlb(limits: LinuxResources["hugepageLimits"] = []): LimitWrite[] {
  return limits.flatMap(({ pageSize, limit }): LimitWrite[] => {
    checkPageSize(pageSize);
    const name = `hugepageLimits[${pageSize}]`;
    const value = limit === -1 ? "max" : integer(name, limit, 0);
    return [
      { limit: name, controller: "hugetlb", file: `hugetlb.${pageSize}.max`, value },
      { limit: name, controller: "hugetlb", file: `hugetlb.${pageSize}.rsvd.max`, value, optional: true },
    ];
  });
}

/** Files that move or kill processes or change what kind of group it is: not limits. */
const NOT_LIMITS = new Set([
  "cgroup.procs",
  "cgroup.threads",
  "cgroup.kill",
  "cgroup.type",
  "cgroup.subtree_control",
  "cgroup.freeze",
]);

/** The specification's own way to set v2 files; a value of several lines is as many writes. */
function unified(files: LinuxResources["unified"] = {}): LimitWrite[] {
  return Object.entries(files).flatMap(([file, value]): LimitWrite[] => {
    const limit = `unified[${file}]`;
    if (!/^[a-z0-9_]+(\.[A-Za-z0-9_]+)+$/.test(file)) invalidLimit(limit, value, 'a file name like "memory.high" is needed');
    if (NOT_LIMITS.has(file)) invalidLimit(limit, value, "it is no limit");
    checkWord(limit, file);
    const controller = file.slice(0, file.indexOf("."));
    const lines = value.split("\n").filter((line) => line !== "");
    return lines.map((line) => ({ limit, controller: controller === "cgroup" ? "core" : controller, file, value: line }));
  });
}
