/** All that networks have in the kernel but rules: bridges, cables, interfaces of containers. */
import { OnggiError } from "../lib/errors.ts";
import {
  isErrno,
  type Link,
  NetlinkError,
  type NetlinkRequest,
  Rtnetlink,
  sendFrames,
  setLink,
  settleLink,
} from "../sys/index.ts";
import { arpAnnouncement, neighbourAdvertisement } from "./announce.ts";
import { cableName, limitRequests, setLimits, shaperName } from "./bandwidth.ts";
import {
  bridgeAlias,
  cableRequests,
  derivedMac,
  ensureBridge,
  hasBridge,
  needsHairpin,
  portEntry,
  portSettings,
  randomIndex,
} from "./bridge.ts";
import type { NetworkRecord } from "./database.ts";
import { NetworkError } from "./errors.ts";
import { type Gateways, Inside } from "./inside.ts";
import { hasParent } from "./options.ts";
import { childRequest, disownParent, ensureParent } from "./parent.ts";
import { removeAside } from "./removal.ts";
import { NamespaceSysctls } from "./sysctls.ts";
import type { Attachment, Bandwidth } from "./types.ts";

/**
 * On a parent no two interfaces have one hardware address, and in passthru mode there is one: that of a container which has ended
 * keeps others from it until the kernel has taken its namespace apart. Milliseconds, and between attempts.
 */
const FORMER_MS = 3000;
const AGAIN_MS = 20;

/** An attachment that is to be made. */
export interface Wanted {
  readonly network: NetworkRecord;
  readonly attachment: Attachment;
  readonly bandwidth: Bandwidth | undefined;
}

/** Links are made, and stay, in the network namespace that the thread is in when this is. */
export class KernelNetworks {
  readonly net = new Rtnetlink();
  readonly #sysctls = new NamespaceSysctls();
  readonly #tag: string;
  readonly #log: (message: string) => void;
  readonly #bridged: (network: NetworkRecord, bridge: number) => void;
  /** Index of each network's bridge, or of what macvlan lies on, once it has been seen. */
  readonly #below = new Map<string, number>();

  #hairpin = false;
  /** "network address" of all that have had a hardware address of somebody's choice. */
  readonly #chosenMacs = new Set<string>();

  /** @param bridged is told when a network's bridge is there, and may be new */
  constructor(tag: string, log: (message: string) => void, bridged: (network: NetworkRecord, bridge: number) => void = () => {}) {
    this.#tag = tag;
    this.#log = log;
    this.#bridged = bridged;
  }

  close(): void {
    this.net.close();
    this.#sysctls.close();
  }

  /** Makes a network's bridge, or what is missing of it. @returns the index of what its endpoints lie on */
  ensure(network: NetworkRecord): number {
    const index = hasBridge(network)
      ? ensureBridge(this.net, network, this.#tag, this.#log)
      : ensureParent(this.net, network, this.#tag);
    if (hasBridge(network)) this.#bridged(network, index);
    this.#below.set(network.id, index);
    this.#hairpin = needsHairpin();
    return index;
  }

  isEnsured(network: NetworkRecord): boolean {
    return this.#below.has(network.id);
  }

  /** What was seen of a network may be otherwise now. */
  forget(network: NetworkRecord): void {
    this.#below.delete(network.id);
  }

  /**
   * Makes a container's interfaces and all that they have; all or nothing. Synchronous but for failures.
   * @throws NetworkError network_failed
   */
  async attach(netns: number, wanted: readonly Wanted[], gateways: Gateways): Promise<void> {
    const deadline = wanted.some(({ network }) => hasParent(network)) ? Date.now() + FORMER_MS : 0;
    for (let attempt = 0; ; attempt++) {
      try {
        this.#make(netns, wanted, gateways);
        return;
      } catch (error) {
        await this.detach(netns, wanted);
        for (const { network } of wanted) this.forget(network);
        // A bridge that somebody removed is made again, a number that was taken chosen anew.
        if (attempt < 1 && error instanceof NetlinkError) continue;
        if (isErrno(error, "EADDRINUSE", "EINVAL") && Date.now() < deadline) {
          await Bun.sleep(AGAIN_MS);
          continue;
        }
        if (error instanceof OnggiError) throw error;
        const names = wanted.map(({ network }) => network.name).join(", ");
        throw new NetworkError("network_failed", `attaching to ${names}: ${error instanceof Error ? error.message : error}`, {
          cause: error,
        });
      }
    }
  }

  #make(netns: number, wanted: readonly Wanted[], gateways: Gateways): void {
    if (wanted.length === 0) return;
    const interfaces = wanted.map((one) => ({ ...one, index: randomIndex(), news: this.#isNews(one) }));
    const requests: NetlinkRequest[] = interfaces.flatMap(({ network, attachment, bandwidth, index, news }) => {
      const below = this.#below.get(network.id) ?? this.ensure(network);
      if (!hasBridge(network)) return [childRequest(network, attachment, { parent: below, index, netns })];
      return [
        ...cableRequests({ network, attachment, bridge: below, index, news, hairpin: this.#hairpin }, netns),
        ...limitRequests({ name: attachment.hostInterface, index }, bandwidth ?? {}),
      ];
    });
    const inside = new Inside(netns, this.#sysctls, wanted[0]!.attachment.ipv6 !== null);
    try {
      this.net.batch(requests);
      inside.configure(interfaces, gateways);
    } finally {
      inside.close();
    }
    // What the container sends first must not be lost: it would be sent again after a second only.
    const cables = interfaces.filter(({ network }) => hasBridge(network));
    const bridges = new Set(cables.map(({ network }) => this.#below.get(network.id)!));
    this.net.batch([...cables.map(({ index }) => settleLink(index)), ...[...bridges].map(settleLink)]);
    for (const cable of cables) if (cable.news) this.#announce(cable);
  }

  /** Whether neighbours may remember another hardware address: not where it has always followed from the IP addresses. */
  #isNews({ network, attachment }: Wanted): boolean {
    const { mac, ipv4, ipv6 } = attachment;
    const keys = [ipv4, ipv6].flatMap((ip) => (ip === null ? [] : [`${network.id} ${ip}`]));
    const before = keys.some((key) => this.#chosenMacs.has(key));
    if (mac === derivedMac(ipv4, ipv6)) return before;
    for (const key of keys) this.#chosenMacs.add(key);
    return true;
  }

  #announce({ network, attachment: { mac, ipv4, ipv6 } }: Wanted): void {
    sendFrames(this.#below.get(network.id)!, [
      ...(ipv4 === null ? [] : [arpAnnouncement(ipv4, mac)]),
      ...(ipv6 === null ? [] : [neighbourAdvertisement(ipv6, mac)]),
    ]);
  }

  /** Removes a container's interfaces, on another thread. */
  async detach(netns: number, wanted: readonly Wanted[]): Promise<void> {
    const host = wanted.map(({ attachment }) => attachment.hostInterface).filter((name) => name !== "");
    host.push(...shapersOf(wanted));
    const inside = wanted.filter(({ network }) => hasParent(network)).map(({ attachment }) => attachment.interface);
    // The namespace's first: its descriptor may be closed once somebody else runs.
    const ends = [removeAside(inside, netns), removeAside(host)];
    await Promise.all(ends);
  }

  /** The container has ended, and its cables with it: what stood beside them goes, on another thread. */
  removeShapers(wanted: readonly Wanted[]): Promise<void> {
    return removeAside(shapersOf(wanted));
  }

  /** Makes a cable's limits those of `bandwidth`. Not to be called again for it before this has ended. */
  async limit({ attachment: { hostInterface: name }, bandwidth = {} }: Wanted): Promise<void> {
    const link = this.net.linkByName(name);
    if (link !== null && setLimits(this.net, link, bandwidth)) await removeAside([shaperName(name)]);
  }

  /** Removes a network's bridge, if it is this engine's. */
  async removeBridge(network: NetworkRecord): Promise<void> {
    this.forget(network);
    const link = this.net.linkByName(network.interface);
    if (link?.kind === "bridge" && link.alias === bridgeAlias(network, this.#tag)) await removeAside([link.name]);
  }

  /** Removes a VLAN that was made for a network, unless others lie on it. */
  async removeParent(network: NetworkRecord, others: readonly NetworkRecord[]): Promise<void> {
    this.forget(network);
    const name = disownParent(this.net, network, this.#tag, others);
    if (name !== null) await removeAside([name]);
  }

  /** Puts the host's end of a cable back where it belongs, with its limits. False if it is not there any more. */
  repair({ network, attachment, bandwidth }: Wanted, links: ReadonlyMap<string, Link>): boolean {
    const { hostInterface, mac } = attachment;
    if (!hasBridge(network)) return true;
    const link = links.get(hostInterface);
    if (link === undefined) return false;
    if (bandwidth !== undefined && setLimits(this.net, link, bandwidth)) {
      const shaper = links.get(shaperName(hostInterface));
      if (shaper !== undefined) this.net.deleteLink(shaper);
    }
    const bridge = this.#below.get(network.id) ?? this.ensure(network);
    if (link.master === bridge && link.up) return true;
    this.net.batch([
      setLink({ index: link.index, master: bridge, up: true }),
      portEntry(link.index, mac),
      ...portSettings(network, link.index, this.#hairpin),
    ]);
    return true;
  }

  /** Links on the host that carry this engine's tag and that nobody knows any more. */
  strays(attached: ReadonlySet<string>, networks: ReadonlySet<string>): string[] {
    const alias = `onggi ${this.#tag} `;
    return this.net
      .linkList()
      .filter((link) => {
        if (link.kind === "veth") return isHostEnd(link.name, this.#tag) && !attached.has(link.name);
        if (link.kind === "ifb") return isShaper(link.name, this.#tag) && !attached.has(cableName(link.name));
        if (link.kind !== "bridge" && link.kind !== "vxlan" && link.kind !== "vlan") return false;
        return link.alias?.startsWith(alias) === true && !networks.has(link.alias.slice(alias.length));
      })
      .map(({ name }) => name);
  }

  removeStrays(names: readonly string[]): Promise<void> {
    return removeAside(names);
  }
}

/** The host's end of a cable: "v", the engine's tag, six digits. */
export const hostEndName = (tag: string): string =>
  `v${tag}${Math.floor(Math.random() * 2 ** 24)
    .toString(16)
    .padStart(6, "0")}`;

const isHostEnd = (name: string, tag: string): boolean => name.length === 15 && name.startsWith(`v${tag}`);
const isShaper = (name: string, tag: string): boolean => name.startsWith("i") && isHostEnd(cableName(name), tag);

/** The interfaces that stand beside the cables of those that are limited in what they send. */
const shapersOf = (wanted: readonly Wanted[]): string[] =>
  wanted.flatMap(({ attachment, bandwidth }) => (bandwidth?.send === undefined ? [] : [shaperName(attachment.hostInterface)]));
