/** What an endpoint is to have while its container runs: names, addresses, gateways. Takes addresses, makes nothing in the kernel. */
import { bridgeMac, derivedMac, hasBridge, lengthOf } from "./bridge.ts";
import type { NetworkRecord } from "./database.ts";
import { NetworkError } from "./errors.ts";
import type { FirewallNetwork, FirewallPort } from "./firewall/index.ts";
import type { Gateways } from "./inside.ts";
import { hostEndName } from "./kernel.ts";
import { parseOptions } from "./options.ts";
import { isPassthru, sharesMac } from "./parent.ts";
import { familyOf } from "./prefixes.ts";
import { byPriority, type EndpointEntry, type NetworkState } from "./state.ts";
import type { Attachment, Publication, Published } from "./types.ts";

/** An endpoint with what it has, or is about to get. */
export interface Attached {
  readonly entry: EndpointEntry;
  readonly attachment: Attachment;
}

function takeAddress(
  state: NetworkState,
  { network, record }: EndpointEntry,
  family: 4 | 6,
  elsewhere: Surroundings["elsewhere"],
): string | null {
  const allocator = state.allocator(network, family);
  if (allocator === undefined) return null;
  const fixed = family === 4 ? record.fixed.ipv4 : record.fixed.ipv6;
  if (fixed === undefined) return allocator.take(state.fixedIn(network));
  if (allocator.takeFixed(fixed)) return fixed;
  const holder = state
    .endpointsIn(network.id)
    .find(({ attached }) => attached !== null && (attached.ipv4 === fixed || attached.ipv6 === fixed));
  throw new NetworkError(
    "address_in_use",
    `address ${fixed} of network ${network.name} is in use by ${holder ? `container ${holder.record.container.slice(0, 12)}` : elsewhere(network, fixed)}: choose another, or stop that container`,
  );
}

export function releaseAddresses(state: NetworkState, network: NetworkRecord, addresses: readonly (string | null)[]): void {
  for (const address of addresses) if (address !== null) state.allocator(network, familyOf(address))?.release(address);
}

/** The first "eth" and number that is not among those names. */
function freeName(prefix: string, names: ReadonlySet<string>): string {
  for (let number = 0; ; number++) if (!names.has(`${prefix}${number}`)) return `${prefix}${number}`;
}

/** What the attachments of a container are planned with. */
export interface Surroundings {
  readonly tag: string;
  /** The container's name. */
  readonly name?: string | undefined;
  /** Interfaces that the namespace has. */
  readonly names: ReadonlySet<string>;
  /** Who has an address that no container of this host has: "container web on host-b". */
  elsewhere(network: NetworkRecord, ip: string): string;
  /** The hardware address of an interface of the host. */
  parentMac(parent: string): string | undefined;
}

function planOne(
  state: NetworkState,
  entry: EndpointEntry,
  { tag, name: called, parentMac, elsewhere }: Surroundings,
  names: Set<string>,
): Attachment {
  const { network, record } = entry;
  const { interfacePrefix } = parseOptions(network.driver, network.options);
  const name = record.interface ?? freeName(interfacePrefix, names);
  const shared = sharesMac(network) ? parentMac(network.interface) : undefined;
  const holder = isPassthru(network) ? state.endpointsIn(network.id).find(({ attached }) => attached !== null) : undefined;
  if (holder !== undefined) {
    throw new NetworkError(
      "network_in_use",
      `network ${network.name} passes ${network.interface} through to one container at a time, and ${holder.record.container.slice(0, 12)} has it`,
    );
  }
  if (names.has(name)) {
    throw new NetworkError("network_invalid", `network ${network.name}: the container has an interface ${name} already`);
  }
  const taken: (string | null)[] = [];
  try {
    const take = (family: 4 | 6): string | null => {
      const address = takeAddress(state, entry, family, elsewhere);
      taken.push(address);
      return address;
    };
    const ipv4 = take(4);
    const ipv6 = take(6);
    const pool = (family: 4 | 6) => network.pools.find(({ subnet }) => familyOf(subnet) === family);
    const gateway = (family: 4 | 6): string | null =>
      network.internal || record.withoutGateway ? null : (pool(family)?.gateway ?? null);
    names.add(name);
    return {
      interface: name,
      hostInterface: hasBridge(network) ? hostEndName(tag) : "",
      mac: shared ?? record.fixed.mac ?? derivedMac(ipv4, ipv6),
      ipv4,
      ipv4PrefixLength: ipv4 === null ? 0 : lengthOf(pool(4)!.subnet),
      ipv4Gateway: gateway(4),
      ipv6,
      ipv6PrefixLength: ipv6 === null ? 0 : lengthOf(pool(6)!.subnet),
      ipv6Gateway: gateway(6),
      ...(network.driver === "overlay" ? { names: [...(called === undefined ? [] : [called]), ...record.aliases] } : {}),
    };
  } catch (error) {
    releaseAddresses(state, network, taken);
    throw error;
  }
}

/**
 * Takes addresses for endpoints of one container, all or none.
 * @throws NetworkError addresses_exhausted, address_in_use, network_invalid
 */
export function planAttachments(state: NetworkState, entries: readonly EndpointEntry[], surroundings: Surroundings): Attached[] {
  const used = new Set(surroundings.names);
  // A name that one endpoint asks for is given to no other.
  const asked = entries.flatMap(({ record }) => (record.interface === undefined ? [] : [record.interface]));
  const planned: Attached[] = [];
  try {
    for (const entry of entries) {
      const others = entry.record.interface === undefined ? asked.filter((name) => !used.has(name)) : [];
      for (const name of others) used.add(name);
      const attachment = planOne(state, entry, surroundings, used);
      for (const name of others) used.delete(name);
      planned.push({ entry, attachment });
    }
    return planned;
  } catch (error) {
    for (const { entry, attachment } of planned) releaseAddresses(state, entry.network, [attachment.ipv4, attachment.ipv6]);
    throw error;
  }
}

/** Those that are attached, the one with the highest priority first. */
export const attachedOf = (entries: readonly EndpointEntry[]): Attached[] =>
  entries.flatMap((entry) => (entry.attached === null ? [] : [{ entry, attachment: entry.attached }]));

const inOrder = (attached: readonly Attached[]): Attached[] =>
  [...attached].sort((one, other) => byPriority(one.entry, other.entry));

/** The default routes that a container with these endpoints has. */
export function gatewaysOf(attached: readonly Attached[]): Gateways {
  const first = (gateway: (attachment: Attachment) => string | null): string | null =>
    inOrder(attached)
      .map(({ attachment }) => gateway(attachment))
      .find((text) => text !== null) ?? null;
  return { ipv4: first(({ ipv4Gateway }) => ipv4Gateway), ipv6: first(({ ipv6Gateway }) => ipv6Gateway) };
}

/** The endpoint that ports of a family's host addresses lead to: of bridges with a way out the first that has an address of it. */
export function publisher(attached: readonly Attached[], family: 4 | 6): Attached | undefined {
  return inOrder(attached).find(
    ({ entry: { network }, attachment: { ipv4, ipv6 } }) =>
      hasBridge(network) && !network.internal && (family === 4 ? ipv4 : ipv6) !== null,
  );
}

/**
 * The requests that these endpoints can answer. A container without a way out publishes nothing. Where all addresses of the host are
 * asked for, those of a family that the container does not have are left out.
 * @throws NetworkError port_invalid for one address of such a family
 */
export function publishable(attached: readonly Attached[], requests: readonly Publication[]): Publication[] {
  const by = { 4: publisher(attached, 4), 6: publisher(attached, 6) };
  if (by[4] === undefined && by[6] === undefined) return [];
  return requests.flatMap((request) => {
    const family = familyOf(request.hostIp);
    const endpoint = by[family];
    if (endpoint !== undefined) {
      const { network } = endpoint.entry;
      const { hostBinding } = parseOptions(network.driver, network.options);
      return [request.hostIp === "0.0.0.0" && hostBinding !== undefined ? { ...request, hostIp: hostBinding } : request];
    }
    if (request.hostIp === "0.0.0.0" || request.hostIp === "::") return [];
    throw new NetworkError(
      "port_invalid",
      `port ${request.containerPort}/${request.protocol} on ${request.hostIp}: the container has no address of IPv${family} that the host reaches`,
    );
  });
}

/**
 * Of requests for all addresses of the host those of a family that the container had no address of when the others were published;
 * they get the same port.
 */
export function newlyPublishable(
  attached: readonly Attached[],
  requests: readonly Publication[],
  published: readonly Published[],
): Publication[] {
  const had = new Set(published.map(({ hostIp }) => familyOf(hostIp)));
  const wanted = requests.filter(({ hostIp }) => (hostIp === "0.0.0.0" || hostIp === "::") && !had.has(familyOf(hostIp)));
  return publishable(attached, wanted).map((request) => {
    const sibling = published.find(
      ({ protocol, containerPort, hostPort }) =>
        protocol === request.protocol &&
        containerPort === request.containerPort &&
        (request.hostPort === 0 || (request.hostPort <= hostPort && hostPort <= request.hostPortEnd)),
    );
    return sibling === undefined ? request : { ...request, hostPort: sibling.hostPort, hostPortEnd: sibling.hostPort };
  });
}

export const firewallNetwork = (network: NetworkRecord, tag: string): FirewallNetwork => {
  const { icc, masquerade } = parseOptions(network.driver, network.options);
  const subnets = network.pools.map(({ subnet }) => subnet);
  return {
    id: network.id,
    interface: network.interface,
    ...(network.driver === "overlay" ? { spanningMac: bridgeMac(network, tag) } : {}),
    subnets4: subnets.filter((subnet) => familyOf(subnet) === 4),
    subnets6: subnets.filter((subnet) => familyOf(subnet) === 6),
    internal: network.internal,
    masquerade,
    icc,
  };
};

/** What the firewall is told of published ports. Those whose endpoint is not attached are left out. */
export function firewallPorts(attached: readonly Attached[], published: readonly Published[]): FirewallPort[] {
  return published.flatMap(({ protocol, hostIp, hostPort, containerPort, network }) => {
    const endpoint = attached.find(({ entry }) => entry.network.id === network);
    const containerIp = familyOf(hostIp) === 4 ? endpoint?.attachment.ipv4 : endpoint?.attachment.ipv6;
    if (endpoint === undefined || !containerIp) return [];
    const { driver, options, interface: bridge } = endpoint.entry.network;
    const port = { protocol, hostIp, hostPort, containerIp, containerPort, interface: bridge };
    const { publish } = parseOptions(driver, options);
    if (driver !== "bridge" || publish === "open") return [port];
    return [{ ...port, behind: publish === "host-firewall" ? "always" : "if-possible" }];
  });
}
