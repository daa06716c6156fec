/**
 * Links, addresses, routes and neighbours of a network namespace.
 *
 *     using net = new Rtnetlink();
 *     const bridge = net.createBridge({ name: "onggi0", up: true });
 *     net.createVeth({ name: "vethab12", master: bridge.index, up: true }, { name: "eth0", netns: { fd } });
 *     using inside = Rtnetlink.inNamespace(fd);
 *     const eth0 = inside.linkByName("eth0")!.index;
 *     inside.batch([
 *       addAddress({ index: eth0, prefix: "10.0.0.2/24" }),
 *       setLink({ index: eth0, up: true }),
 *       addRoute({ to: "default", gateway: "10.0.0.1" }),
 *     ]);
 */
import { AF, CLONE } from "./constants.ts";
import { errno, isErrno } from "./errno.ts";
import { formatIp, formatMac } from "./ipaddress.ts";
import { inNamespace } from "./namespace.ts";
import { IFA, IFF, IFLA, IFLA_INFO, IFLA_VXLAN, NDA, NETLINK, NLM_F, RT, RTA, RTM } from "./netconstants.ts";
import {
  type Attributes,
  attr,
  concat,
  decodeAttributes,
  NetlinkError,
  type NetlinkRequest,
  NetlinkSocket,
  payload,
} from "./netlink.ts";
import * as messages from "./rtmessages.ts";

export interface Link {
  readonly index: number;
  readonly name: string;
  /** "veth", "bridge", ...; undefined for a physical link and for loopback. */
  readonly kind: string | undefined;
  /** IFF_* */
  readonly flags: number;
  readonly up: boolean;
  readonly mtu: number;
  /** Hardware address; "" if it has none. */
  readonly address: string;
  /** Index of its bridge, or 0. */
  readonly master: number;
  /** Index of the other end, or of the link below; 0 if there is none. In `peerNetnsId`'s namespace if that is set. */
  readonly peer: number;
  readonly peerNetnsId: number | undefined;
  readonly alias: string | undefined;
}

/** What has gone through a link since it was made, as far as it tells. */
export interface LinkCounters {
  readonly name: string;
  readonly flags: number;
  readonly rxPackets: number;
  readonly txPackets: number;
  readonly rxBytes: number;
  readonly txBytes: number;
  readonly rxErrors: number;
  readonly txErrors: number;
  readonly rxDropped: number;
  readonly txDropped: number;
}

export interface Address {
  readonly index: number;
  readonly ip: string;
  readonly prefixLength: number;
  readonly family: 4 | 6;
  readonly scope: number;
  readonly flags: number;
  /** The other end of a point-to-point link, which then is what the prefix length belongs to. */
  readonly peer?: string;
  readonly broadcast?: string;
}

export interface Route {
  /** "default" or "10.0.0.0/8". */
  readonly to: string;
  readonly family: 4 | 6;
  readonly gateway: string | undefined;
  readonly index: number | undefined;
  readonly source: string | undefined;
  readonly metric: number;
  readonly table: number;
  readonly scope: number;
  readonly type: number;
  readonly protocol: number;
}

export interface Neighbour {
  readonly index: number;
  readonly ip: string | undefined;
  readonly mac: string | undefined;
  readonly state: number;
  readonly flags: number;
  /** Index of the bridge that a forwarding entry is the bridge's and not the link's own of; 0 if there is none. */
  readonly master: number;
  /** A bridge keeps an entry once more for each VLAN of its port; 0: without one. */
  readonly vlan: number;
}

/** What a vxlan link is. */
export interface Vxlan {
  readonly link: Link;
  /** Network identifier. */
  readonly id: number;
  /** Address that the outer packets come from; undefined if routing chooses it. */
  readonly local: string | undefined;
  readonly port: number;
  readonly learning: boolean;
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const ipOf = (bytes: Uint8Array | undefined): string | undefined =>
  bytes !== undefined && (bytes.length === 4 || bytes.length === 16) ? formatIp(bytes) : undefined;

/** An RTM_NEWLINK message; null if it is too short. */
export function decodeLink(body: Uint8Array): Link | null {
  if (body.length < 16) return null;
  const view = viewOf(body);
  const has = decodeAttributes(body, 16);
  const info: Attributes = decodeAttributes(has.get(IFLA.IFLA_LINKINFO) ?? new Uint8Array());
  const flags = view.getUint32(8, true);
  return {
    index: view.getInt32(4, true),
    name: payload.string(has.get(IFLA.IFLA_IFNAME)) ?? "",
    kind: payload.string(info.get(IFLA_INFO.IFLA_INFO_KIND)),
    flags,
    up: (flags & IFF.IFF_UP) !== 0,
    mtu: payload.u32(has.get(IFLA.IFLA_MTU)) ?? 0,
    address: formatMac(has.get(IFLA.IFLA_ADDRESS) ?? new Uint8Array()),
    master: payload.u32(has.get(IFLA.IFLA_MASTER)) ?? 0,
    peer: payload.u32(has.get(IFLA.IFLA_LINK)) ?? 0,
    peerNetnsId: payload.u32(has.get(IFLA.IFLA_LINK_NETNSID)),
    alias: payload.string(has.get(IFLA.IFLA_IFALIAS)),
  };
}

/** The counters of an RTM_NEWLINK message, struct rtnl_link_stats64; null if it has none. */
export function decodeLinkCounters(body: Uint8Array): LinkCounters | null {
  if (body.length < 16) return null;
  const has = decodeAttributes(body, 16);
  const stats = has.get(IFLA.IFLA_STATS64);
  if (stats === undefined || stats.length < 64) return null;
  const view = viewOf(stats);
  const counter = (at: number): number => Number(view.getBigUint64(at * 8, true));
  return {
    name: payload.string(has.get(IFLA.IFLA_IFNAME)) ?? "",
    flags: viewOf(body).getUint32(8, true),
    ...{ rxPackets: counter(0), txPackets: counter(1), rxBytes: counter(2), txBytes: counter(3) },
    ...{ rxErrors: counter(4), txErrors: counter(5), rxDropped: counter(6), txDropped: counter(7) },
  };
}

/** An RTM_NEWADDR message; null if it is too short or of another family. */
export function decodeAddress(body: Uint8Array): Address | null {
  if (body.length < 8 || (body[0] !== AF.AF_INET && body[0] !== AF.AF_INET6)) return null;
  const has = decodeAttributes(body, 8);
  const ip = ipOf(has.get(IFA.IFA_LOCAL) ?? has.get(IFA.IFA_ADDRESS));
  if (ip === undefined) return null;
  const peer = ipOf(has.get(IFA.IFA_ADDRESS));
  const broadcast = ipOf(has.get(IFA.IFA_BROADCAST));
  return {
    index: viewOf(body).getUint32(4, true),
    ip,
    prefixLength: body[1]!,
    family: body[0] === AF.AF_INET ? 4 : 6,
    scope: body[3]!,
    flags: payload.u32(has.get(IFA.IFA_FLAGS)) ?? body[2]!,
    ...(peer === undefined || peer === ip ? {} : { peer }),
    ...(broadcast === undefined ? {} : { broadcast }),
  };
}

/** An RTM_NEWROUTE message; null if it is too short or of another family. */
export function decodeRoute(body: Uint8Array): Route | null {
  if (body.length < 12 || (body[0] !== AF.AF_INET && body[0] !== AF.AF_INET6)) return null;
  const has = decodeAttributes(body, 12);
  const destination = ipOf(has.get(RTA.RTA_DST));
  return {
    to: destination === undefined ? "default" : `${destination}/${body[1]}`,
    family: body[0] === AF.AF_INET ? 4 : 6,
    gateway: ipOf(has.get(RTA.RTA_GATEWAY)),
    index: payload.u32(has.get(RTA.RTA_OIF)),
    source: ipOf(has.get(RTA.RTA_PREFSRC)),
    metric: payload.u32(has.get(RTA.RTA_PRIORITY)) ?? 0,
    table: payload.u32(has.get(RTA.RTA_TABLE)) ?? body[4]!,
    protocol: body[5]!,
    scope: body[6]!,
    type: body[7]!,
  };
}

/** An RTM_NEWNEIGH message; null if it is too short. */
export function decodeNeighbour(body: Uint8Array): Neighbour | null {
  if (body.length < 12) return null;
  const view = viewOf(body);
  const has = decodeAttributes(body, 12);
  const mac = has.get(NDA.NDA_LLADDR);
  return {
    index: view.getInt32(4, true),
    ip: ipOf(has.get(NDA.NDA_DST)),
    mac: mac === undefined ? undefined : formatMac(mac),
    state: view.getUint16(8, true),
    flags: body[10]!,
    master: payload.u32(has.get(NDA.NDA_MASTER)) ?? 0,
    vlan: payload.u16(has.get(NDA.NDA_VLAN)) ?? 0,
  };
}

/** An RTM_NEWLINK message of a vxlan; null if it is of something else, or too short. */
export function decodeVxlan(body: Uint8Array): Vxlan | null {
  const link = decodeLink(body);
  if (link?.kind !== "vxlan") return null;
  const info = decodeAttributes(decodeAttributes(body, 16).get(IFLA.IFLA_LINKINFO)!);
  const has = decodeAttributes(info.get(IFLA_INFO.IFLA_INFO_DATA) ?? new Uint8Array());
  const port = has.get(IFLA_VXLAN.IFLA_VXLAN_PORT);
  return {
    link,
    id: payload.u32(has.get(IFLA_VXLAN.IFLA_VXLAN_ID)) ?? 0,
    local: ipOf(has.get(IFLA_VXLAN.IFLA_VXLAN_LOCAL) ?? has.get(IFLA_VXLAN.IFLA_VXLAN_LOCAL6)),
    port: port === undefined || port.length < 2 ? 0 : viewOf(port).getUint16(0),
    learning: payload.u8(has.get(IFLA_VXLAN.IFLA_VXLAN_LEARNING)) === 1,
  };
}

const isNot = <T>(value: T | null): value is T => value !== null;
const dump = (type: number, body: Uint8Array, about: string): NetlinkRequest => ({
  type,
  flags: NLM_F.NLM_F_DUMP,
  payload: body,
  about,
});
const familyByte = (family: 4 | 6 | undefined): number => (family === undefined ? 0 : family === 4 ? AF.AF_INET : AF.AF_INET6);

/** A NETLINK_ROUTE socket. All calls throw `NetlinkError`. */
export class Rtnetlink extends NetlinkSocket {
  /** @param fd an open socket, which then belongs to this object; otherwise one in the thread's network namespace is opened */
  constructor(fd?: number) {
    super(NETLINK.NETLINK_ROUTE, fd);
  }

  /** A socket in the network namespace behind a descriptor. The thread is back in its own when this returns. */
  static inNamespace(netnsFd: number): Rtnetlink {
    return inNamespace(netnsFd, CLONE.CLONE_NEWNET, () => new Rtnetlink());
  }

  linkList(): Link[] {
    return this.#links().map(decodeLink).filter(isNot);
  }

  vxlanList(): Vxlan[] {
    return this.#links().map(decodeVxlan).filter(isNot);
  }

  linkCounters(): LinkCounters[] {
    return this.#links().map(decodeLinkCounters).filter(isNot);
  }

  #links(): Uint8Array[] {
    return this.request(dump(RTM.RTM_GETLINK, new Uint8Array(16), "list links")).map(({ payload: body }) => body);
  }

  /** Null if there is none. */
  linkByName(name: string): Link | null {
    const body = this.#link(attr.string(IFLA.IFLA_IFNAME, name), 0, `link ${name}`);
    return body === null ? null : decodeLink(body);
  }

  /** Null if there is none, and for a link of another kind. */
  vxlanByName(name: string): Vxlan | null {
    const body = this.#link(attr.string(IFLA.IFLA_IFNAME, name), 0, `link ${name}`);
    return body === null ? null : decodeVxlan(body);
  }

  /** Null if there is none. */
  linkByIndex(index: number): Link | null {
    const body = this.#link(new Uint8Array(), index, `link ${index}`);
    return body === null ? null : decodeLink(body);
  }

  #link(attributes: Uint8Array, index: number, about: string): Uint8Array | null {
    const header = new Uint8Array(16);
    viewOf(header).setInt32(4, index, true);
    try {
      const [answer] = this.request({ type: RTM.RTM_GETLINK, flags: 0, payload: concat([header, attributes]), about });
      return answer?.payload ?? null;
    } catch (error) {
      if (isErrno(error, "ENODEV")) return null;
      throw error;
    }
  }

  /** As `linkByName`; ENODEV if there is none. */
  requireLink(name: string): Link {
    const link = this.linkByName(name);
    if (link === null) throw new NetlinkError(errno.ENODEV, `link ${name}`, undefined, 0);
    return link;
  }

  linkUp(name: string): void {
    this.batch([messages.setLink({ name, up: true })]);
  }

  /** Makes a bridge and returns it. EEXIST if the name is taken. */
  createBridge(spec: messages.LinkSpec & { readonly name: string }, options: messages.BridgeOptions = {}): Link {
    this.batch([messages.newLink({ ...spec, kind: "bridge", data: messages.bridgeData(options) })]);
    return this.requireLink(spec.name);
  }

  /** Both ends of a cable, in one message; the first may be up, and on a bridge, from the start. */
  createVeth(spec: messages.LinkSpec, peer: messages.VethPeer): void {
    this.batch([messages.newVeth(spec, peer)]);
  }

  createVxlan(spec: messages.LinkSpec & { readonly name: string }, options: messages.VxlanOptions): Link {
    this.batch([messages.newLink({ ...spec, kind: "vxlan", data: messages.vxlanData(options) })]);
    return this.requireLink(spec.name);
  }

  /** Moves a link into another network namespace, under another name if one is given. */
  setLinkNetns(index: number, netnsFd: number, name?: string): void {
    this.batch([messages.setLink({ index, netns: { fd: netnsFd }, ...(name === undefined ? {} : { name }) })]);
  }

  deleteLink(link: { readonly index: number } | { readonly name: string }): void {
    this.batch([messages.deleteLink(link)]);
  }

  addAddress(spec: messages.AddressSpec): void {
    this.batch([messages.addAddress(spec)]);
  }

  /** All addresses, or those of a link. */
  addressList(index?: number): Address[] {
    const answers = this.request(dump(RTM.RTM_GETADDR, new Uint8Array(8), "list addresses"));
    const addresses = answers.map(({ payload: body }) => decodeAddress(body)).filter(isNot);
    return index === undefined ? addresses : addresses.filter((address) => address.index === index);
  }

  addRoute(spec: messages.RouteSpec): void {
    this.batch([messages.addRoute(spec)]);
  }

  /** Routes of a table, the main one if none is told. */
  routeList(table: number = RT.RT_TABLE_MAIN, family?: 4 | 6): Route[] {
    const header = new Uint8Array(12);
    header[0] = familyByte(family);
    const answers = this.request(dump(RTM.RTM_GETROUTE, header, "list routes"));
    return answers
      .map(({ payload: body }) => decodeRoute(body))
      .filter((route) => route !== null && route.table === table) as Route[];
  }

  addNeighbour(spec: messages.NeighbourSpec): void {
    this.batch([messages.addNeighbour(spec)]);
  }

  /** Neighbours by IP; with `fdb` the forwarding databases' entries. Of a link, if one is told. */
  neighbourList({ index, fdb = false }: { readonly index?: number; readonly fdb?: boolean } = {}): Neighbour[] {
    const header = new Uint8Array(12);
    header[0] = fdb ? AF.AF_BRIDGE : 0;
    // The kernel then lists those of this link alone: of a bridge's port its own entries and the bridge's that lead to it.
    if (fdb && index !== undefined) viewOf(header).setInt32(4, index, true);
    const filter = fdb || index === undefined ? [] : [attr.u32(NDA.NDA_IFINDEX, index)];
    const answers = this.request(dump(RTM.RTM_GETNEIGH, concat([header, ...filter]), "list neighbours"));
    const neighbours = answers.map(({ payload: body }) => decodeNeighbour(body)).filter(isNot);
    return index === undefined ? neighbours : neighbours.filter((neighbour) => neighbour.index === index);
  }
}
