import { type Command, define, type Entry, type Group } from "./command.ts";
import { line } from "./context.ts";
import { UsageError } from "./errors.ts";
import type { Completion, Flag, Flags, Named } from "./flags.ts";
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
  /** What is behind the first argument is a container's. */
  flagsFirst: boolean;
  flags: Flags;
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
        const { flags, complete, flagsFirst = false } = await entry.load();
        const there = Object.entries(flags as Flags).filter(([, { help }]) => !help.startsWith("not there yet"));
        return { path, summary: entry.summary, args: complete, flagsFirst, flags: Object.fromEntries(there) };
      }),
  );
}

const isList = (what: Completion | undefined): what is readonly string[] => Array.isArray(what);
/** Of these `onggi __complete` knows the names. */
const isNamed = (what: Completion | undefined): what is Named =>
  what !== undefined && what !== "file" && what !== "directory" && !isList(what);

const commandWords = (all: Described[]): string[] => [...new Set(all.map(({ path }) => path.split(" ", 1)[0]!))];

const shown = (entries: Readonly<Record<string, Entry>>): string[] =>
  Object.keys(entries).filter((name) => !entries[name]!.hidden);

const spelling = ([name, { short }]: [string, Flag<unknown>]): string[] => [`--${name}`, ...(short ? [`-${short}`] : [])];
const spelled = (flags: Flags): string[] => Object.entries(flags).flatMap(spelling);

/** Those that a word follows. */
const withValue = (flags: Flags): [string, Flag<unknown>][] =>
  Object.entries(flags).filter(([, { value }]) => value !== undefined);
const valued = (flags: Flags): string => withValue(flags).flatMap(spelling).join(" ");

const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

function bash(all: Described[], groups: Groups): string {
  const words = (list: readonly string[]): string => `_onggi_words ${quote(list.join(" "))}`;
  const reply = (complete: Completion | undefined): string =>
    isList(complete) ? words(complete) : isNamed(complete) ? `_onggi_names ${complete}` : `_onggi_${complete ?? "file"}`;
  const values = (flags: Flags, indent: string): string[] => {
    const cases = withValue(flags).map((flag) => `${indent}  ${spelling(flag).join("|")}) ${reply(flag[1].complete)}; return;;`);
    return cases.length > 0 ? [`${indent}case "$prev" in`, ...cases, `${indent}esac`] : [];
  };
  /** The last word is the value of one of these. */
  const pending = (flags: Flags, indent: string): string[] =>
    withValue(flags).length > 0 ? [`${indent}if ((at > last)); then`, ...values(flags, `${indent}  `), `${indent}fi`] : [];
  const cases = all.flatMap(({ path, flags, args, flagsFirst }) => [
    `    "${path}")`,
    ...(flagsFirst ? [`      _onggi_pass "${valued(flags)}"; ((at < last)) && return`] : []),
    ...values(flags, "      "),
    `      if [[ $cur == -* ]]; then ${words(spelled(flags))}; else ${reply(args)}; fi;;`,
  ]);
  const groupCases = Object.entries(groups).flatMap(([name, { commands: inside, flags = {} }]) => [
    `    ${name})`,
    `      _onggi_pass "${valued(flags)}"`,
    ...pending(flags, "      "),
    // biome-ignore lint/suspicious/noTemplateCurlyInString: bash's
    '      inside=("${words[@]:first+1:at-first-1}")',
    `      ((at < last)) || { ${words([...shown(inside), ...spelled(flags)])}; return; }`,
    // biome-ignore lint/suspicious/noTemplateCurlyInString: bash's
    '      path="$path ${words[at]}";;',
  ]);
  return `# bash completion for onggi
_onggi() {
  local line="\${COMP_LINE:0:COMP_POINT}" at=0 path words before inside=()
  read -ra words <<< "$line"
  [[ $line == *[[:space:]] ]] && words+=("")
  local last=$((\${#words[@]} - 1))
  local cur="\${words[last]}" prev="\${words[last-1]}"
  COMPREPLY=()
  if [[ $cur == --*=* ]]; then prev="\${cur%%=*}" cur="\${cur#*=}"; fi
  _onggi_command
  # bash takes what it is given for the part behind the last colon
  local left="\${cur%"\${cur##*:}"}"
  COMPREPLY=("\${COMPREPLY[@]#"$left"}")
}
# to the next word that is no flag and no value of one of those that take one
_onggi_pass() {
  ((at += 1))
  while ((at < last)) && [[ \${words[at]} == -* ]]; do
    if [[ " $1 " == *" \${words[at]} "* ]]; then ((at += 2)); else ((at += 1)); fi
  done
}
_onggi_words() { COMPREPLY=($(compgen -W "$1" -- "$cur")); }
_onggi_names() {
  local name
  while IFS= read -r name; do
    [[ $name == "$cur"* ]] && COMPREPLY+=("$(printf %q "$name")")
  done < <(onggi "\${before[@]}" __complete "\${inside[@]}" "$1" 2>/dev/null </dev/null)
}
# bash itself knows files, with blanks and quotes in their names
_onggi_file() { compopt -o default 2>/dev/null; }
_onggi_directory() { compopt -o dirnames 2>/dev/null; }
_onggi_command() {
  _onggi_pass "${valued(globalFlags)}"
${pending(globalFlags, "  ").join("\n")}
  local first=$at
  before=("\${words[@]:1:at-1}")
  ((at < last)) || { ${words([...commandWords(all), "help", "--help", ...spelled(globalFlags)])}; return; }
  path="\${words[at]}"
  case "$path" in
    help) ${words(commandWords(all))};;
${groupCases.join("\n")}
  esac
  case "$path" in
${cases.join("\n")}
  esac
}
complete -F _onggi onggi`;
}

/** For inside double quotes of a zsh _arguments specification. */
const zshDouble = (text: string): string => text.replace(/[[\]:]/g, "\\\\$&").replace(/["$`]/g, "\\$&");
const zshText = (text: string): string => text.replace(/[[\]:\\]/g, "\\$&");

function zsh(all: Described[], groups: Groups): string {
  const action = (complete: Completion | undefined): string => {
    if (isList(complete)) return `(${complete.map(zshDouble).join(" ")})`;
    if (isNamed(complete)) return `{_onggi_names ${complete}}`;
    return complete === "directory" ? "_files -/" : "_files";
  };
  /** The word behind one of these is its value. */
  const pending = (flags: Flags): string =>
    withValue(flags)
      .map((flag) => {
        const { complete } = flag[1];
        const offer = isList(complete) ? `compadd -- ${complete.join(" ")}` : action(complete).replace(/^\{(.*)\}$/, "$1");
        return `    ${spelling(flag).join("|")}) ${offer}; return;;`;
      })
      .join("\n");
  const cases = all.map(({ path, flags, args, flagsFirst }) => {
    const specs = Object.entries(flags).flatMap(([name, flag]) =>
      spelling([name, flag]).map((spelt) =>
        flag.value
          ? `"*${spelt}[${zshDouble(flag.help)}]:value:${action(flag.complete)}"`
          : `"${spelt}[${zshDouble(flag.help)}]"`,
      ),
    );
    const rest = flagsFirst
      ? `-A "-*" ${specs.join(" ")} "1:argument:${action(args)}"`
      : `${specs.join(" ")} "*:argument:${action(args)}"`;
    return `    ${quote(path)}) _arguments -s ${rest};;`;
  });
  const first = all.filter(({ path }) => !path.includes(" ")).map(({ path, summary }) => quote(`${path}:${zshText(summary)}`));
  const groupNames = Object.entries(groups).map(([name, { summary }]) => quote(`${name}:${zshText(summary)}`));
  const groupCases = Object.entries(groups).map(
    ([name, { commands: inside, flags = {} }]) => `    ${name})
      _onggi_pass 3 "${valued(flags)}"
      case $pending in
${pending(flags)}
      esac
      inside=("\${passed[@]}")
      if ((CURRENT == 3)); then compadd -- ${[...shown(inside), ...spelled(flags)].join(" ")}; return; fi
      name="$name $words[3]"; shift words; ((CURRENT--));;`,
  );
  return `#compdef onggi
# takes flags, and values of those that have one, out of the words; they stay so when it is through
_onggi_pass() {
  compstate[restore]= passed=()
  while ((CURRENT > $1)) && [[ $words[$1] == -* ]]; do
    if [[ " $2 " == *" $words[$1] "* ]]; then
      if ((CURRENT == $1 + 1)); then pending=$words[$1]; return; fi
      passed+=("\${(Q)words[$1]}"); words[$1]=(); ((CURRENT--))
    fi
    passed+=("\${(Q)words[$1]}"); words[$1]=(); ((CURRENT--))
  done
}
_onggi_names() {
  local -a names
  names=("\${(@f)$(onggi "\${before[@]}" __complete "\${inside[@]}" $1 2>/dev/null </dev/null)}")
  compadd -a names
}
_onggi() {
  local -a passed before inside
  local pending
  _onggi_pass 2 "${valued(globalFlags)}"
  case $pending in
${pending(globalFlags)}
  esac
  before=("\${passed[@]}")
  local name="$words[2]"
  if ((CURRENT == 2)) && [[ $PREFIX == -* ]]; then compadd -- ${spelled(globalFlags).join(" ")}; return; fi
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

function fish(all: Described[], groups: Groups): string {
  const groupCases = Object.entries(groups)
    .filter(([, { flags }]) => flags)
    .map(
      ([name, { flags = {} }]) =>
        `    case ${name}\n      set -e words[1]\n      __onggi_pass ${valued(flags)}\n      set inside $passed`,
    );
  const lines = [
    `# fish completion for onggi
# takes flags, and values of those that have one, out of the words
function __onggi_pass --no-scope-shadowing
  set passed
  while set -q words[1]; and string match -q -- '-*' $words[1]
    if contains -- $words[1] $argv
      set -q words[2]; or break
      set -a passed $words[1]
      set -e words[1]
    end
    set -a passed $words[1]
    set -e words[1]
  end
end
function __onggi_names
  set -l words (commandline -opc)
  set -l passed
  set -l inside
  set -e words[1]
  __onggi_pass ${valued(globalFlags)}
  set -l before $passed
  switch "$words[1]"
${groupCases.join("\n")}
  end
  onggi $before __complete $inside $argv[1] 2>/dev/null </dev/null
end
complete -c onggi -f`,
  ];
  const offers = (complete: Completion | undefined): string =>
    isList(complete) ? `-a ${quote(complete.join(" "))}` : isNamed(complete) ? `-a '(__onggi_names ${complete})'` : "-F";
  const flagLines = (condition: string, flags: Flags): string[] =>
    Object.entries(flags).map(([name, { short, value, help, complete }]) => {
      const files = complete === undefined || complete === "file" || complete === "directory";
      const values = value === undefined ? "" : files ? " -r -F" : ` -x ${offers(complete)}`;
      return `complete -c onggi -n ${quote(condition)} -l ${name}${short ? ` -s ${short}` : ""}${values} -d ${quote(help)}`;
    });
  lines.push(...flagLines("__fish_use_subcommand", globalFlags));
  const top = all.filter(({ path }) => !path.includes(" "));
  for (const { path, summary } of top) lines.push(`complete -c onggi -n __fish_use_subcommand -a ${path} -d ${quote(summary)}`);
  for (const [name, { summary, commands: inside, flags = {} }] of Object.entries(groups)) {
    lines.push(`complete -c onggi -n __fish_use_subcommand -a ${name} -d ${quote(summary)}`);
    const names = shown(inside).join(" ");
    const condition = `__fish_seen_subcommand_from ${name}; and not __fish_seen_subcommand_from ${names}`;
    lines.push(`complete -c onggi -n ${quote(condition)} -a ${quote(names)}`, ...flagLines(condition, flags));
  }
  for (const { path, flags, args } of all) {
    const words = path.split(" ");
    // "rm" is a command, and one of "volume"
    const alone = words.length === 1 ? [`not __fish_seen_subcommand_from ${Object.keys(groups).join(" ")}`] : [];
    const condition = [...words.map((word) => `__fish_seen_subcommand_from ${word}`), ...alone].join("; and ");
    lines.push(...flagLines(condition, flags));
    lines.push(`complete -c onggi -n ${quote(condition)} ${offers(args)}`);
  }
  return lines.join("\n");
}

const shells: Readonly<Record<string, (all: Described[], groups: Groups) => string>> = { bash, zsh, fish };
