/**
 * The file tree of an image: its layers' entries put one over the other, whiteouts and opaque directories resolved.
 * Source: OCI image specification, layer.md ("Applying Changesets", "Whiteouts").
 *
 * Within one layer a later entry replaces an earlier one of the same name, and a path that leads through a symbolic link
 * of that layer is followed inside the tree. Over a lower layer, a directory replaces a symbolic link of its name, as
 * overlayfs has it.
 */
import { OnggiError } from "../lib/errors.ts";
import type { ChunkMap } from "./erofs-types.ts";
import { LayerInvalid } from "./errors.ts";
import { MAX_PATH, type TarEntry } from "./tar-types.ts";

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

/** Removes what lower layers put below `dir`; true when nothing of this layer is left there. */
const pruneLower = (dir: Inode, layer: number): boolean => {
  const pending: Inode[] = [dir];
  const order: Inode[] = [];
  for (let next = pending.pop(); next; next = pending.pop()) {
    order.push(next);
    for (const child of next.children!.values()) if (child.children) pending.push(child);
  }
  // Children come after their parents in `order`: go backwards to decide them first.
  for (let i = order.length - 1; i >= 0; i--) {
    for (const [name, child] of order[i]!.children!) {
      if (child.layer === layer) continue;
      if (child.children && child.children.size > 0) {
        child.entry = implicitDirectory;
        child.layer = layer;
        child.implicit = true;
      } else {
        order[i]!.children!.delete(name);
      }
    }
  }
  return dir.children!.size === 0;
};

export class Tree {
  readonly root = new Inode(implicitDirectory, -1, true);
  readonly #whiteouts: Whiteouts;
  #layer = -1;
  /** Directories of the current layer by path, so that neighbours cost one look-up. Emptied when the tree loses anything. */
  readonly #known = new Map<string, Inode>();

  constructor(whiteouts: Whiteouts = "resolve") {
    this.#whiteouts = whiteouts;
  }

  /** Lays the next layer over the tree. Throws LayerInvalid. */
  addLayer(entries: readonly TarEntry[]): void {
    this.#layer++;
    this.#known.clear();
    for (const entry of entries) this.#add(entry);
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
    const parent = this.#directory(slash < 0 ? "" : entry.name.slice(0, slash), entry);
    if (name.startsWith(WHITEOUT)) this.#whiteout(parent, name);
    else if (entry.type === "link") this.#link(parent, name, entry);
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
    parent.children!.set(name, this.#over(there, new Inode(entry, this.#layer)));
  }

  /** A directory that takes the place of a kept whiteout still hides what lies below it. */
  #over(there: Inode | undefined, made: Inode): Inode {
    if (made.children && there?.entry === whiteoutDevice) made.opaque = true;
    return made;
  }

  #link(parent: Inode, name: string, entry: TarEntry): void {
    const target = this.#lookup(entry.link, entry);
    if (!target) throw new LayerInvalid(entry.name, entry.at, `hard link to "${entry.link}", which the layer does not hold`);
    if (target.children) throw new LayerInvalid(entry.name, entry.at, `hard link to the directory "${entry.link}"`);
    const there = parent.children!.get(name);
    if (there === target) return;
    if (there) this.#known.clear();
    parent.children!.set(name, target);
  }

  #whiteout(parent: Inode, name: string): void {
    if (name === OPAQUE) {
      if (this.#whiteouts === "overlay") parent.opaque = true;
      else pruneLower(parent, this.#layer);
      this.#known.clear();
      return;
    }
    // Other names with a double prefix are AUFS's own bookkeeping.
    if (name.startsWith(".wh..wh.")) return;
    const hidden = name.slice(WHITEOUT.length);
    if (hidden === "" || hidden === "." || hidden === "..") return;
    const there = parent.children!.get(hidden);
    if (this.#whiteouts === "overlay") {
      if (!there) parent.children!.set(hidden, new Inode(whiteoutDevice, this.#layer));
      else if (there.children) there.opaque = true;
      return;
    }
    if (!there) return;
    this.#known.clear();
    if (there.children) {
      const empty = pruneLower(there, this.#layer);
      if (there.layer === this.#layer) return;
      if (!empty) {
        there.entry = implicitDirectory;
        there.layer = this.#layer;
        there.implicit = true;
        return;
      }
    } else if (there.layer === this.#layer) {
      return;
    }
    parent.children!.delete(hidden);
  }

  /** The directory at `path`, made where it is missing. */
  #directory(path: string, entry: TarEntry): Inode {
    const known = this.#known.get(path);
    if (known) return known;
    const found = this.#walk(path, entry, true)!;
    this.#known.set(path, found);
    return found;
  }

  /** What this layer put at `path`, symbolic links in its directories followed, or null. */
  #lookup(path: string, entry: TarEntry): Inode | null {
    const slash = path.lastIndexOf("/");
    const parent =
      slash < 0 ? this.root : (this.#known.get(path.slice(0, slash)) ?? this.#walk(path.slice(0, slash), entry, false));
    const found = parent?.children?.get(path.slice(slash + 1));
    return found && (found.layer === this.#layer || found.children) ? found : null;
  }

  #makeDirectory(parent: Inode, name: string, there: Inode | undefined, entry: TarEntry, depth: number): Inode {
    if (depth > MAX_PATH / 2) throw new LayerInvalid(entry.name, entry.at, "the path is too deep");
    if (there) this.#known.clear();
    const made = this.#over(there, new Inode(implicitDirectory, this.#layer, true));
    parent.children!.set(name, made);
    return made;
  }

  /** Walks to a directory inside the tree. With `make`, missing ones are made and what is in the way is replaced. */
  #walk(path: string, entry: TarEntry, make: boolean): Inode | null {
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
      } else if (child?.entry.type === "symlink" && child.layer === this.#layer) {
        if (++followed > MAX_LINKS) throw new LayerInvalid(entry.name, entry.at, "too many symbolic links in the path");
        if (child.entry.link.startsWith("/")) stack.length = 1;
        const target = child.entry.link.split("/");
        for (let i = target.length - 1; i >= 0; i--) parts.push(target[i]!);
      } else if (make) {
        stack.push(this.#makeDirectory(here, part, child, entry, stack.length));
      } else {
        return null;
      }
    }
    return stack.at(-1)!;
  }
}

/** The merged tree of layers, lowest first. Throws "layer_invalid", which says which layer it is. */
export const buildTree = (layers: readonly (readonly TarEntry[])[], whiteouts: Whiteouts = "resolve"): Inode => {
  const tree = new Tree(whiteouts);
  for (const [position, entries] of layers.entries()) {
    try {
      tree.addLayer(entries);
    } catch (error) {
      if (!(error instanceof LayerInvalid)) throw error;
      const where = `layer ${position + 1} of ${layers.length}`;
      throw new OnggiError(error.code, `${where}: ${error.message}`, { cause: error });
    }
  }
  return tree.root;
};
