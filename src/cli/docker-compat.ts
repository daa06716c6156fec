/** What of Docker's command line there is, flag by flag: the second half of docs/docker-compat.md. */
import { lookUp } from "../lib/tables.ts";
import type { Entry } from "./command.ts";
import { commands, groups } from "./commands.ts";
import { type Difference, differences } from "./docker-differences.ts";
import type { Flag, Flags } from "./flags.ts";

export interface DockerFlag {
  readonly name: string;
  /** One letter, or "". */
  readonly short: string;
  readonly takesValue: boolean;
}

export interface DockerCommand {
  /** "container run". */
  readonly name: string;
  readonly flags: readonly DockerFlag[];
}

/** Lines of scripts/docker-commands.tsv: the command, then "-e--env=list" for each flag. */
export const parseDockerCommands = (text: string): DockerCommand[] =>
  text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const [name = "", ...flags] = line.split("\t");
      return { name, flags: flags.map(parseFlag) };
    });

function parseFlag(text: string): DockerFlag {
  const [, short = "", name = "", value] = /^(?:-(\w))?--([\w-]+)(=.*)?$/.exec(text) ?? [];
  return { name, short, takesValue: value !== undefined };
}

export function entryOf(name: string): Entry | undefined {
  const [first = "", second] = name.split(" ");
  if (second === undefined) return lookUp(commands, first);
  const group = lookUp(groups, first);
  return group && lookUp(group.commands, second);
}

/** Docker's own names for one command: "run" for "container run", "rmi" for "image rm". */
export function shortestName(name: string): string {
  const renamed: Readonly<Record<string, string>> = {
    "container ls": "ps",
    "image ls": "images",
    "image rm": "rmi",
    "system info": "info",
    "system events": "events",
  };
  const [group, rest] = name.split(" ");
  const isShort = ["container", "image"].includes(group!) && !["inspect", "prune"].includes(rest!);
  return renamed[name] ?? (isShort ? rest! : name);
}

/** Why a command, or one flag of it, is not as Docker's; undefined where nothing is known of that. */
export const whyOf = (name: string, flag?: string): string | undefined =>
  differences.find((one) => isAbout(one, shortestName(name)) && tellsOf(one, flag))?.why;

export const isAbout = ({ commands }: Difference, name: string): boolean =>
  commands.some((one) => one === name || (one.endsWith(" *") && name.startsWith(one.slice(0, -1))));

const tellsOf = ({ flags }: Difference, flag: string | undefined): boolean =>
  flag === undefined ? flags === undefined : (flags?.includes(flag) ?? false);

interface Judged {
  readonly how: "done" | "differs" | "absent" | "unknown";
  readonly why: string;
}

/** One flag, against the table of the command. */
export function judgeFlag(command: string, { name, short, takesValue }: DockerFlag, ours: Flags): Judged {
  const why = whyOf(command, name);
  const flag = lookUp(ours, name) ?? Object.values(ours).find(({ aliases }) => aliases?.includes(name));
  if (!flag) return why === undefined ? { how: "unknown", why: "" } : { how: "absent", why };
  if (isLater(flag)) return { how: "absent", why: flag.help };
  if (why !== undefined) return { how: "differs", why };
  const isSame = (short === "" || flag.short === short) && takesValue === (flag.value !== undefined);
  return isSame ? { how: "done", why: "" } : { how: "unknown", why: "" };
}

const isLater = ({ help }: Flag<unknown>): boolean => help.startsWith("not there yet");

const spelled = ({ name, short }: DockerFlag): string => (short === "" ? `--${name}` : `-${short}, --${name}`);

/** Everything about one command: its row, and how many of its flags are what. */
async function judge({ name, flags }: DockerCommand): Promise<{ row: string; flags: Judged[]; isThere: boolean }> {
  const entry = entryOf(name);
  if (!entry) {
    const why = whyOf(name) ?? "";
    const names = flags.length === 0 ? "" : ` (${flags.map((flag) => `\`${spelled(flag)}\``).join(" ")})`;
    return { row: `| ${name} | absent |  | ${why}${names} |`, flags: flags.map(() => ({ how: "absent", why })), isThere: false };
  }
  const ours = (await entry.load()).flags as Flags;
  const judged = flags.map((flag) => ({ flag, ...judgeFlag(name, flag, ours) }));
  const done = judged.filter(({ how }) => how === "done").map(({ flag }) => `\`${spelled(flag)}\``);
  const reasons = Map.groupBy(
    judged.filter(({ how }) => how !== "done"),
    ({ how, why }) => `${how}: ${why}`,
  );
  const others = [...reasons].map(([why, some]) => `${some.map(({ flag }) => `\`${spelled(flag)}\``).join(" ")} ${why}`);
  const whole = whyOf(name);
  const notes = [...(whole === undefined ? [] : [whole]), ...others].join("; ");
  return {
    row: `| ${name} | ${notes === "" ? "done" : "differs"} | ${done.join(" ")} | ${notes} |`,
    flags: judged,
    isThere: true,
  };
}

export async function commandsDocument(docker: readonly DockerCommand[]): Promise<string> {
  const judged = await Promise.all(docker.map(judge));
  const flags = judged.flatMap((one) => one.flags);
  const count = (how: Judged["how"]): number => flags.filter((flag) => flag.how === how).length;
  const there = judged.filter(({ isThere }) => isThere).length;
  return [
    "## Docker's command line and onggi's\n",
    "Every command of Docker's command line (28.5) and of docker compose (2.40), `scripts/docker-commands.tsv`, and what `onggi` with the same words makes of it and",
    "of each of its flags. Why something is not as Docker's is written in `src/cli/docker-differences.ts`.",
    "Messages are in words of onggi's own. What a command refuses to be given (the value of a flag, a file that is not there, `-it` without a",
    "terminal) ends with 125, as `docker run` does; others of Docker's commands end with 1 for some of that.\n",
    `Of ${docker.length} commands ${there} are there; of their ${flags.length} flags ${count("done")} are done, ${count("differs")} differ and ${count("absent")} are absent.\n`,
    "| command | onggi | flags as Docker's | differing or absent |",
    "| --- | --- | --- | --- |",
    ...judged.map(({ row }) => row),
    "",
  ].join("\n");
}
