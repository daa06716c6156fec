/** `--change` of import and commit: Dockerfile instructions that set an image's configuration. */
import type { ImageConfig } from "../images/types.ts";
import { OnggiError } from "../lib/errors.ts";

const CHANGE = /^\s*(CMD|ENTRYPOINT|ENV|USER|WORKDIR|LABEL|STOPSIGNAL|EXPOSE|VOLUME|ONBUILD|HEALTHCHECK)\s+(.+?)\s*$/i;

const wordsOf = (text: string): string[] => {
  if (!text.startsWith("[")) return ["/bin/sh", "-c", text];
  const words: unknown = JSON.parse(text);
  if (!Array.isArray(words) || !words.every((word) => typeof word === "string")) throw new SyntaxError("not a list of strings");
  return words;
};

const pair = (text: string): [string, string] => {
  const [key = "", value = ""] = text.split(/[=\s](.*)/s);
  return [key, value.replace(/^"(.*)"$/s, "$1")];
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
  return { ...fields, Test: command.startsWith("[") ? ["CMD", ...wordsOf(command)] : ["CMD-SHELL", command] };
};

const changes: Record<string, (config: ImageConfig["config"], text: string) => void> = {
  CMD: (config, text) => {
    config.Cmd = wordsOf(text);
  },
  ENTRYPOINT: (config, text) => {
    config.Entrypoint = wordsOf(text);
  },
  ENV: (config, text) => {
    const [name, value] = pair(text);
    config.Env = [...(config.Env ?? []).filter((old) => !old.startsWith(`${name}=`)), `${name}=${value}`];
  },
  USER: (config, text) => {
    config.User = text;
  },
  WORKDIR: (config, text) => {
    config.WorkingDir = text;
  },
  LABEL: (config, text) => {
    config.Labels = { ...config.Labels, ...Object.fromEntries([pair(text)]) };
  },
  STOPSIGNAL: (config, text) => {
    config.StopSignal = text;
  },
  EXPOSE: (config, text) => {
    config.ExposedPorts = { ...config.ExposedPorts, [text.includes("/") ? text : `${text}/tcp`]: {} };
  },
  VOLUME: (config, text) => {
    for (const path of text.startsWith("[") ? wordsOf(text) : text.split(/\s+/))
      config.Volumes = { ...config.Volumes, [path]: {} };
  },
  ONBUILD: (config, text) => {
    config.OnBuild = [...(config.OnBuild ?? []), text];
  },
  HEALTHCHECK: (config, text) => {
    config.Healthcheck = healthcheck(text);
  },
};

/** An image configuration with Dockerfile instructions of `--change` applied to it. Throws invalid_change. */
export function applyChanges(lines: readonly string[], base: ImageConfig["config"] = {}): ImageConfig["config"] {
  const config: ImageConfig["config"] = { ...base };
  for (const line of lines) {
    const match = CHANGE.exec(line);
    const [, name = "", text = ""] = match ?? [];
    try {
      if (!match) throw new SyntaxError("no such instruction");
      changes[name.toUpperCase()]?.(config, text);
    } catch (error) {
      const known = Object.keys(changes).join(", ");
      throw new OnggiError("invalid_change", `--change ${JSON.stringify(line)}: ${(error as Error).message}; known are ${known}`);
    }
  }
  return config;
}
