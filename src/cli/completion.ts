import { type Command, define, type Entry, type Group } from "./command.ts";
import { line } from "./context.ts";
import { UsageError } from "./errors.ts";
import type { Completion, Flag, Flags } from "./flags.ts";
import { globalFlags } from "./global-flags.ts";

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

const commandWords = (all: Described[]): string[] => [...new Set(all.map(({ path }) => path.split(" ", 1)[0]!))];

const shown = (entries: Readonly<Record<string, Entry>>): string[] =>
  Object.keys(entries).filter((name) => !entries[name]!.hidden);

const spelling = ([name, { short }]: [string, Flag<unknown>]): string[] => [`--${name}`, ...(short ? [`-${short}`] : [])];
const spelled = (flags: Flags): string[] => Object.entries(flags).flatMap(spelling);

/** Those that a word follows. */
const valued = (flags: Flags): string =>
  Object.entries(flags)
    .filter(([, { value }]) => value !== undefined)
    .flatMap(spelling)
    .join(" ");

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
  const reply = (list: readonly string[]) => `COMPREPLY=($(compgen -W "${list.join(" ")}" -- "$cur"))`;
  const groupCases = Object.entries(groups).map(
    ([name, { commands: inside, flags = {} }]) =>
      `    ${name}) _onggi_pass "${valued(flags)}"; ((at < last)) || { ${reply([...shown(inside), ...spelled(flags)])}; return; }; path="$path \${words[at]}";;`,
  );
  return `# bash completion for onggi
_onggi() {
  local line="\${COMP_LINE:0:COMP_POINT}" at=0 path words
  read -ra words <<< "$line"
  [[ $line == *[[:space:]] ]] && words+=("")
  local last=$((\${#words[@]} - 1))
  local cur="\${words[last]}" prev="\${words[last-1]}"
  COMPREPLY=()
  if [[ $cur == --*=* ]]; then prev="\${cur%%=*}" cur="\${cur#*=}"; fi
  _onggi_words
  # bash takes what it is given for the part behind the last colon
  local before="\${cur%"\${cur##*:}"}"
  COMPREPLY=("\${COMPREPLY[@]#"$before"}")
}
# to the next word that is no flag and no value of one of those that take one
_onggi_pass() {
  ((at += 1))
  while ((at < last)) && [[ \${words[at]} == -* ]]; do
    if [[ " $1 " == *" \${words[at]} "* ]]; then ((at += 2)); else ((at += 1)); fi
  done
}
_onggi_words() {
  _onggi_pass "${valued(globalFlags)}"
  ((at <= last)) || { COMPREPLY=($(compgen -f -- "$cur")); return; }
  ((at < last)) || { ${reply([...commandWords(all), "help", "--help", ...spelled(globalFlags)])}; return; }
  path="\${words[at]}"
  case "$path" in
    help) ${reply(commandWords(all))};;
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
    ([name, { commands: inside, flags = {} }]) =>
      `    ${name}) _onggi_pass 3 "${valued(flags)}"; if ((CURRENT == 3)); then compadd -- ${shown(inside).join(" ")}; return; fi; name="$name $words[3]"; shift words; ((CURRENT--));;`,
  );
  return `#compdef onggi
# takes flags, and values of those that have one, out of the words
_onggi_pass() {
  while ((CURRENT > $1)) && [[ $words[$1] == -* ]]; do
    if [[ " $2 " == *" $words[$1] "* ]]; then words[$1]=(); ((CURRENT--)); fi
    words[$1]=(); ((CURRENT--))
  done
}
_onggi() {
  _onggi_pass 2 "${valued(globalFlags)}"
  local name="$words[2]"
  if ((CURRENT == 2)); then local -a all; all=(${[...first, ...groupNames].join(" ")}); _describe command all; return; fi
  case "$name" in
${groupCases.join("\n")}
  esac
  shift words; ((CURRENT--))
  case "$name" in
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
    const names = shown(inside).join(" ");
    lines.push(
      `complete -c onggi -n '__fish_seen_subcommand_from ${name}; and not __fish_seen_subcommand_from ${names}' -a ${quote(names)}`,
    );
  }
  for (const { path, flags, args } of all) {
    const words = path.split(" ");
    // "rm" is a command, and one of "volume"
    const alone = words.length === 1 ? [`not __fish_seen_subcommand_from ${Object.keys(groups).join(" ")}`] : [];
    const condition = [...words.map((word) => `__fish_seen_subcommand_from ${word}`), ...alone].join("; and ");
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
