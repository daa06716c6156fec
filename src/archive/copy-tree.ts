/**
 * A directory tree copied by descriptor, with owners, modes, times, extended attributes, holes, devices and hard links.
 *
 * Runs as the engine, with its privileges, on trees that containers may be changing. Why that is safe: every name is one component
 * below an open directory, opened without being followed, and what is made is made by calls that fail where something is. So nothing
 * outside of the two trees is read or written, whatever is exchanged for a link meanwhile.
 */
import {
  close,
  copyFileRange,
  errno,
  fstat,
  ftruncate,
  ioctl,
  isErrno,
  linkat,
  lseek,
  major,
  makedev,
  minor,
  mkdirat,
  mknodat,
  O,
  openat,
  read,
  readlinkatBytes,
  S,
  type Stat,
  SysError,
  symlinkat,
  writeAll,
} from "../sys/index.ts";
import { setAttributes } from "./attributes.ts";
import { bytesOf } from "./bytes.ts";
import { inodeKey, namesIn, openName, typeOf, xattrsOf } from "./tree-reader.ts";

/** ioctl_ficlone(2): shares the blocks of a whole file. */
const FICLONE = 0x40049409;
const NEW_FILE = O.O_WRONLY | O.O_CREAT | O.O_EXCL | O.O_NOFOLLOW;
/** Others get their turn after so many milliseconds. */
const TURN_MS = 20;

export interface CopyTreeOptions {
  /** Share blocks where the file system can (btrfs, xfs). */
  readonly reflink?: boolean;
  /** Ends the copy between two files. */
  readonly signal?: AbortSignal;
}

/** Bytes of content, and how many of them are shared with the source and take no room. */
export interface CopiedTree {
  readonly bytes: number;
  readonly shared: number;
}

/**
 * Copies what an open directory holds into another one, which must not hold the same names, and gives that one the first one's
 * attributes. Sockets are left out; what goes away meanwhile too. When it throws, a part of it is there.
 */
export async function copyTree(from: number, to: number, options: CopyTreeOptions = {}): Promise<CopiedTree> {
  const copy = new TreeCopy(from, to, options);
  await copy.run();
  return { bytes: copy.bytes, shared: copy.shared };
}

class TreeCopy {
  bytes = 0;
  shared = 0;
  readonly #from: number;
  readonly #to: number;
  readonly #options: CopyTreeOptions;
  /** Inodes with several names: where the first copy is. */
  readonly #first = new Map<string, string>();
  #reflink: boolean;
  #turn = performance.now();

  constructor(from: number, to: number, options: CopyTreeOptions) {
    this.#from = from;
    this.#to = to;
    this.#options = options;
    this.#reflink = options.reflink ?? false;
  }

  async run(): Promise<void> {
    await this.#directory(this.#from, this.#to, "");
  }

  /** Times last: what is made in a directory changes its own. */
  async #directory(from: number, to: number, path: string): Promise<void> {
    for (const name of namesIn(from)) {
      this.#options.signal?.throwIfAborted();
      if (performance.now() - this.#turn > TURN_MS) {
        await new Promise((resolve) => setImmediate(resolve));
        this.#turn = performance.now();
      }
      const source = openName(from, name);
      if (source === null) continue;
      try {
        await this.#entry(source, to, name, path === "" ? name : `${path}/${name}`);
      } finally {
        close(source);
      }
    }
    attributes(from, to, fstat(from));
  }

  async #entry(source: number, dir: number, byteName: string, path: string): Promise<void> {
    const stat = fstat(source);
    const type = typeOf(stat);
    if (type === null) return;
    const name = bytesOf(byteName);
    if (type === "dir") {
      mkdirat(dir, name, 0o700);
      const made = openat(dir, name, O.O_PATH | O.O_DIRECTORY | O.O_NOFOLLOW);
      try {
        await this.#directory(source, made, path);
      } finally {
        close(made);
      }
      return;
    }
    if (stat.nlink > 1) {
      const first = this.#first.get(inodeKey(stat));
      if (first !== undefined) return this.#link(first, dir, name);
      this.#first.set(inodeKey(stat), path);
    }
    if (type === "file") {
      const target = openat(dir, name, NEW_FILE, 0o600);
      try {
        await this.#content(source, target, stat.size);
      } finally {
        close(target);
      }
    } else if (type === "symlink") symlinkat(readlinkatBytes(source, ""), dir, name);
    else mknodat(dir, name, (stat.mode & S.S_IFMT) | 0o600, type === "fifo" ? 0 : makedev(major(stat.rdev), minor(stat.rdev)));
    const made = openat(dir, name, O.O_PATH | O.O_NOFOLLOW);
    try {
      attributes(source, made, stat);
    } finally {
      close(made);
    }
  }

  /** By its path below our own copy, opened piece by piece. */
  #link(first: string, dir: number, name: Uint8Array): void {
    const parts = first.split("/");
    const last = parts.pop()!;
    const opened: number[] = [];
    try {
      let at = this.#to;
      for (const part of parts) {
        at = openat(at, bytesOf(part), O.O_PATH | O.O_DIRECTORY | O.O_NOFOLLOW);
        opened.push(at);
      }
      linkat(at, bytesOf(last), dir, name);
    } finally {
      for (const fd of opened) close(fd);
    }
  }

  async #content(source: number, target: number, size: number): Promise<void> {
    if (size === 0) return;
    const file = openat(-100, `/proc/self/fd/${source}`, O.O_RDONLY);
    try {
      if (this.#reflink && this.#clone(file, target)) this.shared += size;
      else await this.#copy(file, target, size);
      this.bytes += size;
    } finally {
      close(file);
    }
  }

  #clone(file: number, target: number): boolean {
    try {
      ioctl(target, FICLONE, file);
      return true;
    } catch (error) {
      if (!isErrno(error, "EOPNOTSUPP", "EXDEV", "EINVAL", "ENOTTY", "ETXTBSY")) throw error;
      this.#reflink = false;
      return false;
    }
  }

  /** Only what is no hole. */
  async #copy(file: number, target: number, size: number): Promise<void> {
    for (let at = 0; at < size; ) {
      const start = seek(file, at, 3);
      if (start === null || start >= size) break;
      const end = Math.min(seek(file, start, 4) ?? size, size);
      for (let position = start; position < end; ) {
        const length = copyPart(file, target, Math.min(end - position, 8 << 20), position);
        if (length === 0) break;
        position += length;
        if (performance.now() - this.#turn > TURN_MS) {
          await new Promise((resolve) => setImmediate(resolve));
          this.#turn = performance.now();
        }
      }
      at = end;
    }
    ftruncate(target, size);
  }
}

const attributes = (source: number, made: number, stat: Stat): void => {
  const type = typeOf(stat)!;
  setAttributes(made, {
    ...{ type, uid: stat.uid, gid: stat.gid, mode: stat.mode & 0o7777, mtimeNs: stat.mtimeNs },
    xattrs: xattrsOf(source),
  });
};

/** Next data (3) or hole (4) from a position on; null where there is no more, or the file system does not tell. */
function seek(file: number, at: number, whence: 3 | 4): number | null {
  try {
    return lseek(file, at, whence);
  } catch (error) {
    if (error instanceof SysError && error.errno === errno.ENXIO) return null;
    if (isErrno(error, "EINVAL", "EOPNOTSUPP")) return whence === 3 ? at : null;
    throw error;
  }
}

const buffer = new Uint8Array(1 << 18);

function copyPart(from: number, to: number, length: number, position: number): number {
  try {
    return copyFileRange(from, to, length, position, position);
  } catch (error) {
    if (!isErrno(error, "EXDEV", "EINVAL", "EOPNOTSUPP", "ENOSYS")) throw error;
  }
  const bytes = read(from, buffer.subarray(0, Math.min(length, buffer.length)), position);
  writeAll(to, buffer.subarray(0, bytes), position);
  return bytes;
}
