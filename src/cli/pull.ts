import { define } from "./command.ts";
import { type Context, line } from "./context.ts";
import { bool, platform, text } from "./flags.ts";
import { layerProgress } from "./layer-progress.ts";

export const command = define({
  usage: "[flags] NAME[:TAG|@DIGEST]",
  summary: "bring an image from a registry",
  flags: {
    "all-tags": bool("a", "everything the repository has a tag for"),
    platform: platform("another platform's image"),
    quiet: bool("q", "print the name alone"),
    progress: text("", "auto|json", "json: a line of JSON for each step and each image", {
      rare: true,
      complete: ["auto", "json"],
    }),
  },
  args: [1, 1],
  examples: [
    ["pull debian:12", "from Docker Hub"],
    ["pull registry.example/team/app@sha256:...", "exactly that one"],
  ],
  async run(context, values, [image = ""]) {
    const { quiet, progress, "all-tags": allTags } = values;
    const images = await pull(context, {
      image,
      ...(allTags ? { allTags } : {}),
      ...(values.platform === undefined ? {} : { platform: values.platform }),
      output: progress === "json" ? "json" : quiet ? "none" : "stdout",
    });
    if (progress === "json") {
      for (const image of images) await line(context.stdout, JSON.stringify(image));
      return 0;
    }
    for (const { name, digest, upToDate } of quiet ? [] : images) {
      const status = upToDate ? "Image is up to date for" : "Downloaded newer image for";
      await line(context.stdout, `Digest: ${digest}\nStatus: ${status} ${name}`);
    }
    const { canonicalName, parseReference } = await import("../oci/reference.ts");
    for (const { name } of images) await line(context.stdout, canonicalName(parseReference(name)));
    return 0;
  },
});

export interface Pull {
  readonly image: string;
  readonly allTags?: boolean;
  readonly platform?: string;
  /** Where progress is shown. */
  readonly output: "stdout" | "stderr" | "json" | "none";
}

/** Pulls with the user's credentials for the registry and its mirrors. */
export async function pull(context: Context, { output, ...request }: Pull) {
  const { parseReference } = await import("../oci/reference.ts");
  const { domain, path, tag, digest } = parseReference(request.image);
  const progress = await layerProgress(context, output);
  const what = request.allTags ? "all tags" : (digest ?? tag ?? "latest");
  const begin = () => progress.begin(`${what}: Pulling from ${domain === "docker.io" ? path : `${domain}/${path}`}`);
  try {
    return await pullQuietly(context, request, progress.step, begin);
  } finally {
    await progress.end();
  }
}

/** The same, with steps for whoever shows them; `begin` is called when it is known whom to ask. */
export async function pullQuietly(
  context: Context,
  request: Omit<Pull, "output">,
  step: (step: unknown) => void | Promise<void>,
  begin: () => Promise<void> = async () => {},
  signal?: AbortSignal,
) {
  const { credentialsOf } = await import("../credentials/credentials.ts");
  const { hosts } = await context.call("mirrors", { image: request.image });
  const auths = await credentialsOf(context, [request.image], hosts);
  await begin();
  const { images } = await context.call("pull", { ...request, auths }, { progress: step }, signal);
  return images;
}
