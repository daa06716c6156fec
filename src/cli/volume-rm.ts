import { define } from "./command.ts";
import { each } from "./each.ts";
import { bool } from "./flags.ts";

export const command = define({
  usage: "[flags] VOLUME...",
  summary: "remove volumes with all their files; none that a container has",
  flags: { force: bool("f", "one that is not there is no error") },
  args: [1, Number.POSITIVE_INFINITY],
  complete: "volume",
  examples: [["volume rm data", "and everything in it"]],
  run: (context, values, args) =>
    each(
      context,
      args,
      async (volume) => (await context.call("volumeRemove", { volume, ...(values.force ? { force: true } : {}) })).name,
    ),
});
