/**
 * The firewall: what of a host's packets reaches containers, what of theirs leaves, and where published ports lead.
 * Terms: a **bridge** is a network's interface on the host; a **published** port is one of the host's that leads to a container's;
 * an **internal** network has no way in or out; a **node** is a host whose tunnels lead here. See docs/networks.md for the rules and a packet's way.
 */
export { Firewall, type FirewallOptions } from "./firewall.ts";
export type { FirewallNetwork, FirewallNodes, FirewallPort } from "./types.ts";
