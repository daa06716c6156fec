/** Where a container has its network from. Pure. */
import { OnggiError } from "../lib/errors.ts";
import type { ContainerRequest, NetworkEndpoint } from "./types.ts";

export const DEFAULT_NETWORK = "bridge";

export type NetworkMode =
  | { readonly kind: "none" | "host" }
  /** Another container's namespace. */
  | { readonly kind: "container"; readonly container: string }
  | { readonly kind: "path"; readonly path: string }
  | { readonly kind: "networks"; readonly endpoints: readonly NetworkEndpoint[] };

/** What a request's words come to. Throws "network_mode_invalid". */
export function networkMode({ network, networks = [] }: ContainerRequest): NetworkMode {
  if (network === undefined || network === "default")
    return { kind: "networks", endpoints: networks.length > 0 ? networks : [{ network: DEFAULT_NETWORK }] };
  const [, kind = "", rest = ""] = /^(container|ns):(.+)$/s.exec(network) ?? [];
  if (networks.length > 0) throw new OnggiError("network_mode_invalid", `--network ${network} goes with no other network`);
  if (network === "none" || network === "host") return { kind: network };
  if (kind === "container") return { kind, container: rest };
  if (kind === "ns" && rest.startsWith("/")) return { kind: "path", path: rest };
  return { kind: "networks", endpoints: [{ network }] };
}
