/** `image prune` and `container prune`: what nobody needs goes, and how much that gives back is told. */
import { ImageNotFound } from "../images/errors.ts";
import type { RemovedImages } from "../images/types.ts";
import { bytesBelow } from "../lib/disk.ts";
import { type Context, imagesInUse } from "./context.ts";
import { type Prunable, pruneTest } from "./filters.ts";
import { createdSeconds } from "./images.ts";
import { containerPaths } from "./layout.ts";
import { removeContainer } from "./remove.ts";
import { isSnapshotImageName } from "./snapshot-image.ts";
import { WrongState } from "./state.ts";
import type { EngineEvent } from "./types.ts";

type Filters = Readonly<Record<string, readonly string[]>>;

/**
 * Removes images without a name, with `all` also named ones, that neither a container nor a mount nor a manifest list needs.
 * `reclaimed`: bytes of the files that went. Throws "invalid_filter".
 */
export async function pruneImages(
  context: Context,
  all: boolean,
  filters: Filters,
  remove: (id: string) => Promise<RemovedImages>,
): Promise<{ untagged: string[]; deleted: string[]; reclaimed: number }> {
  const test = pruneTest(filters);
  const result = { untagged: [] as string[], deleted: [] as string[], reclaimed: 0 };
  for (const { id } of context.images.list()) {
    const { untagged, deleted, freed } = await pruneImage(id).catch(unlessGone);
    result.untagged.push(...untagged);
    result.deleted.push(...deleted);
    result.reclaimed += freed;
  }
  tellPruned(context, "image", result.reclaimed);
  return result;

  // Looked at when its turn comes: others remove and name images, and make containers, while one is being deleted.
  async function pruneImage(id: string): Promise<RemovedImages> {
    const image = context.images.get(id);
    if (image.names.some(isSnapshotImageName)) return NOTHING;
    if ((!all && image.names.length > 0) || imagesInUse(context).has(id) || context.images.lists.needs(id)) return NOTHING;
    return test({ created: createdSeconds(image), labels: image.config.config.Labels }) ? remove(id) : NOTHING;
  }
}

/** An event for all that a prune has removed together. */
export const tellPruned = (context: Context, type: EngineEvent["type"], bytes: number): void =>
  context.events.emit(type, "prune", "", { reclaimed: String(bytes) });

const NOTHING: RemovedImages = { untagged: [], untaggedFrom: [], deleted: [], freed: 0 };

const unlessGone = (error: unknown): RemovedImages => {
  if (error instanceof ImageNotFound) return NOTHING;
  throw error;
};

/**
 * Removes containers that do not run. `reclaimed`: bytes of their files, which are gone when this returns. One that is started
 * meanwhile stays. Throws "invalid_filter".
 */
export async function pruneContainers(context: Context, filters: Filters): Promise<{ deleted: string[]; reclaimed: number }> {
  const test = pruneTest(filters);
  const result = { deleted: [] as string[], reclaimed: 0 };
  for (const container of [...context.containers.values()]) {
    const { record } = container;
    const thing: Prunable = { created: Number(record.createdNs) / 1e9, labels: record.request.labels };
    if (container.isActive || record.state.status === "removing" || !test(thing)) continue;
    const bytes = bytesBelow(containerPaths(context.layout, record.id).directory);
    try {
      await removeContainer(context, container, { force: false, volumes: false });
    } catch (error) {
      if (error instanceof WrongState) continue;
      throw error;
    }
    result.deleted.push(record.id);
    result.reclaimed += bytes;
  }
  await Promise.allSettled(context.deletions);
  tellPruned(context, "container", result.reclaimed);
  return result;
}
