import { decimalSize } from "../lib/units.ts";
import { type Context, line } from "./context.ts";
import { bool, list } from "./flags.ts";

/** What the prunes share: flags, and how they tell what went. */

export const pruneFlags = {
  filter: list("", "KEY=VALUE", "only those: until, label, label!"),
  force: bool("f", "do not ask"),
};

type Filters = Record<string, string[]> | undefined;

/** Removes containers that do not run, tells which; gives the bytes they had. */
export async function pruneContainers(context: Context, filters: Filters): Promise<number> {
  const { deleted, reclaimed } = await context.call("containerPrune", filters ? { filters } : {});
  if (deleted.length > 0) await line(context.stdout, ["Deleted Containers:", ...deleted, ""].join("\n"));
  return reclaimed;
}

/** Removes images that nothing needs, tells which; gives the bytes they had. */
export async function pruneImages(context: Context, all: boolean, filters: Filters): Promise<number> {
  const request = { ...(all ? { all } : {}), ...(filters ? { filters } : {}) };
  const { untagged, deleted, reclaimed } = await context.call("imagePrune", request);
  const lines = [...untagged.map((name) => `untagged: ${name}`), ...deleted.map((id) => `deleted: ${id}`)];
  if (lines.length > 0) await line(context.stdout, ["Deleted Images:", ...lines, ""].join("\n"));
  return reclaimed;
}

/** Removes volumes that no container has, tells which; gives the bytes they had. */
export async function pruneVolumes(context: Context, all: boolean, filters: Filters): Promise<number> {
  const { deleted, reclaimed } = await context.call("volumePrune", { ...(all ? { all } : {}), ...(filters ? { filters } : {}) });
  if (deleted.length > 0) await line(context.stdout, ["Deleted Volumes:", ...deleted, ""].join("\n"));
  return reclaimed;
}

/** Removes networks that no container is in, tells which. */
export async function pruneNetworks(context: Context, filters: Filters): Promise<void> {
  const { deleted } = await context.call("networkPrune", filters ? { filters } : {});
  if (deleted.length > 0) await line(context.stdout, ["Deleted Networks:", ...deleted, ""].join("\n"));
}

export const tellReclaimed = (context: Context, bytes: number): Promise<void> =>
  line(context.stdout, `Total reclaimed space: ${decimalSize(bytes)}`);
