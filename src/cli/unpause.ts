import { define } from "./command.ts";
import { each } from "./each.ts";

export const command = define({
  usage: "CONTAINER...",
  summary: "let frozen containers go on",
  flags: {},
  args: [1, Number.POSITIVE_INFINITY],
  complete: "container",
  examples: [["unpause web", "after onggi pause web"]],
  run: (context, _, args) =>
    each(context, args, async (container) => {
      await context.call("unpause", { container });
      return container;
    }),
});
