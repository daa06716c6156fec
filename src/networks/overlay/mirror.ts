/**
 * What a host knows of its cluster: etcd's keys as it has last seen them, in memory and in its database, so that an engine that starts
 * while etcd is away knows what the one before it knew.
 */
import type { NetworkRecord } from "../database.ts";
import { type Claim, type Keys, type NodeRecord, parseClaim, parseNetwork, parseNode } from "./records.ts";

export interface MirroredKey {
  readonly key: string;
  readonly value: string;
  readonly modRevision: number;
}

/** Where the mirror survives: a table of the database. */
export interface MirrorStore {
  /** Never throws: what it cannot keep, the next engine learns from etcd. */
  write(changes: { readonly put: readonly MirroredKey[]; readonly removed: readonly string[]; readonly all: boolean }): void;
  read(): readonly MirroredKey[];
}

/** What has changed, in the order in which it is to be carried out. */
export interface Changes {
  readonly networksGone: readonly NetworkRecord[];
  readonly networks: readonly NetworkRecord[];
  /** Of a claim that is another now, what it was. */
  readonly claimsGone: readonly Claim[];
  readonly claims: readonly Claim[];
  /** Addresses that a node holds for a claim, and those that it holds no more. */
  readonly taken: readonly { readonly network: string; readonly ip: string; readonly node: string }[];
  readonly free: readonly { readonly network: string; readonly ip: string; readonly node: string }[];
  /** Nodes that came, went, changed, or are no longer seen or seen again. */
  readonly nodes: readonly string[];
}

export class Mirror {
  readonly #keys: Keys;
  readonly #store: MirrorStore;
  readonly #entries = new Map<string, MirroredKey>();
  readonly #nodes = new Map<string, NodeRecord>();
  readonly #alive = new Set<string>();
  readonly #networks = new Map<string, NetworkRecord>();
  /** By network, then by the claim's key. */
  readonly #claims = new Map<string, Map<string, Claim>>();
  /** Of etcd, up to which all is known; 0: nothing has been learned from it yet. */
  revision = 0;

  constructor(keys: Keys, store: MirrorStore) {
    this.#keys = keys;
    this.#store = store;
    this.#apply(store.read(), []);
  }

  /** Number of keys. */
  get size(): number {
    return this.#entries.size;
  }

  nodes(): readonly NodeRecord[] {
    return [...this.#nodes.values()];
  }

  node(id: string): NodeRecord | undefined {
    return this.#nodes.get(id);
  }

  /** True if the node's engine has been seen lately. */
  isAlive(node: string): boolean {
    return this.#alive.has(node);
  }

  networks(): readonly NetworkRecord[] {
    return [...this.#networks.values()];
  }

  network(id: string): NetworkRecord | undefined {
    return this.#networks.get(id);
  }

  claims(network: string): readonly Claim[] {
    return [...(this.#claims.get(network)?.values() ?? [])];
  }

  claimsOf(node: string): readonly Claim[] {
    return [...this.#claims.values()].flatMap((claims) => [...claims.values()].filter((claim) => claim.node === node));
  }

  /** All that is known, as if it had just been learned. */
  everything(): Changes {
    const changes = noChanges();
    for (const entry of [...this.#entries.values()]) this.#learn(entry, changes);
    return { ...changes, nodes: [...changes.nodes] };
  }

  /** Everything that etcd has, at a revision. */
  replace(entries: readonly MirroredKey[], revision: number): Changes {
    const now = new Set(entries.map(({ key }) => key));
    const removed = [...this.#entries.keys()].filter((key) => !now.has(key));
    const put = entries.filter(({ key, value, modRevision }) => {
      const known = this.#entries.get(key);
      return known?.value !== value || known.modRevision !== modRevision;
    });
    const changes = this.#apply(put, removed);
    this.revision = revision;
    this.#store.write({ put: entries, removed: [], all: true });
    return changes;
  }

  /** What has changed since, up to a revision. A key occurs once at most. */
  change(put: readonly MirroredKey[], removed: readonly string[], revision: number): Changes {
    const changes = this.#apply(put, removed);
    this.revision = Math.max(this.revision, revision);
    this.#store.write({ put, removed, all: false });
    return changes;
  }

  #apply(put: readonly MirroredKey[], removed: readonly string[]): Changes {
    const changes = noChanges();
    for (const key of removed) this.#forget(key, changes);
    for (const entry of put) {
      this.#forget(entry.key, changes);
      this.#learn(entry, changes);
    }
    const networksGone = changes.networksGone.filter(({ id }) => !this.#networks.has(id));
    return { ...changes, networksGone, nodes: [...changes.nodes] };
  }

  #forget(key: string, { networksGone, claimsGone, free, nodes }: Collected): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    const [kind, rest] = this.#kindOf(key);
    if (kind === "nodes" || kind === "alive") {
      if (kind === "nodes") this.#nodes.delete(rest);
      else this.#alive.delete(rest);
      nodes.add(rest);
    } else if (kind === "networks") {
      const network = this.#networks.get(rest);
      if (network !== undefined) networksGone.push(network);
      this.#networks.delete(rest);
    } else if (kind === "addresses") {
      const { network, ip } = addressOf(rest);
      const parsed = parseClaim(network, ip, entry.value);
      if (parsed !== null) free.push({ network, ip, node: parsed.node });
      const claims = this.#claims.get(network);
      const claim = claims?.get(key);
      if (claim !== undefined) claimsGone.push(claim);
      claims?.delete(key);
      if (claims?.size === 0) this.#claims.delete(network);
    }
  }

  #learn(entry: MirroredKey, { networks, claims, taken, nodes }: Collected): void {
    const { key, value } = entry;
    this.#entries.set(key, entry);
    const [kind, rest] = this.#kindOf(key);
    if (kind === "alive") {
      this.#alive.add(rest);
      nodes.add(rest);
    } else if (kind === "nodes") {
      const node = parseNode(value);
      if (node?.id === rest) this.#nodes.set(rest, node);
      nodes.add(rest);
    } else if (kind === "networks") {
      const network = parseNetwork(value);
      if (network?.id !== rest) return;
      this.#networks.set(rest, network);
      networks.push(network);
    } else if (kind === "addresses") {
      const { network, ip } = addressOf(rest);
      const parsed = parseClaim(network, ip, value);
      if (parsed === null) return;
      taken.push({ network, ip, node: parsed.node });
      if (!("container" in parsed)) return;
      this.#claims.set(network, (this.#claims.get(network) ?? new Map()).set(key, parsed));
      claims.push(parsed);
    }
  }

  #kindOf(key: string): [kind: string, rest: string] {
    const [kind = "", ...rest] = key.slice(this.#keys.prefix.length).split("/");
    return [kind, rest.join("/")];
  }
}

interface Collected {
  readonly networksGone: NetworkRecord[];
  readonly networks: NetworkRecord[];
  readonly claimsGone: Claim[];
  readonly claims: Claim[];
  readonly taken: Changes["taken"][number][];
  readonly free: Changes["free"][number][];
  readonly nodes: Set<string>;
}

const noChanges = (): Collected => ({
  ...{ networksGone: [], networks: [], claimsGone: [], claims: [], taken: [], free: [] },
  nodes: new Set(),
});

const addressOf = (rest: string): { network: string; ip: string } => {
  const at = rest.indexOf("/");
  return { network: rest.slice(0, at), ip: rest.slice(at + 1) };
};
