/** engine.toml, and Docker's daemon.json, as settings. docs/configuration.md describes both. Pure. */
import { messageOf, OnggiError } from "../lib/errors.ts";
import { parseJsonWithLines } from "../lib/json-lines.ts";
import { similar } from "../lib/similar.ts";
import { lookUp } from "../lib/tables.ts";
import { isTable, parseToml, type Table } from "../lib/toml.ts";
import { daemonKeys } from "./daemon-keys.ts";
import { isName, type KeyName, keys, names, type Values } from "./engine-keys.ts";
import { isPath, type Kind } from "./engine-kinds.ts";

/** What a file says. */
export interface FileSettings {
  readonly runtimes: Readonly<Record<string, string>>;
  readonly values: Values;
  /** Of the file, counted from 1, by the names of settings: "dns", "runtimes.kata". */
  readonly lines: Readonly<Record<string, number>>;
}

/** Something is wrong with a key, which is written there. */
class Wrong extends Error {
  readonly key: string;
  readonly table: string | null;

  constructor(key: string, message: string, table: string | null = null) {
    super(message);
    this.key = key;
    this.table = table;
  }
}

const quoted = (key: string): string => JSON.stringify(key.slice(0, 100));

const unknown = (key: string, known: readonly string[]): Wrong => {
  const [near] = similar(key, known);
  return new Wrong(key, `${quoted(key)} is not known; ${near ? `"${near}"?` : `there are ${known.join(", ")}`}`);
};

/** Where a key is written in TOML, counted from 1; null where it is not found. */
function tomlLine(text: string, key: string, within: string | null): number | null {
  let table: string | null = null;
  for (const [index, line] of text.split("\n").entries()) {
    const head = /^\s*\[+\s*"?([^\]"]*?)"?\s*\]/.exec(line);
    if (head) table = head[1]!;
    const written = head ? head[1] : /^\s*"?([^"=]*?)"?\s*=/.exec(line)?.[1];
    const first = head ? written?.split(".")[0] : written;
    if (first === key && (head ? within === null : table === within)) return index + 1;
  }
  return null;
}

/** Reads engine.toml. Throws `engine_config_invalid`, which names file and line. */
export function readEngineConfig(text: string, file: string): FileSettings {
  const lineOf = (key: string, table: string | null): number | null => tomlLine(text, key, table);
  return saying(file, lineOf, () => {
    const values: Record<string, unknown> = {};
    const table = parseToml(text);
    for (const [key, value] of Object.entries(table)) {
      if (key === "runtimes") continue;
      const known = lookUp(keys, key);
      if (!known) throw unknown(key, [...names, "runtimes"]);
      values[key] = read(key, known.kind, value);
    }
    const runtimes = runtimesOf(table.runtimes ?? {}, (value) => value);
    return { runtimes, values: values as Values, lines: linesOf(values, runtimes, lineOf) };
  });
}

/** Of Docker's daemon.json what can be had here; what cannot is an error. Throws `engine_config_invalid`, which names file and line. */
export function readDaemonJson(text: string, file: string): FileSettings {
  let lines: ReadonlyMap<string, number> = new Map();
  const lineOf = (key: string, table: string | null): number | null =>
    lines.get(table === null ? key : `${table}.${key}`) ?? null;
  return saying(file, lineOf, () => {
    const found = parseJsonWithLines(text);
    lines = found.lines;
    if (!isTable(found.value)) throw new Error("must be an object");
    const values: Record<string, unknown> = {};
    const origins: Record<string, number> = {};
    // what is switched off stays off, wherever it stands
    const last = ([key]: [string, unknown]): number => Number(key === "features");
    for (const [key, value] of Object.entries(found.value).sort((a, b) => last(a) - last(b))) {
      if (key === "runtimes") continue;
      const known = lookUp(daemonKeys, key);
      if (!known) throw unknown(key, Object.keys(daemonKeys));
      if (known.how === "refused") throw new Wrong(key, `"${key}" cannot be had: ${known.note}`);
      const said = known.how === "same" ? { [key]: read(key, keys[key as KeyName].kind, value) } : known.take(value);
      if (said === null) throw new Wrong(key, `"${key}" must be ${known.how === "differs" ? known.words : "another"}`);
      Object.assign(values, said);
      for (const name of Object.keys(said)) origins[name] = lineOf(key, null) ?? 1;
    }
    const runtimes = runtimesOf(found.value.runtimes ?? {}, pathOf);
    return { runtimes, values: values as Values, lines: { ...origins, ...linesOf({}, runtimes, lineOf) } };
  });
}

function read(key: string, kind: Kind<unknown>, value: unknown): unknown {
  const found = kind.read(value);
  if (found === null) throw new Wrong(key, `"${key}" must be ${kind.words}`);
  return found;
}

/** Docker's runtimes may have more than a path: what would be left out is refused. */
const pathOf = (value: unknown): unknown =>
  isTable(value) && Object.keys(value).every((key) => key === "path") ? value.path : value;

function linesOf(
  values: Readonly<Record<string, unknown>>,
  runtimes: Readonly<Record<string, string>>,
  lineOf: (key: string, table: string | null) => number | null,
): Record<string, number> {
  const found = [
    ...Object.keys(values).map((key) => [key, lineOf(key, null)] as const),
    ...Object.keys(runtimes).map((name) => [`runtimes.${name}`, lineOf(name, "runtimes")] as const),
  ];
  return Object.fromEntries(found.filter(([, line]) => line !== null)) as Record<string, number>;
}

function runtimesOf(table: unknown, programOf: (value: unknown) => unknown): Record<string, string> {
  if (!isTable(table)) throw new Wrong("runtimes", '"runtimes" must be a table of names and paths');
  const runtimes: Record<string, string> = {};
  for (const [name, value] of Object.entries(table as Table)) {
    const program = programOf(value);
    if (!isName(name) || !isPath(program))
      throw new Wrong(name, `runtime ${quoted(name)} must be a name and an absolute path`, "runtimes");
    runtimes[name] = program;
  }
  return runtimes;
}

function saying<T>(file: string, lineOf: (key: string, table: string | null) => number | null, make: () => T): T {
  try {
    return make();
  } catch (error) {
    const line = error instanceof Wrong ? lineOf(error.key, error.table) : null;
    throw new OnggiError("engine_config_invalid", `${file}:${line === null ? "" : ` line ${line}:`} ${messageOf(error)}`);
  }
}
