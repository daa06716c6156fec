/** What networks and ports are in the table's sets and maps. Pure. */
import { formatIp, interfaceKey, parseIp, parseMac, parsePrefix, type SetElement, setKey } from "../../sys/index.ts";
import type { Protocol } from "../types.ts";
import type { SetName } from "./ruleset.ts";
import type { FirewallNetwork, FirewallNodes, FirewallPort } from "./types.ts";

export interface Element extends SetElement {
  readonly set: SetName;
  /** As nft prints it; absent: it is the end of the interval that the one before it begins. */
  readonly text?: string;
}

/** IPPROTO_* */
export const protocolNumbers: Readonly<Record<Protocol, number>> = { tcp: 6, udp: 17, sctp: 132 };

/** The first address and the first one after a prefix's last, which the last prefix of all has not. */
export function intervalOf(prefix: string): { first: Uint8Array; after: Uint8Array | null } {
  const { bytes, length } = parsePrefix(prefix);
  const first = bytes.map((byte, index) => byte & (0xff00 >> Math.min(8, Math.max(0, length - index * 8))));
  const after = first.slice();
  // Adds one to the last bit of the network, and carries.
  for (let index = Math.ceil(length / 8) - 1, add = 1 << ((8 - (length % 8)) % 8); index >= 0; index--, add = 1) {
    const sum = after[index]! + add;
    after[index] = sum & 0xff;
    if (sum < 256) return { first, after };
  }
  return { first, after: null };
}

function subnetElements(set: SetName, subnet: string): Element[] {
  const { first, after } = intervalOf(subnet);
  return [{ set, key: first, text: subnet }, ...(after === null ? [] : [{ set, key: after, end: true }])];
}

export function networkElements(network: FirewallNetwork): Element[] {
  const name = JSON.stringify(network.interface);
  const key = interfaceKey(network.interface);
  const elements: Element[] = [{ set: "bridges", key, text: name }];
  if (network.spanningMac !== undefined) {
    elements.push({ set: "spanning", key, text: name });
    elements.push({ set: "gateways", key: setKey(parseMac(network.spanningMac)), text: network.spanningMac });
  }
  if (network.internal) elements.push({ set: "internal", key, text: name });
  if (network.icc) elements.push({ set: "within", key: setKey(key, key), text: `${name} . ${name}` });
  for (const [version, subnets] of [
    [4, network.subnets4],
    [6, network.subnets6],
  ] as const) {
    for (const subnet of subnets) {
      elements.push(...subnetElements(`subnets${version}`, subnet));
      if (network.masquerade && !network.internal) elements.push(...subnetElements(`masquerade${version}`, subnet));
    }
  }
  return elements;
}

/** The link by which packets that have passed the host's input rules come in. */
export const inwardElement = (name: string): Element => ({ set: "inward", key: interfaceKey(name), text: JSON.stringify(name) });

/** With it what the host sends to ::1 is left alone. */
export const unservedLoopback: Element = { set: "unserved", key: parseIp("::1"), text: "::1" };

/** True for a port that the host answers on by ::1. */
export const isByLoopback6 = ({ hostIp }: FirewallPort): boolean => hostIp === "::" || hostIp === "::1";

export const portBytes = (port: number): Uint8Array => {
  if (!Number.isInteger(port) || port < 1 || port > 65535) throw new TypeError(`not a port: ${port}`);
  return Uint8Array.of(port >> 8, port);
};

/** @throws TypeError for what is no address, port or name */
export function nodeElements({ ports, sealedPorts = [], addresses, carriers = [] }: FirewallNodes): Element[] {
  const texts = new Set(addresses.map((address) => formatIp(parseIp(address))));
  const open = new Set(ports);
  const pairs = [...texts].flatMap((address) => [...open].map((port) => ({ address, port })));
  return [
    ...[...new Set([...open, ...sealedPorts])].map(
      (port): Element => ({ set: "tunnels", key: portBytes(port), text: `${port}` }),
    ),
    ...pairs.map(({ address, port }): Element => {
      const key = setKey(parseIp(address), portBytes(port));
      return { set: address.includes(":") ? "nodes6" : "nodes4", key, text: `${address} . ${port}` };
    }),
    ...[...new Set(carriers)].map((name): Element => ({ set: "carriers", key: interfaceKey(name), text: JSON.stringify(name) })),
  ];
}

/** Two ports with the same key cannot be published both. */
export const portKey = ({ protocol, hostIp, hostPort }: FirewallPort): string => `${protocol} ${hostIp} ${hostPort}`;

/** True for "0.0.0.0" and "::". */
export const isAny = (ip: string): boolean => ip === "0.0.0.0" || ip === "::";

/** @throws TypeError for what is no address or port, and for two addresses of different families */
export function portElement(port: FirewallPort): Element {
  const host = parseIp(port.hostIp);
  const container = parseIp(port.containerIp);
  if (host.length !== container.length) {
    throw new TypeError(`${port.hostIp} cannot be translated to ${port.containerIp}: they are of different address families`);
  }
  const version = host.length === 4 ? 4 : 6;
  const protocol = Uint8Array.of(protocolNumbers[port.protocol]);
  const value = setKey(container, portBytes(port.containerPort));
  const to = `${port.containerIp} . ${port.containerPort}`;
  return isAny(port.hostIp)
    ? {
        set: port.behind ? `heldAny${version}` : `any${version}`,
        key: setKey(protocol, portBytes(port.hostPort)),
        value,
        text: `${port.protocol} . ${port.hostPort} : ${to}`,
      }
    : {
        set: port.behind ? `held${version}` : `ports${version}`,
        key: setKey(protocol, host, portBytes(port.hostPort)),
        value,
        text: `${port.protocol} . ${port.hostIp} . ${port.hostPort} : ${to}`,
      };
}

/** Elements per message: they must fit an attribute. */
export const CHUNK = 400;
