import { isList, isMap, mapValues, type Node, type Path, type Position, type ScalarNode } from "./node.ts";
import type { Problems } from "./problems.ts";

/**
 * Variables in values (12-interpolation.md): $NAME, ${NAME}, and in braces with an operator: `-` a default if unset, `:-` if unset
 * or empty, `?` `:?` an error then, `+` `:+` another value if set (and not empty). What follows the operator may hold variables
 * again. $$ is a dollar sign. Pure.
 */

/** A variable's value, undefined if it is not set. */
export type Lookup = (name: string) => string | undefined;

/** What is wrong with a text, and where in it (from 0). */
export class InterpolationError extends Error {
  readonly offset: number;

  constructor(offset: number, message: string) {
    super(message);
    this.offset = offset;
  }
}

export interface Variable {
  name: string;
  operator?: "-" | ":-" | "?" | ":?" | "+" | ":+";
  /** What follows the operator, as written. */
  operand?: string;
}

type Part = string | (Variable & { offset: number; operandOffset: number });

const MAX_DEPTH = 50;

/**
 * The text with its variables filled in. `unset` hears of variables without value or default, which are empty then.
 * Throws InterpolationError.
 */
export function substitute(text: string, lookup: Lookup, unset: (name: string) => void = () => {}, depth = 0): string {
  if (!text.includes("$")) return text;
  if (depth > MAX_DEPTH) throw new InterpolationError(0, `has more than ${MAX_DEPTH} variables in variables`);
  let result = "";
  for (const part of parts(text)) {
    if (typeof part === "string") result += part;
    else result += filled(part, lookup, unset, depth);
  }
  return result;
}

function filled(part: Exclude<Part, string>, lookup: Lookup, unset: (name: string) => void, depth: number): string {
  const { name, operator, operand = "" } = part;
  const value = lookup(name);
  const inner = (): string => {
    try {
      return substitute(operand, lookup, unset, depth + 1);
    } catch (error) {
      if (error instanceof InterpolationError) throw new InterpolationError(part.operandOffset + error.offset, error.message);
      throw error;
    }
  };
  const missing = operator?.startsWith(":") ? value === undefined || value === "" : value === undefined;
  switch (operator) {
    case "-":
    case ":-":
      return missing ? inner() : value!;
    case "+":
    case ":+":
      return missing ? (value ?? "") : inner();
    case "?":
    case ":?": {
      if (!missing) return value!;
      const reason = inner();
      throw new InterpolationError(
        part.offset,
        `required variable ${name} is missing a value${reason === "" ? "" : `: ${reason}`}`,
      );
    }
    default:
      if (value === undefined) unset(name);
      return value ?? "";
  }
}

/** Every variable of a text, those within others too. Throws InterpolationError. */
export function variablesOf(text: string, depth = 0): Variable[] {
  if (depth > MAX_DEPTH) return [];
  return parts(text).flatMap((part) => {
    if (typeof part === "string") return [];
    const { offset: _, operandOffset: __, ...variable } = part;
    return [variable, ...variablesOf(variable.operand ?? "", depth + 1)];
  });
}

const NAME = /[A-Za-z_][A-Za-z0-9_]*/y;
const OPERATOR = /:?[-?+]/y;

function matchAt(pattern: RegExp, text: string, offset: number): string | undefined {
  pattern.lastIndex = offset;
  return pattern.exec(text)?.[0];
}

function parts(text: string): Part[] {
  const found: Part[] = [];
  let at = 0;
  while (at < text.length) {
    const dollar = text.indexOf("$", at);
    if (dollar < 0) break;
    if (dollar > at) found.push(text.slice(at, dollar));
    if (text[dollar + 1] === "$") {
      found.push("$");
      at = dollar + 2;
    } else if (text[dollar + 1] === "{") {
      const [part, end] = braced(text, dollar);
      found.push(part);
      at = end;
    } else {
      const name = matchAt(NAME, text, dollar + 1);
      // a dollar sign that begins nothing is one, as in "cost: 5$"
      if (name === undefined) found.push("$");
      else found.push({ name, offset: dollar, operandOffset: dollar });
      at = dollar + 1 + (name?.length ?? 0);
    }
  }
  if (at < text.length) found.push(text.slice(at));
  return found;
}

function braced(text: string, dollar: number): [Exclude<Part, string>, number] {
  const bad = (): InterpolationError =>
    new InterpolationError(
      dollar,
      `"${text.slice(dollar, dollar + 40)}" is not a variable; write \${NAME}, \${NAME:-default}, or $$ for a dollar sign`,
    );
  const name = matchAt(NAME, text, dollar + 2);
  if (name === undefined) throw bad();
  const after = dollar + 2 + name.length;
  if (text[after] === "}") return [{ name, offset: dollar, operandOffset: after }, after + 1];
  const operator = matchAt(OPERATOR, text, after) as Variable["operator"];
  if (operator === undefined) throw bad();
  const start = after + operator.length;
  const end = closing(text, start);
  if (end < 0) throw new InterpolationError(dollar, `\${${name}${operator}... has no closing brace`);
  return [{ name, operator, operand: text.slice(start, end), offset: dollar, operandOffset: start }, end + 1];
}

/** The brace that ends what begins at `start`, with ${ and } in it in pairs; -1 if there is none. */
function closing(text: string, start: number): number {
  let open = 1;
  for (let at = start; at < text.length; at++) {
    if (text[at] === "}" && --open === 0) return at;
    if (text[at] === "{") open++;
  }
  return -1;
}

/** Every text below a node with its variables filled in; keys are left alone. What is wrong goes to `problems`. */
export function interpolate(
  node: Node,
  lookup: Lookup,
  problems: Problems,
  unset: (name: string, at: Position) => void,
  path: Path = [],
): Node {
  if (isMap(node)) return mapValues(node, (value, key) => interpolate(value, lookup, problems, unset, [...path, key]));
  if (isList(node)) {
    return { ...node, items: node.items.map((item, index) => interpolate(item, lookup, problems, unset, [...path, index])) };
  }
  if (typeof node.value !== "string" || !node.value.includes("$")) return node;
  try {
    const value = substitute(node.value, lookup, (name) => unset(name, node.at));
    return { ...node, value, text: value };
  } catch (error) {
    if (!(error instanceof InterpolationError)) throw error;
    problems.add(within(node, error.offset), path, error.message);
    return node;
  }
}

/** Where in the file a place of a text is; texts of several lines are pointed at as a whole. */
const within = ({ at, value, quoted }: ScalarNode, offset: number): Position =>
  String(value).includes("\n") ? at : { ...at, column: at.column + offset + (quoted ? 1 : 0) };
