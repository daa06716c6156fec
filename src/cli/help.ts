import { similar } from "../lib/similar.ts";
import type { Command, Entry } from "./command.ts";
import { commands, groups } from "./commands.ts";
import { type Flags, flagNames } from "./flags.ts";
import { globalFlags } from "./global-flags.ts";

/** What `--help` prints. */

/** Columns of a terminal that help fits into. */
const WIDTH = 80;
const INDENT = "  ";
const GAP = 2;

/** Words on lines of at most `width`; a word that is longer has one of its own. */
function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

const indented = (first: string, text: string, indent: string): string[] =>
  wrap(text, WIDTH - indent.length).map((line, at) => (at === 0 ? first : indent) + line);

type Rows = readonly (readonly [left: string, right: string])[];

/** Two columns, the left one so wide; what is wider has its explanation on the line below. */
const inColumns = (rows: Rows, width: number): string[] =>
  rows.flatMap(([left, right]) => {
    const hang = " ".repeat(INDENT.length + width + GAP);
    if (right === "") return [INDENT + left];
    if (left.length > width) return [INDENT + left, ...indented(hang, right, hang)];
    return indented(INDENT + left.padEnd(width + GAP), right, hang);
  });

/** In as few lines as can be, and then with as few explanations below as can be. */
function column(rows: Rows): string[] {
  const widths = [...new Set(rows.map(([left]) => left.length))].sort((a, b) => b - a);
  const tried = widths.filter((width) => width <= WIDTH * 0.75).map((width) => inColumns(rows, width));
  return tried.reduce((best, next) => (next.length < best.length ? next : best), tried[0] ?? inColumns(rows, 2));
}

const flagColumn = (flags: Flags): string[] =>
  column(Object.entries(flags).map(([name, flag]) => [flagNames(name, flag), flag.help]));

const listed = (entries: Readonly<Record<string, Entry>>): [string, string][] =>
  Object.entries(entries)
    .filter(([, { hidden }]) => !hidden)
    .map(([name, { summary }]) => [name, summary]);

/** Those that the overview explains; the others it names. */
const common = new Set(
  "run exec ps logs start stop rm inspect stats cp update images pull push load rmi login explain".split(" "),
);

export function overview(): string {
  const all = listed(commands);
  return [
    "onggi runs containers.",
    "",
    ...column([
      ["onggi image bootstrap busybox", "make a first image"],
      ["onggi run -it --rm busybox sh", "a shell in a container of it"],
      ["onggi explain busybox", "what that takes, call by call"],
    ]),
    "",
    "Commands:",
    ...column(all.filter(([name]) => common.has(name))),
    ...indented(INDENT, `and ${all.flatMap(([name]) => (common.has(name) ? [] : [name])).join(", ")}`, INDENT),
    "",
    "Groups (onggi GROUP --help):",
    ...column(Object.entries(groups).map(([name, { summary }]) => [name, summary])),
    "",
    "Before the command:",
    ...flagColumn(globalFlags),
    "",
    "onggi COMMAND --help says more.",
  ].join("\n");
}

/** The help of a group; `all` with the rare ones of its flags. */
export function groupHelp(name: string, all: boolean): string {
  const { flags, commands: inside, summary } = groups[name]!;
  const lines = [
    `Usage: onggi ${name} ${flags ? "[flags] " : ""}COMMAND`,
    "",
    `Commands for ${summary}:`,
    ...column(listed(inside)),
  ];
  return [...lines, ...flagSection("Before the command:", name, flags ?? {}, all)].join("\n");
}

/** The help of one command; `all` with its rare flags. */
export function commandHelp(name: string, command: Command, all: boolean): string {
  const usage = indented("Usage: ", `onggi ${name} ${command.usage}`.trimEnd(), " ".repeat("Usage: ".length));
  const lines = [...usage, "", ...wrap(sentence(command.summary), WIDTH)];
  if (command.examples.length > 0) {
    lines.push("", "Examples:", ...column(command.examples.map(([example, what]) => [`onggi ${example}`, what])));
  }
  const exits = command.exits ? ["", ...wrap(`Exit code: ${command.exits}.`, WIDTH)] : [];
  return [...lines, ...exits, ...flagSection("Flags:", name, command.flags, all)].join("\n");
}

function flagSection(title: string, name: string, flags: Flags, all: boolean): string[] {
  const shown = Object.entries(flags).filter(([, flag]) => all || !flag.rare);
  const left = Object.keys(flags).length - shown.length;
  return [
    ...(shown.length > 0 ? ["", title, ...flagColumn(Object.fromEntries(shown))] : []),
    ...(left > 0 ? ["", `${left} more: onggi ${name} --help-all`] : []),
  ];
}

const sentence = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;

/** "; did you mean X?", or "" for nothing. */
export const didYouMean = (words: readonly string[]): string =>
  words.length === 0 ? "" : `; did you mean ${words.join(" or ")}?`;

export const flagSuggestion = (flag: string, known: readonly string[]): string =>
  didYouMean(flag.startsWith("--") ? similar(flag.slice(2), known).map((name) => `--${name}`) : []);
