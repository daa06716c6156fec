import { test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { commands, groups } from "./commands.ts";
import { HelpWanted, parseFlags } from "./flags.ts";
import { globalFlags } from "./global-flags.ts";

/** Command lines in the documents are ones that there are: their commands, flags and values are read as they would be. */

const repository = join(import.meta.dir, "../..");
const documents = [
  "README.md",
  ...readdirSync(join(repository, "docs")).flatMap((name) => (name.endsWith(".md") ? [`docs/${name}`] : [])),
];

/** `onggi ...` of a document's examples: indented or fenced, without what they do, which is two blanks away. */
function linesOf(document: string): string[] {
  let fenced = false;
  const lines: string[] = [];
  for (const line of readFileSync(join(repository, document), "utf8").split("\n")) {
    if (line.startsWith("```")) fenced = !fenced;
    else if (fenced || line.startsWith("    "))
      lines.push(
        line
          .trim()
          .replace(/^[$#] /, "")
          .split(/ {2,}|\t/)[0]!,
      );
  }
  return lines.flatMap((line) => line.split(/; | && | \| /)).filter((line) => /^(dist\/)?onggi [-a-z]/.test(line));
}

const wordsOf = (line: string): string[] =>
  (line.replace(/\s+[<>].*$|\s*&$|\s+#.*$| \.\.\.$/, "").match(/(?:'[^']*'|"[^"]*"|[^\s'"])+/g) ?? [])
    .slice(1)
    .map((word) => word.replace(/['"]/g, ""));

async function read(words: readonly string[]): Promise<void> {
  const [first = "", ...rest] = parseFlags(globalFlags, words, false).args;
  const group = groups[first];
  const before = group ? parseFlags(group.otherwise ? {} : (group.flags ?? {}), rest, false).args : [];
  const named = group?.commands[before[0] ?? ""];
  const entry = group ? (named ?? group.commands[group.otherwise ?? ""]) : commands[first];
  if (!entry) throw new Error(`no command "${words.join(" ")}"`);
  const { flags, flagsFirst, args } = await entry.load();
  const given = parseFlags(flags, group ? (named ? before.slice(1) : before) : rest, !flagsFirst).args.length;
  if (given < args[0] || given > args[1]) throw new Error(`${given} arguments: ${words.join(" ")}`);
}

const check = (line: string): Promise<void> =>
  read(wordsOf(line)).catch((error) => {
    if (!(error instanceof HelpWanted)) throw error;
  });

test.each(documents.flatMap((document) => linesOf(document).map((line) => [document, line] as const)))("%s: %s", (_, line) =>
  check(line),
);

test("the examples in every command's help", async () => {
  const all = [commands, ...Object.values(groups).map((group) => group.commands)].flatMap((table) => Object.values(table));
  const examples = await Promise.all(all.map(async (entry) => (await entry.load()).examples));
  for (const [line] of examples.flat()) await check(`onggi ${line.split(" | ")[0]}`);
});
