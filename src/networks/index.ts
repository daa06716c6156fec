/**
 * Networks: how containers reach each other, the host and the rest of the world.
 *
 * Terms: a **network** is one or two subnets and, with the driver bridge, a bridge of the host with their gateway addresses; an
 * **endpoint** is a container's place in a network, whether it runs or not; an **attachment** is what an endpoint has in the kernel
 * while its container runs: an interface, addresses, routes; a **publication** is a port of the host that leads to a container's.
 *
 *     const networks = openNetworks({ root, tag, log });
 *     await networks.reconcile(running);
 *     networks.connect({ network: "bridge", container });
 *     const { endpoints, published } = await networks.attach({ container, netns }, publish);
 *     ...
 *     await networks.detach(container);
 *
 * Lifecycle: a bridge is made with its network (the default one when first needed) and stays; an attachment is made when its container
 * starts and dies with the container's namespace, for to remove a link takes the kernel long; addresses, ports and rules are given
 * back at once.
 * Guarantees: networks and endpoints are durable when the call returns; attachments survive the engine. What is in the kernel can be
 * made again from what is recorded, and `reconcile` does so. Nothing is touched that does not carry the engine's tag.
 */
import { LocalNetworks } from "./networks.ts";
import type { NetworkOptions, Networks } from "./types.ts";

/**
 * Opens, or makes, the networks of a data root. Nothing is made in the kernel yet. The network namespace that the thread is in becomes
 * that of all bridges, rules and ports.
 */
export const openNetworks = (options: NetworkOptions): Networks => new LocalNetworks(options);

export { poolUsage } from "./addresses.ts";
export { refuseEndpoints } from "./configuration.ts";
export { NetworkError, type NetworkErrorCode } from "./errors.ts";
export { countersInside } from "./inside.ts";
export * from "./types.ts";
