import { OnggiError } from "./errors.ts";
import { type Node, type Operand, type Pipe, parseTemplate, type Term } from "./template-parse.ts";

/**
 * Go's text/template over JSON-like values, as Docker's `--format` takes it.
 *
 *     const template = compile('{{.Name}}: {{join .Tags ","}}');
 *     template({ Name: "a", Tags: ["x", "y"] });        // "a: x,y"
 *
 * Values: null, booleans, numbers, bigints, strings, arrays, plain objects; an object's function-valued property is a method
 * (`.Label "key"`). A field is found by its name or, for values that came from TypeScript, by its name in camel case.
 * Everything thrown is an OnggiError "invalid_format".
 */
export type Template = (data: unknown) => string;

export function compile(source: string): Template {
  const nodes = parseTemplate(source);
  return (data) => {
    const run = new Execution(data);
    run.nodes(nodes, data);
    return run.output;
  };
}

class FormatError extends OnggiError {
  constructor(message: string) {
    super("invalid_format", `template: ${message}`);
  }
}

type Jump = "break" | "continue" | undefined;
type Fn = (...args: unknown[]) => unknown;

class Execution {
  output = "";
  /** Innermost last; "$" is the data. */
  #variables: [string, unknown][];

  constructor(data: unknown) {
    this.#variables = [["$", data]];
  }

  nodes(nodes: readonly Node[], dot: unknown): Jump {
    for (const node of nodes) {
      const jump = this.#node(node, dot);
      if (jump) return jump;
    }
    return undefined;
  }

  #node(node: Node, dot: unknown): Jump {
    switch (node.kind) {
      case "text":
        this.output += node.text;
        return undefined;
      case "action": {
        const value = this.#pipe(node.pipe, dot);
        if (node.pipe.declare.length === 0) this.output += show(value);
        else this.#bind(node.pipe, [value]);
        return undefined;
      }
      case "break":
      case "continue":
        return node.kind;
      case "if":
      case "with": {
        return this.#scope(() => {
          const value = this.#pipe(node.pipe, dot);
          this.#bind(node.pipe, [value]);
          if (!truthy(value)) return this.nodes(node.otherwise, dot);
          return this.nodes(node.body, node.kind === "with" ? value : dot);
        });
      }
      case "range":
        return this.#scope(() => this.#range(node, dot));
    }
  }

  #range(node: Extract<Node, { pipe: Pipe; body: Node[] }>, dot: unknown): Jump {
    const entries = entriesOf(this.#pipe(node.pipe, dot));
    if (entries.length === 0) return this.nodes(node.otherwise, dot);
    for (const [key, value] of entries) {
      const jump = this.#scope(() => {
        this.#bind(node.pipe, node.pipe.declare.length === 2 ? [key, value] : [value]);
        return this.nodes(node.body, value);
      });
      if (jump === "break") break;
    }
    return undefined;
  }

  #scope<T>(body: () => T): T {
    const depth = this.#variables.length;
    try {
      return body();
    } finally {
      this.#variables.length = depth;
    }
  }

  #bind(pipe: Pipe, values: unknown[]): void {
    for (const [index, name] of pipe.declare.entries()) {
      if (pipe.assign) this.#slot(name)[1] = values[index];
      else this.#variables.push([name, values[index]]);
    }
  }

  #slot(name: string): [string, unknown] {
    const slot = this.#variables.findLast(([known]) => known === name);
    if (!slot) throw new FormatError(`undefined variable "${name}"`);
    return slot;
  }

  #pipe(pipe: Pipe, dot: unknown): unknown {
    let value: unknown;
    for (const [index, command] of pipe.commands.entries()) value = this.#command(command, dot, index === 0 ? [] : [value]);
    return value;
  }

  #command([head, ...rest]: Term[], dot: unknown, piped: unknown[]): unknown {
    const term = head!;
    const { operand } = term;
    if (operand.kind === "function" && (operand.name === "and" || operand.name === "or")) {
      return this.#shortCircuit(operand.name, rest, dot, piped);
    }
    const args = [...rest.map((arg) => this.#term(arg, dot, [])), ...piped];
    const callable = operand.kind === "function" || term.fields.length > 0;
    if (args.length > 0 && !callable) throw new FormatError(`can't give argument to non-function ${term.source}`);
    return this.#term(term, dot, args);
  }

  #shortCircuit(name: "and" | "or", terms: Term[], dot: unknown, piped: unknown[]): unknown {
    let value: unknown;
    for (const next of [...terms.map((term) => () => this.#term(term, dot, [])), ...piped.map((given) => () => given)]) {
      value = next();
      if (truthy(value) === (name === "or")) return value;
    }
    return value;
  }

  #term(term: Term, dot: unknown, args: unknown[]): unknown {
    let value = this.#operand(term.operand, dot, term.fields.length === 0 ? args : []);
    let holder = "";
    for (const [index, field] of term.fields.entries()) {
      value = fieldOf(value, field, holder, term.source);
      const last = index === term.fields.length - 1;
      if (typeof value === "function") value = (value as Fn)(...(last ? args : []));
      else if (last && args.length > 0) throw new FormatError(`${term.source} is not a method but has arguments`);
      holder = field;
    }
    return value;
  }

  #operand(operand: Operand, dot: unknown, args: unknown[]): unknown {
    switch (operand.kind) {
      case "dot":
        return dot;
      case "literal":
        return operand.value;
      case "variable":
        return this.#slot(operand.name)[1];
      case "pipe":
        return this.#pipe(operand.pipe, dot);
      case "function": {
        const fn = Object.hasOwn(functions, operand.name) ? functions[operand.name] : undefined;
        if (!fn) throw new FormatError(`function "${operand.name}" not defined; known are ${Object.keys(functions).join(", ")}`);
        return fn(...args);
      }
    }
  }
}

/** Fields whose values are maps with keys of the user's choosing: what is missing there is no mistake. */
const openMaps = new Set([
  "Labels",
  "labels",
  "Annotations",
  "Sysctls",
  "Networks",
  "Options",
  "Tmpfs",
  "Attributes",
  "Features",
]);

function fieldOf(value: unknown, field: string, holder: string, source: string): unknown {
  if (value === null || value === undefined) throw new FormatError(`nil pointer evaluating .${field} at <${source}>`);
  if (typeof value !== "object" || Array.isArray(value)) {
    throw new FormatError(
      `can't evaluate field ${field} in ${Array.isArray(value) ? "a list" : `a ${typeof value}`} at <${source}>`,
    );
  }
  const map = value as Record<string, unknown>;
  if (Object.hasOwn(map, field)) return map[field];
  if (openMaps.has(holder)) return undefined;
  const lower = field.toLowerCase();
  const known = Object.keys(map).filter((key) => key !== "");
  const found = known.find((key) => key.toLowerCase() === lower);
  if (found !== undefined) return map[found];
  throw new FormatError(
    `can't evaluate field ${field} at <${source}>; there are ${known.map(upperFirst).join(", ") || "no fields"}`,
  );
}

const upperFirst = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

function truthy(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0;
  if (typeof value === "object" && value !== null) return Object.keys(value).length > 0;
  return Boolean(value);
}

function entriesOf(value: unknown): [unknown, unknown][] {
  if (value === null || value === undefined) return [];
  if (Array.isArray(value)) return value.map((item, index) => [index, item]);
  if (typeof value === "number") return Array.from({ length: value }, (_, index) => [index, index]);
  if (typeof value === "object") return Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  throw new FormatError(`range can't iterate over ${show(value)}`);
}

/** A value as Go's %v prints it. */
export function show(value: unknown): string {
  if (value === undefined) return "<no value>";
  if (value === null) return "<nil>";
  if (Array.isArray(value)) return `[${value.map(show).join(" ")}]`;
  if (typeof value === "object")
    return `map[${entriesOf(value)
      .map(([key, item]) => `${key}:${show(item)}`)
      .join(" ")}]`;
  return String(value);
}

function lengthOf(value: unknown): number {
  // Go counts a string's bytes
  if (typeof value === "string") return Buffer.byteLength(value);
  if (Array.isArray(value)) return value.length;
  if (typeof value === "object" && value !== null) return Object.keys(value).length;
  throw new FormatError(`len of ${show(value)}`);
}

function indexOf(value: unknown, ...keys: unknown[]): unknown {
  let current = value;
  for (const key of keys) {
    if (Array.isArray(current)) {
      if (typeof key !== "number" || key < 0 || key >= current.length)
        throw new FormatError(`error calling index: index out of range: ${show(key)}`);
      current = current[key];
    } else if (typeof current === "object" && current !== null) {
      current = Object.hasOwn(current, String(key)) ? (current as Record<string, unknown>)[String(key)] : "";
    } else {
      throw new FormatError(`error calling index: can't index ${show(current)}`);
    }
  }
  return current;
}

function slice(value: unknown, from: unknown = 0, to: unknown = undefined): unknown {
  if (typeof value !== "string" && !Array.isArray(value)) throw new FormatError(`can't slice ${show(value)}`);
  const end = to === undefined ? value.length : Number(to);
  if (Number(from) < 0 || end > value.length || Number(from) > end)
    throw new FormatError(`error calling slice: out of range: ${show(to ?? from)}`);
  return value.slice(Number(from), end);
}

function compare(a: unknown, b: unknown): number {
  if (typeof a === "string" && typeof b === "string") return a < b ? -1 : a > b ? 1 : 0;
  const comparable = (value: unknown): boolean => typeof value === "number" || typeof value === "bigint";
  if (comparable(a) && comparable(b)) return (a as number) < (b as number) ? -1 : (a as number) > (b as number) ? 1 : 0;
  throw new FormatError(`incompatible types for comparison: ${show(a)}, ${show(b)}`);
}

const print: Fn = (...args) =>
  args.reduce<string>((text, arg, index) => {
    // fmt.Sprint: a space between operands when neither is a string
    const space = index > 0 && typeof arg !== "string" && typeof args[index - 1] !== "string" ? " " : "";
    return text + space + show(arg);
  }, "");

function printf(format: unknown, ...args: unknown[]): string {
  let next = 0;
  return String(format).replace(
    /%([-+0 ]*)(\d*)(?:\.(\d+))?([%vsdqxXfgtT])/g,
    (_, flags: string, width: string, precision: string | undefined, verb: string) => {
      if (verb === "%") return "%";
      if (next >= args.length) return `%!${verb}(MISSING)`;
      let text = verbs[verb]!(args[next++], precision);
      if (flags.includes("+") && /^\d/.test(text)) text = `+${text}`;
      if (flags.includes("-")) return text.padEnd(Number(width));
      return text.padStart(Number(width), flags.includes("0") && verb !== "s" ? "0" : " ");
    },
  );
}

const cut = (text: string, precision: string | undefined): string =>
  precision === undefined ? text : text.slice(0, Number(precision));
const verbs: Record<string, (value: unknown, precision: string | undefined) => string> = {
  v: (value) => show(value),
  s: (value, precision) => cut(show(value), precision),
  d: (value) => String(Math.trunc(Number(value))),
  q: (value) => JSON.stringify(show(value)),
  x: (value) => (typeof value === "string" ? Buffer.from(value).toString("hex") : Number(value).toString(16)),
  X: (value) => (typeof value === "string" ? Buffer.from(value).toString("hex") : Number(value).toString(16)).toUpperCase(),
  f: (value, precision) => Number(value).toFixed(precision === undefined ? 6 : Number(precision)),
  g: (value) => String(Number(value)),
  t: (value) => String(Boolean(value)),
  T: (value) => (Array.isArray(value) ? "[]interface {}" : value === null ? "<nil>" : typeof value),
};

/** Go's JSON escapes what HTML would mind; so does Docker's `json`. */
export const toJson = (value: unknown): string =>
  (JSON.stringify(value, (_, item: unknown) => (typeof item === "bigint" ? item.toString() : item)) ?? "null").replace(
    /[<>&]/g,
    (character) => `\\u00${character.charCodeAt(0).toString(16)}`,
  );

const functions: Record<string, Fn> = {
  json: toJson,
  join: (list, separator) => (Array.isArray(list) ? list.map(show).join(show(separator)) : show(list)),
  lower: (text) => show(text).toLowerCase(),
  upper: (text) => show(text).toUpperCase(),
  title: (text) => show(text).replace(/(?<![\p{L}\p{N}_])\p{L}/gu, (letter) => letter.toUpperCase()),
  split: (text, separator) => show(text).split(show(separator)),
  pad: (text, before, after) => (text === "" ? "" : " ".repeat(Number(before)) + show(text) + " ".repeat(Number(after))),
  truncate: (text, length) => [...show(text)].slice(0, Number(length)).join(""),
  len: lengthOf,
  index: indexOf,
  slice,
  print,
  println: (...args) => `${args.map(show).join(" ")}\n`,
  printf,
  eq: (first, ...others) =>
    others.some(
      (other) =>
        first === other || (first != null && other != null && show(first) === show(other) && typeof first === typeof other),
    ),
  ne: (a, b) => a !== b,
  lt: (a, b) => compare(a, b) < 0,
  le: (a, b) => compare(a, b) <= 0,
  gt: (a, b) => compare(a, b) > 0,
  ge: (a, b) => compare(a, b) >= 0,
  not: (value) => !truthy(value),
  urlquery: (text) => encodeURIComponent(show(text)),
};
