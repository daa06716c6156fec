/**
 * Of whom a repository's content is asked: what registries.toml says of its name, else what containerd's hosts.toml says of its
 * registry, else the registry itself; with the certificates that are laid down for each place.
 */
import { readdirSync, readFileSync } from "node:fs";
import { BlockList, isIP, isIPv4, isIPv6 } from "node:net";
import { join } from "node:path";
import { rootCertificates } from "node:tls";
import { messageOf, OnggiError } from "../../lib/errors.ts";
import { type MirrorConfig, matchConfig, type PlaceConfig, type RegistryConfig, readConfig } from "./config.ts";
import { type Endpoint, isLocal } from "./host.ts";
import { type HostEntry, type HostsFile, hostDirectories, readHostsFile } from "./hosts-toml.ts";
import type { Tls } from "./transport.ts";
import type { RegistrySettings } from "./types.ts";

/** One place that may have a repository. */
export interface Source {
  readonly endpoint: Endpoint;
  /** What the repository is called there. */
  readonly path: string;
  /** Whether it is believed what a tag means; whether it is asked for what a digest names; whether it is written to. */
  readonly resolves: boolean;
  readonly pulls: boolean;
  readonly pushes: boolean;
  /** The registry itself: the credentials for the name are for it, and no failure of another one matters. */
  readonly own: boolean;
}

export interface ConfigFiles {
  /** registries.toml. */
  readonly config: string;
  /** Directories of HOST/hosts.toml. */
  readonly hostsDirs: readonly string[];
  /** Directories of HOST:PORT/*.crt (authorities), *.cert with *.key (ours); the first that has the host counts. */
  readonly certsDirs: readonly string[];
  /** What the engine's settings say, for names that registries.toml says nothing of. */
  readonly insecure: RegistrySettings["insecure"];
  readonly mirrors: RegistrySettings["mirrors"];
}

/** Where the images of docker.io are. */
export const HUB = "registry-1.docker.io";
const MIRROR_CONNECT_MS = 5_000;

const invalid = (why: string, cause?: unknown): OnggiError => new OnggiError("registry_config_invalid", why, { cause });

const isAbsent = (error: unknown): boolean => ["ENOENT", "ENOTDIR"].includes((error as { code?: string }).code ?? "");

/** A file's text; null where there is none. Throws "registry_config_invalid" for one that cannot be read. */
const textOf = (path: string): string | null => {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (isAbsent(error)) return null;
    throw invalid(`${path} cannot be read: ${messageOf(error)}`, error);
  }
};

/** The text of a file that `by` names. Throws "registry_config_invalid". */
const named = (path: string, by: string): string => {
  const text = textOf(path);
  if (text === null) throw invalid(`${by} names ${path}, which is not there`);
  return text;
};

/** Certificates of a host; null where there are none. Throws "registry_config_invalid". */
const certificates = (dirs: readonly string[], host: string): Tls | null => {
  for (const dir of dirs) {
    const at = join(dir, host);
    let names: string[];
    try {
      names = readdirSync(at).sort();
    } catch (error) {
      if (isAbsent(error)) continue;
      throw invalid(`certificates for ${host} in ${at}: ${messageOf(error)}`, error);
    }
    const read = (name: string): string => named(join(at, name), at);
    const ca = names.filter((name) => name.endsWith(".crt")).map(read);
    const own = names.find((name) => name.endsWith(".cert"));
    if (ca.length === 0 && !own) continue;
    return {
      ...(ca.length > 0 ? { ca } : {}),
      ...(own ? { cert: read(own), key: read(own.replace(/cert$/, "key")) } : {}),
    };
  }
  return null;
};

const placeOfDomain = (domain: string): string => (domain === "docker.io" ? HUB : domain);

/** A place as registries.toml says it. `certificatesOf`: for whom they are laid down. `lenient`: it may be insecure. */
const endpointOf = (files: ConfigFiles, said: PlaceConfig, host: string, certificatesOf = host, lenient = false): Endpoint => {
  const tls: Tls = {
    ...certificates(files.certsDirs, certificatesOf),
    ...(said.ca ? { ca: [named(said.ca, files.config)] } : {}),
    ...(said.cert && said.key ? { cert: named(said.cert, files.config), key: named(said.key, files.config) } : {}),
  };
  // Who gives a local registry an authority wants it checked.
  const scheme: Endpoint["scheme"] = said.insecure ?? ((lenient || isLocal(host)) && !tls.ca ? "either" : "https");
  return { host, root: "/v2", scheme, ...(Object.keys(tls).length > 0 ? { tls } : {}) };
};

const split = (location: string): { host: string; base: string } => {
  const slash = location.indexOf("/");
  return slash < 0 ? { host: location, base: "" } : { host: location.slice(0, slash), base: location.slice(slash + 1) };
};

const pathBelow = (location: string, base: string, rest: string, files: ConfigFiles): string => {
  const path = [base, rest].filter((part) => part !== "").join("/");
  if (path === "") throw invalid(`${files.config}: the location ${location} stands for a repository and names none`);
  return path;
};

const mirrorSource = (files: ConfigFiles, mirror: MirrorConfig, domain: string, rest: string): Source => {
  const { host, base } = split(mirror.location);
  const asked = mirror["pull-from-mirror"] ?? "all";
  const seconds = mirror["connect-timeout"];
  const endpoint: Endpoint = {
    ...endpointOf(files, mirror, host),
    connectTimeout: seconds === undefined ? MIRROR_CONNECT_MS : seconds * 1000,
    ...(mirror["pull-through"] ? { namespace: domain } : {}),
  };
  const path = pathBelow(mirror.location, base, rest, files);
  return { endpoint, path, resolves: asked !== "digest-only", pulls: asked !== "tag-only", pushes: false, own: false };
};

const ownSource = (
  files: ConfigFiles,
  said: PlaceConfig,
  { domain, path, rest }: { readonly domain: string; readonly path: string; readonly rest: string },
  lenient: boolean,
): Source => {
  const always = { resolves: true, pulls: true, pushes: true, own: true };
  if (said.location === undefined)
    return { ...always, endpoint: endpointOf(files, said, placeOfDomain(domain), domain, lenient), path };
  const { host, base } = split(said.location);
  return { ...always, endpoint: endpointOf(files, said, host, host, lenient), path: pathBelow(said.location, base, rest, files) };
};

/** A place as hosts.toml says it. */
const entrySource = (
  files: ConfigFiles,
  entry: HostEntry,
  { domain, path, file, own }: { readonly domain: string; readonly path: string; readonly file: string; readonly own: boolean },
): Source => {
  const { place, capabilities, headers, dialTimeout, skipVerify, client } = entry;
  const origin = placeOfDomain(domain);
  const host = place ? placeOfDomain(place.host) : origin;
  const isOrigin = host === origin;
  const tls: Tls = {
    ...(place ? {} : certificates(files.certsDirs, domain)),
    ...(entry.ca.length > 0 ? { ca: [...rootCertificates, ...entry.ca.map((path) => named(path, file))] } : {}),
    ...(client ? { cert: named(client.cert, file), key: named(client.key, file) } : {}),
    ...(skipVerify ? { rejectUnauthorized: false } : {}),
  };
  const local = isLocal(host) && !tls.ca;
  const connectTimeout = dialTimeout ?? (own ? null : MIRROR_CONNECT_MS);
  const endpoint: Endpoint = {
    host,
    root: place?.root ?? "/v2",
    scheme: place?.scheme === "http" && !skipVerify ? "http" : place?.scheme === "http" || (!place && local) ? "either" : "https",
    ...(Object.keys(tls).length > 0 ? { tls } : {}),
    ...(Object.keys(headers).length > 0 ? { headers } : {}),
    ...(isOrigin ? {} : { namespace: domain }),
    ...(connectTimeout === null ? {} : { connectTimeout }),
  };
  return {
    endpoint,
    path,
    resolves: capabilities?.has("resolve") ?? true,
    pulls: capabilities?.has("pull") ?? true,
    // A host that merely may do everything is a mirror.
    pushes: capabilities?.has("push") ?? own,
    own,
  };
};

const hostsFile = (dirs: readonly string[], domain: string): { read: HostsFile; file: string; general: boolean } | null => {
  for (const dir of dirs) {
    for (const name of hostDirectories(domain)) {
      const directory = join(dir, name);
      const file = join(directory, "hosts.toml");
      const text = textOf(file);
      if (text !== null) return { read: readHostsFile(text, directory), file, general: name === "_default" };
    }
  }
  return null;
};

const tablesOf = ({ config, mirrors }: ConfigFiles): ReadonlyMap<string, RegistryConfig> => {
  const text = textOf(config);
  const said = text === null ? new Map<string, RegistryConfig>() : readConfig(text, config);
  if (mirrors.length === 0 || said.has("docker.io")) return said;
  return new Map([...said, ["docker.io", { mirror: mirrors.map(mirrorOf) }]]);
};

/** "https://HOST[:PORT]/". Docker asks mirrors of docker.io with the names of docker.io. */
function mirrorOf(url: string): MirrorConfig {
  const { protocol, host, pathname } = new URL(url);
  return { location: `${host}${pathname.replace(/\/+$/, "")}`, ...(protocol === "http:" ? { insecure: "http" } : {}) };
}

/** Whether the settings let a registry be insecure: by its name with port, by its name alone where it has none, by its address. */
function mayBeInsecure({ insecure }: ConfigFiles, domain: string): boolean {
  if (insecure.includes(domain)) return true;
  const host = URL.canParse(`http://${domain}`) ? new URL(`http://${domain}`).hostname.replace(/^\[(.*)\]$/, "$1") : domain;
  const family = isIPv4(host) ? "ipv4" : isIPv6(host) ? "ipv6" : null;
  if (family === null) return false;
  const list = new BlockList();
  for (const entry of insecure) {
    const [base = "", bits = ""] = entry.split("/");
    if (bits !== "" && isIP(base) !== 0) list.addSubnet(base, Number(bits), isIPv4(base) ? "ipv4" : "ipv6");
  }
  return list.check(host, family);
}

/**
 * In the order in which they are asked; the registry itself, or what stands for it, is the last. The files are read anew each time.
 * `lenient`: the registry may be insecure, where nothing else is said. Throws "registry_config_invalid", also for a name that is blocked.
 */
export const sourcesOf = (
  files: ConfigFiles,
  domain: string,
  path: string,
  lenient = false,
): [...mirrors: Source[], last: Source] => {
  const insecure = lenient || mayBeInsecure(files, domain);
  const match = matchConfig(tablesOf(files), domain, path);
  if (match) {
    const { config, rest, name } = match;
    if (config.blocked) throw invalid(`${name} is blocked by ${files.config}`);
    const mirrors = (config.mirror ?? []).map((mirror) => mirrorSource(files, mirror, domain, rest));
    return [...mirrors, ownSource(files, config, { domain, path, rest }, insecure)];
  }
  const found = hostsFile(files.hostsDirs, domain);
  if (!found) return [ownSource(files, {}, { domain, path, rest: path }, insecure)];
  const { hosts, server } = found.read;
  const about = { domain, path, file: found.file };
  // What stands for every registry is none of them.
  const own = server.place === null || !found.general || placeOfDomain(server.place.host) === placeOfDomain(domain);
  const mirrors = hosts.map((entry) => {
    const itself = placeOfDomain(entry.place?.host ?? domain) === placeOfDomain(domain);
    return entrySource(files, entry, { ...about, own: itself });
  });
  return [...mirrors, entrySource(files, server, { ...about, own })];
};
