/**
 * What an engine is set to: by flags, by the environment, by engine.toml, by a daemon.json of Docker's, in this order.
 * docs/configuration.md lists the settings. Pure, but for what `read` reads.
 */
import type { EngineSetting } from "../api/control/types.ts";
import { OnggiError } from "../lib/errors.ts";
import type { EngineFlags } from "./context.ts";
import { type FileSettings, readDaemonJson, readEngineConfig } from "./engine-files.ts";
import { type FlagKey, flagKeys, isName, keys, names, shown, type Values } from "./engine-keys.ts";
import { UsageError } from "./errors.ts";

export const CONFIG_FILE = "/etc/onggi/engine.toml";

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

interface Source extends FileSettings {
  readonly from: string;
}

const variable = (name: string): string => `ONGGI_${name.toUpperCase().replaceAll("-", "_")}`;

const properties = {
  "cgroup-driver": "cgroupDriver",
  "default-runtime": "defaultRuntime",
  registries: "registries",
  policy: "policy",
  "docker-socket": "dockerSocket",
  "read-only-socket": "readOnlySocket",
  "docker-host": "dockerHost",
  tlscacert: "tlsCa",
  tlscert: "tlsCert",
  tlskey: "tlsKey",
  "cni-config-dir": "cniConfigDir",
  "cni-bin-dir": "cniBinDir",
  "cni-timeout": "cniTimeout",
} as const satisfies Record<FlagKey, keyof EngineFlags>;

const flagNames = Object.keys(flagKeys) as FlagKey[];

/** What is in force: the flags with what all sources say of them, the other settings, and all of them for `engine config`. */
export interface EngineSettings {
  readonly flags: EngineFlags;
  readonly values: Values;
  readonly settings: readonly EngineSetting[];
}

/**
 * What is in force, and from where. `read` gives a file's text, null where there is none. A file that was named must be there.
 * Throws `engine_config_invalid`, `engine_config_missing`, UsageError.
 */
export function engineSettings(
  flags: EngineFlags,
  env: Readonly<Record<string, string | undefined>>,
  run: string,
  read: (file: string) => string | null,
): EngineSettings {
  const sources = sourcesOf(flags, env, read);
  const settings: EngineSetting[] = [];
  const values: Record<string, unknown> = {};
  for (const name of names) {
    const source = sources.find((each) => each.values[name] !== undefined);
    if (source) values[name] = source.values[name];
    const { otherwise, when } = keys[name];
    const builtIn = typeof otherwise === "string" ? otherwise : otherwise(run);
    settings.push({ name, value: source ? shown(values[name]) : builtIn, ...placeOf(source, name), when });
  }
  const runtimes: Record<string, string> = {};
  for (const source of sources) {
    for (const [name, program] of Object.entries(source.runtimes)) {
      if (Object.hasOwn(runtimes, name)) continue;
      runtimes[name] = program;
      settings.push({ name: `runtimes.${name}`, value: program, ...placeOf(source, `runtimes.${name}`), when: "reload" });
    }
  }
  const given = Object.fromEntries(flagNames.map((name) => [properties[name], values[name]]));
  return { flags: { ...flags, ...given, runtimes }, values: values as Values, settings };
}

function placeOf(source: Source | undefined, name: string): Pick<EngineSetting, "from" | "line"> {
  const line = source?.lines[name];
  return { from: source?.from ?? "default", ...(line === undefined ? {} : { line }) };
}

function sourcesOf(
  flags: EngineFlags,
  env: Readonly<Record<string, string | undefined>>,
  read: (file: string) => string | null,
): Source[] {
  const named = flags.config ?? (env.ONGGI_CONFIG || undefined);
  const sources: Source[] = [flagSource(flags), envSource(env)];
  const from = (file: string, must: boolean, parse: (text: string, file: string) => FileSettings): void => {
    const text = read(file);
    if (text !== null) sources.push({ from: file, ...parse(text, file) });
    else if (must) throw new OnggiError("engine_config_missing", `${file}: no such file`);
  };
  from(named ?? CONFIG_FILE, named !== undefined, readEngineConfig);
  if (flags.daemonJson !== undefined) from(flags.daemonJson, true, readDaemonJson);
  return sources;
}

function flagSource(flags: EngineFlags): Source {
  const values = flagNames.map((name) => [name, flags[properties[name]]]);
  return { from: "flag", runtimes: flags.runtimes, values: Object.fromEntries(values), lines: {} };
}

function envSource(env: Readonly<Record<string, string | undefined>>): Source {
  const values = flagNames.map((name) => [name, env[variable(name)] || undefined]);
  const runtimes = namedRuntimes(env.ONGGI_RUNTIMES ? env.ONGGI_RUNTIMES.split(",") : [], "ONGGI_RUNTIMES");
  return { from: "environment", runtimes, values: Object.fromEntries(values), lines: {} };
}
