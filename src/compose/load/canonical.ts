import { posix } from "node:path";
import { messageOf } from "../../lib/errors.ts";
import type { Mount, Port } from "../project.ts";
import { parseMount } from "./mounts.ts";
import {
  get,
  isList,
  isMap,
  isNull,
  isText,
  list,
  type MapNode,
  map,
  mapValues,
  type Node,
  type Path,
  type Position,
  scalar,
  withEntry,
} from "./node.ts";
import { parsePorts } from "./ports.ts";
import type { Problems } from "./problems.ts";
import { shellWords } from "./words.ts";

/**
 * Writes out every short form of a file that fits the schema, and makes its paths absolute: after this a part of the model has one
 * form only, so that merging knows nothing of forms. What cannot be read goes to `problems`.
 */
export interface CanonicalContext {
  problems: Problems;
  /** What relative paths are relative to; absent: they stay. */
  base: string | undefined;
  /** What "~" is. */
  home: string | undefined;
  /** Variables are not filled in: values that cannot be read stay as they are, and so do command lines. */
  lenient: boolean;
  warn(message: string): void;
}

type Rule = (node: Node, path: Path, context: CanonicalContext) => Node;
type Rules = Readonly<Record<string, Rule>>;

export function canonical(file: MapNode, context: CanonicalContext): MapNode {
  return sections(file, [], context) as MapNode;
}

/** Keeps tags, and leaves alone what is taken away or empty. */
const applied = (rule: Rule | undefined, node: Node, path: Path, context: CanonicalContext): Node => {
  if (rule === undefined || node.tag === "reset") return node;
  const result = rule(node, path, context);
  return node.tag === undefined || result === node ? result : { ...result, tag: node.tag };
};

const fields =
  (rules: Rules): Rule =>
  (node, path, context) =>
    isMap(node)
      ? mapValues(node, (value, key) =>
          applied(Object.hasOwn(rules, key) ? rules[key] : undefined, value, [...path, key], context),
        )
      : node;

const each =
  (rule: Rule): Rule =>
  (node, path, context) => {
    if (isMap(node)) return mapValues(node, (value, key) => applied(rule, value, [...path, key], context));
    if (isList(node)) return { ...node, items: node.items.map((item, index) => applied(rule, item, [...path, index], context)) };
    return node;
  };

const then =
  (...rules: readonly Rule[]): Rule =>
  (node, path, context) =>
    rules.reduce((value, rule) => rule(value, path, context), node);

/** One string where a list may be. */
const toList: Rule = (node) => (isText(node) ? list([node], node.at) : node);

/** ["a=1", "b"] as {a: "1", b: null}. */
const keyValues: Rule = (node, path, { problems }) => {
  if (!isList(node)) return node;
  const entries: [string, Node][] = [];
  for (const [index, item] of node.items.entries()) {
    const text = item.kind === "scalar" ? item.text : "";
    const equals = text.indexOf("=");
    const key = equals < 0 ? text : text.slice(0, equals);
    if (/\s$/.test(key))
      problems.add(item.at, [...path, index], `"${key}" ends with a space; write NAME=value without spaces around "="`);
    entries.push([key, scalar(equals < 0 ? null : text.slice(equals + 1), item.at)]);
  }
  return map(entries, node.at);
};

/** ["a", "b"] as {a: null, b: null}, or with what `value` gives. */
const keys =
  (value: (at: Position) => Node): Rule =>
  (node) =>
    isList(node)
      ? map(
          node.items.map((item) => [item.kind === "scalar" ? item.text : "", value(item.at)]),
          node.at,
        )
      : node;

/** A string as {key: string}. */
const named =
  (key: string): Rule =>
  (node) =>
    isText(node) ? map([[key, node]], node.at) : node;

const words: Rule = (node, path, { problems, warn, lenient }) => {
  if (!isText(node) || lenient) return node;
  const split = shellWords(node.value);
  if (split === undefined) {
    problems.add(node.at, path, `${JSON.stringify(node.value)} has a quote that is not closed, or ends with a backslash`);
    return node;
  }
  if (split.cut !== "") {
    warn(`${path.join(".")}: no shell reads this, so "${split.cut}" is left out; write ["sh", "-c", "..."] to have one`);
  }
  return list(
    split.words.map((word) => scalar(word, node.at)),
    node.at,
  );
};

const hostNames: Rule = (node, path, { problems, lenient }) => {
  const hosts = new Map<string, Node[]>();
  const add = (name: string, addresses: readonly string[], at: Position, place: Path): void => {
    if (name === "" || /[:=]/.test(name)) problems.add(at, place, `"${name}" is not a host's name`);
    const nodes = addresses.map((address) => scalar(address.replace(/^\[(.+)\]$/, "$1"), at));
    hosts.set(name, [...(hosts.get(name) ?? []), ...nodes]);
  };
  if (isMap(node)) {
    for (const [name, { value, at }] of node.entries) {
      add(
        name,
        isList(value)
          ? value.items.map((item) => (item.kind === "scalar" ? item.text : ""))
          : [value.kind === "scalar" ? value.text : ""],
        at,
        [...path, name],
      );
    }
  } else if (isList(node)) {
    for (const [index, item] of node.items.entries()) {
      const match = /^([^=]*)=(.*)$|^([^:]*):(.*)$/.exec(item.kind === "scalar" ? item.text : "");
      if (match !== null) add(match[1] ?? match[3] ?? "", (match[2] ?? match[4] ?? "").split(","), item.at, [...path, index]);
      else if (lenient) return node;
      else problems.add(item.at, [...path, index], `has no address; write NAME=ADDRESS`);
    }
  }
  return map(
    [...hosts].map(([name, addresses]) => [name, list(addresses, addresses[0]?.at ?? node.at)]),
    node.at,
  );
};

/** Plain values as nodes that all stand at one place. */
function nodeOf(value: unknown, at: Position): Node {
  if (Array.isArray(value))
    return list(
      value.map((item) => nodeOf(item, at)),
      at,
    );
  if (typeof value === "object" && value !== null)
    return map(
      Object.entries(value).map(([key, item]) => [key, nodeOf(item, at)]),
      at,
    );
  return scalar(value as string | number | boolean | null, at);
}

/** What `parse` makes of a short form, or nothing if it throws: then that is told. */
function parsed<T extends object>(
  node: Node,
  path: Path,
  { problems, lenient }: CanonicalContext,
  parse: (text: string) => T,
): T | undefined {
  try {
    return parse(node.kind === "scalar" ? node.text : "");
  } catch (error) {
    if (!lenient) problems.add(node.at, path, messageOf(error));
    return undefined;
  }
}

const ports: Rule = (node, path, context) => {
  if (!isList(node)) return node;
  const items = node.items.flatMap((item, index): Node[] => {
    if (item.kind !== "scalar") return [item];
    const found = parsed<Port[]>(item, [...path, index], context, parsePorts);
    return found?.map((port) => nodeOf(port, item.at)) ?? [item];
  });
  return { ...node, items };
};

const absolute = (text: string, { base, home }: CanonicalContext): string => {
  if (base === undefined) return text;
  if (text.startsWith("~") && home !== undefined) return posix.join(home, text.slice(1));
  return posix.isAbsolute(text) ? text : posix.join(base, text);
};

const file: Rule = (node, _, context) =>
  isText(node) && node.value !== "" ? scalar(absolute(node.value, context), node.at) : node;

/** A directory, unless it is something that is not of this machine: a URL, another service, an image. */
const buildContext: Rule = (node, _, context) =>
  isText(node) && !isRemote(node.value) ? scalar(absolute(node.value, context).replace(/(.)\/+$/, "$1"), node.at) : node;

export const isRemote = (text: string): boolean => /^[A-Za-z][A-Za-z0-9+.-]*:|^git@|^github\.com\//.test(text);

const mount: Rule = (node, path, context) => {
  let long = node;
  if (isText(node)) {
    const found = parsed<Mount>(node, path, context, parseMount);
    if (found === undefined) return node;
    long = nodeOf(found, node.at);
  }
  if (!isMap(long)) return long;
  const target = get(long, "target");
  if (isText(target) && target.value !== "") long = withEntry(long, "target", scalar(cleaned(target.value), target.at));
  const source = get(long, "source");
  const type = get(long, "type");
  return isText(source) && isText(type) && type.value === "bind"
    ? withEntry(long as MapNode, "source", file(source, path, context))
    : long;
};

/** As the file system takes it: without "..", "." and slashes at the end. */
const cleaned = (path: string): string => posix.normalize(path).replace(/(.)\/+$/, "$1");

const device: Rule = (node, path, context) => {
  if (!isText(node)) return node;
  const parts = node.value.split(":");
  if (parts.length > 3 && !context.lenient) {
    context.problems.add(
      node.at,
      path,
      `"${node.value}" has too many colons; write SOURCE[:TARGET[:PERMISSIONS]], or the long form`,
    );
  }
  const [source = "", target = "", permissions = "rwm"] = parts;
  return nodeOf({ source, target: target === "" ? source : target, permissions }, node.at);
};

const started: (at: Position) => Node = (at) => nodeOf({ condition: "service_started", required: true }, at);

/** An entry that is there unless the file says otherwise. */
const withDefault =
  (key: string, value: string | number | boolean): Rule =>
  (node) =>
    isMap(node) && get(node, key) === undefined ? withEntry(node, key, scalar(value, node.at)) : node;

/** "external: {name: x}", which is how it was written before "name" was a key beside it. */
const external: Rule = (node, path, { problems, warn }) => {
  const old = get(node, "external");
  if (!isMap(node) || !isMap(old)) return node;
  const name = get(old, "name");
  const given = get(node, "name");
  const rest = withEntry(node, "external", scalar(true, old.at));
  if (name === undefined) return rest;
  warn(`${path.join(".")}: external.name is deprecated; write "name" beside "external: true"`);
  if (given !== undefined && given.kind === "scalar" && name.kind === "scalar" && given.text !== name.text) {
    problems.add(name.at, [...path, "external", "name"], `is not what "name" says; keep "name" only`);
  }
  return given === undefined ? withEntry(rest, "name", name) : rest;
};

const fileReference = named("source");
const nullNames = keys((at) => scalar(null, at));

const hook = fields({ command: words, environment: keyValues });

const build: Rule = then(
  named("context"),
  fields({
    context: buildContext,
    args: keyValues,
    labels: keyValues,
    additional_contexts: then(keyValues, each(buildContext)),
    ssh: then(
      keyValues,
      each((node, path, context) => (isNull(node) ? node : file(node, path, context))),
    ),
    cache_from: toList,
    cache_to: toList,
    no_cache_filter: toList,
    tags: toList,
    secrets: each(fileReference),
    extra_hosts: hostNames,
  }),
);

const service = fields({
  annotations: keyValues,
  build,
  command: words,
  configs: each(fileReference),
  depends_on: then(keys(started), each(withDefault("required", true))),
  deploy: fields({ labels: keyValues }),
  develop: fields({ watch: each(fields({ path: file, ignore: toList, include: toList, exec: hook })) }),
  devices: each(device),
  dns: toList,
  dns_search: toList,
  entrypoint: words,
  env_file: then(toList, each(then(named("path"), withDefault("required", true), fields({ path: file })))),
  environment: keyValues,
  extends: named("service"),
  extra_hosts: hostNames,
  gpus: (node) => (isText(node) ? nodeOf([{ count: node.value }], node.at) : node),
  healthcheck: fields({ test: (node) => (isText(node) ? nodeOf(["CMD-SHELL", node.value], node.at) : node) }),
  label_file: then(toList, each(file)),
  labels: keyValues,
  models: nullNames,
  networks: nullNames,
  ports,
  post_start: each(hook),
  pre_start: each(hook),
  pre_stop: each(hook),
  secrets: each(fileReference),
  sysctls: keyValues,
  tmpfs: toList,
  volumes: each(then(mount, fields({ volume: fields({ labels: keyValues }) }))),
});

/** A volume of the local driver that is a bind mount has a path among its options. */
const volume: Rule = (node, path, context) => {
  const options = get(node, "driver_opts");
  const device = get(options, "device");
  const kind = get(options, "o");
  const driver = get(node, "driver");
  if (!isMap(node) || !isMap(options) || !isText(device) || !isText(kind) || kind.value !== "bind") return node;
  if (!isText(driver) || driver.value !== "local") return node;
  return withEntry(node, "driver_opts", withEntry(options, "device", file(device, path, context)));
};

const sections = fields({
  services: each(service),
  networks: each(then(external, fields({ labels: keyValues }))),
  volumes: each(then(external, volume, fields({ labels: keyValues }))),
  configs: each(then(external, fields({ file, labels: keyValues }))),
  secrets: each(then(external, fields({ file, labels: keyValues }))),
});
