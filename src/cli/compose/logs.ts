import { markOf, showLogs } from "../../compose/logs.ts";
import { containersOf } from "../../compose/observe.ts";
import { UsageError } from "../errors.ts";
import { bool, integer, parsed, text } from "../flags.ts";
import { defineCompose } from "./command.ts";
import { withHost } from "./host.ts";
import { LogPrinter } from "./log-printer.ts";
import { hasColours } from "./progress.ts";

export const command = defineCompose({
  usage: "[flags] [SERVICE...]",
  summary: "show what a project's containers wrote",
  flags: {
    follow: bool("f", "go on with what they write from now on"),
    tail: parsed("n", "N", "only the last N lines of each (all)", lines),
    since: text("", "TIME", "from a time on: RFC 3339, seconds, or 10m ago"),
    until: text("", "TIME", "up to a time"),
    timestamps: bool("t", "with the time of every line"),
    index: integer("", "N", "only the service's container of that number", { rare: true }),
    "no-color": bool("", "without colours"),
    "no-log-prefix": bool("", "without the containers' names"),
  },
  args: [0, Number.POSITIVE_INFINITY],
  complete: "service",
  examples: [["compose logs -f web", "web's, and what follows"]],
  async run(compose, values, args) {
    const { context, globals } = compose;
    const { name } = await compose.known(args);
    const wanted = { services: args, all: true, ...(args.length > 0 ? { oneoff: "with" as const } : {}) };
    const all = await containersOf(context.call, name, wanted);
    const containers = all.filter(({ number }) => values.index === undefined || number === values.index);
    const printer = new LogPrinter(context, {
      colours: !values["no-color"] && (await hasColours(context, globals, 1)),
      bare: values["no-log-prefix"] ?? false,
      timestamps: values.timestamps ?? false,
    });
    for (const container of containers) printer.register(markOf(name, container));
    const { tail, since, until, follow = false } = values;
    await withHost(compose, "Logs", (host) =>
      showLogs(
        host,
        name,
        containers,
        { tail: tail === -1 ? undefined : tail, since, until, follow },
        ({ service, number }) =>
          (args.length === 0 || args.includes(service)) && (values.index === undefined || number === values.index),
        (line) => printer.write(line),
      ),
    );
    return 0;
  },
});

/** "all" is -1. */
function lines(given: string, name: string): number {
  if (given === "all" || given === "-1") return -1;
  if (/^\d+$/.test(given)) return Number(given);
  throw new UsageError(`${name} "${given}" is neither a number of lines nor all`);
}
