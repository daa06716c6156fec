/**
 * The file tree of an image: its layers' entries put one over the other, whiteouts and opaque directories resolved.
 * Source: OCI image specification, layer.md ("Applying Changesets", "Whiteouts").
 *
 * Within one layer a later entry replaces an earlier one of the same name, and a path that leads through a symbolic link
 * of that layer is followed inside the tree. Over a lower layer, a directory replaces a symbolic link of its name, as
 * overlayfs has it. A hard link may lead to a file of a lower layer. A whiteout makes nothing: where there is nothing to hide, it
 * means nothing. A character device 0/0 is what overlayfs takes for a whiteout: it replaces what has its name, and is not shown.
 */

import { MAX_PATH, type TarEntry } from "../archive/tar-types.ts";
import { OnggiError } from "../lib/errors.ts";
import type { ChunkMap } from "./erofs-types.ts";
import { LayerInvalid } from "./errors.ts";

export interface InodeExtra {
  xattrs: Buffer | null;
  chunks: ChunkMap | null;
  /** Directories: the names, sorted, and where ".." leads. */
  names: readonly string[] | null;
  parent: Inode | null;
}

/** One inode. Directories have `children`; everything else may have several names. */
export class Inode {
  entry: TarEntry;
  /** Index of the layer it came from. */
  layer: number;
  readonly children: Map<string, Inode> | null;
  /** What the index writer finds out of it; here, because a second object for each inode costs more than all the rest. */
  links = 0;
  nid = 0;
  layout = 0;
  dataSize = 0;
  /** First block of data that do not stand behind the inode. */
  block = 0;
  /** What only some have. */
  extra: InodeExtra | null = null;
  /** A directory that only exists because an entry lies below it. */
  implicit: boolean;
  opaque = false;

  constructor(entry: TarEntry, layer: number, implicit = false) {
    this.entry = entry;
    this.layer = layer;
    this.children = entry.type === "dir" ? new Map() : null;
    this.implicit = implicit;
  }
}

/** How a layer's whiteouts appear: applied to the layers below, or kept as overlayfs reads them in a lower directory. */
export type Whiteouts = "resolve" | "overlay";

const WHITEOUT = ".wh.";
const OPAQUE = ".wh..wh..opq";
const MAX_LINKS = 40;
/** No path of an entry is deeper; through symbolic links a tree could become so. */
const MAX_DEPTH = (MAX_PATH + 1) / 2;

const entryOf = (type: TarEntry["type"], mode: number): TarEntry => ({
  type,
  name: "",
  link: "",
  mode,
  uid: 0,
  gid: 0,
  mtime: 0,
  mtimeNs: 0,
  size: 0,
  offset: 0,
  stored: 0,
  major: 0,
  minor: 0,
  xattrs: null,
  sparse: null,
  at: 0,
});

const implicitDirectory = entryOf("dir", 0o755);
const whiteoutDevice = entryOf("char", 0);

/** All directories below and with `dir`, each before those it holds. */
export const directoriesOf = (dir: Inode): Inode[] => {
  const pending: Inode[] = [dir];
  const order: Inode[] = [];
  for (let next = pending.pop(); next; next = pending.pop()) {
    order.push(next);
    for (const child of next.children!.values()) if (child.children) pending.push(child);
  }
  return order;
};

const isWhiteoutDevice = ({ type, major, minor }: TarEntry): boolean => type === "char" && major === 0 && minor === 0;

export class Tree {
  readonly root = new Inode(implicitDirectory, -1, true);
  readonly #whiteouts: Whiteouts;
  #layer = -1;
  /** Directories of the current layer by path, so that neighbours cost one look-up. Emptied when the tree loses anything. */
  readonly #known = new Map<string, Inode>();
  /** Names that the current layer gave to files of lower layers, by hard links. */
  readonly #linked = new Map<Inode, Set<string>>();
  #whiteoutDevices = false;

  constructor(whiteouts: Whiteouts = "resolve") {
    this.#whiteouts = whiteouts;
  }

  /** Lays the next layer over the tree. Throws LayerInvalid. */
  addLayer(entries: readonly TarEntry[]): void {
    this.#layer++;
    this.#known.clear();
    this.#linked.clear();
    for (const entry of entries) this.#add(entry);
  }

  /** The tree of all layers; none may be added afterwards. */
  finish(): Inode {
    if (!this.#whiteoutDevices) return this.root;
    const keep = this.#whiteouts === "overlay";
    // Kept ones hide something only where lower layers show through; elsewhere overlayfs lists them and does not find them.
    const alone = new Set<Inode>();
    for (const dir of directoriesOf(this.root)) {
      if (dir.opaque) alone.add(dir);
      for (const [name, child] of dir.children!) {
        if (child.children && alone.has(dir)) alone.add(child);
        else if (isWhiteoutDevice(child.entry) && (!keep || alone.has(dir))) dir.children!.delete(name);
      }
    }
    return this.root;
  }

  #add(entry: TarEntry): void {
    if (entry.name === "") {
      if (entry.type !== "dir") throw new LayerInvalid("/", entry.at, "the root must be a directory");
      this.root.entry = entry;
      this.root.layer = this.#layer;
      return;
    }
    const slash = entry.name.lastIndexOf("/");
    const name = entry.name.slice(slash + 1);
    const folder = slash < 0 ? "" : entry.name.slice(0, slash);
    if (name.startsWith(WHITEOUT)) {
      const keep = this.#whiteouts === "overlay";
      const hides = keep ? this.#directory(folder, entry) : (this.#known.get(folder) ?? this.#walk(folder, entry, "find"));
      if (hides) this.#whiteout(hides, name);
      return;
    }
    const parent = this.#directory(folder, entry);
    if (entry.type === "link") this.#link(parent, name, entry);
    else this.#put(parent, name, entry);
  }

  #put(parent: Inode, name: string, entry: TarEntry): void {
    const there = parent.children!.get(name);
    if (there?.children && entry.type === "dir") {
      there.entry = entry;
      there.layer = this.#layer;
      there.implicit = false;
      return;
    }
    if (there) this.#known.clear();
    if (isWhiteoutDevice(entry)) this.#whiteoutDevices = true;
    parent.children!.set(name, this.#over(there, new Inode(entry, this.#layer)));
  }

  /** A directory that takes the place of a kept whiteout still hides what lies below it. */
  #over(there: Inode | undefined, made: Inode): Inode {
    if (made.children && there?.entry === whiteoutDevice) made.opaque = true;
    return made;
  }

  #link(parent: Inode, name: string, entry: TarEntry): void {
    const target = this.#lookup(entry.link, entry);
    if (!target) throw new LayerInvalid(entry.name, entry.at, `hard link to "${entry.link}", which is not there`);
    if (target.children) throw new LayerInvalid(entry.name, entry.at, `hard link to the directory "${entry.link}"`);
    const there = parent.children!.get(name);
    if (there && there !== target) this.#known.clear();
    parent.children!.set(name, target);
    if (target.layer === this.#layer) return;
    const names = this.#linked.get(parent) ?? new Set();
    this.#linked.set(parent, names.add(name));
  }

  /** Whether the current layer has put `child` there. */
  #isOwn(dir: Inode, name: string, child: Inode): boolean {
    return child.layer === this.#layer || (this.#linked.get(dir)?.has(name) ?? false);
  }

  /** Removes what lower layers put below `dir`; true when nothing of this layer is left there. */
  #pruneLower(dir: Inode): boolean {
    const order = directoriesOf(dir);
    // Go backwards to decide what a directory holds before the directory.
    for (let i = order.length - 1; i >= 0; i--) {
      for (const [name, child] of order[i]!.children!) {
        if (this.#isOwn(order[i]!, name, child)) continue;
        if (child.children && child.children.size > 0) {
          child.entry = implicitDirectory;
          child.layer = this.#layer;
          child.implicit = true;
        } else {
          order[i]!.children!.delete(name);
        }
      }
    }
    return dir.children!.size === 0;
  }

  #whiteout(parent: Inode, name: string): void {
    if (name === OPAQUE) {
      if (this.#whiteouts === "overlay") parent.opaque = true;
      else this.#pruneLower(parent);
      this.#known.clear();
      return;
    }
    // Other names with a double prefix are AUFS's own bookkeeping.
    if (name.startsWith(".wh..wh.")) return;
    const hidden = name.slice(WHITEOUT.length);
    if (hidden === "" || hidden === "." || hidden === "..") return;
    const there = parent.children!.get(hidden);
    if (this.#whiteouts === "overlay") {
      this.#whiteoutDevices = true;
      if (!there) parent.children!.set(hidden, new Inode(whiteoutDevice, this.#layer));
      else if (there.children) there.opaque = true;
      return;
    }
    if (!there) return;
    this.#known.clear();
    if (there.children) {
      const empty = this.#pruneLower(there);
      if (there.layer === this.#layer) return;
      if (!empty) {
        there.entry = implicitDirectory;
        there.layer = this.#layer;
        there.implicit = true;
        return;
      }
    } else if (this.#isOwn(parent, hidden, there)) {
      return;
    }
    parent.children!.delete(hidden);
  }

  /** The directory at `path`, made where it is missing. */
  #directory(path: string, entry: TarEntry): Inode {
    const known = this.#known.get(path);
    if (known) return known;
    const found = this.#walk(path, entry, "make")!;
    this.#known.set(path, found);
    return found;
  }

  /** What is at `path`, symbolic links in its directories followed, or null. */
  #lookup(path: string, entry: TarEntry): Inode | null {
    const slash = path.lastIndexOf("/");
    const parent =
      slash < 0 ? this.root : (this.#known.get(path.slice(0, slash)) ?? this.#walk(path.slice(0, slash), entry, "follow"));
    return parent?.children?.get(path.slice(slash + 1)) ?? null;
  }

  #makeDirectory(parent: Inode, name: string, there: Inode | undefined): Inode {
    if (there) this.#known.clear();
    const made = this.#over(there, new Inode(implicitDirectory, this.#layer, true));
    parent.children!.set(name, made);
    return made;
  }

  /**
   * Walks to a directory inside the tree. Symbolic links of this layer are followed, with "follow" those of lower layers too.
   * With "make", missing directories are made and what is in the way is replaced; otherwise null.
   */
  #walk(path: string, entry: TarEntry, how: "make" | "find" | "follow"): Inode | null {
    const parts = path === "" ? [] : path.split("/").reverse();
    const stack: Inode[] = [this.root];
    let followed = 0;
    for (let part = parts.pop(); part !== undefined; part = parts.pop()) {
      const here = stack.at(-1)!;
      const child = here.children!.get(part);
      if (part === "" || part === ".") {
        // Stays where it is.
      } else if (part === "..") {
        // At the root ".." is the root: a link cannot lead out of the tree.
        if (stack.length > 1) stack.pop();
      } else if (child?.children) {
        stack.push(child);
      } else if (child?.entry.type === "symlink" && (child.layer === this.#layer || how === "follow")) {
        if (++followed > MAX_LINKS) throw new LayerInvalid(entry.name, entry.at, "too many symbolic links in the path");
        if (child.entry.link.startsWith("/")) stack.length = 1;
        const target = child.entry.link.split("/");
        parts.push(...target.reverse());
      } else if (how === "make") {
        stack.push(this.#makeDirectory(here, part, child));
      } else {
        return null;
      }
    }
    if (stack.length > MAX_DEPTH) throw new LayerInvalid(entry.name, entry.at, "the path is too deep");
    return stack.at(-1)!;
  }
}

/** Lays the layer at a position, from 0, of `count` over the ones below. Throws "layer_invalid", which says which layer it is. */
export const layOver = (tree: Tree, entries: readonly TarEntry[], position: number, count: number): void => {
  try {
    tree.addLayer(entries);
  } catch (error) {
    if (!(error instanceof LayerInvalid)) throw error;
    throw new OnggiError(error.code, `layer ${position + 1} of ${count}: ${error.message}`, { cause: error });
  }
};

/** The merged tree of layers, lowest first. Throws "layer_invalid", which says which layer it is. */
export const buildTree = (layers: readonly (readonly TarEntry[])[], whiteouts: Whiteouts = "resolve"): Inode => {
  const tree = new Tree(whiteouts);
  for (const [position, entries] of layers.entries()) layOver(tree, entries, position, layers.length);
  return tree.finish();
};
