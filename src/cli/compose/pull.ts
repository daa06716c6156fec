import { imageId, pullImages } from "../../compose/images.ts";
import { withDependencies } from "../../compose/names.ts";
import { bool, choice } from "../flags.ts";
import { defineCompose } from "./command.ts";
import { withHost } from "./host.ts";

export const command = defineCompose({
  usage: "[flags] [SERVICE...]",
  summary: "bring the images of a project's services from their registries",
  flags: {
    quiet: bool("q", "show no progress"),
    "include-deps": bool("", "those of dependencies, too"),
    "ignore-buildable": bool("", "not those that can be built"),
    "ignore-pull-failures": bool("", "bring what can be brought"),
    policy: choice("", ["missing", "always"], "missing: only what is not here (always)"),
  },
  args: [0, Number.POSITIVE_INFINITY],
  complete: "service",
  examples: [["compose pull web", "then compose up -d"]],
  async run(compose, values, args) {
    const project = await compose.project(args);
    const names = values["include-deps"] || args.length === 0 ? withDependencies(project, args) : args;
    const chosen = names
      .map((name) => project.services[name]!)
      .filter(({ image, build }) => image !== undefined && !(values["ignore-buildable"] && build));
    await withHost(compose, "Pulling", async (host) => {
      const isHere = async (image: string): Promise<boolean> =>
        values.policy === "missing" && (await imageId(host, image)) !== undefined;
      await pullImages(host, chosen, {
        quiet: values.quiet ?? false,
        ignoreFailures: values["ignore-pull-failures"] ?? false,
        isHere,
      });
    });
    return 0;
  },
});
