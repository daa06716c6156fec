/** What plugins are told of one attachment: CNI_ARGS, and the capability arguments of CONVENTIONS.md. Pure. */
import { isIp, parseMac } from "../../sys/ipaddress.ts";
import { NetworkError } from "../errors.ts";
import type { Bandwidth, Publication } from "../types.ts";
import type { NetworkConfig } from "./config.ts";
import type { JsonObject } from "./json.ts";
import type { CniDns, CniEndpointRequest } from "./types.ts";

export const has = ({ plugins }: NetworkConfig, capability: string): boolean =>
  plugins.some(({ capabilities }) => capabilities.includes(capability));

const invalid = (why: string): NetworkError => new NetworkError("network_invalid", why);

const ARGUMENT = "cni.arg.";

/** @throws NetworkError network_invalid */
function checkOptions(network: string, options: Readonly<Record<string, string>>): void {
  for (const [key, value] of Object.entries(options)) {
    if (!key.startsWith(ARGUMENT)) throw invalid(`network ${network} has no option ${key}; it has ${ARGUMENT}NAME`);
    if (/^[^;=\s\p{Cc}]+$/u.test(key.slice(ARGUMENT.length)) && /^[^;\p{Cc}]*$/u.test(value)) continue;
    throw invalid(`network ${network}: option ${key}: CNI_ARGS are NAME=VALUE with no ";" in them`);
  }
}

/** As with limits of our own networks: a burst is 20 ms at the rate, and no less than what the kernel hands over at once. In bits. */
const burstOf = (rate: number): number => Math.min(Math.max(Math.ceil(rate / 50), 528_000), 2 ** 31 - 1);

/** Plugins count in bits; what comes in to the container is ingress. */
function rateArguments({ receive = 0, send = 0 }: Bandwidth): JsonObject | undefined {
  if (receive === 0 && send === 0) return undefined;
  const [ingressRate, egressRate] = [receive * 8, send * 8];
  return {
    ...(receive === 0 ? {} : { ingressRate, ingressBurst: burstOf(ingressRate) }),
    ...(send === 0 ? {} : { egressRate, egressBurst: burstOf(egressRate) }),
  };
}

/** Ports as the capability has them. Those on every address of both families are one. */
const mappingsOf = (published: readonly Publication[]): JsonObject[] => {
  const mappings = published.map(({ hostIp, hostPort, containerPort, protocol }) => ({
    hostPort,
    containerPort,
    protocol,
    ...(hostIp === "0.0.0.0" || hostIp === "::" ? {} : { hostIP: hostIp }),
  }));
  return [...new Map(mappings.map((mapping) => [JSON.stringify(mapping), mapping])).values()];
};

/**
 * Says what is wrong with a place in a network before anything is made: what is asked for that no plugin of it takes.
 * @throws NetworkError network_invalid, address_invalid
 */
export function checkEndpoint(config: NetworkConfig, endpoint: CniEndpointRequest): void {
  const { network, ipv4, ipv6, mac, aliases = [], gatewayPriority, bandwidth = {}, driverOptions = {} } = endpoint;
  const needs = (capability: string, what: string): void => {
    if (has(config, capability)) return;
    throw invalid(`network ${network} has no plugin with the capability ${capability}, so ${what} cannot be had there`);
  };
  for (const [address, v6] of [[ipv4, false] as const, [ipv6, true] as const]) {
    if (address === undefined) continue;
    if (!isIp(address) || address.includes(":") !== v6)
      throw new NetworkError("address_invalid", `${address} is no address of ${v6 ? "IPv6" : "IPv4"}`);
    needs("ips", `the address ${address}`);
  }
  if (mac !== undefined) {
    try {
      parseMac(mac);
    } catch {
      throw new NetworkError("address_invalid", `${mac} is no hardware address`);
    }
    needs("mac", `the hardware address ${mac}`);
  }
  if (aliases.length > 0) needs("aliases", `the alias ${aliases[0]}`);
  if (gatewayPriority !== undefined)
    throw invalid(`network ${network}: gw-priority is for networks of onggi's; here plugins make the routes`);
  if (endpoint.interface !== undefined && !/^(?!\.{1,2}$)[a-zA-Z0-9_.-]{1,15}$/.test(endpoint.interface))
    throw invalid(`network ${network}: "${endpoint.interface}" is no name of an interface: 1 to 15 letters, digits, _, . and -`);
  checkOptions(network, driverOptions);
  if (rateArguments(bandwidth) !== undefined) needs("bandwidth", "a limit of what is sent or received");
}

/** Capability arguments of a place that has been checked; requestConfig leaves out of them what a plugin does not want. */
export function capabilitiesOf(
  { ipv4, ipv6, mac, aliases = [], bandwidth = {} }: CniEndpointRequest,
  { published, dns }: { readonly published: readonly Publication[]; readonly dns: CniDns },
): JsonObject {
  const ips = [ipv4, ipv6].filter((address) => address !== undefined);
  const rates = rateArguments(bandwidth);
  const { servers, searches, options } = dns;
  return {
    ...(published.length > 0 ? { portMappings: mappingsOf(published) } : {}),
    ...(rates === undefined ? {} : { bandwidth: rates }),
    ...(ips.length > 0 ? { ips } : {}),
    ...(mac === undefined ? {} : { mac }),
    ...(aliases.length > 0 ? { aliases } : {}),
    ...(servers.length + searches.length + options.length > 0 ? { dns: { servers, searches, options } } : {}),
  };
}

/** CNI_ARGS. */
export const argumentsOf = ({ driverOptions = {} }: CniEndpointRequest): string =>
  Object.entries(driverOptions)
    .filter(([key]) => key.startsWith(ARGUMENT))
    .map(([key, value]) => `${key.slice(ARGUMENT.length)}=${value}`)
    .join(";");
