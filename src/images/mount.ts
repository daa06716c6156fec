/**
 * Images as file systems. Three forms, the best that this machine can do, found by trying once:
 * - "erofs": the index mounted file-backed (Linux 6.12), a detached mount that only its descriptor holds, or attached below
 *   mounts/ where overlayfs takes no descriptors (before Linux 6.15);
 * - "loop": the index and its layers behind loop devices, attached below mounts/ (older kernels, a store on overlayfs);
 * - "directories": the image extracted below trees/ (no EROFS, no right to mount).
 * A mount is made on first use and kept for the life of the engine: all containers of an image share it.
 */
import * as fs from "node:fs";
import { messageOf, OnggiError } from "../lib/errors.ts";
import {
  AT,
  attachLoop,
  attachMount,
  close,
  isMountRoot,
  type LoopDevice,
  MNT,
  mountFs,
  O,
  open,
  SysError,
  syncfs,
  umount,
} from "../sys/index.ts";
import type { ContentStore } from "./content.ts";
import { writeIndex } from "./erofs.ts";
import { extractTree } from "./extract.ts";
import { explainDisk } from "./files.ts";
import { devicesOf, type IndexLayer, restoreIndex, treeOf } from "./image-index.ts";
import { buildTree } from "./tree.ts";
import type { MountedImage } from "./types.ts";

export type MountForm = "erofs" | "loop" | "directories";

/** fsconfig(2) takes strings of 255 bytes. */
const MAX_OPTION = 255;

/** Calls `use` with names for the files that an option can hold: a long path is named by a descriptor. */
const withShortPaths = <T>(paths: readonly string[], use: (names: string[]) => T): T => {
  const open_: number[] = [];
  try {
    return use(
      paths.map((path) => {
        if (Buffer.byteLength(path) <= MAX_OPTION) return path;
        const fd = open(path, O.O_PATH);
        open_.push(fd);
        return `/proc/self/fd/${fd}`;
      }),
    );
  } finally {
    for (const fd of open_) close(fd);
  }
};

/** Index first, then the data devices. */
const mountErofs = (files: readonly string[]): number =>
  withShortPaths(files, ([source, ...devices]) => {
    const options: (readonly [string, string | true])[] = devices.map((device) => ["device", device]);
    // A read-only block device refuses a mount that might write.
    return mountFs("erofs", { source: source!, options: [["ro", true], ...options] });
  });

const mountLoop = (files: readonly string[], target: string): void => {
  const loops: LoopDevice[] = [];
  let mountFd: number | null = null;
  try {
    for (const path of files) {
      const fd = open(path, O.O_RDONLY);
      try {
        loops.push(attachLoop(fd, { readOnly: true, autoclear: true, directIo: true, name: path.slice(-63) }));
      } finally {
        close(fd);
      }
    }
    mountFd = mountErofs(loops.map(({ path }) => path));
    attach(mountFd, target);
  } finally {
    if (mountFd !== null) close(mountFd);
    // The mount holds the devices now; without one they detach themselves.
    for (const { fd } of loops) close(fd);
  }
};

const attach = (mountFd: number, target: string): void => {
  fs.mkdirSync(target, { recursive: true });
  attachMount(mountFd, target);
};

const detach = (path: string): void => {
  if (!fs.existsSync(path)) return;
  while (isMountRoot(AT.AT_FDCWD, path)) umount(path, MNT.MNT_DETACH);
  fs.rmdirSync(path);
};

export class Mounts {
  readonly #store: ContentStore;
  #form: MountForm | null;
  readonly #attached: boolean;
  readonly #mounted = new Map<string, MountedImage>();

  /**
   * With `form`, that one is used, whatever the machine could do. With `attached`, every image is mounted at a path. Mounts that
   * an engine that died has left are let go.
   */
  constructor(store: ContentStore, form: MountForm | null = null, attached = false) {
    this.#store = store;
    this.#form = form;
    this.#attached = attached;
    for (const path of store.mountPaths()) detach(path);
  }

  get form(): MountForm {
    this.#form ??= this.#probe();
    return this.#form;
  }

  /** The image's file system; `layers` is asked only where it has to be made first. Throws "image_mount_failed". */
  mount(imageId: string, layers: () => readonly IndexLayer[]): MountedImage {
    const mounted = this.#mounted.get(imageId);
    if (mounted) return mounted;
    try {
      const made = this.#make(imageId, layers);
      this.#mounted.set(imageId, made);
      return made;
    } catch (error) {
      const disk = explainDisk(error, "preparing an image's file system");
      if (disk instanceof OnggiError) throw disk;
      throw new OnggiError("image_mount_failed", `image ${imageId} cannot be mounted (${this.form}): ${messageOf(error)}`, {
        cause: error,
      });
    }
  }

  /** Lets a mount go; containers that run on it keep it alive. */
  release(imageId: string): void {
    const mounted = this.#mounted.get(imageId);
    this.#mounted.delete(imageId);
    if (mounted?.kind === "fd") close(mounted.fd);
    detach(this.#store.mountPath(imageId));
  }

  close(): void {
    for (const imageId of [...this.#mounted.keys()]) this.release(imageId);
  }

  #make(imageId: string, layers: () => readonly IndexLayer[]): MountedImage {
    const store = this.#store;
    if (this.form === "directories") return { kind: "paths", lowers: [this.#tree(imageId, layers())] };
    const index = store.indexPath(imageId);
    if (!fs.existsSync(index)) restoreIndex(store, imageId, layers());
    const files = [index, ...devicesOf(index).map((hex) => store.blobPath(`sha256:${hex}`))];
    const target = store.mountPath(imageId);
    if (this.form === "loop") mountLoop(files, target);
    else {
      const fd = mountErofs(files);
      if (!this.#attached) return { kind: "fd", fd };
      try {
        attach(fd, target);
      } finally {
        close(fd);
      }
    }
    return { kind: "paths", lowers: [target] };
  }

  /** The image extracted: whole or not there, by a rename after everything has reached the disk. */
  #tree(imageId: string, layers: readonly IndexLayer[]): string {
    const path = this.#store.treePath(imageId);
    if (fs.existsSync(path)) return path;
    const temporary = this.#store.temporaryPath();
    fs.mkdirSync(temporary, { mode: 0o755 });
    try {
      extractTree(
        treeOf(this.#store, layers),
        layers.map(({ diffId }) => this.#store.blobPath(diffId)),
        temporary,
      );
      const fd = open(temporary, O.O_RDONLY | O.O_DIRECTORY);
      try {
        syncfs(fd);
      } finally {
        close(fd);
      }
      fs.renameSync(temporary, path);
    } catch (error) {
      fs.rmSync(temporary, { recursive: true, force: true });
      throw error;
    }
    return path;
  }

  /** Tries the forms on an empty file system, in this store, because what it lies on matters. */
  #probe(): MountForm {
    const file = this.#store.temporaryPath();
    const target = `${file}.mount`;
    const index = writeIndex(buildTree([]), { layers: [], uuid: new Uint8Array(16) });
    fs.writeFileSync(file, index.bytes);
    try {
      for (const [form, attempt] of [
        ["erofs", () => close(mountErofs([file]))],
        ["loop", () => mountLoop([file], target)],
      ] as const) {
        try {
          attempt();
          return form;
        } catch (error) {
          // ENOTBLK, ENODEV, EPERM, EINVAL: this form is not to be had here.
          if (!(error instanceof SysError)) throw error;
        }
      }
      return "directories";
    } finally {
      detach(target);
      fs.rmSync(file, { force: true });
    }
  }
}
