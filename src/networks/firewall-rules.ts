/** What the rest of networks asks of the firewall. */
import type { Protocol } from "./types.ts";

export interface FirewallNetwork {
  readonly id: string;
  readonly interface: string;
  readonly subnets4: readonly string[];
  readonly subnets6: readonly string[];
  readonly internal: boolean;
  readonly masquerade: boolean;
  readonly icc: boolean;
}

export interface FirewallPort {
  readonly protocol: Protocol;
  readonly hostIp: string;
  readonly hostPort: number;
  readonly containerIp: string;
  readonly containerPort: number;
  readonly interface: string;
}

export interface Firewall {
  ensure(networks: readonly FirewallNetwork[], ports: readonly FirewallPort[]): void;
  addNetwork(network: FirewallNetwork): void;
  removeNetwork(id: string): void;
  publish(ports: readonly FirewallPort[]): void;
  unpublish(ports: readonly FirewallPort[]): void;
  watch(onLost?: () => void): void;
  describe(networkId?: string): string;
  remove(): void;
  close(): void;
}
