/**
 * Configurations: networks that nothing is made for and nobody is in, for other networks to be made after (`--config-only`,
 * `--config-from`). They have no driver: options are looked at when a network takes them. Pure. Source of rules and words:
 * github.com/moby/moby, daemon/libnetwork/network.go, validateConfiguration and applyConfigurationTo.
 */
import { completePool, type GatewayPool } from "./addresses.ts";
import type { NetworkRecord } from "./database.ts";
import { NetworkError } from "./errors.ts";
import { checkFamilies, checkName } from "./request.ts";
import type { Network, NetworkRequest, Pool } from "./types.ts";

const refused = (message: string): NetworkError => new NetworkError("network_configuration_refused", message);

const isEmpty = (value: object = {}): boolean => Object.keys(value).length === 0;

/** A gateway that was not given is "": who takes the subnet is given its first address, or what its driver has. */
const poolOf = (pool: Pool): GatewayPool => ({ ...completePool(pool), ...(pool.gateway === undefined ? { gateway: "" } : {}) });

/** What is recorded of a configuration. @throws NetworkError network_configuration_refused, network_invalid, address_invalid */
export function configurationOf(request: NetworkRequest): Omit<NetworkRecord, "id" | "created"> {
  const { name, internal, attachable, configFrom, options = {}, labels = {}, lease } = request;
  if (internal || attachable)
    throw refused(
      "configuration network can only contain network specific fields. Network operator fields like [ ingress | internal | attachable | scope ] are not supported.",
    );
  if (configFrom) throw refused("a configuration network cannot depend on another configuration network");
  checkName(name);
  const pools = (request.pools ?? []).map(poolOf);
  return {
    ...{ name, driver: "null", ...checkFamilies(request, pools), internal: false, pools, options, labels },
    ...(lease === undefined ? {} : { lease }),
    ...{ interface: "", mtu: 0, predefined: false, chosen: [], configOnly: true },
  };
}

/**
 * A request with what its configuration says; nothing of that may be said beside it.
 * @param from the network of that name
 * @throws NetworkError network_configuration_refused, network_not_found
 */
export function configured(request: NetworkRequest, from: NetworkRecord | undefined): NetworkRequest {
  const { ipv4 = true, ipv6 = false, labels, pools, options } = request;
  if (!ipv4 || ipv6 || !isEmpty(labels) || !isEmpty(pools))
    throw refused("user-specified configurations are not supported if the network depends on a configuration network");
  if (!isEmpty(options))
    throw refused("network driver options are not supported if the network depends on a configuration network");
  if (!from?.configOnly)
    throw new NetworkError("network_not_found", `configuration network ${JSON.stringify(request.configFrom)} does not exist`);
  return {
    ...request,
    ...{ ipv4: from.ipv4, ipv6: from.ipv6, labels: from.labels, options: from.options },
    pools: from.pools.map(({ gateway, ...pool }) => (gateway === "" ? pool : { ...pool, gateway })),
  };
}

/** @throws NetworkError network_configuration_refused */
export function refuseEndpoints({ name, configOnly }: Pick<Network, "name" | "configOnly">): void {
  if (configOnly) throw refused(`network ${name}: cannot create endpoint on configuration-only network`);
}

/** @throws NetworkError network_in_use where others are made after it */
export function requireUnused({ name }: NetworkRecord, networks: readonly NetworkRecord[]): void {
  const users = networks.filter(({ configFrom }) => configFrom === name).map((network) => network.name);
  if (users.length === 0) return;
  const who = users.length > 5 ? `${users.slice(0, 5).join(", ")} and ${users.length - 5} more` : users.join(", ");
  throw new NetworkError("network_in_use", `configuration network "${name}" is in use by ${who}: remove them first`);
}
