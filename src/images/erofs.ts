/**
 * Writes the EROFS index of an image: metadata only. A file's data stay in its layer's tar, which is one of the index's data
 * devices: all devices share one address space of 512-byte blocks (index first, then each tar), so a file whose bytes lie in
 * one run is a flat inode that costs 64 bytes and nothing else; only sparse files carry a list of chunk addresses.
 *
 *     [superblock, device table][inodes, each with attributes and small directories or link targets][directories][copies]
 *
 * A whole tree is written into one buffer in two passes (place, write) without an object per directory entry.
 */

import { writeBytes } from "./bytes.ts";
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
import { type ChunkMap, type Copy, mapSparse, writeChunks } from "./erofs-sparse.ts";
import { LayerInvalid } from "./errors.ts";
import type { Inode } from "./tree.ts";

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

/** Where an inode lies, and what follows it there. */
class Place {
  readonly inode: Inode;
  parent: Inode;
  xattrs: Buffer | null = null;
  layout: number = layout.plain;
  /** Data size. */
  size = 0;
  /** Directory: sorted names. */
  names: string[] | null = null;
  chunks: ChunkMap | null = null;
  /** First block of a directory's or link target's blocks outside the inode. */
  block = 0;
  constructor(inode: Inode, parent: Inode) {
    this.inode = inode;
    this.parent = parent;
  }
}

/** Marks an inode that has been seen; no real address is odd. */
const PENDING = -1;

/** All inodes, directories before what they hold, each once; link counts are set. */
const collect = (root: Inode): Place[] => {
  const places: Place[] = [new Place(root, root)];
  root.links = 2;
  const dirs: Place[] = [places[0]!];
  for (let d = 0; d < dirs.length; d++) {
    const dir = dirs[d]!;
    const children = dir.inode.children!;
    const names = [...children.keys()];
    names.push(".", "..");
    dir.names = names.sort();
    for (const name of names) {
      const child = children.get(name);
      if (!child) continue;
      if (child.children) {
        child.links = 2;
        dir.inode.links++;
        const place = new Place(child, dir.inode);
        places.push(place);
        dirs.push(place);
      } else if (child.nid !== PENDING) {
        child.nid = PENDING;
        child.links = 1;
        places.push(new Place(child, dir.inode));
      } else {
        child.links++;
      }
    }
  }
  return places;
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

class Writer {
  readonly #options: IndexOptions;
  readonly #places: Place[];
  readonly #devices: number[] = [];
  /** Copied area: bytes so far, and the copies relative to its start. */
  #copied = 0;
  readonly #copies: Copy[] = [];
  #blocks = 0;
  #metaEnd = 0;

  constructor(root: Inode, options: IndexOptions) {
    this.#options = options;
    this.#places = collect(root);
    const used = new Set<number>();
    for (const { inode } of this.#places) if (inode.entry.stored > 0) used.add(inode.layer);
    this.#devices = [...used].sort((a, b) => a - b);
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
    for (const layer of this.#devices) {
      const { tag, size } = this.#options.layers[layer]!;
      const blocks = blocksOf(size);
      slots.push({ tag, blocks, start });
      startOf[layer] = start;
      start = roundUp(start + blocks, 8);
    }
    if (start > MAX_BLOCKS) throw new LayerInvalid("", 0, "the image is larger than the 2 TiB that an index can address");
    const bytes = Buffer.from(new ArrayBuffer(area * BLOCK_SIZE));
    const root = this.#places[0]!.inode;
    writeHead(bytes, {
      rootNid: root.nid,
      inodes: this.#places.length,
      blocks: primary,
      devices: slots,
      uuid: this.#options.uuid,
    });
    this.#write(bytes, startOf, area);
    const base = area * BLOCK_SIZE;
    const copies = this.#copies.map((copy) => ({ ...copy, to: copy.to + base }));
    return { bytes, devices: this.#devices, copies, size: primary * BLOCK_SIZE };
  }

  /** Gives every inode its address. */
  #place(): void {
    let at = roundUp(headSize(this.#devices.length), NID_UNIT);
    for (const place of this.#places) {
      const { inode } = place;
      const { entry } = inode;
      if (entry.xattrs || inode.opaque) place.xattrs = this.#xattrs(inode);
      const head = INODE_SIZE + (place.xattrs?.length ?? 0);
      let follows = 0;
      if (place.names || entry.type === "symlink") {
        const tail = place.names ? this.#sizeDirectory(place, place.names) : this.#sizeSymlink(place);
        if (tail > 0) at = this.#placeTail(place, at, head, tail);
        if (place.layout === layout.inline) follows = tail;
        place.block = this.#blocks;
        this.#blocks += blocksOf(place.size - follows);
      } else if (entry.type === "file") {
        place.size = entry.size;
        if (entry.sparse) this.#chunk(place);
        if (place.chunks) follows = place.chunks.count * 4;
      }
      inode.nid = at / NID_UNIT;
      at = roundUp(at + head + follows, NID_UNIT);
    }
    this.#metaEnd = at;
  }

  #sizeDirectory(place: Place, names: readonly string[]): number {
    const { size, last } = directorySize(names);
    place.size = size;
    return last;
  }

  #sizeSymlink(place: Place): number {
    place.size = place.inode.entry.link.length;
    return place.size % BLOCK_SIZE;
  }

  /**
   * A tail behind its inode must not cross a block. Moves the inode on where that helps, else leaves the tail to a block of
   * its own. Returns where the inode begins.
   */
  #placeTail(place: Place, at: number, head: number, tail: number): number {
    const offset = (at + head) % BLOCK_SIZE;
    const moved = at + roundUp(BLOCK_SIZE - offset, NID_UNIT);
    const fits = offset + tail <= BLOCK_SIZE;
    if (!fits && ((moved + head) % BLOCK_SIZE) + tail > BLOCK_SIZE) return at;
    place.layout = layout.inline;
    return fits ? at : moved;
  }

  #xattrs(inode: Inode): Buffer | null {
    const body = encodeXattrs(inode);
    if (body && body.length > MAX_XATTR_BODY) {
      throw new LayerInvalid(
        inode.entry.name,
        inode.entry.at,
        `extended attributes of ${body.length} bytes; the limit is ${MAX_XATTR_BODY}`,
      );
    }
    return body;
  }

  #chunk(place: Place): void {
    const { inode } = place;
    const map = mapSparse(inode.entry, this.#copied);
    place.chunks = map;
    place.layout = layout.chunks;
    this.#copied += map.copied;
    for (const copy of map.copies) this.#copies.push({ ...copy, layer: inode.layer });
  }

  #write(bytes: Buffer, startOf: readonly number[], area: number): void {
    const words = new Uint32Array(bytes.buffer, 0, bytes.length >>> 2);
    const halves = new Uint16Array(bytes.buffer, 0, bytes.length >>> 1);
    const blocksStart = blocksOf(this.#metaEnd);
    let ino = 0;
    for (const place of this.#places) {
      const { inode } = place;
      const { entry } = inode;
      const at = inode.nid * NID_UNIT;
      const xattrBytes = place.xattrs?.length ?? 0;
      if (place.xattrs) bytes.set(place.xattrs, at + INODE_SIZE);
      const inlineAt = at + INODE_SIZE + xattrBytes;
      let address = 0;
      if (place.names) {
        address = blocksStart + place.block;
        this.#directory(bytes, words, place, inlineAt, address);
      } else if (entry.type === "symlink") {
        address = blocksStart + place.block;
        const outside = place.layout === layout.inline ? Math.floor(place.size / BLOCK_SIZE) * BLOCK_SIZE : place.size;
        writeBytes(bytes, entry.link.slice(0, outside), address * BLOCK_SIZE);
        writeBytes(bytes, entry.link.slice(outside), inlineAt);
      } else if (place.chunks) {
        address = place.chunks.bits;
        writeChunks(words, inlineAt >>> 2, place.chunks, startOf[inode.layer] ?? 0, area);
      } else if (entry.type === "file") {
        address = entry.size > 0 ? startOf[inode.layer]! + entry.offset / BLOCK_SIZE : 0;
      } else {
        address = deviceNumber(entry.major, entry.minor);
      }
      writeInode(words, halves, inode, at, { layout: place.layout, xattrBytes, size: place.size, address, ino: ++ino });
    }
  }

  /** Writes a directory block by block: the fixed parts of its entries, then their names. */
  #directory(bytes: Buffer, words: Uint32Array, place: Place, inlineAt: number, firstBlock: number): void {
    const names = place.names!;
    const { inode, parent } = place;
    let first = 0;
    let block = firstBlock;
    while (first < names.length) {
      let end = first;
      let used = 0;
      while (end < names.length && used + DIRENT_SIZE + names[end]!.length <= BLOCK_SIZE) {
        used += DIRENT_SIZE + names[end]!.length;
        end++;
      }
      const inline = end === names.length && place.layout === layout.inline;
      const at = inline ? inlineAt : block * BLOCK_SIZE;
      let nameOffset = (end - first) * DIRENT_SIZE;
      for (let i = first; i < end; i++) {
        const name = names[i]!;
        const target = name === "." ? inode : name === ".." ? parent : inode.children!.get(name)!;
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
