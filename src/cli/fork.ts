import { define } from "./command.ts";
import { line } from "./context.ts";
import { bool, integer, text } from "./flags.ts";

export const command = define({
  usage: "[flags] CONTAINER|SNAPSHOT",
  summary: "make and start containers with the files of one, as they are now, or of a snapshot; print their ids",
  flags: {
    count: integer("n", "COUNT", "how many (1)"),
    name: text("", "NAME", "name of the fork; of several NAME-1, NAME-2, ..."),
    "no-start": bool("", "do not start them"),
  },
  args: [1, 1],
  complete: "container",
  examples: [
    ["fork web", "its files now, ports of its own"],
    ["fork -n 10 --name trial web@1", "trial-1 to trial-10, of a snapshot"],
  ],
  async run(context, values, [container = ""]) {
    const { name, count = 1 } = values;
    const { containers, warnings } = await context.call("fork", {
      container,
      count,
      ...(name === undefined ? {} : { name }),
      start: !values["no-start"],
    });
    for (const warning of warnings) await line(context.stderr, `WARNING: ${warning}`);
    for (const { id } of containers) await line(context.stdout, id);
    return 0;
  },
});
