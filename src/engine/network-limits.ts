/** How fast a container sends and receives in its networks: what is said of all of them, and of one. */
import { OnggiError } from "../lib/errors.ts";
import type { Bandwidth } from "../networks/types.ts";
import type { Context } from "./context.ts";
import type { ContainerRecord } from "./database.ts";
import { networkMode } from "./network-mode.ts";
import type { ContainerRequest, NetworkEndpoint, Resources } from "./types.ts";

/** Limits are set on what a container has of networks. Throws "network_mode_invalid" for one that has none of its own. */
export function refuseLimits(request: ContainerRequest, { networkReceive, networkSend }: Resources = {}): void {
  if (!networkReceive && !networkSend) return;
  throw new OnggiError(
    "network_mode_invalid",
    `--network-receive and --network-send are for containers with networks of their own, not for --network ${request.network}`,
  );
}

/** What is said of all networks of a container. */
const bandwidthOf = ({ networkReceive, networkSend }: Resources = {}): Bandwidth => ({
  ...(networkReceive === undefined ? {} : { receive: networkReceive }),
  ...(networkSend === undefined ? {} : { send: networkSend }),
});

/** A place in a network with what holds for it. */
export function withLimits({ resources }: ContainerRequest, place: NetworkEndpoint): NetworkEndpoint {
  const bandwidth = { ...bandwidthOf(resources), ...place.bandwidth };
  return Object.keys(bandwidth).length > 0 ? { ...place, bandwidth } : place;
}

/** Limits all networks of a container anew in what is named. Returns what undoes it. Throws what Networks.limit throws. */
export async function limitNetworks(
  context: Context,
  { id, request }: ContainerRecord,
  resources: Resources,
): Promise<() => Promise<void>> {
  if (resources.networkReceive === undefined && resources.networkSend === undefined) return async () => {};
  const { kind } = networkMode(request);
  if (kind === "cni") {
    const why = "CNI plugins limit a container when it starts; make it anew with --network-receive or --network-send";
    throw new OnggiError("network_mode_invalid", why);
  }
  if (kind !== "networks") refuseLimits(request, resources);
  const before = new Map(context.networks.endpointsOf(id).map(({ network, bandwidth = {} }) => [network, bandwidth]));
  await context.networks.limit(id, ({ bandwidth }) => ({ ...bandwidth, ...bandwidthOf(resources) }));
  return () => context.networks.limit(id, ({ network }) => before.get(network) ?? {});
}
