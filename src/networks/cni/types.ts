/** What others know of CNI networks. */
import type { Bandwidth, Endpoint, Network, Publication } from "../types.ts";

/** Before the name of a CNI network wherever it stands beside networks of ours, whose names have no colon. */
export const PREFIX = "cni:";

export const isCniName = (network: string): boolean => network.startsWith(PREFIX);

/** A network of /etc/cni/net.d, in the form of ours. `name` has the prefix; the id is made of it. */
export interface CniNetwork extends Omit<Network, "driver"> {
  readonly driver: "cni";
  /** The file it is read from. */
  readonly path: string;
  /** As a `.conflist`, with the plugins of its folder. */
  readonly config: Readonly<Record<string, unknown>>;
}

/** A container's place in a CNI network, as it is asked for. */
export interface CniEndpointRequest {
  /** With the prefix. */
  readonly network: string;
  readonly aliases?: readonly string[];
  readonly ipv4?: string;
  readonly ipv6?: string;
  readonly mac?: string;
  /** Absent: "eth" and the place in the list. */
  readonly interface?: string;
  readonly gatewayPriority?: number;
  readonly bandwidth?: Bandwidth;
  /** "cni.arg.NAME": one of CNI_ARGS. */
  readonly driverOptions?: Readonly<Record<string, string>>;
}

/** What was asked for name servers, for plugins that want to know. */
export interface CniDns {
  readonly servers: readonly string[];
  readonly searches: readonly string[];
  readonly options: readonly string[];
}

export interface CniAttachRequest {
  /** The container's id. */
  readonly container: string;
  /** A descriptor of its network namespace, the caller's. */
  readonly netns: number;
  readonly endpoints: readonly CniEndpointRequest[];
  readonly publish: readonly Publication[];
  readonly dns: CniDns;
}

/** What came of it. */
export interface CniAttached {
  readonly endpoints: readonly Endpoint[];
  /** Of all its networks, for resolv.conf. */
  readonly nameservers: readonly string[];
  readonly search: readonly string[];
  readonly options: readonly string[];
}

/** A container that a plugin is not content with, or with `container` "" a network. */
export interface CniProblem {
  readonly container: string;
  readonly problem: string;
}

export interface CniOptions {
  /** The directory of attachments. */
  readonly directory: string;
  /** Where namespaces and running plugins are kept; it need not survive a reboot. */
  readonly run: string;
  /** Absent: /etc/cni/net.d. */
  readonly configDir?: string | undefined;
  /** Absent: /opt/cni/bin and /usr/lib/cni. */
  readonly binDirs?: readonly string[] | undefined;
  /** How long a plugin may take, in milliseconds; absent: 30,000. */
  readonly timeoutMs?: number | undefined;
  log(message: string): void;
  /** How a container is called in messages. */
  nameOf(container: string): string;
}
