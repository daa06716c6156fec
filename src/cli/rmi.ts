import { define } from "./command.ts";
import { each } from "./each.ts";
import { bool, platform } from "./flags.ts";

export const command = define({
  usage: "[flags] IMAGE...",
  summary: "remove names of images, and images with their last name",
  flags: {
    force: bool("f", "with all its names, even if stopped containers use it; none there is no error"),
    "no-prune": bool("", "as without: an image has no parents here that could go with it", { rare: true }),
    platform: platform("only that platform's image of a name"),
  },
  args: [1, Number.POSITIVE_INFINITY],
  complete: "image",
  examples: [["rmi busybox", "busybox:latest"]],
  async run(context, values, args) {
    let exitCode = 0;
    const { force, platform } = values;
    const options = { ...(force ? { force } : {}), ...(platform === undefined ? {} : { platform }) };
    // one after the other: names of one image given together must end with the image gone
    for (const image of args) {
      const remove = async (): Promise<string | undefined> => {
        const { untagged, deleted } = await context.call("imageRemove", { image, ...options });
        return [...untagged.map((name) => `Untagged: ${name}`), ...deleted.map((id) => `Deleted: ${id}`)].join("\n") || undefined;
      };
      const failed = await each(context, [image], remove, force ? "image_not_found" : undefined);
      exitCode = Math.max(exitCode, failed);
    }
    return exitCode;
  },
});
