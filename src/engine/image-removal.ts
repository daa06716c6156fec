/** Removal of images, for whoever asks for it. */
import type { RemovedImages } from "../images/types.ts";
import { type Context, imagesInUse } from "./context.ts";

/** Removes a name of an image, and the image with its last one; never one a container needs. */
export async function removeImage(
  context: Context,
  reference: string,
  force: boolean,
  platform?: string,
): Promise<RemovedImages> {
  const inUse = imagesInUse(context);
  const result = await context.images.remove(reference, { force, inUse, ...(platform ? { platform } : {}) });
  for (const id of result.deleted) context.events.emit("image", "delete", id, {});
  for (const name of result.untagged) context.events.emit("image", "untag", name, { name });
  return result;
}
