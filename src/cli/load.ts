import { sourceOf, transfer } from "./archive.ts";
import { define } from "./command.ts";
import { line } from "./context.ts";
import { bool, platform, text } from "./flags.ts";

export const command = define({
  usage: "[flags]",
  summary: "load images from a docker save or OCI archive",
  flags: {
    input: text("i", "FILE", "the archive (standard input)", { complete: "file" }),
    platform: platform("of an archive's index the image for this"),
    quiet: bool("q", "no progress"),
  },
  args: [0, 0],
  examples: [["load -i images.tar", "docker save and skopeo copy write such files"]],
  async run(context, values) {
    const source = await sourceOf(context, values.input);
    const request = { ...source.request, ...(values.platform === undefined ? {} : { platform: values.platform }) };
    const { images } = await transfer(context, "load", request, { source, quiet: values.quiet ?? false });
    for (const { id, names } of images) {
      if (names.length === 0) await line(context.stdout, `Loaded image ID: ${id}`);
      for (const name of names) await line(context.stdout, `Loaded image: ${name}`);
    }
    return 0;
  },
});
