/** What there is of networks, endpoints and attachments: in memory as in the database. */
import { AddressAllocator } from "./addresses.ts";
import type { EndpointRecord, NetworkDatabase, NetworkRecord, PublicationRecord } from "./database.ts";
import { NetworkError } from "./errors.ts";
import { familyOf } from "./prefixes.ts";
import type { Attachment, Endpoint, Network } from "./types.ts";

/** An endpoint, and what it has while its container runs. */
export interface EndpointEntry {
  record: EndpointRecord;
  network: NetworkRecord;
  attached: Attachment | null;
}

/** For callers: without what only this folder needs. */
export function networkView({ chosen: _, ...network }: NetworkRecord): Network {
  return network;
}

export function endpointView({ record: { transient: _, ...record }, network, attached }: EndpointEntry): Endpoint {
  return { ...record, networkName: network.name, attached };
}

/** The endpoint with the highest priority first; of equals by the network's name. */
export const byPriority = (one: EndpointEntry, other: EndpointEntry): number =>
  other.record.gatewayPriority - one.record.gatewayPriority || (one.network.name < other.network.name ? -1 : 1);

export class NetworkState {
  readonly #db: NetworkDatabase;
  readonly #released: (entry: EndpointEntry, attachment: Attachment) => void;
  readonly #networks = new Map<string, NetworkRecord>();
  readonly #byName = new Map<string, NetworkRecord>();
  /** By container and network. */
  readonly #endpoints = new Map<string, Map<string, EndpointEntry>>();
  readonly #byNetwork = new Map<string, Set<EndpointEntry>>();
  readonly #allocators = new Map<string, AddressAllocator[]>();
  readonly #publications = new Map<string, PublicationRecord>();
  /** "network address" of all endpoints that have fixed ones: nobody else is given them. */
  readonly #fixed = new Map<string, Set<string>>();

  /** @param released is told of what an endpoint had and has no more */
  constructor(db: NetworkDatabase, released: (entry: EndpointEntry, attachment: Attachment) => void = () => {}) {
    this.#db = db;
    this.#released = released;
    for (const network of db.networks()) this.#enter(network);
    for (const { attached, ...record } of db.endpoints()) {
      const network = this.#networks.get(record.network);
      // Its network is removed: endpoints of such are left by a power cut at most.
      if (network === undefined) continue;
      const entry = this.#enterEndpoint(record, network);
      if (attached === null) continue;
      entry.attached = attached;
      for (const address of [attached.ipv4, attached.ipv6]) {
        if (address !== null) this.allocator(network, familyOf(address))?.takeFixed(address);
      }
    }
    for (const publication of db.publications()) this.#publications.set(publication.container, publication);
  }

  #enter(network: NetworkRecord): void {
    this.#networks.set(network.id, network);
    this.#byName.set(network.name, network);
    this.#allocators.set(
      network.id,
      // Nobody has an address of a configuration. Hosts that take the next address each would all take the same.
      (network.configOnly ? [] : network.pools).map((pool) => new AddressAllocator(pool, network.driver === "overlay")),
    );
  }

  #enterEndpoint(record: EndpointRecord, network: NetworkRecord): EndpointEntry {
    const entry: EndpointEntry = { record, network, attached: null };
    const own = this.#endpoints.get(record.container) ?? new Map<string, EndpointEntry>();
    this.#endpoints.set(record.container, own.set(record.network, entry));
    this.#byNetwork.set(record.network, (this.#byNetwork.get(record.network) ?? new Set()).add(entry));
    const fixed = this.#fixed.get(record.network) ?? new Set<string>();
    for (const address of [record.fixed.ipv4, record.fixed.ipv6]) if (address !== undefined) fixed.add(address);
    if (fixed.size > 0) this.#fixed.set(record.network, fixed);
    return entry;
  }

  networks(): NetworkRecord[] {
    return [...this.#networks.values()];
  }

  network(id: string): NetworkRecord | undefined {
    return this.#networks.get(id);
  }

  byName(name: string): NetworkRecord | undefined {
    return this.#byName.get(name);
  }

  /** By name, id or unique prefix of an id. @throws NetworkError network_not_found, network_ambiguous */
  find(reference: string): NetworkRecord {
    const exact = this.#byName.get(reference) ?? this.#networks.get(reference);
    if (exact !== undefined) return exact;
    const found = /^[0-9a-f]+$/.test(reference) ? this.networks().filter(({ id }) => id.startsWith(reference)) : [];
    if (found.length === 1) return found[0]!;
    if (found.length === 0) {
      throw new NetworkError("network_not_found", `no such network: ${reference}; "onggi network ls" lists what is there`);
    }
    const names = found.map(({ id, name }) => `${id.slice(0, 12)} (${name})`).join(", ");
    throw new NetworkError("network_ambiguous", `network id prefix "${reference}" is ambiguous: ${names}; give more digits`);
  }

  putNetwork(network: NetworkRecord): void {
    this.#db.putNetworks([network]);
    this.#enter(network);
  }

  /** A network that nobody is attached to is another now; id and name stay. */
  changeNetwork(network: NetworkRecord): void {
    this.putNetwork(network);
    for (const entry of this.endpointsIn(network.id)) entry.network = network;
  }

  removeNetwork(network: NetworkRecord): void {
    this.#db.markRemoved(network.id);
    this.#networks.delete(network.id);
    this.#byName.delete(network.name);
    this.#allocators.delete(network.id);
    this.#byNetwork.delete(network.id);
    this.#fixed.delete(network.id);
  }

  allocator(network: NetworkRecord, family: 4 | 6): AddressAllocator | undefined {
    const at = network.pools.findIndex(({ subnet }) => familyOf(subnet) === family);
    return at < 0 ? undefined : this.#allocators.get(network.id)?.[at];
  }

  /** Addresses of a network that endpoints are fixed to, whether their containers run or not. */
  fixedIn(network: NetworkRecord): ReadonlySet<string> {
    return this.#fixed.get(network.id) ?? new Set();
  }

  addEndpoint(record: EndpointRecord, network: NetworkRecord): EndpointEntry {
    this.#db.putEndpoint(record);
    return this.#enterEndpoint(record, network);
  }

  /** Container, network and fixed addresses stay. */
  changeEndpoint(entry: EndpointEntry, record: EndpointRecord): void {
    this.#db.changeEndpoint(record);
    entry.record = record;
  }

  endpointsOf(container: string): EndpointEntry[] {
    return [...(this.#endpoints.get(container)?.values() ?? [])].sort(byPriority);
  }

  endpointsIn(network: string): EndpointEntry[] {
    return [...(this.#byNetwork.get(network) ?? [])];
  }

  endpoint(container: string, network: NetworkRecord): EndpointEntry | undefined {
    return this.#endpoints.get(container)?.get(network.id);
  }

  removeEndpoints(entries: readonly EndpointEntry[]): void {
    this.#db.dropEndpoints(entries.map(({ record }) => record));
    for (const entry of entries) {
      const { container, network, fixed } = entry.record;
      const own = this.#endpoints.get(container);
      own?.delete(network);
      if (own?.size === 0) this.#endpoints.delete(container);
      this.#byNetwork.get(network)?.delete(entry);
      const others = this.endpointsIn(network);
      for (const [family, address] of Object.entries({ ipv4: fixed.ipv4, ipv6: fixed.ipv6 })) {
        if (address === undefined) continue;
        const isKept = others.some(({ record }) => record.fixed[family as "ipv4" | "ipv6"] === address);
        if (!isKept) this.#fixed.get(network)?.delete(address);
      }
      this.#giveBack(entry);
    }
  }

  publication(container: string): PublicationRecord {
    return this.#publications.get(container) ?? { container, requests: [], published: [] };
  }

  /** Containers of which something is attached or published. */
  attachedContainers(): string[] {
    const attached = [...this.#endpoints].filter(([, own]) => [...own.values()].some((entry) => entry.attached !== null));
    return [...new Set([...attached.map(([container]) => container), ...this.#publications.keys()])];
  }

  /** Records what a running container has got. The addresses are taken already. */
  setAttached(
    container: string,
    attachments: readonly { readonly entry: EndpointEntry; readonly attachment: Attachment }[],
    publication: PublicationRecord,
  ): void {
    this.#db.putAttached(
      container,
      attachments.map(({ entry, attachment }) => ({ network: entry.network.id, attachment })),
      publication,
    );
    for (const { entry, attachment } of attachments) entry.attached = attachment;
    this.#setPublication(publication);
  }

  /** Records what running containers publish: all or none. */
  setPublications(publications: readonly PublicationRecord[]): void {
    this.#db.putPublications(publications);
    for (const publication of publications) this.#setPublication(publication);
  }

  #setPublication(publication: PublicationRecord): void {
    if (publication.requests.length > 0) this.#publications.set(publication.container, publication);
    else this.#publications.delete(publication.container);
  }

  // What has ended is free also where that cannot be written down: the next start finds it out again.

  /** One endpoint has nothing any more. Its addresses are free. */
  clearAttachment(entry: EndpointEntry): void {
    this.#giveBack(entry);
    this.#db.dropAttached(entry.record.container, entry.record.network);
  }

  /** A container has nothing any more. Its addresses are free. */
  clearContainer(container: string): void {
    for (const entry of this.endpointsOf(container)) this.#giveBack(entry);
    this.#publications.delete(container);
    this.#db.dropAttached(container);
  }

  #giveBack(entry: EndpointEntry): void {
    const { attached } = entry;
    entry.attached = null;
    if (attached !== null) this.giveBack(entry, attached);
  }

  /** Addresses that an endpoint has had, or should have had, are free again. */
  giveBack(entry: EndpointEntry, attachment: Attachment): void {
    for (const address of [attachment.ipv4, attachment.ipv6]) {
      if (address !== null) this.allocator(entry.network, familyOf(address))?.release(address);
    }
    this.#released(entry, attachment);
  }
}
