/** `network`: what clients do with networks. */
import { messageOf, OnggiError } from "../lib/errors.ts";
import { lookUp } from "../lib/tables.ts";
import { poolUsage } from "../networks/index.ts";
import type { Network, NetworkRequest } from "../networks/types.ts";
import { checkCniNetwork, inspectCniNetwork, refuseCni } from "./cni.ts";
import { type Context, findContainer } from "./context.ts";
import { invalidValue, isLabelled, isTrue, pattern, pruneTest } from "./filters.ts";
import { disconnectGuest, findGuest } from "./guests.ts";
import { connectNetwork, disconnectNetwork } from "./network-changes.ts";
import { forgetNetworks, nameNetwork } from "./networking.ts";
import { tellPruned } from "./prune.ts";
import type { AnyNetwork, NetworkEndpoint, NetworkInfo } from "./types.ts";

async function create(context: Context, request: NetworkRequest): Promise<Network> {
  const network = await context.leases.under(request.lease, () => context.networks.create(request));
  nameNetwork(context, network);
  context.events.emit("network", "create", network.id, { name: network.name, type: network.driver });
  return network;
}

function inspect(context: Context, reference: string): NetworkInfo {
  const { networks, containers, guests, cni } = context;
  if (cni.owns(reference)) return inspectCniNetwork(context, reference);
  const network = networks.get(reference);
  const there = networks
    .endpointsIn(network.id)
    .filter(({ container }) => containers.get(container)?.isUp || guests.get(container) !== undefined);
  const addresses = there.flatMap(({ attached }) => [attached?.ipv4 ?? [], attached?.ipv6 ?? []].flat());
  const usage = (network.configOnly ? [] : network.pools).map((pool) => ({ subnet: pool.subnet, ...poolUsage(pool, addresses) }));
  return {
    ...network,
    ...(network.driver === "overlay" || network.configOnly ? {} : { usage }),
    containers: there.map((endpoint) => ({
      id: endpoint.container,
      name: (containers.get(endpoint.container) ?? guests.get(endpoint.container))?.name ?? "",
      endpoint,
    })),
  };
}

type Test = (network: AnyNetwork) => boolean;

/** Values of one key are alternatives, keys and labels add up. */
const filters: Record<string, (context: Context, value: string) => Test> = {
  id: (_, value) => {
    const wanted = pattern(value);
    return ({ id }) => wanted.test(id);
  },
  name: (_, value) => {
    const wanted = pattern(value);
    return ({ name }) => wanted.test(name);
  },
  driver:
    (_, value) =>
    ({ driver }) =>
      driver === value,
  type: (_, value) => {
    if (value !== "builtin" && value !== "custom") throw invalidValue("type", value, "custom or builtin");
    return ({ predefined }) => predefined === (value === "builtin");
  },
  scope:
    (_, value) =>
    ({ driver }) =>
      value === (driver === "overlay" ? "global" : "local"),
  dangling: (context, value) => {
    const wanted = isTrue("dangling", value);
    return ({ id, name, driver, predefined }) => {
      const endpoints = driver === "cni" ? context.cni.endpointsIn(name) : context.networks.endpointsIn(id);
      return wanted === (!predefined && endpoints.length === 0);
    };
  },
  label:
    (_, value) =>
    ({ labels }) =>
      isLabelled(labels, value),
};

/** Throws "invalid_filter". */
function list(context: Context, wanted: Record<string, string[]> = {}): AnyNetwork[] {
  const tests = Object.entries(wanted).map(([key, values]): Test => {
    const make = lookUp(filters, key);
    if (!make) throw new OnggiError("invalid_filter", `no such filter: ${key}; one of ${Object.keys(filters).join(", ")}`);
    const alternatives = values.map((value) => make(context, value));
    return (network) =>
      key === "label" ? alternatives.every((test) => test(network)) : alternatives.some((test) => test(network));
  });
  const all: readonly AnyNetwork[] = [...context.networks.list(), ...context.cni.list()];
  return all.filter((network) => tests.every((test) => test(network)));
}

async function remove(context: Context, reference: string): Promise<Network> {
  const { networks, events, dns } = context;
  refuseCni(context, reference, "remove its file instead");
  const network = await networks.remove(reference);
  dns.removeNetwork(network.id);
  events.emit("network", "destroy", network.id, { name: network.name, type: network.driver });
  return network;
}

/** Removes the networks that no container is in; configurations stay. A network that cannot be removed does not keep the others. Throws "invalid_filter". */
async function prune(context: Context, wanted: Record<string, string[]> = {}): Promise<{ deleted: string[] }> {
  const test = pruneTest(wanted);
  const deleted: string[] = [];
  for (const { id, name, predefined, configOnly, created, labels } of context.networks.list()) {
    if (predefined || configOnly || context.networks.endpointsIn(id).length > 0) continue;
    if (!test({ created: Date.parse(created) / 1000, labels })) continue;
    try {
      await remove(context, id);
      deleted.push(name);
    } catch (error) {
      context.log(`prune network ${name}: ${messageOf(error)}`);
    }
  }
  tellPruned(context, "network", 0);
  return { deleted };
}

/** Containers go before guests of the same name. */
function isContainer(context: Context, reference: string): boolean {
  try {
    findContainer(context, reference);
    return true;
  } catch {
    return false;
  }
}

/** `force` takes a container out of a network although it is not there any more. */
async function disconnect(context: Context, network: string, container: string, force: boolean): Promise<void> {
  refuseCni(context, network, "they take it away when the container ends");
  const { id } = context.networks.get(network);
  const guest = findGuest(context, container);
  if (guest && !isContainer(context, container)) return disconnectGuest(context, guest, id);
  const gone = context.networks
    .endpointsIn(id)
    .find((endpoint) => endpoint.container === container && !context.containers.has(container));
  if (force && gone) return forgetNetworks(context, container);
  await disconnectNetwork(context, findContainer(context, container), id);
}

/** Takes all out of a network, whoever they are. */
export async function disconnectAll(context: Context, network: string): Promise<void> {
  for (const { container } of context.networks.endpointsIn(network)) await disconnect(context, network, container, true);
}

/** The use cases of `network`, for one engine. */
export const networksOf = (context: Context) => ({
  create: (request: NetworkRequest) => create(context, request),
  inspect: (reference: string) => inspect(context, reference),
  list: (wanted?: Record<string, string[]>) => list(context, wanted),
  remove: (reference: string) => remove(context, reference),
  prune: (wanted?: Record<string, string[]>) => prune(context, wanted),
  explain: (reference: string) => (context.cni.owns(reference) ? context.cni : context.networks).explain(reference),
  check: (reference: string) => checkCniNetwork(context, reference),
  connect: (container: string, endpoint: NetworkEndpoint) => connectNetwork(context, findContainer(context, container), endpoint),
  disconnect: (network: string, container: string, force: boolean) => disconnect(context, network, container, force),
});
