import { restartProject } from "../../compose/lifecycle.ts";
import { withDependents } from "../../compose/names.ts";
import { bool } from "../flags.ts";
import { defineCompose } from "./command.ts";
import { timeout } from "./flags.ts";
import { withHost } from "./host.ts";

export const command = defineCompose({
  usage: "[flags] [SERVICE...]",
  summary: "stop a project's containers and start them again",
  flags: { timeout, "no-deps": bool("", "without those that depend on them and say restart: true") },
  args: [0, Number.POSITIVE_INFINITY],
  complete: "service",
  examples: [["compose restart web", "as they are: changes of the files take compose up"]],
  async run(compose, values, args) {
    const { name, project } = await compose.known(args);
    const services = values["no-deps"] || !project ? args : withDependents(project, args);
    await withHost(compose, "Restarting", (host) => restartProject(host, name, project, { services, timeout: values.timeout }));
    return 0;
  },
});
