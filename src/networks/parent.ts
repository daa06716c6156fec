/**
 * The drivers macvlan and ipvlan: interfaces of containers that lie on one of the host's, the parent. Those of macvlan have hardware
 * addresses of their own, those of ipvlan their parent's.
 *
 * A parent "eth0.50" that is not there is made: the VLAN 50 of eth0 (802.1Q). Its alias names the engine's tag and a network that lies
 * on it; it goes with the last such network.
 */
import {
  ipvlanData,
  isErrno,
  type Link,
  macvlanData,
  type NetlinkRequest,
  newLink,
  type Rtnetlink,
  setLink,
  vlanData,
} from "../sys/index.ts";
import { bridgeAlias, randomIndex } from "./bridge.ts";
import type { NetworkRecord } from "./database.ts";
import { NetworkError } from "./errors.ts";
import { hasParent, isInterfaceName, parseOptions } from "./options.ts";
import type { Attachment } from "./types.ts";

const invalid = (message: string): NetworkError => new NetworkError("network_invalid", message);

/** A VLAN that is to be made. */
export interface Vlan {
  /** What it is made of. */
  readonly base: Link;
  readonly id: number;
}

/**
 * The interface that a network is to lie on, or what it is to be made of.
 * @throws NetworkError network_invalid if there is neither
 */
export function findParent(net: Rtnetlink, driver: string, parent: string): Link | Vlan {
  if (!isInterfaceName(parent))
    throw invalid(`option parent=${parent}: an interface's name has 1 to 15 bytes, no space and none of / : %`);
  const link = net.linkByName(parent);
  if (link?.kind === "macvlan" || link?.kind === "ipvlan") {
    throw invalid(`interface "${parent}" is of kind ${link.kind} itself: give the interface below it`);
  }
  if (link !== null) return link;
  const [, name = "", number = ""] = /^(.+)\.(\d+)$/.exec(parent) ?? [];
  const base = name === "" ? null : net.linkByName(name);
  const id = Number(number);
  if (base !== null && id >= 1 && id <= 4094) return { base, id };
  if (base !== null) throw invalid(`option parent=${parent}: the VLANs of ${name} are ${name}.1 to ${name}.4094`);
  throw invalid(
    `this host has no interface "${name || parent}" for a network of driver ${driver} to lie on; "ip link" lists them`,
  );
}

export const isVlan = (found: Link | Vlan): found is Vlan => "base" in found;

/** Says at once if this kernel cannot make what containers are to get: that is found by trying. @throws NetworkError network_invalid */
export function requireKind(net: Rtnetlink, driver: string, parent: number): void {
  if (driver !== "ipvlan") return;
  const index = randomIndex();
  const [failure] = net.tryBatch([newLink({ kind: driver, name: `try${index}`, index, parent, data: ipvlanData({}) })]);
  if (failure === undefined) net.deleteLink({ index });
  else if (isErrno(failure, "EOPNOTSUPP")) throw invalid(`this kernel has no ${driver} (CONFIG_IPVLAN); macvlan is much like it`);
}

/** An engine of this tag has made this link. */
export const ownsVlan = (link: Link | null, tag: string): link is Link =>
  link?.kind === "vlan" && link.alias?.startsWith(`onggi ${tag} `) === true;

/** Makes a network's parent, unless it is there. @returns its index. @throws NetworkError network_invalid */
export function ensureParent(net: Rtnetlink, network: NetworkRecord, tag: string): number {
  const { interface: name } = network;
  const found = findParent(net, network.driver, name);
  const alias = bridgeAlias(network, tag);
  if (!isVlan(found)) {
    // Of a network that is not there any more, or shares it with this one.
    if (ownsVlan(found, tag) && found.alias !== alias) {
      net.batch([setLink({ index: found.index, alias })]);
    }
    return found.index;
  }
  const { base, id } = found;
  const index = randomIndex();
  const [failure] = net.tryBatch([
    newLink({ kind: "vlan", name, index, parent: base.index, mtu: network.mtu, data: vlanData(id) }),
  ]);
  if (failure !== undefined) {
    if (!isErrno(failure, "EOPNOTSUPP")) throw failure;
    throw invalid(`this kernel has no VLANs (CONFIG_VLAN_8021Q): ${name} of network ${network.name} cannot be made`);
  }
  net.batch([setLink({ index, alias, up: true })]);
  return index;
}

/**
 * What is to be done with a network's parent when it goes: the name of a VLAN that we have made, which is to be removed; null where
 * there is none, or where others lie on it as well.
 */
export function disownParent(
  net: Rtnetlink,
  network: NetworkRecord,
  tag: string,
  others: readonly NetworkRecord[],
): string | null {
  const link = net.linkByName(network.interface);
  if (!ownsVlan(link, tag)) return null;
  const heir = others.find((other) => other.id !== network.id && hasParent(other) && other.interface === network.interface);
  if (heir === undefined) return link.name;
  net.batch([setLink({ index: link.index, alias: bridgeAlias(heir, tag) })]);
  return null;
}

/** What makes the interface straight in a namespace, sent in the host's. It has the number `index` there. */
export function childRequest(
  network: NetworkRecord,
  attachment: Attachment,
  { parent, index, netns }: { readonly parent: number; readonly index: number; readonly netns: number },
): NetlinkRequest {
  const { mode, ipvlanFlag } = parseOptions(network.driver, network.options);
  const common = { name: attachment.interface, index, parent, mtu: network.mtu, netns: { fd: netns } };
  if (network.driver === "ipvlan") return newLink({ ...common, kind: "ipvlan", data: ipvlanData({ flag: ipvlanFlag }) });
  return newLink({
    ...common,
    kind: "macvlan",
    // In passthru mode it has its parent's.
    ...(mode === "passthru" ? {} : { address: attachment.mac }),
    data: macvlanData(mode),
  });
}

/** One container at a time gets all of the parent. */
export const isPassthru = ({ driver, options }: Pick<NetworkRecord, "driver" | "options">): boolean =>
  driver === "macvlan" && parseOptions(driver, options).mode === "passthru";

/** Containers of this network have their parent's hardware address. */
export const sharesMac = (network: Pick<NetworkRecord, "driver" | "options">): boolean =>
  network.driver === "ipvlan" || isPassthru(network);
