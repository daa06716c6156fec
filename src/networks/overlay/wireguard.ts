/**
 * Encryption between hosts: one WireGuard link on each host, `wg-<tag>`, over which tunnels go. wireguard(4), wg(8).
 *
 *     const sealed = new Sealed(net, tag);
 *     const local = sealed.ensure({ privateKey, port: 51820, cluster: "prod", underlay: 1500 });   // "fd3c:..."
 *     sealed.setNodes([{ publicKey, address: "192.0.2.2", port: 51820 }]);
 *     tunnels.ensure(network, bridge, { vni: 4711, local, port: 4789 });   // its MTU: tunnelMtu(sealedMtu(1500), 6)
 *
 * Terms: a **node** is another host, told by its public key. A node's **sealed address** follows from that key, so nobody gives it
 * out, and the kernel believes packets from it only if they were sealed by that node's private key. Tunnels lead to sealed addresses.
 * That such packets came by this link and no other way is the firewall's to see to (`carriers` of `setNodes`).
 *
 * No packet for a sealed address ever leaves in the clear: where the link is gone, a route of the type unreachable is left.
 */
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync } from "node:crypto";
import { OnggiError } from "../../lib/errors.ts";
import {
  deleteAddress,
  deleteRoute,
  formatIp,
  IFA,
  isErrno,
  type Link,
  NetlinkError,
  newLink,
  parseIp,
  type RouteSpec,
  RT,
  type Rtnetlink,
  replaceRoute,
  setLink,
  Wireguard,
  type WireguardPeer,
} from "../../sys/index.ts";
import { NetworkError } from "../errors.ts";
import { writeSysctl } from "../host.ts";
import { removeAside } from "../removal.ts";

/** PKCS #8 and SubjectPublicKeyInfo of X25519 before the 32 bytes of the key, RFC 8410. */
const PRIVATE_PREFIX = Buffer.from("302e020100300506032b656e04220420", "hex");
const KEY_BYTES = 32;

/** A new private key, in base64 as wg(8) has it. */
export function generatePrivateKey(): string {
  const { privateKey } = generateKeyPairSync("x25519");
  return privateKey.export({ format: "der", type: "pkcs8" }).subarray(-KEY_BYTES).toString("base64");
}

/** @throws TypeError for what is no key */
export function publicKeyOf(privateKey: string): string {
  const bytes = Buffer.from(privateKey, "base64");
  if (bytes.length !== KEY_BYTES || bytes.toString("base64") !== privateKey)
    throw new TypeError("not a private key of WireGuard: 32 bytes in base64");
  const key = createPrivateKey({ key: Buffer.concat([PRIVATE_PREFIX, bytes]), format: "der", type: "pkcs8" });
  return createPublicKey(key).export({ format: "der", type: "spki" }).subarray(-KEY_BYTES).toString("base64");
}

const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
/** A /48 of fd00::/8 (RFC 4193) that the cluster's name decides, in which its nodes' addresses lie. */
const prefixOf = (cluster: string): Buffer => Buffer.concat([Buffer.of(0xfd), digest(`onggi cluster ${cluster}`).subarray(0, 5)]);
export const PREFIX_BITS = 48;

/** The address that belongs to a public key: 80 bits of its digest, so that nobody finds another key for it. */
export const sealedAddress = (cluster: string, publicKey: string): string =>
  formatIp(Buffer.concat([prefixOf(cluster), digest(`onggi node ${publicKey}`).subarray(0, 10)]));

/** "fd3c:...::/48": where the addresses of an address's cluster lie. */
export const sealedPrefix = (address: string): string => `${formatIp(parseIp(address).fill(0, PREFIX_BITS / 8))}/${PREFIX_BITS}`;

/** Of the route that is left for these addresses where the link is gone: behind the link's own. */
export const LEFTOVER_METRIC = 4096;

/** What fits a sealed packet: around it are IPv6's header (40 bytes; IPv4's is smaller), UDP's (8) and WireGuard's (32). */
export const sealedMtu = (underlay: number): number => underlay - 80;

/** The port that wg(8) and its documentation have. */
export const WIREGUARD_PORT = 51820;

export interface Seal {
  /** This host's, in base64. */
  readonly privateKey: string;
  /** UDP port that the others send to. */
  readonly port: number;
  /** The same on all nodes, another for nodes that have nothing to do with these. */
  readonly cluster: string;
  /** MTU of the interface that leads to the others. */
  readonly underlay: number;
}

export interface Node {
  readonly publicKey: string;
  /** Where it is reached. */
  readonly address: string;
  readonly port: number;
  /** Seconds between packets that keep a path through NAT open; 0 or absent: none. */
  readonly keepalive?: number;
}

export const sealedName = (tag: string): string => `wg-${tag}`;
export const sealedAlias = (tag: string): string => `onggi ${tag} wireguard`;

/** The link of one engine, in the network namespace that the thread is in when this is made. */
export class Sealed implements Disposable {
  readonly #net: Rtnetlink;
  readonly #tag: string;
  readonly #wireguard = new Wireguard();
  #made: { readonly index: number; readonly cluster: string } | undefined;

  constructor(net: Rtnetlink, tag: string) {
    this.#net = net;
    this.#tag = tag;
  }

  /** The link's name. */
  get interface(): string {
    return sealedName(this.#tag);
  }

  /**
   * Makes the link, or what is missing or other of it. Idempotent; nodes stay.
   * @returns this host's sealed address
   * @throws NetworkError encryption_unavailable if the kernel has no WireGuard; network_failed if the name or port is another's
   * @throws TypeError for what is no key
   */
  ensure(seal: Seal): string {
    const address = sealedAddress(seal.cluster, publicKeyOf(seal.privateKey));
    try {
      const link = this.#link() ?? this.#make();
      this.#configure(link, seal, address);
      this.#made = { index: link.index, cluster: seal.cluster };
      return address;
    } catch (error) {
      throw this.#refusal(seal, error);
    }
  }

  /** Null if there is none. */
  #link(): Link | null {
    const link = this.#net.linkByName(this.interface);
    if (link === null || (link.kind === "wireguard" && link.alias === sealedAlias(this.#tag))) return link;
    throw new NetworkError(
      "network_failed",
      `interface ${this.interface} is another's (${link.kind ?? "device"}): rename or remove it`,
    );
  }

  #make(): Link {
    const name = this.interface;
    this.#net.batch([newLink({ name, kind: "wireguard" }), setLink({ name, alias: sealedAlias(this.#tag) })]);
    writeSysctl(`ipv6/conf/${name}/disable_ipv6`, "0");
    return this.#net.requireLink(name);
  }

  #configure({ index }: Link, seal: Seal, address: string): void {
    const { privateKey, port, underlay } = seal;
    const device = this.#wireguard.device(index);
    if (device.publicKey !== publicKeyOf(privateKey) || device.port !== port)
      this.#wireguard.configure(index, { privateKey, port });
    const addresses = this.#net.addressList(index).filter(({ scope }) => scope === RT.RT_SCOPE_UNIVERSE);
    const others = addresses.filter(({ ip }) => ip !== address);
    this.#net.batch([
      replaceRoute(leftover(address)),
      ...others.map(({ ip, prefixLength }) => deleteAddress({ index, prefix: `${ip}/${prefixLength}` })),
      setLink({ index, mtu: sealedMtu(underlay), up: true }),
    ]);
    if (others.length < addresses.length) return;
    this.#net.addAddress({ index, prefix: `${address}/${PREFIX_BITS}`, flags: IFA.IFA_F_NODAD });
  }

  #refusal({ port }: Seal, error: unknown): unknown {
    if (error instanceof OnggiError || !(error instanceof Error)) return error;
    if (isErrno(error, "EOPNOTSUPP") || isErrno(error, "ENOENT")) {
      return new NetworkError(
        "encryption_unavailable",
        'this kernel has no WireGuard, which seals what hosts send each other: load its module ("modprobe wireguard"), run a kernel that has CONFIG_WIREGUARD, or make the network without encryption',
        { cause: error },
      );
    }
    const what = isErrno(error, "EADDRINUSE")
      ? `UDP port ${port} is in use by another; "ss -lunp" lists programs that may have it`
      : error.message;
    return new NetworkError("network_failed", `encryption between hosts cannot be set up: ${what}`, { cause: error });
  }

  /**
   * Brings the link to exactly these nodes; those that are right are not touched, and what is being sealed with them goes on.
   * Of several with one key the last counts.
   * @throws NetworkError network_failed before `ensure`, or if the kernel refuses
   */
  setNodes(nodes: readonly Node[]): void {
    if (this.#made === undefined) throw new NetworkError("network_failed", "encryption between hosts is not set up yet");
    const { index, cluster } = this.#made;
    try {
      const wanted = new Map(nodes.map((node) => [node.publicKey, peerOf(cluster, node)]));
      const found = new Map(this.#wireguard.device(index).peers.map((peer) => [peer.publicKey, peer]));
      this.#wireguard.change(
        index,
        [...wanted.values()].filter((peer) => !Bun.deepEquals(peer, found.get(peer.publicKey))),
        [...found.keys()].filter((key) => !wanted.has(key)),
      );
    } catch (error) {
      if (!(error instanceof NetlinkError)) throw error;
      throw new NetworkError("network_failed", `nodes that hosts seal packets for: ${error.message}`, { cause: error });
    }
  }

  /** Removes the link, on another thread. Nothing happens if there is none. */
  async remove(): Promise<void> {
    this.#made = undefined;
    const link = this.#link();
    if (link === null) return;
    const addresses = this.#net.addressList(link.index).filter(({ scope }) => scope === RT.RT_SCOPE_UNIVERSE);
    await removeAside([link.name]);
    this.#net.tryBatch(addresses.map(({ ip }) => deleteRoute(leftover(ip))));
  }

  close(): void {
    this.#wireguard.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

const peerOf = (cluster: string, { publicKey, address, port, keepalive = 0 }: Node): WireguardPeer => ({
  publicKey,
  endpoint: { address: formatIp(parseIp(address)), port },
  allowed: [`${sealedAddress(cluster, publicKey)}/128`],
  keepalive,
});

const leftover = (address: string): RouteSpec => ({
  to: sealedPrefix(address),
  type: RT.RTN_UNREACHABLE,
  metric: LEFTOVER_METRIC,
});
