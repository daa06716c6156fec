import { OnggiError } from "../../lib/errors.ts";
import { line } from "../context.ts";
import { UsageError } from "../errors.ts";
import { choice } from "../flags.ts";
import { portAddress } from "../ports.ts";
import { defineCompose } from "./command.ts";
import { index, pick } from "./pick.ts";

export const command = defineCompose({
  usage: "[flags] SERVICE PORT",
  summary: "show where the host answers for a service's port",
  flags: { protocol: choice("", ["tcp", "udp"], "the port's (tcp)"), index },
  args: [2, 2],
  complete: "service",
  examples: [["compose port web 80", "0.0.0.0:8080"]],
  async run(compose, { protocol = "tcp", index }, [service = "", text = ""]) {
    if (!/^\d+$/.test(text)) throw new UsageError(`"${text}" is no port`);
    const { summary, name } = await pick(compose, service, index);
    const found = summary.ports.find((port) => port.containerPort === Number(text) && port.protocol === protocol);
    if (!found)
      throw new OnggiError(
        "port_not_published",
        `no port ${text}/${protocol} for container ${name}: give it in the service's ports`,
      );
    await line(compose.context.stdout, portAddress(found));
    return 0;
  },
});
