/**
 * What a cluster's hosts tell each other: keys of etcd below one prefix, and their values, JSON.
 *
 *     nodes/<node>                 NodeRecord; under the lease that keeps the node's addresses
 *     alive/<node>                 ""; under the lease that says that its engine runs
 *     networks/<id>                NetworkRecord, as databases have it
 *     revision                     who makes or removes a network changes it, so that no two choose the same subnet or number
 *     addresses/<network>/<ip>     Claim; with its node's address lease. The key of a second address has {"of": the first}
 *
 * Values were written by other hosts: all of them are checked, and what is not understood counts as not there. Pure.
 */
import { isIp, parseMac } from "../../sys/ipaddress.ts";
import { completePool } from "../addresses.ts";
import type { NetworkRecord } from "../database.ts";
import { parseOptions } from "../options.ts";
import { familyOf } from "../prefixes.ts";

export interface NodeRecord {
  /** 16 hex digits: of the engine's data root. */
  readonly id: string;
  readonly name: string;
  /** Where it takes VXLAN packets. */
  readonly address: string;
  /** Its public key of WireGuard, in base64; "" for none. */
  readonly key: string;
  /** UDP port that sealed packets go to. */
  readonly sealPort: number;
  /** Seconds since 1970. */
  readonly joined: number;
}

/** A container's addresses in a network. */
export interface Claim {
  readonly network: string;
  /** The id of the node that the container is on. */
  readonly node: string;
  readonly container: string;
  readonly mac: string;
  readonly ipv4: string | null;
  readonly ipv6: string | null;
  /** What it is called in its network; the container's own name first. */
  readonly names: readonly string[];
}

/** Absolute keys, and back. */
export class Keys {
  readonly prefix: string;
  readonly revision: string;
  readonly nodes: string;
  readonly alive: string;
  readonly networks: string;
  readonly addresses: string;

  /** @param prefix without a slash at its end: "/onggi/v1" */
  constructor(prefix: string) {
    this.prefix = `${prefix}/`;
    this.revision = `${prefix}/revision`;
    this.nodes = `${prefix}/nodes/`;
    this.alive = `${prefix}/alive/`;
    this.networks = `${prefix}/networks/`;
    this.addresses = `${prefix}/addresses/`;
  }

  addressesOf(network: string): string {
    return `${this.addresses}${network}/`;
  }

  address(network: string, ip: string): string {
    return `${this.addresses}${network}/${ip}`;
  }

  /** A claim's keys, that of its first address first. */
  ofClaim({ network, ipv4, ipv6 }: Claim): string[] {
    return [ipv4, ipv6].filter((ip) => ip !== null).map((ip) => this.address(network, ip));
  }
}

/** A claim's values, in the order of its keys. */
export function claimValues(claim: Claim): string[] {
  const { ipv4, ipv6 } = claim;
  const [first, second] = [ipv4, ipv6].filter((ip) => ip !== null);
  return [JSON.stringify(claim), ...(second === undefined ? [] : [JSON.stringify({ of: first, node: claim.node })])];
}

type Fields = Readonly<Record<string, unknown>>;

function fieldsOf(value: string): Fields | null {
  try {
    const fields: unknown = JSON.parse(value);
    return typeof fields === "object" && fields !== null && !Array.isArray(fields) ? (fields as Fields) : null;
  } catch {
    return null;
  }
}

const isText = (value: unknown, pattern: RegExp): value is string => typeof value === "string" && pattern.test(value);
const nodeId = /^[0-9a-f]{16}$/;
const longId = /^[0-9a-f]{64}$/;
/** Of RFC 1123, and underscores. */
export const nodeName = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,252}$/;
/** 32 bytes in base64. */
const publicKey = /^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/;
const anyName = /^[^\s\0]{1,255}$/;

export function parseNode(value: string): NodeRecord | null {
  const { id, name, address, key, sealPort, joined } = fieldsOf(value) ?? {};
  if (!isText(id, nodeId) || !isText(name, nodeName) || typeof address !== "string" || !isIp(address)) return null;
  const hasKey = isText(key, publicKey) && isWithin(sealPort, 1, 65_535);
  const seal = hasKey ? { key, sealPort } : { key: "", sealPort: 0 };
  return { id, name, address, ...seal, joined: typeof joined === "number" ? joined : 0 };
}

/** True for one that a container can have: neither a group's nor nobody's, which no tunnel takes. */
const isMac = (text: unknown): text is string => {
  try {
    const bytes = typeof text === "string" ? parseMac(text) : new Uint8Array(6);
    return (bytes[0]! & 1) === 0 && bytes.some((byte) => byte !== 0);
  } catch {
    return false;
  }
};

/** What an address' key says: a claim, that it belongs to one, or nothing that is understood. */
export function parseClaim(network: string, ip: string, value: string): Claim | { readonly node: string } | null {
  const fields = fieldsOf(value);
  if (fields === null || !isText(fields.node, nodeId)) return null;
  const { node, container, mac, names = [] } = fields;
  if ("of" in fields) return { node };
  const addressOf = (family: 4 | 6, address: unknown): string | null =>
    typeof address === "string" && isIp(address) && familyOf(address) === family ? address : null;
  const ipv4 = addressOf(4, fields.ipv4);
  const ipv6 = addressOf(6, fields.ipv6);
  if (!isText(container, longId) || !isMac(mac) || (ipv4 ?? ipv6) !== ip || !Array.isArray(names)) return null;
  const texts = names.filter((name) => isText(name, anyName)).slice(0, 100);
  return { network, node, container, mac, ipv4, ipv6, names: texts };
}

/** The largest number of a network in VXLAN packets, RFC 7348 section 5. */
export const VNI_MOST = 2 ** 24 - 1;

export function parseNetwork(value: string): NetworkRecord | null {
  const fields = fieldsOf(value);
  if (fields === null) return null;
  const { id, name, created, ipv4, ipv6, internal, pools, options, labels, mtu, vni, chosen } = fields;
  const isTexts = (map: unknown): map is Record<string, string> =>
    typeof map === "object" && map !== null && Object.values(map).every((one) => typeof one === "string");
  if (!isText(id, longId) || !isText(name, nodeName) || typeof created !== "string" || Number.isNaN(Date.parse(created)))
    return null;
  if (typeof ipv4 !== "boolean" || typeof ipv6 !== "boolean" || typeof internal !== "boolean") return null;
  if (!isTexts(options) || !isTexts(labels) || !Array.isArray(pools) || !Array.isArray(chosen)) return null;
  if (!isWithin(mtu, 68, 65_535) || !isWithin(vni, 1, VNI_MOST)) return null;
  try {
    parseOptions("overlay", options);
    const checked = pools.map((pool) => completePool(pool));
    const families = checked.map(({ subnet }) => familyOf(subnet));
    if (families.length === 0 || new Set(families).size < families.length) return null;
    return {
      ...{ id, name, driver: "overlay", created, ipv4, ipv6, internal, pools: checked, options, labels, mtu, vni },
      ...{ interface: `br-${id.slice(0, 12)}`, predefined: false, chosen: chosen.filter((one) => one === 4 || one === 6) },
    };
  } catch {
    return null;
  }
}

const isWithin = (value: unknown, least: number, most: number): value is number =>
  Number.isInteger(value) && (value as number) >= least && (value as number) <= most;
