import type { DeviceLimit, Resources } from "../../../engine/types.ts";
import type { Of, object } from "../schema.ts";
import type { resourceFields } from "./config.ts";

type Given = Of<ReturnType<typeof object<typeof resourceFields>>>;

type Rates = Given["BlkioDeviceReadBps"];

const rates = (given: Rates): DeviceLimit[] | undefined =>
  given?.length ? given.map(({ Path = "", Rate = 0 }) => ({ path: Path, value: Rate })) : undefined;

/** Limits as the engine names them. In Docker's requests 0 is as good as absent, but for swappiness. */
export function resourcesOf(given: Given): Resources {
  const { MemorySwappiness: swappiness, BlkioWeightDevice: weights } = given;
  const found: Record<string, number | string | DeviceLimit[] | undefined> = {
    memory: given.Memory,
    memorySwap: given.MemorySwap,
    memoryReservation: given.MemoryReservation,
    nanoCpus: given.NanoCpus,
    cpuShares: given.CpuShares,
    cpuPeriod: given.CpuPeriod,
    cpuQuota: given.CpuQuota,
    cpuRealtimePeriod: given.CpuRealtimePeriod,
    cpuRealtimeRuntime: given.CpuRealtimeRuntime,
    cpusetCpus: given.CpusetCpus,
    cpusetMems: given.CpusetMems,
    pidsLimit: given.PidsLimit,
    blkioWeight: given.BlkioWeight,
    blkioWeightDevice: weights?.length ? weights.map(({ Path = "", Weight = 0 }) => ({ path: Path, value: Weight })) : undefined,
    deviceReadBps: rates(given.BlkioDeviceReadBps),
    deviceWriteBps: rates(given.BlkioDeviceWriteBps),
    deviceReadIops: rates(given.BlkioDeviceReadIOps),
    deviceWriteIops: rates(given.BlkioDeviceWriteIOps),
  };
  const some = Object.fromEntries(Object.entries(found).filter(([, value]) => Boolean(value))) as Resources;
  // Docker's command line says -1 where nothing is said
  return swappiness === undefined || swappiness === -1 ? some : { ...some, memorySwappiness: swappiness };
}
