import { builderMissing } from "../../compose/images.ts";
import { imageName, withDependencies } from "../../compose/names.ts";
import { OnggiError } from "../../lib/errors.ts";
import { defineCompose } from "./command.ts";

export const command = defineCompose({
  refusesDryRun: true,
  usage: "[SERVICE...]",
  summary: "build images: there is no builder yet",
  flags: {},
  args: [0, Number.POSITIVE_INFINITY],
  complete: "service",
  examples: [["compose build", "says which images are to be made elsewhere"]],
  async run(compose, _, args) {
    const project = await compose.project(args);
    const names = args.length > 0 ? args : withDependencies(project, args);
    const built = names.map((name) => project.services[name]!).filter(({ build }) => build !== undefined);
    if (built[0] === undefined) return 0;
    if (built.length === 1) throw builderMissing(built[0], imageName(project.name, built[0]));
    const images = built.map((service) => imageName(project.name, service)).join(", ");
    throw new OnggiError("builder_missing", `there is no builder yet: build ${images} elsewhere and load them (onggi load)`);
  },
});
