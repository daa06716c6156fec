/** Published ports go from one running container to another, and answer all the while. */
import { messageOf, OnggiError } from "../lib/errors.ts";
import { attachedOf, firewallPorts, publishable, publisher } from "./attachments.ts";
import { NetworkError } from "./errors.ts";
import type { Firewall } from "./firewall/index.ts";
import type { PortClaims } from "./ports.ts";
import { familyOf } from "./prefixes.ts";
import type { NetworkState } from "./state.ts";
import type { Publication, Published } from "./types.ts";

/** Of what is published what is still asked for, and what is asked for besides: each of the one answers one of the other. */
export function keptPorts(
  published: readonly Published[],
  requests: readonly Publication[],
): { readonly kept: readonly Published[]; readonly wanted: readonly Publication[] } {
  const wanted = [...requests];
  const kept = published.filter((port) => {
    const at = wanted.findIndex(
      ({ protocol, containerPort, hostIp, hostPort, hostPortEnd }) =>
        protocol === port.protocol &&
        containerPort === port.containerPort &&
        hostIp === port.hostIp &&
        (hostPort === 0 || (hostPort <= port.hostPort && port.hostPort <= hostPortEnd)),
    );
    if (at >= 0) wanted.splice(at, 1);
    return at >= 0;
  });
  return { kept, wanted };
}

interface Parts {
  readonly state: NetworkState;
  readonly ports: PortClaims;
  readonly firewall: Firewall;
}

/**
 * `to` publishes these requests. What it asks for and `from` has, it gets from it, at once; the rest it claims. New connections go to
 * `to` from then on, those that there are stay with `from`. Nothing has changed when it throws.
 */
export function handOver({ state, ports, firewall }: Parts, from: string, to: string, requests: readonly Publication[]): void {
  const giver = attachedOf(state.endpointsOf(from));
  const taker = attachedOf(state.endpointsOf(to));
  const before = [state.publication(from), state.publication(to)] as const;
  const [{ published: had }] = before;
  const { kept: taken, wanted } = keptPorts(had, publishable(taker, requests));
  const claimed = ports.claim(to, wanted);
  const network = ({ hostIp }: Publication): string => publisher(taker, familyOf(hostIp))!.entry.network.id;
  const published = [...taken, ...claimed].map((port) => ({ ...port, network: network(port) }));
  ports.transfer(from, to, taken);
  try {
    state.setPublications([
      { ...before[0], published: had.filter((port) => !taken.includes(port)) },
      { container: to, requests, published },
    ]);
    firewall.redirect(
      [...firewallPorts(giver, taken), ...firewallPorts(taker, before[1].published)],
      firewallPorts(taker, published),
    );
  } catch (error) {
    ports.transfer(to, from, taken);
    ports.release(to, claimed);
    state.setPublications(before);
    if (error instanceof OnggiError) throw error;
    throw new NetworkError("network_failed", `ports of container ${to.slice(0, 12)}: ${messageOf(error)}`, { cause: error });
  }
}
