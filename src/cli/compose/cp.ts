import { containersOf } from "../../compose/observe.ts";
import { OnggiError } from "../../lib/errors.ts";
import { splitPlace } from "../copy-names.ts";
import { copyIn, copyOut } from "../copying.ts";
import { bool } from "../flags.ts";
import { defineCompose } from "./command.ts";
import { index } from "./pick.ts";

export const command = defineCompose({
  refusesDryRun: true,
  usage: "[flags] SERVICE:PATH PATH|- or PATH|- SERVICE:PATH",
  summary: "copy files in and out of a service's containers",
  flags: {
    index,
    all: bool("", "into those of run, too", { rare: true }),
    archive: bool("a", "in: for the container's user; out: with the owners that the container sees"),
    "follow-link": bool("L", "follow a link that is named as the source"),
  },
  args: [2, 2],
  examples: [["compose cp ./conf web:/etc/app.conf", "into all of web's containers"]],
  async run(compose, { index, all, ...options }, [from = "", to = ""]) {
    const { context } = compose;
    const source = splitPlace(from);
    const destination = splitPlace(to);
    const service = source.name || destination.name;
    if (source.name && destination.name) throw new OnggiError("not_supported", "copying between services is not supported");
    if (!service) throw new OnggiError("no_container", "one of the two is SERVICE:PATH");
    const { name } = await compose.known([service]);
    const query = { services: [service], all: true, ...(all ? { oneoff: "with" as const } : {}) };
    const found = (await containersOf(context.call, name, query)).filter((one) => index === undefined || one.number === index);
    if (found.length === 0) throw new OnggiError("no_container", `no container found for service "${service}"`);
    const remotes = found.map((container) => ({ target: { container: container.id }, name: container.name }));
    if (source.name) await copyOut(context, remotes[0]!, source.path, to, options);
    else for (const remote of remotes) await copyIn(context, remote, from, destination.path, options);
    return 0;
  },
});
