/**
 * The bridge driver: what a network is on the host, and the cables between it and containers.
 *
 * Runs in the engine's network namespace; what it does inside a container's it does by a socket of that namespace, whose contents
 * may be hostile: names and numbers that are taken there only make the attachment fail.
 */
import { createHash } from "node:crypto";
import {
  addAddress,
  addNeighbour,
  bridgeData,
  IFA,
  type Link,
  type NetlinkRequest,
  NTF,
  NUD,
  newLink,
  newVeth,
  type Rtnetlink,
  setBridgePort,
  setLink,
} from "../sys/index.ts";
import type { NetworkRecord } from "./database.ts";
import { NetworkError } from "./errors.ts";
import { enableForwarding, readSysctl, writeSysctl } from "./host.ts";
import { parseOptions } from "./options.ts";
import { addressText, familyOf, parseSubnet } from "./prefixes.ts";
import type { Attachment } from "./types.ts";

/** A network of this kind has a bridge of the host, and rules. */
export const hasBridge = ({ driver }: Pick<NetworkRecord, "driver">): boolean => driver === "bridge" || driver === "overlay";

/** The name of a network's bridge; that of the default network tells the engine's tag. */
export const bridgeName = (id: string, tag: string, isDefault: boolean, chosen?: string): string =>
  chosen ?? (isDefault ? `og-${tag}` : `br-${id.slice(0, 12)}`);

/** A link's alias says whose it is: engines side by side do not touch each other's. */
export const bridgeAlias = (network: NetworkRecord, tag: string): string => `onggi ${tag} ${network.id}`;

/** 02:42 and four bytes of a digest: the same for the same text, locally administered, of one interface. */
const macOf = (text: string): string => {
  const digest = createHash("sha256").update(text).digest();
  return `02:42:${[...digest.subarray(0, 4)].map((byte) => byte.toString(16).padStart(2, "0")).join(":")}`;
};

/** Of a network's bridge: another on each host. */
export const bridgeMac = ({ id }: Pick<NetworkRecord, "id">, tag: string): string => macOf(`${tag} ${id}`);

/** A container's hardware address follows from its IP address, so that who remembers one of them is never wrong about the other. */
export function derivedMac(ipv4: string | null, ipv6: string | null): string {
  if (ipv4 === null) return macOf(ipv6 ?? "");
  return `02:42:${ipv4
    .split(".")
    .map((part) => Number(part).toString(16).padStart(2, "0"))
    .join(":")}`;
}

/** "172.17.255.255"; undefined for IPv6 and where a subnet has none. */
export function broadcastOf(subnet: string): string | undefined {
  const { family, last, length } = parseSubnet(subnet);
  return family === 4 && length < 31 ? addressText(4, last) : undefined;
}

export const lengthOf = (subnet: string): number => parseSubnet(subnet).length;

/** An address of a pool's subnet on a link, usable at once. */
export function addressRequest(index: number, address: string, subnet: string): NetlinkRequest {
  const broadcast = broadcastOf(subnet);
  return addAddress({
    index,
    prefix: `${address}/${lengthOf(subnet)}`,
    ...(broadcast === undefined ? {} : { broadcast }),
    ...(familyOf(address) === 6 ? { flags: IFA.IFA_F_NODAD } : {}),
  });
}

/**
 * Makes a network's bridge, or what is missing of it. Idempotent.
 * @returns its index
 * @throws NetworkError network_failed if another's link has its name, or the kernel refuses
 */
export function ensureBridge(net: Rtnetlink, network: NetworkRecord, tag: string, log: (message: string) => void): number {
  const { interface: name } = network;
  const alias = bridgeAlias(network, tag);
  let link = net.linkByName(name);
  if (link?.kind === "bridge" && link.alias !== alias && link.alias?.startsWith(`onggi ${tag} `)) {
    // Of this engine, but of a database that is gone.
    net.deleteLink(link);
    link = null;
  }
  if (!network.internal) enableForwarding(network.ipv6, log);
  if (link === null) {
    net.batch([
      newLink({
        name,
        kind: "bridge",
        mtu: network.mtu,
        address: bridgeMac(network, tag),
        data: bridgeData({ stp: false, forwardDelay: 0, multicastSnooping: false }),
      }),
      setLink({ name, alias }),
    ]);
    link = net.requireLink(name);
    setBridgeSwitches(network);
  } else if (link.kind !== "bridge" || link.alias !== alias) {
    throw new NetworkError(
      "network_failed",
      `interface ${name} of network ${network.name} is another's (${link.kind ?? "device"}${link.alias ? `, "${link.alias}"` : ""}): rename or remove it`,
    );
  }
  completeBridge(net, network, link);
  return link.index;
}

function setBridgeSwitches({ interface: name, ipv6 }: NetworkRecord): void {
  // From 127.0.0.1 of the host to a published port, and back.
  writeSysctl(`ipv4/conf/${name}/route_localnet`, "1");
  writeSysctl(`ipv6/conf/${name}/disable_ipv6`, ipv6 ? "0" : "1");
  // No container tells the host where its routers are.
  writeSysctl(`ipv6/conf/${name}/accept_ra`, "0");
}

function completeBridge(net: Rtnetlink, network: NetworkRecord, link: Link): void {
  const has = new Set(net.addressList(link.index).map(({ ip }) => ip));
  const missing = network.pools.filter(({ gateway }) => !has.has(gateway));
  const requests = missing.map(({ gateway, subnet }) => addressRequest(link.index, gateway, subnet));
  if (link.mtu !== network.mtu) requests.push(setLink({ index: link.index, mtu: network.mtu }));
  if (!link.up) requests.push(setLink({ index: link.index, up: true }));
  net.batch(requests);
}

/** Numbers that both ends of a cable are to have: far from those that the kernel gives, so that one need not ask for them. */
export const randomIndex = (): number => 2 ** 20 + Math.floor(Math.random() * (2 ** 30 - 2 ** 20));

/**
 * Frames for a hardware address go to this port and no other, although one whose namespace is about to end had that address before.
 * Sticky, for a static entry alone moves to the port of whoever sends with the address.
 */
export const portEntry = (index: number, mac: string): NetlinkRequest =>
  addNeighbour({ index, mac, fdb: true, flags: NTF.NTF_MASTER | NTF.NTF_STICKY, state: NUD.NUD_NOARP });

/**
 * Where the kernel takes frames that a bridge forwards through the rules for packets (Docker turns that on), a container that asks for
 * its own published port gets an answer only if its port may send frames back where they came from.
 */
export const needsHairpin = (): boolean =>
  ["ip", "ip6"].some((family) => readSysctl(`bridge/bridge-nf-call-${family}tables`) === "1");

/** Settings of a container's port; none where they are the kernel's own. */
export function portSettings(network: NetworkRecord, index: number, hairpin: boolean): NetlinkRequest[] {
  const isolated = !parseOptions(network.driver, network.options).icc;
  if (!hairpin && !isolated) return [];
  return [setBridgePort(index, { ...(hairpin ? { hairpin } : {}), ...(isolated ? { isolated } : {}) })];
}

export interface Cable {
  readonly network: NetworkRecord;
  readonly attachment: Attachment;
  /** Index of the bridge. */
  readonly bridge: number;
  /** Of both ends, each in its namespace. */
  readonly index: number;
  readonly hairpin: boolean;
  /** Neighbours, the host among them, may remember another hardware address for its addresses. */
  readonly news: boolean;
}

/** What makes a cable from a bridge into a namespace, in the host's namespace, as one batch. */
export function cableRequests({ network, attachment, bridge, index, hairpin, news }: Cable, netns: number): NetlinkRequest[] {
  const { hostInterface, interface: name, mac, ipv4, ipv6 } = attachment;
  const requests = [
    newVeth(
      { name: hostInterface, index, master: bridge, up: true, mtu: network.mtu },
      { name, index, mtu: network.mtu, address: mac, netns: { fd: netns } },
    ),
    portEntry(index, mac),
    ...portSettings(network, index, hairpin),
  ];
  if (news) {
    for (const ip of [ipv4, ipv6]) {
      if (ip !== null) requests.push(addNeighbour({ index: bridge, ip, mac, state: NUD.NUD_STALE }));
    }
  }
  return requests;
}
