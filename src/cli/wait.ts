import { define } from "./command.ts";
import { each } from "./each.ts";

export const command = define({
  usage: "CONTAINER...",
  summary: "wait until containers end, print their exit codes",
  flags: {},
  args: [1, Number.POSITIVE_INFINITY],
  complete: "container",
  examples: [["wait web", "its exit code, when it has one"]],
  run: (context, _, args) =>
    each(context, args, async (container) => String((await context.call("wait", { container })).exitCode)),
});
