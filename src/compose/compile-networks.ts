import type { ContainerLink, ContainerRequest, NetworkEndpoint, PortRequest } from "../api/control/types.ts";
import { omitAbsent } from "../lib/tables.ts";
import { invalid, unsupported } from "./compile-errors.ts";
import { containerName, networksOf, serviceOfMode } from "./names.ts";
import type { Port, Project, Service, ServiceNetwork } from "./project.ts";

interface Place {
  readonly number: number | null;
  readonly name: string;
  readonly withoutAliases?: boolean;
  peer(service: string): string | undefined;
}

/** In which networks a container is, or whose it shares, and what it knows of others. */
export function compileNetworking(project: Project, service: Service, place: Place): Partial<ContainerRequest> {
  const names = omitAbsent({
    dns: service.dns,
    dnsSearch: service.dns_search,
    dnsOptions: service.dns_opt,
    extraHosts:
      service.extra_hosts &&
      Object.entries(service.extra_hosts).flatMap(([name, addresses]) => addresses.map((address) => `${name}:${address}`)),
  });
  const mode = service.network_mode;
  if (mode === undefined || mode === "") {
    const networks = endpoints(project, service, place);
    return networks.length > 0 ? { ...names, networks } : { ...names, network: "none" };
  }
  const shared = serviceOfMode(mode);
  if (shared !== undefined) {
    const peer = place.peer(shared);
    if (peer === undefined) throw invalid(service, "network_mode", `service ${shared} has no container to share with`);
    return { ...names, network: `container:${peer}` };
  }
  if (mode === "none" || mode === "host" || mode.startsWith("container:")) return { ...names, network: mode };
  return { ...names, networks: [{ network: mode === "default" ? "bridge" : mode, ...linked(service) }] };
}

/** Those with the highest priority first, then by name. */
function endpoints(project: Project, service: Service, place: Place): NetworkEndpoint[] {
  const order = Object.entries(networksOf(project, service)).sort(
    ([a, x], [b, y]) => (y?.priority ?? 0) - (x?.priority ?? 0) || (a < b ? -1 : 1),
  );
  return order.map(([key, given], index) => {
    const network = project.networks[key];
    if (network === undefined) throw invalid(service, `networks.${key}`, "the project has no network of that name");
    return { network: network.name, ...endpoint(project, service, place, given ?? {}, key, index === 0) };
  });
}

const INTERFACE_NAME = "com.docker.network.endpoint.ifname";

function endpoint(
  project: Project,
  service: Service,
  { number, name, withoutAliases }: Place,
  given: ServiceNetwork,
  key: string,
  first: boolean,
): Omit<NetworkEndpoint, "network"> {
  if (given.link_local_ips?.length)
    throw unsupported(service, `networks.${key}.link_local_ips`, "an interface has the kernel's own");
  const { [INTERFACE_NAME]: named, ...driverOptions } = given.driver_opts ?? {};
  const mac = given.mac_address ?? (first ? service.mac_address : undefined);
  const own = number === null ? name : containerName(project.name, service, number);
  return omitAbsent({
    aliases: [...new Set([own, ...(withoutAliases ? [] : [service.name, ...(given.aliases ?? [])])])],
    ipv4: given.ipv4_address,
    ipv6: given.ipv6_address,
    mac,
    interface: given.interface_name ?? named,
    gatewayPriority: given.gw_priority,
    driverOptions: Object.keys(driverOptions).length > 0 ? driverOptions : undefined,
    ...linked(service),
  });
}

/** Names that it alone knows others by: "db", "db:database". */
function linked(service: Service): { links?: ContainerLink[] } {
  const links = [...(service.links ?? []), ...(service.external_links ?? [])].map((link) => {
    const [container = "", alias = container] = link.split(":");
    return { container, alias };
  });
  return links.length > 0 ? { links } : {};
}

export function compilePorts(service: Service): PortRequest[] | undefined {
  return service.ports && service.ports.length > 0 ? service.ports.map((port) => portOf(service, port)) : undefined;
}

function portOf(service: Service, { target, host_ip = "", published = "", protocol }: Port): PortRequest {
  if (protocol !== "tcp" && protocol !== "udp" && protocol !== "sctp")
    throw invalid(service, "ports", `protocol "${protocol}" is not one of tcp, udp, sctp`);
  const [, first = "", last = first] = /^(\d+)(?:-(\d+))?$/.exec(published) ?? [];
  if (published !== "" && first === "")
    throw invalid(service, "ports", `published "${published}" is neither a port nor a range of them`);
  return { protocol, containerPort: target, hostIp: host_ip, hostPort: Number(first || 0), hostPortEnd: Number(last || 0) };
}
