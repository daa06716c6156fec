import type { SettingsReport } from "../api/control/types.ts";
import { define } from "./command.ts";
import { type Context, line } from "./context.ts";
import { flags as engineFlags, flagsOf } from "./engine-start.ts";
import { bool, text } from "./flags.ts";
import { printRows } from "./listing.ts";

export const command = define({
  usage: "[flags]",
  summary: "show what the engine is set to, and by what",
  flags: {
    format: text("", "TEMPLATE", "table, json or a Go template"),
    validate: bool("", "look at what is written, without an engine"),
    config: engineFlags.config,
    "daemon-json": engineFlags["daemon-json"],
  },
  args: [0, 0],
  examples: [
    ["engine config --format '{{.Name}} {{.Value}}'", "a form of your own"],
    ["engine config --validate --config new.toml", "before it is used"],
  ],
  async run(context, values) {
    const { format, validate, ...files } = values;
    if (validate) {
      await context.checkEngine(flagsOf(context, files));
      await line(context.stdout, "configuration OK");
      return 0;
    }
    const report = await context.callRunning("settings", {});
    await printSettings(context, report, format);
    return 0;
  },
});

async function printSettings(
  context: Context,
  { settings, pending, problem }: SettingsReport,
  format: string | undefined,
): Promise<void> {
  const columns = ["Name", "Value", "From", ...(pending.length > 0 ? ["Pending"] : [])];
  const listing = { headers: { Name: "NAME", Value: "VALUE", From: "FROM", Pending: "PENDING" }, columns };
  const next = new Map(pending.map(({ name, value, when }) => [name, `${value ?? "none"} (${when})`]));
  const known = new Set(settings.map(({ name }) => name));
  const rows = settings.map(({ name, value, from }) => ({ Name: name, Value: value, From: from, Pending: next.get(name) ?? "" }));
  for (const [name, value] of next) if (!known.has(name)) rows.push({ Name: name, Value: "", From: "", Pending: value });
  await printRows(context, listing, rows, format);
  if (problem !== "") await line(context.stderr, `what is written cannot be had: ${problem}`);
}
