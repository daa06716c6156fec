/** Garbage collection of images, by age and by size: at a timer as engine.toml says, and by hand. */
import { OnggiError } from "../lib/errors.ts";
import { type Context, imagesInUse, inBackground } from "./context.ts";
import { collectionPlan } from "./gc-plan.ts";
import { removeImage } from "./image-removal.ts";
import { isSnapshotImageName } from "./snapshot-image.ts";
import type { Collection, CollectRequest } from "./types.ts";

/** How often it is looked whether a collection is due, at least, in milliseconds. */
const LOOK_EVERY = 60_000;

/**
 * Removes images that no container, mount, snapshot or manifest list needs: those that nobody has used for `unusedFor`, then those that
 * were used longest ago until all take no more than `keepStorage`. One with a name goes only with `all`. What is not asked for is as
 * engine.toml says. Throws `nothing_to_collect` where neither says anything.
 */
export async function collectImages(context: Context, asked: CollectRequest): Promise<Collection> {
  const { images, imageUses, configuration } = context;
  const {
    keepStorage = configuration.gc.keepStorage,
    unusedFor = configuration.gc.unusedFor,
    all = configuration.gc.all,
  } = asked;
  if (keepStorage === undefined && unusedFor === undefined) {
    throw new OnggiError("nothing_to_collect", "say what may go, by --unused-for or --keep-storage, or in engine.toml by [gc]");
  }
  const now = Date.now();
  const used = imagesInUse(context);
  const found = images.list();
  // what was never seen has just come
  for (const { id } of found) if (used.has(id) || imageUses.lastUsed(id) === undefined) imageUses.touch(id, now);
  imageUses.keep(new Set(found.map(({ id }) => id)));
  const candidates = found.map(({ id, names }) => ({
    id,
    lastUsed: imageUses.lastUsed(id) ?? now,
    layers: images.layers(id),
    isFree: !used.has(id) && !images.lists.needs(id) && !names.some(isSnapshotImageName) && (all || names.length === 0),
  }));
  const limits = { keepStorage, unusedFor: unusedFor === undefined ? undefined : unusedFor * 1000 };
  const { ids, bytes } = collectionPlan(candidates, limits, now);
  const known = new Map(found.map((image) => [image.id, image]));
  const planned = ids.map((id) => {
    const { names, size } = known.get(id)!;
    return { id, names: [...names], size, lastUsed: new Date(imageUses.lastUsed(id) ?? now).toISOString() };
  });
  if (asked.dryRun) return { images: planned, reclaimed: bytes };
  const result: Collection = { images: [], reclaimed: 0 };
  for (const image of planned) {
    // others use and name images while one is being deleted
    const isFree = !imagesInUse(context).has(image.id) && !images.lists.needs(image.id);
    const names = isFree ? images.list().find(({ id }) => id === image.id)?.names : undefined;
    if (names === undefined || (!all && names.length > 0)) continue;
    const { deleted, freed } = await removeImage(context, image.id, true);
    if (!deleted.includes(image.id)) continue;
    result.images.push(image);
    result.reclaimed += freed;
  }
  return result;
}

/** Collects when it is time; what is returned ends that. */
export function collectAtTimes(context: Context): () => void {
  let last = Date.now();
  let timer: NodeJS.Timeout;
  const look = async (): Promise<void> => {
    const { keepStorage, unusedFor, every } = context.configuration.gc;
    const isDue = (keepStorage !== undefined || unusedFor !== undefined) && Date.now() - last >= every * 1000;
    if (!isDue) return;
    last = Date.now();
    const { images, reclaimed } = await collectImages(context, {});
    if (images.length > 0) context.log(`collected ${images.length} images, ${reclaimed} bytes`);
  };
  const wait = (): void => {
    timer = setTimeout(
      () => inBackground(context, "collect images", () => look().finally(wait)),
      Math.min(context.configuration.gc.every * 1000, LOOK_EVERY),
    );
    timer.unref();
  };
  wait();
  return () => clearTimeout(timer);
}
