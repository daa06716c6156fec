import type { Asked } from "../contexts/contexts.ts";
import { messageOf } from "../lib/errors.ts";
import { lookUp } from "../lib/tables.ts";
import type { Command, Entry, Group } from "./command.ts";
import { commands, groups } from "./commands.ts";
import type { Context } from "./context.ts";
import { Exit, exitCodeOf, UsageError } from "./errors.ts";
import { type Flags, HelpWanted, type Parsed, parseFlags, UnknownFlag, type Values } from "./flags.ts";
import { globalFlags } from "./global-flags.ts";

/**
 * The command line: finds the command, reads its flags, runs it, and turns what it throws into a message and an exit code.
 *
 *     process.exitCode = await main(process.argv.slice(2), (locations) => makeContext(locations));
 */

export type Locations = Asked;

/** Runs one command line and gives its exit code. Throws nothing. */
export async function main(argv: readonly string[], contextOf: (locations: Locations) => Context): Promise<number> {
  let context = contextOf({});
  const failed = (error: unknown): Promise<number> => report(context, error, "", 1);
  try {
    const { values, args } = parseFlags(globalFlags, argv, false);
    const { version, ...locations } = values;
    if (Object.keys(locations).length > 0) context = contextOf(locations);
    return await dispatch(context, version ? ["version"] : args);
  } catch (error) {
    return error instanceof HelpWanted ? overview(context).catch(failed) : failed(error);
  }
}

async function dispatch(context: Context, words: readonly string[]): Promise<number> {
  const [first, ...rest] = words;
  if (first === undefined) return overview(context);
  if (first === "help") return help(context, rest);
  const group = lookUp(groups, first);
  if (group) return dispatchGroup(context, first, group, rest);
  return invoke(context, first, lookUp(commands, first) ?? (await unknown(first, commands, "", rest[0])), rest);
}

async function dispatchGroup(context: Context, name: string, group: Group, words: readonly string[]): Promise<number> {
  const { otherwise, flags = {} } = group;
  let before: Parsed<Flags>;
  try {
    // where a command may be left out, its flags come first
    before =
      otherwise && words[0] !== "--help" && words[0] !== "-h"
        ? { values: {}, args: [...words] }
        : parseFlags(flags, words, false);
  } catch (error) {
    return error instanceof HelpWanted ? groupHelp(context, name, error.all) : report(context, error, name, 1);
  }
  const [second, ...rest] = before.args;
  if (second === undefined) return groupHelp(context, name, false);
  if (second === "help") return help(context, [name, ...rest]);
  const entry = lookUp(group.commands, second);
  if (!entry && otherwise) return invoke(context, `${name} ${otherwise}`, group.commands[otherwise]!, words);
  return invoke(context, `${name} ${second}`, entry ?? (await unknown(second, group.commands, `${name} `)), rest, before.values);
}

/** `next` is the word behind a name that is none, which with Docker might be a group's. */
async function unknown(word: string, known: Readonly<Record<string, Entry>>, prefix: string, next = ""): Promise<never> {
  const { didYouMean } = await import("./help.ts");
  const { similar } = await import("../lib/similar.ts");
  const names = Object.keys(known).filter((name) => !known[name]!.hidden);
  const { whyOf } = await import("./docker-compat.ts");
  const dockers = [`${prefix}${word}`, `${word} ${next}`].find((name) => whyOf(name) !== undefined);
  const near = prefix === "" ? [...similar(word, [...names, ...Object.keys(groups)]), ...inGroups(word)] : similar(word, names);
  const message = dockers
    ? `there is no command "${dockers}": ${whyOf(dockers)}`
    : `there is no command "${prefix}${word}"${didYouMean(near) || `; see onggi ${prefix}--help`}`;
  throw Object.assign(new UsageError(message), { exitCode: 1 });
}

/** Commands of that name that groups have: "image bootstrap". */
const inGroups = (word: string): string[] =>
  Object.entries(groups).flatMap(([group, { commands: inside }]) => {
    const entry = lookUp(inside, word);
    return entry && !entry.hidden ? [`${group} ${word}`] : [];
  });

async function overview(context: Context): Promise<number> {
  const { overview } = await import("./help.ts");
  await context.stdout.write(`${overview()}\n`);
  return 0;
}

async function groupHelp(context: Context, name: string, all: boolean): Promise<number> {
  const { groupHelp } = await import("./help.ts");
  await context.stdout.write(`${groupHelp(name, all)}\n`);
  return 0;
}

async function help(context: Context, words: readonly string[]): Promise<number> {
  const [first] = words;
  return first === undefined || first === "help" ? overview(context) : dispatch(context, [...words, "--help"]);
}

async function invoke(
  context: Context,
  name: string,
  entry: Entry,
  argv: readonly string[],
  before: Values<Flags> = {},
): Promise<number> {
  const command = await entry.load();
  try {
    const { values, args } = parseFlags(command.flags, argv, !command.flagsFirst);
    checkCount(name, command, args);
    return await command.run(context, values, args, before);
  } catch (error) {
    if (error instanceof HelpWanted) {
      const { commandHelp } = await import("./help.ts");
      await context.stdout.write(`${commandHelp(name, command, error.all)}\n`);
      return 0;
    }
    return report(context, error, name, command.failure ?? 1);
  }
}

function checkCount(name: string, command: Command, args: readonly string[]): void {
  const [min, max] = command.args;
  if (args.length >= min && args.length <= max) return;
  const count = (n: number): string => (n === 0 ? "no arguments" : n === 1 ? "1 argument" : `${n} arguments`);
  const wanted = min === max ? count(min) : args.length < min ? `at least ${count(min)}` : `at most ${count(max)}`;
  throw Object.assign(new UsageError(`"onggi ${name}" takes ${wanted}: onggi ${name} ${command.usage}`), { exitCode: 1 });
}

/** Says what went wrong, on standard error, and gives the exit code. */
async function report(context: Context, error: unknown, name: string, fallback: number): Promise<number> {
  if (error instanceof Exit) return error.exitCode;
  let message = messageOf(error);
  if (error instanceof UnknownFlag) {
    const { flagSuggestion } = await import("./help.ts");
    message += flagSuggestion(error.flag, error.known) || `; see onggi ${name ? `${name} --help-all` : "--help"}`;
  }
  const { visible } = await import("../lib/printable.ts");
  const lines = message.split("\n").map(visible);
  await context.stderr.write(`onggi: ${lines.join("\n")}\n`).catch(() => {});
  return exitCodeOf(error, fallback);
}
