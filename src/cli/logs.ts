import { define } from "./command.ts";
import { UsageError } from "./errors.ts";
import { bool, parsed, text } from "./flags.ts";

export const command = define({
  usage: "[flags] CONTAINER",
  summary: "show what a container wrote",
  flags: {
    follow: bool("f", "go on with what it writes from now on"),
    tail: parsed("n", "N", "only the last N lines (all)", lines),
    since: text("", "TIME", "from a time on: RFC 3339, seconds, or 10m ago"),
    until: text("", "TIME", "up to a time"),
    timestamps: bool("t", "with the time of every line"),
    details: bool("", "with the labels and variables that its --log-opt names"),
    clear: bool("", "empty the log instead of showing it"),
  },
  args: [1, 1],
  complete: "container",
  examples: [["logs -f -n 20 web", "the last lines and what follows"]],
  async run(context, values, [container = ""]) {
    const { tail, since, until, follow, timestamps, details, clear } = values;
    if (clear) {
      if (Object.keys(values).length > 1) throw new UsageError("--clear goes with no other flag");
      await context.call("logsClear", { container });
      return 0;
    }
    await context.call(
      "logs",
      {
        container,
        ...(follow ? { follow } : {}),
        ...(tail === undefined || tail < 0 ? {} : { tail }),
        ...(since === undefined ? {} : { since }),
        ...(until === undefined ? {} : { until }),
        ...(timestamps ? { timestamps } : {}),
        ...(details ? { details } : {}),
      },
      { stdout: (chunk) => context.stdout.write(chunk), stderr: (chunk) => context.stderr.write(chunk) },
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
