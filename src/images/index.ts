/**
 * Images.
 *
 * Terms: a **layer** is a tar of a file tree, or of changes to the one below; its **diffID** is the digest of the tar. An
 * **image** is a configuration and a list of layers; its **id** is the digest of the configuration. An **index** is an EROFS
 * file system that holds all of an image's metadata and points into its layers' tars for the data.
 *
 * Lifecycle: `load` or `importRootfs` takes layers in, builds the index, records the image; `mount` mounts it on first use;
 * `remove` drops names and, with the last, the image and the layers nobody else has; `collectGarbage` deletes what an
 * interrupted operation left.
 *
 * Guarantees: an image that a call returned is durable; an operation that fails leaves nothing; whatever was stored has the
 * digest it is named by; a process that dies at any point leaves a store that opens, with every image it had.
 *
 * Example:
 *
 *     const store = openImageStore("/var/lib/onggi/images");
 *     const [image] = await store.load(Bun.file("busybox.tar").stream());
 *     const root = store.mount(image.id);
 */

export { canonicalName, familiarName, parseReference, type Reference } from "../oci/reference.ts";
export { type BootstrapOptions, bootstrap } from "./bootstrap.ts";
export { ImageAmbiguous, ImageInUse, ImageNotFound, LayerInvalid } from "./errors.ts";
export { hostPlatform } from "./image-config.ts";
export type { MountForm } from "./mount.ts";
export { openImageStore, type StoreOptions } from "./store.ts";
export { changesOf } from "./tree-diff.ts";
export type * from "./types.ts";
