/**
 * Files copied in and out of containers and volumes as tars: what `docker cp` and Docker's archive endpoints do
 * (HEAD, GET and PUT /containers/{id}/archive).
 *
 * Runs as the engine on files that a container may be exchanging, and on archives of anybody. Why that is safe: a path is looked up with
 * the container's root as the root (CVE-2018-15664), what it leads to is held by descriptor, and everything below goes by descriptor.
 */
import { byteStringOf, display } from "../archive/bytes.ts";
import type { TarEntry } from "../archive/tar-types.ts";
import { outsideId, outsideXattr } from "../archive/tree-ids.ts";
import { typeOf } from "../archive/tree-reader.ts";
import { fileTar } from "../archive/tree-tar.ts";
import { Untar } from "../archive/untar.ts";
import { decompressed } from "../images/stream.ts";
import { OnggiError } from "../lib/errors.ts";
import { rfc3339 } from "../lib/time.ts";
import { readRootFile, resolveUser } from "../runtime/index.ts";
import { asFileOwner, close, fstat, type Stat, SysError, statfs } from "../sys/index.ts";
import { type Context, findContainer } from "./context.ts";
import { type CopyPath, copyPath, describePath, finalPath, isKernels, openPath } from "./copy-paths.ts";
import { type CopyView, withView } from "./copy-view.ts";
import type { ContainerRecord } from "./database.ts";
import { describe } from "./list.ts";
import type { CopyTarget, PathStat } from "./types.ts";

export interface WriteArchiveOptions {
  /** A directory does not give way to a file, nor a file to a directory. */
  readonly noOverwriteDirNonDir?: boolean | undefined;
  /** What is written belongs to the container's user, if it has one, and not to whom the archive says. */
  readonly copyUidGid?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What is at a path. Throws `path_not_found`, `not_a_directory`, `container_not_found`, `volume_not_found`. */
export const statPath = (context: Context, target: CopyTarget): Promise<PathStat> =>
  within(context, target, "read", ({ view, path, where }) =>
    opened(view, path, where, (_, stat) => describePath(view.root, path, stat, rfc3339)),
  );

/**
 * What is at a path as a tar: a directory with all below it, a link as a link. `begin` hears what it is, then `write` gets the tar and
 * says when it can take more. Directories of the kernel's (/proc, /sys) are empty in it, sockets are left out.
 */
export const readArchive = (
  context: Context,
  target: CopyTarget,
  begin: (stat: PathStat) => Promise<void> | void,
  write: (chunk: Buffer) => Promise<void> | void,
): Promise<void> =>
  within(context, target, "read", ({ view, path, where, record }) =>
    opened(view, path, where, async (fd, stat) => {
      refuseKernels(fd, path);
      await begin(describePath(view.root, path, stat, rfc3339));
      if (record) context.events.emit("container", "archive-path", record.id, describe(record));
      for (const chunk of fileTar(fd, byteStringOf(path.base), { ids: view.ids, leavesOut: isKernels })) await write(chunk);
    }),
  );

/**
 * Unpacks a tar, plain or compressed, in the directory at a path. Entries lay themselves over what is there, and none leaves the
 * container's files. Throws as `statPath`; `rootfs_read_only`, `volume_read_only`; `layer_invalid`; `is_a_directory`,
 * `not_a_directory`; `unmapped_id`.
 */
export const writeArchive = (
  context: Context,
  target: CopyTarget,
  chunks: AsyncIterable<Uint8Array>,
  { noOverwriteDirNonDir = false, copyUidGid = false, signal }: WriteArchiveOptions = {},
): Promise<void> =>
  within(context, target, "write", ({ view, path, where, record }) =>
    openedDirectory(view, path, where, async (fd, stat) => {
      refuseKernels(fd, path);
      refuseReadOnly(fd, stat, view);
      const owner = copyUidGid && record ? userOf(context, record, view) : null;
      const root = outsideId(0, view.ids)!;
      const untar = new Untar(fd, {
        map: (entry) => mapped(entry, view, owner),
        replace: !noOverwriteDirNonDir,
        where: path.text,
        within: { root: view.root, path: byteStringOf(path.text) },
      });
      try {
        for await (const chunk of decompressed(chunks)) {
          signal?.throwIfAborted();
          view.check();
          asFileOwner(root, root, () => untar.push(chunk));
        }
        // a client that went away has not sent all of it
        signal?.throwIfAborted();
        view.check();
        asFileOwner(root, root, () => untar.end());
      } finally {
        untar.close();
      }
      if (record) context.events.emit("container", "extract-to-dir", record.id, describe(record));
    }),
  );

interface Place {
  readonly view: CopyView;
  readonly path: CopyPath;
  /** "container web", for errors. */
  readonly where: string;
  /** Null for a volume. */
  readonly record: ContainerRecord | null;
}

async function within<T>(
  context: Context,
  { container, volume, path: given }: CopyTarget,
  access: "read" | "write",
  use: (place: Place) => Promise<T> | T,
): Promise<T> {
  const path = copyPath(given);
  try {
    if (volume !== undefined) {
      return await context.volumes.use(volume, (root) =>
        use({ view: { root, ids: null, check: () => {} }, path, where: `volume ${volume}`, record: null }),
      );
    }
    const found = findContainer(context, container ?? "");
    const { record } = found;
    return await withView(context, found, access, (view) => use({ view, path, where: `container ${record.name}`, record }));
  } catch (error) {
    if (error instanceof SysError) throw new OnggiError("copy_failed", `${path.text}: ${error.message}`, { cause: error });
    throw error;
  }
}

async function opened<T>(
  view: CopyView,
  path: CopyPath,
  where: string,
  use: (fd: number, stat: Stat) => Promise<T> | T,
): Promise<T> {
  const fd = openPath(view.root, path);
  if (fd === null) throw new OnggiError("path_not_found", `Could not find the file ${path.text} in ${where}`);
  try {
    return await use(fd, fstat(fd));
  } finally {
    close(fd);
  }
}

/** As `opened`, links followed, where there is a directory. */
function openedDirectory<T>(
  view: CopyView,
  path: CopyPath,
  where: string,
  use: (fd: number, stat: Stat) => Promise<T> | T,
): Promise<T> {
  const link = finalPath(view.root, path.text);
  const there = openPath(view.root, copyPath(link));
  const isDirectory = there === null || typeOf(fstat(there)) === "dir";
  if (there !== null) close(there);
  if (!isDirectory) throw new OnggiError("not_a_directory", "extraction point is not a directory");
  return opened(view, { ...path, directory: true }, where, use);
}

function refuseKernels(fd: number, { text }: CopyPath): void {
  if (isKernels(fd)) throw new OnggiError("not_copied", `${text} is the kernel's: what is below /proc and /sys is not copied`);
}

function refuseReadOnly(fd: number, { mountId }: Stat, { root }: CopyView): void {
  if (!statfs(fd).readOnly) return;
  if (mountId === fstat(root).mountId) throw new OnggiError("rootfs_read_only", "container rootfs is marked read-only");
  throw new OnggiError("volume_read_only", "mounted volume is marked read-only");
}

interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** The user that the container runs as, by its files; null: root, and the archive's owners stay. */
function userOf(context: Context, { request, imageId }: ContainerRecord, { root }: CopyView): Owner | null {
  const user = request.user ?? (imageId === "" ? undefined : context.images.get(imageId).config.config.User);
  if (!user) return null;
  const text = (path: string) => readRootFile([root], path) ?? "";
  const { uid, gid } = resolveUser(user, { passwd: text("etc/passwd"), group: text("etc/group") });
  return { uid, gid };
}

function mapped(entry: TarEntry, { ids }: CopyView, owner: Owner | null): TarEntry | null {
  // the directory itself stays as it is
  if (entry.name === "") return null;
  const inside = owner ?? entry;
  const [uid, gid] = [outsideId(inside.uid, ids), outsideId(inside.gid, ids)];
  if (uid === null || gid === null) {
    throw new OnggiError(
      "unmapped_id",
      `"${display(entry.name)}" belongs to ${inside.uid}:${inside.gid}, which the container's user namespace does not have`,
    );
  }
  const xattrs = entry.xattrs
    ?.filter(({ name }) => !name.startsWith("trusted.overlay."))
    .map((xattr) => outsideXattr(xattr, ids));
  return { ...entry, uid, gid, ...(xattrs ? { xattrs } : {}) };
}

export const copiesOf = (context: Context) => ({
  stat: (target: CopyTarget) => statPath(context, target),
  read: (target: CopyTarget, begin: (stat: PathStat) => Promise<void> | void, write: (chunk: Buffer) => Promise<void> | void) =>
    readArchive(context, target, begin, write),
  write: (target: CopyTarget, chunks: AsyncIterable<Uint8Array>, options: WriteArchiveOptions) =>
    writeArchive(context, target, chunks, options),
});
