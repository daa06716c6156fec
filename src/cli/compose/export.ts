import { command as exportCommand } from "../export.ts";
import { text } from "../flags.ts";
import { defineCompose } from "./command.ts";
import { index, pick } from "./pick.ts";

export const command = defineCompose({
  refusesDryRun: true,
  usage: "[flags] SERVICE",
  summary: "write a service's container's file system as a tar",
  flags: { output: text("o", "FILE", "into a file instead of standard output", { complete: "file" }), index },
  args: [1, 1],
  complete: "service",
  examples: [["compose export -o web.tar web", "into a file"]],
  async run(compose, { index, ...values }, [service = ""]) {
    const { id } = await pick(compose, service, index, true);
    return exportCommand.run(compose.context, values, [id], {});
  },
});
