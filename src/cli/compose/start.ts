import { startProject } from "../../compose/lifecycle.ts";
import { untilAll } from "../../compose/wait.ts";
import { OnggiError } from "../../lib/errors.ts";
import { bool, integer } from "../flags.ts";
import { defineCompose } from "./command.ts";
import { withHost } from "./host.ts";

export const command = defineCompose({
  usage: "[flags] [SERVICE...]",
  summary: "start a project's containers that are there",
  flags: {
    wait: bool("", "until all are healthy, or run"),
    "wait-timeout": integer("", "SECONDS", "at most so long"),
  },
  args: [0, Number.POSITIVE_INFINITY],
  complete: "service",
  examples: [["compose start", "what compose stop has stopped"]],
  async run(compose, values, services) {
    const { name, project } = await compose.known(services);
    await withHost(compose, "Running", async (host) => {
      const containers = await startProject(host, name, project, services);
      if (containers.length === 0)
        throw new OnggiError("no_container", `project ${name} has no container to start: onggi compose up -d makes them`);
      if (values.wait) await untilAll(host, containers, "healthy or running", values["wait-timeout"]);
    });
    return 0;
  },
});
