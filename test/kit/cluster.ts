/**
 * Hosts of a cluster, for tests: each a network namespace with an engine of its own, on one fabric with a real etcd.
 *
 *     fabric  (bridge)  10.99.0.9  etcd
 *       |- a  10.99.0.1     |- b  10.99.0.2     |- c  10.99.0.3
 */
import { type Engine, eventually, startEngine } from "./engine.ts";
import { type EtcdServer, startEtcd } from "./etcd.ts";
import { bootstrapBusybox } from "./images.ts";
import { Netns } from "./netns.ts";

/** A host that has been silent for so long counts as down; its addresses are free after so long. */
const SHORT = { alive: 3, addresses: 8 };
export const ETCD = "10.99.0.9";

export class Cluster {
  readonly fabric: Netns;
  readonly etcd: EtcdServer;
  readonly hosts: readonly Host[];

  private constructor(fabric: Netns, etcd: EtcdServer, names: readonly string[]) {
    this.fabric = fabric;
    this.etcd = etcd;
    this.hosts = names.map((name, at) => new Host(fabric, name, `10.99.0.${at + 1}`));
  }

  /** All hosts have busybox and are nodes, by leases of so many seconds. */
  static async start(names: readonly string[], leases = SHORT): Promise<Cluster> {
    const fabric = new Netns("fabric");
    fabric.bridge("fabric", `${ETCD}/24`);
    const cluster = new Cluster(fabric, await startEtcd({ netns: fabric, address: ETCD, port: 2379 }), names);
    // One after the other: an engine that starts is waited for ten seconds, which is little in an emulated machine.
    for (const host of cluster.hosts) await host.ns.inside(() => bootstrapBusybox(host.engine));
    await Promise.all(cluster.hosts.map((host) => host.join(leases)));
    return cluster;
  }

  async expectClean(): Promise<void> {
    await Promise.all(this.hosts.map((host) => host.ns.inside(() => host.engine.expectClean())));
  }

  async close(): Promise<void> {
    await Promise.all(this.hosts.map((host) => host.close()));
    await this.etcd.close();
    this.fabric.close();
  }
}

export class Host {
  readonly name: string;
  readonly address: string;
  readonly ns: Netns;
  readonly engine: Engine;

  constructor(fabric: Netns, name: string, address: string) {
    this.name = name;
    this.address = address;
    this.ns = new Netns(name);
    fabric.cable(`to-${name}`, this.ns, "eth0", "fabric");
    this.ns.address("eth0", `${address}/24`);
    this.ns.route("default", ETCD);
    this.engine = startEngine();
  }

  /** Whoever starts the engine decides which network namespace it is in. */
  ok(...args: string[]): Promise<string> {
    return this.ns.inside(() => this.engine.ok(args));
  }

  onggi(...args: string[]) {
    return this.ns.inside(() => this.engine.onggi(args));
  }

  join({ alive, addresses } = SHORT): Promise<string> {
    const leases = ["--alive-for", String(alive), "--addresses-for", String(addresses)];
    return this.ok("node", "join", "--name", this.name, ...leases, `etcd://${ETCD}:2379`);
  }

  run(name: string, network: string, ...command: string[]): Promise<string> {
    return this.ok("run", "-d", "--name", name, "--network", network, "busybox", ...command);
  }

  ip(container: string, network: string): Promise<string> {
    return this.ok("inspect", "-f", `{{(index .NetworkSettings.Networks "${network}").IPAddress}}`, container);
  }

  async close(): Promise<void> {
    await this.ns.inside(() => this.engine.close());
    this.ns.close();
  }
}

/** Answers with its host name. */
export const SERVER = ["sh", "-c", "mkdir /w; hostname > /w/index.html; exec httpd -f -p 80 -h /w"];
const ask = (host: string, port = 80): string[] => [
  ...["sh", "-c", `printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 3 ${host} ${port} | tail -1`],
];

/** What a server elsewhere answers a container that exists; it may have been started a moment ago. */
export async function reached(from: Host, container: string, target: string, port?: number): Promise<string> {
  let answer = "";
  await eventually(`${container} on ${from.name} reaches ${target}`, async () => {
    answer = (await from.onggi("exec", container, ...ask(target, port))).stdout.trim();
    return answer !== "";
  });
  return answer;
}
