import { OnggiError } from "../lib/errors.ts";
import { resourcesToLinux } from "../runtime/index.ts";
import type { Container } from "./container.ts";
import type { Context } from "./context.ts";
import { checkLimits } from "./host-limits.ts";
import { describe } from "./list.ts";
import { limitNetworks } from "./network-limits.ts";
import { checkRestart } from "./restart-policy.ts";
import type { Resources, RestartPolicy } from "./types.ts";

/** Changes limits and the restart policy of a container, at once if it runs. What is not named keeps its value; nothing changes when it throws. */
export function updateContainer(
  context: Context,
  container: Container,
  resources: Resources,
  restart?: RestartPolicy,
): Promise<void> {
  return container.lock.run(async () => {
    const { record } = container;
    const named = Object.fromEntries(Object.entries(resources).filter(([, value]) => value !== undefined)) as Resources;
    const hasLimits = Object.keys(named).length > 0;
    if (!hasLimits && !restart) throw new OnggiError("nothing_to_update", "name at least one limit to change, such as --memory");
    checkRestart(restart, record.request);
    const merged = { ...record.request.resources, ...named };
    if (named.nanoCpus !== undefined && (merged.cpuPeriod || merged.cpuQuota) && named.cpuQuota === undefined) {
      throw new OnggiError("conflicting_limits", "--cpus cannot be set where --cpu-period or --cpu-quota are");
    }
    checkLimits(named);
    const linux = resourcesToLinux(merged);
    const undo = await limitNetworks(context, record, named);
    try {
      if (container.isUp && hasLimits) context.cgroups.update(record.cgroupPath, linux);
    } catch (error) {
      await undo();
      throw error;
    }
    if (hasLimits) record.request.resources = merged;
    if (restart) record.request.restart = restart;
    container.takeSpec(); // what creating it compiled has the old limits
    context.table.update(record, true);
    context.events.emit("container", "update", record.id, describe(record));
  });
}
