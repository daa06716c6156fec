import { define } from "./command.ts";
import { each } from "./each.ts";
import { bool } from "./flags.ts";

export const command = define({
  usage: "[flags] IMAGE...",
  summary: "remove names of images, and images with their last name",
  flags: { force: bool("f", "with all its names, even if stopped containers use it") },
  args: [1, Number.POSITIVE_INFINITY],
  complete: "image",
  examples: [["rmi busybox", "busybox:latest"]],
  async run(context, values, args) {
    let exitCode = 0;
    // one after the other: names of one image given together must end with the image gone
    for (const image of args) {
      const failed = await each(context, [image], async () => {
        const { untagged, deleted } = await context.call("imageRemove", { image, ...(values.force ? { force: true } : {}) });
        return [...untagged.map((name) => `Untagged: ${name}`), ...deleted.map((id) => `Deleted: ${id}`)].join("\n") || undefined;
      });
      exitCode = Math.max(exitCode, failed);
    }
    return exitCode;
  },
});
