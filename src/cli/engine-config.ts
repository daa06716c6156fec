import { define } from "./command.ts";
import { text } from "./flags.ts";
import { printRows } from "./listing.ts";

export const command = define({
  usage: "[flags]",
  summary: "show what the engine is set to, and by what",
  flags: { format: text("", "TEMPLATE", "table, json or a Go template") },
  args: [0, 0],
  examples: [["engine config --format '{{.Name}} {{.Value}}'", "a form of your own"]],
  async run(context, { format }) {
    const { settings } = await context.callRunning("settings", {});
    const listing = { headers: { Name: "NAME", Value: "VALUE", From: "FROM" }, columns: ["Name", "Value", "From"] };
    const rows = settings.map(({ name, value, from }) => ({ Name: name, Value: value, From: from }));
    await printRows(context, listing, rows, format);
    return 0;
  },
});
