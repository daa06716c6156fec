/** A directory tree as a tar: all of it, or what has changed against another one, with OCI whiteouts for what is gone. */
import { close, fstat, major, minor, readlinkatBytes, type Stat } from "../sys/index.ts";
import { archiveEnd, encodeHeader, padding } from "./tar-encode.ts";
import { type IdRange, insideId, insideXattr } from "./tree-ids.ts";
import { contentOf, inodeKey, namesIn, openName, typeOf, xattrsOf } from "./tree-reader.ts";

/** What differs between two trees. */
export interface Change {
  /** Added, changed, deleted. */
  readonly kind: "A" | "C" | "D";
  /** A byte string without a leading slash. */
  readonly path: string;
}

export interface TarOptions {
  /** The host ids of the container; null when ids are as they are. */
  readonly ids: IdRange | null;
  /** Directories whose content is left out, paths as byte strings without a leading slash. */
  readonly emptied?: ReadonlySet<string>;
  /** Whether the content of a directory (O_PATH) is left out. */
  readonly leavesOut?: (fd: number) => boolean;
}

class TarWriter {
  readonly #options: TarOptions;
  /** First name of every inode that has several. */
  readonly #linked = new Map<string, string>();

  constructor(options: TarOptions) {
    this.#options = options;
  }

  /** One file, by its O_PATH descriptor. */
  *entry(name: string, fd: number, stat: Stat): Generator<Buffer> {
    const type = typeOf(stat);
    if (type === null) return;
    const { ids } = this.#options;
    const mtimeNs = Number(((stat.mtimeNs % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n);
    const common = {
      name,
      mode: stat.mode & 0o7777,
      uid: insideId(stat.uid, ids),
      gid: insideId(stat.gid, ids),
      mtime: Number((stat.mtimeNs - BigInt(mtimeNs)) / 1_000_000_000n),
      mtimeNs,
    };
    if (type !== "dir" && stat.nlink > 1) {
      const first = this.#linked.get(inodeKey(stat));
      if (first !== undefined) {
        yield encodeHeader({ ...common, type: "link", link: first });
        return;
      }
      this.#linked.set(inodeKey(stat), name);
    }
    const xattrs = xattrsOf(fd).map((xattr) => insideXattr(xattr, ids));
    const link = type === "symlink" ? Buffer.from(readlinkatBytes(fd, "")).toString("latin1") : "";
    const device = type === "char" || type === "block" ? { major: major(stat.rdev), minor: minor(stat.rdev) } : {};
    const size = type === "file" ? stat.size : 0;
    yield encodeHeader({ ...common, ...device, type, link, size, xattrs });
    if (size === 0) return;
    yield* contentOf(fd, size);
    yield padding(size);
  }

  *below(dir: number, path: string): Generator<Buffer> {
    for (const name of namesIn(dir)) {
      const fd = openName(dir, name);
      if (fd === null) continue;
      try {
        const stat = fstat(fd);
        const whole = `${path}${name}`;
        yield* this.entry(whole, fd, stat);
        if (typeOf(stat) === "dir" && !this.#options.emptied?.has(whole) && !this.#options.leavesOut?.(fd))
          yield* this.below(fd, `${whole}/`);
      } finally {
        close(fd);
      }
    }
  }
}

/** Everything below an open directory (O_PATH), in the order of the names' bytes; its root is no entry. */
export function* treeTar(root: number, options: TarOptions): Generator<Buffer> {
  yield* new TarWriter(options).below(root, "");
  yield archiveEnd();
}

/** One file, or a directory with all below it, under the name that is given ("." for one that is to be merged); the caller's descriptor (O_PATH). */
export function* fileTar(fd: number, name: string, options: TarOptions): Generator<Buffer> {
  const writer = new TarWriter(options);
  const stat = fstat(fd);
  yield* writer.entry(name, fd, stat);
  if (typeOf(stat) === "dir" && !options.leavesOut?.(fd)) yield* writer.below(fd, `${name}/`);
  yield archiveEnd();
}

/** The layer that makes the changes, which `changesOf` found in this tree. What is gone meanwhile is left out. */
export function* changesTar(root: number, changes: readonly Change[], options: TarOptions): Generator<Buffer> {
  const writer = new TarWriter(options);
  for (const { kind, path } of changes) {
    const slash = path.lastIndexOf("/");
    if (kind === "D") {
      yield encodeHeader({ type: "file", name: `${path.slice(0, slash + 1)}.wh.${path.slice(slash + 1)}`, mode: 0, size: 0 });
      continue;
    }
    const opened: number[] = [];
    try {
      let at: number | null = root;
      for (const name of path.split("/")) {
        at = openName(at, name);
        if (at === null) break;
        opened.push(at);
      }
      if (at !== null) yield* writer.entry(path, at, fstat(at));
    } finally {
      for (const fd of opened) close(fd);
    }
  }
  yield archiveEnd();
}
