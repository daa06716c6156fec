/**
 * What an engine is set to: by flags, by the environment, by engine.toml, by a daemon.json of Docker's, in this order.
 * docs/configuration.md lists the settings. Pure, but for what `read` reads.
 */
import type { EngineSetting } from "../api/control/types.ts";
import { messageOf, OnggiError } from "../lib/errors.ts";
import { similar } from "../lib/similar.ts";
import { isTable, parseToml, type Table } from "../lib/toml.ts";
import type { EngineFlags } from "./context.ts";
import { UsageError } from "./errors.ts";

export const CONFIG_FILE = "/etc/onggi/engine.toml";

/** What a file says, by the names of the flags; runtimes by name. */
interface Settings {
  readonly runtimes: Readonly<Record<string, string>>;
  readonly values: Readonly<Record<string, string>>;
}

interface Kind {
  /** The value as the flag would have it; null for one that it cannot have. */
  readonly read: (value: unknown) => string | null;
  readonly words: string;
}

const path: Kind = { read: (value) => (isPath(value) ? value : null), words: "an absolute path" };
const isPath = (value: unknown): value is string => typeof value === "string" && /^\/[^\0]*$/.test(value);
const isHost = (value: unknown): value is string => typeof value === "string" && /^tcp:\/\/[^,]+$/.test(value);
const isName = (value: string): boolean => /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(value);

const kinds: Readonly<Record<string, Kind>> = {
  "cgroup-driver": {
    read: (value) => (value === "cgroupfs" || value === "systemd" ? value : null),
    words: '"cgroupfs" or "systemd"',
  },
  "default-runtime": { read: (value) => (typeof value === "string" && value !== "" ? value : null), words: "a runtime's name" },
  registries: path,
  policy: path,
  "docker-socket": { read: (value) => (value === "none" ? value : path.read(value)), words: 'an absolute path, or "none"' },
  "docker-host": {
    read: (value) =>
      Array.isArray(value) && value.length > 0 && value.every(isHost) ? value.join(",") : isHost(value) ? value : null,
    words: '"tcp://HOST:PORT", or a list of them',
  },
  tlscacert: path,
  tlscert: path,
  tlskey: path,
  "cni-config-dir": path,
  "cni-bin-dir": {
    read: (value) => (Array.isArray(value) && value.length > 0 && value.every(isPath) ? value.join(":") : path.read(value)),
    words: "an absolute path, or a list of them",
  },
  "cni-timeout": {
    read: (value) => (typeof value === "number" && value > 0 && value <= 3600 ? `${value}` : null),
    words: "a number of seconds, at most 3600",
  },
};

/** Where a key is written, counted from 1; null where it is not found. */
function lineOf(text: string, key: string, within: string | null): number | null {
  let table: string | null = null;
  for (const [index, line] of text.split("\n").entries()) {
    const head = /^\s*\[\s*"?([^\]"]*?)"?\s*\]/.exec(line);
    if (head) table = head[1]!;
    const written = head ? head[1] : /^\s*"?([^"=]*?)"?\s*=/.exec(line)?.[1];
    if (written === key && (head ? within === null : table === within)) return index + 1;
  }
  return null;
}

class Wrong extends Error {
  readonly key: string;
  readonly table: string | null;

  constructor(key: string, message: string, table: string | null = null) {
    super(message);
    this.key = key;
    this.table = table;
  }
}

const unknown = (key: string, known: readonly string[]): Wrong => {
  const [near] = similar(key, known);
  return new Wrong(
    key,
    `${JSON.stringify(key.slice(0, 100))} is not known; ${near ? `"${near}"?` : `there are ${known.join(", ")}`}`,
  );
};

/** Reads engine.toml. Throws `engine_config_invalid`, which names file and line. */
export function readEngineConfig(text: string, file: string): Settings {
  return saying(file, text, () => {
    const values: Record<string, string> = {};
    const table = parseToml(text);
    for (const [key, value] of Object.entries(table)) {
      if (key === "runtimes") continue;
      const kind = Object.hasOwn(kinds, key) ? kinds[key] : undefined;
      if (!kind) throw unknown(key, [...Object.keys(kinds), "runtimes"]);
      const read = kind.read(value);
      if (read === null) throw new Wrong(key, `"${key}" must be ${kind.words}`);
      values[key] = read;
    }
    return { runtimes: runtimesOf(table.runtimes ?? {}, (value) => value), values };
  });
}

/** Of Docker's daemon.json what means the same here; of the rest the first key is an error. Throws `engine_config_invalid`. */
export function readDaemonJson(text: string, file: string): Settings {
  return saying(file, text, () => {
    const table: unknown = JSON.parse(text);
    if (!isTable(table)) throw new Error("must be an object");
    const values: Record<string, string> = {};
    for (const [key, value] of Object.entries(table)) {
      if (key === "default-runtime") {
        if (typeof value !== "string") throw new Wrong(key, `"${key}" must be a runtime's name`);
        values[key] = value;
      } else if (key === "exec-opts") Object.assign(values, driverOf(value));
      else if (key !== "runtimes") throw unknown(key, ["default-runtime", "exec-opts", "runtimes"]);
    }
    return { runtimes: runtimesOf(table.runtimes ?? {}, (value) => (isTable(value) ? value.path : value)), values };
  });
}

function driverOf(options: unknown): Record<string, string> {
  const wrong = new Wrong("exec-opts", '"exec-opts" must be ["native.cgroupdriver=cgroupfs"] or ["native.cgroupdriver=systemd"]');
  if (!Array.isArray(options)) throw wrong;
  const drivers = options.map((option) => /^native\.cgroupdriver=(cgroupfs|systemd)$/.exec(String(option))?.[1]);
  if (drivers.includes(undefined)) throw wrong;
  const driver = drivers.at(-1);
  return driver ? { "cgroup-driver": driver } : {};
}

function runtimesOf(table: unknown, pathOf: (value: unknown) => unknown): Record<string, string> {
  if (!isTable(table)) throw new Wrong("runtimes", '"runtimes" must be a table of names and paths');
  const runtimes: Record<string, string> = {};
  for (const [name, value] of Object.entries(table as Table)) {
    const program = pathOf(value);
    if (!isName(name) || !isPath(program))
      throw new Wrong(name, `runtime ${JSON.stringify(name.slice(0, 100))} must be a name and an absolute path`, "runtimes");
    runtimes[name] = program;
  }
  return runtimes;
}

function saying<T>(file: string, text: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    const line = error instanceof Wrong ? lineOf(text, error.key, error.table) : null;
    throw new OnggiError("engine_config_invalid", `${file}:${line === null ? "" : ` line ${line}:`} ${messageOf(error)}`);
  }
}

/** "NAME=PATH" words as runtimes. Throws UsageError, which names where they are from. */
export function namedRuntimes(words: readonly string[], from: string): Record<string, string> {
  const named = words.map((given) => {
    const [name = "", program = ""] = given.split(/=(.*)/s);
    if (!isName(name) || !program.startsWith("/"))
      throw new UsageError(`${from} ${given}: write NAME=PATH with an absolute path`);
    return [name, program];
  });
  return Object.fromEntries(named);
}

interface Source {
  readonly from: string;
  readonly runtimes: Readonly<Record<string, string>>;
  readonly values: Readonly<Record<string, string | undefined>>;
}

const variable = (name: string): string => `ONGGI_${name.toUpperCase().replaceAll("-", "_")}`;

const properties = {
  "cgroup-driver": "cgroupDriver",
  "default-runtime": "defaultRuntime",
  registries: "registries",
  policy: "policy",
  "docker-socket": "dockerSocket",
  "docker-host": "dockerHost",
  tlscacert: "tlsCa",
  tlscert: "tlsCert",
  tlskey: "tlsKey",
  "cni-config-dir": "cniConfigDir",
  "cni-bin-dir": "cniBinDir",
  "cni-timeout": "cniTimeout",
} as const;

const defaults = (run: string): Readonly<Record<keyof typeof properties, string>> => ({
  "cgroup-driver": "cgroupfs",
  "default-runtime": "onggi",
  registries: "/etc/onggi/registries.toml",
  policy: "/etc/onggi/policy.toml",
  "docker-socket": `${run}/docker.sock`,
  "docker-host": "none",
  tlscacert: "none",
  tlscert: "none",
  tlskey: "none",
  "cni-config-dir": "/etc/cni/net.d",
  "cni-bin-dir": "/opt/cni/bin:/usr/lib/cni",
  "cni-timeout": "30",
});

/**
 * What is in force, and from where. `read` gives a file's text, null where there is none. A file that was named must be there.
 * Throws `engine_config_invalid`, `engine_config_missing`, UsageError.
 */
export function engineSettings(
  flags: EngineFlags,
  env: Readonly<Record<string, string | undefined>>,
  run: string,
  read: (file: string) => string | null,
): { flags: EngineFlags; settings: EngineSetting[] } {
  const named = flags.config ?? (env.ONGGI_CONFIG || undefined);
  const sources: Source[] = [flagSource(flags), envSource(env)];
  const from = (file: string, must: boolean, parse: (text: string, file: string) => Settings): void => {
    const text = read(file);
    if (text !== null) sources.push({ from: file, ...parse(text, file) });
    else if (must) throw new OnggiError("engine_config_missing", `${file}: no such file`);
  };
  from(named ?? CONFIG_FILE, named !== undefined, readEngineConfig);
  if (flags.daemonJson !== undefined) from(flags.daemonJson, true, readDaemonJson);

  const builtIn = defaults(run);
  const settings: EngineSetting[] = [];
  const values: Record<string, string | undefined> = {};
  for (const name of Object.keys(properties) as (keyof typeof properties)[]) {
    const source = sources.find((each) => each.values[name] !== undefined);
    values[properties[name]] = source?.values[name];
    settings.push({ name, value: source?.values[name] ?? builtIn[name], from: source?.from ?? "default" });
  }
  const runtimes: Record<string, string> = {};
  for (const source of sources) {
    for (const [name, program] of Object.entries(source.runtimes)) {
      if (Object.hasOwn(runtimes, name)) continue;
      runtimes[name] = program;
      settings.push({ name: `runtimes.${name}`, value: program, from: source.from });
    }
  }
  return { flags: { ...flags, ...values, runtimes }, settings };
}

function flagSource(flags: EngineFlags): Source {
  const values = Object.entries(properties).map(([name, property]) => [name, flags[property]]);
  return { from: "flag", runtimes: flags.runtimes, values: Object.fromEntries(values) };
}

function envSource(env: Readonly<Record<string, string | undefined>>): Source {
  const values = Object.keys(properties).map((name) => [name, env[variable(name)] || undefined]);
  const runtimes = namedRuntimes(env.ONGGI_RUNTIMES ? env.ONGGI_RUNTIMES.split(",") : [], "ONGGI_RUNTIMES");
  return { from: "environment", runtimes, values: Object.fromEntries(values) };
}
