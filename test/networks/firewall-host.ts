/**
 * A host with four networks, containers in them, and a neighbour on its LAN, all of network namespaces:
 *
 *     outside 192.0.2.2 ---- wan 192.0.2.1, .3  host   na  172.20.0.1  masqueraded      a1, a2
 *             2001:db8::2        2001:db8::1           nb  172.21.0.1  not masqueraded  b1
 *                                                      ni  172.22.0.1  internal         i1
 *                                                      nx  172.23.0.1  no icc           x1, x2
 *
 * Everybody answers on TCP and UDP port 80, containers also on TCP port 81; the host on TCP port 9000, and on 127.0.0.1:9100.
 */
import { existsSync } from "node:fs";
import { Firewall, type FirewallNetwork, type FirewallPort } from "../../src/networks/firewall/index.ts";
import { setBridgePort, setLink } from "../../src/sys/index.ts";
import { Netns, serve, serveUdp } from "../kit/netns.ts";

const network = (letter: string, second: number, options: Partial<FirewallNetwork> = {}): FirewallNetwork => ({
  id: letter.repeat(64),
  interface: `n${letter}`,
  subnets4: [`172.${second}.0.0/24`],
  subnets6: [`fd00:${second}::/64`],
  internal: false,
  masquerade: true,
  icc: true,
  ...options,
});

export const networks = {
  // as one of several hosts, of which here is one
  a: network("a", 20, { spanningMac: "02:42:00:00:00:20" }),
  b: network("b", 21, { masquerade: false }),
  i: network("i", 22, { internal: true }),
  x: network("x", 23, { icc: false }),
} as const;

/** A port of a1, unless told otherwise. */
export const port = (hostPort: number, options: Partial<FirewallPort> = {}): FirewallPort => {
  const six = options.hostIp?.includes(":") ?? false;
  return {
    protocol: "tcp",
    hostIp: "0.0.0.0",
    hostPort,
    containerIp: six ? "fd00:20::11" : "172.20.0.11",
    containerPort: 80,
    interface: "na",
    ...options,
  };
};

/** Whether this kernel has br_netfilter, loaded. */
export const bridgeNetfilterExists = existsSync("/proc/sys/net/bridge/bridge-nf-call-iptables");

export class FirewallHost implements Disposable {
  readonly host = new Netns("host");
  readonly outside = new Netns("outside");
  readonly containers = new Map<string, Netns>();
  readonly log: string[] = [];
  readonly firewall: Firewall;

  /** @param bridgeNetfilter whether frames that cross a bridge pass the hooks of IP too, as they do where others have turned that on */
  private constructor(bridgeNetfilter: boolean) {
    const { host, outside } = this;
    host.cable("wan", outside, "eth0");
    for (const prefix of ["192.0.2.1/24", "192.0.2.3/24", "2001:db8::1/64", "2001:db8::3/64"]) host.address("wan", prefix);
    for (const prefix of ["192.0.2.2/24", "2001:db8::2/64"]) outside.address("eth0", prefix);
    // The neighbour knows the way to containers: it is not lack of a route that keeps it out.
    outside.route("172.16.0.0/12", "192.0.2.1");
    outside.route("fd00::/16", "2001:db8::1");
    host.sysctl("ipv4/ip_forward", 1);
    if (bridgeNetfilterExists) {
      for (const family of ["iptables", "ip6tables"]) host.sysctl(`bridge/bridge-nf-call-${family}`, bridgeNetfilter ? 1 : 0);
    }
    host.sysctl("ipv6/conf/all/forwarding", 1);
    for (const [letter, { interface: bridge, spanningMac, subnets4, subnets6, icc }] of Object.entries(networks)) {
      const [four, six] = [subnets4[0]!.replace("0/24", ""), subnets6[0]!.replace("/64", "")];
      host.bridge(bridge, `${four}1/24`, `${six}1/64`);
      if (spanningMac !== undefined) host.net.batch([setLink({ name: bridge, address: spanningMac })]);
      host.sysctl(`ipv4/conf/${bridge}/route_localnet`, 1);
      for (const index of [1, 2]) {
        const container = new Netns(`${letter}${index}`);
        host.cable(`v${container.name}`, container, "eth0", bridge);
        const { index: cable } = host.net.requireLink(`v${container.name}`);
        host.net.batch([setBridgePort(cable, { hairpin: bridgeNetfilter, isolated: !icc })]);
        container.address("eth0", `${four}1${index}/24`);
        container.address("eth0", `${six}1${index}/64`);
        // Also where the engine would give no default route: it is not lack of a route that keeps it in.
        container.route("default", `${four}1`);
        container.route("default", `${six}1`);
        this.containers.set(container.name, container);
      }
    }
    this.firewall = host.inside(() => new Firewall("0a1b2c3d", { log: (message) => void this.log.push(message) }));
  }

  static async make(bridgeNetfilter = false): Promise<FirewallHost> {
    const made = new FirewallHost(bridgeNetfilter);
    for (const where of [made.outside, ...made.containers.values()]) {
      for (const [number, family] of [
        [80, "0.0.0.0"],
        [81, "0.0.0.0"],
        [80, "::"],
      ] as const) {
        if (family === "::") await serveUdp(where, number, where === made.outside ? "2001:db8::2" : six(where));
        else {
          serve(where, number);
          await serveUdp(where, number);
        }
      }
    }
    serve(made.host, 9000);
    serve(made.host, 9100, "127.0.0.1");
    return made;
  }

  container(name: string): Netns {
    return this.containers.get(name)!;
  }

  close(): void {
    this.firewall.close();
    for (const namespace of [this.host, this.outside, ...this.containers.values()]) namespace.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

const six = (where: Netns): string => `fd00:${{ a: 20, b: 21, i: 22, x: 23 }[where.name[0]!]}::1${where.name[1]}`;
