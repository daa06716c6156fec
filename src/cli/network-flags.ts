import type { ContainerLink, ContainerRequest, NetworkEndpoint } from "../api/control/types.ts";
import { messageOf } from "../lib/errors.ts";
import { parseRate } from "../lib/units.ts";
import type { containerFlags } from "./container-flags.ts";
import { UsageError } from "./errors.ts";
import type { Values } from "./flags.ts";
import { parseExpose, parsePublish } from "./ports.ts";

/** What the flags of `run` and `create` say of networks. */

type Given = Values<typeof containerFlags>;
type NetworkRequest = Pick<
  ContainerRequest,
  "network" | "networks" | "links" | "publish" | "publishAll" | "expose" | "dns" | "dnsSearch" | "dnsOptions" | "extraHosts"
>;

const isMode = (text: string): boolean => text === "none" || text === "host" || /^(container|ns):/.test(text);

/** "name=NET,alias=A,link=CONTAINER:ALIAS,ip=ADDRESS,ip6=ADDRESS,mac-address=MAC,gw-priority=N,receive=RATE,send=RATE,driver-opt=...", or a name. Throws UsageError. */
export function parseNetwork(spec: string): NetworkEndpoint {
  if (!spec.includes("=")) return { network: spec };
  const endpoint: NetworkEndpoint = { network: "" };
  for (const field of spec.split(",")) {
    const [key = "", value = ""] = field.split(/=(.*)/s);
    switch (key) {
      case "name":
        endpoint.network = value;
        break;
      case "alias":
        endpoint.aliases = [...(endpoint.aliases ?? []), value];
        break;
      case "ip":
        endpoint.ipv4 = value;
        break;
      case "ip6":
        endpoint.ipv6 = value;
        break;
      case "mac-address":
        endpoint.mac = value;
        break;
      case "gw-priority":
        if (!/^-?\d+$/.test(value)) throw new UsageError(`--network ${spec}: gw-priority must be a number`);
        endpoint.gatewayPriority = Number(value);
        break;
      case "link":
        endpoint.links = [...(endpoint.links ?? []), parseLink(value)];
        break;
      case "receive":
      case "send":
        endpoint.bandwidth = { ...endpoint.bandwidth, [key]: rateOf(value, `--network ${spec}: ${key}`) };
        break;
      case "driver-opt": {
        const [option = "", name = ""] = value.split(/=(.*)/s);
        if (option.startsWith("cni.arg.")) {
          endpoint.driverOptions = { ...endpoint.driverOptions, [option]: name };
          break;
        }
        if (option !== "com.docker.network.endpoint.ifname")
          throw new UsageError(
            `--network ${spec}: driver option "${option}" is not known; com.docker.network.endpoint.ifname and cni.arg.NAME are`,
          );
        endpoint.interface = name;
        break;
      }
      default:
        throw new UsageError(
          `--network ${spec}: unknown key "${key}"; known are name, alias, link, ip, ip6, mac-address, gw-priority, receive, send, driver-opt`,
        );
    }
  }
  if (endpoint.network === "") throw new UsageError(`--network ${spec}: needs name=NETWORK`);
  return endpoint;
}

function rateOf(text: string, name: string): number {
  try {
    return parseRate(text, name);
  } catch (error) {
    throw new UsageError(messageOf(error));
  }
}

/** "CONTAINER:ALIAS", "CONTAINER"; also as inspect shows it: "/CONTAINER:/WHO/ALIAS". Throws UsageError. */
export function parseLink(text: string): ContainerLink {
  const [container = "", alias = container, ...more] = text.split(":");
  if (container === "" || alias === "" || more.length > 0) throw new UsageError(`bad format for links: ${text}`);
  return container.startsWith("/") ? { container: container.slice(1), alias: alias.replace(/^.*\//, "") } : { container, alias };
}

/** `--ip` and its like are the first network's. */
const ofFirst = (given: Given): Partial<NetworkEndpoint> => ({
  ...(given["network-alias"] ? { aliases: given["network-alias"] } : {}),
  ...(given.ip === undefined ? {} : { ipv4: given.ip }),
  ...(given.ip6 === undefined ? {} : { ipv6: given.ip6 }),
  ...(given["mac-address"] === undefined ? {} : { mac: given["mac-address"] }),
});

/** Throws UsageError. */
export function networkRequest(given: Given): NetworkRequest {
  const asked = (given.network ?? []).map((spec) => (spec === "default" ? "bridge" : spec));
  const mode = asked.find(isMode);
  if (mode !== undefined && asked.length > 1) throw new UsageError(`--network ${mode} goes with no other --network`);
  const first = ofFirst(given);
  if (mode !== undefined && Object.keys(first).length > 0)
    throw new UsageError(`--ip, --ip6, --mac-address and --network-alias need a network; --network ${mode} is none`);
  const endpoints = mode === undefined ? asked.map(parseNetwork) : [];
  if (mode === undefined && Object.keys(first).length > 0)
    endpoints[0] = { ...(endpoints[0] ?? { network: "bridge" }), ...first };
  const publish = (given.publish ?? []).flatMap(parsePublish);
  const expose = (given.expose ?? []).flatMap(parseExpose);
  return {
    ...(mode === undefined ? {} : { network: mode }),
    ...(endpoints.length > 0 ? { networks: endpoints } : {}),
    ...(given.link ? { links: given.link.map(parseLink) } : {}),
    ...(publish.length > 0 ? { publish } : {}),
    ...(given["publish-all"] ? { publishAll: true } : {}),
    ...(expose.length > 0 ? { expose } : {}),
    ...(given.dns ? { dns: given.dns } : {}),
    ...(given["dns-search"] ? { dnsSearch: given["dns-search"] } : {}),
    ...(given["dns-option"] ? { dnsOptions: given["dns-option"] } : {}),
    ...(given["add-host"] ? { extraHosts: given["add-host"] } : {}),
  };
}
