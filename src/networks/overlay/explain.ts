/** A tunnel and its peers in the words of `ip` and `bridge`. Pure. */
import { bridgeAlias } from "../bridge.ts";
import type { NetworkRecord } from "../database.ts";
import type { Peer } from "./peers.ts";
import { type Tunnel, tunnelName } from "./tunnel.ts";

/** To follow those that make the network's bridge. */
export function tunnelLines(network: NetworkRecord, tag: string, { vni, local, port }: Tunnel): string[] {
  const name = tunnelName(network.id);
  return [
    `ip link add ${name} mtu ${network.mtu} type vxlan id ${vni} local ${local} dstport ${port} nolearning`,
    `ip link set ${name} alias "${bridgeAlias(network, tag)}"`,
    `sysctl net.ipv6.conf.${name}.disable_ipv6=1`,
    `ip link set ${name} master ${network.interface}`,
    `bridge link set dev ${name} learning off flood off mcast_flood off bcast_flood off neigh_suppress on`,
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
