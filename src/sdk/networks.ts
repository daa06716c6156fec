import { networkDetails } from "./details.ts";
import { isOnggiError } from "./errors.ts";
import { type Filters, filtersOf } from "./filters.ts";
import { type Link, making } from "./link.ts";
import type { Cancellable } from "./options.ts";
import type { NetworkDetails } from "./values.ts";

export interface NetworkOptions extends Cancellable {
  /** "bridge" by default; "macvlan", "ipvlan", "overlay". */
  readonly driver?: string;
  /** No way out of it and none in. */
  readonly internal?: boolean;
  readonly ipv6?: boolean;
  /** At most one for each address family; by default one of the engine's choice. */
  readonly subnets?: readonly { readonly subnet: string; readonly gateway?: string; readonly range?: string }[];
  /** The driver's, by Docker's names. */
  readonly options?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  /** True: it stays when this process ends, and when its object's scope does. */
  readonly keep?: boolean;
}

/** A network in which containers find each other by name. It is removed where the scope of `await using` ends. */
export class Network implements AsyncDisposable {
  readonly id: string;
  readonly name: string;
  readonly #link: Link;
  readonly #keep: boolean;

  private constructor(link: Link, { id, name }: { id: string; name: string }, keep: boolean) {
    this.#link = link;
    this.id = id;
    this.name = name;
    this.#keep = keep;
  }

  /** @internal */
  static of(link: Link, named: { id: string; name: string }, keep: boolean): Network {
    return new Network(link, named, keep);
  }

  async inspect({ signal }: Cancellable = {}): Promise<NetworkDetails> {
    return networkDetails(await this.#link.call("networkInspect", { network: this.id }, {}, signal));
  }

  /** Throws `network_in_use` while a container has a place in it; with `force` containers are disconnected first. */
  async remove({ force = false, signal }: Cancellable & { force?: boolean } = {}): Promise<void> {
    if (force) {
      for (const { id } of (await this.inspect({ signal })).containers)
        await this.#link.call("networkDisconnect", { network: this.id, container: id, force: true }, {}, signal);
    }
    await this.#link.call("networkRemove", { network: this.id }, {}, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#keep) return;
    try {
      await this.remove();
    } catch (error) {
      if (!isOnggiError(error, "network_not_found")) throw error;
    }
  }
}

/** The networks of an engine. */
export class Networks {
  readonly #link: Link;

  private constructor(link: Link) {
    this.#link = link;
  }

  /** @internal */
  static of(link: Link): Networks {
    return new Networks(link);
  }

  async create(name: string, { keep = false, signal, subnets, ...options }: NetworkOptions = {}): Promise<Network> {
    const { driver, internal, ipv6, labels } = options;
    const request = {
      name,
      ...(driver === undefined ? {} : { driver }),
      ...(internal ? { internal } : {}),
      ...(ipv6 === undefined ? {} : { ipv6 }),
      ...(subnets ? { pools: subnets.map((pool) => ({ ...pool })) } : {}),
      ...(options.options ? { options: { ...options.options } } : {}),
      ...(labels ? { labels: { ...labels } } : {}),
    };
    const make = async () =>
      Network.of(this.#link, await this.#link.call("networkCreate", { ...request, ...(await this.#link.lease(keep)) }), keep);
    return making(signal, make, (made) => made.remove());
  }

  /** By name or id. Throws `network_not_found`. It stays when its object's scope ends. */
  async get(reference: string, { signal }: Cancellable = {}): Promise<Network> {
    return Network.of(this.#link, await this.#link.call("networkInspect", { network: reference }, {}, signal), true);
  }

  async list({
    filters,
    signal,
  }: Cancellable & { filters?: Filters } = {}): Promise<
    readonly { readonly id: string; readonly name: string; readonly driver: string }[]
  > {
    const { networks } = await this.#link.call("networkList", filters ? { filters: filtersOf(filters) } : {}, {}, signal);
    return networks.map(({ id, name, driver }) => ({ id, name, driver }));
  }

  /** Removes those that no container has a place in. Resolves with their names. */
  async prune({ filters, signal }: Cancellable & { filters?: Filters } = {}): Promise<readonly string[]> {
    return (await this.#link.call("networkPrune", filters ? { filters: filtersOf(filters) } : {}, {}, signal)).deleted;
  }
}
