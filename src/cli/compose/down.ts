import { down } from "../../compose/down.ts";
import { bool, choice } from "../flags.ts";
import { defineCompose } from "./command.ts";
import { timeout } from "./flags.ts";
import { withHost } from "./host.ts";

export const command = defineCompose({
  usage: "[flags] [SERVICE...]",
  summary: "stop a project and remove its containers and networks",
  flags: {
    volumes: bool("v", "with its volumes, named and anonymous"),
    rmi: choice("", ["local", "all"], "with its images: those without a name of their own, or all"),
    "remove-orphans": bool("", "with containers of services that the files do not have"),
    timeout,
  },
  args: [0, Number.POSITIVE_INFINITY],
  complete: "service",
  examples: [["compose down -v", "with all that it has stored"]],
  async run(compose, values, args) {
    const { name, project } = await compose.known(args);
    const on = /^(1|true|t)$/i.test(compose.context.env.COMPOSE_REMOVE_ORPHANS ?? "");
    await withHost(compose, "Running", (host) =>
      down(host, name, project, {
        services: args,
        volumes: values.volumes ?? false,
        images: values.rmi,
        removeOrphans: values["remove-orphans"] ?? on,
        timeout: values.timeout,
      }),
    );
    return 0;
  },
});
