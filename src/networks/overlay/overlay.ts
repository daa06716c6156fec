/**
 * The driver overlay: networks whose containers are on several hosts. Brings together what the cluster says (`cluster.ts`), what the
 * database says (`NetworkState`), and the kernel: tunnels, forwarding entries, neighbours, and the rule that only nodes are listened to.
 */
import { messageOf } from "../../lib/errors.ts";
import { setLink } from "../../sys/index.ts";
import type { Attached } from "../attachments.ts";
import type { NetworkRecord } from "../database.ts";
import { NetworkError } from "../errors.ts";
import type { Firewall } from "../firewall/index.ts";
import type { KernelNetworks } from "../kernel.ts";
import { parseOptions } from "../options.ts";
import { familyOf } from "../prefixes.ts";
import { type EndpointEntry, type NetworkState, networkView } from "../state.ts";
import type { Attachment, ClusterListener, RemoteEndpoint } from "../types.ts";
import { Cluster } from "./cluster.ts";
import { Etcd } from "./etcd/index.ts";
import { peerLines, tunnelLines } from "./explain.ts";
import { type Changes, Mirror } from "./mirror.ts";
import { type Claim, Keys } from "./records.ts";
import type { ClusterStore } from "./store.ts";
import { type Peer, Tunnels } from "./tunnel.ts";
import { Underlay } from "./underlay.ts";

export interface OverlayParts {
  readonly tag: string;
  log(message: string): void;
  readonly state: NetworkState;
  readonly kernel: KernelNetworks;
  readonly firewall: Firewall;
  readonly listener: ClusterListener;
  /** Takes a network that the cluster has no more from this host. */
  forget(network: NetworkRecord): void;
}

/** A membership at work; from its making to `close` or `leave`. */
export class Overlay {
  readonly #parts: OverlayParts;
  readonly #store: ClusterStore;
  readonly #tunnels: Tunnels;
  readonly underlay: Underlay;
  readonly cluster: Cluster;
  /** Networks that have a tunnel on this host. */
  readonly #open = new Map<string, NetworkRecord>();
  readonly #releases = new Set<Promise<void>>();

  /** What was known when this host was last a member is known again. */
  constructor(parts: OverlayParts, store: ClusterStore) {
    this.#parts = parts;
    this.#store = store;
    this.#tunnels = new Tunnels(parts.kernel.net, parts.tag);
    const { node, etcd, prefix, privateKey, port, leases } = store.joined();
    const keys = new Keys(prefix);
    const mirror = new Mirror(keys, store);
    const { tag, kernel, firewall } = parts;
    this.underlay = new Underlay({ tag, kernel, firewall, mirror, node, privateKey, port, cluster: prefix });
    this.cluster = new Cluster({
      ...{ keys, mirror, node, leases, kept: store.kept(), etcd: new Etcd(etcd), log: parts.log },
      held: () => this.#held(),
      changed: (changes) => this.#changed(changes),
      lost: (claim) => this.#cutOff(claim),
      fenced: (isFenced) => this.#fence(isFenced),
      keep: (kept) => store.keep(kept),
    });
    // Nobody is told: who listens asks for all when it is ready.
    const { networks, taken } = mirror.everything();
    for (const network of networks) this.#attempt(`network ${network.name}`, () => this.#learn(network));
    for (const one of taken.filter((one) => one.node !== node.id)) this.#take(one);
  }

  /** What local containers have, as claims. */
  #held(): Claim[] {
    const { state } = this.#parts;
    return state
      .networks()
      .filter(({ driver }) => driver === "overlay")
      .flatMap(({ id }) => state.endpointsIn(id))
      .flatMap((entry) => (entry.attached === null ? [] : [this.#claimOf(entry, entry.attached)]));
  }

  #claimOf({ record, network }: EndpointEntry, { mac, ipv4, ipv6, names = [] }: Attachment): Claim {
    return { network: network.id, node: this.cluster.node.id, container: record.container, mac, ipv4, ipv6, names };
  }

  /**
   * Takes the addresses of attachments that are planned, all or none.
   * @returns addresses that turned out to be another host's: others are to be chosen
   * @throws NetworkError cluster_unavailable, network_not_found; address_in_use for one that was asked for
   */
  async claim(planned: readonly Attached[]): Promise<readonly { readonly network: NetworkRecord; readonly ip: string }[]> {
    const claimed: Claim[] = [];
    try {
      for (const { entry, attachment } of planned) {
        if (entry.network.driver !== "overlay") continue;
        const claim = this.#claimOf(entry, attachment);
        const result = await this.cluster.claim(claim);
        if (result === "claimed") {
          claimed.push(claim);
          continue;
        }
        const { takenIp } = result;
        const { fixed } = entry.record;
        if (takenIp === fixed.ipv4 || takenIp === fixed.ipv6) throw this.#inUse(entry.network, takenIp);
        for (const one of claimed) this.#release(one);
        return [{ network: entry.network, ip: takenIp }];
      }
      return [];
    } catch (error) {
      for (const one of claimed) this.#release(one);
      throw error;
    }
  }

  #inUse(network: NetworkRecord, ip: string): NetworkError {
    return new NetworkError(
      "address_in_use",
      `address ${ip} of network ${network.name} is in use by ${this.holder(network, ip)}: choose another, or stop that container`,
    );
  }

  /** Who has an address: "container web on host-b". */
  holder(network: NetworkRecord, ip: string): string {
    const holder = this.cluster.mirror.claims(network.id).find(({ ipv4, ipv6 }) => ipv4 === ip || ipv6 === ip);
    if (holder === undefined) return "a container of another host";
    return `container ${holder.names[0] ?? holder.container.slice(0, 12)} on ${this.cluster.nodeName(holder.node)}`;
  }

  /** A container has other names now. */
  change(entry: EndpointEntry, before: Attachment, now: Attachment): Promise<void> {
    return this.cluster.change(this.#claimOf(entry, before), this.#claimOf(entry, now));
  }

  /** An endpoint has ended, or came to nothing. Nobody waits. */
  release(entry: EndpointEntry, attachment: Attachment): void {
    if (entry.network.driver !== "overlay") return;
    this.#release(this.#claimOf(entry, attachment));
  }

  #release(claim: Claim): void {
    const releasing: Promise<void> = this.cluster.release(claim).finally(() => this.#releases.delete(releasing));
    this.#releases.add(releasing);
  }

  /** A network's bridge has been made on this host, or made again: now its tunnel and all that is known of its other hosts. */
  ensure(network: NetworkRecord, bridge: number): void {
    this.#tunnels.ensure(network, bridge, this.underlay.open(network), this.cluster.status.fenced);
    this.#tunnels.setPeers(network, this.#peers(network));
    this.#open.set(network.id, network);
  }

  /** A network's tunnel and who is behind it, in the words of ip(8) and bridge(8). */
  explain(network: NetworkRecord): string[] {
    const peers = this.#peers(network).flatMap((peer) => peerLines(network, peer));
    const tunnel = tunnelLines(network, this.#parts.tag, this.underlay.tunnelOf(network));
    return [...this.underlay.explain(network), ...tunnel, ...peers];
  }

  #peers(network: NetworkRecord): Peer[] {
    return this.cluster.mirror.claims(network.id).flatMap((claim) => this.#peerOf(network, claim) ?? []);
  }

  /** Null for a container of this host, and of one that is not known or cannot be reached. */
  #peerOf(network: NetworkRecord, { node, mac, ipv4, ipv6 }: Claim): Peer | null {
    const record = node === this.cluster.node.id ? undefined : this.cluster.mirror.node(node);
    const host = record === undefined ? null : this.underlay.hostOf(network, record);
    return host === null ? null : { mac, ipv4, ipv6, host };
  }

  /** A network has nobody on this host any more, and its bridge goes. */
  async closeNetwork(network: NetworkRecord): Promise<void> {
    if (!this.#open.delete(network.id)) return;
    await this.#tunnels.remove(network);
    await this.underlay.close(network);
  }

  /** Containers of an overlay network on hosts that are up. */
  remote(network: string): RemoteEndpoint[] {
    const { mirror } = this.cluster;
    return mirror.claims(network).flatMap((claim) => (this.#isNamed(claim) ? [remoteOf(claim)] : []));
  }

  #isNamed({ node }: Claim): boolean {
    return node !== this.cluster.node.id && this.cluster.mirror.isAlive(node);
  }

  #changed(changes: Changes): void {
    const { networksGone, networks, claimsGone, claims, taken, free, nodes } = changes;
    const isOthers = ({ node }: { readonly node: string }): boolean => node !== this.cluster.node.id;
    for (const network of networksGone) this.#attempt(`network ${network.name}`, () => this.#networkGone(network));
    for (const network of networks) {
      this.#attempt(`network ${network.name}`, () => {
        const known = this.#learn(network);
        if (known !== undefined) this.#parts.listener.network(networkView(known));
      });
    }
    for (const one of free.filter(isOthers)) this.#free(one);
    for (const one of taken.filter(isOthers)) this.#take(one);
    const gone = claimsGone.filter(isOthers);
    const there = claims.filter(isOthers);
    this.#name(gone, there, new Set(nodes));
    this.#attempt("forwarding entries", () => this.#forward(gone, there, nodes));
  }

  #attempt(what: string, work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#parts.log(`cluster: ${what}: ${messageOf(error)}`);
    }
  }

  #networkGone({ id }: NetworkRecord): void {
    const { state, forget } = this.#parts;
    const network = state.network(id);
    if (network !== undefined) forget(network);
  }

  /** @returns a network that is new here */
  #learn(network: NetworkRecord): NetworkRecord | undefined {
    const { state, log } = this.#parts;
    if (state.network(network.id) !== undefined) return undefined;
    if (state.byName(network.name) !== undefined) {
      log(`cluster: its network ${network.name} is not seen here while this host has another one of that name`);
      return undefined;
    }
    const here = {
      ...network,
      mtu: Math.min(network.mtu, this.underlay.mtuOf(parseOptions("overlay", network.options).encrypted)),
    };
    state.putNetwork(here);
    return here;
  }

  /** A network of this host is gone: one of the cluster may have had its name. */
  lookAgain(): void {
    this.#changed(this.cluster.mirror.everything());
  }

  #take({ network, ip }: Changes["taken"][number]): void {
    const record = this.#parts.state.network(network);
    this.#attempt(`address ${ip}`, () => record && this.#parts.state.allocator(record, familyOf(ip))?.takeFixed(ip));
  }

  #free({ network, ip }: Changes["free"][number]): void {
    const { state } = this.#parts;
    const record = state.network(network);
    const isOurs = state.endpointsIn(network).some(({ attached }) => attached?.ipv4 === ip || attached?.ipv6 === ip);
    if (record !== undefined && !isOurs) state.allocator(record, familyOf(ip))?.release(ip);
  }

  /** Who is found by name: containers of hosts that are up. */
  #name(gone: readonly Claim[], there: readonly Claim[], nodes: ReadonlySet<string>): void {
    const { listener } = this.#parts;
    const { mirror } = this.cluster;
    for (const { network, container } of gone) listener.endpointGone(network, container);
    const ofNodes = [...nodes].filter((node) => node !== this.cluster.node.id).flatMap((node) => mirror.claimsOf(node));
    for (const claim of new Set([...there, ...ofNodes])) {
      if (this.#isNamed(claim)) listener.endpoint(claim.network, remoteOf(claim));
      else listener.endpointGone(claim.network, claim.container);
    }
  }

  /** Where packets for containers of other hosts go, in the networks that are open here. */
  #forward(gone: readonly Claim[], there: readonly Claim[], nodes: readonly string[]): void {
    if (this.#open.size === 0) return;
    const hasMoved = this.underlay.haveMoved(nodes);
    if (hasMoved) this.underlay.refresh();
    for (const network of this.#open.values()) {
      const [left, came] = [gone, there].map((claims) => claims.filter((claim) => claim.network === network.id));
      if (hasMoved || left!.length + came!.length > FEW) {
        this.#tunnels.setPeers(network, this.#peers(network));
        continue;
      }
      const isSame = (one: Claim) => (other: Claim) =>
        one.mac === other.mac && one.ipv4 === other.ipv4 && one.ipv6 === other.ipv6;
      for (const claim of left!) {
        const peer = came!.some(isSame(claim)) ? null : this.#peerOf(network, claim);
        if (peer !== null) this.#tunnels.removePeer(network, peer);
      }
      for (const claim of came!) {
        const peer = this.#peerOf(network, claim);
        if (peer !== null) this.#tunnels.putPeer(network, peer);
      }
    }
  }

  /** Another host has the address of a container of this one, which must not use it any more. */
  #cutOff({ network, container }: Claim): void {
    const { state, kernel, log } = this.#parts;
    const entry = state.endpointsIn(network).find(({ record }) => record.container === container);
    const name = entry?.attached?.hostInterface;
    if (!name) return;
    log(`cluster: container ${container.slice(0, 12)} is cut off from ${entry.network.name}: restart it for another address`);
    this.#attempt("cutting off", () => kernel.net.batch([setLink({ name, up: false })]));
  }

  #fence(isFenced: boolean): void {
    for (const network of this.#open.values()) {
      this.#attempt(`network ${network.name}`, () => {
        if (isFenced) this.#tunnels.cut(network);
        else this.#parts.kernel.ensure(network);
      });
    }
  }

  get where(): { readonly endpoints: readonly string[]; readonly prefix: string } {
    const { etcd, prefix } = this.#store.joined();
    return { endpoints: etcd.endpoints, prefix };
  }

  start(): void {
    this.cluster.start();
  }

  async idle(): Promise<void> {
    await Promise.all(this.#releases);
  }

  /** The engine ends: what is in the kernel and in etcd stays. */
  async close(): Promise<void> {
    await this.cluster.close();
    this.underlay.dispose();
    this.#store.close();
  }

  /** The host is no member any more. Nobody of it is in an overlay network. @throws OnggiError */
  async leave(): Promise<void> {
    await this.idle();
    await this.cluster.leave();
    this.underlay.dispose();
    this.#store.remove();
  }

  /** A membership that came to nothing. */
  discard(): void {
    this.#store.remove();
  }
}

/** More changes than that at once are made by looking at all that the kernel has. */
const FEW = 50;

const remoteOf = ({ container, names, ipv4, ipv6 }: Claim): RemoteEndpoint => ({ container, names, ipv4, ipv6 });
