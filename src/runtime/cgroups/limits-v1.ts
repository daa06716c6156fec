/** Resources as writes to cgroup v1 files. Source: Linux Documentation/admin-guide/cgroup-v1, runtime-spec config-linux.md. Pure. */
import type { LinuxResources, ThrottleDevice } from "../../oci/spec.ts";
import { devicesV1 } from "./devices.ts";
import { checkPageSize, checkWord, deviceNumber, integer, invalidLimit, type LimitWrite, unsupportedLimit } from "./limits.ts";

export interface V1State {
  /** The group was just made: it has the kernel's defaults. */
  readonly fresh: boolean;
  /** memory.limit_in_bytes as it is, for the order of memory and memory+swap; null: unlimited. */
  readonly memoryLimit: number | null;
  /** devices.list as it is, where the group lives. */
  readonly devicesList?: string;
}

/** Every write that `resources` asks for, in the order the kernel accepts them. Throws `invalid_cgroup_limit`. */
export function limitsV1(resources: LinuxResources, state: V1State): LimitWrite[] {
  const [key] = Object.keys(resources.unified ?? {});
  if (key !== undefined) unsupportedLimit(`unified[${key}]`, resources.unified?.[key], "v1");
  // Asked for nothing, a function is not called: its first call costs a short-lived process more than the call.
  return [
    ...(resources.cpu ? cpuset(resources.cpu) : []),
    ...(resources.memory ? memory(resources.memory, state) : []),
    ...(resources.cpu ? cpu(resources.cpu, state) : []),
    ...(resources.pids ? pids(resources.pids, state) : []),
    ...(resources.blockIO ? blkio(resources.blockIO) : []),
    ...(resources.hugepageLimits ? hugetlb(resources.hugepageLimits) : []),
    ...(resources.devices ? devicesV1(resources.devices, state.devicesList) : []),
    ...(resources.network ? network(resources.network) : []),
    ...(resources.rdma ? rdma(resources.rdma) : []),
  ];
}

function cpuset(cpu: LinuxResources["cpu"]): LimitWrite[] {
  const writes: LimitWrite[] = [];
  if (cpu?.cpus) writes.push({ limit: "cpu.cpus", controller: "cpuset", file: "cpuset.cpus", value: cpu.cpus });
  if (cpu?.mems) writes.push({ limit: "cpu.mems", controller: "cpuset", file: "cpuset.mems", value: cpu.mems });
  return writes;
}

/**
 * The kernel demands limit <= memory+swap at every moment, so what grows is written first: memory+swap when it exceeds the
 * limit that stands, the limit otherwise. Unlimited memory without a word about swap means unlimited swap too.
 */
function memory(memory: LinuxResources["memory"], state: V1State): LimitWrite[] {
  if (!memory) return [];
  const { limit = 0, reservation = 0, kernel = 0, kernelTCP = 0, swappiness = -1 } = memory;
  const swap = limit === -1 && !memory.swap ? -1 : (memory.swap ?? 0);
  if (swap > 0 && limit > 0 && swap < limit) {
    invalidLimit("memory.swap", swap, `it is memory and swap together, so at least memory.limit (${limit})`);
  }
  const bytes = (name: string, file: string, value: number, optional?: true): LimitWrite[] => {
    if (value === 0 || (value === -1 && state.fresh)) return [];
    const write = { limit: `memory.${name}`, controller: "memory", file, value: integer(`memory.${name}`, value, -1) };
    return [optional ? { ...write, optional } : write];
  };
  const limits = bytes("limit", "memory.limit_in_bytes", limit);
  const swaps = bytes("swap", "memory.memsw.limit_in_bytes", swap, memory.swap ? undefined : true);
  const swapFirst = !state.fresh && (swap === -1 || (state.memoryLimit !== null && state.memoryLimit < swap));
  const writes = [
    ...(swapFirst ? [...swaps, ...limits] : [...limits, ...swaps]),
    ...bytes("reservation", "memory.soft_limit_in_bytes", reservation),
    ...bytes("kernel", "memory.kmem.limit_in_bytes", kernel),
    ...bytes("kernelTCP", "memory.kmem.tcp.limit_in_bytes", kernelTCP),
  ];
  if (swappiness !== -1) {
    if (swappiness > 100) invalidLimit("memory.swappiness", swappiness, "at most 100 is possible");
    const value = integer("memory.swappiness", swappiness, 0);
    writes.push({ limit: "memory.swappiness", controller: "memory", file: "memory.swappiness", value });
  }
  if (memory.disableOOMKiller !== undefined && (memory.disableOOMKiller || !state.fresh)) {
    const value = memory.disableOOMKiller ? "1" : "0";
    writes.push({ limit: "memory.disableOOMKiller", controller: "memory", file: "memory.oom_control", value });
  }
  return writes;
}

/**
 * cpu.idle comes before cpu.shares: an idle group refuses shares, and leaving idle resets them. Period, burst and quota
 * depend on each other (burst <= quota, quota/period <= the parent's), hence `retry`.
 */
function cpu(cpu: LinuxResources["cpu"], state: V1State): LimitWrite[] {
  if (!cpu) return [];
  const writes: LimitWrite[] = [];
  const add = (name: string, file: string, value: string, retry?: true): void => {
    const write = { limit: `cpu.${name}`, controller: "cpu", file, value };
    writes.push(retry ? { ...write, retry } : write);
  };
  const { shares = 0, period = 0, quota = 0, burst, idle, realtimePeriod = 0, realtimeRuntime = 0 } = cpu;
  if (idle !== undefined && (idle !== 0 || !state.fresh)) add("idle", "cpu.idle", integer("cpu.idle", idle, 0));
  if (shares !== 0 && idle !== 1) add("shares", "cpu.shares", integer("cpu.shares", shares, 1));
  if (period !== 0) add("period", "cpu.cfs_period_us", integer("cpu.period", period, 1), true);
  if (burst !== undefined && (burst !== 0 || !state.fresh)) {
    add("burst", "cpu.cfs_burst_us", integer("cpu.burst", burst, 0), true);
  }
  if (quota !== 0 && !(quota < 0 && state.fresh)) {
    add("quota", "cpu.cfs_quota_us", quota < 0 ? "-1" : integer("cpu.quota", quota, 1), true);
  }
  if (realtimePeriod !== 0) add("realtimePeriod", "cpu.rt_period_us", integer("cpu.realtimePeriod", realtimePeriod, 1), true);
  if (realtimeRuntime !== 0)
    add("realtimeRuntime", "cpu.rt_runtime_us", integer("cpu.realtimeRuntime", realtimeRuntime, -1), true);
  return writes;
}

function pids(pids: LinuxResources["pids"], state: V1State): LimitWrite[] {
  const limit = pids?.limit;
  if (limit === undefined || (limit <= 0 && state.fresh)) return [];
  return [
    { limit: "pids.limit", controller: "pids", file: "pids.max", value: limit <= 0 ? "max" : integer("pids.limit", limit, 1) },
  ];
}

/** Weights belong to BFQ since Linux 5.0; older kernels have the CFQ names. */
function blkio(blockIO: LinuxResources["blockIO"]): LimitWrite[] {
  if (!blockIO) return [];
  const writes: LimitWrite[] = [];
  const controller = "blkio";
  const { weight = 0, leafWeight = 0 } = blockIO;
  if (weight !== 0) {
    const value = integer("blockIO.weight", weight, 1);
    writes.push({
      limit: "blockIO.weight",
      controller,
      file: "blkio.bfq.weight",
      value,
      otherwise: { file: "blkio.weight", value },
    });
  }
  if (leafWeight !== 0) {
    const value = integer("blockIO.leafWeight", leafWeight, 1);
    writes.push({ limit: "blockIO.leafWeight", controller, file: "blkio.leaf_weight", value });
  }
  for (const device of blockIO.weightDevice ?? []) {
    const limit = "blockIO.weightDevice";
    const number = deviceNumber(limit, device);
    if (device.weight) {
      const value = `${number} ${integer(limit, device.weight, 1)}`;
      const otherwise = { file: "blkio.weight_device", value };
      writes.push({ limit, controller, file: "blkio.bfq.weight_device", value, otherwise });
    }
    if (device.leafWeight) {
      writes.push({
        limit,
        controller,
        file: "blkio.leaf_weight_device",
        value: `${number} ${integer(limit, device.leafWeight, 1)}`,
      });
    }
  }
  const throttle = (name: string, file: string, devices: readonly ThrottleDevice[] = []): void => {
    for (const device of devices) {
      const limit = `blockIO.${name}`;
      const value = `${deviceNumber(limit, device)} ${integer(limit, device.rate, 0)}`;
      writes.push({ limit, controller, file: `blkio.throttle.${file}`, value });
    }
  };
  throttle("throttleReadBpsDevice", "read_bps_device", blockIO.throttleReadBpsDevice);
  throttle("throttleWriteBpsDevice", "write_bps_device", blockIO.throttleWriteBpsDevice);
  throttle("throttleReadIOPSDevice", "read_iops_device", blockIO.throttleReadIOPSDevice);
  throttle("throttleWriteIOPSDevice", "write_iops_device", blockIO.throttleWriteIOPSDevice);
  return writes;
}

function hugetlb(limits: LinuxResources["hugepageLimits"] = []): LimitWrite[] {
  return limits.flatMap(({ pageSize, limit }): LimitWrite[] => {
    checkPageSize(pageSize);
    const name = `hugepageLimits[${pageSize}]`;
    const value = integer(name, limit, -1);
    return [
      { limit: name, controller: "hugetlb", file: `hugetlb.${pageSize}.limit_in_bytes`, value },
      { limit: name, controller: "hugetlb", file: `hugetlb.${pageSize}.rsvd.limit_in_bytes`, value, optional: true },
    ];
  });
}

function network(network: LinuxResources["network"]): LimitWrite[] {
  const writes: LimitWrite[] = [];
  if (network?.classID) {
    const value = integer("network.classID", network.classID, 0);
    writes.push({ limit: "network.classID", controller: "net_cls", file: "net_cls.classid", value });
  }
  for (const { name, priority } of network?.priorities ?? []) {
    checkWord("network.priorities.name", name);
    const value = `${name} ${integer("network.priorities.priority", priority, 0)}`;
    writes.push({ limit: "network.priorities", controller: "net_prio", file: "net_prio.ifpriomap", value });
  }
  return writes;
}

/** The same file in both versions. */
export function rdma(devices: LinuxResources["rdma"] = {}): LimitWrite[] {
  return Object.entries(devices).map(([name, { hcaHandles, hcaObjects }]) => {
    checkWord("rdma", name);
    const handles = hcaHandles === undefined ? "" : ` hca_handle=${integer("rdma.hcaHandles", hcaHandles, 0)}`;
    const objects = hcaObjects === undefined ? "" : ` hca_object=${integer("rdma.hcaObjects", hcaObjects, 0)}`;
    return { limit: `rdma[${name}]`, controller: "rdma", file: "rdma.max", value: `${name}${handles}${objects}` };
  });
}
