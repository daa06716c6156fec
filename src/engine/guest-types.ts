/** Guests: sandboxes of other runtimes in networks of ours, as the layers above see them. */

import type { Bandwidth, Endpoint, Network } from "../networks/types.ts";
import type { PortRequest } from "../runtime/request-types.ts";

/** An interface of somebody else's sandbox, as CNI names it. */
export interface GuestReference {
  /** CNI_CONTAINERID */
  readonly containerId: string;
  /** CNI_IFNAME */
  readonly interface: string;
}

/** What CNI's ADD asks for. */
export interface GuestRequest extends GuestReference {
  /** Path of the sandbox's network namespace. */
  readonly netns: string;
  /** Name or id of the network. */
  readonly network: string;
  /** The name of the CNI network configuration. */
  readonly configuration: string;
  /** The sandbox is found by it; absent: by its id, or the first 12 digits of a long one. */
  readonly name?: string;
  readonly aliases?: readonly string[];
  readonly ipv4?: string;
  readonly ipv6?: string;
  readonly mac?: string;
  readonly publish?: readonly PortRequest[];
  readonly bandwidth?: Bandwidth;
  /** Name servers for what is no name of ours; absent: the host's. */
  readonly dns?: readonly string[];
  /** False: no default route. Absent: one, unless the sandbox has one of somebody else's. */
  readonly defaultRoute?: boolean;
}

/** What a sandbox has got of a network. */
export interface GuestAttachment {
  readonly network: Network;
  readonly endpoint: Endpoint;
  /** Where the sandbox's default routes lead, those of them that lead through this network. */
  readonly defaultGateways: readonly string[];
  /** Address of the name server in the sandbox's namespace; null where the network has no names. */
  readonly nameserver: string | null;
}
