/**
 * An engine's networks on a host of their own: this thread moves into a network namespace that becomes the host's, so that nothing of
 * the machine's is seen or touched. Containers are further namespaces.
 *
 *     const host = new NetworksHost();
 *     const { networks } = host;
 *     const web = host.container();
 *     networks.connect({ network: "bridge", container: web.id });
 *     await networks.attach(web.sandbox, []);
 *     ...
 *     await host.close();
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Endpoint, type Networks, openNetworks, type Publication, type Sandbox } from "../../src/networks/index.ts";
import { CLONE, close, type Link, O, open, setns } from "../../src/sys/index.ts";
import { slowness } from "../kit/command.ts";
import { Netns } from "../kit/netns.ts";

export interface TestContainer {
  readonly id: string;
  readonly netns: Netns;
  readonly sandbox: Sandbox;
}

export const TAG = "0a1b2c3d";

export class NetworksHost {
  readonly root = mkdtempSync(join(tmpdir(), "onggi-networks-"));
  readonly log: string[] = [];
  readonly #home = open("/proc/thread-self/ns/net", O.O_RDONLY);
  readonly #containers: TestContainer[] = [];
  netns: Netns;
  networks: Networks;

  constructor() {
    this.netns = this.#enter();
    this.networks = this.open();
  }

  #enter(): Netns {
    const netns = new Netns("host");
    setns(netns.fd, CLONE.CLONE_NEWNET);
    return netns;
  }

  /** Another engine on this host, with another data root. */
  open(root: string = this.root, tag: string = TAG): Networks {
    return openNetworks({ root, tag, log: (message) => this.log.push(message) });
  }

  /** The engine ends, as by kill -9, and another of the same root comes. */
  async restart(): Promise<void> {
    await this.networks.close();
    this.networks = this.open();
  }

  /** As `restart`, and the kernel has nothing any more: neither of the host nor of containers. */
  async reboot(): Promise<void> {
    await this.networks.close();
    for (const { netns } of this.#containers.splice(0)) netns.close();
    setns(this.#home, CLONE.CLONE_NEWNET);
    this.netns.close();
    this.netns = this.#enter();
    this.networks = this.open();
  }

  container(name = "container"): TestContainer {
    const id = Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString("hex");
    const netns = new Netns(name);
    const container = { id, netns, sandbox: { container: id, netns: netns.fd } };
    this.#containers.push(container);
    return container;
  }

  /** Its namespace ends, and with it all that is in it, a little later. */
  end(container: TestContainer): void {
    container.netns.close();
    this.#containers.splice(this.#containers.indexOf(container), 1);
  }

  /** A container in these networks, attached. */
  async start(networks: readonly string[], publish: readonly Publication[] = [], name?: string): Promise<TestContainer> {
    const container = this.container(name);
    for (const network of networks) this.networks.connect({ network, container: container.id });
    await this.networks.attach(container.sandbox, publish);
    return container;
  }

  endpoint({ id }: TestContainer, network: string): Endpoint {
    const endpoint = this.networks.endpointsOf(id).find(({ networkName }) => networkName === network);
    if (endpoint === undefined) throw new Error(`not in ${network}`);
    return endpoint;
  }

  ipv4(container: TestContainer, network: string): string {
    return this.endpoint(container, network).attached!.ipv4!;
  }

  ipv6(container: TestContainer, network: string): string {
    return this.endpoint(container, network).attached!.ipv6!;
  }

  links(): Link[] {
    return this.netns.net.linkList();
  }

  /** Ends of cables on the host that carry the tag. */
  cables(): string[] {
    return this.links()
      .map(({ name }) => name)
      .filter((name) => name.startsWith(`v${TAG}`));
  }

  async close(): Promise<void> {
    await this.networks.idle();
    await this.networks.close();
    for (const { netns } of this.#containers) netns.close();
    setns(this.#home, CLONE.CLONE_NEWNET);
    this.netns.close();
    close(this.#home);
    rmSync(this.root, { recursive: true });
  }
}

/** Waits until something is so; what the kernel or the engine does in the background has its time. */
export async function until(what: string, holds: () => boolean): Promise<void> {
  for (const end = Date.now() + 20_000 * slowness; !holds(); await Bun.sleep(10)) {
    if (Date.now() > end) throw new Error(`not in time: ${what}`);
  }
}

export const publication = (containerPort: number, hostPort: number, changes: Partial<Publication> = {}): Publication => ({
  protocol: "tcp",
  containerPort,
  hostIp: "0.0.0.0",
  hostPort,
  hostPortEnd: hostPort,
  ...changes,
});

/** What a promise is rejected with: "code: message". */
export const refusal = async (work: () => unknown): Promise<string> => {
  try {
    await work();
  } catch (error) {
    return `${(error as { code?: string }).code}: ${(error as Error).message}`;
  }
  return "nothing was refused";
};
