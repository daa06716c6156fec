import { command as commitCommand } from "../commit.ts";
import { bool, list, text } from "../flags.ts";
import { defineCompose } from "./command.ts";
import { index, pick } from "./pick.ts";

export const command = defineCompose({
  refusesDryRun: true,
  usage: "[flags] SERVICE [NAME[:TAG]]",
  summary: "make an image of a service's container",
  flags: {
    index,
    author: text("a", "TEXT", "author"),
    message: text("m", "TEXT", "message"),
    change: list("c", "INSTRUCTION", "change of its configuration, as in 'CMD [\"sh\"]'"),
    pause: bool("p", "freeze the container meanwhile (true)"),
  },
  args: [1, 2],
  complete: "service",
  examples: [["compose commit web web:debug", "as it is now"]],
  async run(compose, { index, ...values }, [service = "", ...name]) {
    const { id } = await pick(compose, service, index, true);
    return commitCommand.run(compose.context, values, [id, ...name], {});
  },
});
