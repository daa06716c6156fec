/** CNI networks and attachments in the form of our own. Pure. */
import { createHash } from "node:crypto";
import { rfc3339 } from "../../lib/time.ts";
import { addressText, parseSubnet } from "../prefixes.ts";
import type { Attachment, Endpoint, Pool } from "../types.ts";
import type { AttachmentRecord } from "./attachments.ts";
import { conflistOf, type NetworkConfig } from "./config.ts";
import type { ConfigFile } from "./config-files.ts";
import { isObject, isText } from "./json.ts";
import { parseResult, type Result, type ResultAddress } from "./result.ts";
import { type CniEndpointRequest, type CniNetwork, PREFIX } from "./types.ts";

const digest = (text: string): string => createHash("sha256").update(text).digest("hex");

/** 64 hex digits, of its name with the prefix. */
export const networkId = (name: string): string => digest(name);

/** What the plugin host-local is told to give addresses of. */
function poolsOf({ plugins }: NetworkConfig): (Pool & { readonly gateway: string })[] {
  const managers = plugins.map(({ fields }) => fields.ipam).filter(isObject);
  const sets = managers.flatMap((ipam) => [ipam, ...(Array.isArray(ipam.ranges) ? ipam.ranges.flat() : [])]).filter(isObject);
  return sets.flatMap(({ subnet, gateway }) => {
    if (!isText(subnet)) return [];
    try {
      const { family, first } = parseSubnet(subnet);
      return [{ subnet, gateway: isText(gateway) ? gateway : addressText(family, first + 1n) }];
    } catch {
      return [];
    }
  });
}

export function networkView({ path, changed, network }: ConfigFile): CniNetwork {
  const name = `${PREFIX}${network.name}`;
  const pools = poolsOf(network);
  const has = (v6: boolean): boolean => pools.some(({ subnet }) => subnet.includes(":") === v6);
  return {
    ...{ id: networkId(name), name, driver: "cni", created: rfc3339(BigInt(Math.trunc(changed)) * 1_000_000n) },
    ...{ ipv4: pools.length === 0 || has(false), ipv6: has(true), internal: false, pools },
    ...{ options: {}, labels: {}, interface: "", mtu: 0, predefined: false },
    ...{ path, config: conflistOf(network) },
  };
}

/** Addresses of the interface that was asked for; older plugins do not say whose they are. */
export const addressesOf = ({ interfaces, ips }: Result, ifname: string): ResultAddress[] =>
  ips.filter(({ interface: index }) => {
    if (index === null) return true;
    const { name, sandbox } = interfaces[index]!;
    return sandbox !== "" && name === ifname;
  });

/** What an attachment has; null until plugins have made it. */
function attachmentOf({ ifname, result }: AttachmentRecord): Attachment | null {
  if (result === null) return null;
  const parsed = parseResult(result);
  const addresses = addressesOf(parsed, ifname);
  const [v4, v6] = [false, true].map((wanted) => addresses.find(({ address }) => address.includes(":") === wanted));
  return {
    interface: ifname,
    hostInterface: "",
    mac: parsed.interfaces.find(({ name, sandbox }) => sandbox !== "" && name === ifname)?.mac ?? "",
    ...{ ipv4: v4?.address ?? null, ipv4PrefixLength: v4?.prefixLength ?? 0, ipv4Gateway: v4?.gateway ?? null },
    ...{ ipv6: v6?.address ?? null, ipv6PrefixLength: v6?.prefixLength ?? 0, ipv6Gateway: v6?.gateway ?? null },
  };
}

/** A container's place in a network, with what it has there while it runs. */
export function endpointView(container: string, request: CniEndpointRequest, record: AttachmentRecord | undefined): Endpoint {
  const { network, aliases = [], ipv4, ipv6, mac } = request;
  return {
    id: digest(`${container} ${network}`),
    network: networkId(network),
    networkName: network,
    container,
    aliases,
    fixed: {
      ...(ipv4 === undefined ? {} : { ipv4 }),
      ...(ipv6 === undefined ? {} : { ipv6 }),
      ...(mac === undefined ? {} : { mac }),
    },
    ...(request.interface === undefined ? {} : { interface: request.interface }),
    ...(request.bandwidth === undefined ? {} : { bandwidth: request.bandwidth }),
    gatewayPriority: 0,
    attached: record === undefined ? null : attachmentOf(record),
  };
}
