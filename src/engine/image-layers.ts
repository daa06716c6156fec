/** What images are made of: the history of one, the layers of all and who shares them. */
import type { Image, ImageStore } from "../images/types.ts";
import { createdSeconds } from "./images.ts";
import type { HistoryEntry, ImageTree } from "./types.ts";

const secondsOf = (moment: string | undefined): number => Math.floor(Date.parse(moment ?? "") / 1000) || 0;

/** The image's history, newest first. Layers that the history does not tell of stand below it. */
export function historyOf(store: ImageStore, reference: string, platform?: string): HistoryEntry[] {
  const image = store.get(reference, platform);
  const layers = store.layers(image.id);
  const history = image.config.history ?? [];
  const told = history.filter(({ empty_layer }) => !empty_layer).length;
  const untold = Math.max(0, layers.length - told);
  let at = untold;
  const line = (created: number, createdBy: string, size: number, comment: string): HistoryEntry => ({
    id: "<missing>",
    created,
    createdBy,
    size,
    comment,
    tags: [],
  });
  const lines = [
    ...layers.slice(0, untold).map(({ size }) => line(createdSeconds(image), "", size, "")),
    ...history.map(({ created, created_by, comment, empty_layer }) =>
      line(secondsOf(created), created_by ?? "", empty_layer ? 0 : (layers[at++]?.size ?? 0), comment ?? ""),
    ),
  ].reverse();
  if (lines[0]) lines[0] = { ...lines[0], id: image.id, tags: image.names };
  return lines;
}

const nameOf = ({ id, names }: Image): string => names[0] ?? id;

/** Layers of one image with their waste, or of every image without. */
export function imageTrees(store: ImageStore, reference: string | undefined): ImageTree[] {
  const all = store.list();
  const owners = new Map<string, Image[]>();
  for (const image of all) {
    for (const diffId of new Set(image.config.rootfs.diff_ids)) owners.set(diffId, [...(owners.get(diffId) ?? []), image]);
  }
  const chosen = reference === undefined ? all : [store.get(reference)];
  return chosen.map((image) => {
    const made = (image.config.history ?? []).filter(({ empty_layer }) => !empty_layer);
    const waste = reference === undefined ? undefined : store.waste(image.id);
    const layers = store.layers(image.id).map(({ diffId, size }, i) => {
      const sharedWith = (owners.get(diffId) ?? []).filter(({ id }) => id !== image.id).map(nameOf);
      const lost = waste?.[i];
      return { diffId, size, createdBy: made[i]?.created_by ?? "", sharedWith, ...(lost ? { waste: lost } : {}) };
    });
    return { id: image.id, names: image.names, size: image.size, layers };
  });
}
