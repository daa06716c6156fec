/** What may be done with a network: who comes into it, with what, and whether it may go. */
import { checkBandwidth } from "./bandwidth.ts";
import { refuseEndpoints, requireUnused } from "./configuration.ts";
import type { EndpointRecord, NetworkRecord } from "./database.ts";
import { NetworkError } from "./errors.ts";
import { newId } from "./making.ts";
import { sharesMac } from "./parent.ts";
import { checkFixed } from "./request.ts";
import type { NetworkState } from "./state.ts";
import type { EndpointRequest } from "./types.ts";

/** The endpoint that is asked for; nothing is kept yet. Throws `network_invalid`, `endpoint_exists`, `address_invalid`, ... */
export function newEndpoint(state: NetworkState, network: NetworkRecord, request: EndpointRequest): EndpointRecord {
  const { container, aliases = [], links = [], gatewayPriority = 0, transient = false } = request;
  const fixed = checkFixed(request);
  refuseEndpoints(network);
  if (network.driver === "host" || network.driver === "null") {
    throw new NetworkError("network_invalid", `network ${network.name} has no endpoints: a container is in it, or in others`);
  }
  if (state.endpoint(container, network) !== undefined) {
    throw new NetworkError("endpoint_exists", `container ${container.slice(0, 12)} is in network ${network.name} already`);
  }
  if (network.predefined && aliases.length > 0) {
    throw new NetworkError("network_invalid", `network ${network.name} knows no aliases: make a network for that`);
  }
  if (network.predefined && links.length > 0) {
    throw new NetworkError("network_invalid", `network ${network.name} knows no names: make a network for links in it`);
  }
  if (fixed.mac !== undefined && sharesMac(network)) {
    throw new NetworkError(
      "address_invalid",
      `address ${fixed.mac}: containers of network ${network.name} have the hardware address of ${network.interface}`,
    );
  }
  for (const [family, address] of [[4, fixed.ipv4] as const, [6, fixed.ipv6] as const]) {
    if (address === undefined) continue;
    if (!network.chosen.includes(family)) {
      throw new NetworkError(
        "address_invalid",
        `address ${address}: fixed addresses are for networks made with a subnet, and that of network ${network.name} was chosen by onggi`,
      );
    }
    state.allocator(network, family)!.check(address);
  }
  return {
    id: newId(),
    network: network.id,
    container,
    aliases,
    ...(links.length > 0 ? { links } : {}),
    fixed,
    ...(request.interface === undefined ? {} : { interface: request.interface }),
    ...(request.bandwidth === undefined ? {} : { bandwidth: checkBandwidth(network, request.bandwidth) }),
    gatewayPriority,
    ...(request.withoutGateway ? { withoutGateway: true } : {}),
    transient,
  };
}

/** @throws NetworkError network_invalid, network_in_use */
export function requireRemovable(state: NetworkState, network: NetworkRecord): void {
  if (network.predefined)
    throw new NetworkError("network_invalid", `network ${network.name} is always there and cannot be removed`);
  if (network.configOnly) requireUnused(network, state.networks());
  const endpoints = state.endpointsIn(network.id);
  if (endpoints.length === 0) return;
  const who = endpoints.slice(0, 5).map(({ record }) => record.container.slice(0, 12));
  const more = endpoints.length > who.length ? ` and ${endpoints.length - who.length} more` : "";
  throw new NetworkError(
    "network_in_use",
    `network ${network.name} has containers ${who.join(", ")}${more}: disconnect or remove them first`,
  );
}
