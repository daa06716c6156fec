/** The registries of the world: https://HOST/v2/; those of this machine as Docker has them, also insecure. */
import type { Reference } from "../../oci/reference.ts";
import { Host } from "./host.ts";
import { type Mirror, MirroredRepository, type Note } from "./mirrored.ts";
import type { Environment } from "./proxy.ts";
import { RemoteRepository } from "./repository.ts";
import { HUB_INDEX, searchCatalog, searchIndex } from "./search.ts";
import { type ConfigFiles, HUB, type Source, sourcesOf } from "./sources.ts";
import { defaultTimeouts, type Timeouts, Transport } from "./transport.ts";
import type { Registries, RegistryAuth, RegistrySettings, RepositoryOptions } from "./types.ts";

export interface RegistriesOptions extends Partial<Omit<ConfigFiles, "insecure" | "mirrors">> {
  /** What an administrator wants, asked for each time. */
  readonly settings?: () => RegistrySettings;
  /** HTTP_PROXY, HTTPS_PROXY, NO_PROXY. Default: the process's. */
  readonly env?: Environment;
  readonly timeouts?: Partial<Timeouts>;
  /** Told of mirrors that fail. */
  readonly note?: Note;
}

/** A file that is not there says nothing. */
const defaultFiles = {
  config: "/etc/onggi/registries.toml",
  hostsDirs: ["/etc/containerd/certs.d"],
  certsDirs: ["/etc/docker/certs.d", "/etc/containerd/certs.d"],
};

const noSettings: RegistrySettings = { insecure: [], mirrors: [] };

/** No repository has this path: what is said of single ones does not concern it. */
const NOWHERE = "_";

/** Reads what is configured whenever a repository is asked for; connections and tokens are kept until `close`. */
export const openRegistries = (options: RegistriesOptions = {}): Registries => {
  const { env = process.env, timeouts, note = () => {}, settings = () => noSettings } = options;
  const filesNow = (): ConfigFiles => {
    const { config = options.config ?? defaultFiles.config, insecure, mirrors } = settings();
    const { hostsDirs = defaultFiles.hostsDirs, certsDirs = defaultFiles.certsDirs } = options;
    return { config, hostsDirs, certsDirs, insecure, mirrors };
  };
  const transport = new Transport({ ...env, ...settings().proxies }, { ...defaultTimeouts, ...timeouts });
  /** By how they are reached: a change of the configuration makes another one. */
  const hosts = new Map<string, Host>();
  const hostOf = ({ endpoint }: Source): Host => {
    const key = JSON.stringify(endpoint);
    const host = hosts.get(key) ?? new Host(endpoint, transport);
    hosts.set(key, host);
    return host;
  };
  const repositoryOf = (
    source: Source,
    name: string,
    auth: RegistryAuth,
    authOf: RepositoryOptions["authOf"] = () => undefined,
  ): RemoteRepository => {
    const { own, path, endpoint, pushes } = source;
    const host = hostOf(source);
    if (own) return new RemoteRepository({ name, host, path, auth });
    const place = { name: `${endpoint.host}/${path}`, host, path, auth: authOf(endpoint.host) ?? {} };
    // Another one is asked sooner than a mirror is asked again.
    return new RemoteRepository(pushes ? place : { ...place, tries: 1 });
  };
  const registries = (insecure: boolean): Registries => {
    /** The registry itself, whatever stands in its place for all. */
    const ownSource = (sources: readonly Source[], domain: string, path: string): Source =>
      sources.findLast(({ own }) => own) ?? sourcesOf({ ...filesNow(), hostsDirs: [], mirrors: [] }, domain, path, insecure)[0];
    return {
      repository({ domain, path }: Reference, auth: RegistryAuth = {}, options: RepositoryOptions = {}) {
        const name = `${domain}/${path}`;
        const all = sourcesOf(filesNow(), domain, path, insecure);
        const written = all.find(({ pushes }) => pushes) ?? ownSource(all, domain, path);
        // Who writes there may ask what there is.
        const sources = options.mirrors === false ? [{ ...written, resolves: true, pulls: true }] : all;
        const [first] = sources;
        const alone = sources.length === 1 && first!.own && first!.resolves && first!.pulls && first!.pushes;
        if (alone) return repositoryOf(first!, name, auth);
        const asked = sources.map(
          (source): Mirror => ({ ...source, repository: repositoryOf(source, name, auth, options.authOf) }),
        );
        return new MirroredRepository(name, asked, note);
      },
      mirrorsOf({ domain, path }) {
        const mirrors = sourcesOf(filesNow(), domain, path, insecure).filter(({ own }) => !own);
        return [...new Set(mirrors.map(({ endpoint }) => endpoint.host))];
      },
      async login(domain, auth, signal) {
        const sources = sourcesOf(filesNow(), domain, NOWHERE, insecure);
        return hostOf(ownSource(sources, domain, NOWHERE)).login(domain, auth, signal);
      },
      async search(domain, request, auth = {}, signal) {
        const { endpoint, ...source } = ownSource(sourcesOf(filesNow(), domain, NOWHERE, insecure), domain, NOWHERE);
        const asked = { what: `${domain}: search for ${JSON.stringify(request.term)}`, auth, signal };
        const index = { ...endpoint, root: "/v1", host: endpoint.host === HUB ? HUB_INDEX : endpoint.host };
        const found = await searchIndex(hostOf({ ...source, endpoint: index }), request, asked);
        return found ?? searchCatalog(hostOf({ ...source, endpoint }), domain, request, asked);
      },
      get insecure() {
        return registries(true);
      },
      close: () => hosts.clear(),
    };
  };
  return registries(false);
};
