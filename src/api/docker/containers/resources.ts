import type { Resources } from "../../../engine/types.ts";
import { ApiError } from "../errors.ts";
import type { Of, object } from "../schema.ts";
import type { resourceFields } from "./config.ts";

type Given = Of<ReturnType<typeof object<typeof resourceFields>>>;

/** Fields of Docker's that are refused rather than passed over, for they would promise a limit. */
const unsupported = [
  "BlkioWeightDevice",
  "BlkioDeviceReadBps",
  "BlkioDeviceWriteBps",
  "BlkioDeviceReadIOps",
  "BlkioDeviceWriteIOps",
] as const;

/** Limits as the engine names them. In Docker's requests 0 is as good as absent. Throws ApiError. */
export function resourcesOf(given: Given): Resources {
  for (const name of unsupported)
    if (given[name]?.length)
      throw new ApiError(400, `HostConfig.${name} is not supported: limits of single devices are not set here`);
  for (const name of ["CpuRealtimePeriod", "CpuRealtimeRuntime"] as const)
    if (given[name]) throw new ApiError(400, `HostConfig.${name} is not supported`);
  const swappiness = given.MemorySwappiness;
  if (swappiness !== undefined && swappiness !== -1) throw new ApiError(400, "HostConfig.MemorySwappiness is not supported");
  const found: Record<string, number | string | undefined> = {
    memory: given.Memory,
    memorySwap: given.MemorySwap,
    memoryReservation: given.MemoryReservation,
    nanoCpus: given.NanoCpus,
    cpuShares: given.CpuShares,
    cpuPeriod: given.CpuPeriod,
    cpuQuota: given.CpuQuota,
    cpusetCpus: given.CpusetCpus,
    cpusetMems: given.CpusetMems,
    pidsLimit: given.PidsLimit,
    blkioWeight: given.BlkioWeight,
  };
  return Object.fromEntries(Object.entries(found).filter(([, value]) => Boolean(value))) as Resources;
}
