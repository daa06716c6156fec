import { define } from "./command.ts";
import { resourceFlags, restartFlag } from "./container-flags.ts";
import { resources } from "./container-request.ts";
import { line } from "./context.ts";
import { each } from "./each.ts";
import { UsageError } from "./errors.ts";

export const command = define({
  usage: "[flags] CONTAINER...",
  summary: "change the limits of containers, while they run, and their restart policy",
  flags: { ...resourceFlags, restart: restartFlag },
  args: [1, Number.POSITIVE_INFINITY],
  complete: "container",
  examples: [
    ["update -m 128m --cpus 0.5 web", "takes effect at once"],
    ["update --restart unless-stopped web", "starts it again from its next end on"],
  ],
  async run(context, values, args) {
    const wanted = resources(values);
    const { restart } = values;
    if (!wanted && !restart) throw new UsageError("say what to change, as in --memory 128m; see onggi update --help-all");
    return each(context, args, async (container) => {
      const { warnings } = await context.call("update", { container, resources: wanted ?? {}, ...(restart ? { restart } : {}) });
      for (const warning of warnings) await line(context.stderr, `WARNING: ${warning}`);
      return container;
    });
  },
});
