import type { DeviceLimit, Resources } from "../api/control/types.ts";
import { omitAbsent } from "../lib/tables.ts";
import { parseDuration } from "../lib/time.ts";
import { invalid } from "./compile-errors.ts";
import type { Service } from "./project.ts";

/** A service's limits: those of `deploy.resources` come before the older keys. */
export function compileResources(service: Service): Resources | undefined {
  const { limits, reservations } = service.deploy?.resources ?? {};
  const blockIo = service.blkio_config ?? {};
  const found = omitAbsent({
    memory: nonZero(limits?.memory ?? service.mem_limit),
    memorySwap: nonZero(service.memswap_limit),
    memoryReservation: nonZero(reservations?.memory ?? service.mem_reservation),
    memorySwappiness: service.mem_swappiness,
    nanoCpus: nanoCpus(service),
    cpuShares: nonZero(service.cpu_shares),
    cpuPeriod: nonZero(service.cpu_period),
    cpuQuota: nonZero(service.cpu_quota),
    cpuRealtimePeriod: microseconds(service, "cpu_rt_period"),
    cpuRealtimeRuntime: microseconds(service, "cpu_rt_runtime"),
    cpusetCpus: service.cpuset,
    pidsLimit: nonZero(limits?.pids ?? service.pids_limit),
    blkioWeight: nonZero(blockIo.weight),
    blkioWeightDevice: some(blockIo.weight_device?.map(({ path, weight }) => ({ path, value: weight }))),
    deviceReadBps: rates(blockIo.device_read_bps),
    deviceWriteBps: rates(blockIo.device_write_bps),
    deviceReadIops: rates(blockIo.device_read_iops),
    deviceWriteIops: rates(blockIo.device_write_iops),
  });
  return Object.keys(found).length > 0 ? found : undefined;
}

const some = <T>(list: T[] | undefined): T[] | undefined => (list?.length ? list : undefined);

const rates = (list: { path: string; rate: number }[] | undefined): DeviceLimit[] | undefined =>
  some(list?.map(({ path, rate }) => ({ path, value: rate })));

const nonZero = (value: number | undefined): number | undefined => (value === 0 ? undefined : value);

function microseconds(service: Service, key: "cpu_rt_period" | "cpu_rt_runtime"): number | undefined {
  const text = service[key];
  if (text === undefined) return undefined;
  if (/^\d+$/.test(text)) return Number(text);
  const duration = parseDuration(text);
  if (duration === undefined) throw invalid(service, key, `"${text}" is no duration; write it as in 950ms`);
  return Number(duration / 1000n);
}

function nanoCpus(service: Service): number | undefined {
  const text = service.deploy?.resources?.limits?.cpus;
  const cpus = text === undefined ? service.cpus : Number(text);
  if (cpus !== undefined && !(cpus >= 0))
    throw invalid(service, "deploy.resources.limits.cpus", `"${text}" is no number of CPUs`);
  return cpus ? Math.round(cpus * 1e9) : undefined;
}
