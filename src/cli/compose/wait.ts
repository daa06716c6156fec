import { down } from "../../compose/down.ts";
import { containersOf } from "../../compose/observe.ts";
import { OnggiError } from "../../lib/errors.ts";
import { line } from "../context.ts";
import { bool } from "../flags.ts";
import { defineCompose } from "./command.ts";
import { withHost } from "./host.ts";

export const command = defineCompose({
  usage: "[flags] SERVICE...",
  summary: "wait until the first of services' containers ends, and end as it does",
  flags: { "down-project": bool("", "then compose down") },
  args: [1, Number.POSITIVE_INFINITY],
  complete: "service",
  exits: "of the first container that ends",
  examples: [["compose wait migrate", "its exit code"]],
  async run(compose, values, services) {
    const { context } = compose;
    const { name, project } = await compose.known(services);
    const containers = await containersOf(context.call, name, { services, all: true });
    if (containers.length === 0) throw new OnggiError("no_container", `no containers for project "${name}"`);
    const stop = new AbortController();
    const waits = containers.map(async ({ id, name: container }) => {
      const { exitCode } = await context.call("wait", { container: id }, {}, stop.signal);
      return { container, exitCode };
    });
    for (const wait of waits) wait.catch(() => {});
    const { container, exitCode } = await Promise.race(waits);
    stop.abort();
    await line(context.stdout, `container "${container}" exited with status code ${exitCode}`);
    if (values["down-project"]) await withHost(compose, "Running", (host) => down(host, name, project, { services: [] }));
    return exitCode;
  },
});
