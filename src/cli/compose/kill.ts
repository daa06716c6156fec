import { killProject } from "../../compose/lifecycle.ts";
import { text } from "../flags.ts";
import { defineCompose } from "./command.ts";
import { withHost } from "./host.ts";

export const command = defineCompose({
  usage: "[flags] [SERVICE...]",
  summary: "send a signal to a project's containers",
  flags: { signal: text("s", "SIGNAL", "name or number (KILL)") },
  args: [0, Number.POSITIVE_INFINITY],
  complete: "service",
  examples: [["compose kill -s HUP web", "reload"]],
  async run(compose, values, services) {
    const { name } = await compose.known(services);
    await withHost(compose, "Killing", (host) => killProject(host, name, services, values.signal));
    return 0;
  },
});
