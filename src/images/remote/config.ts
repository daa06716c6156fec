/** registries.toml: what an administrator says of registries and of names in them. docs/registries.md describes it. Pure. */
import { messageOf, OnggiError } from "../../lib/errors.ts";
import { isTable, parseToml, type Table } from "../../lib/toml.ts";

/** How one place is reached. Paths of files are absolute. */
export interface PlaceConfig {
  /** "HOST[:PORT][/PATH]": where the names really are; the path stands for what the table's name has matched. */
  readonly location?: string;
  /** "http": plain HTTP alone; "either": https unverified, else http. */
  readonly insecure?: "http" | "either";
  /** File of PEM authorities, in place of the well-known ones. */
  readonly ca?: string;
  /** Files of the certificate shown to it, and of its key. */
  readonly cert?: string;
  readonly key?: string;
}

export interface MirrorConfig extends PlaceConfig {
  readonly location: string;
  /** What it is asked for: what a tag means, what a digest names, or both. As containers-registries.conf(5). */
  readonly "pull-from-mirror"?: "all" | "digest-only" | "tag-only";
  /** It is a cache of several registries and told which one is meant: `?ns=docker.io`. */
  readonly "pull-through"?: boolean;
  /** Seconds for its connection. */
  readonly "connect-timeout"?: number;
}

export interface RegistryConfig extends PlaceConfig {
  readonly blocked?: boolean;
  /** In the order they are asked. */
  readonly mirror?: readonly MirrorConfig[];
}

interface Kind {
  readonly is: (value: unknown) => boolean;
  readonly words: string;
}
type Kinds<T> = Readonly<Record<keyof T, Kind>>;

const host = "(?:[A-Za-z0-9_][A-Za-z0-9._-]*|\\[[0-9a-fA-F:]+\\])(?::[0-9]{1,5})?";
const path = "(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*";
const locationPattern = new RegExp(`^${host}${path}$`);
const namePattern = new RegExp(`^(?:\\*\\.)?${host}${path}$`);

const oneOf = (...words: string[]): Kind => ({
  is: (value) => words.includes(value as string),
  words: words.map((word) => `"${word}"`).join(" or "),
});
const file: Kind = { is: (value) => typeof value === "string" && value.startsWith("/"), words: "an absolute path" };
const boolean: Kind = { is: (value) => typeof value === "boolean", words: "true or false" };

const placeKinds: Kinds<PlaceConfig> = {
  location: {
    is: (value) => typeof value === "string" && locationPattern.test(value),
    words: "a host name, with port and path where needed, as in image names",
  },
  insecure: oneOf("http", "either"),
  ca: file,
  cert: file,
  key: file,
};
const mirrorKinds: Kinds<MirrorConfig> = {
  ...placeKinds,
  "pull-from-mirror": oneOf("all", "digest-only", "tag-only"),
  "pull-through": boolean,
  "connect-timeout": {
    is: (value) => typeof value === "number" && value > 0 && value <= 300,
    words: "a number of seconds, at most 300",
  },
};
const registryKinds: Kinds<RegistryConfig> = {
  ...placeKinds,
  blocked: boolean,
  mirror: { is: (value) => Array.isArray(value) && value.every(isTable), words: "tables: [[registry.NAME.mirror]]" },
};

/** Throws Error naming the key. */
const check = (table: Table, kinds: Readonly<Record<string, Kind>>, at: string): void => {
  for (const [key, value] of Object.entries(table)) {
    if (!Object.hasOwn(kinds, key)) throw new Error(`${at}.${key} is not known; there are ${Object.keys(kinds).join(", ")}`);
    if (!kinds[key]!.is(value)) throw new Error(`${at}.${key} must be ${kinds[key]!.words}`);
  }
  if (table.insecure && table.ca) throw new Error(`${at}: "ca" is of no use with "insecure"`);
  if ((table.cert === undefined) !== (table.key === undefined)) throw new Error(`${at}: "cert" and "key" need each other`);
};

/** The tables of the file by the names they are for. Throws "registry_config_invalid", which names file, and line or key. */
export const readConfig = (text: string, file: string): Map<string, RegistryConfig> => {
  try {
    return registriesOf(parseToml(text));
  } catch (error) {
    throw new OnggiError("registry_config_invalid", `${file}: ${messageOf(error)}`);
  }
};

const registriesOf = (root: Table): Map<string, RegistryConfig> => {
  for (const key of Object.keys(root)) if (key !== "registry") throw new Error(`"${key}" is not known; there is "registry"`);
  const tables = root.registry ?? {};
  if (!isTable(tables)) throw new Error('"registry" must be a table of registries');
  const found = new Map<string, RegistryConfig>();
  for (const [name, table] of Object.entries(tables)) {
    const at = `registry.${JSON.stringify(name.slice(0, 200))}`;
    if (!namePattern.test(name))
      throw new Error(`${at}: it must be named as images are: "HOST", "HOST:PORT", "HOST/PATH" or "*.DOMAIN"`);
    if (!isTable(table)) throw new Error(`${at} must be a table`);
    check(table, registryKinds, at);
    for (const [position, mirror] of ((table.mirror ?? []) as Table[]).entries()) {
      check(mirror, mirrorKinds, `${at}.mirror[${position}]`);
      if (mirror.location === undefined) throw new Error(`${at}.mirror[${position}] has no location`);
    }
    found.set(name, table as RegistryConfig);
  }
  return found;
};

/** What a table's name has matched of an image's name. */
export interface Match {
  readonly name: string;
  readonly config: RegistryConfig;
  /** What of the path lies below. */
  readonly rest: string;
}

/** How many characters of "HOST/PATH" a table's name stands for; 0: none. */
const matched = (name: string, domain: string, path: string): number => {
  const slash = name.indexOf("/");
  const host = slash < 0 ? name : name.slice(0, slash);
  const below = slash < 0 ? "" : name.slice(slash + 1);
  if (below !== "" && path !== below && !path.startsWith(`${below}/`)) return 0;
  if (!host.startsWith("*.")) return host === domain ? name.length : 0;
  return domain.endsWith(host.slice(1)) ? name.length - 1 : 0;
};

/** The table for a repository: the one whose name stands for the most of it. */
export const matchConfig = (tables: ReadonlyMap<string, RegistryConfig>, domain: string, path: string): Match | null => {
  let best: Match | null = null;
  let most = 0;
  for (const [name, config] of tables) {
    const length = matched(name, domain, path);
    if (length <= most) continue;
    const slash = name.indexOf("/");
    const rest = slash < 0 ? path : path.slice(name.length - slash - 1).replace(/^\//, "");
    [best, most] = [{ name, config, rest }, length];
  }
  return best;
};
