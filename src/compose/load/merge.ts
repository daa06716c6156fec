import { get, isList, isMap, isNull, type ListNode, mapValues, type Node, type Path, plain } from "./node.ts";

/**
 * How a later file changes what earlier ones say (13-merge.md), of canonical nodes: mappings are merged key by key, lists are put
 * behind each other, anything else is replaced. Where the specification says otherwise, `rules` and `keysOfLists` do. `!reset` takes
 * a value away, `!override` stands instead of all before it. Tags stay, for what else is merged below: `withoutTags` ends it. Pure.
 */
export function merge(base: Node | undefined, over: Node, path: Path = []): Node {
  if (base === undefined || base.tag === "reset" || over.tag !== undefined) return over;
  const rule = rules.at(path);
  return rule === undefined ? general(base, over, path) : rule(base, over, path);
}

function general(base: Node, over: Node, path: Path): Node {
  if (isNull(over)) return base;
  if (isMap(base) && isMap(over)) {
    const entries = new Map(base.entries);
    for (const [key, entry] of over.entries) {
      entries.set(key, { at: entry.at, value: merge(base.entries.get(key)?.value, entry.value, [...path, key]) });
    }
    return { ...base, ...over, entries };
  }
  if (!isList(base) || !isList(over)) return over;
  return distinct({ ...base, items: [...base.items, ...over.items] }, keysOfLists.at(path));
}

/** Of items with the same key the later one, at the place of the earlier. */
function distinct(node: ListNode, keyOf: ((item: Node) => string) | undefined): ListNode {
  if (keyOf === undefined) return node;
  const items = new Map<string, Node>();
  for (const item of node.items) items.set(keyOf(item), item);
  return items.size === node.items.length ? node : { ...node, items: [...items.values()] };
}

/** A file's own lists by the same rule: a port that is written twice is one. */
export function withoutRepeats(node: Node, path: Path = []): Node {
  if (isMap(node)) return mapValues(node, (value, key) => withoutRepeats(value, [...path, key]));
  return isList(node) ? distinct(node, keysOfLists.at(path)) : node;
}

/** What is left when nothing is below: without what takes away. */
export function withoutTags(node: Node): Node {
  if (isMap(node)) {
    const { kind, at, entries } = mapValues(node, (value) => (value.tag === "reset" ? undefined : withoutTags(value)));
    return { kind, at, entries };
  }
  if (isList(node)) return { kind: "list", at: node.at, items: node.items.filter(({ tag }) => tag !== "reset").map(withoutTags) };
  return { kind: "scalar", at: node.at, value: node.value, text: node.text };
}

type Rule = (base: Node, over: Node, path: Path) => Node;

const replace: Rule = (_, over) => over;

/** Also what is empty counts: a variable without a value is the caller's again. */
const allOf: Rule = (base, over, path) =>
  isMap(base) && isMap(over)
    ? { ...base, ...over, entries: new Map([...base.entries, ...over.entries]) }
    : general(base, over, path);

const whole = (item: Node): string => (item.kind === "scalar" ? item.text : JSON.stringify(plain(item)));
const entry =
  (key: string, fallback: (item: Node) => string = whole): ((item: Node) => string) =>
  (item) => {
    const value = get(item, key);
    return value?.kind === "scalar" ? value.text : fallback(item);
  };
const source = entry("source");

const port = (item: Node): string => {
  const part = (key: string, missing: string): string => {
    const value = get(item, key);
    return value?.kind === "scalar" ? value.text.toLowerCase() : missing;
  };
  return isMap(item)
    ? `${part("host_ip", "0.0.0.0")}:${part("published", "")}:${part("target", "")}/${part("protocol", "tcp")}`
    : whole(item);
};

/** Options belong to their driver: those of another one do not stay. */
const logging: Rule = (base, over, path) => {
  const [before, after] = [get(base, "driver"), get(over, "driver")];
  const same = before?.kind !== "scalar" || after?.kind !== "scalar" || before.text === after.text;
  return same ? general(base, over, path) : over;
};

/** Pools of the same subnet are one. */
const pools: Rule = (base, over, path) => {
  if (!isList(base) || !isList(over)) return general(base, over, path);
  const items = [...base.items];
  for (const pool of over.items) {
    const same = items.findIndex((item) => entry("subnet")(item) === entry("subnet")(pool));
    if (same < 0) items.push(pool);
    else items[same] = general(items[same]!, pool, path);
  }
  return { ...base, items };
};

/** By path; "*" is any one key. */
class Patterns<T> {
  readonly #byLength: Map<number, { parts: string[]; value: T }[]>;

  constructor(patterns: Readonly<Record<string, T>>) {
    const all = Object.entries(patterns).map(([pattern, value]) => ({ parts: pattern.split("."), value }));
    this.#byLength = Map.groupBy(all, ({ parts }) => parts.length);
  }

  at(path: Path): T | undefined {
    return this.#byLength
      .get(path.length)
      ?.find(({ parts }) => parts.every((part, index) => part === "*" || part === path[index]))?.value;
  }
}

const rules = new Patterns<Rule>({
  "networks.*.ipam.config": pools,
  "networks.*.labels": allOf,
  "volumes.*.labels": allOf,
  "services.*.annotations": allOf,
  "services.*.build.additional_contexts": allOf,
  "services.*.build.args": allOf,
  "services.*.build.labels": allOf,
  "services.*.command": replace,
  "services.*.deploy.labels": allOf,
  "services.*.entrypoint": replace,
  "services.*.environment": allOf,
  "services.*.healthcheck.test": replace,
  "services.*.labels": allOf,
  "services.*.logging": logging,
  "services.*.sysctls": allOf,
  "services.*.ulimits.*": replace,
});

const keysOfLists = new Patterns<(item: Node) => string>({
  "services.*.build.extra_hosts.*": whole,
  "services.*.build.tags": whole,
  "services.*.cap_add": whole,
  "services.*.cap_drop": whole,
  "services.*.configs": entry("target", source),
  "services.*.devices": entry("target", source),
  "services.*.dns": whole,
  "services.*.dns_opt": whole,
  "services.*.dns_search": whole,
  "services.*.env_file": entry("path"),
  "services.*.expose": whole,
  "services.*.extra_hosts.*": whole,
  "services.*.links": whole,
  "services.*.networks.*.aliases": whole,
  "services.*.networks.*.link_local_ips": whole,
  "services.*.ports": port,
  "services.*.profiles": whole,
  "services.*.secrets": entry("target", (item) => `/run/secrets/${source(item)}`),
  "services.*.tmpfs": whole,
  "services.*.volumes": entry("target"),
});

/** Whether entries of a list or mapping there stand for what they are about: a port, a variable. */
export const isMergedByKey = (path: Path): boolean => keysOfLists.at(path) !== undefined || rules.at(path) !== undefined;
