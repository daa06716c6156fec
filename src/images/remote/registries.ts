/** The registries of the world: https://HOST/v2/; those of this machine as Docker has them, also insecure. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { messageOf, OnggiError } from "../../lib/errors.ts";
import type { Reference } from "../../oci/reference.ts";
import { type RegistryConfig, readConfig } from "./config.ts";
import { type Endpoint, Host, isLocal } from "./host.ts";
import type { Environment } from "./proxy.ts";
import { RemoteRepository } from "./repository.ts";
import { defaultTimeouts, type Timeouts, type Tls, Transport } from "./transport.ts";
import type { Registries, RegistryAuth } from "./types.ts";

export interface RegistriesOptions {
  /** Path of registries.toml. Default: /etc/onggi/registries.toml; a file that is not there says nothing. */
  readonly config?: string;
  /** Directories of HOST:PORT/*.crt (authorities), *.cert with *.key (ours), the first that has the host counts. Default: Docker's. */
  readonly certsDirs?: readonly string[];
  /** HTTP_PROXY, HTTPS_PROXY, NO_PROXY. Default: the process's. */
  readonly env?: Environment;
  readonly timeouts?: Partial<Timeouts>;
  /** Registries of which nothing is said may be insecure, as those of this machine. */
  readonly insecure?: boolean;
}

const DEFAULT_CONFIG = "/etc/onggi/registries.toml";
const DEFAULT_CERTS_DIRS = ["/etc/docker/certs.d"];
/** Where the images of docker.io are. */
const HUB = "registry-1.docker.io";

/** Certificates of a host; null where there are none. Throws "registry_config_invalid". */
const certificates = (dirs: readonly string[], host: string): Tls | null => {
  for (const dir of dirs) {
    const at = join(dir, host);
    try {
      const names = readdirSync(at).sort();
      const read = (name: string): string => readFileSync(join(at, name), "utf8");
      const ca = names.filter((name) => name.endsWith(".crt")).map(read);
      const own = names.find((name) => name.endsWith(".cert"));
      if (ca.length === 0 && !own) continue;
      return {
        ...(ca.length > 0 ? { ca } : {}),
        ...(own ? { cert: read(own), key: read(own.replace(/cert$/, "key")) } : {}),
      };
    } catch (error) {
      const code = (error as { code?: unknown }).code;
      if (code === "ENOENT" && !(error as { path?: string }).path?.endsWith(".key")) continue;
      throw new OnggiError("registry_config_invalid", `certificates for ${host} in ${at}: ${messageOf(error)}`, { cause: error });
    }
  }
  return null;
};

/** What the file says of one registry. Throws "registry_config_invalid". */
const configured = (file: string, domain: string): RegistryConfig => {
  let config: RegistryConfig;
  let ca: string | null = null;
  try {
    config = readConfig(readFileSync(file, "utf8"), file).get(domain) ?? {};
    ca = config.ca ?? null;
    if (ca) config = { ...config, ca: readFileSync(ca, "utf8") };
  } catch (error) {
    if (error instanceof OnggiError) throw error;
    if (!ca && (error as { code?: unknown }).code === "ENOENT") return {};
    throw new OnggiError("registry_config_invalid", `${file}: ${messageOf(error)}`, { cause: error });
  }
  if (config.blocked) throw new OnggiError("registry_config_invalid", `${domain} is blocked by ${file}`);
  return config;
};

/** Reads what is configured for a registry when it is first asked for; connections and tokens are kept until `close`. */
export const openRegistries = (options: RegistriesOptions = {}): Registries => {
  const { config = DEFAULT_CONFIG, certsDirs = DEFAULT_CERTS_DIRS, env = process.env, timeouts, insecure = false } = options;
  const transport = new Transport({ ...env }, { ...defaultTimeouts, ...timeouts });
  const hosts = new Map<string, Host>();
  const hostOf = (domain: string): Host => {
    let host = hosts.get(domain);
    if (!host) {
      const said = configured(config, domain);
      const found = certificates(certsDirs, domain);
      const tls = said.ca ? { ...found, ca: [said.ca] } : found;
      const name = said.host ?? (domain === "docker.io" ? HUB : domain);
      // Who gives a local registry an authority wants it checked.
      const scheme: Endpoint["scheme"] = said.insecure ?? ((insecure || isLocal(name)) && !tls?.ca ? "either" : "https");
      host = new Host({ host: name, root: "/v2", scheme, ...(tls ? { tls } : {}) }, transport);
      hosts.set(domain, host);
    }
    return host;
  };
  return {
    repository: ({ domain, path }: Reference, auth: RegistryAuth = {}) =>
      new RemoteRepository(domain, path, hostOf(domain), auth),
    login: (domain, auth, signal) => hostOf(domain).login(domain, auth, signal),
    close: () => hosts.clear(),
  };
};
