/** What the tests of the image store share: a scratch directory, mounting to look inside, checking a store from outside. */
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type MountForm, openImageStore } from "../../src/images/index.ts";
import type { ImageStore, MountedImage } from "../../src/images/types.ts";
import { OnggiError } from "../../src/lib/errors.ts";
import { attachMount, close, MNT, OPEN_TREE, openTree, umount } from "../../src/sys/index.ts";
import { type SnapshotOptions, snapshot } from "./snapshot.ts";

/** Runs a program and returns its output; throws with its messages when it fails. */
export const run = (...command: string[]): Buffer => {
  const done = Bun.spawnSync(command, { env: { ...process.env, LC_ALL: "C" } });
  if (!done.success) throw new Error(`${command.join(" ")}: ${done.stderr}`);
  return done.stdout;
};

export const forms: readonly MountForm[] = ["erofs", "loop", "directories"];

/** Runs with an empty directory that is gone afterwards, whatever is mounted below it. */
export const withScratch = async <T>(work: (path: string) => T | Promise<T>): Promise<T> => {
  const path = fs.mkdtempSync(join(tmpdir(), "onggi-images-"));
  try {
    return await work(path);
  } finally {
    const mounts = fs
      .readFileSync("/proc/self/mountinfo", "utf8")
      .split("\n")
      .map((line) => line.split(" ")[4] ?? "")
      .filter((point) => point.startsWith(`${path}/`));
    for (const point of mounts.reverse()) umount(point, MNT.MNT_DETACH);
    fs.rmSync(path, { recursive: true, force: true });
  }
};

/** Runs with the mounted image at a path. */
export const withTree = <T>(image: MountedImage, scratch: string, work: (path: string) => T): T => {
  if (image.kind === "paths") return work(image.lowers[0]!);
  const point = join(scratch, "look");
  fs.mkdirSync(point, { recursive: true });
  const copy = openTree(image.fd, "", OPEN_TREE.OPEN_TREE_CLONE);
  try {
    attachMount(copy, point);
  } finally {
    close(copy);
  }
  try {
    return work(point);
  } finally {
    umount(point, MNT.MNT_DETACH);
  }
};

/** The image's tree as `snapshot` describes it. */
export const treeOf = (store: ImageStore, id: string, scratch: string, options?: SnapshotOptions): Record<string, string> =>
  withTree(store.mount(id), scratch, (path) => snapshot(path, options));

/** Names of an image's tree, "." left out. */
export const namesOf = (store: ImageStore, id: string, scratch: string): string[] =>
  Object.keys(treeOf(store, id, scratch))
    .filter((name) => name !== ".")
    .sort();

/** The code of the OnggiError that a promise is rejected with; "none" if it is not. */
export const codeOf = async (promise: Promise<unknown>): Promise<string> => {
  try {
    await promise;
    return "none";
  } catch (error) {
    if (error instanceof OnggiError) return error.code;
    throw error;
  }
};

export const messageOf = async (promise: Promise<unknown>): Promise<string> => {
  try {
    await promise;
    return "";
  } catch (error) {
    return (error as Error).message;
  }
};

const filesBelow = (root: string, folder: string): string[] =>
  fs.readdirSync(join(root, folder)).map((name) => `${folder}/${name}`);

/** Everything in a store's folders but what makes an empty store. */
export const contentsOf = (root: string): string[] =>
  ["blobs/sha256", "index", "trees", "mounts", "tmp"].flatMap((folder) => filesBelow(root, folder)).sort();

/**
 * Opens a store that somebody left and checks that it is whole: every file has the digest it is named by, every image can be
 * mounted and read to its last file, nothing is left over after the garbage is collected. Returns the images' names.
 */
export const verifyStore = async (root: string, scratch: string): Promise<string[]> => {
  const store = openImageStore(root);
  try {
    await store.collectGarbage();
    if (filesBelow(root, "tmp").length > 0) throw new Error(`left over: ${filesBelow(root, "tmp")}`);
    const needed = new Set<string>();
    for (const image of store.list()) {
      needed.add(image.id);
      for (const diffId of image.config.rootfs.diff_ids) needed.add(diffId);
      treeOf(store, image.id, scratch);
    }
    for (const path of filesBelow(root, "blobs/sha256")) {
      const name = path.slice("blobs/sha256/".length);
      const found = createHash("sha256")
        .update(fs.readFileSync(join(root, path)))
        .digest("hex");
      if (found !== name) throw new Error(`${path} has the digest ${found}`);
      needed.delete(`sha256:${name}`);
    }
    if (needed.size > 0) throw new Error(`missing: ${[...needed]}`);
    if (filesBelow(root, "blobs/sha256").length > 0 && store.list().length === 0) throw new Error("blobs of no image");
    return store.list().flatMap(({ names }) => names);
  } finally {
    store.close();
  }
};
