/**
 * Requests of rtnetlink(7) as values, to be sent by `Rtnetlink` one by one or in a batch. Pure: a request is bytes.
 * Where a link is named by `index`, that is its number in the network namespace of the socket.
 */
import { AF } from "./constants.ts";
import { formatIp, type Prefix, parseIp, parseMac, parsePrefix } from "./ipaddress.ts";
import {
  IFA,
  IFF,
  IFLA,
  IFLA_BR,
  IFLA_BRPORT,
  IFLA_INFO,
  IFLA_VXLAN,
  MACVLAN,
  NDA,
  NLM_F,
  NUD,
  RT,
  RTA,
  RTM,
  VETH,
  VLAN,
} from "./netconstants.ts";
import { attr, concat, type NetlinkRequest } from "./netlink.ts";

/** What a link is to be. Absent fields are left to the kernel, or as they are. */
export interface LinkSpec {
  /** At most 15 bytes. For an existing link that `index` names: its new name. */
  readonly name?: string;
  /** Of a new link: the number it is to have in its namespace, EBUSY if another has it; so that one need not ask for it. */
  readonly index?: number;
  readonly up?: boolean;
  readonly mtu?: number;
  /** Hardware address. */
  readonly address?: string;
  /** Index of the bridge (or bond) it joins; 0 leaves it. */
  readonly master?: number;
  /** Index of the link it is built on (macvlan, ipvlan, vlan). */
  readonly parent?: number;
  /** The network namespace it is made in, or moved to: a descriptor, or a process. */
  readonly netns?: { readonly fd: number } | { readonly pid: number };
  readonly txQueueLength?: number;
}

/** What of a link is to change. */
export interface LinkChange extends LinkSpec {
  /** Free text, at most 255 bytes: who made it. (The kernel does not take it while it makes a link.) */
  readonly alias?: string;
}

export interface NewLinkSpec extends LinkSpec {
  /** "bridge", "veth", "vxlan", "dummy", "macvlan", ... */
  readonly kind: string;
  /** Attributes of IFLA_INFO_DATA: `bridgeData`, `vxlanData`, `vethData` or one's own. */
  readonly data?: readonly Uint8Array[];
}

const int32 = (value: number) => [value, value >> 8, value >> 16, value >> 24];

/** struct ifinfomsg */
const linkHeader = ({ index = 0, up }: LinkSpec, family = 0): Uint8Array =>
  Uint8Array.from([family, 0, 0, 0, ...int32(index), ...int32(up ? IFF.IFF_UP : 0), ...int32(up === undefined ? 0 : IFF.IFF_UP)]);

function linkAttributes(spec: LinkChange): Uint8Array[] {
  const parts: Uint8Array[] = [];
  if (spec.name !== undefined) parts.push(attr.string(IFLA.IFLA_IFNAME, spec.name));
  if (spec.mtu !== undefined) parts.push(attr.u32(IFLA.IFLA_MTU, spec.mtu));
  if (spec.address !== undefined) parts.push(attr.bytes(IFLA.IFLA_ADDRESS, parseMac(spec.address)));
  if (spec.master !== undefined) parts.push(attr.u32(IFLA.IFLA_MASTER, spec.master));
  if (spec.parent !== undefined) parts.push(attr.u32(IFLA.IFLA_LINK, spec.parent));
  if (spec.alias !== undefined) parts.push(attr.bytes(IFLA.IFLA_IFALIAS, new TextEncoder().encode(spec.alias)));
  if (spec.txQueueLength !== undefined) parts.push(attr.u32(IFLA.IFLA_TXQLEN, spec.txQueueLength));
  if (spec.netns !== undefined) {
    parts.push(
      "fd" in spec.netns ? attr.u32(IFLA.IFLA_NET_NS_FD, spec.netns.fd) : attr.u32(IFLA.IFLA_NET_NS_PID, spec.netns.pid),
    );
  }
  return parts;
}

const CREATE = NLM_F.NLM_F_CREATE | NLM_F.NLM_F_EXCL;
const linkText = ({ name, index }: LinkSpec): string => name ?? `${index ?? "?"}`;

/** Makes a link. EEXIST if the name is taken, EOPNOTSUPP if the kernel does not know the kind. */
export const newLink = (spec: NewLinkSpec): NetlinkRequest => ({
  type: RTM.RTM_NEWLINK,
  flags: CREATE,
  payload: concat([
    linkHeader(spec),
    ...linkAttributes(spec),
    attr.nested(
      IFLA.IFLA_LINKINFO,
      attr.string(IFLA_INFO.IFLA_INFO_KIND, spec.kind),
      ...(spec.data === undefined ? [] : [attr.nested(IFLA_INFO.IFLA_INFO_DATA, ...spec.data)]),
    ),
  ]),
  about: `new ${spec.kind} ${linkText(spec)}`,
});

/** The other end of a veth. It cannot be up from the start (ENOTCONN): only the first end can. */
export type VethPeer = Omit<LinkSpec, "up" | "master">;

/** Data of a veth: its other end, which may be made in another namespace. */
export const vethData = (peer: VethPeer): Uint8Array[] => [
  attr.bytes(VETH.VETH_INFO_PEER, concat([linkHeader(peer), ...linkAttributes(peer)])),
];

/** Two ends of a cable in one message. `peer.netns` puts the other end where it belongs, under its final name. */
export const newVeth = (spec: LinkSpec, peer: VethPeer): NetlinkRequest =>
  newLink({ ...spec, kind: "veth", data: vethData(peer) });

export interface BridgeOptions {
  readonly stp?: boolean;
  /** Hundredths of a second. */
  readonly forwardDelay?: number;
  readonly vlanFiltering?: boolean;
  readonly multicastSnooping?: boolean;
}

export function bridgeData({ stp, forwardDelay, vlanFiltering, multicastSnooping }: BridgeOptions): Uint8Array[] {
  const parts: Uint8Array[] = [];
  if (stp !== undefined) parts.push(attr.u32(IFLA_BR.IFLA_BR_STP_STATE, Number(stp)));
  if (forwardDelay !== undefined) parts.push(attr.u32(IFLA_BR.IFLA_BR_FORWARD_DELAY, forwardDelay));
  if (vlanFiltering !== undefined) parts.push(attr.u8(IFLA_BR.IFLA_BR_VLAN_FILTERING, Number(vlanFiltering)));
  if (multicastSnooping !== undefined) parts.push(attr.u8(IFLA_BR.IFLA_BR_MCAST_SNOOPING, Number(multicastSnooping)));
  return parts;
}

/** Data of a macvlan: who of those on one parent reaches whom. */
export const macvlanData = (mode: "private" | "vepa" | "bridge" | "passthru"): Uint8Array[] => {
  const modes = {
    private: MACVLAN.MACVLAN_MODE_PRIVATE,
    vepa: MACVLAN.MACVLAN_MODE_VEPA,
    bridge: MACVLAN.MACVLAN_MODE_BRIDGE,
    passthru: MACVLAN.MACVLAN_MODE_PASSTHRU,
  };
  return [attr.u32(MACVLAN.IFLA_MACVLAN_MODE, modes[mode])];
};

/** Data of a VLAN: its number, IEEE 802.1Q. */
export const vlanData = (id: number): Uint8Array[] => [attr.u16(VLAN.IFLA_VLAN_ID, id)];

/** Data of an ipvlan in mode l2; the flag says who of those on one parent reaches whom, as with a macvlan. */
export const ipvlanData = ({ flag = "bridge" }: { readonly flag?: "bridge" | "private" | "vepa" }): Uint8Array[] => {
  const flags = { bridge: 0, private: VLAN.IPVLAN_F_PRIVATE, vepa: VLAN.IPVLAN_F_VEPA };
  return [attr.u16(VLAN.IFLA_IPVLAN_MODE, VLAN.IPVLAN_MODE_L2), attr.u16(VLAN.IFLA_IPVLAN_FLAGS, flags[flag])];
};

export interface VxlanOptions {
  /** Network identifier, 24 bits. */
  readonly id: number;
  /** Address that the outer packets come from. */
  readonly local?: string;
  /** UDP port; 4789 is IANA's. */
  readonly port?: number;
  /** Index of the link they go out by. */
  readonly link?: number;
  readonly ttl?: number;
  /** Learn endpoints from what arrives; off where a control plane writes them. */
  readonly learning?: boolean;
  /** Answer ARP and neighbour solicitations from the neighbour table. */
  readonly proxy?: boolean;
}

export function vxlanData({ id, local, port = 4789, link, ttl, learning, proxy }: VxlanOptions): Uint8Array[] {
  const parts = [attr.u32(IFLA_VXLAN.IFLA_VXLAN_ID, id), attr.u16be(IFLA_VXLAN.IFLA_VXLAN_PORT, port)];
  if (local !== undefined) {
    const bytes = parseIp(local);
    parts.push(attr.bytes(bytes.length === 4 ? IFLA_VXLAN.IFLA_VXLAN_LOCAL : IFLA_VXLAN.IFLA_VXLAN_LOCAL6, bytes));
  }
  if (link !== undefined) parts.push(attr.u32(IFLA_VXLAN.IFLA_VXLAN_LINK, link));
  if (ttl !== undefined) parts.push(attr.u8(IFLA_VXLAN.IFLA_VXLAN_TTL, ttl));
  if (learning !== undefined) parts.push(attr.u8(IFLA_VXLAN.IFLA_VXLAN_LEARNING, Number(learning)));
  if (proxy !== undefined) parts.push(attr.u8(IFLA_VXLAN.IFLA_VXLAN_PROXY, Number(proxy)));
  return parts;
}

/** Changes a link that `index`, or else `name`, tells. ENODEV if there is none. */
export const setLink = (spec: LinkChange): NetlinkRequest => ({
  type: RTM.RTM_NEWLINK,
  flags: 0,
  payload: concat([linkHeader(spec), ...linkAttributes(spec)]),
  about: `set link ${linkText(spec)}`,
});

/**
 * Asks for a link, and before it answers the kernel does what is still to be done for its carrier: when a batch with this has ended,
 * a cable whose two ends are up carries frames, and a bridge forwards them. (Linux 6.8; older ones do it a moment later.)
 */
export const settleLink = (index: number): NetlinkRequest => ({
  type: RTM.RTM_GETLINK,
  flags: 0,
  payload: linkHeader({ index }),
  about: `settle link ${index}`,
});

/** Removes a link. Slow for a veth (tens of milliseconds): where nobody waits for it, let its namespace die instead. */
export const deleteLink = (link: { readonly index: number } | { readonly name: string }): NetlinkRequest => ({
  type: RTM.RTM_DELLINK,
  flags: 0,
  payload: concat([linkHeader(link), ...linkAttributes(link)]),
  about: `delete link ${linkText(link)}`,
});

export interface BridgePortOptions {
  /** Frames may leave by the port they came in by: a container that reaches itself by a published port. */
  readonly hairpin?: boolean;
  /** Isolated ports do not reach each other. */
  readonly isolated?: boolean;
  readonly learning?: boolean;
  /** Frames for an address that is in no entry go out by it; and those for groups, and for all. */
  readonly flood?: boolean;
  readonly multicastFlood?: boolean;
  readonly broadcastFlood?: boolean;
  /** The bridge answers ARP and neighbour solicitations for what is behind it from its neighbour table, and they do not go out by it. */
  readonly neighbourSuppression?: boolean;
}

/** Settings of a link as a port of its bridge. */
export function setBridgePort(index: number, options: BridgePortOptions): NetlinkRequest {
  const { hairpin, isolated, learning, flood, multicastFlood, broadcastFlood, neighbourSuppression } = options;
  const parts: Uint8Array[] = [];
  const add = (type: number, on: boolean | undefined) => {
    if (on !== undefined) parts.push(attr.u8(type, Number(on)));
  };
  add(IFLA_BRPORT.IFLA_BRPORT_MODE, hairpin);
  add(IFLA_BRPORT.IFLA_BRPORT_ISOLATED, isolated);
  add(IFLA_BRPORT.IFLA_BRPORT_LEARNING, learning);
  add(IFLA_BRPORT.IFLA_BRPORT_UNICAST_FLOOD, flood);
  add(IFLA_BRPORT.IFLA_BRPORT_MCAST_FLOOD, multicastFlood);
  add(IFLA_BRPORT.IFLA_BRPORT_BCAST_FLOOD, broadcastFlood);
  add(IFLA_BRPORT.IFLA_BRPORT_NEIGH_SUPPRESS, neighbourSuppression);
  return {
    type: RTM.RTM_SETLINK,
    flags: 0,
    payload: concat([linkHeader({ index }, AF.AF_BRIDGE), attr.nested(IFLA.IFLA_PROTINFO, ...parts)]),
    about: `bridge port ${index}`,
  };
}

const familyOf = ({ bytes }: Pick<Prefix, "bytes">): number => (bytes.length === 4 ? AF.AF_INET : AF.AF_INET6);

export interface AddressSpec {
  readonly index: number;
  /** "10.0.0.2/24" */
  readonly prefix: string;
  /** RT_SCOPE_*; universe if absent. */
  readonly scope?: number;
  readonly broadcast?: string;
  /** Other end of a point-to-point link; the prefix length then is that of this address. */
  readonly peer?: string;
  /** IFA_F_*: IFA_F_NODAD makes an IPv6 address usable at once. */
  readonly flags?: number;
}

function addressRequest(type: number, flags: number, spec: AddressSpec): NetlinkRequest {
  const prefix = parsePrefix(spec.prefix);
  const parts = [
    Uint8Array.from([familyOf(prefix), prefix.length, 0, spec.scope ?? 0, ...int32(spec.index)]),
    attr.bytes(IFA.IFA_LOCAL, prefix.bytes),
    attr.bytes(IFA.IFA_ADDRESS, spec.peer === undefined ? prefix.bytes : parseIp(spec.peer)),
  ];
  if (spec.broadcast !== undefined) parts.push(attr.bytes(IFA.IFA_BROADCAST, parseIp(spec.broadcast)));
  if (spec.flags !== undefined) parts.push(attr.u32(IFA.IFA_FLAGS, spec.flags));
  const verb = type === RTM.RTM_NEWADDR ? "add" : "delete";
  return { type, flags, payload: concat(parts), about: `${verb} address ${spec.prefix} on ${spec.index}` };
}

/** Gives a link an address. EEXIST if it has it. */
export const addAddress = (spec: AddressSpec): NetlinkRequest => addressRequest(RTM.RTM_NEWADDR, CREATE, spec);
/** EADDRNOTAVAIL if the link does not have it. */
export const deleteAddress = (spec: AddressSpec): NetlinkRequest => addressRequest(RTM.RTM_DELADDR, 0, spec);

export interface RouteSpec {
  /** "10.0.0.0/8"; "default" needs a gateway, or `family`. Host bits must be 0. */
  readonly to: string;
  readonly gateway?: string;
  /** Outgoing link. */
  readonly index?: number;
  /** Source address for what this machine sends. */
  readonly source?: string;
  readonly metric?: number;
  /** RT_TABLE_MAIN if absent. */
  readonly table?: number;
  /** RT_SCOPE_*; link if there is no gateway. */
  readonly scope?: number;
  /** RTN_*; RTN_UNICAST if absent. */
  readonly type?: number;
  /** The gateway is reachable although no route says so. */
  readonly onlink?: boolean;
  readonly mtu?: number;
  readonly family?: 4 | 6;
}

function routePrefix({ to, gateway, source, family }: RouteSpec): Prefix {
  if (to !== "default") return parsePrefix(to);
  const size = family === undefined ? parseIp(gateway ?? source ?? "0.0.0.0").length : family === 4 ? 4 : 16;
  return { bytes: new Uint8Array(size), length: 0 };
}

function routeRequest(type: number, flags: number, spec: RouteSpec): NetlinkRequest {
  const prefix = routePrefix(spec);
  const family = familyOf(prefix);
  const { table = RT.RT_TABLE_MAIN, type: kind = RT.RTN_UNICAST } = spec;
  const isLink = spec.gateway === undefined && kind === RT.RTN_UNICAST && family === AF.AF_INET;
  const scope = spec.scope ?? (isLink ? RT.RT_SCOPE_LINK : RT.RT_SCOPE_UNIVERSE);
  const header = [family, prefix.length, 0, 0, table < 256 ? table : RT.RT_TABLE_COMPAT, RT.RTPROT_STATIC, scope, kind];
  const parts = [Uint8Array.from([...header, ...int32(spec.onlink ? RTA.RTNH_F_ONLINK : 0)]), attr.u32(RTA.RTA_TABLE, table)];
  if (prefix.length > 0) parts.push(attr.bytes(RTA.RTA_DST, prefix.bytes));
  if (spec.gateway !== undefined) parts.push(attr.bytes(RTA.RTA_GATEWAY, parseIp(spec.gateway)));
  if (spec.index !== undefined) parts.push(attr.u32(RTA.RTA_OIF, spec.index));
  if (spec.source !== undefined) parts.push(attr.bytes(RTA.RTA_PREFSRC, parseIp(spec.source)));
  if (spec.metric !== undefined) parts.push(attr.u32(RTA.RTA_PRIORITY, spec.metric));
  if (spec.mtu !== undefined) parts.push(attr.nested(RTA.RTA_METRICS, attr.u32(RTA.RTAX_MTU, spec.mtu)));
  const verb = type === RTM.RTM_NEWROUTE ? "add" : "delete";
  const via = spec.gateway === undefined ? "" : ` via ${formatIp(parseIp(spec.gateway))}`;
  return { type, flags, payload: concat(parts), about: `${verb} route ${spec.to}${via}` };
}

/** Adds a route. EEXIST if it is there, ENETUNREACH if the gateway is not reachable. */
export const addRoute = (spec: RouteSpec): NetlinkRequest => routeRequest(RTM.RTM_NEWROUTE, CREATE, spec);
/** Adds a route, or takes the place of the one to the same destination with the same metric. */
export const replaceRoute = (spec: RouteSpec): NetlinkRequest =>
  routeRequest(RTM.RTM_NEWROUTE, NLM_F.NLM_F_CREATE | NLM_F.NLM_F_REPLACE, spec);
/** ESRCH if there is no such route. */
export const deleteRoute = (spec: RouteSpec): NetlinkRequest => routeRequest(RTM.RTM_DELROUTE, 0, spec);

export interface NeighbourSpec {
  readonly index: number;
  /** IP address of a neighbour; for `fdb` the tunnel endpoint the hardware address is behind. */
  readonly ip?: string;
  readonly mac?: string;
  /** Entry of a forwarding database (bridge, vxlan) instead of a neighbour table. */
  readonly fdb?: boolean;
  /** NUD_*; NUD_PERMANENT if absent. */
  readonly state?: number;
  /** NTF_*: NTF_SELF for a vxlan's own table, NTF_MASTER for that of the port's bridge; NTF_STICKY: no frame moves it to another port. */
  readonly flags?: number;
  /** Add to what is there for this hardware address (several endpoints for broadcasts) instead of replacing it. */
  readonly append?: boolean;
}

function neighbourRequest(type: number, flags: number, spec: NeighbourSpec): NetlinkRequest {
  const ip = spec.ip === undefined ? undefined : parseIp(spec.ip);
  const family = spec.fdb ? AF.AF_BRIDGE : familyOf({ bytes: ip ?? new Uint8Array(4) });
  const state = spec.state ?? NUD.NUD_PERMANENT;
  const parts: Uint8Array[] = [Uint8Array.from([family, 0, 0, 0, ...int32(spec.index), state, state >> 8, spec.flags ?? 0, 0])];
  if (ip !== undefined) parts.push(attr.bytes(NDA.NDA_DST, ip));
  if (spec.mac !== undefined) parts.push(attr.bytes(NDA.NDA_LLADDR, parseMac(spec.mac)));
  const verb = type === RTM.RTM_NEWNEIGH ? "add" : "delete";
  const table = spec.fdb ? "fdb entry" : "neighbour";
  const about = `${verb} ${table} ${[spec.mac, spec.ip].filter(Boolean).join(" ")} on ${spec.index}`;
  return { type, flags, payload: concat(parts), about };
}

/** Adds, or replaces, a neighbour or forwarding entry. */
export const addNeighbour = (spec: NeighbourSpec): NetlinkRequest =>
  neighbourRequest(RTM.RTM_NEWNEIGH, NLM_F.NLM_F_CREATE | (spec.append ? NLM_F.NLM_F_APPEND : NLM_F.NLM_F_REPLACE), spec);
/** ENOENT if there is no such entry. */
export const deleteNeighbour = (spec: NeighbourSpec): NetlinkRequest => neighbourRequest(RTM.RTM_DELNEIGH, 0, spec);
