/**
 * The kernel's half of overlay networks: what of a network leads to the other hosts that have it, VXLAN of RFC 7348.
 *
 *     const tunnels = new Tunnels(net, tag);
 *     tunnels.ensure(network, bridge, { vni: 4711, local: "192.0.2.1", port: 4789 });
 *     tunnels.setPeers(network, [{ mac: "02:42:0a:01:00:03", ipv4: "10.1.0.3", ipv6: null, host: "192.0.2.2" }]);
 *
 * Terms: a network's **tunnel** on a host is a vxlan link that is a port of the network's bridge; a **peer** is a container of another
 * host.
 *
 * Nothing is learnt and nothing is flooded. The tunnel has no default destination, and its port of the bridge takes no frame for an
 * address that is no peer's, for a group, or for all: frames leave for hosts that have who they are for. Questions for hardware
 * addresses (ARP, neighbour solicitations) are answered by the bridge, from permanent neighbours. So what a network costs others is
 * what its containers send each other, and who is where is what the engine was told.
 *
 * A tunnel with its peers is in the kernel alone: it goes on while there is no engine. Runs in the engine's network namespace.
 */
import {
  formatIp,
  isErrno,
  type Link,
  type NetlinkError,
  type NetlinkRequest,
  newLink,
  parseIp,
  type Rtnetlink,
  setBridgePort,
  setLink,
  type Vxlan,
  vxlanData,
} from "../../sys/index.ts";
import { bridgeAlias } from "../bridge.ts";
import type { NetworkRecord } from "../database.ts";
import { NetworkError } from "../errors.ts";
import { writeSysctl } from "../host.ts";
import { parseOptions } from "../options.ts";
import { removeAside } from "../removal.ts";
import {
  canonical,
  type Difference,
  dropNeighbour,
  dropRequests,
  type Ends,
  entriesDifference,
  neighboursDifference,
  type Peer,
  PeerSet,
  putRequests,
} from "./peers.ts";

export type { Peer } from "./peers.ts";

export interface Tunnel {
  /** VXLAN network identifier, 1 to 2^24 - 1: the same on all hosts. */
  readonly vni: number;
  /** This host's address that tunnels lead to; those of peers are of the same family. */
  readonly local: string;
  /** UDP port, the same on all hosts. */
  readonly port: number;
}

/** IANA's port for VXLAN. */
export const VXLAN_PORT = 4789;

/** What fits a tunnel: around a frame are Ethernet's header (14 bytes), VXLAN's (8), UDP's (8) and IP's (20 or 40). */
export const tunnelMtu = (underlay: number, family: 4 | 6): number => underlay - (family === 4 ? 50 : 70);

export const tunnelName = (id: string): string => `vx-${id.slice(0, 12)}`;

/** What is known of a network's tunnel. */
interface Known {
  readonly ends: Ends;
  readonly peers: PeerSet;
}

export class Tunnels {
  readonly #net: Rtnetlink;
  readonly #tag: string;
  /** By the network's id. */
  readonly #known = new Map<string, Known>();

  constructor(net: Rtnetlink, tag: string) {
    this.#net = net;
    this.#tag = tag;
  }

  /**
   * Makes a network's tunnel, or what is missing or other of it; one that is made anew has the peers that were set before.
   * Idempotent. One that was cut is joined again.
   * @param bridge the index of the network's bridge
   * @param isCut as after `cut`, from the start
   * @returns the tunnel's index
   * @throws NetworkError network_failed if the VNI, the port or the name is another's, or the kernel refuses
   */
  ensure(network: NetworkRecord, bridge: number, tunnel: Tunnel, isCut = false): number {
    const name = tunnelName(network.id);
    const link = this.#net.linkByName(name);
    if (link !== null && !this.#isOurs(network, link)) {
      const whose = `${link.kind ?? "device"}${link.alias === undefined ? "" : `, "${link.alias}"`}`;
      throw new NetworkError(
        "network_failed",
        `interface ${name} of network ${network.name} is another's (${whose}): rename or remove it`,
      );
    }
    const found = link === null ? null : this.#net.vxlanByName(name);
    try {
      if (found !== null && !isAs(found, tunnel)) this.#net.deleteLink(found.link);
      const index = found !== null && isAs(found, tunnel) ? found.link.index : this.#make(network, tunnel);
      this.#complete(network, { vxlan: index, bridge }, !isCut);
      this.#remember(network, { vxlan: index, bridge });
      return index;
    } catch (error) {
      throw this.#refusal(network, tunnel, error);
    }
  }

  #isOurs(network: NetworkRecord, { kind, alias }: Link): boolean {
    return kind === "vxlan" && alias === bridgeAlias(network, this.#tag);
  }

  #make(network: NetworkRecord, { vni, local, port }: Tunnel): number {
    const name = tunnelName(network.id);
    this.#net.batch([
      newLink({ name, kind: "vxlan", mtu: network.mtu, data: vxlanData({ id: vni, local, port, learning: false }) }),
      setLink({ name, alias: bridgeAlias(network, this.#tag) }),
    ]);
    // It has nothing to say itself.
    writeSysctl(`ipv6/conf/${name}/disable_ipv6`, "1");
    return this.#net.requireLink(name).index;
  }

  #complete(network: NetworkRecord, { vxlan: index, bridge: master }: Ends, up: boolean): void {
    this.#net.batch([
      setLink({ index, master, mtu: network.mtu, ...(up ? {} : { up }) }),
      setBridgePort(index, {
        learning: false,
        flood: false,
        multicastFlood: false,
        broadcastFlood: false,
        neighbourSuppression: true,
        // As containers' own ports: those of other hosts are no more reached than those of this one.
        isolated: !parseOptions(network.driver, network.options).icc,
      }),
      ...(up ? [setLink({ index, up })] : []),
    ]);
  }

  #remember(network: NetworkRecord, ends: Ends): void {
    const known = this.#known.get(network.id);
    if (known?.ends.vxlan === ends.vxlan && known.ends.bridge === ends.bridge) return;
    this.#known.set(network.id, { ends, peers: new PeerSet() });
    if (known !== undefined) this.setPeers(network, [...known.peers.byMac.values()]);
  }

  #refusal(network: NetworkRecord, { vni, local, port }: Tunnel, error: unknown): unknown {
    if (error instanceof NetworkError || !(error instanceof Error)) return error;
    let what = error.message;
    if (isErrno(error, "EEXIST")) {
      const other = this.#net.vxlanList().find((one) => one.id === vni && one.port === port);
      const whose =
        other === undefined
          ? "an interface that was made here and lies in another network namespace"
          : `interface ${other.link.name}${other.link.alias === undefined ? "" : ` ("${other.link.alias}")`}`;
      what = `VNI ${vni} on UDP port ${port} is in use by ${whose}: choose another VNI or another port`;
    } else if (isErrno(error, "EADDRINUSE")) {
      what = `UDP port ${port} is in use by a program of this host; "ss -lunp" lists them`;
    } else if (isErrno(error, "EADDRNOTAVAIL")) {
      what = `this host has no address ${local} for tunnels`;
    }
    return new NetworkError("network_failed", `the tunnel of network ${network.name} cannot be made: ${what}`, { cause: error });
  }

  /**
   * Brings the kernel to exactly these peers, from what it has: so it repairs what others did. Those that are right are not touched.
   * Of several with one hardware or IP address the last counts.
   * @throws TypeError for what is no peer, before anything is changed
   * @throws NetworkError network_failed if the kernel refuses one of them; the others are as they should be
   */
  setPeers(network: NetworkRecord, peers: readonly Peer[]): void {
    const { ends } = this.#require(network);
    const set = PeerSet.of(peers);
    this.#known.set(network.id, { ends, peers: set });
    const differences = [
      entriesDifference(ends, set, this.#net.neighbourList({ index: ends.vxlan, fdb: true })),
      neighboursDifference(ends, set, this.#net.neighbourList({ index: ends.bridge })),
    ];
    const all = (what: keyof Difference) => differences.flatMap((one) => one[what]);
    this.#apply(network, all("drops"), all("puts"));
  }

  /** One more peer, or one of which something has changed: its host, its addresses. Takes the place of those that had them. */
  putPeer(network: NetworkRecord, peer: Peer): void {
    const { ends, peers } = this.#require(network);
    const now = canonical(peer);
    const released = peers.put(now);
    this.#apply(
      network,
      released.map((ip) => dropNeighbour(ends, ip)),
      putRequests(ends, now),
    );
  }

  /**
   * One less. Nothing happens if it is not there, or if its hardware address has moved to another host; IP addresses that another has
   * by now stay.
   */
  removePeer(network: NetworkRecord, peer: Peer): void {
    const { ends, peers } = this.#require(network);
    const { mac, host } = canonical(peer);
    if (peers.byMac.get(mac)?.host !== host) return;
    const released = peers.delete(mac);
    this.#apply(network, [...dropRequests(ends, mac), ...released.map((ip) => dropNeighbour(ends, ip))], []);
  }

  #require(network: NetworkRecord): Known {
    const known = this.#known.get(network.id);
    if (known === undefined) throw new NetworkError("network_failed", `network ${network.name} has no tunnel on this host yet`);
    return known;
  }

  /** What is to be dropped and is gone already does not matter. */
  #apply(network: NetworkRecord, drops: readonly NetlinkRequest[], puts: readonly NetlinkRequest[]): void {
    const failed = (failure: NetlinkError | undefined) => failure !== undefined;
    const failure =
      this.#net.tryBatch(drops).find((one) => failed(one) && !isErrno(one, "ENOENT")) ?? this.#net.tryBatch(puts).find(failed);
    if (failure === undefined) return;
    throw new NetworkError("network_failed", `peers of network ${network.name}: ${failure.message}`, { cause: failure });
  }

  /**
   * Cuts this host off, for one that may no longer say where containers are: nothing leaves or comes by the tunnel until `ensure`.
   * Its peers stay.
   */
  cut(network: NetworkRecord): void {
    const link = this.#net.linkByName(tunnelName(network.id));
    if (link !== null && this.#isOurs(network, link)) this.#net.batch([setLink({ index: link.index, up: false })]);
  }

  /** Removes the tunnel, on another thread. The permanent neighbours go with the bridge. */
  async remove(network: NetworkRecord): Promise<void> {
    this.#known.delete(network.id);
    const link = this.#net.linkByName(tunnelName(network.id));
    if (link !== null && this.#isOurs(network, link)) await removeAside([link.name]);
  }
}

const isAs = ({ id, local, port, learning }: Vxlan, tunnel: Tunnel): boolean =>
  id === tunnel.vni && local === formatIp(parseIp(tunnel.local)) && port === tunnel.port && !learning;
