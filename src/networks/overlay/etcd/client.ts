/** The client: etcd's requests as functions. */
import { Cluster } from "./cluster.ts";
import {
  decodeKeptAlive,
  decodeLease,
  decodeMemberStatus,
  decodeRange,
  decodeTransaction,
  headerRevision,
  type MemberStatus,
} from "./decode.ts";
import { encodeTransaction, keyAfter, keyRange, onlyReads, prefixRange } from "./encode.ts";
import { MAX_ANSWER } from "./endpoint.ts";
import { EtcdError } from "./errors.ts";
import type { Changes, Entry, EtcdOptions, Listing, Transaction, TransactionResult, WatchBatch, WatchOptions } from "./types.ts";
import { watchPrefix } from "./watch.ts";

/** Entries asked for at once. */
const PAGE = 1000;
/** How often a listing begins again when etcd forgets its revision meanwhile. */
const LISTINGS = 3;

const again = { repeatable: true } as const;

const leaseGone = (id: string): EtcdError => new EtcdError("etcd_lease_gone", `etcd: lease ${id} has ended`);

export class Etcd {
  readonly #cluster: Cluster;

  /** Asks nothing yet. @throws EtcdError etcd_url_invalid, etcd_tls_invalid */
  constructor(options: EtcdOptions) {
    this.#cluster = new Cluster(options);
  }

  async get(key: string): Promise<Entry | null> {
    const { entries } = await this.#cluster.ask("/v3/kv/range", keyRange(key), again, decodeRange);
    return entries[0] ?? null;
  }

  /** All entries whose key begins with the prefix, by key, as they were at one revision: by pages if there are many. */
  async list(prefix: string): Promise<Listing> {
    for (let left = LISTINGS; ; left--) {
      try {
        return await this.#list(prefix);
      } catch (error) {
        if (left === 1 || !(error instanceof EtcdError) || error.code !== "etcd_compacted") throw error;
      }
    }
  }

  async #list(prefix: string): Promise<Listing> {
    const { key, range_end } = prefixRange(prefix);
    const entries: Entry[] = [];
    let from = key;
    let revision = 0;
    let size = 0;
    for (;;) {
      const body = { key: from, range_end, limit: String(PAGE), revision: String(revision) };
      const page = await this.#cluster.ask("/v3/kv/range", body, again, decodeRange);
      for (const entry of page.entries) size += entry.key.length + entry.value.length;
      if (size > MAX_ANSWER) throw new EtcdError("etcd_invalid_answer", `etcd has more below ${prefix} than onggi reads: 64 MiB`);
      entries.push(...page.entries);
      revision ||= page.revision;
      if (!page.more) return { entries, revision };
      from = keyAfter(page.lastKey);
    }
  }

  /** What has changed below a prefix after a revision: to see that a watch has missed nothing. */
  async changedSince(prefix: string, revision: number): Promise<Changes> {
    const body = { ...prefixRange(prefix), keys_only: true, min_mod_revision: String(revision + 1) };
    const range = await this.#cluster.ask("/v3/kv/range", body, again, decodeRange);
    return { changed: range.entries.length, keys: range.count, revision: range.revision };
  }

  /** @throws EtcdError; with `uncertain` set if it may have been carried out: one that changes anything is never sent twice */
  async transaction(transaction: Transaction): Promise<TransactionResult> {
    const { success, failure = [] } = transaction;
    return this.#cluster.ask("/v3/kv/txn", encodeTransaction(transaction), { repeatable: onlyReads(transaction) }, (answer) =>
      decodeTransaction(answer, success, failure),
    );
  }

  /** A lease that ends, and its keys with it, when it was not kept alive for so many seconds; etcd may give it more. */
  async grantLease(ttlSeconds: number): Promise<{ readonly id: string; readonly ttl: number }> {
    // May be sent twice: one that was granted and not heard of ends by itself.
    const body = { TTL: String(Math.ceil(ttlSeconds)) };
    const { id, ttl } = await this.#cluster.ask("/v3/lease/grant", body, again, decodeLease);
    return { id, ttl };
  }

  /** Seconds it has from now. @throws EtcdError etcd_lease_gone */
  async keepAlive(id: string): Promise<number> {
    const { ttl } = await this.#cluster.ask("/v3/lease/keepalive", { ID: id }, again, decodeKeptAlive);
    if (ttl <= 0) throw leaseGone(id);
    return ttl;
  }

  /** Its keys are removed. One that is gone is no error. */
  async revokeLease(id: string): Promise<void> {
    try {
      await this.#cluster.ask("/v3/lease/revoke", { ID: id }, again, headerRevision);
    } catch (error) {
      if (!(error instanceof EtcdError) || error.code !== "etcd_lease_gone") throw error;
    }
  }

  /** Keys that end with the lease. @throws EtcdError etcd_lease_gone */
  async leaseKeys(id: string): Promise<readonly string[]> {
    const { ttl, keys } = await this.#cluster.ask("/v3/lease/timetolive", { ID: id, keys: true }, again, decodeLease);
    // 0 is less than a second.
    if (ttl < 0) throw leaseGone(id);
    return keys;
  }

  /** Of the member that answers. One that has lost the cluster does not. */
  async status(): Promise<MemberStatus> {
    return this.#cluster.ask("/v3/maintenance/status", {}, again, decodeMemberStatus);
  }

  /**
   * Changes below a prefix from a revision on, in order; no revision is split. Ends without an error when the signal is aborted, and
   * otherwise with EtcdError: etcd_compacted (list again), etcd_unavailable (the connection is lost: watch again from the revision
   * after the last batch's), or what etcd refuses. A connection that is silent is not taken for a lost one: ask `changedSince`.
   */
  watch(prefix: string, fromRevision: number, options: WatchOptions): AsyncIterable<WatchBatch> {
    return watchPrefix(this.#cluster, prefix, fromRevision, options);
  }

  /** Ends all requests and watches, with etcd_unavailable. */
  close(): void {
    this.#cluster.close();
  }
}
