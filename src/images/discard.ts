/** Content that nobody needs any more: blobs go with the last image or operation that needs them. */
import * as fs from "node:fs";
import type { Digest } from "../oci/digest.ts";
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
    discard(store, digests);
  }
}

/** After a failure that leaves layers for the next try: the index that had been begun goes, unless somebody else needs it. */
export function forgetIndex(store: Rooms, lease: Lease, id: Digest): void {
  lease.digests.delete(id);
  if (!store.catalog.has(id) && !store.content.isLeased(id)) fs.rmSync(store.content.indexPath(id), { force: true });
}

/** After a failure: what the operation had already put into the store, and nothing else needs, goes again. */
export function forget(store: Rooms, lease: Lease): void {
  const digests = [...lease.digests];
  lease.digests.clear();
  for (const digest of digests) {
    if (store.catalog.has(digest) || store.content.isLeased(digest)) continue;
    store.mounts.release(digest);
    fs.rmSync(store.content.indexPath(digest), { force: true });
    fs.rmSync(store.content.treePath(digest), { recursive: true, force: true });
  }
  discard(store, digests);
}

/** Deletes blobs that no image and no operation needs; returns their digests and bytes. */
export function discard(store: Rooms, digests: readonly string[]): Map<string, number> {
  const gone = new Map<string, number>();
  for (const digest of digests) {
    const size = store.content.blobSize(digest);
    if (store.catalog.needs(digest) || store.content.isLeased(digest) || size === null) continue;
    fs.rmSync(store.content.blobPath(digest), { force: true });
    gone.set(digest, size);
  }
  store.database.removeLayerBlobs([...gone.keys()]);
  return gone;
}
