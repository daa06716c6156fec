import { define } from "./command.ts";
import { each } from "./each.ts";
import { text } from "./flags.ts";

export const command = define({
  usage: "[flags] CONTAINER...",
  summary: "send a signal to containers",
  flags: {
    signal: text("s", "SIGNAL", "name or number (KILL)"),
  },
  args: [1, Number.POSITIVE_INFINITY],
  complete: "running",
  examples: [["kill -s HUP web", "reload"]],
  run: (context, values, args) =>
    each(context, args, async (container) => {
      await context.call("kill", { container, ...(values.signal === undefined ? {} : { signal: values.signal }) });
      return container;
    }),
});
