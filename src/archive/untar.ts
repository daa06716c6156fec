/**
 * A tar unpacked below an open directory.
 *
 * Runs as the engine, with its privileges, on an archive that may be hostile, in a tree that a container may be changing. Why that is
 * safe: names have no ".." (the decoder's word), every component is opened below the one before it and is never followed, the last one
 * is made by calls that fail where something is, and attributes are set by the descriptor of what was made.
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
  S,
  symlinkat,
  unlinkat,
  writeAll,
} from "../sys/index.ts";
import { setAttributes } from "./attributes.ts";
import { bytesOf, display } from "./bytes.ts";
import { LayerInvalid } from "./errors.ts";
import { TarDecoder } from "./tar.ts";
import type { Region, TarEntry } from "./tar-types.ts";
import { openName } from "./tree-reader.ts";

const DIRECTORY = O.O_PATH | O.O_DIRECTORY | O.O_NOFOLLOW;
const NEW_FILE = O.O_WRONLY | O.O_CREAT | O.O_EXCL | O.O_NOFOLLOW;

export interface UntarOptions {
  /** What an entry becomes, null to leave it out. */
  readonly map?: (entry: TarEntry) => TarEntry | null;
}

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
    done: number;
    region: number;
  } | null = null;
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
      const parent = this.#parent(entry.name, false);
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
  }

  #entry(read: TarEntry): void {
    this.#finishFile();
    const entry = this.#options.map ? this.#options.map(read) : read;
    if (entry === null) return;
    if (entry.type === "dir") this.#directories.push(entry);
    if (entry.name === "") return;
    const parent = this.#parent(entry.name, true)!;
    try {
      this.#make(parent.fd, parent.name, entry);
    } finally {
      close(parent.fd);
    }
  }

  #make(dir: number, byteName: string, entry: TarEntry): void {
    const name = bytesOf(byteName);
    if (!makeRoom(dir, byteName, entry)) return;
    switch (entry.type) {
      case "dir":
        mkdirat(dir, name, 0o700);
        return;
      case "file": {
        const fd = openat(dir, name, NEW_FILE, 0o600);
        const regions = entry.sparse ?? (entry.size > 0 ? [{ offset: 0, length: entry.size }] : []);
        this.#file = { fd, entry, regions, done: 0, region: 0 };
        return;
      }
      case "link": {
        const target = this.#parent(entry.link, false);
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
      writeAll(file.fd, bytes.subarray(at, at + length), region.offset + file.done);
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
      if (file.entry.sparse) ftruncate(file.fd, file.entry.size);
      attributes(file.fd, file.entry);
    } finally {
      close(file.fd);
    }
  }

  /** The directory that a name lies in, to be closed, and its last component; what is missing on the way is made, or null. */
  #parent(path: string, make: boolean): { fd: number; name: string } | null {
    const parts = path.split("/");
    const name = parts.pop()!;
    let at = openat(this.#root, ".", DIRECTORY);
    for (const part of parts) {
      const next = this.#step(at, part, make);
      close(at);
      if (next === null) return null;
      at = next;
    }
    return { fd: at, name };
  }

  #step(dir: number, part: string, make: boolean): number | null {
    const name = bytesOf(part);
    for (let made = false; ; made = true) {
      try {
        return openat(dir, name, DIRECTORY);
      } catch (error) {
        if (isErrno(error, "ELOOP", "ENOTDIR"))
          throw new OnggiError("not_a_directory", `"${display(part)}" is in the way: it is no directory`);
        if (!isErrno(error, "ENOENT")) throw error;
        if (!make || made) return null;
        mkdirat(dir, name, 0o755);
      }
    }
  }
}

/** Whether the entry is to be made: a file in its way goes, a directory is kept for a directory. */
function makeRoom(dir: number, byteName: string, entry: TarEntry): boolean {
  const there = openName(dir, byteName);
  if (there === null) return true;
  try {
    const isDirectory = (fstat(there).mode & S.S_IFMT) === S.S_IFDIR;
    if (isDirectory && entry.type === "dir") return false;
    if (isDirectory) throw new OnggiError("is_a_directory", `"${display(entry.name)}" is a directory and stays one`);
    if (entry.type === "dir")
      throw new OnggiError("not_a_directory", `"${display(entry.name)}" is no directory and stays as it is`);
  } finally {
    close(there);
  }
  unlinkat(dir, bytesOf(byteName));
  return true;
}

const attributes = (fd: number, entry: TarEntry): void => {
  const { type, uid, gid, mode } = entry;
  const mtimeNs = BigInt(entry.mtime) * 1_000_000_000n + BigInt(entry.mtimeNs);
  setAttributes(fd, { type, uid, gid, mode, mtimeNs, xattrs: entry.xattrs ?? [] });
};
