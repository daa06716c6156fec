import { define } from "./command.ts";
import { each } from "./each.ts";

export const command = define({
  usage: "CONTAINER...",
  summary: "freeze all processes of containers",
  flags: {},
  args: [1, Number.POSITIVE_INFINITY],
  complete: "running",
  examples: [["pause web", "until onggi unpause web"]],
  run: (context, _, args) =>
    each(context, args, async (container) => {
      await context.call("pause", { container });
      return container;
    }),
});
