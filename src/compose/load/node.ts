/**
 * What a compose file says, with where it says it. Every step of loading makes new nodes out of old ones, so that a wrong value is
 * told at the line it was written in, whatever files were merged, extended or included on the way. Mappings are `Map`s: a key is
 * a key, "__proto__" too, and their order is the file's.
 */

/** Of the first character, from 1. */
export interface Position {
  /** Absolute, or "-" for the standard input. */
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

export type Node = MapNode | ListNode | ScalarNode;

interface Written {
  readonly at: Position;
  /** `!reset` takes away what earlier files say, `!override` stands for all of it. */
  readonly tag?: "reset" | "override";
}

export interface MapNode extends Written {
  readonly kind: "map";
  readonly entries: ReadonlyMap<string, Entry>;
}

export interface Entry {
  /** Of the key. */
  readonly at: Position;
  readonly value: Node;
}

export interface ListNode extends Written {
  readonly kind: "list";
  readonly items: readonly Node[];
}

export interface ScalarNode extends Written {
  readonly kind: "scalar";
  readonly value: string | number | boolean | null;
  /** As it is when it is wanted as a string: "8080", "true", "1.1", "" for null. */
  readonly text: string;
  /** It begins with a quote. */
  readonly quoted?: boolean;
}

export const isMap = (node: Node | undefined): node is MapNode => node?.kind === "map";
export const isList = (node: Node | undefined): node is ListNode => node?.kind === "list";
export const isScalar = (node: Node | undefined): node is ScalarNode => node?.kind === "scalar";
export const isNull = (node: Node | undefined): boolean => node?.kind === "scalar" && node.value === null;
export const isText = (node: Node | undefined): node is ScalarNode & { value: string } =>
  node?.kind === "scalar" && typeof node.value === "string";

export const scalar = (value: string | number | boolean | null, at: Position): ScalarNode => ({
  kind: "scalar",
  value,
  text: value === null ? "" : String(value),
  at,
});

export const list = (items: readonly Node[], at: Position): ListNode => ({ kind: "list", items, at });

export const map = (entries: Iterable<readonly [string, Node]>, at: Position): MapNode => ({
  kind: "map",
  entries: new Map(Array.from(entries, ([key, value]) => [key, { at: value.at, value }])),
  at,
});

export const get = (node: Node | undefined, key: string): Node | undefined =>
  node?.kind === "map" ? node.entries.get(key)?.value : undefined;

/** The mapping with one entry changed, or without it. */
export function withEntry(node: MapNode, key: string, value: Node | undefined): MapNode {
  const entries = new Map(node.entries);
  if (value === undefined) entries.delete(key);
  else entries.set(key, { at: node.entries.get(key)?.at ?? value.at, value });
  return { ...node, entries };
}

/** The mapping with each value changed; undefined takes the entry away. */
export function mapValues(node: MapNode, change: (value: Node, key: string, entry: Entry) => Node | undefined): MapNode {
  const entries = new Map<string, Entry>();
  for (const [key, entry] of node.entries) {
    const value = change(entry.value, key, entry);
    if (value !== undefined) entries.set(key, value === entry.value ? entry : { at: entry.at, value });
  }
  return { ...node, entries };
}

/** As values of JSON. */
export function plain(node: Node): unknown {
  if (node.kind === "scalar") return node.value;
  if (node.kind === "list") return node.items.map(plain);
  return Object.fromEntries([...node.entries].map(([key, { value }]) => [key, plain(value)]));
}

export type Path = readonly (string | number)[];

/** "services.web.ports[0]"; keys that are no words are quoted. */
export function pathText(path: Path): string {
  let text = "";
  for (const part of path) {
    if (typeof part === "number") text += `[${part}]`;
    else if (/^[\w-]+$/.test(part)) text += text === "" ? part : `.${part}`;
    else text += text === "" ? JSON.stringify(part) : `[${JSON.stringify(part)}]`;
  }
  return text;
}

/** Where a path is written, or the nearest thing above it that is. With `key`: the key's place, not the value's. */
export function positionOf(root: Node, path: Path, key = false): Position {
  let node = root;
  let at = root.at;
  for (const [index, part] of path.entries()) {
    if (node.kind === "map") {
      const entry = node.entries.get(String(part));
      if (entry === undefined) return at;
      at = key && index === path.length - 1 ? entry.at : entry.value.at;
      node = entry.value;
    } else if (node.kind === "list" && node.items[Number(part)] !== undefined) {
      node = node.items[Number(part)]!;
      at = node.at;
    } else return at;
  }
  return at;
}
