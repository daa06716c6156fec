/** What a host's kernel has of the containers of other hosts, and what takes it from what is there to what is to be. Pure. */
import {
  addNeighbour,
  deleteNeighbour,
  formatIp,
  formatMac,
  type Neighbour,
  type NetlinkRequest,
  NTF,
  NUD,
  parseIp,
  parseMac,
} from "../../sys/index.ts";
import { portEntry } from "../bridge.ts";

/** A container of another host. */
export interface Peer {
  /** Hardware address of its interface in the network. */
  readonly mac: string;
  readonly ipv4: string | null;
  readonly ipv6: string | null;
  /** Address of its host that tunnels lead to. */
  readonly host: string;
}

/** Indices of a network's links on this host. */
export interface Ends {
  readonly vxlan: number;
  readonly bridge: number;
}

/**
 * A peer with its addresses as the kernel's are written.
 * @throws TypeError for what is no address. So is the hardware address of a group, or of nobody: frames for that would go to a host
 *   although nobody there has asked for them.
 */
export function canonical({ mac, ipv4, ipv6, host }: Peer): Peer {
  const bytes = parseMac(mac);
  if ((bytes[0]! & 1) !== 0 || bytes.every((byte) => byte === 0))
    throw new TypeError(`not one container's hardware address: ${mac}`);
  const ip = (text: string): string => formatIp(parseIp(text));
  return {
    mac: formatMac(bytes),
    ipv4: ipv4 === null ? null : ip(ipv4),
    ipv6: ipv6 === null ? null : ip(ipv6),
    host: ip(host),
  };
}

const addressesOf = ({ ipv4, ipv6 }: Peer): string[] => [ipv4, ipv6].filter((ip) => ip !== null);

/** Frames for the hardware address go to that host. */
const putRemote = ({ vxlan }: Ends, mac: string, host: string): NetlinkRequest =>
  addNeighbour({ index: vxlan, mac, ip: host, fdb: true, flags: NTF.NTF_SELF });
const dropRemote = ({ vxlan }: Ends, mac: string, host?: string): NetlinkRequest =>
  deleteNeighbour({ index: vxlan, mac, fdb: true, flags: NTF.NTF_SELF, ...(host === undefined ? {} : { ip: host }) });

/** The bridge gives frames for it to the tunnel. */
const putPort = ({ vxlan }: Ends, mac: string): NetlinkRequest => portEntry(vxlan, mac);
const dropPort = ({ vxlan }: Ends, mac: string): NetlinkRequest =>
  deleteNeighbour({ index: vxlan, mac, fdb: true, flags: NTF.NTF_MASTER });

/** Who has the IP address: what the bridge answers containers that ask. */
const putNeighbour = ({ bridge }: Ends, ip: string, mac: string): NetlinkRequest => addNeighbour({ index: bridge, ip, mac });
export const dropNeighbour = ({ bridge }: Ends, ip: string): NetlinkRequest => deleteNeighbour({ index: bridge, ip });

/** All that a peer is to have; replaces what its addresses had. */
export const putRequests = (ends: Ends, peer: Peer): NetlinkRequest[] => [
  putRemote(ends, peer.mac, peer.host),
  putPort(ends, peer.mac),
  ...addressesOf(peer).map((ip) => putNeighbour(ends, ip, peer.mac)),
];

/** Takes a hardware address away. Its IP addresses may be another's by now: `dropNeighbour` is for those that are not. */
export const dropRequests = (ends: Ends, mac: string): NetlinkRequest[] => [dropPort(ends, mac), dropRemote(ends, mac)];

/** All peers of a network, and who of them has which IP address. */
export class PeerSet {
  readonly #byMac = new Map<string, Peer>();
  readonly #macs = new Map<string, string>();

  /** @throws TypeError as `canonical`. */
  static of(peers: readonly Peer[]): PeerSet {
    const set = new PeerSet();
    for (const peer of peers) set.put(canonical(peer));
    return set;
  }

  /** By hardware address; those that came last are last. */
  get byMac(): ReadonlyMap<string, Peer> {
    return this.#byMac;
  }

  /** The hardware address that each IP address belongs to. */
  get macs(): ReadonlyMap<string, string> {
    return this.#macs;
  }

  /** Takes the place of those that had its addresses. @returns IP addresses that it had, and nobody has any more */
  put(peer: Peer): string[] {
    const released = this.delete(peer.mac);
    this.#byMac.set(peer.mac, peer);
    for (const ip of addressesOf(peer)) this.#macs.set(ip, peer.mac);
    return released.filter((ip) => !this.#macs.has(ip));
  }

  /** @returns IP addresses that nobody has any more */
  delete(mac: string): string[] {
    const before = this.#byMac.get(mac);
    this.#byMac.delete(mac);
    const released = before === undefined ? [] : addressesOf(before).filter((ip) => this.#macs.get(ip) === mac);
    for (const ip of released) this.#macs.delete(ip);
    return released;
  }
}

export interface Difference {
  /** What is there and is not to be. */
  readonly drops: readonly NetlinkRequest[];
  /** What is to be and is not there. */
  readonly puts: readonly NetlinkRequest[];
}

/** What takes a tunnel's forwarding entries, its own and the bridge's that lead to it, to exactly those of these peers. */
export function entriesDifference(ends: Ends, { byMac: peers }: PeerSet, found: readonly Neighbour[]): Difference {
  const remotes = new Set(peers.keys());
  const ports = new Set(peers.keys());
  const drops: NetlinkRequest[] = [];
  for (const { mac, ip, master, vlan, state, flags } of found) {
    // Those of VLANs come and go with the one without.
    if (mac === undefined || vlan !== 0) continue;
    const isPermanent = (state & NUD.NUD_PERMANENT) !== 0;
    if (master === 0) {
      if (ip === undefined || peers.get(mac)?.host !== ip) drops.push(dropRemote(ends, mac, ip));
      else if (isPermanent) remotes.delete(mac);
    } else if (!isPermanent) {
      if (!peers.has(mac)) drops.push(dropPort(ends, mac));
      else if ((state & NUD.NUD_NOARP) !== 0 && (flags & NTF.NTF_STICKY) !== 0) ports.delete(mac);
    }
    // The bridge's permanent entry is the tunnel's own hardware address.
  }
  return {
    drops,
    puts: [
      ...[...remotes].map((mac) => putRemote(ends, mac, peers.get(mac)!.host)),
      ...[...ports].map((mac) => putPort(ends, mac)),
    ],
  };
}

/** The same of the bridge's neighbours: the permanent ones are the peers' and nobody else's. */
export function neighboursDifference(ends: Ends, { macs }: PeerSet, found: readonly Neighbour[]): Difference {
  const missing = new Map(macs);
  const drops: NetlinkRequest[] = [];
  for (const { ip, mac, state } of found) {
    if (ip === undefined || (state & NUD.NUD_PERMANENT) === 0) continue;
    if (!macs.has(ip)) drops.push(dropNeighbour(ends, ip));
    else if (macs.get(ip) === mac) missing.delete(ip);
  }
  return { drops, puts: [...missing].map(([ip, mac]) => putNeighbour(ends, ip, mac)) };
}
