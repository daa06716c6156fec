import { sourceOf, transfer } from "./archive.ts";
import { define } from "./command.ts";
import { line } from "./context.ts";
import { bool, list, platform, text } from "./flags.ts";

export const command = define({
  usage: "[flags] FILE|- [NAME[:TAG]]",
  summary: "make an image of a root file system tar",
  flags: {
    change: list("c", "INSTRUCTION", "Dockerfile instruction to apply, as in 'CMD [\"sh\"]'"),
    message: text("m", "TEXT", "comment for the history"),
    platform: platform("what the image is for (this machine)"),
    quiet: bool("q", "no progress"),
  },
  args: [1, 2],
  complete: "file",
  examples: [
    ["import -c 'CMD [\"/bin/sh\"]' rootfs.tar.gz mine:1", "a file"],
    ["import - mine < rootfs.tar", "standard input"],
  ],
  async run(context, values, [file, name]) {
    const source = await sourceOf(context, file);
    const image = await transfer(
      context,
      "import",
      {
        ...source.request,
        ...(name === undefined ? {} : { name }),
        ...(values.message === undefined ? {} : { message: values.message }),
        ...(values.platform === undefined ? {} : { platform: values.platform }),
        ...(values.change ? { changes: values.change } : {}),
      },
      { source, quiet: values.quiet ?? false },
    );
    await line(context.stdout, image.id);
    return 0;
  },
});
