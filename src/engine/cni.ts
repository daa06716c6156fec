/** Containers in CNI networks: `--network cni:NAME`. Their records say where they are to be; what they have is in `<root>/cni`. */
import { OnggiError } from "../lib/errors.ts";
import type { CniProblem } from "../networks/cni/index.ts";
import type { Context } from "./context.ts";
import type { NetworkMaker } from "./network-maker.ts";
import type { NetworkInfo } from "./types.ts";

export const cniMaker: NetworkMaker = {
  check(context, { publish, publishAll }, places) {
    const linking = places.find(({ links }) => links?.length);
    if (linking) throw new OnggiError("link_invalid", `network ${linking.network} is made by CNI plugins: links are for onggi's`);
    context.cni.check(places, !!publish?.length || !!publishAll);
  },
  join: () => {},
  async attach(context, { id, request }, places, { sandbox: { netns }, publish }) {
    const dns = { servers: request.dns ?? [], searches: request.dnsSearch ?? [], options: request.dnsOptions ?? [] };
    const { endpoints, ...resolv } = await context.cni.attach({ container: id, netns, endpoints: places, publish, dns });
    return { endpoints, resolv };
  },
  endpointsOf: (context, id, places) => context.cni.endpointsOf(id, places),
  publishedBy: (context, id) => context.cni.publishedBy(id),
};

/** `network inspect` of one. */
export function inspectCniNetwork({ cni, containers }: Context, reference: string): NetworkInfo {
  const network = cni.get(reference);
  const endpoints = cni.endpointsIn(network.name);
  return {
    ...network,
    containers: endpoints.map((endpoint) => ({
      id: endpoint.container,
      name: containers.get(endpoint.container)?.name ?? "",
      endpoint,
    })),
  };
}

/** Plugins that are not content with a network or with containers in it, as text. Throws "network_invalid" for a network without plugins. */
export async function checkCniNetwork({ cni, containers }: Context, reference: string): Promise<string[]> {
  if (!cni.owns(reference)) {
    throw new OnggiError("network_invalid", `network ${reference} has no plugins to ask; those of CNI have, cni:NAME`);
  }
  const problems = await cni.examine(reference);
  const nameOf = (id: string): string => containers.get(id)?.name ?? id.slice(0, 12);
  return problems.map(({ container, problem }: CniProblem) =>
    container === "" ? problem : `container ${nameOf(container)}: ${problem}`,
  );
}

/** What is not done to CNI networks. Nothing for networks of ours. Throws "network_invalid". */
export function refuseCni({ cni }: Context, reference: string, why: string): void {
  if (cni.owns(reference)) throw new OnggiError("network_invalid", `network ${reference} is made by CNI plugins: ${why}`);
}
