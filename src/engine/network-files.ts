/** /etc/hosts and /etc/resolv.conf of a container, as Docker makes them. Pure. */
import { OnggiError } from "../lib/errors.ts";
import { isIp } from "../sys/ipaddress.ts";
import type { ContainerRequest } from "./types.ts";

const LOCAL = `127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
ff00::0\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
`;

/** Where Docker's name servers are that the world has when a host has none that a container could reach. */
const PUBLIC_SERVERS = ["8.8.8.8", "8.8.4.4"];

/** "NAME:ADDRESS" or "NAME=ADDRESS", as `--add-host` takes it. Throws "extra_host_invalid". */
export function parseExtraHost(text: string, hostGateway: string | null): { name: string; address: string } {
  const [, name = "", given = ""] = /^([^:=\s]+)[:=](.+)$/.exec(text) ?? [];
  const address = given.replace(/^\[(.*)\]$/, "$1");
  if (address === "host-gateway") {
    if (hostGateway !== null) return { name, address: hostGateway };
    throw new OnggiError("extra_host_invalid", `--add-host ${text}: there is no bridge network whose gateway the host would be`);
  }
  if (name !== "" && isIp(address)) return { name, address };
  throw new OnggiError("extra_host_invalid", `--add-host ${text}: write NAME:ADDRESS or NAME:host-gateway`);
}

/** The address of a name server, with an interface of the host after "%" if it is link-local. Throws "dns_invalid". */
export function checkNameServer(text: string): void {
  if (isIp(text.replace(/%[^%\s]+$/, ""))) return;
  throw new OnggiError("dns_invalid", `--dns ${text}: write the address of a name server, such as 9.9.9.9`);
}

export interface HostsInput {
  readonly hostname: string;
  readonly domainname?: string | undefined;
  /** What the container answers to in its networks; none: the loopback device alone. */
  readonly addresses: readonly string[];
  readonly extraHosts: readonly string[];
  readonly links?: readonly { readonly address: string; readonly names: readonly string[] }[];
  /** Address of the host as the container reaches it. */
  readonly hostGateway: string | null;
}

export function hostsText({ hostname, domainname, addresses, extraHosts, links = [], hostGateway }: HostsInput): string {
  const extra = extraHosts.map((text) => {
    const { name, address } = parseExtraHost(text, hostGateway);
    return `${address}\t${name}\n`;
  });
  const full = domainname ? `${hostname}.${domainname}` : hostname;
  const names = full.includes(".") ? `${full} ${full.split(".")[0]}` : full;
  const own = (addresses.length > 0 ? addresses : ["127.0.1.1"]).map((address) => `${address}\t${names}\n`);
  const linked = links.map((link) => `${link.address}\t${link.names.join(" ")}\n`);
  return [LOCAL, ...extra, ...linked, ...own].join("");
}

type DnsRequest = Pick<ContainerRequest, "dns" | "dnsSearch" | "dnsOptions">;

const lineOf = (key: string, values: readonly string[]): string => (values.length > 0 ? `${key} ${values.join(" ")}\n` : "");

const valuesOf = (text: string, key: string): string[] =>
  text
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter(([first]) => first === key)
    .flatMap(([, ...values]) => values);

const isLoopback = (address: string): boolean => address.startsWith("127.") || address === "::1";

/** Name servers of the host's that a container in a network of its own can reach. */
export const reachableServers = (host: string): string[] => {
  const servers = valuesOf(host, "nameserver").filter((address) => isIp(address.split("%")[0] ?? "") && !isLoopback(address));
  return servers.length > 0 ? servers : PUBLIC_SERVERS;
};

/**
 * For a container that has networks; `host` is the text of the host's file, `resolver` the address of the resolver of its networks
 * where they have one.
 */
export function resolvText(
  { dns = [], dnsSearch = [], dnsOptions = [] }: DnsRequest,
  host: string,
  resolver: string | null,
): string {
  const servers = resolver !== null ? [resolver] : dns.length > 0 ? dns : reachableServers(host);
  const search = dnsSearch.length > 0 ? dnsSearch.filter((domain) => domain !== ".") : valuesOf(host, "search");
  const asked = dnsOptions.length > 0 ? dnsOptions : valuesOf(host, "options");
  const options = resolver !== null && !asked.some((option) => option.startsWith("ndots:")) ? [...asked, "ndots:0"] : asked;
  return [...servers.map((server) => `nameserver ${server}\n`), lineOf("search", search), lineOf("options", options)].join("");
}

/** For a container that shares the host's network: the host's own, unless something else is asked for. */
export const hostResolvText = (request: DnsRequest, host: string): string => {
  const { dns = [], dnsSearch = [], dnsOptions = [] } = request;
  if (dns.length + dnsSearch.length + dnsOptions.length === 0) return host;
  return resolvText({ ...request, dns: dns.length > 0 ? dns : valuesOf(host, "nameserver") }, host, null);
};
