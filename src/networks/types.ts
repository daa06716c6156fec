/** What others know of networks. Addresses are texts as formatIp gives them, prefixes "10.0.0.0/24", MACs "02:42:ac:11:00:02". */

/** host and none are networks too: nothing is made for them. */
export type NetworkDriver = "bridge" | "overlay" | "macvlan" | "ipvlan" | "host" | "null";

/** A range of addresses of a network. */
export interface Pool {
  readonly subnet: string;
  /** Part of the subnet that addresses are taken from; absent: all of it. */
  readonly range?: string;
  /** Absent: the first address of the subnet. */
  readonly gateway?: string;
  /** Addresses that are somebody else's, by what they are for. */
  readonly reserved?: Readonly<Record<string, string>>;
}

export interface NetworkRequest {
  readonly name: string;
  /** Absent: bridge. */
  readonly driver?: string;
  /** Absent: a subnet of the default pools for each address family that is on. At most one for each family. */
  readonly pools?: readonly Pool[];
  /** Absent: on. */
  readonly ipv4?: boolean;
  /** Absent: on where a pool of IPv6 is given. */
  readonly ipv6?: boolean;
  /** No way out of it and none in: no masquerading, no default route, no published ports. */
  readonly internal?: boolean;
  /** Docker's names: "com.docker.network.bridge.name", "com.docker.network.driver.mtu", "com.docker.network.bridge.enable_icc", "...enable_ip_masquerade", "...host_binding_ipv4"; of macvlan "parent", "macvlan_mode". Unknown ones are refused. */
  readonly options?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  /** For Docker's sake: every network is, and a configuration refuses it. */
  readonly attachable?: boolean;
  /** A configuration, which no container can be in, for other networks to be made after. Its driver is not looked at. */
  readonly configOnly?: boolean;
  /** Name of a configuration: it says `pools`, `ipv4`, `ipv6`, `options` and `labels`, none of which may be given beside it. */
  readonly configFrom?: string;
  /** Whose it is: kept, and told. Not of overlay, which is several hosts'. */
  readonly lease?: string;
}

export interface Network {
  /** 64 hex digits. */
  readonly id: string;
  readonly name: string;
  readonly driver: NetworkDriver;
  /** RFC 3339, UTC. */
  readonly created: string;
  readonly ipv4: boolean;
  readonly ipv6: boolean;
  readonly internal: boolean;
  /** With their gateways; in a configuration "" is one that was not given. */
  readonly pools: readonly (Pool & { readonly gateway: string })[];
  readonly options: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  /** The interface on the host: the bridge, also of overlay, or what macvlan lies on; "" where there is none. */
  readonly interface: string;
  readonly mtu: number;
  readonly lease?: string;
  /** bridge, host, none: always there, cannot be removed. */
  readonly predefined: boolean;
  /** It is a configuration, its driver "null": nothing is made for it. */
  readonly configOnly?: boolean;
  /** The configuration it was made after; of overlay, which is several hosts', none. */
  readonly configFrom?: string;
  /** Of overlay: the network's number in VXLAN packets, RFC 7348. */
  readonly vni?: number;
}

export type Protocol = "tcp" | "udp" | "sctp";

/** A port of a container that the host answers on. */
export interface Publication {
  readonly protocol: Protocol;
  readonly containerPort: number;
  /** "0.0.0.0", "::" or one address of the host. */
  readonly hostIp: string;
  /** In a request: first and last of the ports to choose from; 0 and 0 for any of the ephemeral ones. In what has been published both are the port. */
  readonly hostPort: number;
  readonly hostPortEnd: number;
  /** The port is claimed among containers alone: a process of the host may have it, and hears nothing. */
  readonly unreserved?: true;
}

/** How fast a container sends and receives in a network: bytes per second. Absent: as fast as it can. */
export interface Bandwidth {
  readonly receive?: number;
  readonly send?: number;
}

export interface EndpointLink {
  readonly container: string;
  readonly alias: string;
}

export interface EndpointRequest {
  /** Name or id of the network. */
  readonly network: string;
  /** The container's id. */
  readonly container: string;
  /** Fixed addresses; refused where the network's subnet was not chosen by its maker, as Docker does. */
  readonly ipv4?: string;
  readonly ipv6?: string;
  readonly mac?: string;
  /** Names besides the container's own, for this network alone. */
  readonly aliases?: readonly string[];
  /** Names for others in this network that this container alone knows: whoever is called or known as `container` there. */
  readonly links?: readonly EndpointLink[];
  /** The interface's name in the container; absent: "eth" and the first free number. */
  readonly interface?: string;
  /** The endpoint with the highest has the default route; 0 by default. */
  readonly gatewayPriority?: number;
  /** No default route leads by it. */
  readonly withoutGateway?: boolean;
  /** Refused where packets do not pass the host, as with macvlan; 0 is no limit. */
  readonly bandwidth?: Bandwidth;
  /** The container removes itself: the endpoint survives the engine's death, but not the machine's, and costs no wait for the disk. */
  readonly transient?: boolean;
}

/** A container's place in a network. It lasts until it is disconnected, whether the container runs or not; addresses may change from run to run unless they are fixed. */
export interface Endpoint {
  /** 64 hex digits. */
  readonly id: string;
  readonly network: string;
  readonly networkName: string;
  readonly container: string;
  readonly aliases: readonly string[];
  /** Absent: none. */
  readonly links?: readonly EndpointLink[];
  readonly fixed: { readonly ipv4?: string; readonly ipv6?: string; readonly mac?: string };
  readonly interface?: string;
  readonly gatewayPriority: number;
  readonly withoutGateway?: boolean;
  /** Absent: it has never been limited. */
  readonly bandwidth?: Bandwidth;
  /** What it has while its container runs; null otherwise. */
  readonly attached: Attachment | null;
}

/** What an endpoint is in the kernel. */
export interface Attachment {
  /** Its name in the container. */
  readonly interface: string;
  /** The other end of the veth on the host; "" for macvlan. */
  readonly hostInterface: string;
  readonly mac: string;
  /** "172.17.0.2"; null where the network has none of the family. */
  readonly ipv4: string | null;
  readonly ipv4PrefixLength: number;
  readonly ipv4Gateway: string | null;
  readonly ipv6: string | null;
  readonly ipv6PrefixLength: number;
  readonly ipv6Gateway: string | null;
  /** Of overlay: what other hosts call it, the container's own name first. */
  readonly names?: readonly string[];
}

/** What a container has received and sent by an interface since it was started. */
export interface InterfaceCounters {
  readonly rxBytes: number;
  readonly rxPackets: number;
  readonly rxErrors: number;
  readonly rxDropped: number;
  readonly txBytes: number;
  readonly txPackets: number;
  readonly txErrors: number;
  readonly txDropped: number;
}

/** A running container, as networks see it. */
export interface Sandbox {
  /** The container's id. */
  readonly container: string;
  /** A descriptor of its network namespace, the caller's; it is not kept. */
  readonly netns: number;
  /** Its name, by which containers of other hosts find it. */
  readonly name?: string;
}

export interface Published extends Publication {
  /** The endpoint's network that the port is reached through. */
  readonly network: string;
}

/**
 * All networks of one data root. What it says is done is durable; what it makes in the kernel can be made again from what is durable.
 * Errors have the codes network_not_found, network_ambiguous, network_exists, network_in_use, network_invalid, address_invalid, address_in_use,
 * addresses_exhausted, subnet_overlap, port_in_use, port_invalid, endpoint_exists, endpoint_not_found, network_failed,
 * network_configuration_refused, encryption_unavailable.
 */
export interface Networks {
  readonly nodes: Nodes;
  create(request: NetworkRequest): Promise<Network>;
  /** By name, id or unique prefix of an id. */
  get(reference: string): Network;
  list(): readonly Network[];
  /** Whether an endpoint could be attached now. Throws network_not_found, addresses_exhausted. */
  requireAddresses(reference: string): void;
  /** Refused while a container has an endpoint in it, or a network is made after it. */
  remove(reference: string): Promise<Network>;

  /** Gives a container a place in a network. Nothing is made in the kernel. */
  connect(request: EndpointRequest): Endpoint;
  /** Takes it away, and while the container runs also what is in the kernel. The link's removal is not waited for. */
  disconnect(container: string, network: string, sandbox: Sandbox | null): Promise<void>;
  /**
   * Changes how fast a container sends and receives in each of its networks, at once where it runs. All networks or none.
   * @param change what an endpoint is to have instead of what it has
   */
  limit(container: string, change: (endpoint: Endpoint) => Bandwidth): Promise<void>;
  endpointsOf(container: string): readonly Endpoint[];
  endpointsIn(network: string): readonly Endpoint[];

  /**
   * Makes all of a container's endpoints in its namespace: links, addresses, routes, firewall, published ports. All or nothing: on a
   * failure what was made is gone and what was taken is given back. `publish` are requests; what came of them is returned.
   */
  attach(
    sandbox: Sandbox,
    publish: readonly Publication[],
  ): Promise<{ endpoints: readonly Endpoint[]; published: readonly Published[] }>;
  /** One endpoint more, of a container that runs. `publish`: what it publishes besides what it asked for before. */
  attachOne(sandbox: Sandbox, network: string, publish?: readonly Publication[]): Promise<Endpoint>;
  /** What a container that runs publishes from now on. Ports that it had stay as they are. Nothing has changed when it throws. */
  republish(container: string, publish: readonly Publication[]): void;
  /**
   * Two containers that run: `to` publishes these from now on. Ports that it asks for and `from` has it gets from it, and they answer all
   * the while; connections that there are stay with `from`. Nothing has changed when it throws.
   */
  handOver(from: string, to: string, publish: readonly Publication[]): void;
  /**
   * After `reconcile`, for a container that was being connected or disconnected when its engine died: every endpoint it has is made, whole,
   * and its default routes lead where they should. One that cannot be made is taken from it, and that is logged.
   */
  settle(sandbox: Sandbox): Promise<void>;
  /** The container has ended: addresses, rules and ports are free again at once; its links went with its namespace. Idempotent. */
  detach(container: string): Promise<void>;
  publishedBy(container: string): readonly Published[];
  /** A running container has another name: hosts that share its networks find it by that. What cannot be told now is told later. */
  rename(container: string, name: string): Promise<void>;

  /**
   * After a start of the engine: brings kernel and database together. `running` are the containers that run; what others still have is
   * given back, bridges, rules and ports that are missing are made again.
   */
  reconcile(running: readonly Sandbox[]): Promise<void>;
  /** Forgets a container with all its endpoints. */
  forget(container: string): Promise<void>;
  /** Every kernel object and rule of a network, in the words of `ip` and `nft`: what `network explain` prints. */
  explain(reference: string): Promise<string>;
  /** Resolves when what is removed in the background is gone. */
  idle(): Promise<void>;
  /**
   * For an engine that ends: takes away from the host what no running container needs, bridges of networks without one and, if there is
   * none at all, the table of rules. It is made again when somebody needs it.
   */
  withdraw(): Promise<void>;
  /** What is in the kernel stays. */
  close(): Promise<void>;
}

/** A host that shares overlay networks with this one. */
export interface Node {
  /** 16 hex digits. */
  readonly id: string;
  readonly name: string;
  /** Where it takes VXLAN packets. */
  readonly address: string;
  /** RFC 3339, UTC. */
  readonly joined: string;
  /** "down": nothing has been heard of its engine for some time; its addresses are still its own. */
  readonly status: "up" | "down";
  readonly isSelf: boolean;
  /** Containers that run there in overlay networks. */
  readonly containers: number;
}

export interface JoinRequest {
  /** "etcd://user:password@10.0.0.1:2379,10.0.0.2:2379/prefix" */
  readonly url: string;
  /** Absent: the host's. */
  readonly name?: string;
  /** Absent: the one that etcd is reached from. */
  readonly address?: string;
  /** UDP port of VXLAN, on all hosts the same; absent: 4789. */
  readonly port?: number;
  /** UDP port of WireGuard, for encrypted networks; absent: 51820. */
  readonly sealPort?: number;
  /** PEM texts: who signed etcd's certificate; certificate and key of this host. */
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  /** Seconds that this host counts as up after it was last heard of; absent: 30. */
  readonly aliveSeconds?: number;
  /** Seconds that its addresses stay its own; absent: 86,400. */
  readonly addressSeconds?: number;
}

export interface ClusterStatus {
  readonly node: Node;
  readonly endpoints: readonly string[];
  readonly prefix: string;
  readonly connected: boolean;
  /** Why it is not connected; null if it is. */
  readonly problem: string | null;
  /** Its addresses may be others' by now: its tunnels are down. */
  readonly fenced: boolean;
}

/** A container of another host. */
export interface RemoteEndpoint {
  readonly container: string;
  readonly names: readonly string[];
  readonly ipv4: string | null;
  readonly ipv6: string | null;
}

/** Told of what other hosts change. Nothing of it may throw. */
export interface ClusterListener {
  network(network: Network): void;
  networkGone(network: Network): void;
  endpoint(network: string, endpoint: RemoteEndpoint): void;
  endpointGone(network: string, container: string): void;
}

/** The cluster whose overlay networks this host shares. Errors: node_not_found, node_exists, node_invalid, node_in_use, cluster_unavailable. */
export interface Nodes {
  join(request: JoinRequest): Promise<Node>;
  /** Refused while a container of this host has an endpoint in an overlay network. */
  leave(): Promise<Node>;
  /** Null without a cluster. */
  status(): ClusterStatus | null;
  list(): readonly Node[];
  /** Forgets a node that is down, and frees its addresses. */
  remove(reference: string): Promise<Node>;
  /** Containers of hosts that are up, of an overlay network. */
  remote(network: string): readonly RemoteEndpoint[];
}

export interface NetworkOptions {
  /** The directory of the networks' database. */
  readonly root: string;
  /** Names kernel objects so that engines with other roots have others: eight hex digits. */
  readonly tag: string;
  log(message: string): void;
  /** How a container is called in messages; absent: by its short id. */
  nameOf?(container: string): string;
  readonly cluster?: ClusterListener;
  /** What an administrator wants; asked for whenever it is needed. Absent: nothing in particular. */
  settings?(): NetworkSettings;
}

/** Subnets of so many bits within a prefix: { base: "10.200.0.0/16", size: 24 }. */
export interface AddressPool {
  readonly base: string;
  readonly size: number;
}

export interface NetworkSettings {
  /** Where the subnets of networks come from whose maker chose none; of a family that is not among them: Docker's. */
  readonly pools: readonly AddressPool[];
  /** By driver: options that a new network has unless its maker says otherwise. */
  readonly options: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** The default network, each time it is made anew in the kernel. */
  readonly bridge: DefaultBridge;
}

export interface DefaultBridge {
  /** The host's address in it, with the subnet: "10.1.2.1/24". */
  readonly address?: string;
  /** Where in the subnet containers get theirs; without `address` the subnet. */
  readonly range?: string;
  readonly mtu?: number;
  readonly options: Readonly<Record<string, string>>;
}
