/** What is told of images, as Docker tells it. */
import type { Context } from "./context.ts";

/** Labels of an image; none of one that is not there, or no longer. */
export function imageLabels({ images }: Context, reference: string, platform?: string): Readonly<Record<string, string>> {
  try {
    return images.get(reference, platform).config.config.Labels ?? {};
  } catch {
    return {};
  }
}

/** Attributes are its labels, a name, and `more`. */
export function tellOfImage(
  context: Context,
  action: string,
  id: string,
  name: string,
  {
    labels = imageLabels(context, id),
    more = {},
  }: { labels?: Readonly<Record<string, string>>; more?: Record<string, string> } = {},
): void {
  context.events.emit("image", action, id, { ...labels, name, ...more });
}

/** Of a pull and a push the name that was asked for stands in place of an id; its own name is then that of the repository. */
export const tellOfTransfer = (context: Context, action: "pull" | "push", name: string): void =>
  tellOfImage(context, action, name, name.replace(/@.*$/, "").replace(/:[^/:]*$/, ""));
