import { type Context, line } from "./context.ts";

export interface ImageFlags {
  readonly pull?: "always" | "missing" | "never";
  readonly platform?: string;
  readonly quiet?: boolean;
}

const isMissing = (error: unknown): boolean => (error as { code?: unknown } | null)?.code === "image_not_found";

async function bring(context: Context, image: string, { quiet, platform }: ImageFlags): Promise<void> {
  const { pull } = await import("./pull.ts");
  await pull(context, { image, output: quiet ? "none" : "stderr", ...(platform === undefined ? {} : { platform }) });
}

/**
 * Makes something of an image: pulls it before where `--pull` says so, or where it turns out not to be there; then `make` is called
 * again.
 */
export async function withImage<T>(context: Context, image: string, flags: ImageFlags, make: () => Promise<T>): Promise<T> {
  const { pull = "missing" } = flags;
  if (pull === "always") await bring(context, image, flags);
  if (pull !== "missing") return make();
  try {
    return await make();
  } catch (error) {
    if (!isMissing(error)) throw error;
    const { familiarName, parseReference } = await import("../oci/reference.ts");
    await line(context.stderr, `Unable to find image '${familiarName(parseReference(image))}' locally`);
    await bring(context, image, flags);
  }
  return make();
}
