/**
 * The rules of an engine's networks: one table of nf_tables, `inet onggi_<tag>`, in the network namespace the object is made in.
 *
 *     const firewall = new Firewall("0a1b2c3d", { log });
 *     firewall.ensure(networks, ports);                 // the table is exactly this
 *     firewall.publish([{ protocol: "tcp", hostIp: "0.0.0.0", hostPort: 8080, containerIp: "172.17.0.2", containerPort: 80, ... }]);
 *     firewall.watch();                                 // and stays it
 *
 * Guarantees: every call is one transaction, all of it or nothing; it costs the same however many networks and ports there are, but for
 * `ensure`. What it remembers is what the table is to be: a call that finds the table gone, or other than it should be, makes it anew.
 * Tables of others are never touched. What it throws has the code network_failed or port_in_use, or is a TypeError for what is no
 * address, port or name.
 */
import { messageOf, OnggiError } from "../../lib/errors.ts";
import {
  addElements,
  deleteConnections,
  deleteElements,
  deleteTable,
  listBaseChains,
  listConnections,
  listRules,
  type NetlinkRequest,
  NF,
  NFPROTO,
  Nfnetlink,
  newTable,
} from "../../sys/index.ts";
import { Detour } from "./detour.ts";
import {
  CHUNK,
  type Element,
  inwardElement,
  isAny,
  isByLoopback6,
  networkElements,
  nodeElements,
  portElement,
  portKey,
  protocolNumbers,
  unservedLoopback,
} from "./elements.ts";
import { Loopback } from "./loopback.ts";
import { formatTable, makeTable, type SetName } from "./ruleset.ts";
import type { FirewallNetwork, FirewallNodes, FirewallPort } from "./types.ts";
import { tableHas, watchTable } from "./watch.ts";

/** Milliseconds until a table that could not be put back is tried again. */
const RETRY = 1000;

export interface FirewallOptions {
  log?(message: string): void;
}

/** Whose chains packets of IP pass. */
const families: Readonly<Record<number, string>> = {
  [NFPROTO.NFPROTO_INET]: "inet",
  [NFPROTO.NFPROTO_IPV4]: "ip",
  [NFPROTO.NFPROTO_IPV6]: "ip6",
};

const samePort = (one: FirewallPort, other: FirewallPort): boolean =>
  one.containerIp === other.containerIp && one.containerPort === other.containerPort && portKey(one) === portKey(other);

export class Firewall implements Disposable {
  readonly table: string;
  readonly #net = new Nfnetlink();
  readonly #loopback = new Loopback();
  readonly #detour: Detour;
  readonly #log: (message: string) => void;
  /** By id. */
  readonly #networks = new Map<string, FirewallNetwork>();
  /** By `portKey`. */
  readonly #ports = new Map<string, FirewallPort>();
  #nodes: FirewallNodes = { ports: [], addresses: [] };
  /** The table's rules, as they were listed when it was made. */
  #rules: readonly string[] = [];
  /** Whether ::1 is left alone. */
  #unserved = true;
  #stopWatching: (() => void) | undefined;
  /** Why there is no detour; "" where there is one. Not looked yet: absent. */
  #problem: string | undefined;
  /** The generation that the table was last found whole in. */
  #whole = -1;

  /** @param tag eight hex digits that no other engine of this host has */
  constructor(tag: string, options: FirewallOptions = {}) {
    this.table = `onggi_${tag}`;
    this.#detour = new Detour(tag);
    this.#log = options.log ?? (() => {});
  }

  /** Makes the table exactly this and the nodes, whatever was there, even another version's. Connections live on. */
  ensure(networks: readonly FirewallNetwork[], wanted: readonly FirewallPort[]): void {
    const ports = this.#settled(wanted);
    const inward = inwardElement(this.#detour.inward);
    const elements = [...networks.flatMap(networkElements), inward, ...ports.map(portElement), ...nodeElements(this.#nodes)];
    const unserved = !this.#serveLoopback(ports);
    this.#makeTable(unserved ? [...elements, unservedLoopback] : elements);
    this.#unserved = unserved;
    this.#networks.clear();
    for (const network of networks) this.#networks.set(network.id, network);
    this.#ports.clear();
    for (const port of ports) this.#ports.set(portKey(port), port);
    this.#steer();
    for (const chain of this.obstacles()) {
      this.#log(`${chain}, drops forwarded packets by default: containers reach and are reached only as far as it lets them`);
    }
  }

  /** Makes the table anew, as it is remembered. */
  restore(): void {
    this.#makeTable(this.#elements());
    this.#steer();
  }

  /** A network that is there already gets the new properties. */
  addNetwork(network: FirewallNetwork): void {
    const before = this.#networks.get(network.id);
    const added = networkElements(network);
    const removed = before === undefined ? [] : networkElements(before);
    this.#networks.set(network.id, network);
    this.#change(removed, added, () => {
      if (before === undefined) this.#networks.delete(network.id);
      else this.#networks.set(network.id, before);
    });
  }

  /** Its ports must have been unpublished. One that is not there does not matter. */
  removeNetwork(id: string): void {
    const network = this.#networks.get(id);
    if (network === undefined) return;
    this.#networks.delete(id);
    this.#change(networkElements(network), [], () => this.#networks.set(id, network));
  }

  /**
   * From now on what comes to UDP ports of tunnels is let in from these nodes alone, and neither containers nor programs of this
   * host send to such ports, whosoever's: a frame that comes by a tunnel is one that a node's kernel has sent.
   */
  setNodes(nodes: FirewallNodes): void {
    const before = this.#nodes;
    const [now, then] = [nodeElements(nodes), nodeElements(before)];
    const without = (list: readonly Element[], others: readonly Element[]): Element[] => {
      const texts = new Set(others.map(({ set, text }) => `${set} ${text}`));
      return list.filter(({ set, text }) => !texts.has(`${set} ${text}`));
    };
    this.#nodes = nodes;
    this.#change(without(then, now), without(now, then), () => {
      this.#nodes = before;
    });
  }

  /**
   * The host answers on these ports from now on; those that it answers on already do not matter.
   * @throws OnggiError port_in_use if one of them leads somewhere else; then none is published
   */
  publish(ports: readonly FirewallPort[]): void {
    this.#publish([], ports);
  }

  /**
   * The same, in place of what is published, in one transaction: there is no moment at which the host does not answer on a port that is
   * among both. Connections that there are stay where they lead.
   */
  redirect(from: readonly FirewallPort[], to: readonly FirewallPort[]): void {
    this.#publish(this.#published(from), to);
  }

  #publish(gone: readonly FirewallPort[], wanted: readonly FirewallPort[]): void {
    const ports = this.#settled(wanted);
    const elements = ports.map(portElement);
    const added: FirewallPort[] = [];
    const addedElements: Element[] = [];
    const removedElements: Element[] = gone.map(portElement);
    const before = this.#unserved;
    for (const port of gone) this.#ports.delete(portKey(port));
    const revert = (): void => {
      for (const port of added) this.#ports.delete(portKey(port));
      for (const port of gone) this.#ports.set(portKey(port), port);
      this.#unserved = before;
    };
    for (const [index, port] of ports.entries()) {
      const other = this.#ports.get(portKey(port));
      if (other === undefined) {
        this.#ports.set(portKey(port), port);
        added.push(port);
        addedElements.push(elements[index]!);
      } else if (!samePort(port, other)) {
        revert();
        const taken = `${port.hostIp} port ${port.hostPort}/${port.protocol}`;
        throw new OnggiError("port_in_use", `${taken} leads to ${other.containerIp} port ${other.containerPort} already`);
      }
    }
    if (added.some(isByLoopback6)) {
      this.#unserved = !this.#serveLoopback(added);
      if (this.#unserved !== before) (this.#unserved ? addedElements : removedElements).push(unservedLoopback);
    }
    this.#change(removedElements, addedElements, revert);
    try {
      this.#steer(gone, added);
    } catch (error) {
      revert();
      this.#change(addedElements, removedElements, () => {});
      throw error;
    }
    this.#forgetConnections(added);
  }

  /** Ports that are not published, or lead somewhere else, do not matter. */
  unpublish(ports: readonly FirewallPort[]): void {
    const removed = this.#published(ports);
    for (const port of removed) this.#ports.delete(portKey(port));
    this.#change(removed.map(portElement), [], () => {
      for (const port of removed) this.#ports.set(portKey(port), port);
    });
    this.#steer(removed, []);
    this.#forgetConnections(removed);
  }

  /**
   * From now on a table that somebody takes away, or takes something out of, is put back at once; `onLost` is told afterwards.
   * What somebody adds to it stays.
   */
  watch(onLost: () => void = () => {}): void {
    this.#stopWatching?.();
    let retry: Timer | undefined;
    const putBack = (by: string): void => {
      clearTimeout(retry);
      try {
        if (this.isWhole()) return;
        this.restore();
        this.#log(`table inet ${this.table} was changed by ${by}, and has been put back`);
      } catch (error) {
        this.#log(`table inet ${this.table} was changed by ${by}, cannot be put back, and is tried again: ${messageOf(error)}`);
        retry = setTimeout(putBack, RETRY, by);
        retry.unref();
      }
      onLost();
    };
    const stop = watchTable(this.#net, this.table, putBack);
    this.#stopWatching = () => {
      clearTimeout(retry);
      stop();
    };
  }

  /** Whether the kernel has the table as it is remembered. Cheap as long as nobody has changed any table. */
  isWhole(): boolean {
    const { id } = this.#net.generation();
    if (id === this.#whole) return true;
    if (!tableHas(this.#net, this.table, this.#rules, this.#elements())) return false;
    this.#whole = id;
    return true;
  }

  /** The table as nft prints it; with a network's id only with the elements of that network. */
  describe(networkId?: string): string {
    const network = networkId === undefined ? undefined : this.#networks.get(networkId);
    const elements =
      networkId === undefined
        ? this.#elements()
        : network === undefined
          ? []
          : [
              ...networkElements(network),
              inwardElement(this.#detour.inward),
              ...(this.#unserved ? [unservedLoopback] : []),
              ...nodeElements(this.#nodes),
              ...this.#portsOf(network.interface).map(portElement),
            ];
    return formatTable(this.table, (set) =>
      elements.filter((element) => element.set === set).flatMap(({ text }) => (text === undefined ? [] : [text])),
    );
  }

  /** How what comes from outside to a network's ports passes the host's rules, in the words of ip(8) and nft(8); empty: it does not. */
  describeDetour(networkId: string): string[] {
    const network = this.#networks.get(networkId);
    const ports = network === undefined ? [] : this.#portsOf(network.interface).filter(({ behind }) => behind);
    return ports.length > 0 ? this.#detour.describe(ports) : [];
  }

  /**
   * Chains of others that drop every forwarded packet which they do not accept: with one of them, published ports and the way out work
   * only as far as it lets them. "table ip filter, chain FORWARD". Those of iptables-legacy cannot be seen here.
   */
  obstacles(): string[] {
    return listBaseChains(this.#net)
      .filter(({ hook, dropsByDefault }) => hook === NF.NF_INET_FORWARD && dropsByDefault)
      .flatMap(({ family, table, name }) => (family in families ? [`table ${families[family]} ${table}, chain ${name}`] : []));
  }

  /** Takes the table away, if it is there, and forgets all. */
  remove(): void {
    this.#stopWatching?.();
    this.#stopWatching = undefined;
    this.#commit([newTable(this.table), deleteTable(this.table)]);
    this.#detour.remove(this.#net);
    this.#networks.clear();
    this.#ports.clear();
    this.#nodes = { ports: [], addresses: [] };
  }

  /** The table stays. */
  close(): void {
    this.#stopWatching?.();
    this.#stopWatching = undefined;
    this.#net.close();
    this.#loopback.close();
    this.#detour.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #elements(): Element[] {
    return [
      ...[...this.#networks.values()].flatMap(networkElements),
      inwardElement(this.#detour.inward),
      ...nodeElements(this.#nodes),
      ...(this.#unserved ? [unservedLoopback] : []),
      ...[...this.#ports.values()].map(portElement),
    ];
  }

  /** Whether ::1 can lead to the containers of these ports. */
  #serveLoopback(ports: readonly FirewallPort[]): boolean {
    try {
      return this.#loopback.serve(ports.filter(isByLoopback6).map((port) => port.interface));
    } catch (error) {
      this.#log(`published ports are not reached by ::1: ${messageOf(error)}`);
      return false;
    }
  }

  /** Ports as they are published here: where the kernel has no detour, none is behind the host's rules that need not be. */
  #settled(ports: readonly FirewallPort[]): FirewallPort[] {
    return ports.map(({ behind, ...port }) =>
      behind === undefined || (behind === "if-possible" && !this.#canDetour()) ? port : { ...port, behind: "always" },
    );
  }

  #canDetour(): boolean {
    if (this.#problem === undefined) {
      this.#problem = this.#detour.problem(this.#net);
      if (this.#problem !== "")
        this.#log(`published ports are reached past the host's input rules: this kernel has no detour (${this.#problem})`);
    }
    return this.#problem === "";
  }

  /** Those of them that are published, as they are. */
  #published(ports: readonly FirewallPort[]): FirewallPort[] {
    return ports.flatMap((port) => {
      const published = this.#ports.get(portKey(port));
      return published !== undefined && samePort(port, published) ? [published] : [];
    });
  }

  /** Ports that are behind the host's rules are those that are known to be; without a word of what has changed, all are told anew. */
  #steer(removed?: readonly FirewallPort[], added: readonly FirewallPort[] = []): void {
    const behind = (ports: Iterable<FirewallPort>): FirewallPort[] => [...ports].filter((port) => port.behind);
    const [gone, come] = [behind(removed ?? []), behind(added)];
    if (removed && gone.length + come.length === 0) return;
    if (removed && this.#detour.change(this.#net, gone, come)) return;
    this.#detour.set(this.#net, behind(this.#ports.values()));
  }

  #portsOf(bridge: string): FirewallPort[] {
    return [...this.#ports.values()].filter((port) => port.interface === bridge);
  }

  #makeTable(elements: readonly Element[]): void {
    this.#commit([...makeTable(this.table), ...bySet(elements, (set, list) => addElements(this.table, set, list))]);
    this.#rules = listRules(this.#net, this.table);
  }

  /** One transaction. What does not fit the table as it is, makes it anew. */
  #change(removed: readonly Element[], added: readonly Element[], revert: () => void): void {
    const failures = this.#net.tryCommit([
      ...bySet(removed, (set, list) => deleteElements(this.table, set, list)),
      ...bySet(added, (set, list) => addElements(this.table, set, list)),
    ]);
    if (failures[0] === undefined) return;
    try {
      this.restore();
      this.#log(`table inet ${this.table} was not as it should be (${failures[0].message}), and has been made anew`);
    } catch (error) {
      revert();
      throw error;
    }
  }

  #commit(requests: readonly NetlinkRequest[]): void {
    try {
      this.#net.commit(requests);
    } catch (error) {
      throw new OnggiError("network_failed", `the kernel refuses the rules of networks: ${messageOf(error)}`, { cause: error });
    }
  }

  /**
   * UDP has no beginning: a sender that the host knows from before goes on being sent where it was. So such connections are forgotten,
   * where the kernel can list them.
   */
  #forgetConnections(ports: readonly FirewallPort[]): void {
    const udp = ports.filter(({ protocol }) => protocol === "udp");
    for (const version of [4, 6] as const) {
      const ours = udp.filter(({ hostIp }) => hostIp.includes(":") === (version === 6));
      if (ours.length === 0) continue;
      try {
        const all = listConnections(this.#net, version, protocolNumbers.udp, ours.length === 1 ? ours[0]!.hostPort : undefined);
        const stale = all.filter(({ destination, destinationPort }) =>
          ours.some(({ hostIp, hostPort }) => hostPort === destinationPort && (isAny(hostIp) || hostIp === destination)),
        );
        deleteConnections(this.#net, version, stale);
      } catch (error) {
        this.#log(`connections of UDP ports that were published before stay as they are: ${messageOf(error)}`);
      }
    }
  }
}

/** Messages for elements, grouped by their sets. */
function bySet(
  elements: readonly Element[],
  message: (set: SetName, list: readonly Element[]) => NetlinkRequest,
): NetlinkRequest[] {
  const groups = Map.groupBy(elements, ({ set }) => set);
  return [...groups].flatMap(([set, list]) =>
    Array.from({ length: Math.ceil(list.length / CHUNK) }, (_, index) =>
      message(set, list.slice(index * CHUNK, (index + 1) * CHUNK)),
    ),
  );
}
