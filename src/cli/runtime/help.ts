/** The help, laid out as runc's. Loaded when it is asked for, or a command line was wrong. */
import { alignTabs } from "../../lib/table.ts";
import type { Command } from "./command.ts";
import { commandNames, loadCommand } from "./commands.ts";
import type { Flag, Flags } from "./parse.ts";

const helpFlag: Flag = { kind: "bool", short: "h", help: "show help" };

function flagLines(flags: Flags): string[] {
  const rows: string[] = [];
  for (const [name, flag] of Object.entries(flags)) {
    if (flag.hidden) continue;
    const value = flag.kind === "bool" ? "" : " value";
    const short = flag.short ? `, -${flag.short}${value}` : "";
    rows.push(`--${name}${value}${short}\t${flag.help}`);
  }
  return indented(rows);
}

/** Two columns, the first no wider than it has to be. */
const indented = (rows: readonly string[]): string[] => alignTabs(rows, 1, 2).map((line) => `   ${line}`);

const section = (title: string, lines: readonly string[]): string =>
  lines.length === 0 ? "" : `\n${title}:\n${lines.join("\n")}\n`;

export function commandHelp(name: string, { summary, operands, description, flags }: Command): string {
  const options = flagLines(flags);
  const usage = ["onggi-runtime", name, options.length > 0 ? "[command options]" : "", operands].filter(Boolean).join(" ");
  return [
    `NAME:\n   onggi-runtime ${name} - ${summary}\n`,
    section("USAGE", [`   ${usage}`]),
    section("DESCRIPTION", description === undefined ? [] : description.split("\n").map((line) => `   ${line}`)),
    section("OPTIONS", options),
  ].join("");
}

export async function programHelp(globals: Flags, version: string): Promise<string> {
  const loaded = await Promise.all(commandNames.map(async (name) => `${name}\t${(await loadCommand(name))!.summary}`));
  return [
    "NAME:\n   onggi-runtime - OCI runtime: makes containers of bundles\n",
    section("USAGE", ["   onggi-runtime [global options] command [command options] [arguments...]"]),
    section("VERSION", [`   ${version}`]),
    section("COMMANDS", indented([...loaded, "help, h\tshow the commands, or the help of one"])),
    section("GLOBAL OPTIONS", flagLines({ ...globals, help: helpFlag })),
  ].join("");
}
