/** Who makes a container's networks: onggi itself (networking.ts), or CNI plugins of others (cni.ts). */
import type { Endpoint, Publication, Published, Sandbox } from "../networks/types.ts";
import type { Context } from "./context.ts";
import type { ContainerRecord } from "./database.ts";
import type { ContainerRequest, NetworkEndpoint } from "./types.ts";

/** What resolv.conf says where the container's request does not. */
export interface ResolvDefaults {
  readonly nameservers: readonly string[];
  readonly search: readonly string[];
  readonly options: readonly string[];
}

/** What a container has got. */
export interface MadeNetworks {
  readonly endpoints: readonly Endpoint[];
  /** Null: what the host's says. */
  readonly resolv: ResolvDefaults | null;
}

/**
 * `places` are those of the container's request. What is taken back is not asked for here: a container that has ended is detached from
 * whatever has made its networks.
 */
export interface NetworkMaker {
  /** Says what is wrong with a request before anything is made. */
  check(context: Context, request: ContainerRequest, places: readonly NetworkEndpoint[]): void;
  /** Gives a new container its places. */
  join(context: Context, record: ContainerRecord, places: readonly NetworkEndpoint[]): void;
  /** Makes them, all or nothing, in the namespace of a first process that waits. */
  attach(
    context: Context,
    record: ContainerRecord,
    places: readonly NetworkEndpoint[],
    at: { readonly sandbox: Sandbox; readonly publish: readonly Publication[] },
  ): Promise<MadeNetworks>;
  endpointsOf(context: Context, id: string, places: readonly NetworkEndpoint[]): readonly Endpoint[];
  publishedBy(context: Context, id: string): readonly Published[];
}
