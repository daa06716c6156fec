import { OnggiError } from "./errors.ts";

/** The syntax tree of Go's text/template (https://pkg.go.dev/text/template), the part that `--format` uses. */

/** An operand: what a value is taken from. */
export type Operand =
  | { kind: "dot" }
  | { kind: "variable"; name: string }
  | { kind: "function"; name: string }
  | { kind: "literal"; value: string | number | boolean | null }
  | { kind: "pipe"; pipe: Pipe };

/** An operand with fields taken from it: `.A.B`, `$x.A`, `(index .X 0).B`. */
export interface Term {
  operand: Operand;
  fields: string[];
  source: string;
}

/** Commands joined by `|`; each a function or field with arguments. */
export interface Pipe {
  declare: string[];
  assign: boolean;
  commands: Term[][];
}

export type Node =
  | { kind: "text"; text: string }
  | { kind: "action"; pipe: Pipe }
  | { kind: "if" | "with" | "range"; pipe: Pipe; body: Node[]; otherwise: Node[] }
  | { kind: "break" | "continue" };

export class TemplateError extends OnggiError {
  constructor(message: string) {
    super("invalid_format", `template parsing error: ${message}`);
  }
}

type Token = {
  kind: "word" | "field" | "variable" | "string" | "number" | "punct";
  text: string;
  value?: string | number;
  spaced: boolean;
};

const escapes: Record<string, string> = { n: "\n", t: "\t", r: "\r", a: "\x07", b: "\b", f: "\f", v: "\v", "0": "\0" };

function unquote(text: string): string {
  return text.replace(/\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|(.))/gs, (_, hex?: string, unicode?: string, single?: string) =>
    hex || unicode ? String.fromCodePoint(Number.parseInt((hex ?? unicode)!, 16)) : (escapes[single!] ?? single!),
  );
}

const token =
  /\s*(?:(?<string>"(?:[^"\\\n]|\\.)*")|(?<raw>`[^`]*`)|(?<char>'(?:[^'\\\n]|\\.)+')|(?<number>[+-]?(?:0x[0-9a-fA-F]+|\d+(?:\.\d+)?))|(?<variable>\$\w*)|(?<field>\.[A-Za-z_]\w*)|(?<word>[A-Za-z_]\w*)|(?<punct>:=|[=|(),.]))/suy;

function tokenize(action: string): Token[] {
  const tokens: Token[] = [];
  token.lastIndex = 0;
  for (let at = 0; action.slice(at).trim() !== ""; at = token.lastIndex) {
    token.lastIndex = at;
    const match = token.exec(action);
    if (!match) throw new TemplateError(`unexpected ${JSON.stringify(action.slice(at).trim().slice(0, 12))} in {{${action}}}`);
    const groups = match.groups as Record<string, string | undefined>;
    const spaced = /^\s/.test(match[0]);
    const text = match[0].trim();
    if (groups.string !== undefined) tokens.push({ kind: "string", text, value: unquote(text.slice(1, -1)), spaced });
    else if (groups.raw !== undefined) tokens.push({ kind: "string", text, value: text.slice(1, -1), spaced });
    else if (groups.char !== undefined)
      tokens.push({ kind: "number", text, value: unquote(text.slice(1, -1)).codePointAt(0) ?? 0, spaced });
    else if (groups.number !== undefined) tokens.push({ kind: "number", text, value: Number(text), spaced });
    else if (groups.variable !== undefined) tokens.push({ kind: "variable", text, spaced });
    else if (groups.field !== undefined) tokens.push({ kind: "field", text, spaced });
    else if (groups.word !== undefined) tokens.push({ kind: "word", text, spaced });
    else tokens.push({ kind: "punct", text, spaced });
  }
  return tokens;
}

type Piece = { text: string } | { action: string };

/** Splits into text and actions, with `{{-` and `-}}` trimming the text beside them and comments left out. */
function split(source: string): Piece[] {
  const pieces: Piece[] = [];
  let at = 0;
  let trimNext = false;
  for (;;) {
    const open = source.indexOf("{{", at);
    let text = source.slice(at, open < 0 ? undefined : open);
    if (trimNext) text = text.trimStart();
    if (open < 0) {
      pieces.push({ text });
      return pieces;
    }
    const trimBefore = /^-\s/.test(source.slice(open + 2, open + 4));
    if (trimBefore) text = text.trimEnd();
    pieces.push({ text });
    const start = open + 2 + (trimBefore ? 1 : 0);
    const close = closing(source, start);
    let action = source.slice(start, close);
    trimNext = /\s-$/.test(action);
    if (trimNext) action = action.slice(0, -1);
    if (!/^\s*\/\*.*\*\/\s*$/s.test(action)) pieces.push({ action });
    at = close + 2;
  }
}

/** Where the `}}` is that ends the action begun at `start`: not one inside a string. */
function closing(source: string, start: number): number {
  const part = /"(?:[^"\\\n]|\\.)*"|`[^`]*`|\/\*.*?\*\/|\}\}|./gs;
  part.lastIndex = start;
  for (let match = part.exec(source); match; match = part.exec(source)) if (match[0] === "}}") return match.index;
  throw new TemplateError(`unclosed action {{${source.slice(start)}`);
}

/** Throws TemplateError. */
export function parseTemplate(source: string): Node[] {
  const parser = new Parser(split(source));
  return parser.parse();
}

class Parser {
  readonly #pieces: Piece[];
  #at = 0;

  constructor(pieces: Piece[]) {
    this.#pieces = pieces;
  }

  parse(): Node[] {
    const { nodes, end } = this.#list();
    if (end) throw new TemplateError(`unexpected {{${end.map((t) => t.text).join(" ")}}}`);
    return nodes;
  }

  /** Nodes up to `end` or `else`, whose tokens are given back. */
  #list(): { nodes: Node[]; end: Token[] | undefined } {
    const nodes: Node[] = [];
    while (this.#at < this.#pieces.length) {
      const piece = this.#pieces[this.#at++]!;
      if ("text" in piece) {
        if (piece.text !== "") nodes.push({ kind: "text", text: piece.text });
        continue;
      }
      const tokens = tokenize(piece.action);
      const word = tokens[0]?.kind === "word" ? tokens[0].text : "";
      if (word === "end" || word === "else") return { nodes, end: tokens };
      if (word === "if" || word === "with" || word === "range") nodes.push(this.#block(word, tokens.slice(1)));
      else if (word === "break" || word === "continue") nodes.push({ kind: word });
      else nodes.push({ kind: "action", pipe: parsePipe(tokens, piece.action) });
    }
    return { nodes, end: undefined };
  }

  #block(kind: "if" | "with" | "range", tokens: Token[]): Node {
    const pipe = parsePipe(tokens, kind);
    const { nodes: body, end } = this.#list();
    if (!end) throw new TemplateError(`{{${kind}}} without {{end}}`);
    if (end[0]?.text === "end") return { kind, pipe, body, otherwise: [] };
    const next = end[1]?.text;
    if (next === "if" || next === "with") return { kind, pipe, body, otherwise: [this.#block(next, end.slice(2))] };
    const { nodes: otherwise, end: last } = this.#list();
    if (last?.[0]?.text !== "end") throw new TemplateError(`{{${kind}}} without {{end}}`);
    return { kind, pipe, body, otherwise };
  }
}

function parsePipe(tokens: Token[], action: string): Pipe {
  const cursor = { at: 0 };
  const pipe = pipeline(tokens, cursor, action);
  if (cursor.at < tokens.length) throw new TemplateError(`unexpected "${tokens[cursor.at]!.text}" in {{${action}}}`);
  return pipe;
}

function pipeline(tokens: Token[], cursor: { at: number }, action: string): Pipe {
  const pipe: Pipe = { declare: [], assign: false, commands: [] };
  const first = tokens[cursor.at];
  const operatorAt = tokens[cursor.at + 1]?.text === "," ? cursor.at + 3 : cursor.at + 1;
  const operator = tokens[operatorAt]?.text;
  if (first?.kind === "variable" && (operator === ":=" || operator === "=")) {
    for (let at = cursor.at; at < operatorAt; at += 2) pipe.declare.push(tokens[at]!.text);
    pipe.assign = operator === "=";
    cursor.at = operatorAt + 1;
  }
  for (;;) {
    const command: Term[] = [];
    for (let next = tokens[cursor.at]; next && next.text !== "|" && next.text !== ")"; next = tokens[cursor.at]) {
      command.push(term(tokens, cursor, action));
    }
    if (command.length === 0) throw new TemplateError(`missing value in {{${action}}}`);
    pipe.commands.push(command);
    if (tokens[cursor.at]?.kind !== "punct" || tokens[cursor.at]?.text !== "|") return pipe;
    cursor.at++;
  }
}

function term(tokens: Token[], cursor: { at: number }, action: string): Term {
  const start = cursor.at;
  const operand = operandAt(tokens, cursor, action);
  const fields: string[] = [];
  for (let next = tokens[cursor.at]; next?.kind === "field"; next = tokens[cursor.at]) {
    // `.A .B` are two values, `.A.B` is one
    if (next.spaced && cursor.at > start) break;
    fields.push(next.text.slice(1));
    cursor.at++;
  }
  const source = tokens
    .slice(start, cursor.at)
    .map((t) => t.text)
    .join("");
  return { operand, fields, source };
}

function operandAt(tokens: Token[], cursor: { at: number }, action: string): Operand {
  const next = tokens[cursor.at]!;
  if (next.kind === "field") return { kind: "dot" };
  cursor.at++;
  switch (next.kind) {
    case "string":
    case "number":
      return { kind: "literal", value: next.value! };
    case "variable":
      return { kind: "variable", name: next.text };
    case "word":
      if (next.text === "true" || next.text === "false") return { kind: "literal", value: next.text === "true" };
      if (next.text === "nil") return { kind: "literal", value: null };
      return { kind: "function", name: next.text };
    case "punct":
      if (next.text === ".") return { kind: "dot" };
      if (next.text === "(") {
        const pipe = pipeline(tokens, cursor, action);
        if (tokens[cursor.at]?.text !== ")") throw new TemplateError(`unclosed parenthesis in {{${action}}}`);
        cursor.at++;
        return { kind: "pipe", pipe };
      }
  }
  throw new TemplateError(`unexpected "${next.text}" in {{${action}}}`);
}
