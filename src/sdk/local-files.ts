/**
 * Files of this machine, to tars and out of them, by node:fs. A tar out of a container may be anybody's: what it names is made below one
 * path and nowhere else, and no link on the way is followed.
 */
import {
  closeSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeSync,
} from "node:fs";
import { open } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { byteStringOf, bytesOf } from "../archive/bytes.ts";
import { encodeHeader, type NewEntry, padding } from "../archive/tar-encode.ts";
import type { TarEntry } from "../archive/tar-types.ts";
import { OnggiError } from "./errors.ts";

const CHUNK = 1 << 18;

/** A file or a directory with all that is below it, as tar entries under a name. Throws `path_not_found`, `file_unsupported`. */
export async function* packLocal(path: string, name: string, owner: { uid: number; gid: number }): AsyncGenerator<Uint8Array> {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (!stat) throw new OnggiError("path_not_found", `there is no file ${resolve(path)} on this machine`);
  const { mtimeMs } = stat;
  const entry = (type: NewEntry["type"], more: Partial<NewEntry> = {}): Uint8Array =>
    encodeHeader({
      type,
      name: byteStringOf(name),
      mode: stat.mode & 0o7777,
      ...owner,
      mtime: Math.floor(mtimeMs / 1000),
      mtimeNs: Math.floor((mtimeMs % 1000) * 1e6),
      ...more,
    });
  if (stat.isDirectory()) {
    yield entry("dir");
    for (const child of readdirSync(path).sort()) yield* packLocal(join(path, child), `${name}/${child}`, owner);
  } else if (stat.isSymbolicLink()) {
    yield entry("symlink", { link: byteStringOf(readlinkSync(path)) });
  } else if (stat.isFile()) {
    yield entry("file", { size: stat.size });
    yield* contents(path, stat.size);
    yield padding(stat.size);
  } else {
    throw new OnggiError("file_unsupported", `${resolve(path)} is neither file, directory nor link, and cannot be copied`);
  }
}

/** Exactly as many bytes as were announced. */
async function* contents(path: string, size: number): AsyncGenerator<Uint8Array> {
  const file = await open(path, "r");
  try {
    for (let left = size; left > 0; ) {
      const { bytesRead, buffer } = await file.read(new Uint8Array(Math.min(CHUNK, left)), 0, Math.min(CHUNK, left));
      if (bytesRead === 0) throw new OnggiError("file_changed", `${resolve(path)} became shorter while it was read`);
      left -= bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}

/** Makes files out of a tar: the tar's `base` becomes `target`. */
export class Unpacker {
  readonly #target: string;
  readonly #base: string;
  #isBegun = false;
  #fd: number | undefined;
  /** Directories whose mode and time are set at the end: what is written into them would change these. */
  readonly #directories: { readonly path: string | Buffer; readonly entry: TarEntry }[] = [];
  #open: { readonly path: string | Buffer; readonly entry: TarEntry } | undefined;

  /** @param base a byte string; a name that is neither it nor below it is refused */
  constructor(target: string, base: string) {
    this.#target = resolve(target);
    this.#base = base;
  }

  entry(entry: TarEntry): void {
    this.#finishFile();
    if (!this.#isBegun) mkdirSync(dirname(this.#target), { recursive: true });
    this.#isBegun = true;
    const path = this.#pathOf(entry.name);
    if (entry.type !== "dir") rmSync(path, { force: true });
    switch (entry.type) {
      case "dir":
        this.#directory(path);
        this.#directories.push({ path, entry });
        return;
      case "file":
        this.#fd = openSync(path, "wx", entry.mode & 0o777);
        this.#open = { path, entry };
        return;
      case "symlink":
        symlinkSync(textOf(entry.link), path);
        return;
      case "link":
        linkSync(this.#pathOf(entry.link), path);
        return;
      default:
        throw new OnggiError("file_unsupported", `${String(path)} would be a ${entry.type} file; those are not copied`);
    }
  }

  data(bytes: Uint8Array): void {
    if (this.#fd === undefined) return;
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at);
  }

  /** Comes in any case. */
  close(): void {
    this.#finishFile();
    for (const { path, entry } of this.#directories.reverse()) {
      utimesSync(path, entry.mtime, entry.mtime);
    }
  }

  #finishFile(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    if (this.#open) utimesSync(this.#open.path, this.#open.entry.mtime, this.#open.entry.mtime);
    this.#fd = undefined;
    this.#open = undefined;
  }

  #directory(path: string | Buffer): void {
    const there = lstatSync(path, { throwIfNoEntry: false });
    if (there?.isDirectory()) return;
    if (there) rmSync(path, { force: true });
    mkdirSync(path);
  }

  /** Where an entry goes. Throws `archive_unsafe` where that is not below the target, or a link is on the way. */
  #pathOf(name: string): string | Buffer {
    const base = this.#base;
    const below = base === "" ? name : name === base ? "" : name.startsWith(`${base}/`) ? name.slice(base.length + 1) : undefined;
    if (below === undefined)
      throw new OnggiError("archive_unsafe", `the archive names ${JSON.stringify(textOf(name))}, which was not asked for`);
    if (below === "") return this.#target;
    const parts = below.split("/");
    let path: string | Buffer = this.#target;
    for (const part of parts.slice(0, -1)) {
      this.#mustBeDirectory(path);
      path = joined(path, part);
    }
    this.#mustBeDirectory(path);
    return joined(path, parts.at(-1) as string);
  }

  #mustBeDirectory(path: string | Buffer): void {
    if (lstatSync(path, { throwIfNoEntry: false })?.isDirectory()) return;
    throw new OnggiError("archive_unsafe", `the archive puts a file below ${String(path)}, which is no directory of it`);
  }
}

/** A byte string as text where it is UTF-8, else as its bytes. */
function textOf(byteString: string): string | Buffer {
  const bytes = bytesOf(byteString);
  const text = bytes.toString("utf8");
  return byteStringOf(text) === byteString ? text : bytes;
}

function joined(directory: string | Buffer, name: string): string | Buffer {
  const last = textOf(name);
  if (typeof directory === "string" && typeof last === "string") return `${directory}/${last}`;
  return Buffer.concat([Buffer.from(directory), Buffer.from("/"), Buffer.from(last)]);
}
