/**
 * Writes an image's tree out as files, for kernels without EROFS.
 * Runs as the engine, with its privileges, on names from a hostile archive. Why that is safe: the tree holds no "..", every
 * directory is opened below the new root with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS, every name is one component created with
 * O_EXCL or its like relative to that descriptor, and nothing is ever opened through a link that the archive made.
 */
import * as fs from "node:fs";
import { bytesOf, display } from "../archive/bytes.ts";
import { MAX_PATH, type TarEntry, type Xattr } from "../archive/tar-types.ts";
import {
  AT,
  close,
  copyFileRange,
  fchmodat,
  fchownat,
  isErrno,
  linkat,
  lsetxattr,
  makedev,
  mkdirat,
  mknodat,
  O,
  openat,
  openat2,
  RESOLVE,
  S,
  symlinkat,
  utimensat,
} from "../sys/index.ts";
import { directoriesOf, type Inode } from "./tree.ts";
import { shownXattrs } from "./tree-xattrs.ts";

const DIRECTORY = O.O_RDONLY | O.O_DIRECTORY | O.O_NOFOLLOW | O.O_CLOEXEC;
const NEW_FILE = O.O_WRONLY | O.O_CREAT | O.O_EXCL | O.O_NOFOLLOW | O.O_CLOEXEC;
const BENEATH = RESOLVE.RESOLVE_BENEATH | RESOLVE.RESOLVE_NO_SYMLINKS | RESOLVE.RESOLVE_NO_MAGICLINKS;

interface Pending {
  readonly inode: Inode;
  /** Byte string, relative to the root; "." for the root itself. */
  readonly path: string;
}

const copyBytes = (from: number, to: number, entry: TarEntry): void => {
  let position = entry.offset;
  for (const region of entry.sparse ?? [{ offset: 0, length: entry.size }]) {
    for (let done = 0; done < region.length; ) {
      const bytes = copyPart(from, to, region.length - done, position + done, region.offset + done);
      if (bytes === 0) throw new Error(`"${entry.name}": the layer is shorter than its headers say`);
      done += bytes;
    }
    position += region.length;
  }
  if (entry.sparse) fs.ftruncateSync(to, entry.size);
};

const buffer = Buffer.allocUnsafeSlow(1 << 18);

const copyPart = (from: number, to: number, length: number, source: number, target: number): number => {
  try {
    return copyFileRange(from, to, length, source, target);
  } catch (error) {
    if (!isErrno(error, "EXDEV", "EINVAL", "EOPNOTSUPP", "ENOSYS")) throw error;
  }
  const bytes = fs.readSync(from, buffer, 0, Math.min(length, buffer.length), source);
  for (let done = 0; done < bytes; ) done += fs.writeSync(to, buffer, done, bytes - done, target + done);
  return bytes;
};

/** Owner, then mode (a change of owner clears set-id bits), attributes, and time last. */
const setAttributes = (dir: number, name: Uint8Array, inode: Inode): void => {
  const { entry } = inode;
  fchownat(dir, name, entry.uid, entry.gid, AT.AT_SYMLINK_NOFOLLOW);
  if (entry.type !== "symlink") fchmodat(dir, name, entry.mode);
  for (const attribute of shownXattrs(inode)) setXattr(dir, name, attribute, entry.name);
  const time = BigInt(entry.mtime) * 1_000_000_000n + BigInt(entry.mtimeNs);
  utimensat(dir, name, time, time, AT.AT_SYMLINK_NOFOLLOW);
};

/** Attributes for which a file system of any kind has room on every file. */
const SMALL_XATTR = 1024;

const setXattr = (dir: number, name: Uint8Array, attribute: Xattr, member: string): void => {
  const path = Buffer.concat([Buffer.from(`/proc/self/fd/${dir}/`), name]);
  try {
    lsetxattr(path, bytesOf(attribute.name), attribute.value);
  } catch (error) {
    // As tar does: what this file system has no place for is left out.
    if (isErrno(error, "EOPNOTSUPP")) return;
    if (!isErrno(error, "ENOSPC", "E2BIG", "ERANGE") || attribute.value.length < SMALL_XATTR) throw error;
    const what = `extended attribute ${display(attribute.name)} of "${display(member)}" (${attribute.value.length} bytes)`;
    throw new Error(`${what} does not fit into the file system of the image store`, { cause: error });
  }
};

/** A directory below the root, to be closed; a path that is longer than a system call takes is opened piece by piece. */
const openBelow = (root: number, path: string): number => {
  let at = root;
  let rest = path;
  for (;;) {
    const cut = rest.length <= MAX_PATH ? rest.length : rest.lastIndexOf("/", MAX_PATH);
    try {
      const next = openat2(at, bytesOf(rest.slice(0, cut)), { flags: DIRECTORY, resolve: BENEATH });
      if (cut === rest.length) return next;
      rest = rest.slice(cut + 1);
      if (at !== root) close(at);
      at = next;
    } catch (error) {
      if (at !== root) close(at);
      throw error;
    }
  }
};

/** Extracts into `target`, a directory that exists and is empty. `layers` are the tars by the tree's layer numbers. */
export const extractTree = (root: Inode, layers: readonly string[], target: string): void => {
  const rootFd = openat(AT.AT_FDCWD, target, DIRECTORY);
  const tars = layers.map((path) => fs.openSync(path, "r"));
  try {
    new Extraction(rootFd, tars).run(root);
  } finally {
    for (const tar of tars) fs.closeSync(tar);
    close(rootFd);
  }
};

const below = (folder: string, name: string): string => (folder === "." ? name : `${folder}/${name}`);

/** Sets how many names every inode that is no directory has. */
const countNames = (root: Inode): void => {
  const directories = directoriesOf(root);
  for (const { children } of directories) for (const inode of children!.values()) inode.links = 0;
  for (const { children } of directories) for (const inode of children!.values()) inode.links++;
};

class Extraction {
  readonly #root: number;
  readonly #tars: readonly number[];
  /** Where an inode with several names was created. */
  readonly #first = new Map<Inode, string>();

  constructor(root: number, tars: readonly number[]) {
    this.#root = root;
    this.#tars = tars;
  }

  run(root: Inode): void {
    countNames(root);
    const order: Pending[] = [{ inode: root, path: "." }];
    for (let i = 0; i < order.length; i++) this.#fill(order[i]!, order);
    // Directories get their mode and time when nothing is created in them any more: deepest first.
    for (let i = order.length - 1; i >= 0; i--) {
      const { inode, path } = order[i]!;
      const fd = openBelow(this.#root, path);
      try {
        setAttributes(fd, bytesOf("."), inode);
      } finally {
        close(fd);
      }
    }
  }

  #fill({ inode: parent, path }: Pending, order: Pending[]): void {
    const fd = openBelow(this.#root, path);
    try {
      for (const [name, inode] of parent.children!) {
        if (inode.children) {
          mkdirat(fd, bytesOf(name), 0o700);
          order.push({ inode, path: below(path, name) });
        } else if (inode.links === 1 || !this.#linked(fd, path, name, inode)) {
          this.#create(fd, bytesOf(name), inode);
        }
      }
    } finally {
      close(fd);
    }
  }

  /** Links the inode if it has been created under another name; else that is to be done under this one. */
  #linked(dir: number, folder: string, name: string, inode: Inode): boolean {
    const first = this.#first.get(inode);
    if (first === undefined) this.#first.set(inode, below(folder, name));
    else this.#link(first, dir, bytesOf(name));
    return first !== undefined;
  }

  #create(dir: number, name: Uint8Array, inode: Inode): void {
    const { entry } = inode;
    switch (entry.type) {
      case "file": {
        const fd = openat(dir, name, NEW_FILE, 0o600);
        try {
          copyBytes(this.#tars[inode.layer]!, fd, entry);
        } finally {
          close(fd);
        }
        break;
      }
      case "symlink":
        symlinkat(bytesOf(entry.link), dir, name);
        break;
      default: {
        const kind = entry.type === "char" ? S.S_IFCHR : entry.type === "block" ? S.S_IFBLK : S.S_IFIFO;
        mknodat(dir, name, kind | 0o600, entry.type === "fifo" ? 0 : makedev(entry.major, entry.minor));
      }
    }
    setAttributes(dir, name, inode);
  }

  #link(first: string, dir: number, name: Uint8Array): void {
    if (first.length <= MAX_PATH) {
      linkat(this.#root, bytesOf(first), dir, name);
      return;
    }
    const slash = first.lastIndexOf("/");
    const from = openBelow(this.#root, first.slice(0, slash));
    try {
      linkat(from, bytesOf(first.slice(slash + 1)), dir, name);
    } finally {
      close(from);
    }
  }
}
