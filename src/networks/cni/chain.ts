/**
 * The plugins of a network, one after the other: CNI specification 1.1, section 3. What an attachment needs to be deleted is in the
 * values that are passed in; nothing is remembered here.
 */
import { messageOf } from "../../lib/errors.ts";
import { printable } from "../../lib/printable.ts";
import { type NetworkConfig, type PluginConfig, type RequestExtras, requestConfig } from "./config.ts";
import { type JsonObject, parseJson } from "./json.ts";
import { type AttachmentParameters, type Command, findPlugin, PluginFailed, type PluginHost, runPlugin } from "./plugin.ts";
import { convertResult, parseResult, parseVersions } from "./result.ts";
import { isAtLeast } from "./versions.ts";

/** The specification's codes, section 5. */
const INCOMPATIBLE_VERSION = 1;
const UNAVAILABLE = [50, 51];

/** An attachment as it is added, checked and deleted. */
export interface ChainAttachment {
  readonly network: NetworkConfig;
  readonly parameters: AttachmentParameters;
  /** Capability arguments. */
  readonly capabilities: JsonObject;
}

const run = (
  host: PluginHost,
  network: NetworkConfig,
  plugin: PluginConfig,
  command: Command,
  extras: RequestExtras = {},
  parameters: AttachmentParameters | null = null,
): Promise<string> => runPlugin(host, { type: plugin.type, command, config: requestConfig(network, plugin, extras), parameters });

/** What a plugin has printed, in the network's version. @throws PluginFailed */
function resultOf(network: NetworkConfig, { type }: PluginConfig, text: string): JsonObject {
  try {
    const value = parseJson(text);
    parseResult(value);
    return convertResult(value as JsonObject, network.version);
  } catch (error) {
    const shown = printable(text, 100);
    throw new PluginFailed(`CNI plugin ${type} (ADD) printed no result: ${printable(messageOf(error))}: ${shown || "nothing"}`);
  }
}

/** The versions a plugin knows, by VERSION. @throws PluginFailed */
export async function versionsOf(
  host: PluginHost,
  { version }: NetworkConfig,
  { type }: PluginConfig,
): Promise<readonly string[]> {
  const text = await runPlugin(host, { type, command: "VERSION", config: { cniVersion: version }, parameters: null });
  let value: unknown;
  try {
    value = parseJson(text);
  } catch {
    value = undefined;
  }
  const versions = parseVersions(value);
  if (versions !== null) return versions;
  throw new PluginFailed(`CNI plugin ${type} (VERSION) does not say which versions it knows: ${printable(text, 100)}`);
}

/**
 * The network in the newest version that it is written for and all its plugins know; as it is where that is only one, or where they do
 * not say: then they are to refuse it themselves.
 */
export async function negotiate(host: PluginHost, network: NetworkConfig): Promise<NetworkConfig> {
  if (network.versions.length < 2) return network;
  try {
    const known = await Promise.all(network.plugins.map((plugin) => versionsOf(host, network, plugin)));
    const version = network.versions.find((one) => known.every((versions) => versions.includes(one)));
    return version === undefined ? network : { ...network, version };
  } catch (error) {
    host.log(`network cni:${network.name}: ${messageOf(error)}`);
    return network;
  }
}

/** An incompatible version is told with those that would do. */
async function explained(host: PluginHost, network: NetworkConfig, plugin: PluginConfig, error: unknown): Promise<unknown> {
  if (!(error instanceof PluginFailed) || error.pluginCode !== INCOMPATIBLE_VERSION) return error;
  const versions = await versionsOf(host, network, plugin).catch(() => []);
  if (versions.length === 0) return error;
  const known = printable(versions.join(", "));
  return new PluginFailed(
    `${error.message}; the network has cniVersion ${network.version}, the plugin knows ${known}`,
    INCOMPATIBLE_VERSION,
  );
}

/**
 * ADD, plugin by plugin; each gets the result of the one before it. Returns the last one's.
 * @throws PluginFailed: some plugins may have done their part, and the attachment is to be deleted
 */
export async function addChain(host: PluginHost, { network, parameters, capabilities }: ChainAttachment): Promise<JsonObject> {
  for (const { type } of network.plugins) findPlugin(type, host.binDirs);
  let prevResult: JsonObject | undefined;
  for (const plugin of network.plugins) {
    try {
      const text = await run(host, network, plugin, "ADD", { capabilities, prevResult }, parameters);
      prevResult = resultOf(network, plugin, text);
    } catch (error) {
      throw await explained(host, network, plugin, error);
    }
  }
  return prevResult ?? {};
}

/** From 0.4.0 on, DEL and CHECK are told what ADD has given. */
const resultFor = ({ version }: NetworkConfig, result: JsonObject | null): JsonObject | undefined =>
  result !== null && isAtLeast(version, "0.4.0") ? result : undefined;

/**
 * DEL, in reverse order. `result` is that of ADD; null where ADD has not come to an end. Once one has failed the others are not asked,
 * as theirs may be what it still needs; the attachment is to be deleted again. @throws PluginFailed
 */
export async function deleteChain(
  host: PluginHost,
  { network, parameters, capabilities }: ChainAttachment,
  result: JsonObject | null,
): Promise<void> {
  const extras = { capabilities, prevResult: resultFor(network, result) };
  for (const plugin of network.plugins.toReversed()) await run(host, network, plugin, "DEL", extras, parameters);
}

/** CHECK, in order. False: this network is not to be checked, or its version knows no CHECK. @throws PluginFailed */
export async function checkChain(
  host: PluginHost,
  { network, parameters, capabilities }: ChainAttachment,
  result: JsonObject,
): Promise<boolean> {
  if (network.disableCheck || !isAtLeast(network.version, "0.4.0")) return false;
  const extras = { capabilities, prevResult: resultFor(network, result) };
  for (const plugin of network.plugins) await run(host, network, plugin, "CHECK", extras, parameters);
  return true;
}

/** STATUS, where the version has it. @throws PluginFailed where a plugin says that it cannot take containers now */
export async function statusChain(host: PluginHost, network: NetworkConfig): Promise<void> {
  if (!isAtLeast(network.version, "1.1.0")) return;
  for (const plugin of network.plugins) {
    try {
      await run(host, network, plugin, "STATUS");
    } catch (error) {
      if (!(error instanceof PluginFailed)) throw error;
      if (error.pluginCode === null || !UNAVAILABLE.includes(error.pluginCode)) {
        // it says nothing of whether ADD would do
        host.log(error.message);
        continue;
      }
      const others = error.pluginCode === 51 ? "; containers that it has may not reach all they should" : "";
      throw new PluginFailed(`network cni:${network.name} takes no containers now: ${error.message}${others}`, error.pluginCode);
    }
  }
}

/** GC, where the version has it. All plugins are asked; their errors are returned. */
export async function collectChain(
  host: PluginHost,
  network: NetworkConfig,
  validAttachments: NonNullable<RequestExtras["validAttachments"]>,
): Promise<readonly string[]> {
  if (network.disableGC || !isAtLeast(network.version, "1.1.0")) return [];
  const errors: string[] = [];
  for (const plugin of network.plugins)
    await run(host, network, plugin, "GC", { validAttachments }).catch((error: unknown) => errors.push(messageOf(error)));
  return errors;
}
