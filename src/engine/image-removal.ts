/** Removal of images, for whoever asks for it. */
import type { RemovedImages } from "../images/types.ts";
import { type Context, imagesInUse } from "./context.ts";
import { imageLabels, tellOfImage } from "./image-events.ts";

/** Removes a name of an image, and the image with its last one; never one a container needs. */
export async function removeImage(
  context: Context,
  reference: string,
  force: boolean,
  platform?: string,
): Promise<RemovedImages> {
  const inUse = imagesInUse(context);
  const labels = imageLabels(context, reference, platform);
  const result = await context.images.remove(reference, { force, inUse, ...(platform ? { platform } : {}) });
  for (const [at, name] of result.untagged.entries()) tellOfImage(context, "untag", result.untaggedFrom[at]!, name, { labels });
  for (const id of result.deleted) tellOfImage(context, "delete", id, id);
  return result;
}
