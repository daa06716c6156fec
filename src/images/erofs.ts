/**
 * Writes the EROFS index of an image: metadata only. A file's data stay in its layer's tar, which is one of the index's data
 * devices: all devices share one address space of 512-byte blocks (index first, then each tar), so a file whose bytes lie in
 * one run is a flat inode that costs 64 bytes and nothing else; only sparse files carry a list of chunk addresses.
 *
 *     [superblock, device table][inodes, each with attributes and small directories or link targets][directories][copies]
 *
 * A mount opens every device: an image of many layers has the small ones as copies instead.
 *
 * A whole tree is written into one buffer in two passes (place, write) without an object per directory entry.
 */

import { writeBytes } from "../archive/bytes.ts";
import type { TarEntry } from "../archive/tar-types.ts";
import {
  BLOCK_SIZE,
  blocksOf,
  type DeviceSlot,
  DIRENT_SIZE,
  deviceNumber,
  direntType,
  encodeXattrs,
  headSize,
  INODE_SIZE,
  layout,
  MAX_BLOCKS,
  MAX_XATTR_BODY,
  NID_UNIT,
  roundUp,
  writeHead,
  writeInode,
} from "./erofs-format.ts";
import { mapSparse, writeChunks } from "./erofs-sparse.ts";
import type { Copy } from "./erofs-types.ts";
import { LayerInvalid } from "./errors.ts";
import type { Inode, InodeExtra } from "./tree.ts";

export interface ErofsIndex {
  /** The index itself. */
  readonly bytes: Buffer;
  /** Layers that are data devices, in the order of the device table. */
  readonly devices: readonly number[];
  /** What has to be copied behind the index, with offsets from its start. */
  readonly copies: readonly Copy[];
  /** Size of the index file with the copies. */
  readonly size: number;
}

export interface IndexOptions {
  /** Name (at most 64 bytes) and size in bytes of each layer's tar. */
  readonly layers: readonly { readonly tag: string; readonly size: number }[];
  /** 16 bytes that name the file system. */
  readonly uuid: Uint8Array;
}

/** So many layers of an image are devices whatever their size. */
const FEW_DEVICES = 4;
/** Of an image with more of them, tars up to this size are copied. */
const MAX_COPIED_LAYER = 64 << 10;

/** Marks an inode that has been seen; no real address is negative. */
const PENDING = -1;

const extraOf = (inode: Inode): InodeExtra => {
  inode.extra ??= { xattrs: null, chunks: null, names: null, parent: null };
  return inode.extra;
};

/** All inodes, directories before what they hold, each once; link counts are set, and `layers` has those whose data are used. */
const collect = (root: Inode, layers: Set<number>): Inode[] => {
  const inodes: Inode[] = [root];
  const dirs: Inode[] = [root];
  root.links = 2;
  extraOf(root).parent = root;
  for (let d = 0; d < dirs.length; d++) {
    const dir = dirs[d]!;
    const names: string[] = [".", ".."];
    for (const [name, child] of dir.children!) {
      names.push(name);
      if (child.children) {
        child.links = 2;
        dir.links++;
        extraOf(child).parent = dir;
        dirs.push(child);
      } else if (child.nid === PENDING) {
        child.links++;
        continue;
      } else {
        child.nid = PENDING;
        child.links = 1;
        if (child.entry.stored > 0) layers.add(child.layer);
      }
      inodes.push(child);
    }
    extraOf(dir).names = names.sort();
  }
  return inodes;
};

/** Size of a directory: names are packed into blocks, a name never crosses one. Also the bytes used of the last block. */
const directorySize = (names: readonly string[]): { size: number; last: number } => {
  let full = 0;
  let used = 0;
  for (const name of names) {
    const need = DIRENT_SIZE + name.length;
    if (used + need > BLOCK_SIZE) {
      full++;
      used = 0;
    }
    used += need;
  }
  return { size: full * BLOCK_SIZE + used, last: used };
};

/** Sets a directory's size; returns the bytes of its last block. */
const sizeDirectory = (inode: Inode): number => {
  const { size, last } = directorySize(inode.extra!.names!);
  inode.dataSize = size;
  return last;
};

const sizeSymlink = (inode: Inode): number => {
  inode.dataSize = inode.entry.link.length;
  return inode.dataSize % BLOCK_SIZE;
};

/**
 * A tail behind its inode must not cross a block. Moves the inode on where that helps, else leaves the tail to a block of
 * its own. Returns where the inode begins.
 */
const placeTail = (inode: Inode, at: number, head: number, tail: number): number => {
  const offset = (at + head) % BLOCK_SIZE;
  const moved = at + roundUp(BLOCK_SIZE - offset, NID_UNIT);
  const fits = offset + tail <= BLOCK_SIZE;
  if (!fits && ((moved + head) % BLOCK_SIZE) + tail > BLOCK_SIZE) return at;
  inode.layout = layout.inline;
  return fits ? at : moved;
};

class Writer {
  readonly #options: IndexOptions;
  readonly #inodes: Inode[];
  readonly #devices: readonly number[];
  /** First byte in the copied area of each layer that is no device. */
  readonly #copiedLayers = new Map<number, number>();
  /** Copied area: bytes so far, and the copies relative to its start. */
  #copied = 0;
  readonly #copies: Copy[] = [];
  #blocks = 0;
  #metaEnd = 0;

  constructor(root: Inode, options: IndexOptions) {
    this.#options = options;
    const used = new Set<number>();
    this.#inodes = collect(root, used);
    const layers = [...used].sort((a, b) => a - b);
    const isDevice = (layer: number): boolean => layers.length <= FEW_DEVICES || options.layers[layer]!.size > MAX_COPIED_LAYER;
    this.#devices = layers.filter(isDevice);
    for (const layer of layers) if (!isDevice(layer)) this.#copyLayer(layer);
  }

  build(): ErofsIndex {
    this.#place();
    const metaBlocks = blocksOf(this.#metaEnd) + this.#blocks;
    // Devices and copies begin on a page, as far as the address space is concerned.
    const area = roundUp(metaBlocks, 8);
    let start = area + blocksOf(this.#copied);
    start = roundUp(start, 8);
    const primary = start;
    const slots: DeviceSlot[] = [];
    const startOf: number[] = [];
    for (const [layer, at] of this.#copiedLayers) startOf[layer] = area + at / BLOCK_SIZE;
    for (const layer of this.#devices) {
      const { tag, size } = this.#options.layers[layer]!;
      const blocks = blocksOf(size);
      slots.push({ tag, blocks, start });
      startOf[layer] = start;
      start = roundUp(start + blocks, 8);
    }
    if (start > MAX_BLOCKS) throw new LayerInvalid("", 0, "the image is larger than the 2 TiB that an index can address");
    const bytes = Buffer.from(new ArrayBuffer(area * BLOCK_SIZE));
    const root = this.#inodes[0]!;
    writeHead(bytes, {
      rootNid: root.nid,
      inodes: this.#inodes.length,
      blocks: primary,
      devices: slots,
      uuid: this.#options.uuid,
    });
    this.#write(bytes, startOf, area);
    const base = area * BLOCK_SIZE;
    const copies = this.#copies.map((copy) => ({ ...copy, to: copy.to + base }));
    return { bytes, devices: this.#devices, copies, size: primary * BLOCK_SIZE };
  }

  #copyLayer(layer: number): void {
    const { size } = this.#options.layers[layer]!;
    this.#copiedLayers.set(layer, this.#copied);
    this.#copies.push({ layer, from: 0, length: size, to: this.#copied });
    this.#copied += roundUp(size, BLOCK_SIZE);
  }

  /** Gives every inode its address. */
  #place(): void {
    let at = roundUp(headSize(this.#devices.length), NID_UNIT);
    for (const inode of this.#inodes) {
      const { entry } = inode;
      inode.layout = layout.plain;
      let head = INODE_SIZE;
      if (entry.xattrs || inode.opaque) head += this.#xattrs(inode);
      let follows = 0;
      if (inode.children || entry.type === "symlink") {
        const tail = inode.children ? sizeDirectory(inode) : sizeSymlink(inode);
        if (tail > 0) at = placeTail(inode, at, head, tail);
        if (inode.layout === layout.inline) follows = tail;
        inode.block = this.#blocks;
        this.#blocks += blocksOf(inode.dataSize - follows);
      } else {
        inode.dataSize = entry.size;
        if (entry.sparse) follows = this.#chunk(inode, entry);
      }
      inode.nid = at / NID_UNIT;
      at = roundUp(at + head + follows, NID_UNIT);
    }
    this.#metaEnd = at;
  }

  /** Bytes of an inode's extended attributes. */
  #xattrs(inode: Inode): number {
    const body = encodeXattrs(inode);
    if (body && body.length > MAX_XATTR_BODY) {
      const why = `extended attributes of ${body.length} bytes; the limit is ${MAX_XATTR_BODY}`;
      throw new LayerInvalid(inode.entry.name, inode.entry.at, why);
    }
    extraOf(inode).xattrs = body;
    return body?.length ?? 0;
  }

  /** Bytes of a sparse file's address list. */
  #chunk(inode: Inode, entry: TarEntry): number {
    const map = mapSparse(entry, this.#copied);
    extraOf(inode).chunks = map;
    inode.layout = layout.chunks;
    this.#copied += map.copied;
    for (const copy of map.copies) this.#copies.push({ ...copy, layer: inode.layer });
    return map.count * 4;
  }

  #write(bytes: Buffer, startOf: readonly number[], area: number): void {
    const words = new Uint32Array(bytes.buffer, 0, bytes.length >>> 2);
    const halves = new Uint16Array(bytes.buffer, 0, bytes.length >>> 1);
    const blocksStart = blocksOf(this.#metaEnd);
    let ino = 0;
    for (const inode of this.#inodes) {
      const { entry, extra } = inode;
      const at = inode.nid * NID_UNIT;
      const xattrBytes = extra?.xattrs?.length ?? 0;
      if (extra?.xattrs) bytes.set(extra.xattrs, at + INODE_SIZE);
      const inlineAt = at + INODE_SIZE + xattrBytes;
      let address = blocksStart + inode.block;
      if (inode.children) {
        this.#directory(bytes, words, inode, inlineAt, address);
      } else if (entry.type === "symlink") {
        const outside = inode.layout === layout.inline ? inode.dataSize - (inode.dataSize % BLOCK_SIZE) : inode.dataSize;
        writeBytes(bytes, entry.link.slice(0, outside), address * BLOCK_SIZE);
        writeBytes(bytes, entry.link.slice(outside), inlineAt);
      } else if (extra?.chunks) {
        address = extra.chunks.bits;
        writeChunks(words, inlineAt >>> 2, extra.chunks, startOf[inode.layer] ?? 0, area);
      } else if (entry.type === "file") {
        address = entry.size > 0 ? startOf[inode.layer]! + entry.offset / BLOCK_SIZE : 0;
      } else {
        address = deviceNumber(entry.major, entry.minor);
      }
      writeInode(words, halves, inode, at, xattrBytes, address, ++ino);
    }
  }

  /** Writes a directory block by block: the fixed parts of its entries, then their names. */
  #directory(bytes: Buffer, words: Uint32Array, inode: Inode, inlineAt: number, firstBlock: number): void {
    const names = inode.extra!.names!;
    let first = 0;
    let block = firstBlock;
    while (first < names.length) {
      let end = first;
      let used = 0;
      while (end < names.length && used + DIRENT_SIZE + names[end]!.length <= BLOCK_SIZE) {
        used += DIRENT_SIZE + names[end]!.length;
        end++;
      }
      const inline = end === names.length && inode.layout === layout.inline;
      const at = inline ? inlineAt : block * BLOCK_SIZE;
      let nameOffset = (end - first) * DIRENT_SIZE;
      for (let i = first; i < end; i++) {
        const name = names[i]!;
        const target = name === "." ? inode : name === ".." ? inode.extra!.parent! : inode.children!.get(name)!;
        const word = (at + (i - first) * DIRENT_SIZE) >>> 2;
        words[word] = target.nid;
        words[word + 2] = nameOffset | (direntType(target) << 16);
        writeBytes(bytes, name, at + nameOffset);
        nameOffset += name.length;
      }
      first = end;
      block++;
    }
  }
}

/** The index of a tree. Throws LayerInvalid where the format's limits are exceeded. The tree's `nid` and `links` are set. */
export const writeIndex = (root: Inode, options: IndexOptions): ErofsIndex => new Writer(root, options).build();
