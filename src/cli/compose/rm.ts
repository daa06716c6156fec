import { removeContainers, stopProject } from "../../compose/lifecycle.ts";
import { containersOf, isUp } from "../../compose/observe.ts";
import { confirmed } from "../confirm.ts";
import { line } from "../context.ts";
import { bool } from "../flags.ts";
import { defineCompose } from "./command.ts";
import { withHost } from "./host.ts";

export const command = defineCompose({
  usage: "[flags] [SERVICE...]",
  summary: "remove a project's containers that do not run",
  flags: {
    force: bool("f", "ask nothing"),
    stop: bool("s", "stop those that run, first"),
    volumes: bool("v", "with their anonymous volumes"),
  },
  args: [0, Number.POSITIVE_INFINITY],
  complete: "service",
  examples: [["compose rm -sf web", "also if it runs"]],
  async run(compose, values, services) {
    const { context } = compose;
    const { name, project } = await compose.known(services);
    if (values.stop) await withHost(compose, "Stopping", (host) => stopProject(host, name, project, { services }));
    const all = await containersOf(context.call, name, { services, all: true });
    const stopped = all.filter((container) => !isUp(container));
    if (stopped.length === 0) {
      await line(context.stderr, "No stopped containers");
      return 0;
    }
    const names = stopped.map((container) => container.name).join(", ");
    if (!values.force && !(await confirmed(context, `This will remove ${names}.`))) return 0;
    await withHost(compose, "Removing", (host) => removeContainers(host, project, stopped, { volumes: values.volumes ?? false }));
    return 0;
  },
});
