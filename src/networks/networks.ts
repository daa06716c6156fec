/** All networks of a data root: see index.ts for terms and guarantees. */
import { join } from "node:path";
import { messageOf, OnggiError } from "../lib/errors.ts";
import { attachedOf } from "./attachments.ts";
import { checkBandwidth } from "./bandwidth.ts";
import { hasBridge, needsHairpin } from "./bridge.ts";
import { configurationOf, configured } from "./configuration.ts";
import { newEndpoint, requireRemovable } from "./connecting.ts";
import { NetworkDatabase, type NetworkRecord } from "./database.ts";
import { NetworkError } from "./errors.ts";
import { explainNetwork } from "./explain.ts";
import { Firewall } from "./firewall/index.ts";
import { KernelNetworks } from "./kernel.ts";
import { currentDefault, newId, newNetwork, predefinedNetworks } from "./making.ts";
import { hasParent } from "./options.ts";
import { ClusterNodes } from "./overlay/nodes.ts";
import { ownsVlan } from "./parent.ts";
import { PortClaims } from "./ports.ts";
import { type CheckedRequest, checkRequest } from "./request.ts";
import { Rules } from "./rules.ts";
import { Sandboxes } from "./sandboxes.ts";
import { endpointView, NetworkState, networkView } from "./state.ts";
import type {
  Bandwidth,
  ClusterListener,
  Endpoint,
  EndpointRequest,
  Network,
  NetworkOptions,
  NetworkRequest,
  NetworkSettings,
  Networks,
  Publication,
  Published,
  Sandbox,
} from "./types.ts";

const noSettings: NetworkSettings = { pools: [], options: {}, bridge: { options: {} } };
const noListener: ClusterListener = { network() {}, networkGone() {}, endpoint() {}, endpointGone() {} };

export class LocalNetworks implements Networks {
  readonly #tag: string;
  readonly #log: (message: string) => void;
  readonly #settings: () => NetworkSettings;
  readonly #cluster: ClusterListener;
  readonly #db: NetworkDatabase;
  readonly #kernel: KernelNetworks;
  readonly #firewall: Firewall;
  readonly #state: NetworkState;
  readonly #sandboxes: Sandboxes;
  readonly #rules: Rules;
  readonly nodes: ClusterNodes;
  /** Removals that are under way, by the interface that goes. */
  readonly #removals = new Map<string, Promise<void>>();
  #closed = false;

  /** The network namespace that the thread is in becomes that of all bridges, ports and rules. */
  constructor({ root, tag, log, nameOf, cluster = noListener, settings = () => noSettings }: NetworkOptions) {
    this.#tag = tag;
    this.#log = log;
    this.#cluster = cluster;
    this.#settings = settings;
    this.#firewall = new Firewall(tag, { log });
    this.#db = new NetworkDatabase(join(root, "networks.db"));
    this.#kernel = new KernelNetworks(tag, log, (network, bridge) => {
      if (network.driver === "overlay") this.nodes.member.ensure(network, bridge);
    });
    const missing = predefinedNetworks(this.#kernel, this.#db.networks(), tag, settings());
    if (missing.length > 0) this.#db.putNetworks(missing);
    this.#state = new NetworkState(this.#db, (entry, attachment) => this.nodes.overlay?.release(entry, attachment));
    this.nodes = new ClusterNodes({
      ...{ tag, log, state: this.#state, kernel: this.#kernel, firewall: this.#firewall, path: join(root, "cluster.db") },
      listener: cluster,
      forget: (network) => this.#forget(network),
    });
    this.#sandboxes = new Sandboxes({
      tag,
      log,
      state: this.#state,
      kernel: this.#kernel,
      firewall: this.#firewall,
      ports: new PortClaims(nameOf ?? ((container) => container.slice(0, 12))),
      ensure: (network) => this.#ensure(network),
      elsewhere: (network, ip) => this.nodes.overlay?.holder(network, ip) ?? "another container",
      claim: async (planned) => {
        const spanning = planned.filter(({ entry }) => entry.network.driver === "overlay");
        return spanning.length === 0 ? [] : this.nodes.member.claim(spanning);
      },
    });
    this.#rules = new Rules({
      ...{ tag, log, state: this.#state, kernel: this.#kernel, firewall: this.#firewall },
      ports: () => this.#sandboxes.firewallPorts(),
    });
  }

  async create(request: NetworkRequest): Promise<Network> {
    if (request.configFrom && !request.configOnly) {
      this.#refuseName(request.name);
      return this.#create(checkRequest(configured(request, this.#state.byName(request.configFrom))));
    }
    const defaults = this.#settings().options[request.driver ?? "bridge"];
    const whole = { ...request, options: { ...defaults, ...request.options } };
    if (!request.configOnly) return this.#create(checkRequest(whole));
    const configuration = { id: newId(), created: new Date().toISOString(), ...configurationOf(whole) };
    this.#refuseName(request.name);
    this.#state.putNetwork(configuration);
    return networkView(configuration);
  }

  #refuseName(name: string): void {
    if (this.#state.byName(name) === undefined) return;
    throw new NetworkError("network_exists", `there is a network ${name} already; remove it, or choose another name`);
  }

  async #create(checked: CheckedRequest): Promise<Network> {
    // An interface that is about to go may have the name that this one is to have.
    await this.#removals.get(checked.parsed.bridgeName ?? checked.parsed.parent);
    this.#refuseName(checked.name);
    if (checked.driver === "overlay") return networkView(await this.#createOverlay(checked));
    const network = newNetwork(this.#kernel, this.#state.networks(), checked, this.#tag, this.#settings().pools);
    this.#state.putNetwork(network);
    try {
      this.#ensure(network);
    } catch (error) {
      this.#remove(network);
      throw error;
    }
    return networkView(network);
  }

  /** Nothing is made in the kernel before a container is in it. */
  async #createOverlay(checked: CheckedRequest): Promise<NetworkRecord> {
    const { cluster, underlay } = this.nodes.member;
    const { encrypted } = checked.parsed;
    if (encrypted) underlay.checkEncryption();
    const { id } = await cluster.createNetwork(checked.name, (others) => {
      const local = this.#state.networks();
      const known = new Set(local.map((network) => network.id));
      const all = [...local, ...others.filter((other) => !known.has(other.id))];
      const network = newNetwork(this.#kernel, all, checked, this.#tag, this.#settings().pools);
      return { ...network, mtu: checked.parsed.mtu ?? underlay.mtuOf(encrypted) };
    });
    return this.#state.find(id);
  }

  /** Makes in the kernel what a network needs there, unless it has been seen. @throws OnggiError */
  #ensure(network: NetworkRecord): void {
    if (this.#kernel.isEnsured(network)) return;
    try {
      this.#make(network);
    } catch (error) {
      if (error instanceof OnggiError) throw error;
      throw new NetworkError("network_failed", `making network ${network.name}: ${messageOf(error)}`, { cause: error });
    }
  }

  #make(network: NetworkRecord): void {
    const current = this.#current(network);
    // Nothing comes out of a tunnel before it is settled from whom.
    if (network.driver === "overlay" && !this.#rules.isMade) this.#rules.make();
    this.#kernel.ensure(current);
    if (hasBridge(network)) this.#rules.add(current);
  }

  /** The network as it is now to be made: the default one may have to get another subnet. */
  #current(network: NetworkRecord): NetworkRecord {
    if (!network.predefined || this.#kernel.net.linkByName(network.interface) !== null) return network;
    if (this.#state.endpointsIn(network.id).some(({ attached }) => attached !== null)) return network;
    const others = this.#state.networks().filter(({ id }) => id !== network.id);
    const current = currentDefault(this.#kernel, network, others, this.#tag, this.#settings());
    if (current !== network) this.#state.changeNetwork(current);
    return current;
  }

  get(reference: string): Network {
    return networkView(this.#state.find(reference));
  }

  list(): readonly Network[] {
    return this.#state.networks().map(networkView);
  }

  requireAddresses(reference: string): void {
    const network = this.#state.find(reference);
    for (const family of [4, 6] as const) this.#state.allocator(network, family)?.requireFree(this.#state.fixedIn(network));
  }

  async remove(reference: string): Promise<Network> {
    const network = this.#state.find(reference);
    requireRemovable(this.#state, network);
    if (network.driver === "overlay") {
      const { member } = this.nodes;
      // What a container has just given up must not keep it.
      await member.idle();
      await member.cluster.removeNetwork(network);
    } else this.#remove(network);
    return networkView(network);
  }

  #remove(network: NetworkRecord): void {
    this.#state.removeNetwork(network);
    this.#finishRemoval(network);
    this.nodes.overlay?.lookAgain();
  }

  /** The cluster has no such network any more. While containers of this host are to be in it, it stays known, and they cannot start. */
  #forget(network: NetworkRecord): void {
    if (this.#state.endpointsIn(network.id).length > 0) {
      this.#log(`networks: network ${network.name} was removed from the cluster, but containers of this host are to be in it`);
      return;
    }
    this.#cluster.networkGone(networkView(network));
    this.#state.removeNetwork(network);
    this.#finishRemoval(network);
  }

  /** Networks that were kept for endpoints that are gone now. */
  #forgetOrphans(): void {
    const { overlay } = this.nodes;
    if (overlay === null) return;
    for (const network of this.#state.networks()) {
      if (network.driver !== "overlay" || overlay.cluster.mirror.network(network.id) !== undefined) continue;
      if (this.#state.endpointsIn(network.id).length === 0) this.#forget(network);
    }
  }

  /** What is left to do for a network that is marked as removed: its rules now, its link in the background. */
  #finishRemoval(network: NetworkRecord): void {
    if (network.configOnly) {
      this.#db.dropNetwork(network.id);
      return;
    }
    const { interface: name } = network;
    const before = this.#removals.get(name);
    const removal = async (): Promise<void> => {
      try {
        if (before !== undefined) await before;
        if (hasParent(network)) await this.#kernel.removeParent(network, this.#state.networks());
        if (hasBridge(network)) {
          this.#rules.remove(network);
          await this.nodes.overlay?.closeNetwork(network);
          await this.#kernel.removeBridge(network);
        }
        // Otherwise the next engine of this root does it.
        if (!this.#closed) this.#db.dropNetwork(network.id);
      } catch (error) {
        this.#log(`networks: removing ${network.interface} of network ${network.name}: ${messageOf(error)}`);
      } finally {
        if (this.#removals.get(name) === running) this.#removals.delete(name);
      }
    };
    const running = removal();
    this.#removals.set(name, running);
  }

  connect(request: EndpointRequest): Endpoint {
    const network = this.#state.find(request.network);
    return endpointView(this.#state.addEndpoint(newEndpoint(this.#state, network, request), network));
  }

  async disconnect(container: string, network: string, sandbox: Sandbox | null): Promise<void> {
    await this.#sandboxes.disconnect(container, this.#state.find(network), sandbox);
    this.#forgetOrphans();
  }

  async limit(container: string, change: (endpoint: Endpoint) => Bandwidth): Promise<void> {
    const changes = this.#state.endpointsOf(container).map((entry) => {
      const bandwidth = checkBandwidth(entry.network, change(endpointView(entry)));
      return { entry, bandwidth, before: entry.record.bandwidth ?? {} };
    });
    const done: typeof changes = [];
    try {
      for (const one of changes) {
        await this.#sandboxes.limit(one.entry, one.bandwidth);
        done.push(one);
      }
    } catch (error) {
      for (const { entry, before } of done) await this.#sandboxes.limit(entry, before).catch(() => {});
      throw error;
    }
  }

  endpointsOf(container: string): readonly Endpoint[] {
    return this.#state.endpointsOf(container).map(endpointView);
  }

  endpointsIn(network: string): readonly Endpoint[] {
    return this.#state.endpointsIn(this.#state.find(network).id).map(endpointView);
  }

  async attach(
    sandbox: Sandbox,
    publish: readonly Publication[],
  ): Promise<{ endpoints: readonly Endpoint[]; published: readonly Published[] }> {
    await this.#sandboxes.attach(sandbox, publish);
    return { endpoints: this.endpointsOf(sandbox.container), published: this.publishedBy(sandbox.container) };
  }

  async attachOne(sandbox: Sandbox, network: string, publish: readonly Publication[] = []): Promise<Endpoint> {
    return endpointView(await this.#sandboxes.attachOne(sandbox, this.#state.find(network), publish));
  }

  republish(container: string, publish: readonly Publication[]): void {
    this.#sandboxes.republish(container, publish);
  }

  handOver(from: string, to: string, publish: readonly Publication[]): void {
    this.#sandboxes.handOver(from, to, publish);
  }

  async settle(sandbox: Sandbox): Promise<void> {
    await this.#sandboxes.settle(sandbox);
  }

  async detach(container: string): Promise<void> {
    this.#sandboxes.detach(container);
  }

  async rename(container: string, name: string): Promise<void> {
    for (const entry of this.#state.endpointsOf(container)) {
      const { attached, network, record } = entry;
      if (attached === null || network.driver !== "overlay") continue;
      const attachment = { ...attached, names: [name, ...record.aliases] };
      this.#state.setAttached(container, [{ entry, attachment }], this.#state.publication(container));
      await this.nodes.overlay?.change(entry, attached, attachment);
    }
  }

  publishedBy(container: string): readonly Published[] {
    return this.#state.publication(container).published;
  }

  async reconcile(running: readonly Sandbox[]): Promise<void> {
    for (const network of this.#db.removedNetworks()) this.#finishRemoval(network);
    const containers = new Set(running.map(({ container }) => container));
    for (const container of this.#state.attachedContainers()) {
      if (!containers.has(container)) this.#sandboxes.detach(container);
    }
    this.#sandboxes.reclaimPorts();
    const networks = this.#state.networks().filter(({ driver, id, predefined }) => {
      // These are made when somebody needs them.
      const isLate = driver === "overlay" || (driver === "bridge" && predefined);
      if (isLate) return this.#state.endpointsIn(id).some(({ attached }) => attached !== null);
      return driver === "bridge" || hasParent({ driver });
    });
    const spanning = networks.filter(({ driver }) => driver === "overlay");
    for (const network of networks) if (!spanning.includes(network)) this.#remake(network);
    // Rules of a former engine would keep the ports of containers that are gone.
    if (networks.some(hasBridge)) this.#rules.make();
    else if (!this.#rules.isMade) this.#rules.clear();
    for (const network of spanning) this.#remake(network);
    await this.#sandboxes.repair(running);
    this.#sandboxes.sweepSoon(0);
    this.#forgetOrphans();
    this.nodes.overlay?.start();
  }

  #remake(network: NetworkRecord): void {
    this.#kernel.forget(network);
    try {
      this.#kernel.ensure(this.#current(network));
    } catch (error) {
      this.#log(`networks: network ${network.name} cannot be made: ${messageOf(error)}`);
    }
  }

  async forget(container: string): Promise<void> {
    this.#sandboxes.detach(container);
    this.#state.removeEndpoints(this.#state.endpointsOf(container));
    this.#forgetOrphans();
  }

  async explain(reference: string): Promise<string> {
    const network = this.#state.find(reference);
    const hasRules = hasBridge(network) && this.#rules.isMade;
    const rules = hasRules ? this.#firewall.describe(network.id) : "";
    const obstacles = hasRules ? this.#firewall.obstacles() : [];
    const attached = attachedOf(this.#state.endpointsIn(network.id));
    return explainNetwork(network, attached, {
      ...{ tag: this.#tag, hairpin: needsHairpin(), rules, obstacles },
      detour: hasRules ? this.#firewall.describeDetour(network.id) : [],
      ownsParent: hasParent(network) && ownsVlan(this.#kernel.net.linkByName(network.interface), this.#tag),
      spanning: network.driver === "overlay" ? this.nodes.member.explain(network) : [],
    });
  }

  /** Resolves when what was to be removed in the background is gone. */
  async idle(): Promise<void> {
    await Promise.all(this.#removals.values());
    await this.#sandboxes.idle();
    await this.nodes.overlay?.idle();
  }

  async withdraw(): Promise<void> {
    await this.idle();
    const bridges = this.#state.networks().filter(hasBridge);
    const isUsed = ({ id }: NetworkRecord): boolean => this.#state.endpointsIn(id).some(({ attached }) => attached !== null);
    if (!bridges.some(isUsed)) this.#rules.drop();
    const lans = this.#state.networks().filter(hasParent);
    for (const network of lans.filter((one) => !isUsed(one))) await this.#kernel.removeParent(network, lans.filter(isUsed));
    for (const network of bridges.filter((one) => !isUsed(one))) {
      this.#rules.remove(network);
      await this.nodes.overlay?.closeNetwork(network);
      await this.#kernel.removeBridge(network);
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.nodes.close();
    this.#sandboxes.close();
    this.#firewall.close();
    this.#kernel.close();
    this.#db.close();
  }
}
