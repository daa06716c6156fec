import { similar } from "../lib/similar.ts";
import type { Command, Entry } from "./command.ts";
import { commands, groups } from "./commands.ts";
import { type Flags, flagNames } from "./flags.ts";
import { globalFlags } from "./global-flags.ts";

/** What `--help` prints. */

const column = (rows: readonly (readonly [string, string])[], indent = "  "): string[] => {
  const width = Math.max(0, ...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `${indent}${left.padEnd(width)}  ${right}`.trimEnd());
};

const flagColumn = (flags: Flags): string[] =>
  column(Object.entries(flags).map(([name, flag]) => [flagNames(name, flag), flag.help]));

const listed = (entries: Readonly<Record<string, Entry>>): [string, string][] =>
  Object.entries(entries)
    .filter(([, { hidden }]) => !hidden)
    .map(([name, { summary }]) => [name, summary]);

const names = (entries: Readonly<Record<string, Entry>>): string => {
  const shown = listed(entries).map(([name]) => name);
  return shown.length > 9 ? `${shown.slice(0, 9).join(" ")} ...` : shown.join(" ");
};

export function overview(): string {
  return [
    "onggi runs containers.",
    "",
    "  onggi image bootstrap busybox        make a first image",
    "  onggi run -it --rm busybox sh        a shell in a container of it",
    "  onggi explain busybox                what that takes, call by call",
    "",
    "Commands:",
    ...column(listed(commands)),
    "",
    "Groups (onggi GROUP --help):",
    ...column(Object.entries(groups).map(([name, { commands: inside }]) => [name, names(inside)])),
    "",
    "Before the command:",
    ...flagColumn(globalFlags),
    "",
    "onggi COMMAND --help says more.",
  ].join("\n");
}

export function groupHelp(name: string): string {
  const { flags, commands: inside, summary } = groups[name]!;
  const lines = [
    `Usage: onggi ${name} ${flags ? "[flags] " : ""}COMMAND`,
    "",
    `Commands for ${summary}:`,
    ...column(listed(inside)),
  ];
  if (flags) lines.push("", "Before the command:", ...flagColumn(flags));
  return lines.join("\n");
}

/** The help of one command; `all` with its rare flags. */
export function commandHelp(name: string, command: Command, all: boolean): string {
  const { flags } = command;
  const shown = Object.entries(flags).filter(([, flag]) => all || !flag.rare);
  const left = Object.keys(flags).length - shown.length;
  const lines = [`Usage: onggi ${name} ${command.usage}`.trimEnd(), "", `${sentence(command.summary)}`];
  if (command.examples.length > 0) {
    lines.push("", "Examples:", ...column(command.examples.map(([example, what]) => [`onggi ${example}`, what])));
  }
  if (shown.length > 0) lines.push("", "Flags:", ...flagColumn(Object.fromEntries(shown)));
  if (left > 0) lines.push("", `${left} more: onggi ${name} --help-all`);
  return lines.join("\n");
}

const sentence = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;

/** "did you mean X?" for a misspelt command, or "". */
export function didYouMean(word: string, candidates: Iterable<string>, prefix = ""): string {
  const found = similar(word, candidates).map((candidate) => `${prefix}${candidate}`);
  return found.length === 0 ? "" : `; did you mean ${found.join(" or ")}?`;
}

export const flagSuggestion = (flag: string, flags: Flags | readonly string[]): string =>
  flag.startsWith("--") ? didYouMean(flag.slice(2), Array.isArray(flags) ? flags : Object.keys(flags), "--") : "";
