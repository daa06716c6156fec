/**
 * A streaming tar decoder. It reads headers in place out of whatever chunks come and never copies file data: for each
 * entry it reports where its bytes lie in the tar, because a layer's data are used where they are.
 * Formats: V7, ustar, GNU (long names, old sparse, base 256), PAX (global and per file, GNU sparse 0.0 to 1.0).
 * Guarantees: any input either decodes or throws LayerInvalid; memory is bounded by one extension record (1 MiB) plus
 * what the caller keeps; every byte is looked at once.
 */
import { LayerInvalid } from "./errors.ts";
import {
  BLOCK,
  checksumFits,
  FieldError,
  isZeroBlock,
  numberField,
  paxNumber,
  paxRecords,
  simpleName,
  stringField,
} from "./tar-fields.ts";
import { applyPax, cleanPath, type Pax, setRecord } from "./tar-pax.ts";
import { LeadingMap, oldGnuExtension, oldGnuHeader, paxMap, setSparse } from "./tar-sparse.ts";
import { type EntryType, MAX_PATH, type Region, type TarEntry } from "./tar-types.ts";

/** The most an extension header or a sparse map may hold. */
const MAX_META = 1 << 20;

const types: Record<string, EntryType> = {
  "\0": "file",
  "0": "file",
  "1": "link",
  "2": "symlink",
  "3": "char",
  "4": "block",
  "5": "dir",
  "6": "fifo",
  "7": "file",
  D: "dir",
  S: "file",
};

/** Type letters of extension headers, whose payload describes the next entry. */
const extensions = "xXgLK";

type Phase =
  /** At a header. */
  | "header"
  /** Inside an extension header's payload. */
  | "meta"
  /** At an extension block of an old GNU sparse header. */
  | "sparse"
  /** Inside a PAX 1.0 sparse map. */
  | "map"
  /** Inside data or padding. */
  | "skip"
  /** After the end-of-archive blocks. */
  | "done";

export interface TarEvents {
  /** An entry, as soon as all its headers are read. */
  entry(entry: TarEntry): void;
  /** Data of the latest entry, a view that is only valid until the call returns. */
  data?(bytes: Uint8Array): void;
}

export class TarDecoder {
  readonly #events: TarEvents;
  #phase: Phase = "header";
  /** Bytes of the tar taken so far. */
  #position = 0;
  /** A header that straddles chunks. */
  readonly #held = Buffer.alloc(BLOCK);
  #heldBytes = 0;
  /** Data bytes of the current entry still to come, and padding after them. */
  #data = 0;
  #padding = 0;
  /** An extension header's payload, or the blocks of a sparse map. */
  #meta: Buffer = Buffer.alloc(0);
  #metaBytes = 0;
  #metaType = "";
  /** What extension headers said of the entry to come. */
  #pax: Pax | null = null;
  readonly #global: Pax = new Map();
  #longName: string | null = null;
  #longLink: string | null = null;
  /** An entry whose sparse map is not complete. */
  #pending: { entry: TarEntry; regions: Region[]; size: number } | null = null;
  #map = new LeadingMap();
  #zeroBlocks = 0;
  #currentName = "";
  /** The current header's name is clean as it stands. */
  #simple = false;

  constructor(events: TarEvents) {
    this.#events = events;
  }

  /** The blocks that end an archive were there. */
  get complete(): boolean {
    return this.#phase === "done";
  }

  get position(): number {
    return this.#position;
  }

  /** Takes the next bytes. Throws LayerInvalid. */
  push(chunk: Uint8Array): void {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    let pos = 0;
    try {
      while (pos < bytes.length) {
        const taken = this.#step(bytes, pos);
        pos += taken;
        this.#position += taken;
      }
    } catch (error) {
      if (!(error instanceof FieldError)) throw error;
      throw new LayerInvalid(this.#currentName, this.#position, error.message);
    }
  }

  /**
   * Bytes from the current position on that hold nothing but an entry's data: a reader that can seek may leave them out
   * and call `skip` instead.
   */
  get skippable(): number {
    return this.#phase === "skip" ? this.#data + this.#padding : this.#phase === "done" ? Number.POSITIVE_INFINITY : 0;
  }

  skip(bytes: number): void {
    if (this.#phase !== "skip" || bytes > this.#data + this.#padding) throw new RangeError("skip beyond an entry's data");
    const data = Math.min(bytes, this.#data);
    this.#data -= data;
    this.#padding -= bytes - data;
    this.#position += bytes;
    if (this.#data + this.#padding === 0) this.#phase = "header";
  }

  /** The tar ends here. Throws LayerInvalid when it ends in the middle of something; missing end blocks are no error. */
  end(): void {
    const inside = this.#phase !== "header" && this.#phase !== "done";
    if (inside || this.#heldBytes > 0 || this.#pax || this.#longName !== null || this.#longLink !== null) {
      throw new LayerInvalid(this.#currentName, this.#position, "the tar ends in the middle of this entry: it is truncated");
    }
  }

  /** Takes some bytes from `pos` on and returns how many, at least one. */
  #step(bytes: Buffer, pos: number): number {
    const left = bytes.length - pos;
    switch (this.#phase) {
      case "done":
        return left;
      case "skip":
        return this.#skipData(bytes, pos, left);
      case "meta": {
        const taken = Math.min(left, this.#meta.length - this.#metaBytes);
        bytes.copy(this.#meta, this.#metaBytes, pos, pos + taken);
        this.#metaBytes += taken;
        if (this.#metaBytes === this.#meta.length) this.#extension();
        return taken;
      }
      case "header":
      case "sparse":
      case "map": {
        if (this.#heldBytes === 0 && left >= BLOCK) {
          this.#block(bytes, pos);
          return BLOCK;
        }
        const taken = Math.min(left, BLOCK - this.#heldBytes);
        bytes.copy(this.#held, this.#heldBytes, pos, pos + taken);
        this.#heldBytes += taken;
        if (this.#heldBytes === BLOCK) {
          // The block began before this chunk: positions count from its start.
          this.#heldBytes = 0;
          this.#position -= BLOCK - taken;
          this.#block(this.#held, 0);
          this.#position += BLOCK - taken;
        }
        return taken;
      }
    }
  }

  #skipData(bytes: Buffer, pos: number, left: number): number {
    const data = Math.min(left, this.#data);
    if (data > 0) {
      this.#data -= data;
      this.#events.data?.(bytes.subarray(pos, pos + data));
    }
    const padding = Math.min(left - data, this.#padding);
    this.#padding -= padding;
    if (this.#data + this.#padding === 0) this.#phase = "header";
    return data + padding;
  }

  #block(block: Buffer, at: number): void {
    if (this.#phase === "sparse") {
      const pending = this.#pending!;
      if (!oldGnuExtension(block, at, pending.regions)) this.#finishSparse();
    } else if (this.#phase === "map") {
      this.#mapBlock(block.subarray(at, at + BLOCK));
    } else {
      this.#header(block, at);
    }
  }

  #header(block: Buffer, at: number): void {
    if (isZeroBlock(block, at)) {
      if (++this.#zeroBlocks === 2) this.#phase = "done";
      return;
    }
    if (this.#zeroBlocks > 0) throw new FieldError("a single zero block where a header was expected");
    if (!checksumFits(block, at)) {
      throw new FieldError(`header checksum is wrong (the entry before this is "${this.#currentName.slice(0, 100)}")`);
    }
    const letter = String.fromCharCode(block[at + 156]!);
    const nameBefore = this.#currentName;
    try {
      if (extensions.includes(letter)) this.#beginExtension(block, at, letter);
      else if (letter === "V") this.#beginData(numberField(block, at + 124, 12, "size"));
      else this.#entry(block, at, letter);
    } catch (error) {
      // Named only now: the name is not needed as long as all goes well.
      if (this.#currentName === nameBefore) this.#currentName = stringField(block, at, 100);
      throw error;
    }
  }

  #beginExtension(block: Buffer, at: number, letter: string): void {
    const size = numberField(block, at + 124, 12, "size");
    if (size < 0 || size > MAX_META) throw new FieldError(`extension header of ${size} bytes; the limit is ${MAX_META}`);
    this.#metaType = letter;
    this.#meta = Buffer.allocUnsafe(size);
    this.#metaBytes = 0;
    this.#padding = (BLOCK - (size % BLOCK)) % BLOCK;
    if (size === 0) this.#extension();
    else this.#phase = "meta";
  }

  /** A whole extension header's payload is there. */
  #extension(): void {
    const payload = this.#meta;
    const text = (): string => stringField(payload, 0, payload.length);
    switch (this.#metaType) {
      case "L":
        this.#longName = text();
        break;
      case "K":
        this.#longLink = text();
        break;
      case "g":
        for (const [key, value] of paxRecords(payload)) setRecord(this.#global, key, value);
        break;
      default:
        this.#pax ??= new Map();
        for (const [key, value] of paxRecords(payload)) setRecord(this.#pax, key, value);
    }
    this.#meta = Buffer.alloc(0);
    this.#phase = this.#padding > 0 ? "skip" : "header";
  }

  #beginData(size: number): void {
    if (size < 0) throw new FieldError("negative size");
    this.#data = size;
    this.#padding = (BLOCK - (size % BLOCK)) % BLOCK;
    this.#phase = size > 0 ? "skip" : "header";
  }

  #entry(block: Buffer, at: number, letter: string): void {
    const entry = this.#ustar(block, at, letter);
    this.#currentName = entry.name;
    const headerName = entry.name;
    const pax = this.#global.size > 0 ? new Map([...this.#global, ...(this.#pax ?? [])]) : this.#pax;
    if (this.#longName !== null) entry.name = this.#longName;
    if (this.#longLink !== null) entry.link = this.#longLink;
    this.#pax = null;
    this.#longName = null;
    this.#longLink = null;
    if (pax) applyPax(entry, pax);
    if (entry.name !== headerName || !this.#simple) {
      this.#currentName = entry.name;
      if (entry.type === "file" && entry.name.endsWith("/")) entry.type = "dir";
      entry.name = cleanPath(entry.name);
    }
    if (entry.type === "link") entry.link = cleanPath(entry.link);
    if (entry.type === "symlink" && (entry.link === "" || entry.link.length > MAX_PATH || entry.link.includes("\0"))) {
      throw new FieldError(`symbolic link target of ${entry.link.length} bytes is not possible`);
    }
    // Only files and GNU directory dumps have data; a size on anything else means nothing.
    if (entry.type !== "file" && letter !== "D") entry.size = 0;
    if (entry.size < 0) throw new FieldError("negative size");
    if (!isId(entry.uid) || !isId(entry.gid)) throw new FieldError(`owner ${entry.uid}:${entry.gid} is not possible`);
    // chown(2) leaves an owner of -1 as it is: extracted, the file is root's.
    if (entry.uid === NO_ID) entry.uid = 0;
    if (entry.gid === NO_ID) entry.gid = 0;
    if (entry.major < 0 || entry.major > 0xfff || entry.minor < 0 || entry.minor > 0xfffff) {
      throw new FieldError(`device number ${entry.major}:${entry.minor} is not possible`);
    }
    const data = entry.size;
    if (entry.type === "dir") entry.size = 0;
    entry.stored = entry.size;
    if (letter === "S") {
      this.#beginOldSparse(block, at, entry);
    } else if (entry.type === "file" && pax && (pax.has("GNU.sparse.major") || pax.has("GNU.sparse.map"))) {
      this.#beginPaxSparse(entry, pax);
    } else {
      this.#beginData(data);
      this.#events.entry(entry);
    }
  }

  #ustar(block: Buffer, at: number, letter: string): TarEntry {
    const type = types[letter];
    if (!type) throw new FieldError(`entry type "${letter}" cannot be part of a layer`);
    const device = type === "char" || type === "block";
    // Only POSIX's "ustar\0" has a prefix field; GNU's "ustar " keeps other things there.
    const prefixed = block[at + 345] !== 0 && block[at + 262] === 0 && block[at + 257] === 0x75;
    const simple = prefixed ? null : simpleName(block, at);
    // A file whose name ends in a slash is a directory of the oldest format: that is for the careful way to see.
    this.#simple = simple !== null && (type !== "file" || !endsInSlash(block, at, simple.length));
    let name = simple;
    if (name === null || !this.#simple) name = stringField(block, at, 100);
    if (prefixed) name = `${stringField(block, at + 345, 155)}/${name}`;
    return {
      type,
      name,
      link: type === "link" || type === "symlink" ? stringField(block, at + 157, 100) : "",
      mode: numberField(block, at + 100, 8, "mode") & 0o7777,
      uid: numberField(block, at + 108, 8, "uid"),
      gid: numberField(block, at + 116, 8, "gid"),
      size: numberField(block, at + 124, 12, "size"),
      mtime: numberField(block, at + 136, 12, "mtime"),
      mtimeNs: 0,
      offset: this.#position + BLOCK,
      stored: 0,
      major: device ? numberField(block, at + 329, 8, "device major") : 0,
      minor: device ? numberField(block, at + 337, 8, "device minor") : 0,
      xattrs: null,
      sparse: null,
      at: this.#position,
    };
  }

  #beginOldSparse(block: Buffer, at: number, entry: TarEntry): void {
    const header = oldGnuHeader(block, at);
    this.#pending = { entry, regions: header.regions, size: header.size };
    if (header.extended) this.#phase = "sparse";
    else this.#finishSparse();
  }

  #beginPaxSparse(entry: TarEntry, pax: Pax): void {
    const size = paxNumber(pax.get("GNU.sparse.realsize") ?? pax.get("GNU.sparse.size") ?? "?", "sparse file size");
    const map = pax.get("GNU.sparse.map");
    this.#pending = { entry, regions: map === undefined ? [] : paxMap(map), size };
    if (map !== undefined) {
      this.#finishSparse();
      return;
    }
    const version = `${pax.get("GNU.sparse.major")}.${pax.get("GNU.sparse.minor") ?? "0"}`;
    if (version !== "1.0") throw new FieldError(`sparse format ${version} is not known`);
    this.#phase = "map";
    this.#map = new LeadingMap();
    this.#metaBytes = 0;
  }

  #mapBlock(block: Buffer): void {
    const pending = this.#pending!;
    this.#metaBytes += BLOCK;
    if (this.#metaBytes > Math.min(MAX_META, pending.entry.stored)) throw new FieldError("sparse map does not end");
    if (!this.#map.add(block)) return;
    pending.regions = this.#map.regions();
    pending.entry.stored -= this.#metaBytes;
    this.#finishSparse();
  }

  /** The current block is the last before the data. */
  #finishSparse(): void {
    const { entry, regions, size } = this.#pending!;
    this.#pending = null;
    entry.offset = this.#position + BLOCK;
    setSparse(entry, regions, size);
    this.#beginData(entry.stored);
    this.#events.entry(entry);
  }
}

/** Whether a slash was left out behind a simple name of `length` bytes; a leading "./" may have been as well. */
const endsInSlash = (block: Uint8Array, at: number, length: number): boolean =>
  block[at + length + (block[at] === 0x2e && block[at + 1] === 0x2f ? 2 : 0)] === 0x2f;

const NO_ID = 0xffffffff;

const isId = (id: number): boolean => id >= 0 && id <= NO_ID;
