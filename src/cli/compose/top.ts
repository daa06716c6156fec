import { containersOf } from "../../compose/observe.ts";
import { table } from "../../lib/table.ts";
import { line } from "../context.ts";
import { defineCompose } from "./command.ts";

export const command = defineCompose({
  usage: "[SERVICE...]",
  summary: "list the processes of a project's containers, as the host sees them",
  flags: {},
  args: [0, Number.POSITIVE_INFINITY],
  complete: "service",
  examples: [["compose top", "of all services"]],
  async run(compose, _, services) {
    const { context } = compose;
    const { name } = await compose.known(services);
    const containers = (await containersOf(context.call, name, { services })).filter(({ state }) => state === "running");
    const lists = await Promise.all(containers.map(({ id }) => context.call("top", { container: id })));
    const rows = containers.flatMap(({ service, number }, at) =>
      lists[at]!.processes.map((row) => [service, `${number}`, ...row]),
    );
    if (rows.length === 0) return 0;
    const head = ["SERVICE", "#", ...lists[0]!.titles];
    await line(context.stdout, table(head, rows).join("\n"));
    return 0;
  },
});
