/** Removal of images, or of one of their names. */
import * as fs from "node:fs";
import type { Platform } from "../oci/platform.ts";
import { familiar, type Known } from "./catalog.ts";
import { discard } from "./discard.ts";
import { ImageInUse } from "./errors.ts";
import type { Rooms } from "./rooms.ts";
import type { RemoveOptions } from "./types.ts";

export interface RemovalOptions extends Pick<RemoveOptions, "force" | "inUse"> {
  /** Whether a manifest list needs an image. */
  listed(id: string): boolean;
  /** Of a name's images that of one platform; null: all of them. */
  readonly platform: Platform | null;
}

/** What goes of an image: these names, and with the last one the image. */
interface Removal {
  readonly known: Known;
  readonly names: readonly string[];
  readonly last: boolean;
}

/** Removes a name and, with the last one, the image. Throws ImageNotFound, ImageAmbiguous, OtherPlatform, ImageInUse. */
export function removeImage(store: Rooms, reference: string, options: RemovalOptions): { untagged: string[]; deleted: string[] } {
  const { known, name } = store.catalog.find(reference, options.platform);
  const found = options.platform ? [known] : store.catalog.findAll(reference).found;
  // What cannot be done is told before anything is.
  const removals = found.map((each) => removalOf(each, name, reference, options));
  const untagged = new Set<string>();
  const deleted: string[] = [];
  for (const { known, names, last } of removals) {
    for (const each of names) untagged.add(familiar(each));
    if (last) deleted.push(...deleteImage(store, known));
    else store.catalog.changed(store.database.removeNames(known.record.id, names));
  }
  return { untagged: [...untagged], deleted };
}

/** Of an image that was found by `name`, or by its id or digest where that is null. Throws ImageInUse. */
function removalOf(known: Known, name: string | null, reference: string, { force, inUse, listed }: RemovalOptions): Removal {
  const { id } = known.record;
  if (name === null && known.names.length > 1 && !force) {
    throw new ImageInUse(
      `image ${id} has several names (${known.names.map(familiar).join(", ")}); remove them one by one, or with force`,
    );
  }
  const names = name === null ? known.names : [name];
  const last = known.names.every((each) => names.includes(each));
  const used = inUse.has(id) || listed(id);
  if (last && used && !force) {
    const who = inUse.has(id) ? "container or mount" : "manifest list";
    throw new ImageInUse(`image ${reference} is needed by a ${who}; remove that first`);
  }
  // A container's image stays, without a name, until the container is gone.
  return { known, names, last: last && !used };
}

/** Returns the digests that went with it. */
function deleteImage(store: Rooms, { record, documents: kept }: Known): string[] {
  const { id, manifest } = record;
  const documents = kept.map(({ digest }) => digest);
  store.catalog.changed(store.database.removeImage(id));
  store.mounts.release(id);
  const deleted = [
    id,
    ...discard(store, [...record.layers]),
    ...discard(store, [id, manifest, ...documents]).filter((digest) => digest !== id),
  ];
  fs.rmSync(store.content.indexPath(id), { force: true });
  fs.rmSync(store.content.treePath(id), { recursive: true, force: true });
  return deleted.filter((digest) => digest !== manifest && !documents.includes(digest));
}
