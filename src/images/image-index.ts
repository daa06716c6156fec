/** An image's index on disk: built from its layers' entries, written beside, flushed, renamed. */
import * as fs from "node:fs";
import type { TarEntry } from "../archive/tar-types.ts";
import { hexOf } from "../oci/digest.ts";
import type { ContentStore } from "./content.ts";
import { type ErofsIndex, writeIndex } from "./erofs.ts";
import { explainDisk, flush } from "./files.ts";
import { scanLayer } from "./layer.ts";
import { buildTree, type Inode, layOver, Tree } from "./tree.ts";
import { sealIndex } from "./verity.ts";

/** One layer of an image; entries are read from the store where they are not at hand. */
export interface IndexLayer {
  readonly diffId: string;
  readonly size: number;
  readonly entries?: readonly TarEntry[];
  /** Where the tar lies while it is not in the store yet. */
  readonly path?: string;
  /** Resolves when all of the tar is in its file. */
  readonly written?: () => Promise<void>;
}

const entriesOf = (store: ContentStore, { entries, diffId }: IndexLayer): readonly TarEntry[] =>
  entries ?? scanLayer(store.blobPath(diffId));

/** The image's merged tree. Throws "layer_invalid". */
export const treeOf = (store: ContentStore, layers: readonly IndexLayer[]): Inode =>
  buildTree(layers.map((layer) => entriesOf(store, layer)));

export const indexOf = (store: ContentStore, imageId: string, layers: readonly IndexLayer[], tree?: Inode): ErofsIndex =>
  writeIndex(tree ?? treeOf(store, layers), {
    layers: layers.map(({ diffId, size }) => ({ tag: hexOf(diffId), size })),
    uuid: Buffer.from(hexOf(imageId).slice(0, 32), "hex"),
  });

const COPY_BYTES = 1 << 20;

/** Copies pieces of the layers behind the index. */
const copyPieces = (fd: number, store: ContentStore, layers: readonly IndexLayer[], index: ErofsIndex): void => {
  if (index.copies.length === 0) return;
  const buffer = Buffer.allocUnsafe(COPY_BYTES);
  const open = new Map<number, number>();
  try {
    for (const { layer, from, length, to } of index.copies) {
      const source = open.get(layer) ?? fs.openSync(layers[layer]!.path ?? store.blobPath(layers[layer]!.diffId), "r");
      open.set(layer, source);
      for (let done = 0; done < length; ) {
        const bytes = fs.readSync(source, buffer, 0, Math.min(COPY_BYTES, length - done), from + done);
        if (bytes === 0) throw new Error(`${layers[layer]!.diffId} is shorter than its headers say`);
        fs.writeSync(fd, buffer, 0, bytes, to + done);
        done += bytes;
      }
    }
  } finally {
    for (const source of open.values()) fs.closeSync(source);
  }
};

/** Writes the index to a temporary file; returns it open. */
const writeTemporary = (store: ContentStore, layers: readonly IndexLayer[], index: ErofsIndex): { fd: number; path: string } => {
  const path = store.temporaryPath();
  const fd = fs.openSync(path, "wx", 0o644);
  try {
    for (let done = 0; done < index.bytes.length; ) done += fs.writeSync(fd, index.bytes, done, index.bytes.length - done, done);
    if (index.size > index.bytes.length) fs.ftruncateSync(fd, index.size);
    copyPieces(fd, store, layers, index);
    return { fd, path };
  } catch (error) {
    fs.closeSync(fd);
    fs.rmSync(path, { force: true });
    throw explainDisk(error, "writing an image's index");
  }
};

/**
 * Builds and stores an image's index, durable but for its name. The tree grows with each layer that comes, lowest first. Throws
 * "layer_invalid", "out_of_disk", and what a layer that does not come rejects with.
 */
export const storeIndex = async (
  store: ContentStore,
  imageId: string,
  coming: readonly (IndexLayer | Promise<IndexLayer>)[],
): Promise<void> => {
  const tree = new Tree();
  const layers: IndexLayer[] = [];
  for (const layer of coming) {
    layers.push(await layer);
    layOver(tree, entriesOf(store, layers.at(-1)!), layers.length - 1, coming.length);
  }
  const index = indexOf(store, imageId, layers, tree.finish());
  for (const layer of new Set(index.copies.map(({ layer }) => layer))) await layers[layer]!.written?.();
  const { fd, path } = writeTemporary(store, layers, index);
  try {
    await flush(fd).finally(() => fs.closeSync(fd));
    sealIndex(path);
    fs.renameSync(path, store.indexPath(imageId));
  } catch (error) {
    fs.rmSync(path, { force: true });
    throw explainDisk(error, "writing an image's index");
  }
};

/** As storeIndex, for a caller that cannot wait: an index that somebody deleted is made again. */
export const restoreIndex = (store: ContentStore, imageId: string, layers: readonly IndexLayer[]): void => {
  const { fd, path } = writeTemporary(store, layers, indexOf(store, imageId, layers));
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
  sealIndex(path);
  fs.renameSync(path, store.indexPath(imageId));
};

const SUPER = 1024;
const DEVICES = SUPER + 128;
const SLOT = 128;
/** Head of an index with as many devices as most have at most; one with more is read twice. */
const HEAD = DEVICES + 64 * SLOT;

/** The layers that an index has as data devices, in their order, by the tags of its device table: diffIDs without "sha256:". */
export const devicesOf = (indexPath: string): string[] => {
  const fd = fs.openSync(indexPath, "r");
  try {
    let head = readHead(fd, HEAD);
    const count = head.readUInt16LE(SUPER + 86);
    if (DEVICES + count * SLOT > HEAD) head = readHead(fd, DEVICES + count * SLOT);
    const table = head.toString("latin1", DEVICES, DEVICES + count * SLOT);
    return Array.from({ length: count }, (_, i) => table.slice(i * SLOT, i * SLOT + 64));
  } finally {
    fs.closeSync(fd);
  }
};

const readHead = (fd: number, length: number): Buffer => {
  const head = Buffer.alloc(length);
  fs.readSync(fd, head, 0, length, 0);
  return head;
};
