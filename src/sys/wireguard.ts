/**
 * WireGuard links: keys, ports and peers, by generic netlink. The link itself is made by rtnetlink, as one of the kind "wireguard".
 *
 *     using wireguard = new Wireguard();
 *     wireguard.configure(index, { privateKey, port: 51820 });
 *     wireguard.change(index, [{ publicKey, endpoint: { address: "192.0.2.2", port: 51820 }, allowed: ["fd00::2/128"] }], []);
 *
 * Keys are the 32 bytes of X25519 in base64, as wg(8) prints them. linux/wireguard.h has the messages.
 */
import { AF } from "./constants.ts";
import { errno, isErrno } from "./errno.ts";
import { socketAddress } from "./inet.ts";
import { formatIp, parseIp, parsePrefix } from "./ipaddress.ts";
import { GENL, NETLINK, NLM_F, WG } from "./netconstants.ts";
import {
  attr,
  concat,
  decodeAttributes,
  eachAttribute,
  NetlinkError,
  type NetlinkRequest,
  NetlinkSocket,
  payload,
} from "./netlink.ts";

export interface WireguardPeer {
  readonly publicKey: string;
  /** Where it is reached; undefined until it has been heard of. */
  readonly endpoint: { readonly address: string; readonly port: number } | undefined;
  /** Prefixes, "fd00::2/128": what it may send from, and what is sent to it. A prefix belongs to one peer of a link. */
  readonly allowed: readonly string[];
  /** Seconds between packets that keep a path through NAT open; 0: none. */
  readonly keepalive?: number;
}

export interface WireguardDevice {
  /** "" if it has none. */
  readonly publicKey: string;
  /** UDP port. */
  readonly port: number;
  readonly peers: readonly WireguardPeer[];
}

/** struct genlmsghdr */
const HEADER = 4;
const KEY = 32;
/** Peers per message: they must fit an attribute. */
const CHUNK = 200;

const request = (family: number, command: number, flags: number, about: string, ...attributes: Uint8Array[]): NetlinkRequest => ({
  type: family,
  flags,
  payload: concat([Uint8Array.of(command, WG.WG_GENL_VERSION, 0, 0), ...attributes]),
  about,
});

/** @throws TypeError for what is no key */
function keyBytes(text: string): Uint8Array {
  const bytes = Buffer.from(text, "base64");
  // The error does not say which: it may be a private one.
  if (bytes.length !== KEY || bytes.toString("base64") !== text)
    throw new TypeError("not a key of WireGuard: 32 bytes in base64");
  return bytes;
}

const keyText = (bytes: Uint8Array | undefined): string =>
  bytes?.length === KEY && bytes.some((byte) => byte !== 0) ? Buffer.from(bytes).toString("base64") : "";

function encodeAllowed(text: string): Uint8Array {
  const { bytes, length } = parsePrefix(text);
  return attr.nested(
    0,
    attr.u16(WG.WGALLOWEDIP_A_FAMILY, bytes.length === 4 ? AF.AF_INET : AF.AF_INET6),
    attr.bytes(WG.WGALLOWEDIP_A_IPADDR, bytes),
    attr.u8(WG.WGALLOWEDIP_A_CIDR_MASK, length),
  );
}

const encodePeer = ({ publicKey, endpoint, allowed, keepalive = 0 }: WireguardPeer): Uint8Array =>
  attr.nested(
    0,
    attr.bytes(WG.WGPEER_A_PUBLIC_KEY, keyBytes(publicKey)),
    attr.u32(WG.WGPEER_A_FLAGS, WG.WGPEER_F_REPLACE_ALLOWEDIPS),
    ...(endpoint === undefined
      ? []
      : [attr.bytes(WG.WGPEER_A_ENDPOINT, socketAddress(parseIp(endpoint.address), endpoint.port))]),
    attr.u16(WG.WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL, keepalive),
    attr.nested(WG.WGPEER_A_ALLOWEDIPS, ...allowed.map(encodeAllowed)),
  );

const encodeRemoval = (publicKey: string): Uint8Array =>
  attr.nested(0, attr.bytes(WG.WGPEER_A_PUBLIC_KEY, keyBytes(publicKey)), attr.u32(WG.WGPEER_A_FLAGS, WG.WGPEER_F_REMOVE_ME));

function decodeAllowed(bytes: Uint8Array): string[] {
  const has = decodeAttributes(bytes);
  const ip = has.get(WG.WGALLOWEDIP_A_IPADDR);
  if (ip?.length !== 4 && ip?.length !== 16) return [];
  return [`${formatIp(ip)}/${payload.u8(has.get(WG.WGALLOWEDIP_A_CIDR_MASK)) ?? 0}`];
}

/** struct sockaddr_in or sockaddr_in6 */
function decodeEndpoint(bytes: Uint8Array | undefined): WireguardPeer["endpoint"] {
  const ip = bytes?.length === 16 ? bytes.subarray(4, 8) : bytes?.length === 28 ? bytes.subarray(8, 24) : undefined;
  return ip === undefined ? undefined : { address: formatIp(ip), port: (bytes![2]! << 8) | bytes![3]! };
}

function decodePeer(bytes: Uint8Array): WireguardPeer | null {
  const has = decodeAttributes(bytes);
  const publicKey = keyText(has.get(WG.WGPEER_A_PUBLIC_KEY));
  if (publicKey === "") return null;
  const allowed = [...eachAttribute(has.get(WG.WGPEER_A_ALLOWEDIPS) ?? new Uint8Array())].flatMap(([, one]) =>
    decodeAllowed(one),
  );
  const keepalive = payload.u16(has.get(WG.WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL)) ?? 0;
  return { publicKey, endpoint: decodeEndpoint(has.get(WG.WGPEER_A_ENDPOINT)), allowed, keepalive };
}

/** The messages of a listing. A peer's addresses may go on in the next message. Never throws. */
export function decodeDevice(bodies: readonly Uint8Array[]): WireguardDevice {
  let device = { publicKey: "", port: 0 };
  const peers = new Map<string, WireguardPeer>();
  for (const body of bodies) {
    const has = decodeAttributes(body, HEADER);
    const publicKey = keyText(has.get(WG.WGDEVICE_A_PUBLIC_KEY));
    device = {
      publicKey: publicKey === "" ? device.publicKey : publicKey,
      port: payload.u16(has.get(WG.WGDEVICE_A_LISTEN_PORT)) ?? device.port,
    };
    for (const [, bytes] of eachAttribute(has.get(WG.WGDEVICE_A_PEERS) ?? new Uint8Array())) {
      const peer = decodePeer(bytes);
      if (peer === null) continue;
      const before = peers.get(peer.publicKey);
      peers.set(peer.publicKey, before === undefined ? peer : { ...before, allowed: [...before.allowed, ...peer.allowed] });
    }
  }
  return { ...device, peers: [...peers.values()] };
}

/** A NETLINK_GENERIC socket. Links are those of the network namespace that the thread is in when it is made. */
export class Wireguard extends NetlinkSocket {
  #family: number | undefined;

  constructor() {
    super(NETLINK.NETLINK_GENERIC);
  }

  /** @throws NetlinkError ENOENT if the kernel has no WireGuard */
  #number(): number {
    if (this.#family !== undefined) return this.#family;
    const about = "generic netlink family wireguard";
    const [answer] = this.request({
      type: GENL.GENL_ID_CTRL,
      flags: 0,
      payload: concat([Uint8Array.of(GENL.CTRL_CMD_GETFAMILY, 1, 0, 0), attr.string(GENL.CTRL_ATTR_FAMILY_NAME, "wireguard")]),
      about,
    });
    const number = payload.u16(decodeAttributes(answer?.payload ?? new Uint8Array(), HEADER).get(GENL.CTRL_ATTR_FAMILY_ID));
    if (number === undefined) throw new NetlinkError(errno.ENOENT, about, undefined, 0);
    this.#family = number;
    return number;
  }

  /** Whether the kernel has WireGuard, or a module of it that it may load. */
  exists(): boolean {
    try {
      this.#number();
      return true;
    } catch (error) {
      if (isErrno(error, "ENOENT")) return false;
      throw error;
    }
  }

  device(index: number): WireguardDevice {
    const about = `wireguard link ${index}`;
    const answers = this.request(
      request(this.#number(), WG.WG_CMD_GET_DEVICE, NLM_F.NLM_F_DUMP, about, attr.u32(WG.WGDEVICE_A_IFINDEX, index)),
    );
    return decodeDevice(answers.map(({ payload: body }) => body));
  }

  /** A peer whose key becomes the link's own is removed by the kernel. */
  configure(index: number, { privateKey, port }: { readonly privateKey: string; readonly port: number }): void {
    this.#set(index, attr.bytes(WG.WGDEVICE_A_PRIVATE_KEY, keyBytes(privateKey)), attr.u16(WG.WGDEVICE_A_LISTEN_PORT, port));
  }

  /** Adds peers, or makes those that are there as they are given, and removes others. Removed first: so that addresses can move. */
  change(index: number, put: readonly WireguardPeer[], removed: readonly string[]): void {
    const peers = [...removed.map(encodeRemoval), ...put.map(encodePeer)];
    for (let from = 0; from < peers.length; from += CHUNK) {
      this.#set(index, attr.nested(WG.WGDEVICE_A_PEERS, ...peers.slice(from, from + CHUNK)));
    }
  }

  #set(index: number, ...attributes: Uint8Array[]): void {
    const about = `set wireguard link ${index}`;
    this.batch([request(this.#number(), WG.WG_CMD_SET_DEVICE, 0, about, attr.u32(WG.WGDEVICE_A_IFINDEX, index), ...attributes)]);
  }
}
