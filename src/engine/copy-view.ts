/**
 * A container's files as it sees them, to be copied in and out: its root and what is mounted in it.
 *
 * Runs as the engine, as root and in the host's namespaces. Why that is safe: of a container that runs it is the root of its first
 * process, taken by descriptor; no namespace is entered, and no program of the container is run (CVE-2019-14271). Of one that does not
 * run, its layers are laid together anew and its volumes are mounted over them, as a tree of mounts that hangs on a descriptor and is
 * seen by nobody else; nothing remains of it when that is closed. Whoever looks for a path in a view does so with RESOLVE_IN_ROOT.
 */
import { OnggiError } from "../lib/errors.ts";
import {
  AT,
  asFileOwner,
  attachMount,
  close,
  createUserNamespace,
  fchmodat,
  fchownat,
  fsconfigCreate,
  fsconfigFd,
  fsconfigString,
  fsmount,
  fsopen,
  fstat,
  isErrno,
  MOUNT_ATTR,
  MS,
  mkdirat,
  mknodat,
  mountFs,
  mountSetattr,
  O,
  open,
  openat,
  openat2,
  pickTree,
  RESOLVE,
  S,
  utimensat,
} from "../sys/index.ts";
import type { Container } from "./container.ts";
import { lowersOf } from "./container-tree.ts";
import { openSource, volumesOfContainer } from "./container-volumes.ts";
import type { Context } from "./context.ts";
import type { ContainerRecord } from "./database.ts";
import { type HostRange, rangeOf } from "./idmap.ts";
import { containerPaths } from "./layout.ts";
import type { MountPoint } from "./types.ts";

export const IN_ROOT = RESOLVE.RESOLVE_IN_ROOT | RESOLVE.RESOLVE_NO_MAGICLINKS;
const DIRECTORY = O.O_PATH | O.O_DIRECTORY;
const { MOUNT_ATTR_RDONLY, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NOEXEC } = MOUNT_ATTR;

export interface CopyView {
  /** An open directory (O_PATH): paths are looked up with it as the root. */
  readonly root: number;
  /** The host ids that stand for the container's, which is what files belong to in the view; null: they are the same. */
  readonly ids: HostRange | null;
  /** Throws `not_running` when the view is one of a run that has ended. */
  check(): void;
}

/**
 * Opens it, calls `use`, and lets it go whatever happens. What is written to a container that does not run goes to its own layer and to
 * its volumes, under its lock: it does not start meanwhile. Throws `kernel_too_old` before Linux 6.15 for one that does not run.
 */
export async function withView<T>(
  context: Context,
  container: Container,
  access: "read" | "write",
  use: (view: CopyView) => Promise<T> | T,
): Promise<T> {
  if (container.isUp) return await withRunning(context, container, use);
  if (access === "read") return await withStopped(context, container.record, access, use);
  const written = await container.lock.run(async () =>
    container.isUp ? null : { result: await withStopped(context, container.record, access, use) },
  );
  return written ? written.result : await withRunning(context, container, use);
}

async function withRunning<T>(context: Context, container: Container, use: (view: CopyView) => Promise<T> | T): Promise<T> {
  const { record, shim } = container;
  const ended = () => new OnggiError("not_running", `container ${record.name} has ended meanwhile; copy again`);
  let root: number;
  try {
    root = open(`/proc/${record.state.pid}/root`, DIRECTORY);
  } catch (error) {
    if (isErrno(error, "ENOENT", "ESRCH")) throw ended();
    throw error;
  }
  try {
    const check = (): void => {
      if (!container.isUp || container.shim !== shim) throw ended();
    };
    // the process may have ended unnoticed, and its number be another's
    if (!context.cgroups.processes(record.cgroupPath).includes(record.state.pid)) throw ended();
    check();
    return await use({ root, ids: record.slot === null ? null : rangeOf(record.slot), check });
  } finally {
    close(root);
  }
}

async function withStopped<T>(
  context: Context,
  record: ContainerRecord,
  access: "read" | "write",
  use: (view: CopyView) => Promise<T> | T,
): Promise<T> {
  const { volumes, facts } = context;
  if (!facts.overlayFds) {
    throw new OnggiError("kernel_too_old", "copying from and to a container that does not run needs Linux 6.15; start it first");
  }
  const acquired: string[] = [];
  const opened: number[] = [];
  try {
    for (const name of volumesOfContainer(record)) {
      await volumes.acquire(name);
      acquired.push(name);
    }
    const ids = record.slot === null ? null : rangeOf(record.slot);
    const keep = (fd: number): number => {
      opened.push(fd);
      return fd;
    };
    const userns = ids ? keep(namespaceOf(ids)) : null;
    const root = keep(rootOf(context, record, access, userns));
    const points = (record.mounts ?? []).filter(({ type }) => type !== "tmpfs");
    for (const point of points.toSorted((a, b) => a.destination.length - b.destination.length))
      mountPoint(context, point, { root, userns, owner: ids?.hostId ?? 0 });
    if (record.request.readonlyRootfs && access === "write") mountSetattr(root, "", 0, { set: MOUNT_ATTR_RDONLY });
    return await use({ root, ids, check: () => {} });
  } finally {
    for (const fd of opened) close(fd);
    for (const name of acquired) await volumes.release(name);
  }
}

function namespaceOf({ hostId, size }: HostRange): number {
  const map = [{ containerID: 0, hostID: hostId, size }];
  return createUserNamespace(map, map);
}

/** A detached copy of the mount at a directory, private, with the container's ids. */
function shown(dir: number, path: string, userns: number | null, recursive = false): number {
  const tree = pickTree(path, { dir, recursive });
  try {
    mountSetattr(tree, "", recursive ? AT.AT_RECURSIVE : 0, { propagation: MS.MS_PRIVATE });
    if (userns !== null) mountSetattr(tree, "", 0, { userns });
    return tree;
  } catch (error) {
    close(tree);
    throw error;
  }
}

/** The root as a detached mount. To read, it is laid over by a layer in memory, for the places of mounts that are missing. */
function rootOf(context: Context, record: ContainerRecord, access: "read" | "write", userns: number | null): number {
  const { rootfs } = record.request;
  if (rootfs !== undefined) return shown(AT.AT_FDCWD, rootfs, userns);
  const opened: number[] = [];
  const keep = (fd: number): number => {
    opened.push(fd);
    return fd;
  };
  try {
    const paths = containerPaths(context.layout, record.id);
    const lowers = lowersOf(context.images.mount(record.imageId)).map(keep);
    const shownLowers = userns === null ? lowers : lowers.map((fd) => keep(shown(fd, "", userns)));
    const own = keep(open(paths.upper, DIRECTORY));
    if (access === "write") return overlay(shownLowers, own, keep(open(paths.work, DIRECTORY)));
    const memory = keep(mountFs("tmpfs", { options: { mode: "0700" } }));
    for (const name of ["upper", "work"]) mkdirat(memory, name, 0o700);
    const upper = keep(openat(memory, "upper", DIRECTORY));
    asDirectory(own, upper);
    return overlay([own, ...shownLowers], upper, keep(openat(memory, "work", DIRECTORY)));
  } finally {
    for (const fd of opened) close(fd);
  }
}

/** The root's own attributes are those of the topmost layer. */
function asDirectory(from: number, to: number): void {
  const { uid, gid, mode, mtimeNs } = fstat(from);
  fchownat(to, "", uid, gid, AT.AT_EMPTY_PATH);
  fchmodat(AT.AT_FDCWD, `/proc/self/fd/${to}`, mode & 0o7777);
  utimensat(to, "", mtimeNs, mtimeNs, AT.AT_EMPTY_PATH);
}

function overlay(lowers: readonly number[], upper: number, work: number): number {
  const fs = fsopen("overlay");
  try {
    for (const fd of lowers) fsconfigFd(fs, "lowerdir+", fd);
    fsconfigFd(fs, "upperdir", upper);
    fsconfigFd(fs, "workdir", work);
    // a layer to read may be in use by a container that is started meanwhile, which an index would forbid
    fsconfigString(fs, "index", "off");
    fsconfigCreate(fs);
    return fsmount(fs, MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
  } finally {
    close(fs);
  }
}

/** Where mounts go, and whose the places are that are made for them. */
interface Place {
  readonly root: number;
  readonly userns: number | null;
  readonly owner: number;
}

function mountPoint(context: Context, point: MountPoint, { root, userns, owner }: Place): void {
  const opened = point.type === "image" || point.subpath !== undefined ? openSource(context, point) : null;
  let mount: number | null = null;
  try {
    mount = opened === null ? shown(AT.AT_FDCWD, point.source, userns, point.type === "bind") : shown(opened, "", userns);
    const set = MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | (point.readonly ? MOUNT_ATTR_RDONLY : 0);
    mountSetattr(mount, "", AT.AT_RECURSIVE, { set });
    const directory = (fstat(mount).mode & S.S_IFMT) === S.S_IFDIR;
    const place = asFileOwner(owner, owner, () => makePlace(root, point.destination, directory));
    try {
      attachMount(mount, "", place);
    } finally {
      close(place);
    }
  } finally {
    if (mount !== null) close(mount);
    if (opened !== null) close(opened);
  }
}

/** What is missing of a place is made, as a start does. */
function makePlace(root: number, destination: string, directory: boolean): number {
  const parts = destination.split("/").filter(Boolean);
  let at = openat(root, ".", DIRECTORY);
  for (const [index, name] of parts.entries()) {
    const path = parts.slice(0, index + 1).join("/");
    const isLast = index === parts.length - 1;
    let next: number;
    try {
      next = lookUp(root, path) ?? make(at, root, path, name, directory || !isLast);
    } finally {
      close(at);
    }
    at = next;
  }
  return at;
}

function make(dir: number, root: number, path: string, name: string, directory: boolean): number {
  try {
    if (directory) mkdirat(dir, name, 0o755);
    else mknodat(dir, name, S.S_IFREG | 0o644);
  } catch (error) {
    if (!isErrno(error, "EEXIST")) throw error;
  }
  const made = lookUp(root, path);
  if (made === null)
    throw new OnggiError("invalid_mount", `there is no place for /${path} in the container's files: a link leads nowhere`);
  return made;
}

function lookUp(root: number, path: string): number | null {
  try {
    return openat2(root, path, { flags: O.O_PATH, resolve: IN_ROOT });
  } catch (error) {
    if (isErrno(error, "ENOENT")) return null;
    throw error;
  }
}
