/**
 * A container's file system, to be read. Runs as root in the engine's namespaces; the container may be changing it meanwhile.
 * It is laid together anew, of the container's layer and the image, as a read-only mount that nothing is attached to: no mount of
 * the container is part of it, and no device in it can be opened.
 */
import type { MountedImage } from "../images/types.ts";
import { OnggiError } from "../lib/errors.ts";
import {
  close,
  fsconfigCreate,
  fsconfigFd,
  fsconfigFlag,
  fsconfigString,
  fsmount,
  fsopen,
  MOUNT_ATTR,
  O,
  open,
} from "../sys/index.ts";
import type { Context } from "./context.ts";
import type { ContainerRecord } from "./database.ts";
import { rangeOf } from "./idmap.ts";
import { containerPaths } from "./layout.ts";

/** An empty file by which programs find out that they are in a container: what Docker leaves, they look for. */
export const SIGN = ".dockerenv";

/** What the engine itself puts into every container: mount points, and that. Docker keeps them in a layer of their own. */
export const OWN_FILES: ReadonlySet<string> = new Set([
  ...["dev", "proc", "sys", "etc/hostname", "etc/hosts", "etc/resolv.conf"],
  SIGN,
]);

const ATTRIBUTES =
  MOUNT_ATTR.MOUNT_ATTR_RDONLY | MOUNT_ATTR.MOUNT_ATTR_NODEV | MOUNT_ATTR.MOUNT_ATTR_NOSUID | MOUNT_ATTR.MOUNT_ATTR_NOEXEC;
const DIRECTORY = O.O_PATH | O.O_DIRECTORY;

/** Open directories: the whole, the image and the container's own layer. With a plain root directory only the whole. */
export interface ContainerTree {
  readonly merged: number;
  readonly layers: { readonly lower: number; readonly upper: number } | null;
  readonly ids: { readonly hostId: number; readonly size: number } | null;
}

/** Lower layers, topmost first, as one read-only file system of its own. */
function stack(layers: readonly number[]): number {
  const fs = fsopen("overlay");
  try {
    for (const fd of layers) fsconfigFd(fs, "lowerdir+", fd);
    // the upper layer of a running container is in use, which an index would forbid
    fsconfigString(fs, "index", "off");
    fsconfigFlag(fs, "ro");
    fsconfigCreate(fs);
    return fsmount(fs, ATTRIBUTES);
  } finally {
    close(fs);
  }
}

export const lowersOf = (image: MountedImage): number[] =>
  image.kind === "fd" ? [open(`/proc/self/fd/${image.fd}`, DIRECTORY)] : image.lowers.map((path) => open(path, DIRECTORY));

/** Opens the tree, calls `use`, and lets it go whatever happens. Throws `kernel_too_old` before Linux 6.15. */
export async function withTree<T>(
  context: Context,
  record: ContainerRecord,
  use: (tree: ContainerTree) => Promise<T> | T,
): Promise<T> {
  const opened: number[] = [];
  const keep = (...fds: number[]): number => {
    opened.push(...fds);
    return fds[0]!;
  };
  try {
    const { rootfs } = record.request;
    if (rootfs !== undefined) return await use({ merged: keep(open(rootfs, DIRECTORY)), layers: null, ids: null });
    if (!context.facts.overlayFds) {
      throw new OnggiError(
        "kernel_too_old",
        "reading a container's file system needs overlayfs layers by descriptor (Linux 6.15)",
      );
    }
    const lowers = lowersOf(context.images.mount(record.imageId));
    keep(...lowers);
    const upper = keep(open(containerPaths(context.layout, record.id).upper, DIRECTORY));
    const lower = lowers.length === 1 ? lowers[0]! : keep(stack(lowers));
    const merged = keep(stack([upper, ...lowers]));
    return await use({ merged, layers: { lower, upper }, ids: record.slot === null ? null : rangeOf(record.slot) });
  } finally {
    for (const fd of opened) close(fd);
  }
}
