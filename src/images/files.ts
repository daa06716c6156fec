/** Files that are whole or not there: written beside, flushed, renamed, directory flushed. */
import * as fs from "node:fs";
import { dirname } from "node:path";
import { OnggiError } from "../lib/errors.ts";
import { AT, linkat, O } from "../sys/index.ts";

const promised = (call: (done: (error: Error | null) => void) => void): Promise<void> =>
  new Promise((resolve, reject) => call((error) => (error ? reject(error) : resolve())));

/** fsync(2) on a thread of the pool. */
export const flush = (fd: number): Promise<void> => promised((done) => fs.fsync(fd, done));

/** Makes the names in a directory durable. */
export const flushDirectory = async (path: string): Promise<void> => {
  const fd = fs.openSync(path, "r");
  try {
    await flush(fd);
  } finally {
    fs.closeSync(fd);
  }
};

/** Turns "no space" of the system into an error a client understands; other errors pass. */
export const explainDisk = (error: unknown, doing: string): unknown => {
  const code = (error as { code?: unknown } | null)?.code;
  if (code === "ENOSPC" || code === "EDQUOT" || code === "SQLITE_FULL" || code === "EFBIG") {
    return new OnggiError("out_of_disk", `no space left while ${doing}; nothing of it was kept. Free some space and try again`, {
      cause: error,
    });
  }
  return error;
};

/** Writes a small file so that it is there whole or not at all. The directory is not flushed. */
export const writeWhole = async (path: string, temporary: string, data: Uint8Array | string): Promise<void> => {
  const fd = fs.openSync(temporary, "w", 0o644);
  try {
    fs.writeFileSync(fd, data);
    await flush(fd);
  } finally {
    fs.closeSync(fd);
  }
  fs.renameSync(temporary, path);
};

let besides = 0;

/**
 * A new file that gets its name when it is whole. Until then it has none, and nothing of it is left when the process dies; on file
 * systems without O_TMPFILE (open(2)) it has another name beside the one it is to get.
 */
export class UnnamedFile {
  readonly fd: number;
  readonly #target: string;
  readonly #beside: string;
  #named: boolean;

  constructor(target: string, mode: number) {
    this.#target = target;
    this.#beside = `${target}.onggi-${process.pid}-${++besides}`;
    this.#named = false;
    try {
      this.fd = fs.openSync(dirname(target), O.O_TMPFILE | O.O_RDWR, mode);
    } catch (error) {
      if (!["EOPNOTSUPP", "EISDIR", "EINVAL", "ENOENT"].includes((error as { code?: string }).code ?? "")) throw error;
      this.fd = fs.openSync(this.#beside, "wx+", mode);
      this.#named = true;
    }
  }

  /** Gives it its name, in place of what had it. */
  keep(): void {
    if (!this.#named) linkat(AT.AT_FDCWD, `/proc/self/fd/${this.fd}`, AT.AT_FDCWD, this.#beside, AT.AT_SYMLINK_FOLLOW);
    this.#named = true;
    fs.renameSync(this.#beside, this.#target);
    this.#named = false;
  }

  /** Closes it; what has not been kept is gone. */
  close(): void {
    if (this.#named) fs.rmSync(this.#beside, { force: true });
    fs.closeSync(this.fd);
  }
}

const ZEROS = Buffer.alloc(1 << 16);

const isZero = (bytes: Uint8Array): boolean =>
  bytes[0] === 0 &&
  bytes[bytes.length >> 1] === 0 &&
  bytes[bytes.length - 1] === 0 &&
  ZEROS.compare(bytes, 0, bytes.length, 0, bytes.length) === 0;

/** A run of bytes to be written at one place. */
interface Run {
  position: number;
  end: number;
  readonly parts: Uint8Array[];
}

/** How much may wait for the disk before the producer has to. */
const MAX_WAITING = 4 << 20;
/** After so many bytes the disk is set to work, so that little is left for the flush at the end. */
const FLUSH_BYTES = 16 << 20;

/**
 * Writes one file from its beginning to its end on a thread of the pool, while the caller goes on hashing. Stretches of
 * zeros become holes. `add` keeps the chunk until it is written: the caller must not change it.
 */
export class SequentialFile {
  readonly path: string;
  readonly #fd: number;
  #closed = false;
  #flushing: Promise<void> | null = null;
  #unflushed = 0;
  #size = 0;
  #queue: Run[] = [];
  #waiting = 0;
  #writing: Promise<void> | null = null;
  #failure: { error: unknown } | null = null;

  constructor(path: string) {
    this.path = path;
    fs.mkdirSync(dirname(path), { recursive: true });
    this.#fd = fs.openSync(path, "wx+", 0o644);
  }

  get size(): number {
    return this.#size;
  }

  /** Takes the next bytes; resolves when the caller may bring more. Throws what a write before threw. */
  add(chunk: Uint8Array): Promise<void> | undefined {
    if (this.#failure) throw this.#failure.error;
    for (let at = 0; at < chunk.length; at += ZEROS.length) {
      const part = chunk.subarray(at, at + ZEROS.length);
      if (part.length < 4096 || !isZero(part)) this.#enqueue(chunk, at, part.length);
      this.#size += part.length;
    }
    // Of zeros alone nothing is to be written: a drain that ends at once would seem to go on for ever.
    if (this.#queue.length > 0) this.#writing ??= this.#drain();
    if (this.#waiting > MAX_WAITING) return this.#settled();
    return undefined;
  }

  /** Waits until everything is written and durable, and closes the file. */
  async finish(): Promise<void> {
    try {
      await this.#writing;
      await this.#flushing;
      await this.#settled();
      fs.ftruncateSync(this.#fd, this.#size);
      await flush(this.#fd);
    } finally {
      await this.close();
    }
  }

  /** Closes the file once nothing is being written to it any more; a second call does nothing. */
  async close(): Promise<void> {
    await this.#writing;
    await this.#flushing;
    if (this.#closed) return;
    this.#closed = true;
    fs.closeSync(this.#fd);
  }

  #enqueue(chunk: Uint8Array, at: number, length: number): void {
    this.#waiting += length;
    const last = this.#queue.at(-1);
    if (last && last.end === this.#size) {
      const part = last.parts.at(-1)!;
      const adjacent = part.buffer === chunk.buffer && part.byteOffset + part.length === chunk.byteOffset + at;
      if (adjacent) last.parts[last.parts.length - 1] = new Uint8Array(part.buffer, part.byteOffset, part.length + length);
      else last.parts.push(chunk.subarray(at, at + length));
      last.end += length;
    } else {
      this.#queue.push({ position: this.#size, end: this.#size + length, parts: [chunk.subarray(at, at + length)] });
    }
  }

  async #settled(): Promise<void> {
    await this.#writing;
    if (this.#failure) throw this.#failure.error;
  }

  async #drain(): Promise<void> {
    try {
      for (let run = this.#queue.shift(); run; run = this.#queue.shift()) {
        await this.#write(run);
        this.#waiting -= run.end - run.position;
        this.#flushEarly(run.end - run.position);
      }
    } catch (error) {
      this.#failure = { error };
      this.#queue = [];
    } finally {
      this.#writing = null;
    }
  }

  #flushEarly(written: number): void {
    this.#unflushed += written;
    if (this.#flushing || this.#unflushed < FLUSH_BYTES) return;
    this.#unflushed = 0;
    this.#flushing = promised((done) => fs.fdatasync(this.#fd, done))
      // The kernel reports a failed write once: the flush at the end would not see it any more.
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .finally(() => {
        this.#flushing = null;
      });
  }

  async #write(run: Run): Promise<void> {
    let { parts } = run;
    let position = run.position;
    while (parts.length > 0) {
      const batch = parts.slice(0, 512);
      let written = await new Promise<number>((resolve, reject) => {
        fs.writev(this.#fd, batch, position, (error, bytes) => (error ? reject(error) : resolve(bytes)));
      });
      if (written === 0) throw Object.assign(new Error("nothing could be written"), { code: "ENOSPC" });
      position += written;
      let whole = 0;
      while (whole < parts.length && written >= parts[whole]!.length) written -= parts[whole++]!.length;
      parts = parts.slice(whole);
      if (written > 0) parts[0] = parts[0]!.subarray(written);
    }
  }
}
