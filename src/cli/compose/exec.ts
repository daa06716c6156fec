import { command as execCommand } from "../exec.ts";
import { bool, list, text } from "../flags.ts";
import { defineCompose } from "./command.ts";
import { index, pick } from "./pick.ts";

export const command = defineCompose({
  refusesDryRun: true,
  usage: "[flags] SERVICE COMMAND [ARG...]",
  summary: "run a command in a service's container",
  flags: {
    detach: bool("d", "do not wait for it"),
    "no-tty": bool("T", "without a terminal (it gets one where there is one)", { aliases: ["no-TTY"] }),
    env: list("e", "KEY[=VALUE]", "environment variable"),
    index,
    privileged: bool("", "all capabilities"),
    user: text("u", "USER[:GROUP]", "user, by name or id"),
    workdir: text("w", "DIR", "working directory inside"),
    interactive: bool("i", "keep standard input open (true)", { rare: true }),
    tty: bool("t", "give it a terminal", { rare: true }),
  },
  args: [2, Number.POSITIVE_INFINITY],
  flagsFirst: true,
  complete: "service",
  exits: "the command's; 126 if the command cannot be executed, 127 if it is not there",
  examples: [["compose exec web sh", "a shell in web's container"]],
  async run(compose, values, [service = "", ...words]) {
    const { id } = await pick(compose, service, values.index);
    const { index: _, "no-tty": without, ...given } = values;
    const terminal = await compose.context.terminal();
    const tty = given.tty ?? (!without && !given.detach && terminal.isTerminal(1) && terminal.isTerminal(0));
    return execCommand.run(compose.context, { interactive: true, ...given, tty }, [id, ...words], {});
  },
});
