import { unpauseProject } from "../../compose/lifecycle.ts";
import { defineCompose } from "./command.ts";
import { withHost } from "./host.ts";

export const command = defineCompose({
  usage: "[SERVICE...]",
  summary: "let frozen containers go on",
  flags: {},
  args: [0, Number.POSITIVE_INFINITY],
  complete: "service",
  examples: [["compose unpause web", "only web's"]],
  async run(compose, _, services) {
    const { name } = await compose.known(services);
    await withHost(compose, "Running", (host) => unpauseProject(host, name, services));
    return 0;
  },
});
