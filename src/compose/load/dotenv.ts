import { InterpolationError, type Lookup, substitute } from "./interpolate.ts";

/**
 * Files of variables as compose reads them: NAME=value, `export NAME=value`, NAME: value, NAME alone (the caller's), comments.
 * '...' is taken as it is, "..." knows \n \r \t \" \\ \$ and the like and variables, what is not quoted ends at " #" or the line and
 * knows variables. Quoted values may go over several lines. Pure.
 */

/** What is wrong with a line of it. */
export class DotenvError extends Error {
  /** From 1. */
  readonly line: number;

  constructor(line: number, message: string) {
    super(message);
    this.line = line;
  }
}

/**
 * Reads `text` into `into`, whose variables it may use after those of `lookup`. Throws DotenvError.
 * A name alone is left out if `lookup` does not know it.
 */
export function parseDotenv(text: string, into: Map<string, string>, lookup: Lookup): void {
  const reader = new Reader(text.replace(/^\uFEFF/, "").replaceAll("\r\n", "\n"));
  const known: Lookup = (name) => lookup(name) ?? into.get(name);
  for (let name = reader.name(); name !== undefined; name = reader.name()) {
    if (name.alone) {
      const value = lookup(name.text);
      if (value !== undefined) into.set(name.text, value);
    } else into.set(name.text, reader.value(known));
  }
}

/** `format: raw`: NAME=value to the end of the line, nothing else means anything. Throws DotenvError. */
export function parseRawEnv(text: string, into: Map<string, string>, lookup: Lookup): void {
  for (const [index, line] of text.split("\n").entries()) {
    const trimmed = line.replace(/\r$/, "").trimStart();
    if (trimmed === "" || trimmed.startsWith("#")) continue;
    const equals = trimmed.indexOf("=");
    const name = equals < 0 ? trimmed : trimmed.slice(0, equals);
    if (name === "" || /\s/.test(name)) throw new DotenvError(index + 1, `"${name}" is not a variable's name; write NAME=value`);
    const value = equals < 0 ? lookup(name) : trimmed.slice(equals + 1);
    if (value !== undefined) into.set(name, value);
  }
}

const ESCAPES: Readonly<Record<string, string>> = { a: "\x07", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t", v: "\v" };

/** The escapes of a double-quoted value. A dollar sign that was escaped is doubled: variables come after. */
const unescaped = (text: string): string =>
  text.replace(/\\(?:0([0-7]{1,3})|([abfnrtv\\$"])|[\s\S])/g, (whole, octal?: string, letter?: string) => {
    if (octal !== undefined) return String.fromCharCode(Number.parseInt(octal, 8));
    if (letter === undefined) return whole;
    return letter === "$" ? "$$" : (ESCAPES[letter] ?? letter);
  });

class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  /** The next variable's name, undefined at the end; `alone` if no value follows. */
  name(): { text: string; alone: boolean } | undefined {
    this.#skip(/(?:\s+|#[^\n]*)*/y);
    if (this.#at >= this.#text.length) return undefined;
    this.#skip(/export[^\S\n]+/y);
    const word = this.#skip(/[\p{L}\p{N}_.\-[\]]+/uy);
    this.#skip(/[^\S\n]*/y);
    const next = this.#text[this.#at];
    if (word !== "" && (next === "=" || next === ":")) {
      this.#at++;
      this.#skip(/[^\S\n]*/y);
      return { text: word, alone: false };
    }
    if (word !== "" && (next === undefined || next === "\n")) return { text: word, alone: true };
    if (word === "")
      throw this.#error(`${JSON.stringify(next)} cannot begin a variable's name; write NAME=value, or # before a comment`);
    if (next === "#") return { text: word, alone: true };
    throw this.#error(`a variable's name has no ${JSON.stringify(next)} and no spaces in it, after "${word}"; write NAME=value`);
  }

  value(lookup: Lookup): string {
    const quote = this.#text[this.#at];
    if (quote !== '"' && quote !== "'") {
      const start = this.#at;
      const line = this.#skip(/[^\n]*/y);
      const comment = line.indexOf(" #");
      const value = comment < 0 ? line : line.slice(0, comment);
      return this.#substituted(value.trimEnd(), lookup, start);
    }
    const start = this.#at++;
    const inner = this.#skip(quote === '"' ? /(?:[^"\\]|\\[\s\S])*/y : /(?:[^'\\]|\\[\s\S])*/y);
    if (this.#text[this.#at] !== quote) {
      this.#at = start;
      throw this.#error(`a value begins with ${quote} and never ends with one`);
    }
    this.#at++;
    if (quote === "'") return inner.replaceAll("\\'", "'");
    return this.#substituted(unescaped(inner), lookup, start);
  }

  #substituted(value: string, lookup: Lookup, start: number): string {
    try {
      return substitute(value, lookup);
    } catch (error) {
      if (!(error instanceof InterpolationError)) throw error;
      this.#at = start;
      throw this.#error(error.message);
    }
  }

  #skip(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0] ?? "";
    this.#at += found.length;
    return found;
  }

  #error(message: string): DotenvError {
    return new DotenvError(this.#text.slice(0, this.#at).split("\n").length, message);
  }
}
