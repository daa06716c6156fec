/** Repair of a store: what `check` found is made again from what is whole, or let go. See docs/images.md, "Checking and repair". */
import * as fs from "node:fs";
import { join } from "node:path";
import { messageOf } from "../lib/errors.ts";
import { familiar } from "./catalog.ts";
import { LAYOUT } from "./check.ts";
import { digestOf } from "./digest.ts";
import { writeWhole } from "./files.ts";
import { diffIdsOf, manifestFor, parseConfig } from "./image-config.ts";
import { storeIndex } from "./image-index.ts";
import type { Rooms } from "./rooms.ts";
import type { ImagesInUse, StoreProblem } from "./types.ts";

/** What repairs of a store work on. */
export interface Repaired extends Rooms {
  /** Removes an image with all its names. */
  remove(id: string): Promise<unknown>;
  collectGarbage(): Promise<unknown>;
}

/** Mends problem after problem; what one repair takes away needs no other. `inUse`: images that containers need. */
export async function repairStore(
  store: Repaired,
  problems: readonly StoreProblem[],
  inUse: ImagesInUse,
): Promise<StoreProblem[]> {
  const done: StoreProblem[] = [];
  const lost = new Set<string>();
  for (const problem of problems) {
    let repaired: string | null;
    try {
      repaired = await mend(store, problem, inUse, lost);
    } catch (error) {
      repaired = null;
      done.push({ ...problem, repaired, advice: `the repair failed: ${messageOf(error)}` });
      continue;
    }
    done.push({ ...problem, repaired });
  }
  store.catalog.reload();
  await store.content.flushNames();
  return done;
}

async function mend(store: Repaired, problem: StoreProblem, inUse: ImagesInUse, lost: Set<string>): Promise<string | null> {
  const { content, database, catalog, mounts } = store;
  const sized = (digest: string) => ({ digest, size: content.blob(digest).size });
  const { kind, image, layer, path } = problem;
  if (kind === "orphan") {
    await store.collectGarbage();
    return "removed";
  }
  if (kind === "layout") {
    if (path === "oci-layout") fs.writeFileSync(join(content.root, path), LAYOUT, { flush: true });
    return "written again";
  }
  if (image === null) {
    if (layer === null) return null;
    fs.rmSync(content.blobPath(layer), { force: true });
    database.removeLayerBlobs([layer]);
    return "removed: the next pull brings it again";
  }
  if (lost.has(image)) return "gone with its image";
  const known = catalog.get(image);
  if (!known) return "its image was removed meanwhile";
  const { record } = known;
  if (kind === "index") {
    const layers = record.layers.map((diffId) => ({ diffId, size: sized(diffId).size }));
    await storeIndex(content, image, layers);
    mounts.release(image);
    return "built again; containers that run keep the old one until they end";
  }
  if (kind === "configuration" || kind === "manifest") {
    const config = { digest: image, size: Buffer.byteLength(record.config) };
    const layers = record.layers.map(sized);
    const text = kind === "configuration" ? record.config : manifestFor(config, layers).text;
    await writeWhole(join(content.root, path), content.temporaryPath(), text);
    return "written again";
  }
  if (kind === "document") {
    const digest = `sha256:${path.slice("blobs/sha256/".length)}`;
    catalog.changed(database.removeDocument(digest));
    fs.rmSync(join(content.root, path), { force: true });
    return "forgotten, with the name its registry has for the image";
  }
  if (kind === "record" && restoreRecord(store, image)) return "written again from the image's configuration";
  // A layer, or a record without its configuration: only whoever has the image can bring it back.
  if (layer !== null) {
    fs.rmSync(content.blobPath(layer), { force: true });
    database.removeLayerBlobs([layer]);
  }
  mounts.release(image);
  const names = known.names.map(familiar).join(", ") || image;
  if (inUse.has(image) && layer !== null) {
    return `the layer was removed; the record of ${names} stays because a container needs it, and loading or pulling the image again mends it`;
  }
  if (inUse.has(image)) return null;
  lost.add(image);
  await store.remove(image);
  return `removed the image ${names}: load or pull it again`;
}

/** Writes an image's record again, which follows from its configuration; false where that is damaged too, or a layer is missing. */
function restoreRecord({ content, database, catalog }: Repaired, id: string): boolean {
  const file = content.blobPath(id);
  const text = fs.existsSync(file) ? fs.readFileSync(file, "utf8") : "";
  if (digestOf(text) !== id) return false;
  const layers = diffIdsOf(parseConfig(text, `image ${id}`));
  if (layers.some((diffId) => !content.hasBlob(diffId))) return false;
  const sizes = layers.map((digest) => ({ digest, size: content.blob(digest).size }));
  const manifest = manifestFor({ digest: id, size: Buffer.byteLength(text) }, sizes);
  const size = sizes.reduce((sum, layer) => sum + layer.size, 0);
  if (!content.hasBlob(digestOf(manifest.text))) return false;
  catalog.changed(database.restoreImage({ id, config: text, manifest: digestOf(manifest.text), layers, size }));
  return true;
}
