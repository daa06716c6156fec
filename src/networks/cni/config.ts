/**
 * Network configurations of the CNI specification 1.1, section 1: a list of plugins (`.conflist`), or a single plugin (`.conf`, as it
 * was before 0.3.0). Pure.
 */
import { messageOf } from "../../lib/errors.ts";
import { printable } from "../../lib/printable.ts";
import { NetworkError } from "../errors.ts";
import { isObject, isText, type JsonObject, parseJson } from "./json.ts";
import { known, type SpecVersion, VERSIONS } from "./versions.ts";

/** One plugin of a network. */
export interface PluginConfig {
  /** Its program's name. */
  readonly type: string;
  /** What it wants to be told at run time, by the names of CONVENTIONS.md. */
  readonly capabilities: readonly string[];
  /** All that was written. */
  readonly fields: JsonObject;
}

export interface NetworkConfig {
  readonly name: string;
  /** What is spoken: the newest that the configuration is written for and we know. */
  readonly version: SpecVersion;
  /** All of those, newest first: where plugins do not know the newest, another may do. */
  readonly versions: readonly SpecVersion[];
  readonly disableCheck: boolean;
  readonly disableGC: boolean;
  /** Plugins of the folder beside the file do not count. */
  readonly onlyInlined: boolean;
  /** May be empty: then the folder has them. */
  readonly plugins: readonly PluginConfig[];
}

/** So many plugins in a network are nobody's intention. */
const MOST_PLUGINS = 64;

const invalid = (why: string): NetworkError => new NetworkError("network_invalid", why);

/** A program's name, not a path. */
const isProgramName = (text: unknown): text is string =>
  isText(text) && text !== "" && text !== "." && text !== ".." && !/[/\\\0]/.test(text);

/** @throws NetworkError network_invalid */
function versionsOf({ cniVersion, cniVersions = [] }: JsonObject): Pick<NetworkConfig, "version" | "versions"> {
  if (cniVersion !== undefined && !isText(cniVersion)) throw invalid("cniVersion is not a text");
  if (!Array.isArray(cniVersions) || !cniVersions.every(isText)) throw invalid("cniVersions is not a list of texts");
  const given = [...(cniVersion === undefined ? [] : [cniVersion]), ...cniVersions];
  // one that says nothing is older than the field
  const versions = known(given.length === 0 || cniVersion === "" ? ["0.1.0", ...given] : given);
  const [version] = versions;
  if (version !== undefined) return { version, versions };
  const texts = printable(given.join(", "), 80);
  throw invalid(`it is written for version ${texts} of the CNI specification; known are ${VERSIONS.join(", ")}`);
}

/** As in libcni also as a text. @throws NetworkError network_invalid */
function flagOf(fields: JsonObject, key: string): boolean {
  const value = fields[key] ?? false;
  if (typeof value === "boolean") return value;
  if (isText(value) && /^(true|false)$/i.test(value)) return value.toLowerCase() === "true";
  throw invalid(`${key} is neither true nor false`);
}

/** @throws NetworkError network_invalid, also for what is no JSON */
function objectOf(text: string): JsonObject {
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (error) {
    throw invalid(`not JSON: ${printable(messageOf(error))}`);
  }
  if (!isObject(value)) throw invalid("not a JSON object");
  return value;
}

/** @throws NetworkError network_invalid */
function pluginOf(fields: unknown, where: string): PluginConfig {
  if (!isObject(fields)) throw invalid(`${where} is not an object`);
  const { type, capabilities = {} } = fields;
  if (!isProgramName(type)) throw invalid(`${where} has no type that names a program`);
  if (capabilities !== null && !isObject(capabilities)) throw invalid(`${where}: capabilities is not an object`);
  const on = Object.entries(capabilities ?? {}).filter(([, wanted]) => wanted === true);
  return { type, capabilities: on.map(([name]) => name), fields };
}

/** What names a network: also that of a folder. @throws NetworkError network_invalid */
function nameOf({ name }: JsonObject): string {
  if (isText(name) && /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$/.test(name)) return name;
  throw invalid("it has no name of letters, digits, _, . and -, the first a letter or digit");
}

/** The text of a file that is one plugin: of a network's folder. @throws NetworkError network_invalid */
export const parsePlugin = (text: string): PluginConfig => pluginOf(objectOf(text), "the plugin");

/** The text of a `.conf` or `.json`: a network of one plugin. @throws NetworkError network_invalid */
export function parseConf(text: string): NetworkConfig {
  const fields = objectOf(text);
  const [name, versions, plugin] = [nameOf(fields), versionsOf(fields), pluginOf(fields, "the network")];
  return { name, ...versions, disableCheck: false, disableGC: false, onlyInlined: true, plugins: [plugin] };
}

/** The text of a `.conflist`. @throws NetworkError network_invalid */
export function parseConflist(text: string): NetworkConfig {
  const fields = objectOf(text);
  const { plugins } = fields;
  const onlyInlined = flagOf(fields, "loadOnlyInlinedPlugins");
  if (plugins === undefined && onlyInlined) throw invalid("loadOnlyInlinedPlugins is true, but there are no plugins in it");
  if (plugins !== undefined && !(Array.isArray(plugins) && plugins.length > 0)) throw invalid("plugins is not a list of plugins");
  const list = (plugins ?? []) as readonly unknown[];
  if (list.length > MOST_PLUGINS) throw invalid(`it has ${list.length} plugins; at most ${MOST_PLUGINS} are run`);
  return {
    name: nameOf(fields),
    ...versionsOf(fields),
    disableCheck: flagOf(fields, "disableCheck"),
    disableGC: flagOf(fields, "disableGC"),
    onlyInlined,
    plugins: list.map((plugin, index) => pluginOf(plugin, `plugin ${index + 1}`)),
  };
}

/** A configuration as a `.conflist` that parseConflist reads as the same: so it is kept until an attachment is deleted. */
export const conflistOf = ({ name, version, disableCheck, disableGC, plugins }: NetworkConfig): JsonObject => ({
  cniVersion: version,
  name,
  disableCheck,
  disableGC,
  loadOnlyInlinedPlugins: true,
  plugins: plugins.map(({ fields }) => fields),
});

export interface RequestExtras {
  /** By capability; each plugin gets those that it wants. */
  readonly capabilities?: JsonObject;
  readonly prevResult?: JsonObject | undefined;
  /** For GC: what is still there. */
  readonly validAttachments?: readonly { readonly containerID: string; readonly ifname: string }[];
}

/** Keys that only the runtime writes. */
const isReserved = (key: string): boolean =>
  ["capabilities", "runtimeConfig", "prevResult"].includes(key) || key.startsWith("cni.dev/");

/** What one plugin reads on its standard input: specification, section 3, "Deriving request configuration". */
export function requestConfig(network: NetworkConfig, plugin: PluginConfig, extras: RequestExtras = {}): JsonObject {
  const { capabilities = {}, prevResult, validAttachments } = extras;
  const wanted = Object.entries(capabilities).filter(([name]) => plugin.capabilities.includes(name));
  return {
    ...Object.fromEntries(Object.entries(plugin.fields).filter(([key]) => !isReserved(key))),
    cniVersion: network.version,
    name: network.name,
    ...(wanted.length > 0 ? { runtimeConfig: Object.fromEntries(wanted) } : {}),
    ...(prevResult === undefined ? {} : { prevResult }),
    ...(validAttachments === undefined ? {} : { "cni.dev/valid-attachments": validAttachments }),
  };
}
