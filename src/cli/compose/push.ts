import { withDependencies } from "../../compose/names.ts";
import { messageOf } from "../../lib/errors.ts";
import { line } from "../context.ts";
import { bool } from "../flags.ts";
import { command as pushCommand } from "../push.ts";
import { defineCompose } from "./command.ts";

export const command = defineCompose({
  refusesDryRun: true,
  usage: "[flags] [SERVICE...]",
  summary: "send the images of services that are built to their registries",
  flags: {
    quiet: bool("q", "show no progress"),
    "include-deps": bool("", "those of dependencies, too"),
    "ignore-push-failures": bool("", "send what can be sent"),
  },
  args: [0, Number.POSITIVE_INFINITY],
  complete: "service",
  examples: [["compose push", "all that have build and image"]],
  async run(compose, values, args) {
    const { context } = compose;
    const project = await compose.project(args);
    const names = values["include-deps"] || args.length === 0 ? withDependencies(project, args) : args;
    const images = names.flatMap((name) => {
      const { image, build } = project.services[name]!;
      return image !== undefined && build ? [image] : [];
    });
    for (const image of new Set(images)) {
      try {
        await pushCommand.run(context, values.quiet ? { quiet: true } : {}, [image], {});
      } catch (error) {
        if (!values["ignore-push-failures"]) throw error;
        await line(context.stderr, `onggi: ${messageOf(error)}`);
      }
    }
    return 0;
  },
});
