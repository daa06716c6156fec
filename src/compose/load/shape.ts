import { goDuration } from "../../lib/time.ts";
import { parseBytes } from "../../lib/units.ts";
import { type MapNode, type Node, type Path, plain } from "./node.ts";
import type { Problems } from "./problems.ts";
import { found } from "./schema.ts";

/**
 * Shapes: how values of the model are made of canonical nodes, and how they are printed. A shape has a codec for each key, in the
 * order in which the value is printed. What is empty or not there is left out; what cannot be read goes to `problems` and is left
 * out too.
 */
export interface Codec<T> {
  read: Reader<T>;
  /** Undefined: not at all. */
  print(value: T, style: Style): unknown;
  /** What JSON has where there is none; most things are left out. */
  absent?: unknown;
  /** An empty string is wrong, not nothing: a number that a variable should have given. */
  refusesEmpty?: true;
}

export type Reader<T> = (node: Node, path: Path, problems: Problems) => T | undefined;

/** How to print: as YAML, as JSON, or as Docker's compose makes JSON to tell services from others, whatever that leaves out. */
export type Style = "yaml" | "json" | "docker";

export type Shape<T> = { readonly [K in Exclude<keyof T, "extensions">]-?: Codec<Exclude<T[K], undefined>> };

const codec = <T>(read: Reader<T>, print: (value: T, style: Style) => unknown = (value) => value): Codec<T> => ({ read, print });

const strict = <T>(read: Reader<T>): Codec<T> => ({ ...codec(read), refusesEmpty: true });

/** The codec, which reads in another way. */
export const reading = <T>(inner: Codec<T>, read: Reader<T>): Codec<T> => ({ ...inner, read });

export const printing = <T>(inner: Codec<T>, print: (value: T, style: Style) => unknown): Codec<T> => ({ ...inner, print });

/** What JSON always has. */
export const always = <T>(inner: Codec<T>, absent: unknown): Codec<T> => ({ ...inner, absent });

/** A mapping as an object. Keys that begin with "x-" become its `extensions`. */
export function object<T extends object>(shape: Shape<T>): Codec<T> {
  const codecs = Object.entries(shape) as [string, Codec<unknown>][];
  const read: Reader<T> = (node, path, problems) => {
    if (node.kind !== "map") return wrong(node, path, problems, "a mapping");
    const result: Record<string, unknown> = {};
    for (const [key, { read, refusesEmpty }] of codecs) {
      const entry = node.entries.get(key);
      if (entry === undefined || isEmpty(entry.value, refusesEmpty)) continue;
      const value = read(entry.value, [...path, key], problems);
      if (value !== undefined) result[key] = value;
    }
    const extensions = extensionsOf(node);
    if (extensions !== undefined) result.extensions = extensions;
    return result as T;
  };
  const print = (value: T, style: Style): Record<string, unknown> => {
    const result: Record<string, unknown> = {};
    for (const [key, { print, absent }] of codecs) {
      const item = (value as Record<string, unknown>)[key];
      const printed = item === undefined || item === null ? undefined : print(item, style);
      if (printed !== undefined) result[key] = printed;
      else if (style !== "yaml" && absent !== undefined) result[key] = absent;
    }
    return style === "docker" ? result : Object.assign(result, (value as { extensions?: object }).extensions);
  };
  return { read, print };
}

const isEmpty = (node: Node, refusesEmpty = false): boolean =>
  node.kind === "scalar" && (node.value === null || (node.value === "" && !refusesEmpty));

export function extensionsOf(node: MapNode): Record<string, unknown> | undefined {
  const entries = [...node.entries].filter(([key]) => key.startsWith("x-"));
  return entries.length === 0 ? undefined : record(entries.map(([key, { value }]) => [key, plain(value)]));
}

/** An object without a prototype: "__proto__" is a key as any other. */
export function record<T>(entries: Iterable<readonly [string, T]>): Record<string, T> {
  const result = Object.create(null) as Record<string, T>;
  for (const [key, value] of entries) result[key] = value;
  return result;
}

function wrong(node: Node, path: Path, problems: Problems, wanted: string): undefined {
  problems.add(node.at, path, `is ${found(node)}, but must be ${wanted}`);
  return undefined;
}

export const text: Codec<string> = codec((node, path, problems) =>
  node.kind === "scalar" ? node.text : wrong(node, path, problems, "a string"),
);

/** One of the schema's words. */
export const word = <T extends string>(): Codec<T> => text as unknown as Codec<T>;

export const asWritten: Codec<unknown> = codec((node) => plain(node));

/** As YAML 1.1 wrote them too. */
export const bool: Codec<boolean> = strict((node, path, problems) => {
  if (node.kind === "scalar" && /^(true|y|yes|on)$/i.test(node.text)) return true;
  if (node.kind === "scalar" && /^(false|n|no|off)$/i.test(node.text)) return false;
  return wrong(node, path, problems, "true or false");
});

/** False is not said. */
export const flag: Codec<boolean> = strict((node, path, problems) => bool.read(node, path, problems) || undefined);

const numeric = (accept: (value: number) => boolean, wanted: string): Codec<number> =>
  strict((node, path, problems) => {
    const value = node.kind === "scalar" && node.text.trim() !== "" ? Number(node.text) : Number.NaN;
    return accept(value) ? value : wrong(node, path, problems, wanted);
  });

export const integer = numeric(Number.isSafeInteger, "a whole number");
export const natural = numeric((value) => Number.isSafeInteger(value) && value >= 0, "a whole number, not below 0");
export const decimal = numeric(Number.isFinite, "a number");

/** Zero is as if it was not said, which is how Docker's compose has it for limits. */
export const nonZero = (inner: Codec<number>): Codec<number> =>
  reading(inner, (node, path, problems) => inner.read(node, path, problems) || undefined);

/** A size, printed as a string of bytes; -1 is as it is (no limit). */
export const bytes: Codec<number> = codec((node, path, problems) => {
  const given = node.kind === "scalar" ? node.text : "";
  if (/^-?\d+$/.test(given) && Number.isSafeInteger(Number(given))) return Number(given);
  try {
    return parseBytes(given);
  } catch {
    return wrong(node, path, problems, `a size: a number and b, k, m or g, as in "64m"`);
  }
}, String);

const UNITS: Readonly<Record<string, number>> = {
  w: 6048e11,
  d: 864e11,
  h: 36e11,
  m: 6e10,
  s: 1e9,
  ms: 1e6,
  us: 1e3,
  µs: 1e3,
  ns: 1,
};

/** A span of time, as Go writes it: "90s" is "1m30s", "1d" is "24h0m0s". */
export const duration: Codec<string> = codec((node, path, problems) => {
  const given = node.kind === "scalar" ? node.text : "";
  if (given === "0") return "0s";
  if (!/^(\d+(\.\d+)?(w|d|h|m|s|ms|us|µs|ns))+$/.test(given)) return wrong(node, path, problems, `a span of time, as in "1m30s"`);
  let total = 0;
  for (const [, number, unit] of given.matchAll(/(\d+(?:\.\d+)?)(w|d|h|ms|us|µs|ns|m|s)/g))
    total += Number(number) * UNITS[unit!]!;
  return goDuration(total);
});

/** A file's mode: a number, or octal digits. */
const fileMode: Codec<number> = codec((node, path, problems) => {
  if (node.kind !== "scalar") return wrong(node, path, problems, "a mode");
  if (typeof node.value === "number" && Number.isInteger(node.value)) return node.value;
  return /^(0o?)?[0-7]+$/.test(node.text)
    ? Number.parseInt(node.text.replace("o", ""), 8)
    : wrong(node, path, problems, `a mode, as in "0440"`);
});

/** Printed as a number. */
export const mode = fileMode;
export const octalMode = printing(fileMode, (value) => `0${value.toString(8)}`);

export const list = <T>(inner: Codec<T>): Codec<T[]> =>
  codec(
    (node, path, problems) => {
      if (node.kind !== "list") return wrong(node, path, problems, "a list");
      const items = node.items
        .map((item, index) => inner.read(item, [...path, index], problems))
        .filter((item) => item !== undefined);
      return items.length === 0 ? undefined : items;
    },
    (items, style) => items.map((item) => inner.print(item, style)),
  );

/** An empty list says something: no command. */
export const listOrNone = <T>(inner: Codec<T>): Codec<T[]> => {
  const some = list(inner);
  return reading(some, (node, path, problems) =>
    node.kind === "list" && node.items.length === 0 ? [] : some.read(node, path, problems),
  );
};

/** By key, in the order of the file; printed sorted. */
export const dict = <T>(inner: Codec<T>): Codec<Record<string, T>> =>
  codec(
    (node, path, problems) => {
      if (node.kind !== "map") return wrong(node, path, problems, "a mapping");
      const entries: [string, T][] = [];
      for (const [key, entry] of node.entries) {
        const value = inner.read(entry.value, [...path, key], problems);
        if (value !== undefined) entries.push([key, value]);
      }
      return entries.length === 0 ? undefined : record(entries);
    },
    (values, style) => record(sorted(values).map(([key, value]) => [key, inner.print(value, style)])),
  );

/** By key, as Go sorts: by bytes. */
export const sorted = <T>(values: Record<string, T>): [string, T][] =>
  Object.entries(values).sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));

export const nullable = <T>(inner: Codec<T>): Codec<T | null> =>
  codec(
    (node, path, problems) => (node.kind === "scalar" && node.value === null ? null : inner.read(node, path, problems)),
    (value, style) => (value === null ? null : inner.print(value, style)),
  );

export const texts = list(text);
export const textDict = dict(text);
