/**
 * containerd's hosts.toml: which hosts a registry's content is asked of, and with what. Pure. Source: containerd's docs/hosts.md.
 * Keys that are not known are passed over, as containerd does.
 */
import { isAbsolute, join } from "node:path";
import { messageOf, OnggiError } from "../../lib/errors.ts";
import { parseDuration } from "../../lib/time.ts";
import { isTable, parseToml, type Table } from "../../lib/toml.ts";

export type Capability = "pull" | "resolve" | "push";

export interface HostEntry {
  /** null: the registry's own place. */
  readonly place: { readonly scheme: "https" | "http"; readonly host: string; readonly root: string } | null;
  /** What it may be asked for; null where the file does not say. */
  readonly capabilities: ReadonlySet<Capability> | null;
  /** Absolute paths. */
  readonly ca: readonly string[];
  /** Certificate and key, which may be one file. */
  readonly client: { readonly cert: string; readonly key: string } | null;
  readonly skipVerify: boolean;
  readonly headers: Readonly<Record<string, string>>;
  /** Milliseconds; null where the file does not say. */
  readonly dialTimeout: number | null;
}

export interface HostsFile {
  /** In the order they are asked. */
  readonly hosts: readonly HostEntry[];
  /** Asked last. */
  readonly server: HostEntry;
}

/** The directories that may hold a registry's file, the first that is there counts. */
export const hostDirectories = (domain: string): string[] => {
  const match = /^(.+):([0-9]+)$/.exec(domain);
  return [...(match ? [`${match[1]}_${match[2]}_`] : []), domain, "_default"];
};

const capabilities: readonly string[] = ["pull", "resolve", "push"];
const headerName = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const headerValue = /^[\x20-\x7e\t]*$/;

const placeOf = (text: string, overridePath: boolean, at: string): HostEntry["place"] => {
  const written = /^https?:\/\//.test(text) ? text : `https://${text}`;
  const url = URL.canParse(written) ? new URL(written) : null;
  if (!url || [url.username, url.password, url.search, url.hash].some((part) => part !== ""))
    throw new Error(`${at} must be a URL: "https://HOST[:PORT][/PATH]"`);
  const path = url.pathname.replace(/\/+$/, "");
  const root = overridePath || path.endsWith("/v2") ? path : `${path}/v2`;
  return { scheme: url.protocol === "http:" ? "http" : "https", host: url.host, root };
};

const listOf = (value: unknown): readonly unknown[] => (value === undefined ? [] : Array.isArray(value) ? value : [value]);

const clientOf = (value: unknown, fileOf: (path: unknown) => string, at: string): HostEntry["client"] => {
  const [first] = listOf(value);
  if (first === undefined) return null;
  if (!Array.isArray(first)) return { cert: fileOf(first), key: fileOf(first) };
  if (first.length !== 2) throw new Error(`${at} must be pairs of a certificate and a key`);
  return { cert: fileOf(first[0]), key: fileOf(first[1] === "" ? first[0] : first[1]) };
};

const headersOf = (value: unknown, at: string): Record<string, string> => {
  if (value === undefined) return {};
  if (!isTable(value)) throw new Error(`${at} must be a table`);
  const found: Record<string, string> = {};
  for (const [name, given] of Object.entries(value)) {
    const words = listOf(given);
    if (!headerName.test(name) || !words.every((word) => typeof word === "string" && headerValue.test(word)))
      throw new Error(`${at}.${name.slice(0, 100)} must be a string or a list of strings that can be a header`);
    found[name] = words.join(", ");
  }
  return found;
};

/** Throws Error naming the key. */
const entryOf = (place: string | null, table: Table, directory: string, at: string): HostEntry => {
  const within = (key: string): string => (at === "" ? key : `${at}.${key}`);
  const fileAt =
    (key: string) =>
    (path: unknown): string => {
      if (typeof path !== "string" || path === "") throw new Error(`${within(key)} must name files`);
      return isAbsolute(path) ? path : join(directory, path);
    };
  const flag = (key: string): boolean => {
    const value = table[key] ?? false;
    if (typeof value !== "boolean") throw new Error(`${within(key)} must be true or false`);
    return value;
  };
  const able = listOf(table.capabilities).map((word) => String(word).toLowerCase());
  if (!able.every((word) => capabilities.includes(word)))
    throw new Error(`${within("capabilities")} must be of ${capabilities.join(", ")}`);
  const time = table.dial_timeout ?? "";
  const wait = typeof time === "string" && time !== "" ? parseDuration(time) : undefined;
  if (time !== "" && (wait === undefined || wait <= 0n)) throw new Error(`${within("dial_timeout")} must be a time such as "1s"`);
  const overridePath = flag("override_path");
  return {
    place: place === null ? null : placeOf(place, overridePath, at || "server"),
    capabilities: able.length > 0 ? new Set(able as Capability[]) : null,
    ca: listOf(table.ca).map(fileAt("ca")),
    client: clientOf(table.client, fileAt("client"), within("client")),
    skipVerify: flag("skip_verify"),
    headers: headersOf(table.header, within("header")),
    dialTimeout: wait === undefined ? null : Number(wait / 1_000_000n),
  };
};

/** Reads the text of `directory`/hosts.toml. Throws "registry_config_invalid", which names file, and line or key. */
export const readHostsFile = (text: string, directory: string): HostsFile => {
  try {
    const root = parseToml(text);
    const { server, host = {} } = root;
    if (server !== undefined && typeof server !== "string") throw new Error("server must be a URL");
    if (!isTable(host)) throw new Error("host must be a table of hosts");
    const hosts = Object.entries(host).map(([url, table]) => {
      const at = `host.${JSON.stringify(url.slice(0, 200))}`;
      if (!isTable(table)) throw new Error(`${at} must be a table`);
      return entryOf(url, table, directory, at);
    });
    return { hosts, server: entryOf(server || null, root, directory, "") };
  } catch (error) {
    throw new OnggiError("registry_config_invalid", `${join(directory, "hosts.toml")}: ${messageOf(error)}`);
  }
};
