/**
 * `image mount`: an image's files at a path of the host, read-only, without devices and set-user-id programs. The mount is the
 * kernel's and outlives the engine; its record keeps the image. The record is written first, with the number that the mount has
 * before it is attached: whatever dies in between, the next engine knows its own mounts from others', and what never was attached.
 */
import { mkdirSync, readdirSync, realpathSync, rmdirSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Image } from "../images/types.ts";
import { messageOf, OnggiError } from "../lib/errors.ts";
import { familiarName, parseReference } from "../oci/reference.ts";
import {
  AT,
  attachMount,
  close,
  fstat,
  isErrno,
  isMountRoot,
  MNT,
  MOUNT_ATTR,
  mountSetattr,
  OPEN_TREE,
  openTree,
  pickTree,
  STATX,
  statx,
  umount,
} from "../sys/index.ts";
import type { Context } from "./context.ts";
import { tellOfImage } from "./image-events.ts";
import type { ImageMount } from "./mount-table.ts";
import type { MountedPath } from "./types.ts";

const ATTRIBUTES = MOUNT_ATTR.MOUNT_ATTR_RDONLY | MOUNT_ATTR.MOUNT_ATTR_NODEV | MOUNT_ATTR.MOUNT_ATTR_NOSUID;
/** Numbers that are never given again (Linux 6.8), else those of mountinfo. */
const MOUNT_ID = STATX.STATX_MNT_ID | STATX.STATX_MNT_ID_UNIQUE;

/** The image's file system once more, attached nowhere. */
function cloneOf(context: Context, id: string): number {
  const image = context.images.mount(id);
  const fd =
    image.kind === "fd" ? openTree(image.fd, "", AT.AT_EMPTY_PATH | OPEN_TREE.OPEN_TREE_CLONE) : pickTree(image.lowers[0]!);
  try {
    mountSetattr(fd, "", 0, { set: ATTRIBUTES });
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}

type Place = "ours" | "another" | "none";

/** What is mounted where a record says. */
function placeOf(context: Context, { path, mountId, bootId }: ImageMount): Place {
  try {
    if (!isMountRoot(AT.AT_FDCWD, path)) return "none";
    const ours = bootId === context.bootId && statx(AT.AT_FDCWD, path, AT.AT_SYMLINK_NOFOLLOW, MOUNT_ID).mountId === mountId;
    return ours ? "ours" : "another";
  } catch {
    return "none";
  }
}

/** Removes a directory that was made for a mount, unless something is in it. */
function removeOwn({ path, own }: Pick<ImageMount, "path" | "own">): void {
  if (!own) return;
  try {
    rmdirSync(path);
  } catch {
    // gone already, or somebody's by now
  }
}

function forget(context: Context, mount: ImageMount): void {
  context.imageMounts.delete(mount.path);
  removeOwn(mount);
}

function targetOf(context: Context, image: Image, target: string | undefined): Pick<ImageMount, "path" | "own"> {
  if (target === undefined) {
    const path = join(context.layout.mounts, image.id.replace(/^sha256:/, ""));
    mkdirSync(path, { recursive: true, mode: 0o700 });
    return { path, own: true };
  }
  try {
    const path = realpathSync(target);
    if (statSync(path).isDirectory()) return { path, own: false };
  } catch (error) {
    throw new OnggiError(
      "mount_target_invalid",
      `${target}: ${messageOf(error)}; an image is mounted on a directory that is there`,
    );
  }
  throw new OnggiError("mount_target_invalid", `${target} is no directory`);
}

const shown = (context: Context, { path, imageId }: ImageMount): MountedPath => {
  const { id, names } = context.images.get(imageId);
  return { path, id, names };
};

/**
 * Mounts an image, on `target` or in a directory of its own; one that is mounted there already stays. Throws what ImageStore.get
 * and ImageStore.mount throw, "mount_target_invalid", "mount_exists".
 */
export function mountImage(context: Context, request: { image: string; platform?: string; target?: string }): MountedPath {
  const image = context.images.get(request.image, request.platform);
  const place = targetOf(context, image, request.target);
  const { path } = place;
  const before = context.imageMounts.get(path);
  if (before) {
    const state = placeOf(context, before);
    if (state === "ours" && before.imageId === image.id) return shown(context, before);
    if (state !== "none")
      throw new OnggiError("mount_exists", `an image is mounted on ${path} already; "onggi image unmount ${path}" takes it away`);
    context.imageMounts.delete(path);
  }
  const fd = cloneOf(context, image.id);
  const mount: ImageMount = {
    ...place,
    ...{ imageId: image.id, mountId: fstat(fd, MOUNT_ID).mountId, bootId: context.bootId },
  };
  try {
    context.imageMounts.insert(mount);
    attachMount(fd, path);
  } catch (error) {
    forget(context, mount);
    throw error;
  } finally {
    close(fd);
  }
  tellOfImage(context, "mount", image.id, image.names[0] ?? image.id, { more: { path } });
  return shown(context, mount);
}

export const imageMounts = (context: Context): MountedPath[] => context.imageMounts.all().map((mount) => shown(context, mount));

/** The mounts meant: by path, by a name for all its platforms, by an image's id or prefix of it. Throws "mount_not_found". */
function meant(context: Context, reference: string): ImageMount[] {
  const all = context.imageMounts.all();
  const found = reference.startsWith("/")
    ? all.filter(({ path }) => path === reference || path === resolved(reference))
    : all.filter(({ imageId }) => context.images.get(imageId).names.includes(nameOf(reference)));
  if (found.length > 0) return found;
  if (!reference.startsWith("/")) {
    const { id } = context.images.get(reference);
    const own = all.filter(({ imageId }) => imageId === id);
    if (own.length > 0) return own;
  }
  throw new OnggiError("mount_not_found", `${reference} is not mounted; "onggi image mount" lists what is`);
}

/** As images' names are told; empty for what is no name. */
function nameOf(reference: string): string {
  try {
    return familiarName(parseReference(reference));
  } catch {
    return "";
  }
}

function resolved(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

/**
 * Unmounts; `force` also what is in use, which keeps it until it ends. Throws "mount_not_found", "mount_busy", and "mount_covered" where
 * something else was mounted over it.
 */
export function unmountImage(context: Context, reference: string | null, force: boolean): MountedPath[] {
  const mounts = reference === null ? context.imageMounts.all() : meant(context, reference);
  return mounts.map((mount) => {
    const told = shown(context, mount);
    const { path } = mount;
    const place = placeOf(context, mount);
    if (place === "another") throw new OnggiError("mount_covered", `something else is mounted over ${path}; unmount that first`);
    try {
      if (place === "ours") umount(path, MNT.UMOUNT_NOFOLLOW | (force ? MNT.MNT_DETACH : 0));
    } catch (error) {
      if (!isErrno(error, "EBUSY")) throw error;
      throw new OnggiError("mount_busy", `${path} is in use; end what uses it, or use --force`);
    }
    forget(context, mount);
    tellOfImage(context, "unmount", mount.imageId, told.names[0] ?? mount.imageId, { more: { path } });
    return told;
  });
}

/** Once, when an engine starts: mounts that went, with the machine or by somebody's hand, are forgotten. */
export function reconcileImageMounts(context: Context): void {
  for (const mount of context.imageMounts.all()) {
    const gone = mount.bootId !== context.bootId || placeOf(context, mount) === "none";
    if (gone) forget(context, mount);
  }
  for (const name of readdirSync(context.layout.mounts)) {
    const path = join(context.layout.mounts, name);
    if (!context.imageMounts.get(path)) removeOwn({ path, own: true });
  }
}
