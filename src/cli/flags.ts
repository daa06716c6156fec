import { messageOf } from "../lib/errors.ts";
import { UsageError } from "./errors.ts";

/**
 * Flags as data. A command's table of flags drives the parser, the help and the shell completion; the type of what the parser
 * gives back follows from it. The grammar is that of Docker's command line (pflag): `--name value`, `--name=value`, `-n value`,
 * `-nvalue`, `-n=value`, booleans without a value or with `=true` / `=false`, short booleans combined (`-it`), `--` ends flags.
 */
export interface Flag<T> {
  /** One letter. */
  readonly short?: string;
  /** Other long names that mean the same. */
  readonly aliases?: readonly string[];
  /** What stands for the value in the help; absent: a boolean. */
  readonly value?: string;
  readonly help: string;
  /** Left out of the short help. */
  readonly rare?: boolean;
  /** What a shell completes the value with. */
  readonly complete?: Completion;
  /** Reads one value; `name` is as the user wrote it ("--memory"). `before` is what earlier ones gave. Throws UsageError. */
  read(text: string, name: string, before: T | undefined): T;
}

/** What there are names of. */
export type Named = "container" | "running" | "image" | "network" | "volume" | "service" | "context";
export type Completion = Named | "file" | "directory" | readonly string[];

// biome-ignore lint/suspicious/noExplicitAny: flags of any type share one table
export type Flags = Readonly<Record<string, Flag<any>>>;
export type Values<F extends Flags> = { -readonly [K in keyof F]?: F[K] extends Flag<infer T> ? T : never };

export type Extra = Partial<Pick<Flag<unknown>, "aliases" | "rare" | "complete">>;

/** `spec` is "name" or "n" for the short letter; "" for none. */
const make = <T>(short: string, value: string | undefined, help: string, extra: Extra, read: Flag<T>["read"]): Flag<T> => ({
  ...(short === "" ? {} : { short }),
  ...(value === undefined ? {} : { value }),
  help,
  ...extra,
  read,
});

export const bool = (short: string, help: string, extra: Extra = {}): Flag<boolean> =>
  make<boolean>(short, undefined, help, extra, (text, name) => {
    if (/^(1|t|true)$/i.test(text)) return true;
    if (/^(0|f|false)$/i.test(text)) return false;
    throw new UsageError(`${name} is on or off: "${text}" is neither true nor false`);
  });

export const text = (short: string, value: string, help: string, extra: Extra = {}): Flag<string> =>
  make<string>(short, value, help, extra, (given) => given);

export const list = (short: string, value: string, help: string, extra: Extra = {}): Flag<string[]> =>
  make<string[]>(short, value, help, extra, (given, _, before = []) => [...before, given]);

export const integer = (short: string, value: string, help: string, extra: Extra = {}): Flag<number> =>
  make<number>(short, value, help, extra, (given, name) => {
    const number = Number(given);
    if (!/^[+-]?\d+$/.test(given) || !Number.isSafeInteger(number))
      throw new UsageError(`${name} "${given}" is not a whole number`);
    return number;
  });

/** Any other type: `convert` reads one value; what it throws is told as a wrong use of the flag. */
export const parsed = <T>(
  short: string,
  value: string,
  help: string,
  convert: (text: string, name: string) => T,
  extra: Extra = {},
): Flag<T> =>
  make<T>(short, value, help, extra, (given, name) => {
    try {
      return convert(given, name);
    } catch (error) {
      throw error instanceof UsageError ? error : new UsageError(messageOf(error));
    }
  });

/** Several of any other type. */
export const parsedList = <T>(
  short: string,
  value: string,
  help: string,
  convert: (text: string, name: string) => T,
  extra: Extra = {},
): Flag<T[]> => make<T[]>(short, value, help, extra, (given, name, before = []) => [...before, convert(given, name)]);

/** One of a few words. */
export const choice = <const T extends string>(short: string, choices: readonly T[], help: string, extra: Extra = {}): Flag<T> =>
  make<T>(short, choices.join("|"), help, { complete: choices, ...extra }, (given, name) => {
    if ((choices as readonly string[]).includes(given)) return given as T;
    throw new UsageError(`${name} "${given}" is not one of ${choices.join(", ")}`);
  });

/** Of names with several images, and of indexes. */
export const platform = (help: string, extra: Extra = {}): Flag<string> =>
  text("", "OS/ARCH[/VARIANT]", help, { complete: PLATFORMS, ...extra });

const PLATFORMS = ["amd64", "arm64", "arm/v7", "386", "ppc64le", "riscv64", "s390x"].map((name) => `linux/${name}`);

export interface Parsed<F extends Flags> {
  values: Values<F>;
  args: string[];
}

/** The flag as the user sees it: "-m, --memory SIZE". */
export const flagNames = (name: string, flag: Flag<unknown>): string =>
  `${flag.short ? `-${flag.short}, ` : "    "}--${name}${flag.value ? ` ${flag.value}` : ""}`;

/**
 * Reads flags from the front of `argv`; with `interspersed` also from among the arguments, otherwise everything from the first
 * argument on is left alone. Throws UsageError; HelpWanted for --help, for -h where -h is no flag, and for --help-all.
 */
export function parseFlags<F extends Flags>(flags: F, argv: readonly string[], interspersed: boolean): Parsed<F> {
  const reader = new Reader(flags, argv);
  const args: string[] = [];
  while (reader.at < argv.length) {
    const word = argv[reader.at]!;
    if (word === "--") {
      args.push(...argv.slice(reader.at + 1));
      break;
    }
    if (word.startsWith("--")) reader.long(word);
    else if (word.startsWith("-") && word.length > 1) reader.shorts(word);
    else if (interspersed) {
      args.push(word);
      reader.at++;
    } else {
      args.push(...argv.slice(reader.at));
      break;
    }
  }
  return { values: reader.values as Values<F>, args };
}

/** Somebody asked for help. */
export class HelpWanted extends Error {
  readonly all: boolean;

  constructor(all: boolean) {
    super("help");
    this.all = all;
  }
}

class Reader {
  at = 0;
  readonly values: Record<string, unknown> = {};
  readonly #flags: Flags;
  readonly #argv: readonly string[];

  constructor(flags: Flags, argv: readonly string[]) {
    this.#flags = flags;
    this.#argv = argv;
  }

  long(word: string): void {
    const equals = word.indexOf("=");
    const given = equals < 0 ? word.slice(2) : word.slice(2, equals);
    const name = this.#find(given);
    if (name === undefined) {
      if (given === "help") throw new HelpWanted(false);
      if (given === "help-all") throw new HelpWanted(true);
      throw new UnknownFlag(`--${given}`, this.#flags);
    }
    this.at++;
    const flag = this.#flags[name]!;
    if (equals >= 0) this.#set(name, flag, word.slice(equals + 1), `--${given}`);
    else if (flag.value === undefined) this.#set(name, flag, "true", `--${given}`);
    else this.#set(name, flag, this.#next(`--${given}`), `--${given}`);
  }

  shorts(word: string): void {
    this.at++;
    for (let at = 1; at < word.length; at++) {
      const letter = word[at]!;
      const name = Object.keys(this.#flags).find((key) => this.#flags[key]!.short === letter);
      if (name === undefined) {
        if (letter === "h") throw new HelpWanted(false);
        throw new UnknownFlag(`-${letter}`, this.#flags, word.length > 2 ? word : undefined);
      }
      const flag = this.#flags[name]!;
      if (flag.value === undefined && word[at + 1] !== "=") {
        this.#set(name, flag, "true", `-${letter}`);
        continue;
      }
      const rest = word.slice(at + 1);
      const value = rest === "" ? this.#next(`-${letter}`) : rest.startsWith("=") ? rest.slice(1) : rest;
      this.#set(name, flag, value, `-${letter}`);
      return;
    }
  }

  #find(given: string): string | undefined {
    if (Object.hasOwn(this.#flags, given)) return given;
    for (const name in this.#flags) if (this.#flags[name]!.aliases?.includes(given)) return name;
    return undefined;
  }

  #next(name: string): string {
    const value = this.#argv[this.at];
    if (value === undefined) throw new UsageError(`flag needs an argument: ${name}`);
    this.at++;
    return value;
  }

  #set(name: string, flag: Flag<unknown>, text: string, shown: string): void {
    this.values[name] = flag.read(text, shown, this.values[name]);
  }
}

/** A flag the command does not have; the message with suggestions is made where it is printed. */
export class UnknownFlag extends UsageError {
  readonly flag: string;
  readonly known: readonly string[];

  constructor(flag: string, flags: Flags, word?: string) {
    super(flag.startsWith("--") ? `unknown flag: ${flag}` : `unknown shorthand flag: ${flag}${word ? ` in ${word}` : ""}`);
    this.flag = flag;
    this.known = Object.keys(flags);
  }
}
