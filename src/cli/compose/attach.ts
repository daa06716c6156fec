import { command as attachCommand } from "../attach.ts";
import { bool, text } from "../flags.ts";
import { defineCompose } from "./command.ts";
import { index, pick } from "./pick.ts";

export const command = defineCompose({
  refusesDryRun: true,
  usage: "[flags] SERVICE",
  summary: "attach to a service's container",
  flags: {
    index,
    "detach-keys": text("", "KEYS", "keys that detach (ctrl-p,ctrl-q)"),
    "no-stdin": bool("", "output only"),
    "sig-proxy": bool("", "pass signals on (true)"),
  },
  args: [1, 1],
  complete: "service",
  exits: "the container's; 0 after the detach keys",
  examples: [["compose attach --no-stdin web", "its output"]],
  async run(compose, { index, ...values }, [service = ""]) {
    const { id } = await pick(compose, service, index);
    return attachCommand.run(compose.context, values, [id], {});
  },
});
