/** `--change` of import and commit: Dockerfile instructions that set an image's configuration. */
import { resolve } from "node:path";
import type { ImageConfig } from "../images/types.ts";
import { OnggiError } from "../lib/errors.ts";
import { expandWord, splitWords, variablesOf } from "./change-words.ts";

const CHANGE = /^\s*(CMD|ENTRYPOINT|ENV|USER|WORKDIR|LABEL|STOPSIGNAL|EXPOSE|VOLUME|ONBUILD|HEALTHCHECK)\s+(.+?)\s*$/i;

/** A list of strings as JSON. */
const listOf = (text: string): string[] => {
  const words: unknown = JSON.parse(text);
  if (!Array.isArray(words) || !words.every((word) => typeof word === "string")) throw new SyntaxError("not a list of strings");
  return words;
};

/** A list, or what the image's shell is to run. */
const commandOf = (text: string, { Shell = ["/bin/sh", "-c"] }: Config): string[] =>
  text.startsWith("[") ? listOf(text) : [...Shell, text];

type Config = ImageConfig["config"];

/** A word, or each of several, with the variables of the configuration. */
const expanded = (text: string, { Env }: Config): string => expandWord(text, variablesOf(Env));
const allExpanded = (text: string, { Env }: Config): string[] =>
  splitWords(text).map((word) => expandWord(word, variablesOf(Env)));

/** "a=1 b='2 3'", or of old one name and all that follows it. */
const pairs = (text: string, config: Config): [string, string][] => {
  const words = splitWords(text);
  if (!words[0]?.includes("=")) {
    const [, name = "", value] = /^(\S+)\s+(.*)$/s.exec(text) ?? [];
    if (value === undefined) throw new SyntaxError("give NAME=VALUE");
    return [[name, expanded(value, config)]];
  }
  return words.map((word) => {
    const at = word.indexOf("=");
    if (at < 1) throw new SyntaxError(`"${word}" is not NAME=VALUE`);
    return [expanded(word.slice(0, at), config), expanded(word.slice(at + 1), config)];
  });
};

/** Of "80", "80/udp" and "8000-8002/tcp" each single port. */
const ports = (text: string): string[] => {
  const [, first = "", last = first, protocol = "tcp"] = /^(\d+)(?:-(\d+))?(?:\/(tcp|udp|sctp))?$/i.exec(text) ?? [];
  const [from, to] = [Number(first), Number(last)];
  if (first === "" || from > to || to > 65_535) throw new SyntaxError(`"${text}" is no port such as 80 or 53/udp`);
  return Array.from({ length: to - from + 1 }, (_, more) => `${from + more}/${protocol.toLowerCase()}`);
};

/** Go durations ("1m30s") in nanoseconds. */
const nanoseconds = (text: string): number => {
  const units: Record<string, number> = { ms: 1e6, s: 1e9, m: 60e9, h: 3600e9 };
  if (!/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(text)) throw new SyntaxError(`"${text}" is no duration such as 1m30s`);
  return [...text.matchAll(/([\d.]+)(ms|s|m|h)/g)].reduce((sum, [, count, unit]) => sum + Number(count) * units[unit!]!, 0);
};

/** Docker's Healthcheck of "[--interval=1m] [--retries=3] CMD words" or "NONE". */
const healthcheck = (text: string): object => {
  const fields: Record<string, unknown> = {};
  const names: Record<string, string> = {
    interval: "Interval",
    timeout: "Timeout",
    "start-period": "StartPeriod",
    "start-interval": "StartInterval",
  };
  let rest = text;
  for (let flag = /^--([a-z-]+)=(\S+)\s+/.exec(rest); flag; flag = /^--([a-z-]+)=(\S+)\s+/.exec(rest)) {
    const [whole, name = "", value = ""] = flag;
    if (name === "retries" && /^\d+$/.test(value)) fields.Retries = Number(value);
    else if (names[name]) fields[names[name]] = nanoseconds(value);
    else throw new SyntaxError(`no such option: --${name}=${value}`);
    rest = rest.slice(whole.length);
  }
  if (/^NONE$/i.test(rest)) return { Test: ["NONE"] };
  const command = /^CMD\s+(.+)$/is.exec(rest)?.[1];
  if (command === undefined) throw new SyntaxError("give NONE, or CMD and a command");
  return { ...fields, Test: command.startsWith("[") ? ["CMD", ...listOf(command)] : ["CMD-SHELL", command] };
};

const changes: Record<string, (config: Config, text: string, before: ReadonlySet<string>) => void> = {
  CMD: (config, text) => {
    config.Cmd = commandOf(text, config);
  },
  ENTRYPOINT: (config, text, before) => {
    config.Entrypoint = commandOf(text, config);
    // The command was meant for another one.
    if (!before.has("CMD")) delete config.Cmd;
  },
  ENV: (config, text) => {
    const env = [...(config.Env ?? [])];
    for (const [name, value] of pairs(text, config)) {
      const at = env.findIndex((old) => old.startsWith(`${name}=`));
      env.splice(at < 0 ? env.length : at, 1, `${name}=${value}`);
    }
    config.Env = env;
  },
  USER: (config, text) => {
    config.User = expanded(text, config);
  },
  WORKDIR: (config, text) => {
    config.WorkingDir = resolve("/", config.WorkingDir ?? "", expanded(text, config));
  },
  LABEL: (config, text) => {
    config.Labels = { ...config.Labels, ...Object.fromEntries(pairs(text, config)) };
  },
  STOPSIGNAL: (config, text) => {
    config.StopSignal = expanded(text, config);
  },
  EXPOSE: (config, text) => {
    const all = allExpanded(text, config).flatMap(ports);
    config.ExposedPorts = { ...config.ExposedPorts, ...Object.fromEntries(all.map((port) => [port, {}])) };
  },
  VOLUME: (config, text) => {
    const paths = text.startsWith("[") ? listOf(text) : allExpanded(text, config);
    config.Volumes = { ...config.Volumes, ...Object.fromEntries(paths.map((path) => [path, {}])) };
  },
  ONBUILD: (config, text) => {
    config.OnBuild = [...(config.OnBuild ?? []), text];
  },
  HEALTHCHECK: (config, text) => {
    config.Healthcheck = healthcheck(text);
  },
};

/** An image configuration with Dockerfile instructions of `--change` applied to it. Throws invalid_change. */
export function applyChanges(lines: readonly string[], base: Config = {}): Config {
  const config: Config = { ...base };
  const before = new Set<string>();
  for (const line of lines) {
    const match = CHANGE.exec(line);
    const [, name = "", text = ""] = match ?? [];
    try {
      if (!match) throw new SyntaxError("no such instruction");
      changes[name.toUpperCase()]?.(config, text, before);
      before.add(name.toUpperCase());
    } catch (error) {
      const known = Object.keys(changes).join(", ");
      throw new OnggiError("invalid_change", `--change ${JSON.stringify(line)}: ${(error as Error).message}; known are ${known}`);
    }
  }
  return config;
}
