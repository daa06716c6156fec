/** How a network comes to its subnets, its interface and its MTU. */
import { isDeepStrictEqual } from "node:util";
import { chooseSubnet, completePool, type GatewayPool } from "./addresses.ts";
import { bridgeName, hasBridge } from "./bridge.ts";
import type { NetworkRecord } from "./database.ts";
import { NetworkError } from "./errors.ts";
import { defaultMtu, type OccupiedRange, occupiedRanges } from "./host.ts";
import type { KernelNetworks } from "./kernel.ts";
import { hasParent } from "./options.ts";
import { findParent, isVlan, requireKind } from "./parent.ts";
import { familyOf, overlaps, parseAddress, parseSubnet, subnetAround, subnetText } from "./prefixes.ts";
import type { CheckedRequest } from "./request.ts";
import type { AddressPool, DefaultBridge, NetworkSettings } from "./types.ts";

export const newId = (): string => Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString("hex");

/** What other networks and, for a bridge, the host have a use for. */
function occupied(kernel: KernelNetworks, others: readonly NetworkRecord[], withHost: boolean): OccupiedRange[] {
  const own = new Set(others.filter(hasBridge).map((network) => network.interface));
  return [
    ...others.flatMap(({ name, pools, configOnly }) =>
      (configOnly ? [] : pools).map(({ subnet }) => ({ ...parseSubnet(subnet), what: `network ${name} with ${subnet}` })),
    ),
    ...(withHost ? occupiedRanges(kernel.net, own) : []),
  ];
}

/**
 * A network as it is to be recorded.
 * @throws NetworkError subnet_overlap, addresses_exhausted, network_invalid
 */
export function newNetwork(
  kernel: KernelNetworks,
  others: readonly NetworkRecord[],
  request: CheckedRequest,
  tag: string,
  addressPools: readonly AddressPool[],
): NetworkRecord {
  const { name, driver, ipv4, ipv6, internal, options, parsed, labels, lease, configFrom } = request;
  const id = newId();
  const ranges = occupied(kernel, others, hasBridge({ driver }));
  for (const { subnet } of request.pools) {
    const range = parseSubnet(subnet);
    const other = ranges.find((one) => overlaps(one, range));
    if (other !== undefined) {
      throw new NetworkError("subnet_overlap", `subnet ${subnet} of network ${name} overlaps ${other.what}: choose another`);
    }
  }
  const pools: GatewayPool[] = [
    ...request.pools,
    ...request.missing.map((family) => completePool({ subnet: subnetText(chooseSubnet(family, tag, ranges, addressPools)) })),
  ].sort((one, other) => familyOf(one.subnet) - familyOf(other.subnet));
  const parent = hasParent({ driver }) ? findParent(kernel.net, driver, parsed.parent) : undefined;
  const below = parent !== undefined && isVlan(parent) ? parent.base : parent;
  if (below !== undefined) requireKind(kernel.net, driver, below.index);
  const link = below === undefined ? bridgeName(id, tag, false, parsed.bridgeName) : parsed.parent;
  const inUse = others.find((other) => driver === "bridge" && other.interface === link);
  if (driver === "bridge" && (inUse !== undefined || kernel.net.linkByName(link) !== null)) {
    const whose = inUse === undefined ? "this host has an interface" : `network ${inUse.name} has the bridge`;
    throw new NetworkError("network_invalid", `network ${name}: ${whose} ${link} already; choose another name for the bridge`);
  }
  return {
    id,
    name,
    driver,
    created: new Date().toISOString(),
    ipv4,
    ipv6,
    internal,
    pools,
    options,
    labels,
    ...(lease === undefined ? {} : { lease }),
    // other hosts do not have that configuration
    ...(configFrom && driver !== "overlay" ? { configFrom } : {}),
    interface: link,
    mtu: parsed.mtu ?? below?.mtu ?? defaultMtu(kernel.net),
    predefined: false,
    chosen: request.pools.map(({ subnet }) => familyOf(subnet)),
  };
}

/** The networks that are always there, of which `others` may have some already. */
export function predefinedNetworks(
  kernel: KernelNetworks,
  others: readonly NetworkRecord[],
  tag: string,
  settings: NetworkSettings,
): NetworkRecord[] {
  const common = {
    created: new Date().toISOString(),
    internal: false,
    options: {},
    labels: {},
    predefined: true,
    chosen: [],
  } as const;
  const missing = (name: string): boolean => !others.some((other) => other.name === name && other.predefined);
  const none = { ...common, ipv4: false, ipv6: false, pools: [], interface: "", mtu: 0 } as const;
  const networks: NetworkRecord[] = [];
  if (missing("bridge")) {
    const id = newId();
    networks.push({
      ...common,
      ...{ id, name: "bridge", driver: "bridge", ipv4: true, ipv6: false },
      pools: [chosenPool(settings.bridge) ?? defaultPool(kernel, others, tag, settings.pools)],
      interface: bridgeName(id, tag, true),
      mtu: settings.bridge.mtu ?? defaultMtu(kernel.net),
      options: settings.bridge.options,
    });
  }
  if (missing("host")) networks.push({ ...none, id: newId(), name: "host", driver: "host" });
  if (missing("none")) networks.push({ ...none, id: newId(), name: "none", driver: "null" });
  return networks;
}

const defaultPool = (
  kernel: KernelNetworks,
  others: readonly NetworkRecord[],
  tag: string,
  pools: readonly AddressPool[],
): GatewayPool => completePool({ subnet: subnetText(chooseSubnet(4, tag, occupied(kernel, others, true), pools)) });

/** The default network's pool where an administrator says it; null where not. @throws NetworkError address_invalid */
export function chosenPool({ address, range }: DefaultBridge): GatewayPool | null {
  if (address === undefined) return range === undefined ? null : completePool({ subnet: range });
  const [gateway = "", length = ""] = address.split("/");
  const { family, number } = parseAddress(gateway, "bridge address");
  const subnet = subnetText(subnetAround(family, number, Number(length)));
  return completePool({ subnet, gateway, ...(range === undefined ? {} : { range }) });
}

/**
 * The default network as it should be made now. What the settings say holds; else nobody has chosen its subnet and MTU, so they are
 * others if since it was recorded the host has got a use for that subnet (another engine's default network, for example) or another
 * uplink. @throws NetworkError subnet_overlap
 */
export function currentDefault(
  kernel: KernelNetworks,
  network: NetworkRecord,
  others: readonly NetworkRecord[],
  tag: string,
  settings: NetworkSettings,
): NetworkRecord {
  const ranges = occupied(kernel, others, true);
  const { bridge } = settings;
  const chosen = chosenPool(bridge);
  const pools = chosen === null ? network.pools : [chosen];
  const other = ranges.find((range) => pools.some(({ subnet }) => overlaps(range, parseSubnet(subnet))));
  if (chosen !== null && other !== undefined) {
    throw new NetworkError(
      "subnet_overlap",
      `subnet ${chosen.subnet} of the default network overlaps ${other.what}: choose another`,
    );
  }
  const current = {
    ...network,
    mtu: bridge.mtu ?? defaultMtu(kernel.net),
    options: bridge.options,
    pools: other === undefined ? pools : [defaultPool(kernel, others, tag, settings.pools)],
  };
  return isDeepStrictEqual(current, network) ? network : current;
}
