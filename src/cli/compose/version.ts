import { COMPOSE_VERSION } from "../../compose/labels.ts";
import { line } from "../context.ts";
import { bool, choice } from "../flags.ts";
import { defineCompose } from "./command.ts";

export const command = defineCompose({
  usage: "[flags]",
  summary: "show the version",
  flags: { short: bool("", "the number alone"), format: choice("f", ["pretty", "json"], "pretty or json") },
  args: [0, 0],
  examples: [["compose version --short", "for scripts"]],
  async run({ context }, { short, format }) {
    const text = `onggi compose ${context.version} (as Docker Compose v${COMPOSE_VERSION})`;
    await line(context.stdout, short ? context.version : format === "json" ? JSON.stringify({ version: context.version }) : text);
    return 0;
  },
});
