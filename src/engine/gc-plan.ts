/** Which images a collection removes. Pure. */

export interface CollectedImage {
  readonly id: string;
  /** Milliseconds since the epoch. */
  readonly lastUsed: number;
  readonly layers: readonly { readonly diffId: string; readonly size: number }[];
  /** It may go. */
  readonly isFree: boolean;
}

export interface CollectionLimits {
  /** Those that nobody has used for that long go; milliseconds. */
  readonly unusedFor?: number | undefined;
  /** Then those that were used longest ago, until all layers take no more than that; bytes. */
  readonly keepStorage?: number | undefined;
}

/** What engine.toml says of it. */
export interface CollectionSettings {
  /** Bytes. */
  readonly keepStorage?: number | undefined;
  /** Seconds. */
  readonly unusedFor?: number | undefined;
  /** Images with names, too. */
  readonly all: boolean;
  /** Seconds from one collection to the next. */
  readonly every: number;
}

/**
 * The ids of the images to remove, in the order in which they were last used, and the bytes of the layers that go with them: a layer
 * goes with the last image that has it.
 */
export function collectionPlan(
  images: readonly CollectedImage[],
  { unusedFor, keepStorage }: CollectionLimits,
  now: number,
): { readonly ids: string[]; readonly bytes: number } {
  const users = new Map<string, { readonly size: number; count: number }>();
  for (const { layers } of images) {
    for (const { diffId, size } of new Map(layers.map((layer) => [layer.diffId, layer])).values()) {
      const user = users.get(diffId) ?? { size, count: 0 };
      user.count += 1;
      users.set(diffId, user);
    }
  }
  const total = [...users.values()].reduce((sum, { size }) => sum + size, 0);
  const ids: string[] = [];
  let bytes = 0;
  const free = images.filter(({ isFree }) => isFree).sort((a, b) => a.lastUsed - b.lastUsed);
  for (const { id, lastUsed, layers } of free) {
    const isOld = unusedFor !== undefined && now - lastUsed >= unusedFor;
    const isTooMuch = keepStorage !== undefined && total - bytes > keepStorage;
    if (!isOld && !isTooMuch) continue;
    ids.push(id);
    for (const diffId of new Set(layers.map((layer) => layer.diffId))) {
      const user = users.get(diffId)!;
      user.count -= 1;
      if (user.count === 0) bytes += user.size;
    }
  }
  return { ids, bytes };
}
