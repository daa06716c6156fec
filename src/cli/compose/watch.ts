import { up } from "../../compose/up.ts";
import { watchProject } from "../../compose/watch/index.ts";
import { line } from "../context.ts";
import { bool } from "../flags.ts";
import { defineCompose } from "./command.ts";
import { hostOf, withHost } from "./host.ts";
import { openDisplay } from "./progress.ts";
import { upOptions } from "./up-options.ts";

export const command = defineCompose({
  refusesDryRun: true,
  usage: "[flags] [SERVICE...]",
  summary: "keep files in containers as they are here, and do what develop.watch says",
  flags: {
    "no-up": bool("", "do not start the project before"),
    quiet: bool("", "say nothing of what is done"),
    prune: bool("", "remove images that were built before; nothing is built yet", { rare: true }),
  },
  args: [0, Number.POSITIVE_INFINITY],
  complete: "service",
  examples: [["compose watch web", "until ctrl-c"]],
  async run(compose, values, args) {
    const { context, globals } = compose;
    const project = await compose.project(args);
    if (!values["no-up"]) await withHost(compose, "Running", (host) => up(host, project, upOptions(compose, {}, args)));
    const stop = new AbortController();
    const offs = ["SIGINT", "SIGTERM"].map((name) => context.signals.on(name, () => stop.abort()));
    const display = await openDisplay(context, { ...globals, progress: "quiet" }, "Watching");
    const said: Promise<void>[] = [];
    const say = (text: string): void => {
      if (!values.quiet) said.push(line(context.stderr, text));
    };
    try {
      await watchProject(hostOf(compose, display, stop.signal), project, { services: args, say });
    } finally {
      for (const off of offs) off();
      await display.end();
      await Promise.all(said);
    }
    return stop.signal.aborted ? 130 : 0;
  },
});
