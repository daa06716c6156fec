import { stopProject } from "../../compose/lifecycle.ts";
import { defineCompose } from "./command.ts";
import { timeout } from "./flags.ts";
import { withHost } from "./host.ts";

export const command = defineCompose({
  usage: "[flags] [SERVICE...]",
  summary: "stop a project's containers, dependents first",
  flags: { timeout },
  args: [0, Number.POSITIVE_INFINITY],
  complete: "service",
  examples: [["compose stop -t 1", "with one second of patience"]],
  async run(compose, values, services) {
    const { name, project } = await compose.known(services);
    await withHost(compose, "Stopping", (host) => stopProject(host, name, project, { services, timeout: values.timeout }));
    return 0;
  },
});
