/** How fast a container sends and receives in its networks: what is said of all of them, and of one. */
import { OnggiError } from "../lib/errors.ts";
import type { Bandwidth } from "../networks/types.ts";
import type { Context } from "./context.ts";
import type { ContainerRecord } from "./database.ts";
import { networkMode } from "./network-mode.ts";
import type { ContainerRequest, Resources } from "./types.ts";

/** Limits are set on what a container has of networks. Throws "network_mode_invalid" for one that has none of its own. */
export function refuseLimits(request: ContainerRequest, { networkReceive, networkSend }: Resources = {}): void {
  if (!networkReceive && !networkSend) return;
  throw new OnggiError(
    "network_mode_invalid",
    `--network-receive and --network-send are for containers with networks of their own, not for --network ${request.network}`,
  );
}

/** What is said of all networks of a container. */
export const bandwidthOf = ({ networkReceive, networkSend }: Resources = {}): Bandwidth => ({
  ...(networkReceive === undefined ? {} : { receive: networkReceive }),
  ...(networkSend === undefined ? {} : { send: networkSend }),
});

/** Limits all networks of a container anew in what is named. Returns what undoes it. Throws what Networks.limit throws. */
export async function limitNetworks(
  context: Context,
  { id, request }: ContainerRecord,
  resources: Resources,
): Promise<() => Promise<void>> {
  if (resources.networkReceive === undefined && resources.networkSend === undefined) return async () => {};
  if (networkMode(request).kind !== "networks") refuseLimits(request, resources);
  const before = new Map(context.networks.endpointsOf(id).map(({ network, bandwidth = {} }) => [network, bandwidth]));
  await context.networks.limit(id, ({ bandwidth }) => ({ ...bandwidth, ...bandwidthOf(resources) }));
  return () => context.networks.limit(id, ({ network }) => before.get(network) ?? {});
}
