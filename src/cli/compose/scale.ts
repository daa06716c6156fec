import { up } from "../../compose/up.ts";
import { bool } from "../flags.ts";
import { defineCompose } from "./command.ts";
import { readScale } from "./flags.ts";
import { withHost } from "./host.ts";
import { withScales } from "./scales.ts";
import { upOptions } from "./up-options.ts";

export const command = defineCompose({
  usage: "[flags] SERVICE=N...",
  summary: "have so many containers of services",
  flags: { "no-deps": bool("", "without what the services depend on") },
  args: [1, Number.POSITIVE_INFINITY],
  complete: "service",
  examples: [["compose scale web=3", "three of web's"]],
  async run(compose, values, args) {
    const wanted = args.map((text) => readScale(text, "scale"));
    const services = wanted.map(([name]) => name);
    const project = withScales(await compose.project(services), wanted);
    const options = { ...upOptions(compose, values, services), recreate: "never", recreateDependencies: "never" } as const;
    await withHost(compose, "Running", (host) => up(host, project, options));
    return 0;
  },
});
