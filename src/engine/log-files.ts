/** The files of a log: its current one, and those that rotation has renamed, which may be compressed (log-compress.ts). */
import { closeSync, existsSync, fstatSync, openSync, readFileSync, readSync, rmSync, statSync, truncateSync } from "node:fs";
import { promisify } from "node:util";
import { gunzip as gunzipCallback } from "node:zlib";

const gunzip = promisify(gunzipCallback);

/** The files of one log, oldest first. */
export function logFiles(path: string): string[] {
  const files = [path];
  for (let n = 1; existsSync(`${path}.${n}`); n++) files.unshift(`${path}.${n}`);
  return files.filter((file) => existsSync(file));
}

/** A file that is not written any more: inodes are given again, these are not. */
type Identity = string;

export const identityOf = (file: number | string): Identity => {
  const { ino, mtimeNs } = typeof file === "number" ? fstatSync(file, { bigint: true }) : statSync(file, { bigint: true });
  return `${ino} ${mtimeNs}`;
};

/** Compressed files, and the file whose content each has: who reads that one finds its place by it. */
const originals = new Map<Identity, Identity>();
const REMEMBERED = 4096;

/** `path` has been replaced by its compressed form. */
export function rememberOriginal(path: string, original: Identity): void {
  originals.set(identityOf(path), original);
  const [oldest] = originals.keys();
  if (originals.size > REMEMBERED && oldest !== undefined) originals.delete(oldest);
}

const GZIP = 0x1f8b;

export const isGzip = (fd: number): boolean => {
  const magic = Buffer.alloc(2);
  return readSync(fd, magic, 0, 2, 0) === 2 && magic.readUInt16BE() === GZIP;
};

const CHUNK = 256 * 1024;
const NOTHING: Buffer<ArrayBuffer> = Buffer.alloc(0);
const decoder = new TextDecoder();

/** Cuts a file into lines as it grows. Keeps its place when the file is renamed by rotation: it reads by descriptor. */
export class LineReader {
  private readonly fd: number;
  private offset = 0;
  private rest: Buffer<ArrayBuffer> = NOTHING;
  private readonly inode: number;
  /** Of a compressed file, which does not grow. */
  private content: Buffer | undefined;

  private constructor(path: string) {
    this.fd = openSync(path, "r");
    this.inode = fstatSync(this.fd).ino;
  }

  /** Throws where there is no such file. A compressed one that is damaged is empty. */
  static async open(path: string): Promise<LineReader> {
    const reader = new LineReader(path);
    if (isGzip(reader.fd)) reader.content = await gunzip(readFileSync(reader.fd)).catch(() => NOTHING);
    return reader;
  }

  /** The whole lines that are there now. Of a file that has nothing new nothing is held. */
  *lines(): Generator<string> {
    if (!this.content && fstatSync(this.fd).size < this.offset) {
      this.offset = 0; // it was cleared
      this.rest = NOTHING;
    }
    for (;;) {
      const more = this.next();
      if (more.length === 0) return;
      this.offset += more.length;
      const data = this.rest.length === 0 ? more : Buffer.concat([this.rest, more]);
      let start = 0;
      for (let end = data.indexOf(10); end >= 0; end = data.indexOf(10, start)) {
        yield decoder.decode(data.subarray(start, end));
        start = end + 1;
      }
      this.rest = start === data.length ? NOTHING : Buffer.from(data.subarray(start));
    }
  }

  private next(): Buffer<ArrayBufferLike> {
    if (this.content) return this.content.subarray(this.offset, this.offset + CHUNK);
    const length = Math.min(CHUNK, fstatSync(this.fd).size - this.offset);
    if (length <= 0) return NOTHING;
    const buffer = Buffer.allocUnsafe(length);
    return buffer.subarray(0, readSync(this.fd, buffer, 0, length, this.offset));
  }

  /** Whether `path` names the file being read, or its compressed form; true when it names nothing, as it does for a moment during a rotation. */
  reads(path: string): boolean {
    try {
      if (statSync(path).ino === this.inode) return true;
      const own = identityOf(this.fd);
      return originals.get(identityOf(path)) === (originals.get(own) ?? own);
    } catch {
      return true;
    }
  }

  close(): void {
    closeSync(this.fd);
  }
}

/** The file that was begun after the one `reader` reads, which has been renamed; the oldest there is if that one is gone. */
function successor(path: string, reader: LineReader): string {
  const files = logFiles(path);
  const index = files.findIndex((file) => reader.reads(file));
  return files[index + 1] ?? path;
}

export async function openOldest(path: string): Promise<LineReader | undefined> {
  for (const file of logFiles(path)) {
    try {
      return await LineReader.open(file);
    } catch {
      // rotated away since it was listed: the next one is the oldest now
    }
  }
  return undefined;
}

/** Rotation may rename a file between the look at its name and the open: looks again. */
export async function openNext(path: string, reader: LineReader): Promise<LineReader | undefined> {
  for (let tries = 0; tries < 100; tries++) {
    const name = successor(path, reader);
    try {
      const next = await LineReader.open(name);
      if (next.reads(name) && successor(path, reader) === name) return next;
      next.close();
    } catch {
      // renamed meanwhile
    }
  }
  return undefined;
}

/**
 * Empties the log at `path`. Its current file stays, because the shim has it open, and appends; what has been rotated goes.
 * Entries that are written meanwhile may go or stay.
 */
export function clearLog(path: string): void {
  for (const file of logFiles(path)) {
    if (file === path) truncateSync(file);
    else rmSync(file, { force: true });
  }
}
