/** Removal of images, or of their names. */
import * as fs from "node:fs";
import { parsePlatform } from "../oci/platform.ts";
import { familiar, type Known } from "./catalog.ts";
import type { RepositoryDigest } from "./database.ts";
import { discard, discardDerived } from "./discard.ts";
import { ImageInUse } from "./errors.ts";
import type { Rooms } from "./rooms.ts";
import type { RemovedImages, RemoveOptions } from "./types.ts";

/**
 * Removes a name, from all the images that have it or from one platform's, and the images it was the last name of; `listed` says
 * whether a manifest list needs an image. What is refused is refused before anything is removed. Throws ImageNotFound,
 * ImageAmbiguous, ImageInUse, "platform_not_found".
 */
export async function removeImages(
  store: Rooms,
  reference: string,
  options: RemoveOptions,
  listed: (id: string) => boolean,
): Promise<RemovedImages> {
  const platform = options.platform === undefined ? null : parsePlatform(options.platform);
  const { known, name } = store.catalog.find(reference, platform);
  const found = platform ? [known] : store.catalog.findAll(reference).found;
  const { digest } = store.catalog.findAll(reference);
  const steps = found.map((each) => removalOf(each, { name, digest }, reference, options, listed(each.record.id)));
  const untagged = new Map<string, string>();
  const deleted: string[] = [];
  let freed = 0;
  // To delete a large file takes the kernel long: it loses its name at once, and goes on a thread of the pool. What a killed process
  // leaves in the temporary area is deleted when the store is opened.
  const aside: string[] = [];
  const putAside = (path: string): void => {
    const temporary = store.content.temporaryPath();
    fs.renameSync(path, temporary);
    aside.push(temporary);
  };
  for (const { known, names, digests, last } of steps) {
    const { id } = known.record;
    for (const each of names) untagged.set(familiar(each), id);
    for (const { repository, digest } of digests) untagged.set(familiar(`${repository}@${digest}`), id);
    if (last) {
      const gone = deleteImage(store, known, putAside);
      deleted.push(...gone.deleted);
      freed += gone.freed;
    } else store.catalog.changed(store.database.removeNames(id, names, digests));
  }
  await Promise.allSettled(aside.map((path) => fs.promises.rm(path, { force: true })));
  return { untagged: [...untagged.keys()], untaggedFrom: [...untagged.values()], deleted, freed };
}

/** The repository of a canonical name. */
const repositoryOf = (name: string): string => name.slice(0, name.lastIndexOf(":"));

/** With the last of its names in a repository an image loses what that repository calls it, as Docker has it. */
const lostRepositories = (known: Known, gone: readonly string[]): string[] => {
  const kept = new Set(known.names.filter((name) => !gone.includes(name)).map(repositoryOf));
  return [...new Set(gone.map(repositoryOf))].filter((repository) => !kept.has(repository));
};

interface Removal {
  readonly known: Known;
  /** Canonical names that go. */
  readonly names: readonly string[];
  /** What repositories call it by, and go. */
  readonly digests: readonly RepositoryDigest[];
  /** The image goes with them. */
  readonly last: boolean;
}

/** How an image was found: by a name, by what a repository calls it by, or, where both are null, by its id. */
interface FoundBy {
  readonly name: string | null;
  readonly digest: RepositoryDigest | null;
}

/** What removing an image means. Throws ImageInUse. */
const removalOf = (
  known: Known,
  { name, digest }: FoundBy,
  reference: string,
  { force, inUse }: RemoveOptions,
  listed: boolean,
): Removal => {
  const { id } = known.record;
  const byId = name === null && digest === null;
  if (byId && known.names.length > 1 && !force) {
    throw new ImageInUse(
      `image ${id} has several names (${known.names.map(familiar).join(", ")}); remove them one by one, or with force`,
    );
  }
  const names = byId ? known.names : name === null ? [] : [name];
  const lost = lostRepositories(known, names);
  const isGone = (each: RepositoryDigest): boolean =>
    byId || (digest ? each.repository === digest.repository && each.digest === digest.digest : lost.includes(each.repository));
  const namesLast = known.names.every((each) => names.includes(each));
  // a digest that a repository calls it by keeps an image like a name, where somebody takes away another digest
  const last = namesLast && (digest === null || known.repositoryDigests.every(isGone));
  const used = inUse.has(id) || listed;
  if (last && used && !force) {
    const who = inUse.has(id) ? "container or mount" : "manifest list";
    throw new ImageInUse(`image ${reference} is needed by a ${who}; remove that first`);
  }
  // A container's image stays, without a name, until the container is gone.
  const goes = last && !used;
  return { known, names, digests: known.repositoryDigests.filter((each) => goes || isGone(each)), last: goes };
};

/** Deletes an image with all its names; returns the digests and bytes that went with it. */
const deleteImage = (
  store: Rooms,
  { record, documents }: Known,
  remove: (path: string) => void,
): { deleted: string[]; freed: number } => {
  const { id, manifest, layers } = record;
  store.catalog.changed(store.database.removeImage(id));
  store.mounts.release(id);
  const gone = discard(store, layers, remove);
  const described = discard(store, [id, manifest, ...documents.map(({ digest }) => digest)]);
  const derived = discardDerived(store, id);
  const freed = [...gone.values(), ...described.values()].reduce((sum, bytes) => sum + bytes, derived);
  return { deleted: [id, ...gone.keys()], freed };
};
