/**
 * What tunnels go over: the hosts' own addresses, or for encrypted networks those of WireGuard between them. And that nobody but nodes
 * is listened to, by rule.
 */
import type { NetworkRecord } from "../database.ts";
import type { Firewall } from "../firewall/index.ts";
import type { KernelNetworks } from "../kernel.ts";
import { parseOptions } from "../options.ts";
import { familyOf } from "../prefixes.ts";
import { sealedLines } from "./explain.ts";
import type { Mirror } from "./mirror.ts";
import type { NodeRecord } from "./records.ts";
import { type Tunnel, tunnelMtu } from "./tunnel.ts";
import { type Node, type Seal, Sealed, sealedAddress, sealedMtu } from "./wireguard.ts";

export interface UnderlayParts {
  readonly tag: string;
  readonly kernel: KernelNetworks;
  readonly firewall: Firewall;
  readonly mirror: Mirror;
  readonly node: NodeRecord;
  /** Of `node.key`. */
  readonly privateKey: string;
  /** UDP port of VXLAN; sealed tunnels have the next one. */
  readonly port: number;
  /** Told apart from others that have nothing to do with it. */
  readonly cluster: string;
}

const isEncrypted = ({ options }: NetworkRecord): boolean => parseOptions("overlay", options).encrypted;

export class Underlay {
  readonly #parts: UnderlayParts;
  readonly #sealed: Sealed;
  /** Networks with a tunnel; whether it is sealed. */
  readonly #open = new Map<string, boolean>();
  /** How nodes were reached when that was last looked at. */
  readonly #where = new Map<string, string>();

  constructor(parts: UnderlayParts) {
    this.#parts = parts;
    this.#sealed = new Sealed(parts.kernel.net, parts.tag);
  }

  /** The MTU of the interface that leads to other hosts. */
  get #mtu(): number {
    const { kernel, node } = this.#parts;
    const index = kernel.net.addressList().find(({ ip }) => ip === node.address)?.index;
    return (index === undefined ? undefined : kernel.net.linkByIndex(index)?.mtu) ?? 1500;
  }

  /** How large packets of a network can be on this host. */
  mtuOf(encrypted: boolean): number {
    return encrypted ? tunnelMtu(sealedMtu(this.#mtu), 6) : tunnelMtu(this.#mtu, familyOf(this.#parts.node.address));
  }

  get #seal(): Seal {
    const { privateKey, node, cluster } = this.#parts;
    return { privateKey, cluster, port: node.sealPort, underlay: this.#mtu };
  }

  /** @throws NetworkError encryption_unavailable where the kernel has no WireGuard */
  checkEncryption(): void {
    this.#sealed.ensure(this.#seal);
    if (!this.#hasSealed) void this.#sealed.remove();
  }

  get #hasSealed(): boolean {
    return [...this.#open.values()].includes(true);
  }

  /** Makes what a network's tunnel goes over. @returns the tunnel that is to be made @throws NetworkError */
  open(network: NetworkRecord): Tunnel {
    const encrypted = isEncrypted(network);
    this.#open.set(network.id, encrypted);
    try {
      const local = encrypted ? this.#sealed.ensure(this.#seal) : this.#parts.node.address;
      this.refresh();
      return { ...this.tunnelOf(network), local };
    } catch (error) {
      this.#open.delete(network.id);
      throw error;
    }
  }

  /** Whether some of these nodes are reached otherwise than when it was last asked: most changes are that a node is up or down. */
  haveMoved(nodes: readonly string[]): boolean {
    const moved = nodes.filter((id) => {
      const node = this.#parts.mirror.node(id);
      const where = node === undefined ? "" : `${node.address} ${node.key} ${node.sealPort}`;
      const before = this.#where.get(id) ?? "";
      this.#where.set(id, where);
      return where !== before;
    });
    return moved.length > 0;
  }

  /** Nodes have come, gone or changed, or the first network of a kind has: who is listened to, and what is sealed for whom. */
  refresh(): void {
    if (this.#open.size === 0) return;
    const { firewall, port } = this.#parts;
    const others = this.#others();
    if (this.#hasSealed) this.#sealed.setNodes(others.flatMap((node) => sealOf(node) ?? []));
    firewall.setNodes({
      ports: [port],
      addresses: others.map(({ address }) => address),
      // In the clear nobody is believed there, whatever address a packet has.
      ...(this.#hasSealed ? { sealedPorts: [port + 1], carriers: [this.#sealed.interface] } : {}),
    });
  }

  #others(): NodeRecord[] {
    const { mirror, node } = this.#parts;
    return mirror.nodes().filter(({ id }) => id !== node.id);
  }

  /** Where a network's tunnel leads to a node; null where it cannot: the node has no key, or an address of the other family. */
  hostOf(network: NetworkRecord, { address, key }: NodeRecord): string | null {
    if (isEncrypted(network)) return key === "" ? null : sealedAddress(this.#parts.cluster, key);
    return familyOf(address) === familyOf(this.#parts.node.address) ? address : null;
  }

  /** A network's tunnel is about to go. */
  async close(network: NetworkRecord): Promise<void> {
    const wasSealed = this.#open.get(network.id) === true;
    if (!this.#open.delete(network.id)) return;
    if (this.#open.size === 0) this.#parts.firewall.setNodes({ ports: [], addresses: [] });
    else this.refresh();
    if (wasSealed && !this.#hasSealed) await this.#sealed.remove();
  }

  /** In the words of ip(8) and wg(8); nothing where tunnels go over the hosts' own addresses. */
  explain(network: NetworkRecord): string[] {
    if (!isEncrypted(network)) return [];
    return sealedLines(
      this.#parts.tag,
      this.#seal,
      this.#others().flatMap((node) => sealOf(node) ?? []),
    );
  }

  /** As the tunnel would be made. */
  tunnelOf(network: NetworkRecord): Tunnel {
    const { node, port, cluster } = this.#parts;
    const vni = network.vni!;
    return isEncrypted(network)
      ? { vni, local: sealedAddress(cluster, node.key), port: port + 1 }
      : { vni, local: node.address, port };
  }

  dispose(): void {
    this.#sealed.close();
  }
}

const sealOf = ({ address, key, sealPort }: NodeRecord): Node | null =>
  key === "" ? null : { publicKey: key, address, port: sealPort };
