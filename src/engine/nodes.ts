/** `node`: the hosts that share overlay networks with this one, and what they tell. */
import type { ClusterListener, ClusterStatus, JoinRequest, Node } from "../networks/types.ts";
import type { Context } from "./context.ts";
import { nameNetwork } from "./networking.ts";

/** Carries what other hosts change on to the names that containers of this one can ask for. */
export const clusterListener = (context: () => Context): ClusterListener => ({
  network: (network) => nameNetwork(context(), network),
  networkGone: ({ id }) => context().dns.removeNetwork(id),
  endpoint: (network, endpoint) => context().dns.join(network, endpoint),
  endpointGone: (network, container) => context().dns.leave(network, container),
});

/** The use cases of `node`, for one engine. */
export const nodesOf = (context: Context) => ({
  async join(request: JoinRequest): Promise<Node> {
    const node = await context.networks.nodes.join(request);
    context.events.emit("node", "create", node.id, { name: node.name });
    return node;
  },
  async leave(): Promise<Node> {
    const node = await context.networks.nodes.leave();
    context.events.emit("node", "remove", node.id, { name: node.name });
    return node;
  },
  status: (): ClusterStatus | null => context.networks.nodes.status(),
  list: (): readonly Node[] => context.networks.nodes.list(),
  async remove(reference: string): Promise<Node> {
    const node = await context.networks.nodes.remove(reference);
    context.events.emit("node", "remove", node.id, { name: node.name });
    return node;
  },
});
