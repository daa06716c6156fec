/** All CNI networks of an engine: see index.ts for terms and guarantees. */
import { join } from "node:path";
import { messageOf } from "../../lib/errors.ts";
import { Limiter } from "../../lib/limiter.ts";
import { Mutex } from "../../lib/mutex.ts";
import { NetworkError } from "../errors.ts";
import { PortClaims } from "../ports.ts";
import type { Endpoint, Publication, Published } from "../types.ts";
import { type AttachmentRecord, Attachments } from "./attachments.ts";
import { argumentsOf, capabilitiesOf, checkEndpoint, has } from "./capabilities.ts";
import {
  addChain,
  type ChainAttachment,
  checkChain,
  collectChain,
  deleteChain,
  negotiate,
  statusChain,
  versionsOf,
} from "./chain.ts";
import { requestConfig } from "./config.ts";
import { type ConfigFile, findConfig, readConfigs } from "./config-files.ts";
import { NamespacePins } from "./pin.ts";
import { findPlugin, type PluginHost } from "./plugin.ts";
import { parseResult } from "./result.ts";
import { endLeftovers } from "./running.ts";
import {
  type CniAttached,
  type CniAttachRequest,
  type CniEndpointRequest,
  type CniNetwork,
  type CniOptions,
  type CniProblem,
  isCniName,
  PREFIX,
} from "./types.ts";
import { addressesOf, endpointView, networkId, networkView } from "./views.ts";

const CONFIG_DIR = "/etc/cni/net.d";
const BIN_DIRS = ["/opt/cni/bin", "/usr/lib/cni"];
const TIMEOUT_MS = 30_000;
/** Containers that are taken out of their networks at once when an engine starts. */
const MOST_AT_ONCE = 8;

const chainOf = ({ network, container, netns, ifname, args, capabilities }: AttachmentRecord): ChainAttachment => ({
  network,
  parameters: { containerId: container, netns, ifname, args },
  capabilities,
});

export class CniNetworks {
  readonly #options: CniOptions;
  readonly #configDir: string;
  readonly #host: PluginHost;
  readonly #attachments: Attachments;
  readonly #pins: NamespacePins;
  readonly #ports: PortClaims;
  /** Plugins are never run twice at once for one container. */
  readonly #locks = new Map<string, { readonly mutex: Mutex; users: number }>();
  /** What an earlier engine has left is taken away before anything is added; null until that begins. */
  #recovery: Promise<void> | null = null;

  constructor(options: CniOptions) {
    const { directory, run, configDir, binDirs, timeoutMs, log, nameOf } = options;
    this.#options = options;
    this.#configDir = configDir ?? CONFIG_DIR;
    this.#host = { binDirs: binDirs ?? BIN_DIRS, timeoutMs: timeoutMs ?? TIMEOUT_MS, running: join(run, "cni"), log };
    this.#attachments = new Attachments(directory, log);
    this.#pins = new NamespacePins(join(run, "netns"));
    this.#ports = new PortClaims(nameOf);
  }

  #find(reference: string): ConfigFile {
    if (isCniName(reference)) return findConfig(this.#configDir, reference.slice(PREFIX.length));
    const found = this.#byId(reference);
    if (found !== undefined) return found;
    throw new NetworkError("network_not_found", `no CNI network ${reference} in ${this.#configDir}`);
  }

  #byId(reference: string): ConfigFile | undefined {
    if (!/^[0-9a-f]{12,64}$/.test(reference)) return undefined;
    return readConfigs(this.#configDir).networks.find(({ network }) =>
      networkId(`${PREFIX}${network.name}`).startsWith(reference),
    );
  }

  /** Whether a network's name or id is of this kind; that of a name need not be there. */
  owns(reference: string): boolean {
    return isCniName(reference) || this.#byId(reference) !== undefined;
  }

  /** By name with the prefix, or at least 12 digits of its id. @throws NetworkError network_not_found */
  get(reference: string): CniNetwork {
    return networkView(this.#find(reference));
  }

  /** None where the directory cannot be read; that is logged. */
  list(): readonly CniNetwork[] {
    try {
      return readConfigs(this.#configDir).networks.map(networkView);
    } catch (error) {
      this.#host.log(`CNI: ${messageOf(error)}`);
      return [];
    }
  }

  /** Says what is wrong with a container's places before anything is made. @throws NetworkError */
  check(endpoints: readonly CniEndpointRequest[], publishes: boolean): void {
    const configs = endpoints.map(({ network }) => this.#find(network).network);
    for (const [index, endpoint] of endpoints.entries()) checkEndpoint(configs[index]!, endpoint);
    const names = new Set(endpoints.map(({ network }) => network));
    if (names.size < endpoints.length) throw new NetworkError("endpoint_exists", "a container is in a network once");
    if (new Set(interfacesOf(endpoints)).size < endpoints.length)
      throw new NetworkError("network_invalid", "two networks cannot have an interface of the same name");
    if (!publishes || configs.some((config) => has(config, "portMappings"))) return;
    throw new NetworkError(
      "network_invalid",
      `none of ${[...names].join(", ")} has a plugin with the capability portMappings, so nothing can be published there`,
    );
  }

  /** A container's places, with what it has there while it runs. */
  endpointsOf(container: string, endpoints: readonly CniEndpointRequest[]): readonly Endpoint[] {
    const records = this.#attachments.of(container);
    return endpoints.map((request) =>
      endpointView(
        container,
        request,
        records.find((record) => record.request.network === request.network),
      ),
    );
  }

  /** Attachments of a network, by name with the prefix. */
  endpointsIn(name: string): readonly Endpoint[] {
    const records = this.#attachments.all().filter(({ request }) => request.network === name);
    return records.map((record) => endpointView(record.container, record.request, record));
  }

  publishedBy(container: string): readonly Published[] {
    return this.#attachments
      .of(container)
      .flatMap(({ published, request }) => published.map((port) => ({ ...port, network: networkId(request.network) })));
  }

  /**
   * Has plugins make all of a container's attachments, one network after the other. All or nothing: on a failure what was made is
   * deleted; what cannot be deleted is tried again before the container's next start, and by the next engine.
   * @throws NetworkError
   */
  async attach(request: CniAttachRequest): Promise<CniAttached> {
    await this.#recovery;
    const { container } = request;
    return this.#exclusively(container, async () => {
      await this.#delete(container);
      try {
        this.check(request.endpoints, request.publish.length > 0);
        const records = await this.#add(request);
        return this.#attached(container, request.endpoints, records);
      } catch (error) {
        await this.#delete(container).catch((problem: unknown) => this.#host.log(messageOf(problem)));
        throw error;
      }
    });
  }

  async #add({ container, netns, endpoints, publish, dns }: CniAttachRequest): Promise<AttachmentRecord[]> {
    const found = endpoints.map(({ network }) => this.#find(network).network);
    // what is missing is told before anything is made: then nothing has to be taken back
    for (const { type } of found.flatMap(({ plugins }) => plugins)) findPlugin(type, this.#host.binDirs);
    const networks = await Promise.all(found.map((network) => negotiate(this.#host, network)));
    for (const network of networks) await statusChain(this.#host, network);
    const claimed = this.#ports.claim(container, publish);
    const publisher = networks.findIndex((network) => has(network, "portMappings"));
    const path = this.#pins.pin(container, netns);
    const names = interfacesOf(endpoints);
    const records: AttachmentRecord[] = [];
    for (const [index, endpoint] of endpoints.entries()) {
      const published = index === publisher ? claimed : [];
      const record: AttachmentRecord = {
        ...{ container, ifname: names[index]!, netns: path, request: endpoint, network: networks[index]! },
        ...{ args: argumentsOf(endpoint), capabilities: capabilitiesOf(endpoint, { published, dns }), published, result: null },
      };
      await this.#attachments.put(record);
      const result = await addChain(this.#host, chainOf(record));
      const done = { ...record, published: reachable(published, result, record.ifname), result };
      await this.#attachments.put(done);
      records.push(done);
    }
    return records;
  }

  #attached(container: string, endpoints: readonly CniEndpointRequest[], records: readonly AttachmentRecord[]): CniAttached {
    const all = records.map(({ result }) => parseResult(result).dns);
    const distinct = (texts: readonly string[]): string[] => [...new Set(texts)];
    return {
      endpoints: this.endpointsOf(container, endpoints),
      nameservers: distinct(all.flatMap(({ nameservers }) => nameservers)),
      // as resolv.conf(5) has it: domain is a search list of one
      search: distinct(all.flatMap(({ search, domain }) => (search.length > 0 || domain === "" ? search : [domain]))),
      options: distinct(all.flatMap(({ options }) => options)),
    };
  }

  /** The container has ended. Before `recover` nothing is done: it does it. Idempotent. @throws NetworkError */
  async detach(container: string): Promise<void> {
    if (this.#recovery === null || (this.#attachments.of(container).length === 0 && !this.#pins.isPinned(container))) return;
    await this.#recovery;
    await this.#exclusively(container, () => this.#delete(container));
  }

  /** Deletes all of a container's attachments, the last first. @throws NetworkError; the others are deleted nonetheless */
  async #delete(container: string): Promise<void> {
    const records = this.#attachments.of(container).toReversed();
    const problems: unknown[] = [];
    const netns = this.#pins.isPinned(container) ? this.#pins.path(container) : "";
    for (const record of records) {
      try {
        await deleteChain(this.#host, chainOf({ ...record, netns }), record.result);
        await this.#attachments.remove(record);
      } catch (error) {
        problems.push(error);
      }
    }
    this.#ports.release(container);
    this.#pins.unpin(container);
    if (problems.length === 0) return;
    const words = problems.map(messageOf).join("; ");
    throw new NetworkError(
      "network_failed",
      `taking container ${this.#options.nameOf(container)} out of its CNI networks: ${words}; it is tried again when the container or the engine starts`,
    );
  }

  async #exclusively<T>(container: string, task: () => Promise<T>): Promise<T> {
    const lock = this.#locks.get(container) ?? { mutex: new Mutex(), users: 0 };
    this.#locks.set(container, lock);
    lock.users++;
    try {
      return await lock.mutex.run(task);
    } finally {
      lock.users--;
      if (lock.users === 0) this.#locks.delete(container);
    }
  }

  /**
   * Once, when an engine starts: ends plugins of an earlier one, deletes what containers have that do not run, then has plugins collect
   * what is nobody's. Never throws; what is asked for meanwhile waits.
   */
  recover(running: ReadonlySet<string>): Promise<void> {
    for (const container of running) this.#reclaim(container);
    this.#recovery = this.#recover(running).catch((error: unknown) => this.#host.log(`CNI: ${messageOf(error)}`));
    return this.#recovery;
  }

  async #recover(running: ReadonlySet<string>): Promise<void> {
    await endLeftovers(this.#host.running);
    const used = new Set(this.#attachments.all().map(({ network }) => network.name));
    const known = new Set([...this.#attachments.all().map(({ container }) => container), ...this.#pins.all()]);
    const limiter = new Limiter(MOST_AT_ONCE);
    const stale = [...known].filter((container) => !running.has(container));
    await Promise.all(
      stale.map((container) =>
        limiter.run(() => this.#delete(container)).catch((error: unknown) => this.#host.log(messageOf(error))),
      ),
    );
    await this.#collect(used);
  }

  /** GC of networks that we have had containers in: those of other runtimes only are none of our business. What is recorded is valid. */
  async #collect(used: ReadonlySet<string>): Promise<void> {
    const { networks, broken } = readConfigs(this.#configDir);
    for (const { path, reason } of broken) this.#host.log(`CNI: ${path} is left out: ${reason}`);
    for (const { network } of networks.filter((file) => used.has(file.network.name))) {
      const records = this.#attachments.all().filter((record) => record.network.name === network.name);
      const valid = records.map(({ container, ifname }) => ({ containerID: container, ifname }));
      for (const problem of await collectChain(this.#host, await negotiate(this.#host, network), valid))
        this.#host.log(`network cni:${network.name}: ${problem}`);
    }
  }

  #reclaim(container: string): void {
    for (const published of this.publishedBy(container)) {
      try {
        this.#ports.claim(container, [published]);
      } catch (error) {
        this.#host.log(`CNI: container ${this.#options.nameOf(container)} goes on answering, but ${messageOf(error)}`);
      }
    }
  }

  /** Asks a network's plugins, by STATUS and CHECK, whether they are content. None of them: all are, as far as they can be asked. */
  async examine(reference: string): Promise<readonly CniProblem[]> {
    await this.#recovery;
    const network = await negotiate(this.#host, this.#find(reference).network);
    const problems: CniProblem[] = [];
    const attempt = (container: string, work: Promise<unknown>): Promise<unknown> =>
      work.catch((error: unknown) => problems.push({ container, problem: messageOf(error) }));
    await attempt("", statusChain(this.#host, network));
    for (const { container, network: attached } of this.#attachments.all()) {
      if (attached.name !== network.name) continue;
      const check = this.#exclusively(container, async () => {
        const record = this.#attachments.of(container).find((one) => one.network.name === network.name);
        if (record?.result) await checkChain(this.#host, chainOf(record), record.result);
      });
      await attempt(container, check);
    }
    return problems;
  }

  /** A network's plugins: where they are, which versions they know, what they are told. */
  async explain(reference: string): Promise<string> {
    const { path, network: found } = this.#find(reference);
    const network = await negotiate(this.#host, found);
    const parts = [`# ${path}: cniVersion ${network.version}, CNI_PATH=${this.#host.binDirs.join(":")}`];
    for (const plugin of network.plugins) {
      const told = JSON.stringify(requestConfig(network, plugin), null, 2);
      const found = await versionsOf(this.#host, network, plugin).then(
        (versions) => `${findPlugin(plugin.type, this.#host.binDirs)}, knows ${versions.join(", ")}`,
        messageOf,
      );
      const wants = plugin.capabilities.length > 0 ? `; wants ${plugin.capabilities.join(", ")}` : "";
      parts.push(`# ${plugin.type}: ${found}${wants}\n${told}`);
    }
    return `${parts.join("\n\n")}\n`;
  }

  close(): void {
    this.#ports.close();
  }
}

/** Names of a container's interfaces, in the order of its networks. */
const interfacesOf = (endpoints: readonly CniEndpointRequest[]): string[] =>
  endpoints.map((endpoint, index) => endpoint.interface ?? `eth${index}`);

/** Of ports on every address those of families that the container has. */
function reachable(published: readonly Publication[], result: AttachmentRecord["result"], ifname: string): Publication[] {
  const addresses = addressesOf(parseResult(result), ifname);
  const has = (v6: boolean): boolean => addresses.some(({ address }) => address.includes(":") === v6);
  return published.filter(({ hostIp }) => addresses.length === 0 || has(hostIp.includes(":")));
}
