import { define } from "./command.ts";
import { each } from "./each.ts";
import { integer, text } from "./flags.ts";

export const command = define({
  usage: "[flags] CONTAINER...",
  summary: "stop containers: their stop signal, then patience, then SIGKILL",
  flags: {
    time: integer("t", "SECONDS", "patience before SIGKILL (10)", { aliases: ["timeout"] }),
    signal: text("s", "SIGNAL", "signal to begin with"),
  },
  args: [1, Number.POSITIVE_INFINITY],
  complete: "running",
  examples: [["stop -t 1 web", "one second of patience"]],
  run: (context, values, args) =>
    each(context, args, async (container) => {
      const { time, signal } = values;
      await context.call("stop", {
        container,
        ...(signal === undefined ? {} : { signal }),
        ...(time === undefined ? {} : { timeout: time }),
      });
      return container;
    }),
});
