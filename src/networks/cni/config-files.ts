/** The directory of CNI network configurations: /etc/cni/net.d. It is read whenever it is needed, as administrators change it. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { extname, join } from "node:path";
import { messageOf } from "../../lib/errors.ts";
import { NetworkError } from "../errors.ts";
import { type NetworkConfig, type PluginConfig, parseConf, parseConflist, parsePlugin } from "./config.ts";

/** A network as a file has it. */
export interface ConfigFile {
  readonly path: string;
  /** Unix milliseconds. */
  readonly changed: number;
  readonly network: NetworkConfig;
}

/** Files that are no networks. */
export interface BrokenFile {
  readonly path: string;
  readonly reason: string;
}

const MOST_BYTES = 1024 * 1024;
const MOST_FILES = 1000;

/** Files of a directory with one of the endings, in the order of their names' bytes. None where there is no directory. */
function filesIn(directory: string, endings: readonly string[]): string[] {
  let names: string[];
  try {
    names = readdirSync(directory, { withFileTypes: true })
      .filter((entry) => !entry.isDirectory())
      .map(({ name }) => name);
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "")) return [];
    throw error;
  }
  const chosen = names.filter((name) => endings.includes(extname(name))).slice(0, MOST_FILES);
  return chosen.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))).map((name) => join(directory, name));
}

function textOf(path: string): string {
  const { size } = statSync(path);
  if (size > MOST_BYTES) throw new NetworkError("network_invalid", `it has ${size} bytes; at most ${MOST_BYTES} are read`);
  return readFileSync(path, "utf8");
}

/** Plugins of the folder beside a list that has the network's name. */
function folderPlugins(directory: string, name: string): PluginConfig[] {
  return filesIn(join(directory, name), [".conf"]).map((path) => {
    try {
      return parsePlugin(textOf(path));
    } catch (error) {
      throw new NetworkError("network_invalid", `${path}: ${messageOf(error)}`);
    }
  });
}

function networkOf(path: string, directory: string): NetworkConfig {
  const text = textOf(path);
  if (extname(path) !== ".conflist") return parseConf(text);
  const network = parseConflist(text);
  const plugins = network.onlyInlined ? network.plugins : [...network.plugins, ...folderPlugins(directory, network.name)];
  if (plugins.length === 0)
    throw new NetworkError("network_invalid", `it has no plugins, nor has the folder ${network.name} beside it`);
  return { ...network, plugins };
}

/**
 * All networks of a directory, lists before single plugins, each in the order of the files' names: the first of a name is the one that
 * counts, as in libcni. A file that is none does not keep the others. @throws an error of readdir(3) other than ENOENT
 */
export function readConfigs(directory: string): {
  readonly networks: readonly ConfigFile[];
  readonly broken: readonly BrokenFile[];
} {
  const networks = new Map<string, ConfigFile>();
  const broken: BrokenFile[] = [];
  for (const path of [...filesIn(directory, [".conflist"]), ...filesIn(directory, [".conf", ".json"])]) {
    try {
      const network = networkOf(path, directory);
      if (!networks.has(network.name)) networks.set(network.name, { path, changed: statSync(path).mtimeMs, network });
    } catch (error) {
      broken.push({ path, reason: messageOf(error) });
    }
  }
  return { networks: [...networks.values()], broken };
}

/** @throws NetworkError network_not_found, which says what could not be read */
export function findConfig(directory: string, name: string): ConfigFile {
  const { networks, broken } = readConfigs(directory);
  const found = networks.find(({ network }) => network.name === name);
  if (found !== undefined) return found;
  const known = networks.map(({ network }) => network.name).join(", ");
  const others = networks.length > 0 ? `there are ${known}` : "there is none";
  const problems = broken.map(({ path, reason }) => `; ${path} is left out: ${reason}`).join("");
  throw new NetworkError("network_not_found", `no CNI network ${JSON.stringify(name)} in ${directory}: ${others}${problems}`);
}
