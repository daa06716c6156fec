import { messageOf, OnggiError } from "../lib/errors.ts";
import { omitAbsent } from "../lib/tables.ts";
import { type DeviceLimitName, deviceLimitNames, resourcesToLinux } from "../runtime/index.ts";
import { blockDevicesOf } from "./block-devices.ts";
import type { Container } from "./container.ts";
import type { Context } from "./context.ts";
import { checkLimits, withoutMissing } from "./host-limits.ts";
import { describe } from "./list.ts";
import { limitNetworks } from "./network-limits.ts";
import { reserveRealtime } from "./realtime.ts";
import { checkRestart } from "./restart-policy.ts";
import type { DeviceLimit, Resources, RestartPolicy } from "./types.ts";

/** The limits of single devices, each as `of` says. */
const deviceLimits = (of: (name: DeviceLimitName) => DeviceLimit[] | undefined): Pick<Resources, DeviceLimitName> =>
  Object.fromEntries(deviceLimitNames.map((name) => [name, of(name)]));

/** Of each device what is named now, of the others what they have. */
const mergedDevices = (before: Resources, named: Resources): Pick<Resources, DeviceLimitName> =>
  deviceLimits((name) => {
    const { [name]: now } = named;
    const others = before[name]?.filter(({ path }) => !now?.some((one) => one.path === path));
    return now ? [...(others ?? []), ...now] : others;
  });

/** Each is looked at with the other one. */
const realtimeOf = ({ cpuRealtimePeriod, cpuRealtimeRuntime }: Resources): Resources =>
  omitAbsent({ cpuRealtimePeriod, cpuRealtimeRuntime });

/**
 * Changes limits and the restart policy of a container, at once if it runs. What is not named keeps its value; nothing changes when
 * it throws. Returns what should be heard.
 */
export function updateContainer(
  context: Context,
  container: Container,
  asked: Resources,
  restart?: RestartPolicy,
): Promise<string[]> {
  return container.lock.run(async () => {
    const { record } = container;
    const { resources, warnings } = withoutMissing(asked);
    const named = Object.fromEntries(Object.entries(resources).filter(([, value]) => value !== undefined)) as Resources;
    const hasLimits = Object.keys(named).length > 0;
    if (!hasLimits && !restart && warnings.length > 0) return warnings;
    if (!hasLimits && !restart) throw new OnggiError("nothing_to_update", "name at least one limit to change, such as --memory");
    checkRestart(restart, record.request);
    const before = record.request.resources ?? {};
    const merged = { ...before, ...named, ...mergedDevices(before, named) };
    if (named.nanoCpus !== undefined && (merged.cpuPeriod || merged.cpuQuota) && named.cpuQuota === undefined) {
      throw new OnggiError("conflicting_limits", "--cpus cannot be set where --cpu-period or --cpu-quota are");
    }
    checkLimits({ ...named, ...realtimeOf(merged) });
    // a device that is not named may be gone from the host
    const linux = resourcesToLinux({ ...merged, ...deviceLimits((name) => named[name]) }, blockDevicesOf(named));
    const undo = await limitNetworks(context, record, named);
    try {
      if (container.isUp && hasLimits) {
        reserveRealtime(context, record, linux);
        context.cgroups.update(record.cgroupPath, linux, context.log);
      }
    } catch (error) {
      await undo().catch((failure: unknown) =>
        context.log(`put back the networks' limits of ${record.id}: ${messageOf(failure)}`),
      );
      throw error;
    }
    if (hasLimits) record.request.resources = merged;
    if (restart) record.request.restart = restart;
    container.takeSpec(); // what creating it compiled has the old limits
    context.table.update(record, true);
    context.events.emit("container", "update", record.id, describe(record));
    return warnings;
  });
}
