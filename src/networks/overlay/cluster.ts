/** What a host does in its cluster: networks, addresses, nodes. Each is one transaction of etcd, so no two hosts do what excludes the other. */
import { messageOf, OnggiError } from "../../lib/errors.ts";
import type { NetworkRecord } from "../database.ts";
import { NetworkError } from "../errors.ts";
import { EtcdError } from "./etcd/index.ts";
import { Membership, type MembershipParts, type MembershipStatus } from "./membership.ts";
import type { Mirror } from "./mirror.ts";
import { type Claim, claimValues, type Keys, type NodeRecord, parseClaim, parseNetwork, VNI_MOST } from "./records.ts";

/** Below that are numbers that people like to choose by hand. */
const VNI_LEAST = 4096;
/** How often to begin again where other hosts change the same. */
const ATTEMPTS = 20;

/** What an address is asked for. */
export type Claimed = "claimed" | { readonly takenIp: string };

export class Cluster {
  readonly #parts: MembershipParts;
  readonly #membership: Membership;

  constructor(parts: MembershipParts) {
    this.#parts = parts;
    this.#membership = new Membership(parts);
  }

  get node(): NodeRecord {
    return this.#parts.node;
  }

  get mirror(): Mirror {
    return this.#parts.mirror;
  }

  get status(): MembershipStatus {
    return this.#membership.status;
  }

  get #keys(): Keys {
    return this.#parts.keys;
  }

  start(): void {
    this.#membership.start();
  }

  connected(): Promise<void> {
    return this.#membership.connected();
  }

  async close(): Promise<void> {
    const closed = this.#membership.close();
    // Ends what is being asked: nobody waits for an etcd that does not answer.
    this.#parts.etcd.close();
    await closed;
  }

  async leave(): Promise<void> {
    await this.#membership.leave();
    this.#parts.etcd.close();
  }

  /** Runs a request of somebody who waits. @throws NetworkError cluster_unavailable */
  async #ask<T>(what: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof NetworkError || !(error instanceof OnggiError)) throw error;
      throw new NetworkError(
        "cluster_unavailable",
        `${what}: the cluster's etcd does not answer (${messageOf(error)}); containers that run go on`,
        { cause: error },
      );
    }
  }

  /**
   * Makes a network for the whole cluster.
   * @param make what it is to be, beside the others: its number is given here
   * @throws what `make` throws; NetworkError cluster_unavailable, network_exists
   */
  createNetwork(name: string, make: (others: readonly NetworkRecord[]) => NetworkRecord): Promise<NetworkRecord> {
    const keys = this.#keys;
    const { etcd, mirror, changed } = this.#parts;
    return this.#ask(`making network ${name}`, async () => {
      for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
        const { results } = await etcd.transaction({ compare: [], success: [{ get: keys.revision }, { list: keys.networks }] });
        const [revision] = results[0]?.entries ?? [];
        const others = (results[1]?.entries ?? []).flatMap(({ value }) => parseNetwork(value) ?? []);
        if (others.some((other) => other.name === name)) {
          throw new NetworkError(
            "network_exists",
            `the cluster has a network ${name} already; remove it, or choose another name`,
          );
        }
        const network = { ...make(others), vni: freeVni(others) };
        const value = JSON.stringify(network);
        const written = await etcd.transaction({
          compare: [revision ? { key: keys.revision, modRevision: revision.modRevision } : { key: keys.revision, absent: true }],
          success: [
            { put: keys.revision, value: "" },
            { put: keys.networks + network.id, value },
          ],
        });
        if (!written.succeeded) continue;
        // Who asked is to find it at once; the watch says it again.
        const { revision: modRevision } = written;
        changed(mirror.change([{ key: keys.networks + network.id, value, modRevision }], [], mirror.revision));
        return network;
      }
      throw new OnggiError("cluster_unavailable", "other hosts changed its networks at the same time again and again");
    });
  }

  /** @throws NetworkError cluster_unavailable; network_in_use while a container of any host is in it */
  removeNetwork({ id, name }: NetworkRecord): Promise<void> {
    const keys = this.#keys;
    const { etcd, mirror, changed } = this.#parts;
    return this.#ask(`removing network ${name}`, async () => {
      const { succeeded, results } = await etcd.transaction({
        compare: [{ prefix: keys.addressesOf(id), absent: true }],
        success: [{ remove: keys.networks + id }, { put: keys.revision, value: "" }],
        failure: [{ list: keys.addressesOf(id) }],
      });
      if (!succeeded) throw this.#inUse(id, name, results[0]?.entries ?? []);
      changed(mirror.change([], [keys.networks + id], mirror.revision));
    });
  }

  #inUse(id: string, name: string, entries: readonly { readonly key: string; readonly value: string }[]): NetworkError {
    const claims = entries.flatMap(({ key, value }) => {
      const claim = parseClaim(id, key.slice(this.#keys.addressesOf(id).length), value);
      return claim !== null && "container" in claim ? [claim] : [];
    });
    const who = claims
      .slice(0, 5)
      .map(({ container, names, node }) => `${names[0] ?? container.slice(0, 12)} on ${this.nodeName(node)}`);
    const more = claims.length > who.length ? ` and ${claims.length - who.length} more` : "";
    return new NetworkError(
      "network_in_use",
      `network ${name} has containers ${who.join(", ")}${more}: stop or disconnect them first`,
    );
  }

  nodeName(id: string): string {
    return this.mirror.node(id)?.name ?? `node ${id}`;
  }

  /**
   * Takes a container's addresses, all or none. They stay taken until `release`, whatever becomes of this engine or of etcd.
   * @throws NetworkError cluster_unavailable, network_not_found
   */
  async claim(claim: Claim): Promise<Claimed> {
    const keys = this.#keys.ofClaim(claim);
    const network = this.mirror.network(claim.network)?.name ?? claim.network.slice(0, 12);
    return this.#membership.guarding(keys, () =>
      this.#ask(`an address of network ${network}`, async () => {
        try {
          await this.#membership.connected();
          return await this.#claim(claim, keys, network);
        } catch (error) {
          // What may have been written after all is taken back.
          if (error instanceof EtcdError && error.uncertain) this.#membership.again(error.message);
          if (!(error instanceof EtcdError) || error.code !== "etcd_lease_gone") throw error;
        }
        // The host has slept, or was removed: it takes a new lease first.
        this.#membership.again("the lease of this host's addresses has ended");
        await this.#membership.connected();
        return await this.#claim(claim, keys, network);
      }),
    );
  }

  async #claim(claim: Claim, own: readonly string[], name: string): Promise<Claimed> {
    const keys = this.#keys;
    const { etcd, node } = this.#parts;
    const values = claimValues(claim);
    const lease = this.#membership.addressLease;
    // A key that this host has left there is taken over, if it has not changed since it was seen.
    const left = new Map<string, number>();
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const { succeeded, results } = await etcd.transaction({
        compare: [
          { key: keys.networks + claim.network, present: true },
          ...own.map((key) => {
            const modRevision = left.get(key);
            return modRevision === undefined ? ({ key, absent: true } as const) : { key, modRevision };
          }),
        ],
        success: own.map((key, at) => ({ put: key, value: values[at]!, lease })),
        failure: [{ get: keys.networks + claim.network }, ...own.map((key) => ({ get: key }))],
      });
      if (succeeded) return "claimed";
      if (results[0]?.entries.length === 0) {
        throw new NetworkError(
          "network_not_found",
          `network ${name} is not there any more: another host has removed it; disconnect the container from it`,
        );
      }
      left.clear();
      for (const { key, value, modRevision } of results.slice(1).flatMap(({ entries }) => entries)) {
        const ip = key.slice(keys.addressesOf(claim.network).length);
        const isOwn = parseClaim(claim.network, ip, value)?.node === node.id;
        if (!isOwn || this.#isHeld(claim.network, ip)) return { takenIp: ip };
        left.set(key, modRevision);
      }
    }
    throw new OnggiError("cluster_unavailable", "its addresses change again and again");
  }

  #isHeld(network: string, ip: string): boolean {
    return this.#parts.held().some((held) => held.network === network && (held.ipv4 === ip || held.ipv6 === ip));
  }

  /** Says other names of a container whose addresses stay. What etcd cannot be told now it is told as soon as it is there again. */
  async change(before: Claim, now: Claim): Promise<void> {
    const { etcd, log } = this.#parts;
    const keys = this.#keys.ofClaim(before);
    try {
      await this.#membership.guarding(keys, async () => {
        const values = [claimValues(before), claimValues(now)];
        const lease = this.#membership.addressLease;
        await etcd.transaction({
          compare: keys.map((key, at) => ({ key, value: values[0]![at]! })),
          success: keys.map((key, at) => ({ put: key, value: values[1]![at]!, lease })),
        });
      });
    } catch (error) {
      log(`cluster: telling that a container is called ${now.names[0]} now: ${messageOf(error)}; it is done later`);
      this.#membership.again("names are to be told");
    }
  }

  /** Gives a container's addresses back. What etcd cannot be told now it is told as soon as it is there again. */
  async release(claim: Claim): Promise<void> {
    const { etcd, node } = this.#parts;
    const own = this.#keys.ofClaim(claim);
    try {
      await this.#membership.guarding(own, async () => {
        const values = claimValues(claim);
        await etcd.transaction({
          compare: own.map((key, at) => ({ key, value: values[at]! })),
          success: own.map((key) => ({ remove: key })),
        });
      });
    } catch (error) {
      this.#parts.log(`cluster: giving back ${claim.ipv4 ?? claim.ipv6} of ${node.name}: ${messageOf(error)}; it is done later`);
      this.#membership.again("addresses are to be given back");
    }
  }

  /** Forgets a node that will not come back, and frees its addresses. @throws NetworkError node_not_found, node_in_use, cluster_unavailable */
  removeNode(reference: string): Promise<NodeRecord> {
    const node = this.findNode(reference);
    const keys = this.#keys;
    const { etcd } = this.#parts;
    return this.#ask(`removing node ${node.name}`, async () => {
      const { results } = await etcd.transaction({
        compare: [],
        success: [{ get: keys.alive + node.id }, { get: keys.nodes + node.id }],
      });
      if (results[0]?.entries.length !== 0) {
        throw new NetworkError("node_in_use", `node ${node.name} is there: run "onggi node leave" on it`);
      }
      const [entry] = results[1]?.entries ?? [];
      // All that it has hangs on that lease.
      if (entry?.lease) await etcd.revokeLease(entry.lease);
      return node;
    });
  }

  /** By name, id or unique prefix of an id. @throws NetworkError node_not_found */
  findNode(reference: string): NodeRecord {
    const nodes = this.mirror.nodes();
    const found =
      nodes.find(({ id, name }) => name === reference || id === reference) ??
      (/^[0-9a-f]+$/.test(reference) ? only(nodes.filter(({ id }) => id.startsWith(reference))) : undefined);
    if (found) return found;
    throw new NetworkError("node_not_found", `no such node: ${reference}; "onggi node ls" lists those of the cluster`);
  }
}

const only = <T>(list: readonly T[]): T | undefined => (list.length === 1 ? list[0] : undefined);

function freeVni(networks: readonly NetworkRecord[]): number {
  const used = new Set(networks.map(({ vni }) => vni));
  for (let vni = VNI_LEAST; vni <= VNI_MOST; vni++) if (!used.has(vni)) return vni;
  throw new NetworkError("addresses_exhausted", "the cluster has as many networks as VXLAN has numbers");
}
