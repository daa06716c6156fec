import { define } from "./command.ts";
import { localOnly } from "./context.ts";
import { each } from "./each.ts";
import { UsageError } from "./errors.ts";
import { bool } from "./flags.ts";

export const command = define({
  usage: "[flags] IMAGE|PATH...",
  summary: "take mounts of images away, print the images' ids",
  flags: {
    all: bool("a", "all of them"),
    force: bool("f", "also what is in use: it goes when that ends"),
  },
  args: [0, Number.POSITIVE_INFINITY],
  complete: "image",
  examples: [["image unmount debian", "wherever it is mounted"]],
  async run(context, values, args) {
    if (args.length === 0 && !values.all) throw new UsageError("name images or paths, or use --all");
    return each(context, values.all ? [null] : [...args], async (given) => {
      if (given?.startsWith(".")) localOnly(context, given);
      const mount = given === null || !/^\.{0,2}\//.test(given) || given.startsWith("/") ? given : `${context.cwd}/${given}`;
      const { mounts } = await context.call("imageUnmount", { mount, ...(values.force ? { force: true } : {}) });
      return mounts.map(({ id }) => id).join("\n") || undefined;
    });
  },
});
