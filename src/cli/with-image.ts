import { type Context, line } from "./context.ts";

export interface ImageFlags {
  readonly pull?: "always" | "missing" | "never";
  readonly quiet?: boolean;
}

const isMissing = (error: unknown): boolean => (error as { code?: unknown } | null)?.code === "image_not_found";

async function bring(context: Context, image: string, quiet: boolean): Promise<void> {
  const { pull } = await import("./pull.ts");
  await pull(context, { image, output: quiet ? "none" : "stderr" });
}

/**
 * Makes something of an image: pulls it before where `--pull` says so, or where it turns out not to be there. What cannot be begun
 * twice (`once`), because input is taken for it, is only begun when the image is known to be there.
 */
export async function withImage<T>(
  context: Context,
  image: string,
  { pull = "missing", quiet = false }: ImageFlags,
  once: boolean,
  make: () => Promise<T>,
): Promise<T> {
  if (pull === "always") await bring(context, image, quiet);
  if (pull !== "missing") return make();
  try {
    if (!once) return await make();
    await context.call("imageInspect", { image });
  } catch (error) {
    if (!isMissing(error)) throw error;
    await line(context.stderr, `Unable to find image '${image}' locally`);
    await bring(context, image, quiet);
  }
  return make();
}
