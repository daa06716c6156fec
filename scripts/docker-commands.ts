/**
 * Writes scripts/docker-commands.tsv: every command of Docker's command line and its flags, as `docker COMMAND --help` lists them.
 * Facts only. Once for each version of Docker's: bun scripts/docker-commands.ts [PATH OF DOCKER]
 *
 * A line: the command's words, then for each flag --NAME, or -X--NAME, with =TYPE where it takes a value; separated by tabs.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";

const docker = process.argv[2] ?? `${import.meta.dir}/../build/tools/bin/docker`;
const config = mkdtempSync(`${tmpdir()}/docker-commands-`);

function help(words: readonly string[]): string {
  const { stdout, exitCode } = Bun.spawnSync([docker, ...words, "--help"], {
    env: { ...process.env, DOCKER_CONFIG: config, DOCKER_HOST: "unix:///nowhere", COLUMNS: "500" },
  });
  if (exitCode !== 0) throw new Error(`docker ${words.join(" ")} --help ended with ${exitCode}`);
  return stdout.toString();
}

/** The indented lines below "... Commands:" and "Options:". */
function sectionsOf(text: string): { commands: string[]; flags: string[] } {
  const found = { commands: [] as string[], flags: [] as string[] };
  let into: string[] | undefined;
  for (const line of text.split("\n")) {
    if (/^(Global Options|Aliases|Usage)/.test(line)) into = undefined;
    else if (/^(.* )?Commands:$/.test(line)) into = found.commands;
    else if (/^Options:$/.test(line)) into = found.flags;
    else if (line.startsWith("  ")) into?.push(line);
  }
  return found;
}

/** "  -e, --env list   Set ..." as "-e--env=list"; undefined for the rest of a flag's description. */
function flagOf(line: string): string | undefined {
  const [, short = "", name, value] = /^ +(?:(-\w), )?--([\w-]+)(?: (\S+))?(?: {2,}|$)/.exec(line) ?? [];
  return name === undefined || name === "help" ? undefined : `${short}--${name}${value === undefined ? "" : `=${value}`}`;
}

function* commandsBelow(words: readonly string[]): Generator<string> {
  const { commands, flags } = sectionsOf(help(words));
  const names = commands.flatMap((line) => /^ {2}([a-z][\w-]*)\*? /.exec(line)?.[1] ?? []);
  if (names.length === 0 && words.length > 0) yield [words.join(" "), ...flags.flatMap((line) => flagOf(line) ?? [])].join("\t");
  for (const name of names.sort()) yield* commandsBelow([...words, name]);
}

const lines = [...commandsBelow([])];
await Bun.write(`${import.meta.dir}/docker-commands.tsv`, `${lines.join("\n")}\n`);
rmSync(config, { recursive: true });
