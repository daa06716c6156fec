/** What somebody asks for of a network, checked. Pure. */
import { completePool, type GatewayPool } from "./addresses.ts";
import { NetworkError } from "./errors.ts";
import { type DriverOptions, hasParent, isInterfaceName, parseOptions } from "./options.ts";
import { addressText, type Family, familyOf, parseAddress } from "./prefixes.ts";
import type { EndpointRequest, NetworkDriver, NetworkRequest } from "./types.ts";

const invalid = (message: string): NetworkError => new NetworkError("network_invalid", message);
const namePattern = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
const NAME_LENGTH = 255;

export interface CheckedRequest {
  readonly name: string;
  readonly driver: NetworkDriver;
  readonly ipv4: boolean;
  readonly ipv6: boolean;
  readonly internal: boolean;
  readonly pools: readonly GatewayPool[];
  /** Families for which a subnet is to be chosen. */
  readonly missing: readonly Family[];
  readonly options: Readonly<Record<string, string>>;
  readonly parsed: DriverOptions;
  readonly labels: Readonly<Record<string, string>>;
  readonly lease: string | undefined;
  readonly configFrom: string | undefined;
}

function checkDriver(driver: string): NetworkDriver {
  if (driver === "bridge" || driver === "overlay" || driver === "macvlan" || driver === "ipvlan") return driver;
  if (driver === "host" || driver === "null" || driver === "none") {
    throw invalid(`there is one network of driver ${driver}, and it is there already`);
  }
  throw invalid(`no network driver "${driver}"; there are bridge, overlay, macvlan and ipvlan`);
}

/** @throws NetworkError network_invalid */
export function checkName(name: string): void {
  if (!namePattern.test(name)) {
    throw invalid(`network name "${name}": it begins with a letter or digit, and has only letters, digits, "_", "." and "-"`);
  }
  if (name.length > NAME_LENGTH) throw invalid(`network name of ${name.length} characters: it has at most ${NAME_LENGTH}`);
  if (name === "default") throw invalid('network name "default" stands for network bridge: choose another');
}

/** Which families are on. @throws NetworkError network_invalid where the pools are not of those */
export function checkFamilies(
  { name, ipv4 = true, ipv6 }: NetworkRequest,
  pools: readonly GatewayPool[],
): { readonly ipv4: boolean; readonly ipv6: boolean } {
  const families = pools.map(({ subnet }) => familyOf(subnet));
  const on = { ipv4, ipv6: ipv6 ?? families.includes(6) };
  if (new Set(families).size < families.length) throw invalid(`network ${name}: one subnet for each of IPv4 and IPv6, not more`);
  if (!on.ipv4 && !on.ipv6) throw invalid(`network ${name}: neither IPv4 nor IPv6 is on; one must be`);
  for (const family of families) {
    if (!on[`ipv${family}`]) throw invalid(`network ${name} has a subnet of IPv${family}, but IPv${family} is off`);
  }
  return on;
}

/** @throws NetworkError network_invalid, address_invalid */
export function checkRequest(request: NetworkRequest): CheckedRequest {
  const { name, internal = false, options = {}, labels = {}, lease, configFrom } = request;
  checkName(name);
  const driver = checkDriver(request.driver ?? "bridge");
  if (driver === "overlay" && lease !== undefined) {
    throw invalid(`network ${name}: one of driver overlay belongs to several hosts, and cannot be under a lease`);
  }
  const parsed = parseOptions(driver, options);
  if (parsed.hostBinding !== undefined && parseAddress(parsed.hostBinding, "option host_binding_ipv4").family !== 4) {
    throw invalid(`option host_binding_ipv4=${parsed.hostBinding}: it is no address of IPv4`);
  }
  if (hasParent({ driver }) && parsed.parent === "") {
    throw invalid(
      `${driver === "ipvlan" ? "an" : "a"} ${driver} network lies on an interface of this host: give it by --opt parent=NAME`,
    );
  }
  const pools = (request.pools ?? []).map(completePool);
  const on = checkFamilies(request, pools);
  const families = pools.map(({ subnet }) => familyOf(subnet));
  const missing = ([4, 6] as const).filter((family) => on[`ipv${family}`] && !families.includes(family));
  return { name, driver, ...on, internal, pools, missing, options, parsed, labels, lease, configFrom };
}

/** The addresses that an endpoint is to have, in canonical text. @throws NetworkError address_invalid, network_invalid */
export function checkFixed({ ipv4, ipv6, mac, interface: name }: EndpointRequest): {
  readonly ipv4?: string;
  readonly ipv6?: string;
  readonly mac?: string;
} {
  const address = (text: string, wanted: Family): string => {
    const { family, number } = parseAddress(text, "address");
    if (family !== wanted) throw new NetworkError("address_invalid", `address ${text} is not one of IPv${wanted}`);
    return addressText(family, number);
  };
  if (mac !== undefined && !/^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/i.test(mac)) {
    throw new NetworkError("address_invalid", `MAC address "${mac}": give it as 02:42:ac:11:00:02`);
  }
  if (mac !== undefined && ((Number.parseInt(mac.slice(0, 2), 16) & 1) !== 0 || /^[0:]+$/.test(mac))) {
    throw new NetworkError("address_invalid", `MAC address ${mac} is not one of a single interface`);
  }
  if (name !== undefined && (!isInterfaceName(name) || name === "lo")) {
    throw invalid(`interface name "${name}": it has 1 to 15 bytes, no space and none of / : %, and is not lo`);
  }
  return {
    ...(ipv4 === undefined ? {} : { ipv4: address(ipv4, 4) }),
    ...(ipv6 === undefined ? {} : { ipv6: address(ipv6, 6) }),
    ...(mac === undefined ? {} : { mac: mac.toLowerCase() }),
  };
}
