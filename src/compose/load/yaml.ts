import {
  Composer,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Pair,
  Parser,
  type Node as YamlNode,
} from "yaml";
import { messageOf } from "../../lib/errors.ts";
import type { Entry, MapNode, Node, Position } from "./node.ts";
import type { Problems } from "./problems.ts";
import { resolveScalar } from "./scalars.ts";

/** What a compose file may be at most: bytes, values with aliases followed, levels. */
export const BOUNDS = { bytes: 4 * 2 ** 20, nodes: 100_000, depth: 100 };

/**
 * The documents of a YAML file. What is wrong with it goes to `problems`; the result is then not to be used. `file` is for
 * positions only.
 */
export function parseYaml(text: string, file: string, problems: Problems): Node[] {
  const lines = new LineCounter();
  const start: Position = { file, line: 1, column: 1 };
  let documents: Document.Parsed[];
  try {
    // keys are compared here, and all scalars are read here
    const composer = new Composer({ schema: "failsafe", uniqueKeys: false, prettyErrors: false, logLevel: "silent" });
    documents = [...composer.compose(new Parser(lines.addNewLine).parse(text))] as Document.Parsed[];
  } catch (error) {
    // the composer goes down with the file, and has no bound of its own
    problems.add(start, [], error instanceof RangeError ? tooDeep : `cannot be read as YAML: ${messageOf(error)}`);
    return [];
  }
  const nodes: Node[] = [];
  const counter = { nodes: 0 };
  for (const document of documents) {
    for (const { pos, message } of document.errors) {
      const { line, col } = lines.linePos(pos[0]);
      problems.add(
        { file, line, column: col },
        [],
        `is not valid YAML: ${message.replace(/ at line \d+, column \d+:?[\s\S]*$/, "")}`,
      );
    }
    if (document.errors.length > 0 || document.contents === null) continue;
    const reader = new DocumentReader(file, lines, problems, counter);
    try {
      nodes.push(reader.read(document.contents, 0));
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      problems.add(error.at, [], error.message);
    }
  }
  return nodes;
}

const tooDeep = `has more than ${BOUNDS.depth} levels of values in values; compose files need far fewer`;

/** What ends the reading of a document. */
class Refused extends Error {
  readonly at: Position;

  constructor(at: Position, message: string) {
    super(message);
    this.at = at;
  }
}

class DocumentReader {
  readonly #file: string;
  readonly #lines: LineCounter;
  readonly #problems: Problems;
  /** Of all documents of the file, with what aliases stand for. */
  readonly #counter: { nodes: number };
  readonly #anchors = new Map<string, { node: Node; nodes: number } | "open">();

  constructor(file: string, lines: LineCounter, problems: Problems, counter: { nodes: number }) {
    this.#file = file;
    this.#lines = lines;
    this.#problems = problems;
    this.#counter = counter;
  }

  read(source: YamlNode | null, depth: number, fallback?: Position): Node {
    const at = this.#position(source, fallback);
    if (depth > BOUNDS.depth) throw new Refused(at, tooDeep);
    if (isAlias(source)) return this.#alias(source.source, at);
    const before = this.#counter.nodes;
    this.#count(1, at);
    const anchor = source?.anchor;
    if (anchor !== undefined) this.#anchors.set(anchor, "open");
    const node = this.#value(source, at, depth);
    if (anchor !== undefined) this.#anchors.set(anchor, { node, nodes: this.#counter.nodes - before });
    return node;
  }

  #value(source: YamlNode | null, at: Position, depth: number): Node {
    const tag = source?.tag === "!reset" ? "reset" : source?.tag === "!override" ? "override" : undefined;
    const written = tag === undefined ? { at } : { at, tag: tag as "reset" | "override" };
    if (isMap(source)) return { ...this.#map(source.items as Pair<YamlNode, YamlNode | null>[], at, depth), ...written };
    if (isSeq(source)) {
      return { kind: "list", items: source.items.map((item) => this.read(item as YamlNode, depth + 1, at)), ...written };
    }
    const raw = isScalar(source) ? String(source.value ?? "") : "";
    const isText = isScalar(source) && (source.type !== "PLAIN" || source.tag === "tag:yaml.org,2002:str" || source.tag === "!");
    const quoted = isScalar(source) && (source.type === "QUOTE_DOUBLE" || source.type === "QUOTE_SINGLE");
    return {
      kind: "scalar",
      ...(isText ? { value: raw, text: raw } : resolveScalar(raw)),
      ...(quoted ? { quoted } : {}),
      ...written,
    };
  }

  #alias(name: string, at: Position): Node {
    const target = this.#anchors.get(name);
    if (target === undefined)
      throw new Refused(at, `*${name} names an anchor that is not defined before it; write &${name} at a value above`);
    if (target === "open") throw new Refused(at, `*${name} stands inside the value that it names: that would have no end`);
    this.#count(target.nodes, at);
    return target.node;
  }

  #map(pairs: readonly Pair<YamlNode, YamlNode | null>[], at: Position, depth: number): MapNode {
    const own = new Map<string, Entry>();
    const merged: MapNode[] = [];
    for (const pair of pairs) {
      const keyAt = this.#position(pair.key, at);
      if (!isScalar(pair.key)) {
        const found = isAlias(pair.key) ? "an alias" : "a list or mapping";
        this.#problems.add(keyAt, [], `a key is ${found}; keys are words`);
        continue;
      }
      const key = String(pair.key.value ?? "");
      if (key === "<<" && pair.key.type === "PLAIN") {
        merged.push(...this.#merged(this.read(pair.value, depth + 1, keyAt), keyAt));
        continue;
      }
      const twice = own.get(key);
      if (twice !== undefined) this.#problems.add(keyAt, [], `"${key}" is given twice, first in line ${twice.at.line}; keep one`);
      own.set(key, { at: keyAt, value: this.read(pair.value, depth + 1, keyAt) });
    }
    for (const { entries } of merged) for (const [key, entry] of entries) if (!own.has(key)) own.set(key, entry);
    return { kind: "map", entries: own, at };
  }

  /** What "<<" brings in: a mapping or a list of them, earlier ones first. */
  #merged(node: Node, at: Position): MapNode[] {
    const nodes = node.kind === "list" ? node.items : [node];
    const maps = nodes.filter((each) => each.kind === "map");
    if (maps.length < nodes.length) this.#problems.add(at, [], `"<<" takes mappings, as in "<<: *defaults"`);
    return maps;
  }

  #count(nodes: number, at: Position): void {
    this.#counter.nodes += nodes;
    if (this.#counter.nodes <= BOUNDS.nodes) return;
    throw new Refused(
      at,
      `the file comes to more than ${BOUNDS.nodes} values here, with what aliases repeat; split it, or repeat less`,
    );
  }

  #position(source: YamlNode | null | undefined, fallback?: Position): Position {
    const range = source?.range;
    if (range === undefined || range === null) return fallback ?? { file: this.#file, line: 1, column: 1 };
    const { line, col } = this.#lines.linePos(range[0]);
    return { file: this.#file, line, column: col };
  }
}
