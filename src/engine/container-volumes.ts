/**
 * What a container's mount points are made of, over its life: made and filled before it is, mounted while it runs, opened for its
 * plan, let go and removed after it.
 */
import { existsSync, mkdirSync } from "node:fs";
import { copyTree } from "../archive/copy-tree.ts";
import { messageOf, OnggiError } from "../lib/errors.ts";
import { close, fstat, isErrno, O, open, openat2, RESOLVE, S } from "../sys/index.ts";
import type { VolumeRequest } from "../volumes/index.ts";
import type { Container } from "./container.ts";
import type { Context } from "./context.ts";
import type { ContainerRecord } from "./database.ts";
import { missingSource, pathOf } from "./mount-points.ts";
import type { MountPoint } from "./types.ts";

const IN_ROOT = RESOLVE.RESOLVE_IN_ROOT | RESOLVE.RESOLVE_NO_MAGICLINKS;

type WithMounts = Pick<ContainerRecord, "mounts">;

/** Names of the volumes it has, each once. */
export const volumesOfContainer = ({ mounts = [] }: WithMounts): string[] => [
  ...new Set(mounts.flatMap(({ type, name }) => (type === "volume" && name !== undefined ? [name] : []))),
];

/** Containers that have a volume, running or not. */
export const volumeUsers = ({ containers }: Context, name: string): Container[] =>
  [...containers.values()].filter(({ record }) => volumesOfContainer(record).includes(name));

/** What was made for a container that is being made. */
export interface MadeMounts {
  /** The container is there, and keeps its volumes itself. */
  keep(): void;
  /** It will not be: what was made for it goes. */
  undo(): Promise<void>;
}

/**
 * Makes the volumes that are not there, and directories of the host that `-v` names, and fills empty volumes from the image. All or
 * nothing. Throws `mount_source_missing`, and what making a volume throws.
 */
export async function makeMounts(context: Context, record: ContainerRecord): Promise<MadeMounts> {
  const { volumes } = context;
  const made: string[] = [];
  const holds: (() => void)[] = [];
  const keep = () => {
    for (const release of holds) release();
  };
  const undo = async () => {
    keep();
    for (const name of made) {
      await volumes.remove(name).catch((error: unknown) => context.log(`remove volume ${name}: ${messageOf(error)}`));
    }
  };
  try {
    for (const point of record.mounts ?? []) {
      if (point.type === "bind") makeSource(point);
      if (point.type !== "volume") continue;
      const name = point.name!;
      const owned = point.anonymous && !volumes.find(name);
      const request = {
        ...{ name, ...point.volume, durable: !record.request.autoRemove },
        ...(owned ? { owner: record.id, anonymous: true } : {}),
        ...(record.request.lease === undefined ? {} : { lease: record.request.lease }),
      };
      const result = await heldVolume(context, request);
      if (result.made) made.push(name);
      holds.push(result.release);
      if (point.copy && point.subpath === undefined) await fillFromImage(context, record, point);
    }
    return { keep, undo };
  } catch (error) {
    await undo();
    throw error;
  }
}

/** Makes it, or finds it, and keeps it; once more where somebody removes it in between. */
async function heldVolume(
  { volumes, events }: Context,
  request: VolumeRequest & { readonly name: string },
): Promise<{ made: boolean; release: () => void }> {
  for (;;) {
    const { made } = await volumes.create(request);
    if (made) events.emit("volume", "create", request.name, { driver: "local" });
    if (volumes.find(request.name)) return { made, release: volumes.hold(request.name) };
  }
}

/** As Docker: `-v` makes what is missing, --mount does not. */
function makeSource({ source, destination, createSource }: MountPoint): void {
  if (existsSync(source)) return;
  if (!createSource) throw missingSource(source, destination);
  try {
    mkdirSync(source, { recursive: true, mode: 0o755 });
  } catch (error) {
    throw new OnggiError("mount_source_missing", `mount source ${source} for ${destination}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** What the image has at a volume's place, links followed inside of it, becomes the content of the volume if that is empty. */
async function fillFromImage(context: Context, record: ContainerRecord, { name, destination }: MountPoint): Promise<void> {
  const from = openInImage(context, record, destination);
  if (from === null) return;
  try {
    await context.volumes.fill(name!, (to) => copyTree(from, to));
  } finally {
    close(from);
  }
}

/** A directory of the container's image, O_PATH; null where there is none. */
function openInImage(context: Context, record: ContainerRecord, path: string): number | null {
  const { rootfs } = record.request;
  const image = rootfs === undefined ? context.images.mount(record.imageId) : null;
  const root = image?.kind === "fd" ? image.fd : open(image ? image.lowers[0]! : rootfs!, O.O_PATH | O.O_DIRECTORY);
  try {
    return openat2(root, path, { flags: O.O_PATH | O.O_DIRECTORY, resolve: IN_ROOT });
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR", "ELOOP")) return null;
    throw error;
  } finally {
    if (image?.kind !== "fd") close(root);
  }
}

/** Has the container's volumes mounted; under its lock, once for each run. All or nothing. */
export async function acquireVolumes(context: Context, container: Container): Promise<void> {
  const acquired: string[] = [];
  try {
    for (const name of volumesOfContainer(container.record)) {
      await context.volumes.acquire(name);
      acquired.push(name);
    }
    container.acquired = acquired;
  } catch (error) {
    for (const name of acquired) await context.volumes.release(name);
    throw error;
  }
}

/** Lets go of what was acquired for a run. Idempotent. */
export async function releaseVolumes(context: Context, container: Container): Promise<void> {
  const { acquired } = container;
  container.acquired = [];
  for (const name of acquired) await context.volumes.release(name);
}

/** Removes the anonymous volumes that nobody else has. To be called once the container's record is gone. */
export async function removeAnonymous(context: Context, record: ContainerRecord): Promise<void> {
  for (const name of volumesOfContainer(record)) {
    const volume = context.volumes.find(name);
    if (!volume?.anonymous) continue;
    try {
      if (volumeUsers(context, name).length > 0) context.volumes.disown(name);
      else {
        await context.volumes.remove(name, () => {
          if (volumeUsers(context, name).length > 0) throw new OnggiError("volume_in_use", `volume ${name} has a new user`);
        });
        context.events.emit("volume", "destroy", name, { driver: "local" });
      }
    } catch (error) {
      context.log(`remove volume ${name}: ${messageOf(error)}`);
    }
  }
}

/** The container goes and its anonymous volumes stay. */
export function keepAnonymous(context: Context, record: ContainerRecord): void {
  for (const name of volumesOfContainer(record))
    if (context.volumes.find(name)?.owner === record.id) context.volumes.disown(name);
}

/** Sources that a plan is passed open, for their paths are not to be trusted: parts of volumes and images. */
export interface OpenSources {
  /** By destination. */
  readonly fds: ReadonlyMap<string, number>;
  /** Of those, sources that are no directories, as the specification spells them. */
  readonly files: ReadonlySet<string>;
  /** Mounts that end when nobody holds them open: the shim does until it has taken what it needs of them. */
  readonly mounts: readonly number[];
  close(): void;
}

/**
 * Opens them. A path below a volume or an image is resolved as if that were the root: neither a link nor a directory that is exchanged
 * for one meanwhile leads out of it, and what was opened is what is mounted. Throws `mount_source_missing`.
 */
export function openSources(context: Context, points: readonly MountPoint[]): OpenSources {
  const fds = new Map<string, number>();
  const files = new Set<string>();
  const closeAll = () => {
    for (const fd of fds.values()) close(fd);
  };
  try {
    for (const point of points) {
      if (point.type !== "image" && point.subpath === undefined) continue;
      const fd = openSource(context, point);
      fds.set(point.destination, fd);
      if ((fstat(fd).mode & S.S_IFMT) !== S.S_IFDIR) files.add(pathOf(point));
    }
    return { fds, files, mounts: [], close: closeAll };
  } catch (error) {
    closeAll();
    throw error;
  }
}

export function openSource(context: Context, { type, source, subpath = ".", destination, imageId }: MountPoint): number {
  const image = type === "image" ? context.images.mount(imageId!) : null;
  const root = image?.kind === "fd" ? image.fd : open(image ? image.lowers[0]! : source, O.O_PATH | O.O_DIRECTORY);
  try {
    return openat2(root, subpath, { flags: O.O_PATH, resolve: IN_ROOT });
  } catch (error) {
    throw new OnggiError("mount_source_missing", `${subpath} of ${type} ${source} for ${destination}: ${messageOf(error)}`, {
      cause: error,
    });
  } finally {
    if (image?.kind !== "fd") close(root);
  }
}
