/**
 * A tar unpacked below an open directory.
 *
 * Runs as the engine, with its privileges, on an archive that may be hostile, in a tree that a container may be changing. Why that is
 * safe: names have no ".." (the decoder's word), every component is opened below the one before it and is never followed (with `within`
 * a link is, by openat2 with RESOLVE_IN_ROOT), the last one is made by calls that fail where something is, and attributes are set by the
 * descriptor of what was made. The directory of the entry before is kept open; what an entry takes the place of lies in it, never above.
 */
import { OnggiError } from "../lib/errors.ts";
import {
  close,
  fstat,
  ftruncate,
  isErrno,
  linkat,
  makedev,
  mkdirat,
  mknodat,
  O,
  openat,
  openat2,
  RESOLVE,
  S,
  symlinkat,
  writeAll,
} from "../sys/index.ts";
import { setAttributes } from "./attributes.ts";
import { bytesOf, display } from "./bytes.ts";
import { LayerInvalid } from "./errors.ts";
import { removeTree } from "./remove-tree.ts";
import { TarDecoder } from "./tar.ts";
import type { Region, TarEntry } from "./tar-types.ts";
import { openName } from "./tree-reader.ts";

const DIRECTORY = O.O_PATH | O.O_DIRECTORY | O.O_NOFOLLOW;
const IN_ROOT = RESOLVE.RESOLVE_IN_ROOT | RESOLVE.RESOLVE_NO_MAGICLINKS;
const NEW_FILE = O.O_WRONLY | O.O_CREAT | O.O_EXCL | O.O_NOFOLLOW;

export interface UntarOptions {
  /** What an entry becomes, null to leave it out. */
  readonly map?: (entry: TarEntry) => TarEntry | null;
  /** What is in an entry's way goes, a directory with all that is in it; absent: a directory stays one, and a file no directory. */
  readonly replace?: boolean;
  /** What the tree is called, for errors. */
  readonly where?: string;
  /** Links on the way to an entry are followed, below this root and never out of it; absent: they are refused. */
  readonly within?: { readonly root: number /** Where the tree lies below it, a byte string. */; readonly path: string };
}

const ZEROS = Buffer.alloc(4096);

/** Whether there is nothing but zeros in it, which a hole holds as well. */
const isHole = (bytes: Uint8Array): boolean => {
  if (bytes.length < ZEROS.length) return false;
  for (let at = 0; at < bytes.length; at += ZEROS.length) {
    const part = bytes.subarray(at, at + ZEROS.length);
    if (ZEROS.compare(part, 0, part.length, 0, part.length) !== 0) return false;
  }
  return true;
};

/** Takes a tar in chunks. */
export class Untar {
  readonly #root: number;
  readonly #options: UntarOptions;
  readonly #decoder: TarDecoder;
  /** The regular file whose data come. */
  #file: {
    readonly fd: number;
    readonly entry: TarEntry;
    readonly regions: readonly Region[];
    /** Zeros were left out. */
    holes: boolean;
    done: number;
    region: number;
  } | null = null;
  /** The directory in which something was made last: entries that follow are mostly its, too. */
  #place: { readonly path: string; readonly fd: number } | null = null;
  /** Their times and modes are set when nothing is made in them any more. */
  readonly #directories: TarEntry[] = [];

  /** `root`: the tree, an open directory, the caller's. */
  constructor(root: number, options: UntarOptions = {}) {
    this.#root = root;
    this.#options = options;
    this.#decoder = new TarDecoder({ entry: (entry) => this.#entry(entry), data: (bytes) => this.#data(bytes) });
  }

  /** Throws LayerInvalid, `not_a_directory`, `is_a_directory`; SysError as the file system does. */
  push(chunk: Uint8Array): void {
    this.#decoder.push(chunk);
  }

  /** The whole tar has been given. Throws LayerInvalid where it was not whole. */
  end(): void {
    this.#decoder.end();
    if (!this.#decoder.complete)
      throw new LayerInvalid("", this.#decoder.position, "the tar has no end: it is truncated, or no tar");
    this.#finishFile();
    for (const entry of this.#directories.reverse()) {
      const parent = this.#parent(entry.name);
      if (parent === null) continue;
      const fd = entry.name === "" ? openat(parent.fd, ".", DIRECTORY) : openName(parent.fd, parent.name);
      close(parent.fd);
      if (fd === null) continue;
      try {
        if ((fstat(fd).mode & S.S_IFMT) === S.S_IFDIR) attributes(fd, entry);
      } finally {
        close(fd);
      }
    }
  }

  /** Closes what is open; to be called whatever happened. */
  close(): void {
    if (this.#file) close(this.#file.fd);
    this.#file = null;
    this.#leave();
  }

  #entry(read: TarEntry): void {
    this.#finishFile();
    const entry = this.#options.map ? this.#options.map(read) : read;
    if (entry === null) return;
    if (entry.type === "dir") this.#directories.push(entry);
    if (entry.name === "") return;
    const slash = entry.name.lastIndexOf("/");
    this.#make(this.#enter(entry.name.slice(0, Math.max(0, slash))), entry.name.slice(slash + 1), entry);
  }

  /** The directory at a path, made where it is missing; open until another one is entered. */
  #enter(path: string): number {
    if (this.#place?.path !== path) {
      this.#leave();
      this.#place = { path, fd: this.#directory(path === "" ? [] : path.split("/"), true)! };
    }
    return this.#place!.fd;
  }

  #leave(): void {
    if (this.#place) close(this.#place.fd);
    this.#place = null;
  }

  #make(dir: number, byteName: string, entry: TarEntry): void {
    const name = bytesOf(byteName);
    if (!makeRoom(dir, byteName, entry, this.#options)) return;
    switch (entry.type) {
      case "dir":
        mkdirat(dir, name, 0o700);
        return;
      case "file": {
        const fd = openat(dir, name, NEW_FILE, 0o600);
        const regions = entry.sparse ?? (entry.size > 0 ? [{ offset: 0, length: entry.size }] : []);
        this.#file = { fd, entry, regions, holes: entry.sparse !== null, done: 0, region: 0 };
        return;
      }
      case "link": {
        const target = this.#parent(entry.link);
        if (!target)
          throw new OnggiError(
            "layer_invalid",
            `"${display(entry.name)}" is a link to "${display(entry.link)}", which is not there`,
          );
        try {
          linkat(target.fd, bytesOf(target.name), dir, name);
        } finally {
          close(target.fd);
        }
        return;
      }
      case "symlink":
        symlinkat(bytesOf(entry.link), dir, name);
        break;
      default: {
        const kind = entry.type === "char" ? S.S_IFCHR : entry.type === "block" ? S.S_IFBLK : S.S_IFIFO;
        mknodat(dir, name, kind | 0o600, entry.type === "fifo" ? 0 : makedev(entry.major, entry.minor));
      }
    }
    const made = openName(dir, byteName);
    if (made === null) return;
    try {
      attributes(made, entry);
    } finally {
      close(made);
    }
  }

  #data(bytes: Uint8Array): void {
    const file = this.#file;
    if (!file) return;
    for (let at = 0; at < bytes.length; ) {
      const region = file.regions[file.region];
      if (!region) return;
      const length = Math.min(bytes.length - at, region.length - file.done);
      const part = bytes.subarray(at, at + length);
      if (isHole(part)) file.holes = true;
      else writeAll(file.fd, part, region.offset + file.done);
      at += length;
      file.done += length;
      if (file.done === region.length) {
        file.region++;
        file.done = 0;
      }
    }
  }

  #finishFile(): void {
    const file = this.#file;
    if (!file) return;
    this.#file = null;
    try {
      if (file.holes) ftruncate(file.fd, file.entry.size);
      attributes(file.fd, file.entry);
    } finally {
      close(file.fd);
    }
  }

  /** The directory that a name lies in, to be closed, and its last component; null where it is not there. */
  #parent(path: string): { fd: number; name: string } | null {
    const parts = path.split("/");
    const name = parts.pop()!;
    const fd = this.#directory(parts, false);
    return fd === null ? null : { fd, name };
  }

  /** To be closed; what is missing on the way is made, or null. */
  #directory(parts: readonly string[], make: boolean): number | null {
    let at = openat(this.#root, ".", DIRECTORY);
    for (const [index, part] of parts.entries()) {
      let next: number | null;
      try {
        next = this.#step(at, part, make, parts.slice(0, index + 1));
      } finally {
        close(at);
      }
      if (next === null) return null;
      at = next;
    }
    return at;
  }

  #step(dir: number, part: string, make: boolean, path: readonly string[]): number | null {
    const name = bytesOf(part);
    for (let made = false; ; made = true) {
      try {
        return openat(dir, name, DIRECTORY);
      } catch (error) {
        if (isErrno(error, "ELOOP", "ENOTDIR")) return this.#follow(path);
        if (!isErrno(error, "ENOENT")) throw error;
        if (!make || made) return null;
        mkdirat(dir, name, 0o755);
      }
    }
  }

  #follow(path: readonly string[]): number {
    const { within } = this.#options;
    try {
      if (within)
        return openat2(within.root, bytesOf(`${within.path}/${path.join("/")}`), {
          flags: O.O_PATH | O.O_DIRECTORY,
          resolve: IN_ROOT,
        });
    } catch (error) {
      if (!isErrno(error, "ENOENT", "ENOTDIR", "ELOOP")) throw error;
    }
    throw new OnggiError("not_a_directory", `"${display(path.at(-1)!)}" is in the way: it is no directory`);
  }
}

/** Whether the entry is to be made: a file in its way goes, a directory is kept for a directory. */
function makeRoom(dir: number, byteName: string, entry: TarEntry, { replace, where }: UntarOptions): boolean {
  const there = openName(dir, byteName);
  if (there === null) return true;
  try {
    const named = `"${where === undefined ? "" : `${where.replace(/\/\.?$/, "")}/`}${display(entry.name)}"`;
    const at = where === undefined ? "" : ` "${where}"`;
    const isDirectory = (fstat(there).mode & S.S_IFMT) === S.S_IFDIR;
    if (isDirectory && entry.type === "dir") return false;
    if (isDirectory && !replace)
      throw new OnggiError("is_a_directory", `cannot overwrite directory ${named} with non-directory${at}`);
    if (entry.type === "dir" && !replace)
      throw new OnggiError("not_a_directory", `cannot overwrite non-directory ${named} with directory${at}`);
  } finally {
    close(there);
  }
  removeTree(dir, byteName);
  return true;
}

const attributes = (fd: number, entry: TarEntry): void => {
  const { type, uid, gid, mode } = entry;
  const mtimeNs = BigInt(entry.mtime) * 1_000_000_000n + BigInt(entry.mtimeNs);
  setAttributes(fd, { type, uid, gid, mode, mtimeNs, xattrs: entry.xattrs ?? [] });
};
