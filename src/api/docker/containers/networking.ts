/** What a create request says of networks and ports, in the engine's words. */
import type { ContainerLink, ContainerRequest, NetworkEndpoint, PortRequest } from "../../../engine/types.ts";
import { ApiError } from "../errors.ts";
import type { Of } from "../schema.ts";
import type { createConfig, endpointConfig, hostConfig } from "./config.ts";

type Host = Of<typeof hostConfig>;
type Networking = Pick<
  ContainerRequest,
  "network" | "networks" | "links" | "publish" | "publishAll" | "expose" | "dns" | "dnsSearch" | "dnsOptions" | "extraHosts"
>;

const IFNAME = "com.docker.network.endpoint.ifname";
const isMode = (mode: string): boolean => mode === "none" || mode === "host" || /^(container|ns):/.test(mode);

/** Throws ApiError for what networks here do not have. */
export function endpointOf(network: string, given: Of<typeof endpointConfig> | null): NetworkEndpoint {
  const { IPAMConfig: ipam = {}, Aliases, MacAddress, DriverOpts = {}, GwPriority, Links } = given ?? {};
  if (ipam.LinkLocalIPs?.length) throw new ApiError(400, "LinkLocalIPs are not supported");
  for (const option of Object.keys(DriverOpts))
    if (option !== IFNAME) throw new ApiError(400, `driver option ${option} is not supported; ${IFNAME} is`);
  return {
    network,
    ...(Aliases?.length ? { aliases: Aliases } : {}),
    ...(Links?.length ? { links: Links.map(linkOf) } : {}),
    ...(ipam.IPv4Address ? { ipv4: ipam.IPv4Address } : {}),
    ...(ipam.IPv6Address ? { ipv6: ipam.IPv6Address } : {}),
    ...(MacAddress ? { mac: MacAddress } : {}),
    ...(GwPriority ? { gatewayPriority: GwPriority } : {}),
    ...(DriverOpts[IFNAME] ? { interface: DriverOpts[IFNAME] } : {}),
  };
}

/** "NAME", "NAME:ALIAS", "/NAME:/CONTAINER/ALIAS". */
function linkOf(text: string): ContainerLink {
  const [name = "", alias = name, ...more] = text.split(":");
  if (name === "" || alias === "" || more.length > 0) throw new ApiError(400, `bad format for links: ${text}`);
  return { container: name.replace(/^\//, ""), alias: alias.replace(/^.*\//, "") };
}

const portNumber = (what: string, given: string): number => {
  const port = /^\d{1,5}$/.test(given) ? Number(given) : 0;
  if (port < 1 || port > 65535) throw new ApiError(400, `invalid port specification: ${JSON.stringify(what)}`);
  return port;
};

/** "80/tcp", "80". */
function splitPort(spec: string): { number: string; protocol: PortRequest["protocol"] } {
  const [number = "", protocol = "tcp"] = spec.split("/", 2);
  const known = (["tcp", "udp", "sctp"] as const).find((one) => one === protocol.toLowerCase());
  if (!known) throw new ApiError(400, `invalid port specification: ${JSON.stringify(spec)}`);
  return { number, protocol: known };
}

function publishedOf(bindings: NonNullable<Host["PortBindings"]>): PortRequest[] {
  return Object.entries(bindings).flatMap(([spec, asked]) => {
    const { number, protocol } = splitPort(spec);
    const containerPort = portNumber(spec, number);
    // no binding at all is any port of the host
    return (asked?.length ? asked : [{}]).map(({ HostIp = "", HostPort = "" }): PortRequest => {
      const [first = "", last = first] = HostPort.split("-", 2);
      const hostPort = first === "" || first === "0" ? 0 : portNumber(HostPort, first);
      const hostPortEnd = hostPort === 0 ? 0 : portNumber(HostPort, last);
      if (hostPortEnd < hostPort) throw new ApiError(400, `invalid port specification: ${JSON.stringify(HostPort)}`);
      return { protocol, containerPort, hostIp: HostIp, hostPort, hostPortEnd };
    });
  });
}

/** "80/tcp" each; a range "8000-8010/tcp" is spelled out. */
function exposedOf(ports: readonly string[]): string[] {
  return ports.flatMap((spec) => {
    const { number, protocol } = splitPort(spec);
    const [from = "", to = from] = number.split("-", 2);
    const [first, last] = [portNumber(spec, from), portNumber(spec, to)];
    return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => `${first + index}/${protocol}`);
  });
}

export function networkingOf(config: Of<typeof createConfig>): Networking {
  const host = config.HostConfig ?? {};
  const asked = config.NetworkDisabled ? "none" : host.NetworkMode || "default";
  const mode = asked === "default" || asked === "bridge" ? "bridge" : asked;
  const named = Object.entries(config.NetworkingConfig?.EndpointsConfig ?? {}).map(([name, given]) =>
    endpointOf(name === "default" ? "bridge" : name, given),
  );
  const publish = publishedOf(host.PortBindings ?? {});
  const expose = exposedOf(Object.keys(config.ExposedPorts ?? {}));
  return {
    ...(isMode(mode) ? { network: mode } : endpointsOf(mode, named, config.MacAddress)),
    ...(host.Links?.length ? { links: host.Links.map(linkOf) } : {}),
    ...(publish.length > 0 ? { publish } : {}),
    ...(host.PublishAllPorts ? { publishAll: true } : {}),
    ...(expose.length > 0 ? { expose } : {}),
    ...(host.Dns?.length ? { dns: host.Dns } : {}),
    ...(host.DnsSearch?.length ? { dnsSearch: host.DnsSearch } : {}),
    ...(host.DnsOptions?.length ? { dnsOptions: host.DnsOptions } : {}),
    ...(host.ExtraHosts?.length ? { extraHosts: host.ExtraHosts } : {}),
  };
}

/** The network of NetworkMode comes first; what the others are is said by EndpointsConfig. */
function endpointsOf(mode: string, named: readonly NetworkEndpoint[], mac: string | undefined): Networking {
  const first = { ...(named.find(({ network }) => network === mode) ?? { network: mode }), ...(mac ? { mac } : {}) };
  const networks = [first, ...named.filter(({ network }) => network !== mode)];
  // nothing but the default network: as if nobody had said anything
  return networks.length === 1 && mode === "bridge" && Object.keys(first).length === 1 ? {} : { networks };
}
