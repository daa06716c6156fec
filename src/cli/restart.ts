import { define } from "./command.ts";
import { each } from "./each.ts";
import { command as stop } from "./stop.ts";

export const command = define({
  usage: "[flags] CONTAINER...",
  summary: "stop containers and start them again",
  flags: stop.flags,
  args: [1, Number.POSITIVE_INFINITY],
  complete: "container",
  examples: [["restart -t 1 web", "one second of patience before SIGKILL"]],
  run: (context, values, args) =>
    each(context, args, async (container) => {
      const { time, signal } = values;
      await context.call("restart", {
        container,
        ...(signal === undefined ? {} : { signal }),
        ...(time === undefined ? {} : { timeout: time }),
      });
      return container;
    }),
});
