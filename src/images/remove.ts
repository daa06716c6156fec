/** Removal of an image, or of one of its names. */
import * as fs from "node:fs";
import { familiar } from "./catalog.ts";
import { discard } from "./discard.ts";
import { ImageInUse } from "./errors.ts";
import type { Rooms } from "./rooms.ts";

export interface RemoveOptions {
  readonly force?: boolean;
  /** Images that containers need. */
  readonly inUse: ReadonlySet<string>;
  /** Whether a manifest list needs an image. */
  listed(id: string): boolean;
}

/** Removes a name and, with the last one, the image. Throws ImageNotFound, ImageAmbiguous, ImageInUse. */
export function removeImage(store: Rooms, reference: string, options: RemoveOptions): { untagged: string[]; deleted: string[] } {
  const { known, name } = store.catalog.find(reference);
  const { id } = known.record;
  const others = known.names.filter((other) => other !== name);
  if (name === null && known.names.length > 1 && !options.force) {
    throw new ImageInUse(
      `image ${id} has several names (${known.names.map(familiar).join(", ")}); remove them one by one, or with force`,
    );
  }
  const last = name === null || others.length === 0;
  const used = options.inUse.has(id) || options.listed(id);
  if (last && used && !options.force) {
    const who = options.inUse.has(id) ? "container" : "manifest list";
    throw new ImageInUse(`image ${reference} is needed by a ${who}; remove the ${who} first`);
  }
  const untag = name === null ? known.names : [name];
  const untagged = untag.map(familiar);
  // A container's image stays, without a name, until the container is gone.
  if (!last || used) {
    store.catalog.changed(store.database.removeNames(untag));
    return { untagged, deleted: [] };
  }
  const documents = known.documents.map(({ digest }) => digest);
  store.catalog.changed(store.database.removeImage(id));
  store.mounts.release(id);
  const deleted = [
    id,
    ...discard(store, [...known.record.layers]),
    ...discard(store, [id, known.record.manifest, ...documents]).filter((digest) => digest !== id),
  ];
  fs.rmSync(store.content.indexPath(id), { force: true });
  fs.rmSync(store.content.treePath(id), { recursive: true, force: true });
  return { untagged, deleted: deleted.filter((digest) => digest !== known.record.manifest && !documents.includes(digest)) };
}
