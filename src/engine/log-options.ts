/** Log drivers and their options, as Docker spells them. Pure but for what it throws. */
import { OnggiError } from "../lib/errors.ts";
import { lookUp } from "../lib/tables.ts";
import { compile } from "../lib/template.ts";
import { parseBytes } from "../lib/units.ts";
import type { LogConfig } from "./types.ts";

/** What every driver that writes or forwards entries knows. `mode` and `max-buffer-size` change nothing: nothing waits for a log here. */
const common = ["labels", "labels-regex", "env", "env-regex", "tag", "mode", "max-buffer-size"];
const bounds = ["max-size", "max-file", "compress"];
const cache = ["cache-disabled", "cache-max-size", "cache-max-file", "cache-compress"];
const tls = ["ca-cert", "cert", "key", "skip-verify"].map((name) => `syslog-tls-${name}`);

const known: Readonly<Record<LogConfig["driver"], readonly string[]>> = {
  "json-file": [...bounds, ...common],
  local: [...bounds, "mode", "max-buffer-size"],
  cri: ["max-size", "max-file"],
  journald: [...common, ...cache],
  syslog: ["syslog-address", "syslog-facility", "syslog-format", ...tls, ...common, ...cache],
  none: [],
};

const refuse = (why: string): never => {
  throw new OnggiError("invalid_log_options", why);
};

const regex = (name: string, value: string): RegExp => {
  try {
    return new RegExp(value);
  } catch {
    return refuse(`log opt ${name}=${value} is not a regular expression`);
  }
};

/** Of a log that nothing else is said of: bytes of a file, and files. */
const MOST_BYTES = 100 * 2 ** 20;
const MOST_FILES = 3;

/** A driver with its options. Throws for bounds that are none; what belongs to which driver `checkLog` knows. */
export function logConfig(driver: LogConfig["driver"], options: Readonly<Record<string, string>>): LogConfig {
  const size = options["max-size"] ?? options["cache-max-size"];
  const files = options["max-file"] ?? options["cache-max-file"];
  if (files !== undefined && !/^[1-9]\d*$/.test(files)) refuse(`log opt max-file=${files} is no number from 1 on`);
  return {
    driver,
    maxSize: size === undefined ? MOST_BYTES : size === "-1" ? 0 : parseBytes(size, "log opt max-size"),
    // a size alone means one file
    maxFiles: files === undefined ? (size === undefined ? MOST_FILES : 1) : Number(files),
    ...(Object.keys(options).length > 0 ? { options: { ...options } } : {}),
  };
}

/** Throws "invalid_log_options" for a driver nobody knows, an option that is not its, and a value that none is. */
export function checkLog(log: LogConfig | undefined): void {
  if (!log) return;
  const names = lookUp(known, log.driver) ?? refuse(`no such log driver: ${log.driver}; one of ${Object.keys(known).join(", ")}`);
  for (const [name, value] of Object.entries(log.options ?? {})) {
    if (!names.includes(name)) refuse(`unknown log opt '${name}' for ${log.driver} log driver`);
    if (name.endsWith("-regex")) regex(name, value);
  }
  const { compress, mode, tag, "cache-disabled": disabled } = log.options ?? {};
  if (compress === "true" && (log.maxSize <= 0 || log.maxFiles < 2))
    refuse("compress cannot be true when max-file is less than 2 or max-size is not set");
  if (disabled === "true")
    refuse("log opt cache-disabled=true: what is forwarded is taken from the local log; bound it with cache-max-size");
  if (mode !== undefined && mode !== "blocking" && mode !== "non-blocking")
    refuse(`logger: log mode ${JSON.stringify(mode)} not supported`);
  if (tag) compile(tag);
  if (log.driver === "syslog") syslogOptions(log.options ?? {});
}

/** Whether it is passed on to somebody, besides being kept. */
export const isForwarded = (log: LogConfig | undefined): boolean => log?.driver === "journald" || log?.driver === "syslog";

/** How it is written, for those who read it: null where it is not. */
export const logFormat = (log: LogConfig | undefined): "json-file" | "cri" | null =>
  log?.driver === "none" ? null : log?.driver === "cri" ? "cri" : "json-file";

const FACILITIES = `kern user mail daemon auth syslog lpr news uucp cron authpriv ftp`.split(" ");

const FORMATS = ["", "rfc3164", "rfc5424", "rfc5424micro"] as const;

export interface SyslogOptions {
  readonly address:
    | { readonly kind: "udp" | "tcp" | "tcp+tls"; readonly host: string; readonly port: number }
    | { readonly kind: "unix" | "unixgram"; readonly path: string }
    /** This machine's, wherever it listens. */
    | { readonly kind: "local" };
  /** RFC 5424, table 1. */
  readonly facility: number;
  readonly format: (typeof FORMATS)[number];
  readonly tls: { readonly ca?: string; readonly cert?: string; readonly key?: string; readonly verify: boolean };
}

export function syslogOptions(options: Readonly<Record<string, string>>): SyslogOptions {
  const { "syslog-facility": facility = "daemon", "syslog-format": format = "" } = options;
  const wanted = FORMATS.find((one) => one === format) ?? refuse("Invalid syslog format");
  const [ca, cert, key, skip] = tls.map((name) => options[name]);
  return {
    address: syslogAddress(options["syslog-address"] ?? ""),
    facility: facilityOf(facility),
    format: wanted,
    tls: {
      ...(ca ? { ca } : {}),
      ...(cert ? { cert } : {}),
      ...(key ? { key } : {}),
      verify: skip === undefined || skip === "false",
    },
  };
}

function facilityOf(text: string): number {
  const local = /^local([0-7])$/.exec(text);
  if (local) return 16 + Number(local[1]);
  const number = /^\d+$/.test(text) ? Number(text) : FACILITIES.indexOf(text);
  return number >= 0 && number <= 23 ? number : refuse(`invalid syslog facility ${JSON.stringify(text)}`);
}

function syslogAddress(text: string): SyslogOptions["address"] {
  if (text === "") return { kind: "local" };
  const [, kind = "", rest = ""] = /^([a-z+]+):\/\/(.+)$/.exec(text) ?? [];
  if ((kind === "unix" || kind === "unixgram") && rest.startsWith("/")) return { kind, path: rest };
  if (kind === "udp" || kind === "tcp" || kind === "tcp+tls") {
    const [, bracketed, plain, port] = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]/]+))(?::(\d+))?$/.exec(rest) ?? [];
    const host = bracketed ?? plain;
    const number = Number(port ?? 514);
    if (host !== undefined && number > 0 && number < 65536) return { kind, host, port: number };
  }
  return refuse(`syslog-address should be in form proto://address, got ${text}; proto is udp, tcp, tcp+tls, unix or unixgram`);
}

/** What an entry is told with: labels and variables that the options name, by their names. */
export function logAttributes(
  options: Readonly<Record<string, string>>,
  labels: Readonly<Record<string, string>>,
  env: readonly string[],
): Record<string, string> {
  const found: Record<string, string> = {};
  const variables = Object.fromEntries(env.map((pair) => [pair.split("=")[0] ?? "", pair.split(/=(.*)/s)[1] ?? ""]));
  const take = (from: Readonly<Record<string, string>>, names: string | undefined, pattern: string | undefined) => {
    const listed = new Set((names ?? "").split(",").filter(Boolean));
    const matches = pattern ? regex("regex", pattern) : undefined;
    for (const [name, value] of Object.entries(from)) if (listed.has(name) || matches?.test(name)) found[name] = value;
  };
  take(labels, options.labels, options["labels-regex"]);
  take(variables, options.env, options["env-regex"]);
  return found;
}
