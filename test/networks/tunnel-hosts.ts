/**
 * Hosts with an overlay network, on an underlay of their own, all of network namespaces and without an engine:
 *
 *     lan ---- eth0 192.0.2.1, 2001:db8::1     host 1      br-... 10.1.0.1, fd00:1::1   its containers
 *         ---- eth0 192.0.2.2, 2001:db8::2     host 2      br-... 10.1.0.1, fd00:1::1   its containers
 *         ---- eth0 192.0.2.66, 2001:db8::66   a stranger
 */
import { bridgeName, derivedMac } from "../../src/networks/bridge.ts";
import type { NetworkRecord } from "../../src/networks/database.ts";
import { Firewall } from "../../src/networks/firewall/index.ts";
import { hostEndName, KernelNetworks, type Wanted } from "../../src/networks/kernel.ts";
import { type Peer, type Tunnel, Tunnels, tunnelMtu, VXLAN_PORT } from "../../src/networks/overlay/tunnel.ts";
import {
  AF,
  close,
  connectSocket,
  MSG,
  NTF,
  NUD,
  parseIp,
  parseMac,
  SOCK,
  socketAddress,
  sys,
  sysRaw,
} from "../../src/sys/index.ts";
import { Netns, serve } from "../kit/netns.ts";

export const TAG = "0a1b2c3d";
export const VNI = 4711;

export function overlayNetwork(family: 4 | 6, letter = "a"): NetworkRecord {
  const id = letter.repeat(64);
  return {
    id,
    name: `overlay-${letter}`,
    driver: "bridge",
    created: "2026-01-01T00:00:00Z",
    ipv4: true,
    ipv6: true,
    internal: false,
    pools: [
      { subnet: "10.1.0.0/16", gateway: "10.1.0.1" },
      { subnet: "fd00:1::/64", gateway: "fd00:1::1" },
    ],
    options: {},
    labels: {},
    interface: bridgeName(id, TAG, false),
    mtu: tunnelMtu(1500, family),
    predefined: false,
    chosen: [4, 6],
  };
}

/** The underlay: a bridge that its hosts are cabled to. */
export class Lan extends Netns {
  readonly #family: 4 | 6;

  constructor(family: 4 | 6) {
    super("lan");
    this.#family = family;
    this.bridge("lan");
  }

  /** The address of a host in the family that tunnels have here. */
  addressOf(number: number): string {
    return this.#family === 4 ? `192.0.2.${number}` : `2001:db8::${number}`;
  }

  join(netns: Netns, number: number): void {
    this.cable(`port${number}`, netns, "eth0", "lan");
    netns.address("eth0", `192.0.2.${number}/24`);
    netns.address("eth0", `2001:db8::${number}/64`);
  }
}

export interface TestContainer {
  readonly netns: Netns;
  readonly mac: string;
  readonly ipv4: string;
  readonly ipv6: string;
}

export class TunnelHost {
  readonly netns: Netns;
  readonly network: NetworkRecord;
  /** That tunnels lead to. */
  address: string;
  tunnel: Tunnel;
  readonly kernel: KernelNetworks;
  readonly tunnels: Tunnels;
  readonly firewall: Firewall;
  readonly containers: TestContainer[] = [];
  bridge: number;

  constructor(lan: Lan, number: number, network: NetworkRecord) {
    this.netns = new Netns(`host${number}`);
    lan.join(this.netns, number);
    this.network = network;
    this.address = lan.addressOf(number);
    this.tunnel = { vni: VNI, local: this.address, port: VXLAN_PORT };
    this.kernel = this.netns.inside(() => new KernelNetworks(TAG, () => {}));
    this.firewall = this.netns.inside(() => new Firewall(TAG));
    this.firewall.ensure(
      [
        {
          id: network.id,
          interface: network.interface,
          subnets4: ["10.1.0.0/16"],
          subnets6: ["fd00:1::/64"],
          internal: false,
          masquerade: true,
          icc: true,
        },
      ],
      [],
    );
    this.tunnels = new Tunnels(this.kernel.net, TAG);
    this.bridge = this.netns.inside(() => this.kernel.ensure(network));
    this.ensure();
  }

  ensure(tunnel = this.tunnel, isCut = false): number {
    return this.netns.inside(() => this.tunnels.ensure(this.network, this.bridge, tunnel, isCut));
  }

  /** A container with the addresses that end in `number`. */
  start(number: number, name = `c${number}`): TestContainer {
    const netns = new Netns(name);
    const [ipv4, ipv6] = [`10.1.0.${number}`, `fd00:1::${number}`];
    const mac = derivedMac(ipv4, ipv6);
    const attachment = {
      interface: "eth0",
      hostInterface: hostEndName(TAG),
      mac,
      ipv4,
      ipv4PrefixLength: 16,
      ipv4Gateway: "10.1.0.1",
      ipv6,
      ipv6PrefixLength: 64,
      ipv6Gateway: "fd00:1::1",
    };
    const wanted: Wanted[] = [{ network: this.network, attachment, bandwidth: undefined }];
    // Everything is done before it waits for the first time.
    void this.netns.inside(() => this.kernel.attach(netns.fd, wanted, { ipv4: "10.1.0.1", ipv6: "fd00:1::1" }));
    netns.net.requireLink("eth0");
    const container = { netns, mac, ipv4, ipv6 };
    this.containers.push(container);
    return container;
  }

  stop(container: TestContainer): void {
    this.containers.splice(this.containers.indexOf(container), 1);
    container.netns.close();
  }

  peerOf({ mac, ipv4, ipv6 }: TestContainer): Peer {
    return { mac, ipv4, ipv6, host: this.address };
  }

  /** All that the kernel has of peers, in one order. */
  entries(): string[] {
    const { net } = this.netns;
    const vxlan = net.requireLink(`vx-${this.network.id.slice(0, 12)}`);
    const port = net
      .neighbourList({ index: vxlan.index, fdb: true })
      .filter(({ mac, vlan }) => mac !== vxlan.address && vlan === 0);
    const neighbours = net.neighbourList({ index: this.bridge }).filter(({ state }) => state === NUD.NUD_PERMANENT);
    return [
      ...port.map(({ mac, ip, state, flags, master }) => {
        const lasts = (state & NUD.NUD_PERMANENT) !== 0 ? "permanent" : (state & NUD.NUD_NOARP) !== 0 ? "static" : `${state}`;
        const sticky = (flags & NTF.NTF_STICKY) !== 0 ? " sticky" : "";
        return master === 0 ? `self ${mac} ${ip} ${lasts}` : `master ${mac} ${lasts}${sticky}`;
      }),
      ...neighbours.map(({ ip, mac }) => `neighbour ${ip} ${mac}`),
    ].sort();
  }

  close(): void {
    for (const { netns } of this.containers) netns.close();
    this.firewall.close();
    this.kernel.close();
    this.netns.close();
  }
}

/** A LAN with three hosts of one network, a container that serves on each, and a stranger. Each host knows the others' containers. */
export class TunnelField {
  readonly network: NetworkRecord;
  readonly lan: Lan;
  readonly stranger = new Netns("stranger");
  readonly hosts: readonly TunnelHost[];
  readonly containers: readonly TestContainer[];

  constructor(family: 4 | 6) {
    this.network = overlayNetwork(family);
    this.lan = new Lan(family);
    this.lan.join(this.stranger, 66);
    this.hosts = [1, 2, 3].map((number) => new TunnelHost(this.lan, number, this.network));
    this.containers = this.hosts.map((host, index) => host.start(11 + index));
    for (const { netns } of this.containers) serve(netns, 80);
    this.tell();
    for (const { firewall } of this.hosts) {
      firewall.setNodes({ ports: [4789], addresses: [1, 2, 3].map((number) => this.lan.addressOf(number)) });
    }
  }

  peersOf(host: TunnelHost): Peer[] {
    const others = this.hosts.filter((other) => other !== host);
    return others.flatMap((other) => other.containers.map((one) => other.peerOf(one)));
  }

  tell(): void {
    for (const host of this.hosts) host.tunnels.setPeers(this.network, this.peersOf(host));
  }

  close(): void {
    for (const host of this.hosts) host.close();
    this.stranger.close();
    this.lan.close();
  }
}

/** A VXLAN packet that was seen on the wire. */
export interface Seen {
  readonly vni: number;
  /** Bytes of the whole IP packet. */
  readonly length: number;
  readonly isFragment: boolean;
  /** Hardware address that the frame inside is for. */
  readonly to: string;
}

/** Sees all that passes a namespace's links, packet(7). */
export class Sniffer implements Disposable {
  readonly #fd: number;
  readonly #buffer = new Uint8Array(65_536);

  constructor(netns: Netns) {
    const all = 0x0300; // ETH_P_ALL in network order
    const type = SOCK.SOCK_RAW | SOCK.SOCK_CLOEXEC | SOCK.SOCK_NONBLOCK;
    this.#fd = netns.inside(() => sys("socket", "packet", AF.AF_PACKET, type, all));
  }

  /** VXLAN packets that have been seen since the last call. */
  take(): Seen[] {
    return this.takeFrames().flatMap((frame) => decodeVxlanPacket(frame) ?? []);
  }

  /** All that has been seen since the last call. */
  takeFrames(): Uint8Array[] {
    const frames: Uint8Array[] = [];
    for (;;) {
      const length = sysRaw("recvfrom", this.#fd, this.#buffer, this.#buffer.length, MSG.MSG_TRUNC, null, null);
      if (length < 0) return frames;
      frames.push(this.#buffer.slice(0, length));
    }
  }

  [Symbol.dispose](): void {
    close(this.#fd);
  }
}

function decodeVxlanPacket(frame: Uint8Array): Seen | null {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  if (frame.length < 14 + 40 + 16 + 14) return null;
  const type = view.getUint16(12);
  const isFour = type === 0x0800;
  if (!isFour && type !== 0x86dd) return null;
  const udp = 14 + (isFour ? 20 : 40);
  const protocol = frame[isFour ? 23 : 20];
  if (protocol !== 17 || view.getUint16(udp + 2) !== VXLAN_PORT) return null;
  const inner = udp + 16;
  return {
    vni: view.getUint32(udp + 12) >>> 8,
    length: frame.length - 14,
    isFragment: isFour && (view.getUint16(20) & 0x3fff) !== 0,
    to: [...frame.subarray(inner, inner + 6)].map((byte) => byte.toString(16).padStart(2, "0")).join(":"),
  };
}

/** A VXLAN packet's payload: a datagram to a container's UDP port, as a host might have sent it for `from`. */
export function forgedPacket(vni: number, to: TestContainer, from: string, port: number, text: string): Uint8Array {
  const body = new TextEncoder().encode(text);
  const bytes = new Uint8Array(8 + 14 + 20 + 8 + body.length);
  const view = new DataView(bytes.buffer);
  bytes[0] = 8; // the VNI is valid
  view.setUint32(4, vni << 8);
  bytes.set([...parseMac(to.mac), 2, 0, 0, 0, 0, 66, 8, 0], 8);
  const ip = bytes.subarray(22);
  ip.set([
    0x45,
    0,
    0,
    28 + body.length,
    0,
    0,
    0,
    0,
    64,
    17,
    0,
    0,
    ...from.split(".").map(Number),
    ...to.ipv4.split(".").map(Number),
  ]);
  let sum = 0;
  for (let at = 0; at < 20; at += 2) sum += (ip[at]! << 8) | ip[at + 1]!;
  sum = (sum & 0xffff) + (sum >>> 16);
  view.setUint16(22 + 10, ~sum & 0xffff);
  // no checksum
  ip.set([0x30, 0x39, port >> 8, port & 255, 0, 8 + body.length, 0, 0], 20);
  ip.set(body, 28);
  return bytes;
}

/** A UDP socket of a namespace that gathers what it is sent. */
export async function listen(where: Netns, port: number, hostname = "0.0.0.0"): Promise<string[]> {
  const got: string[] = [];
  where.keep(
    await where.inside(() => Bun.udpSocket({ hostname, port, socket: { data: (_, bytes) => void got.push(`${bytes}`) } })),
  );
  return got;
}

/** Sends a datagram to an address. False if the kernel does not let it out. */
export function send(from: Netns, ip: string, port: number, bytes: Uint8Array): boolean {
  const fd = from.inside(() => connectSocket(socketAddress(parseIp(ip), port), SOCK.SOCK_DGRAM));
  try {
    return sysRaw("sendto", fd, bytes, bytes.length, 0, null, 0) === bytes.length;
  } finally {
    close(fd);
  }
}
