import type { Resources } from "../api/control/types.ts";
import { omitAbsent } from "../lib/tables.ts";
import { invalid, unsupported } from "./compile-errors.ts";
import type { Service } from "./project.ts";

/** A service's limits: those of `deploy.resources` come before the older keys. */
export function compileResources(service: Service): Resources | undefined {
  const { limits, reservations } = service.deploy?.resources ?? {};
  const { weight, extensions: _, ...perDevice } = service.blkio_config ?? {};
  const [device] = Object.entries(perDevice).find(([, rules]) => Array.isArray(rules) && rules.length > 0) ?? [];
  if (device !== undefined) throw unsupported(service, `blkio_config.${device}`, "there are no limits for single devices");
  const found = omitAbsent({
    memory: nonZero(limits?.memory ?? service.mem_limit),
    memorySwap: nonZero(service.memswap_limit),
    memoryReservation: nonZero(reservations?.memory ?? service.mem_reservation),
    nanoCpus: nanoCpus(service),
    cpuShares: nonZero(service.cpu_shares),
    cpuPeriod: nonZero(service.cpu_period),
    cpuQuota: nonZero(service.cpu_quota),
    cpusetCpus: service.cpuset,
    pidsLimit: nonZero(limits?.pids ?? service.pids_limit),
    blkioWeight: nonZero(weight),
  });
  return Object.keys(found).length > 0 ? found : undefined;
}

const nonZero = (value: number | undefined): number | undefined => (value === 0 ? undefined : value);

function nanoCpus(service: Service): number | undefined {
  const text = service.deploy?.resources?.limits?.cpus;
  const cpus = text === undefined ? service.cpus : Number(text);
  if (cpus !== undefined && !(cpus >= 0))
    throw invalid(service, "deploy.resources.limits.cpus", `"${text}" is no number of CPUs`);
  return cpus ? Math.round(cpus * 1e9) : undefined;
}
