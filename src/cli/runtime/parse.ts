/**
 * The command line's grammar: that of Go's flag package, which runc's callers rely on. `-name` and `--name` are the same;
 * a value follows as `=value` or as the next word; a boolean takes a value only as `=value`; one-letter flags are not
 * combined; "--" ends the flags. The messages are Go's too.
 */
export interface Flag {
  /** "list" and "ints" may be given several times, of the others the last counts. */
  readonly kind: "bool" | "string" | "int" | "list" | "ints";
  /** One letter. */
  readonly short?: string;
  readonly help: string;
  /** Accepted for old callers, left out of the help. */
  readonly hidden?: true;
  /** Says whether a value of kind "string" can be read. */
  readonly check?: (text: string) => boolean;
}

export type Flags = Readonly<Record<string, Flag>>;

interface Kinds {
  bool: boolean;
  string: string;
  int: number;
  list: readonly string[];
  ints: readonly number[];
}

export type Values<F extends Flags> = { readonly [K in keyof F]?: Kinds[F[K]["kind"]] };

export interface Parsed<F extends Flags> {
  readonly values: Values<F>;
  readonly args: readonly string[];
  /** -h or --help was among the flags. */
  readonly help: boolean;
}

/** The command line was used wrongly; the help goes with it. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/**
 * Reads flags from the front of `argv`; with `mixed` known flags after an argument too, where an unknown one is an argument, so
 * that `kill ID -9` says that there is no signal -9. Throws UsageError.
 */
export function parseFlags<F extends Flags>(flags: F, argv: readonly string[], mixed: boolean): Parsed<F> {
  const reader = new Reader(flags, argv);
  const args: string[] = [];
  while (reader.at < argv.length) {
    const word = argv[reader.at++]!;
    if (word === "--") return reader.parsed([...args, ...argv.slice(reader.at)]);
    const isFlag = word.length > 1 && word.startsWith("-");
    if (isFlag && (args.length === 0 || reader.knows(word))) reader.read(word);
    else if (mixed) args.push(word);
    else return reader.parsed(argv.slice(reader.at - 1));
  }
  return reader.parsed(args);
}

class Reader<F extends Flags> {
  /** The next word. */
  at = 0;
  readonly #flags: F;
  readonly #argv: readonly string[];
  readonly #values: Record<string, unknown> = {};
  /** How each flag was written. */
  readonly #spellings: Record<string, string> = {};
  #help = false;

  constructor(flags: F, argv: readonly string[]) {
    this.#flags = flags;
    this.#argv = argv;
  }

  parsed(args: readonly string[]): Parsed<F> {
    return { values: this.#values as Values<F>, args, help: this.#help };
  }

  knows(word: string): boolean {
    const { spelling } = split(word);
    return isHelp(spelling) || nameOf(this.#flags, spelling) !== undefined;
  }

  /** Takes a flag and, from the next word if need be, its value. */
  read(word: string): void {
    const { spelling, given } = split(word);
    if (spelling === "" || spelling.startsWith("-")) throw new UsageError(`bad flag syntax: ${word}`);
    const name = nameOf(this.#flags, spelling);
    if (name === undefined) {
      if (!isHelp(spelling)) throw new UsageError(`flag provided but not defined: -${spelling}`);
      this.#help = given === undefined || readBool(given, spelling);
      return;
    }
    const flag = this.#flags[name]!;
    const before = this.#spellings[name];
    // as runc's library: "-b x --bundle y" is refused, "-b x -b y" is not
    if (before !== undefined && before !== spelling)
      throw new UsageError(`Cannot use two forms of the same flag: ${flag.short} ${name}`);
    this.#spellings[name] = spelling;
    if (flag.kind === "bool") this.#values[name] = given === undefined || readBool(given, spelling);
    else this.#values[name] = readValue(flag, given ?? this.#next(spelling), spelling, this.#values[name]);
  }

  #next(spelling: string): string {
    const value = this.#argv[this.at++];
    if (value === undefined) throw new UsageError(`flag needs an argument: -${spelling}`);
    return value;
  }
}

/** "--name=value" in its parts; `given` is undefined without "=". */
function split(word: string): { spelling: string; given: string | undefined } {
  const start = word.startsWith("--") ? 2 : 1;
  const equals = word.indexOf("=", start);
  if (equals < 0) return { spelling: word.slice(start), given: undefined };
  return { spelling: word.slice(start, equals), given: word.slice(equals + 1) };
}

const isHelp = (spelling: string): boolean => spelling === "help" || spelling === "h";

function nameOf(flags: Flags, spelling: string): string | undefined {
  if (Object.hasOwn(flags, spelling)) return spelling;
  if (spelling.length === 1) for (const name in flags) if (flags[name]!.short === spelling) return name;
  return undefined;
}

function readValue(flag: Flag, value: string, spelling: string, before: unknown): unknown {
  switch (flag.kind) {
    case "int":
      return readInteger(value, spelling);
    case "list":
      return [...((before as string[] | undefined) ?? []), value];
    case "ints":
      return [...((before as number[] | undefined) ?? []), readDecimal(value, spelling)];
    default:
      if (flag.check && !flag.check(value)) throw new UsageError(`invalid value "${value}" for flag -${spelling}: parse error`);
      return value;
  }
}

/** Go's strconv.ParseBool; undefined for what it does not know. */
export function parseBool(text: string): boolean | undefined {
  if (["1", "t", "T", "true", "TRUE", "True"].includes(text)) return true;
  if (["0", "f", "F", "false", "FALSE", "False"].includes(text)) return false;
  return undefined;
}

function readBool(text: string, spelling: string): boolean {
  const value = parseBool(text);
  if (value === undefined) throw new UsageError(`invalid boolean value "${text}" for -${spelling}: parse error`);
  return value;
}

/** Decimal, 0x, 0o or 0b, and octal with a leading zero, as strconv.ParseInt with base 0. */
function readInteger(text: string, spelling: string): number {
  const match = /^([+-]?)(0x[\da-f]+|0b[01]+|0o?[0-7]+|0|[1-9]\d*)$/i.exec(text);
  if (!match) throw new UsageError(`invalid value "${text}" for flag -${spelling}: parse error`);
  const digits = match[2]!;
  const octal = digits.length > 1 && digits.startsWith("0") && /^\d+$/.test(digits);
  return inRange(Number(octal ? `0o${digits.slice(1)}` : digits) * (match[1] === "-" ? -1 : 1), text, spelling);
}

function readDecimal(text: string, spelling: string): number {
  if (!/^[+-]?\d+$/.test(text))
    throw new UsageError(`invalid value "${text}" for flag -${spelling}: strconv.ParseInt: parsing "${text}": invalid syntax`);
  return inRange(Number(text), text, spelling);
}

function inRange(value: number, text: string, spelling: string): number {
  if (!Number.isSafeInteger(value)) throw new UsageError(`invalid value "${text}" for flag -${spelling}: value out of range`);
  return value;
}
