/**
 * Leases: what a client makes under one goes when the client does.
 *
 * Life of a lease. It is **held** by one connection. When that ends, by whatever end of the client, the lease **ends**: all that was made
 * under it is removed by force. When the engine goes, nothing ends: the next one **waits** `LEASE_GRACE` for the client to come back.
 *
 * What belongs to a lease names it in its own record, so that there is no moment at which one is there and not the other.
 */
import { randomBytes } from "node:crypto";
import { OnggiError } from "../lib/errors.ts";
import { type LeaseRecord, LeaseTable } from "./lease-table.ts";

const ID = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$/;

export interface Lease {
  readonly id: string;
  state: "held" | "waiting" | "ended";
  /** Ends it, while it waits for its client. */
  timer?: NodeJS.Timeout | undefined;
  /** What is being made under it. */
  readonly making: Set<Promise<unknown>>;
}

/** The leases there are. */
export class Leases {
  readonly #table: LeaseTable;
  readonly #bootId: string;
  readonly #known = new Map<string, Lease>();
  readonly #suspension = Promise.withResolvers<void>();
  #isSuspended = false;

  /** @param path of the engine's database */
  constructor(path: string, bootId: string) {
    this.#table = new LeaseTable(path);
    this.#bootId = bootId;
  }

  /** The engine is about to go: from now on leases are the next one's. */
  suspend(): void {
    this.#isSuspended = true;
    for (const { timer } of this.#known.values()) clearTimeout(timer);
    this.#suspension.resolve();
  }

  get isSuspended(): boolean {
    return this.#isSuspended;
  }

  /** Resolves when they are suspended. */
  get suspension(): Promise<void> {
    return this.#suspension.promise;
  }

  close(): void {
    this.suspend();
    this.#table.close();
  }

  /** A new lease; with an id that is known, that one if it waits. Throws `invalid_lease`, `lease_held`, `lease_ended`, `lease_not_found`. */
  take(id: string | undefined, resume: boolean): { readonly lease: Lease; readonly resumed: boolean } {
    if (id !== undefined && !ID.test(id)) {
      throw new OnggiError(
        "invalid_lease",
        `lease ${JSON.stringify(id)}: 1 to 128 letters, digits, "_", "." and "-", the first a letter or digit`,
      );
    }
    const there = id === undefined ? undefined : this.#known.get(id);
    if (there?.state === "held") throw new OnggiError("lease_held", `lease ${id} is held by another connection`);
    if (there?.state === "ended") throw ended(there.id);
    if (there) {
      clearTimeout(there.timer);
      there.state = "held";
      return { lease: there, resumed: true };
    }
    if (resume) throw notFound(id ?? "");
    const lease = this.#add(id ?? randomBytes(16).toString("hex"), "held");
    this.#table.put({ id: lease.id, bootId: this.#bootId, ended: false });
    return { lease, resumed: false };
  }

  #add(id: string, state: Lease["state"]): Lease {
    const lease: Lease = { id, state, making: new Set() };
    this.#known.set(id, lease);
    return lease;
  }

  /**
   * Makes something under a lease, or without one: a lease that ends meanwhile waits for it, and removes it. Throws `lease_not_found`,
   * `lease_ended`, and what `make` throws.
   */
  async under<T>(id: string | undefined, make: () => Promise<T>): Promise<T> {
    if (id === undefined) return make();
    const lease = this.#known.get(id);
    if (!lease) throw notFound(id);
    if (lease.state === "ended") throw ended(id);
    const making = make();
    lease.making.add(making);
    try {
      return await making;
    } finally {
      lease.making.delete(making);
    }
  }

  /** Nothing is made under it from now on; an engine that dies before `forget` leaves the rest to the next one. */
  end(lease: Lease): void {
    lease.state = "ended";
    this.#table.put({ id: lease.id, bootId: this.#bootId, ended: true });
  }

  /** All that was made under it is gone. */
  forget(lease: Lease): void {
    this.#known.delete(lease.id);
    this.#table.delete(lease.id);
  }

  /** What the last engine has left: leases whose client may come back, and those that end; `named`: by what there is. */
  restore(named: ReadonlySet<string>): { readonly waiting: readonly Lease[]; readonly ending: readonly Lease[] } {
    const records = this.#table.all();
    const isLost = ({ ended: was, bootId }: LeaseRecord): boolean => was || bootId !== this.#bootId;
    const waiting = records.filter((record) => !isLost(record)).map(({ id }) => this.#add(id, "waiting"));
    const lost = new Set([...named, ...records.filter(isLost).map(({ id }) => id)]);
    const ending = [...lost].filter((id) => !this.#known.has(id)).map((id) => this.#add(id, "ended"));
    return { waiting, ending };
  }
}

const notFound = (id: string): OnggiError =>
  new OnggiError("lease_not_found", `no such lease: ${id}; it has ended, and what was made under it is gone`);

const ended = (id: string): OnggiError =>
  new OnggiError("lease_ended", `lease ${id} has ended: what was made under it is being removed`);
