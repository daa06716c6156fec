/**
 * The names of containers' networks. A container knows the names of the networks it is in and no others; letters' case does not
 * count. Pure.
 */
import { formatIp, parseIp } from "../../sys/ipaddress.ts";
import { encodeName } from "./message.ts";
import type { DnsContainer, DnsEndpoint, DnsLink, DnsNetwork } from "./types.ts";

/** Characters of an id that are a name of the container. */
const SHORT_ID = 12;

const fold = (name: string): string => name.toLowerCase().replace(/\.$/, "");

interface Entry {
  readonly container: string;
  readonly names: readonly string[];
  readonly ipv4: Uint8Array | null;
  readonly ipv6: Uint8Array | null;
  /** Its own name in the network, encoded. */
  readonly pointer: Uint8Array | null;
}

class Zone {
  network: DnsNetwork;
  suffix = "";
  readonly entries = new Map<string, Entry>();
  readonly byName = new Map<string, Set<Entry>>();
  readonly byAddress = new Map<string, Entry>();

  constructor(network: DnsNetwork) {
    this.network = network;
  }

  add(entry: Entry): void {
    this.delete(entry.container);
    this.entries.set(entry.container, entry);
    for (const name of entry.names) {
      const named = this.byName.get(name);
      if (named) named.add(entry);
      else this.byName.set(name, new Set([entry]));
    }
    for (const address of addressesOf(entry)) this.byAddress.set(formatIp(address), entry);
  }

  delete(container: string): void {
    const entry = this.entries.get(container);
    if (!entry) return;
    this.entries.delete(container);
    for (const name of entry.names) {
      const named = this.byName.get(name);
      named?.delete(entry);
      if (named?.size === 0) this.byName.delete(name);
    }
    for (const address of addressesOf(entry)) {
      const text = formatIp(address);
      if (this.byAddress.get(text) === entry) this.byAddress.delete(text);
    }
  }
}

const addressesOf = ({ ipv4, ipv6 }: Entry): Uint8Array[] => [ipv4, ipv6].filter((address) => address !== null);

/** What is known of a name. A name that exists without addresses of a family exists. */
export interface Found {
  readonly ipv4: readonly Uint8Array[];
  readonly ipv6: readonly Uint8Array[];
  /** Names for the address that the name stands for, encoded. */
  readonly pointers: readonly Uint8Array[];
}

const addresses = (ipv4: readonly (Uint8Array | null)[], ipv6: readonly (Uint8Array | null)[]): Found => ({
  ipv4: shuffled(ipv4.filter((address) => address !== null)),
  ipv6: shuffled(ipv6.filter((address) => address !== null)),
  pointers: [],
});

const ofEntries = (entries: readonly Entry[]): Found =>
  addresses(
    entries.map(({ ipv4 }) => ipv4),
    entries.map(({ ipv6 }) => ipv6),
  );

function linkedIn(zone: Zone, { container, network = zone.network.id }: DnsLink): Entry[] {
  if (network !== zone.network.id) return [];
  const entry = zone.entries.get(container);
  return entry ? [entry] : [...(zone.byName.get(fold(container)) ?? [])];
}

function shuffled<T>(list: T[]): T[] {
  for (let last = list.length - 1; last > 0; last--) {
    const other = Math.floor(Math.random() * (last + 1));
    [list[last], list[other]] = [list[other]!, list[last]!];
  }
  return list;
}

const gatewayNames = new Set(["host.docker.internal", "host.onggi.internal"]);

interface Client {
  readonly hosts: ReadonlyMap<string, readonly Uint8Array[]>;
  readonly links: ReadonlyMap<string, readonly DnsLink[]>;
}

export class Zones {
  readonly #zones = new Map<string, Zone>();
  readonly #memberships = new Map<string, Zone[]>();
  readonly #clients = new Map<string, Client>();

  get networks(): readonly string[] {
    return [...this.#zones.keys()];
  }

  /** Makes a network, or changes what is known of it; who is in it stays. */
  setNetwork(network: DnsNetwork): void {
    const zone = this.#zones.get(network.id) ?? new Zone(network);
    zone.network = network;
    zone.suffix = `.${fold(network.name)}`;
    this.#zones.set(network.id, zone);
  }

  removeNetwork(id: string): void {
    for (const { container } of this.endpointsIn(id)) this.leave(id, container);
    this.#zones.delete(id);
  }

  endpointsIn(network: string): readonly { readonly container: string }[] {
    return [...(this.#zones.get(network)?.entries.values() ?? [])];
  }

  /** Puts a container into a network, or changes what is known of it there. @throws TypeError for what is no address */
  join(network: string, endpoint: DnsEndpoint): void {
    const zone = this.#zones.get(network);
    if (!zone) return;
    const { container } = endpoint;
    const short = container.slice(0, SHORT_ID).toLowerCase();
    const isNew = !zone.entries.has(container);
    const own = endpoint.names[0];
    zone.add({
      container,
      names: own === undefined ? [] : [...new Set([...endpoint.names.map(fold), short])].filter((name) => name !== ""),
      ipv4: endpoint.ipv4 === null ? null : parseIp(endpoint.ipv4),
      ipv6: endpoint.ipv6 === null ? null : parseIp(endpoint.ipv6),
      pointer: own === undefined ? null : encodeName(`${own}.${zone.network.name}`),
    });
    if (!isNew) return;
    const zones = this.#memberships.get(container);
    if (zones) zones.push(zone);
    else this.#memberships.set(container, [zone]);
  }

  leave(network: string, container: string): void {
    const zone = this.#zones.get(network);
    if (!zone) return;
    zone.delete(container);
    const rest = this.#memberships.get(container)?.filter((other) => other !== zone) ?? [];
    if (rest.length > 0) this.#memberships.set(container, rest);
    else this.#memberships.delete(container);
  }

  /** What a container alone knows. */
  setClient({ id, extraHosts, links = [] }: DnsContainer): void {
    const hosts = new Map<string, Uint8Array[]>();
    for (const { name, address } of extraHosts) hosts.set(fold(name), [...(hosts.get(fold(name)) ?? []), parseIp(address)]);
    this.#clients.set(id, { hosts, links: Map.groupBy(links, ({ name }) => fold(name)) });
  }

  removeClient(id: string): void {
    this.#clients.delete(id);
  }

  /** True if a container's questions may go out: it is in a network that is not internal. */
  mayForward(container: string): boolean {
    return this.#memberships.get(container)?.some(({ network }) => !network.internal) ?? false;
  }

  /** True if an address is the container's own in one of its networks. */
  isAddressOf(container: string, address: string): boolean {
    return this.#memberships.get(container)?.some((zone) => zone.byAddress.get(address)?.container === container) ?? false;
  }

  /**
   * What a container finds under a name, given in lower case: its extra hosts, the names of its gateway, its links, and of its
   * networks, in the order in which it joined them, the first that knows the name. Null: nobody here knows it.
   */
  find(container: string, name: string): Found | null {
    const client = this.#clients.get(container);
    const zones = this.#memberships.get(container) ?? [];
    const hosts = client?.hosts.get(name);
    if (hosts) return byFamily(hosts);
    if (gatewayNames.has(name)) return gateways(zones);
    const linked = client?.links.get(name);
    if (linked) {
      for (const zone of zones) {
        const entries = linked.flatMap((link) => linkedIn(zone, link));
        if (entries.length > 0) return ofEntries(entries);
      }
    }
    for (const zone of zones) {
      const named =
        zone.byName.get(name) ?? (name.endsWith(zone.suffix) ? zone.byName.get(name.slice(0, -zone.suffix.length)) : null);
      if (named) return ofEntries([...named]);
    }
    return name.endsWith(".arpa") ? this.#pointer(zones, name) : null;
  }

  #pointer(zones: readonly Zone[], name: string): Found | null {
    const address = reverseAddress(name);
    if (address === null) return null;
    for (const zone of zones) {
      const entry = zone.byAddress.get(address);
      if (entry) return { ipv4: [], ipv6: [], pointers: entry.pointer === null ? [] : [entry.pointer] };
    }
    return null;
  }
}

const byFamily = (list: readonly Uint8Array[]): Found =>
  addresses(
    list.filter(({ length }) => length === 4),
    list.filter(({ length }) => length === 16),
  );

function gateways(zones: readonly Zone[]): Found {
  const first = (key: "gateway4" | "gateway6"): Uint8Array[] => {
    const gateway = zones.find(({ network }) => network[key] !== null)?.network[key];
    return gateway ? [parseIp(gateway)] : [];
  };
  return { ipv4: first("gateway4"), ipv6: first("gateway6"), pointers: [] };
}

/** The address that a name below in-addr.arpa or ip6.arpa stands for, RFC 1035 section 3.5, RFC 3596 section 2.5. */
export function reverseAddress(name: string): string | null {
  const parts = name.split(".");
  if (parts.length === 6 && name.endsWith(".in-addr.arpa")) {
    const octets = parts.slice(0, 4).reverse();
    return octets.every((octet) => /^(?:0|[1-9][0-9]{0,2})$/.test(octet) && Number(octet) < 256) ? octets.join(".") : null;
  }
  if (parts.length !== 34 || !name.endsWith(".ip6.arpa")) return null;
  const digits = parts.slice(0, 32).reverse();
  if (!digits.every((digit) => /^[0-9a-f]$/.test(digit))) return null;
  return formatIp(Uint8Array.from({ length: 16 }, (_, at) => Number.parseInt(`${digits[2 * at]}${digits[2 * at + 1]}`, 16)));
}
