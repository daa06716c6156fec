/**
 * A host's membership in a cluster: what keeps it there while its engine runs, through everything that may befall etcd.
 *
 * Two leases: `alive/<node>` hangs on a short one and says that the engine runs; the node and its addresses hang on a long one, for
 * containers outlive both their engine and its connection to etcd. While etcd is away nothing changes on a host. An address is given to
 * somebody else only when the long lease has ended, and a host that has not been able to renew it cuts its tunnels before that.
 */
import { messageOf, OnggiError } from "../../lib/errors.ts";
import { bootClock } from "../../sys/index.ts";
import type { Etcd, Operation, WatchEvent } from "./etcd/index.ts";
import type { Changes, Mirror, MirroredKey } from "./mirror.ts";
import { type Claim, claimValues, type Keys, type NodeRecord, parseClaim } from "./records.ts";

export interface Leases {
  /** Seconds that a node counts as alive after it was last heard of. */
  readonly alive: number;
  /** Seconds that its addresses stay its own. */
  readonly addresses: number;
}

/** What survives the engine: the address lease, and until when it surely lasts, milliseconds since 1970. */
export interface Kept {
  readonly lease: string;
  readonly until: number;
}

export interface MembershipParts {
  readonly etcd: Etcd;
  readonly keys: Keys;
  readonly mirror: Mirror;
  readonly node: NodeRecord;
  readonly leases: Leases;
  readonly kept: Kept | null;
  /** What the containers of this host have. */
  held(): readonly Claim[];
  changed(changes: Changes): void;
  /** Another host has an address that a container of this one had. */
  lost(claim: Claim): void;
  /** The addresses of this host may be given to others from now on, or are its own again. */
  fenced(isFenced: boolean): void;
  keep(kept: Kept): void;
  log(message: string): void;
}

export interface MembershipStatus {
  readonly connected: boolean;
  /** Why not, or why its addresses may be others' by now. */
  readonly problem: string | null;
  readonly fenced: boolean;
}

/** Of its time an address lease is believed so much: clocks of two hosts do not run alike. */
const SURE = 0.9;
const ENDED = "this host has left the cluster, or its engine ends";
const AGAIN_LEAST = 200;
const AGAIN_MOST = 5000;
/** So much of the shorter lease passes from one renewal to the next. */
const RENEWALS = 3;

export class Membership {
  readonly #parts: MembershipParts;
  /** Keys that somebody is about to take or to give back: not for `reclaim` to judge. */
  readonly #pending = new Map<string, Promise<unknown>>();
  readonly #closing = new AbortController();
  #round = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #guard: ReturnType<typeof setInterval> | undefined;
  #reclaiming: Promise<void> | null = null;
  #addressLease: string;
  #aliveLease = "";
  /** By a clock that no one sets and that runs while the machine sleeps, in milliseconds. */
  #until: number;
  #connected = false;
  #fenced = false;
  #problem: string | null = null;
  #waiting: { resolve(): void; reject(error: unknown): void }[] = [];

  constructor(parts: MembershipParts) {
    this.#parts = parts;
    this.#addressLease = parts.kept?.lease ?? "";
    // A host that becomes a member has no addresses yet.
    this.#until = parts.kept === null ? Number.POSITIVE_INFINITY : bootClock() + Math.max(0, parts.kept.until - Date.now());
  }

  get status(): MembershipStatus {
    return { connected: this.#connected, problem: this.#problem, fenced: this.#fenced };
  }

  /** What an address is put under. @throws OnggiError cluster_unavailable */
  get addressLease(): string {
    if (this.#connected) return this.#addressLease;
    throw new OnggiError("cluster_unavailable", this.#problem ?? "not connected yet");
  }

  start(): void {
    this.#guard = setInterval(() => this.#checkFence(), Math.min(1000, (this.#parts.leases.addresses * 1000) / 20));
    this.#guard.unref();
    this.#checkFence();
    this.#running = this.#run();
  }

  /** Resolves once all is known and all that is held is claimed. Rejects with the next failure. */
  connected(): Promise<void> {
    if (this.#connected) return Promise.resolve();
    if (this.#closing.signal.aborted) return Promise.reject(new OnggiError("cluster_unavailable", ENDED));
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  /** Something does not fit: look at everything again. */
  again(reason: string): void {
    this.#connected = false;
    this.#round.abort(new OnggiError("cluster_unavailable", reason));
  }

  /** While `work` runs these keys are its own: who else wants one of them waits. */
  async guarding<T>(keys: readonly string[], work: () => Promise<T>): Promise<T> {
    for (;;) {
      const others = keys.flatMap((key) => this.#pending.get(key) ?? []);
      if (this.#reclaiming !== null) others.push(this.#reclaiming);
      if (others.length === 0) break;
      await Promise.allSettled(others);
    }
    const working = work();
    for (const key of keys) this.#pending.set(key, working);
    try {
      return await working;
    } finally {
      for (const key of keys) this.#pending.delete(key);
    }
  }

  /** Ends the renewals; the leases run on. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#round.abort();
    clearInterval(this.#guard);
    for (const { reject } of this.#waiting.splice(0)) reject(new OnggiError("cluster_unavailable", ENDED));
    await this.#running;
  }

  /** Ends the membership: nothing of this host is left in etcd. If that cannot be told now, its leases run out. */
  async leave(): Promise<void> {
    await this.close();
    const { etcd, log } = this.#parts;
    for (const lease of [this.#aliveLease, this.#addressLease]) {
      if (lease === "") continue;
      await etcd
        .revokeLease(lease)
        .catch((error: unknown) => log(`cluster: left, and etcd will find it out: ${messageOf(error)}`));
    }
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    for (let failures = 0; !signal.aborted; ) {
      this.#round = new AbortController();
      try {
        await this.#stay(() => {
          failures = 0;
        });
      } catch (error) {
        if (signal.aborted) break;
        failures += 1;
        this.#disconnected(error);
      }
      const pause = Math.min(AGAIN_MOST, AGAIN_LEAST * 2 ** Math.min(failures, 10)) * (0.5 + Math.random() / 2);
      await sleep(pause, signal);
    }
    this.#connected = false;
  }

  #disconnected(error: unknown): void {
    const problem = messageOf(error);
    if (this.#problem !== problem) this.#parts.log(`cluster: ${problem}; what runs goes on`);
    this.#connected = false;
    this.#problem = problem;
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }

  /** One connection, from its first request to its end, which is always an error. */
  async #stay(stable: () => void): Promise<never> {
    const { etcd, keys, mirror, changed, log } = this.#parts;
    await this.#enlist();
    const { entries, revision } = await etcd.list(keys.prefix);
    changed(mirror.replace(entries, revision));
    this.#reclaiming = this.#reclaim(entries);
    try {
      await this.#reclaiming;
    } finally {
      this.#reclaiming = null;
    }
    if (this.#problem !== null) log("cluster: connected again");
    this.#connected = true;
    this.#problem = null;
    for (const { resolve } of this.#waiting.splice(0)) resolve();
    this.#checkFence();
    stable();
    const { signal } = this.#round;
    signal.throwIfAborted();
    const aborted = new Promise<never>((_, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    });
    try {
      return await Promise.race([aborted, this.#watch(signal), this.#renew(signal)]);
    } finally {
      this.#round.abort();
    }
  }

  /** Renews the leases, or takes new ones, and says that this node is there. */
  async #enlist(): Promise<void> {
    const { etcd, keys, node, leases } = this.#parts;
    this.#addressLease = await this.#renewed(this.#addressLease, leases.addresses, true);
    this.#aliveLease = await this.#renewed(this.#aliveLease, leases.alive, false);
    const success: Operation[] = [
      { put: keys.nodes + node.id, value: JSON.stringify(node), lease: this.#addressLease },
      { put: keys.alive + node.id, value: "", lease: this.#aliveLease },
    ];
    await etcd.transaction({ compare: [], success });
  }

  async #renewed(lease: string, seconds: number, isAddresses: boolean): Promise<string> {
    const { etcd } = this.#parts;
    const before = bootClock();
    const sure = (ttl: number, id: string): string => {
      if (isAddresses) this.#believe(id, before, ttl);
      return id;
    };
    if (lease !== "") {
      try {
        return sure(await etcd.keepAlive(lease), lease);
      } catch (error) {
        if (!(error instanceof OnggiError) || error.code !== "etcd_lease_gone") throw error;
      }
    }
    const { id, ttl } = await etcd.grantLease(seconds);
    return sure(ttl, id);
  }

  /** An address lease was asked for at a time, and has so many seconds from then on at least. */
  #believe(lease: string, asked: number, ttl: number): void {
    this.#until = asked + ttl * 1000 * SURE;
    this.#parts.keep({ lease, until: Date.now() + this.#until - bootClock() });
  }

  async #renew(signal: AbortSignal): Promise<never> {
    const { etcd, keys, leases, mirror } = this.#parts;
    let behind = -1;
    for (;;) {
      await sleep((Math.min(leases.alive, leases.addresses) * 1000) / RENEWALS, signal);
      if (signal.aborted) throw signal.reason;
      const before = bootClock();
      const [, ttl] = await Promise.all([etcd.keepAlive(this.#aliveLease), etcd.keepAlive(this.#addressLease)]);
      this.#believe(this.#addressLease, before, ttl);
      // A connection may be dead without anybody having said so.
      const { revision } = mirror;
      const { changed, keys: count, revision: now } = await etcd.changedSince(keys.prefix, revision);
      if (now < revision) throw new OnggiError("cluster_unavailable", "etcd has lost what it had");
      if ((changed > 0 || count !== mirror.size) && mirror.revision === revision) {
        if (behind === revision) throw new OnggiError("cluster_unavailable", "etcd tells no changes any more");
        behind = revision;
      } else behind = -1;
    }
  }

  async #watch(signal: AbortSignal): Promise<never> {
    const { etcd, keys, mirror, changed } = this.#parts;
    for await (const { events, revision } of etcd.watch(keys.prefix, mirror.revision + 1, { signal })) {
      const last = new Map<string, WatchEvent>(
        events.map((event) => [event.type === "put" ? event.entry.key : event.key, event]),
      );
      const put: MirroredKey[] = [];
      const removed: string[] = [];
      for (const [key, event] of last) {
        if (event.type === "put") put.push(event.entry);
        else removed.push(key);
      }
      changed(mirror.change(put, removed, revision));
    }
    throw signal.reason ?? new OnggiError("cluster_unavailable", "etcd has ended the watch");
  }

  /** Brings what etcd has of this node to what its containers have: the one may have ended, or changed, without the other. */
  async #reclaim(entries: readonly (MirroredKey & { readonly lease: string })[]): Promise<void> {
    const { etcd, keys, node, held, lost, log } = this.#parts;
    const known = new Map(entries.map((entry) => [entry.key, entry]));
    const own = new Set<string>();
    for (const claim of held()) {
      const values = claimValues(claim);
      for (const [at, key] of keys.ofClaim(claim).entries()) {
        own.add(key);
        const entry = known.get(key);
        if (this.#pending.has(key) || (entry?.value === values[at] && entry?.lease === this.#addressLease)) continue;
        if (await this.#take(key, values[at]!, entry)) continue;
        log(
          `cluster: another node has address ${key.slice(key.lastIndexOf("/") + 1)} of container ${claim.container.slice(0, 12)}`,
        );
        lost(claim);
      }
    }
    for (const entry of entries) {
      if (!entry.key.startsWith(keys.addresses) || own.has(entry.key) || this.#pending.has(entry.key)) continue;
      if (this.#nodeOf(entry) !== node.id) continue;
      const compare = [{ key: entry.key, modRevision: entry.modRevision }];
      await etcd.transaction({ compare, success: [{ remove: entry.key }] });
    }
  }

  /** False if it is another node's. */
  async #take(key: string, value: string, entry: MirroredKey | undefined): Promise<boolean> {
    const { etcd, node } = this.#parts;
    if (entry !== undefined && this.#nodeOf(entry) !== node.id) return false;
    const { succeeded, results } = await etcd.transaction({
      compare: [entry === undefined ? { key, absent: true } : { key, modRevision: entry.modRevision }],
      success: [{ put: key, value, lease: this.#addressLease }],
      failure: [{ get: key }],
    });
    if (succeeded) return true;
    const [now] = results[0]?.entries ?? [];
    // Somebody of this node was faster, or it has just gone: the next look puts it right.
    return now === undefined || this.#nodeOf(now) === node.id;
  }

  #nodeOf({ key, value }: MirroredKey): string | undefined {
    const [network = "", ip = ""] = key.slice(this.#parts.keys.addresses.length).split("/");
    return parseClaim(network, ip, value)?.node;
  }

  #checkFence(): void {
    const isFenced = bootClock() > this.#until;
    if (isFenced === this.#fenced || (!isFenced && !this.#connected)) return;
    this.#fenced = isFenced;
    const { fenced, log } = this.#parts;
    if (isFenced)
      log("cluster: the lease of this host's addresses could not be renewed in time; its overlay networks are cut off");
    else log("cluster: this host's addresses are its own again");
    fenced(isFenced);
  }
}

const sleep = (milliseconds: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const timer = setTimeout(done, milliseconds);
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    }
    signal.addEventListener("abort", done, { once: true });
  });
