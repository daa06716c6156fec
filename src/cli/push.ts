import { define } from "./command.ts";
import { line } from "./context.ts";
import { bool, platform } from "./flags.ts";
import { layerProgress } from "./layer-progress.ts";

export const command = define({
  usage: "[flags] NAME[:TAG]",
  summary: "send an image to the registry its name says",
  flags: {
    "all-tags": bool("a", "every name of that repository"),
    platform: platform("of a name with several images the one for this"),
    quiet: bool("q", "print the name alone"),
  },
  args: [1, 1],
  complete: "image",
  examples: [["push registry.example/team/app:1", 'an image gets such a name with "onggi tag"']],
  async run(context, values, [image = ""]) {
    const { quiet, "all-tags": allTags } = values;
    const { canonicalName, parseReference } = await import("../oci/reference.ts");
    const { credentialsOf } = await import("../credentials/credentials.ts");
    const { domain, path } = parseReference(image);
    // Layers may be taken from where the image came from.
    const asked = values.platform === undefined ? {} : { platform: values.platform };
    const found = allTags ? [] : (await context.call("imageInspect", { image, ...asked })).repoDigests;
    const { hosts } = await context.call("mirrors", { image });
    const auths = await credentialsOf(context, [image, ...found], hosts);
    const progress = await layerProgress(context, quiet ? "none" : "stdout");
    await progress.begin(`The push refers to repository [${domain}/${path}]`);
    const { images } = await context
      .call("push", { image, ...asked, ...(allTags ? { allTags } : {}), auths }, { progress: progress.step })
      .finally(() => progress.end());
    for (const { name, digest, size } of images) {
      const reference = parseReference(name);
      const text = quiet ? canonicalName(reference) : `${reference.tag ?? "latest"}: digest: ${digest} size: ${size}`;
      await line(context.stdout, text);
    }
    return 0;
  },
});
