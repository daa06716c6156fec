import { OnggiError } from "../lib/errors.ts";
import { resourcesToLinux } from "../runtime/index.ts";
import type { Container } from "./container.ts";
import type { Context } from "./context.ts";
import { describe } from "./list.ts";
import { limitNetworks } from "./networking.ts";
import type { Resources } from "./types.ts";

/** Changes limits of a container, at once if it runs. What is not named keeps its value; nothing changes when it throws. */
export function updateContainer(context: Context, container: Container, resources: Resources): Promise<void> {
  return container.lock.run(async () => {
    const { record } = container;
    const named = Object.fromEntries(Object.entries(resources).filter(([, value]) => value !== undefined)) as Resources;
    if (Object.keys(named).length === 0)
      throw new OnggiError("nothing_to_update", "name at least one limit to change, such as --memory");
    const merged = { ...record.request.resources, ...named };
    if (named.nanoCpus !== undefined && (merged.cpuPeriod || merged.cpuQuota) && named.cpuQuota === undefined) {
      throw new OnggiError("conflicting_limits", "--cpus cannot be set where --cpu-period or --cpu-quota are");
    }
    const linux = resourcesToLinux(merged);
    const undo = await limitNetworks(context, record, named);
    try {
      if (container.isUp) context.cgroups.update(record.cgroupPath, linux);
    } catch (error) {
      await undo();
      throw error;
    }
    record.request.resources = merged;
    container.takeSpec(); // what creating it compiled has the old limits
    context.table.update(record, true);
    context.events.emit("container", "update", record.id, describe(record));
  });
}
