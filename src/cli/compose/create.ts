import { up } from "../../compose/up.ts";
import { bool, choice } from "../flags.ts";
import { defineCompose } from "./command.ts";
import { builds, scales } from "./flags.ts";
import { withHost } from "./host.ts";
import { withScales } from "./scales.ts";
import { upOptions } from "./up-options.ts";

export const command = defineCompose({
  usage: "[flags] [SERVICE...]",
  summary: "make a project's containers without starting them",
  flags: {
    scale: scales,
    "force-recreate": bool("", "make all containers anew"),
    "no-recreate": bool("", "leave containers that are there as they are"),
    "remove-orphans": bool("", "remove containers of services that the files do not have"),
    pull: choice("", ["always", "missing", "never"], "whether images are looked for in their registry"),
    "quiet-pull": bool("", "show nothing of it"),
    ...builds,
  },
  args: [0, Number.POSITIVE_INFINITY],
  complete: "service",
  examples: [["compose create", "then compose start"]],
  async run(compose, values, services) {
    const project = withScales(await compose.project(services), values.scale ?? []);
    const options = { ...upOptions(compose, values, services), withoutStart: true };
    await withHost(compose, "Creating", (host) => up(host, project, options));
    return 0;
  },
});
