/** Content that nobody needs any more: blobs go with the last image or operation that needs them. */
import * as fs from "node:fs";
import { bytesBelow } from "../lib/disk.ts";
import type { Lease } from "./content.ts";
import type { Rooms } from "./rooms.ts";

/**
 * Runs what only reads blobs. They stay meanwhile, whoever removes their images; what nobody needs any more goes with the end.
 */
export async function holding<T>(store: Rooms, digests: readonly string[], work: (lease: Lease) => Promise<T>): Promise<T> {
  try {
    return await store.content.leased((lease) => {
      for (const digest of digests) lease.digests.add(digest);
      return work(lease);
    });
  } finally {
    for (const digest of digests) discardDerived(store, digest);
    discard(store, digests);
  }
}

/** After a failure: what the operation had already put into the store, and nothing else needs, goes again, but for what is `kept`. */
export function forget(store: Rooms, lease: Lease, kept: ReadonlySet<string> = new Set()): void {
  const digests = [...lease.digests];
  lease.digests.clear();
  for (const digest of digests) discardDerived(store, digest);
  discard(
    store,
    digests.filter((digest) => !kept.has(digest)),
  );
}

/**
 * Deletes what was made of an image's layers, if it is no image any more and no operation is about to make it one again. Returns
 * the bytes. No error for a digest that never was an image.
 */
export function discardDerived({ catalog, content, mounts }: Rooms, id: string): number {
  if (catalog.has(id) || content.isLeased(id)) return 0;
  mounts.release(id);
  const [index, tree] = [content.indexPath(id), content.treePath(id)];
  const bytes = (fs.statSync(index, { throwIfNoEntry: false })?.size ?? 0) + bytesBelow(tree);
  fs.rmSync(index, { force: true });
  fs.rmSync(tree, { recursive: true, force: true });
  return bytes;
}

const deleteNow = (path: string): void => fs.rmSync(path, { force: true });

/** Deletes blobs that no image and no operation needs, by `remove`, after which the name is free; returns their digests and bytes. */
export function discard(store: Rooms, digests: readonly string[], remove = deleteNow): Map<string, number> {
  const gone = new Map<string, number>();
  for (const digest of digests) {
    const size = store.content.blobSize(digest);
    if (store.catalog.needs(digest) || store.content.isLeased(digest) || size === null) continue;
    remove(store.content.blobPath(digest));
    gone.set(digest, size);
  }
  store.database.removeLayerBlobs([...gone.keys()]);
  return gone;
}
