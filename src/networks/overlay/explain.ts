/** A tunnel, its peers and the link that seals them in the words of `ip`, `bridge` and `wg`. Pure. */
import { bridgeAlias } from "../bridge.ts";
import type { NetworkRecord } from "../database.ts";
import { parseOptions } from "../options.ts";
import type { Peer } from "./peers.ts";
import { type Tunnel, tunnelName } from "./tunnel.ts";
import {
  LEFTOVER_METRIC,
  type Node,
  PREFIX_BITS,
  publicKeyOf,
  type Seal,
  sealedAddress,
  sealedAlias,
  sealedMtu,
  sealedName,
  sealedPrefix,
} from "./wireguard.ts";

/** To follow those that make the network's bridge. */
export function tunnelLines(network: NetworkRecord, tag: string, { vni, local, port }: Tunnel): string[] {
  const name = tunnelName(network.id);
  const isolated = parseOptions(network.driver, network.options).icc ? "" : " isolated on";
  return [
    `ip link add ${name} mtu ${network.mtu} type vxlan id ${vni} local ${local} dstport ${port} nolearning`,
    `ip link set ${name} alias "${bridgeAlias(network, tag)}"`,
    `sysctl net.ipv6.conf.${name}.disable_ipv6=1`,
    `ip link set ${name} master ${network.interface}`,
    `bridge link set dev ${name} learning off flood off mcast_flood off bcast_flood off neigh_suppress on${isolated}`,
    `ip link set ${name} up`,
  ];
}

export function peerLines(network: NetworkRecord, { mac, ipv4, ipv6, host }: Peer): string[] {
  const name = tunnelName(network.id);
  return [
    `bridge fdb replace ${mac} dev ${name} dst ${host} self permanent`,
    `bridge fdb replace ${mac} dev ${name} master static sticky`,
    ...[ipv4, ipv6].flatMap((ip) =>
      ip === null ? [] : [`ip neigh replace ${ip} lladdr ${mac} dev ${network.interface} nud permanent`],
    ),
  ];
}

/** To come before tunnels over it. The private key stays out of it. */
export function sealedLines(tag: string, { privateKey, port, cluster, underlay }: Seal, nodes: readonly Node[]): string[] {
  const name = sealedName(tag);
  const address = sealedAddress(cluster, publicKeyOf(privateKey));
  return [
    `ip link add ${name} type wireguard`,
    `ip link set ${name} alias "${sealedAlias(tag)}"`,
    `wg set ${name} private-key FILE listen-port ${port}`,
    `ip route replace unreachable ${sealedPrefix(address)} metric ${LEFTOVER_METRIC}`,
    `ip link set ${name} mtu ${sealedMtu(underlay)} up`,
    `ip address add ${address}/${PREFIX_BITS} nodad dev ${name}`,
    ...nodes.map((node) => {
      const endpoint = node.address.includes(":") ? `[${node.address}]` : node.address;
      const allowed = `${sealedAddress(cluster, node.publicKey)}/128`;
      const keepalive = node.keepalive ? ` persistent-keepalive ${node.keepalive}` : "";
      return `wg set ${name} peer ${node.publicKey} endpoint ${endpoint}:${node.port}${keepalive} allowed-ips ${allowed}`;
    }),
  ];
}
