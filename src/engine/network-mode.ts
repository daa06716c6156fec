/** Where a container has its network from. Pure. */
import { OnggiError } from "../lib/errors.ts";
import { isCniName } from "../networks/cni/types.ts";
import type { ContainerRequest, NetworkEndpoint } from "./types.ts";

export const DEFAULT_NETWORK = "bridge";

export type NetworkMode =
  | { readonly kind: "none" | "host" }
  /** Another container's namespace. */
  | { readonly kind: "container"; readonly container: string }
  | { readonly kind: "path"; readonly path: string }
  /** Of its own: made by us, or by CNI plugins. */
  | { readonly kind: "networks" | "cni"; readonly endpoints: readonly NetworkEndpoint[] };

/** What a request's words come to. Throws "network_mode_invalid". */
export function networkMode({ network, networks = [] }: ContainerRequest): NetworkMode {
  if (network === undefined || network === "default")
    return ownNetworks(networks.length > 0 ? networks : [{ network: DEFAULT_NETWORK }]);
  const [, kind = "", rest = ""] = /^(container|ns):(.+)$/s.exec(network) ?? [];
  if (networks.length > 0) throw new OnggiError("network_mode_invalid", `--network ${network} goes with no other network`);
  if (network === "none" || network === "host") return { kind: network };
  if (kind === "container") return { kind, container: rest };
  if (kind === "ns" && rest.startsWith("/")) return { kind: "path", path: rest };
  return ownNetworks([{ network }]);
}

function ownNetworks(endpoints: readonly NetworkEndpoint[]): NetworkMode {
  const others = endpoints.filter(({ network }) => !isCniName(network));
  if (others.length === endpoints.length) return { kind: "networks", endpoints };
  if (others.length === 0) return { kind: "cni", endpoints };
  throw new OnggiError(
    "network_mode_invalid",
    `a container is in networks of CNI plugins or in onggi's, not in both: ${endpoints.map(({ network }) => network).join(", ")}`,
  );
}
