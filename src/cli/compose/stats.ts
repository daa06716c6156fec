import { containersOf } from "../../compose/observe.ts";
import { bool, text } from "../flags.ts";
import { command as statsCommand } from "../stats.ts";
import { defineCompose } from "./command.ts";

export const command = defineCompose({
  usage: "[flags] [SERVICE]",
  summary: "show what a project's containers use, live",
  flags: {
    all: bool("a", "those that do not run, too"),
    "no-stream": bool("", "once, then end"),
    "no-trunc": bool("", "whole ids"),
    format: text("", "TEMPLATE", "table, json or a Go template"),
  },
  args: [0, 1],
  complete: "service",
  examples: [["compose stats --no-stream", "one look"]],
  async run(compose, values, services) {
    const { name } = await compose.known(services);
    const containers = await containersOf(compose.context.call, name, { services, all: values.all ?? false });
    // no names would mean all that there are
    if (containers.length === 0) return 0;
    return statsCommand.run(
      compose.context,
      values,
      containers.map(({ id }) => id),
      {},
    );
  },
});
