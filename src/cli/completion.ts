import { type Command, define, type Entry, type Group } from "./command.ts";
import { line } from "./context.ts";
import { UsageError } from "./errors.ts";
import type { Completion } from "./flags.ts";

/** Completion scripts, made of the same tables that the parser and the help read. */

type Commands = Readonly<Record<string, Entry>>;
type Groups = Readonly<Record<string, Group>>;

/** The command, for these tables: it is one of them itself and cannot import them. */
export const completionOf = (commands: Commands, groups: Groups): Command<Record<never, never>> =>
  define({
    usage: "bash|zsh|fish",
    summary: "print a shell completion script",
    flags: {},
    args: [1, 1],
    complete: ["bash", "zsh", "fish"],
    examples: [
      ["completion bash > /etc/bash_completion.d/onggi", "for every new shell"],
      ["completion fish | source", "for this one"],
    ],
    async run(context, _, [shell = ""]) {
      const render = Object.hasOwn(shells, shell) ? shells[shell] : undefined;
      if (!render)
        throw new UsageError(`completion for "${shell}" is not there; choose one of ${Object.keys(shells).join(", ")}`);
      await line(context.stdout, render(await describeAll(commands, groups), groups));
      return 0;
    },
  });

interface Described {
  /** "run", "container run". */
  path: string;
  summary: string;
  args: Completion | undefined;
  flags: { name: string; short: string | undefined; value: boolean; help: string; complete: Completion | undefined }[];
}

async function describeAll(commands: Commands, groups: Groups): Promise<Described[]> {
  const all: [string, Entry][] = Object.entries(commands);
  for (const [group, { commands: inside }] of Object.entries(groups)) {
    for (const [name, entry] of Object.entries(inside)) all.push([`${group} ${name}`, entry]);
  }
  return Promise.all(
    all
      .filter(([, { hidden }]) => !hidden)
      .map(async ([path, entry]) => {
        const { flags, complete } = await entry.load();
        const described = Object.entries(
          flags as Record<string, { short?: string; value?: string; help: string; complete?: Completion }>,
        )
          .filter(([, flag]) => !flag.help.startsWith("not there yet"))
          .map(([name, flag]) => ({
            name,
            short: flag.short,
            value: flag.value !== undefined,
            help: flag.help,
            complete: flag.complete,
          }));
        return { path, summary: entry.summary, args: complete, flags: described };
      }),
  );
}

/** A command whose output are the words, or undefined for files. */
const lister = (what: Completion | undefined): string | undefined => {
  if (what === "container") return "onggi ps -a --format '{{.Names}}'";
  if (what === "running") return "onggi ps --format '{{.Names}}'";
  if (what === "network") return "onggi network ls --format '{{.Name}}'";
  if (what === "image") return "onggi images --format '{{.Repository}}:{{.Tag}}'";
  if (what === "context") return "onggi context ls -q";
  if (what === "volume") return "onggi volume ls -q";
  if (what === "service") return "onggi compose config --services";
  if (Array.isArray(what)) return `printf '%s\\n' ${what.join(" ")}`;
  return undefined;
};

const words = (all: Described[]): string => [...new Set(all.map(({ path }) => path.split(" ", 1)[0]))].join(" ");

function bash(all: Described[], groups: Groups): string {
  const cases = all.map(({ path, flags, args }) => {
    const names = flags.flatMap(({ name, short }) => [`--${name}`, ...(short ? [`-${short}`] : [])]).join(" ");
    const values = flags
      .filter(({ value }) => value)
      .map(({ name, short, complete }) => {
        const list = lister(complete);
        const reply = list
          ? `COMPREPLY=($(compgen -W "$(${list} 2>/dev/null)" -- "$cur"))`
          : 'COMPREPLY=($(compgen -f -- "$cur"))';
        return `      ${[`--${name}`, ...(short ? [`-${short}`] : [])].join("|")}) ${reply}; return;;`;
      });
    const list = lister(args);
    const rest = list ? `compgen -W "$(${list} 2>/dev/null)" -- "$cur"` : 'compgen -f -- "$cur"';
    return [
      `    "${path}")`,
      ...(values.length > 0 ? ['      case "$prev" in', ...values, "      esac"] : []),
      `      if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "${names}" -- "$cur")); else COMPREPLY=($(${rest})); fi;;`,
    ].join("\n");
  });
  const groupCases = Object.entries(groups).map(
    ([name, { commands: inside }]) =>
      `    ${name}) path="$path \${COMP_WORDS[2]}"; if ((COMP_CWORD == 2)); then COMPREPLY=($(compgen -W "${Object.keys(inside).join(" ")}" -- "$cur")); return; fi;;`,
  );
  return `# bash completion for onggi
_onggi() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" prev="\${COMP_WORDS[COMP_CWORD-1]}" path="\${COMP_WORDS[1]}"
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then COMPREPLY=($(compgen -W "${words(all)} --root --run --version --help" -- "$cur")); return; fi
  case "$path" in
${groupCases.join("\n")}
  esac
  case "$path" in
${cases.join("\n")}
  esac
}
complete -F _onggi onggi`;
}

const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
const zshText = (text: string): string => text.replace(/[[\]:\\]/g, "\\$&");

function zsh(all: Described[], groups: Groups): string {
  const value = (complete: Completion | undefined): string => {
    const list = lister(complete);
    return list ? `{compadd -- \${(f)"$(${list} 2>/dev/null)"}}` : "_files";
  };
  const cases = all.map(({ path, flags, args }) => {
    const specs = flags.flatMap(({ name, short, value: takes, help, complete }) =>
      [`--${name}`, ...(short ? [`-${short}`] : [])].map((flag) =>
        takes ? `"*${flag}[${zshDouble(help)}]:value:${zshDouble(value(complete))}"` : `"${flag}[${zshDouble(help)}]"`,
      ),
    );
    return `    ${quote(path)}) _arguments -s ${[...specs, `"*:argument:${zshDouble(value(args))}"`].join(" ")};;`;
  });
  const first = all.filter(({ path }) => !path.includes(" ")).map(({ path, summary }) => quote(`${path}:${zshText(summary)}`));
  const groupNames = Object.entries(groups).map(([name, { summary }]) => quote(`${name}:${zshText(summary)}`));
  const groupCases = Object.entries(groups).map(
    ([name, { commands: inside }]) =>
      `    ${name}) if ((CURRENT == 3)); then compadd -- ${Object.keys(inside).join(" ")}; return; fi; path="$path $words[3]"; shift words; ((CURRENT--));;`,
  );
  return `#compdef onggi
_onggi() {
  local path="$words[2]"
  if ((CURRENT == 2)); then local -a all; all=(${[...first, ...groupNames].join(" ")}); _describe command all; return; fi
  case "$path" in
${groupCases.join("\n")}
  esac
  shift words; ((CURRENT--))
  case "$path" in
${cases.join("\n")}
  esac
}
compdef _onggi onggi`;
}

/** For inside double quotes of a zsh _arguments specification. */
const zshDouble = (text: string): string =>
  text.startsWith("{") ? text.replace(/["\\$`]/g, "\\$&") : text.replace(/[[\]:]/g, "\\\\$&").replace(/["$`]/g, "\\$&");

function fish(all: Described[], groups: Groups): string {
  const lines = ["# fish completion for onggi", "complete -c onggi -f"];
  const top = all.filter(({ path }) => !path.includes(" "));
  for (const { path, summary } of top) lines.push(`complete -c onggi -n __fish_use_subcommand -a ${path} -d ${quote(summary)}`);
  for (const [name, { summary, commands: inside }] of Object.entries(groups)) {
    lines.push(`complete -c onggi -n __fish_use_subcommand -a ${name} -d ${quote(summary)}`);
    const names = Object.keys(inside).join(" ");
    lines.push(
      `complete -c onggi -n '__fish_seen_subcommand_from ${name}; and not __fish_seen_subcommand_from ${names}' -a ${quote(names)}`,
    );
  }
  for (const { path, flags, args } of all) {
    const condition = path
      .split(" ")
      .map((word) => `__fish_seen_subcommand_from ${word}`)
      .join("; and ");
    for (const { name, short, value, help, complete } of flags) {
      const list = lister(complete);
      const values = value ? (list ? ` -x -a ${quote(`(${list})`)}` : " -r -F") : "";
      lines.push(`complete -c onggi -n ${quote(condition)} -l ${name}${short ? ` -s ${short}` : ""}${values} -d ${quote(help)}`);
    }
    const list = lister(args);
    lines.push(`complete -c onggi -n ${quote(condition)} ${list ? `-a ${quote(`(${list})`)}` : "-F"}`);
  }
  return lines.join("\n");
}

const shells: Readonly<Record<string, (all: Described[], groups: Groups) => string>> = { bash, zsh, fish };
