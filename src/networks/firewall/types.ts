/** What the firewall is told of networks and ports. */
import type { Protocol } from "../types.ts";

export interface FirewallNetwork {
  /** The network's id. */
  readonly id: string;
  /** The bridge's name on the host. */
  readonly interface: string;
  /** Of a network of several hosts: the bridge's hardware address, "02:42:0a:01:02:03". */
  readonly spanningMac?: string;
  /** Prefixes, "172.17.0.0/16". */
  readonly subnets4: readonly string[];
  readonly subnets6: readonly string[];
  /** Nothing goes out of it, nothing comes in, and of the host only the network's own addresses are reached. */
  readonly internal: boolean;
  /** What leaves the host from it has the host's address as its source. */
  readonly masquerade: boolean;
  /** Containers of the network reach each other also where their packets pass the host's routing. */
  readonly icc: boolean;
}

/** Who may send by tunnels of overlay networks. */
export interface FirewallNodes {
  /** UDP ports of tunnels that come from these addresses. None of either kind: all that comes to any port is left alone. */
  readonly ports: readonly number[];
  /** UDP ports of tunnels that come by carriers alone. */
  readonly sealedPorts?: readonly number[];
  /** Addresses of hosts that tunnels come from. */
  readonly addresses: readonly string[];
  /** Interfaces that only nodes can send by, whatever their addresses, and by which nothing but tunnels comes: links of WireGuard. */
  readonly carriers?: readonly string[];
}

export interface FirewallPort {
  readonly protocol: Protocol;
  /** "0.0.0.0", "::" or one address of the host. */
  readonly hostIp: string;
  readonly hostPort: number;
  /** Of the same address family. */
  readonly containerIp: string;
  readonly containerPort: number;
  /** What comes from outside passes the host's own input rules first; "if-possible": unless the kernel cannot have that. */
  readonly behind?: "always" | "if-possible";
  /** The bridge that the container is on. */
  readonly interface: string;
}
