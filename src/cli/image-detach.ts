import { credentialsOf } from "../credentials/credentials.ts";
import { define } from "./command.ts";
import { line } from "./context.ts";
import { each } from "./each.ts";
import { bool } from "./flags.ts";

export const command = define({
  usage: "[flags] NAME@DIGEST...",
  summary: "remove artifacts that refer to an image, by their own digests",
  flags: { insecure: bool("", "the registry may be insecure") },
  args: [1, Number.POSITIVE_INFINITY],
  examples: [["image detach reg.example/app@sha256:...", '"image referrers" says which']],
  run: (context, { insecure }, images) =>
    each(context, images, async (image) => {
      const auths = await credentialsOf(context, [image]);
      const { deleted } = await context.call("imageDetach", { image, auths, ...(insecure ? { insecure } : {}) });
      if (!deleted) await line(context.stderr, `${image} is no longer listed; the registry does not delete it`);
      return `Detached: ${image}`;
    }),
});
