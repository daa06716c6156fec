import type { AnyNetwork, NetworkInfo } from "../../engine/types.ts";

/** As Go writes maps. */
const sorted = (map: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(map).sort(([one], [other]) => (one < other ? -1 : 1)));

/** Docker Engine API v1.54, Network: what lists say of one. */
export const networkSummary = (network: AnyNetwork): Record<string, unknown> => ({
  Name: network.name,
  Id: network.id,
  Created: network.created,
  Scope: network.driver === "overlay" ? "global" : "local",
  Driver: network.driver,
  EnableIPv4: network.ipv4,
  EnableIPv6: network.ipv6,
  IPAM: {
    Driver: "default",
    Options: {},
    Config: network.pools.map(({ subnet, range, gateway, reserved }) => ({
      Subnet: subnet,
      ...(range === undefined ? {} : { IPRange: range }),
      ...(gateway === "" ? {} : { Gateway: gateway }),
      ...(reserved === undefined ? {} : { AuxiliaryAddresses: reserved }),
    })),
  },
  Internal: network.internal,
  Attachable: network.driver === "overlay",
  Ingress: false,
  ConfigFrom: { Network: network.configFrom ?? "" },
  ConfigOnly: network.configOnly ?? false,
  Options: sorted(network.options),
  Labels: sorted(network.labels),
});

/** NetworkInspect: also who is in it, those that run. In Docker's order, which people see. */
export function dockerNetwork(network: NetworkInfo): Record<string, unknown> {
  const { Options, Labels, ...rest } = networkSummary(network);
  return {
    ...rest,
    Containers: Object.fromEntries(
      network.containers.map(({ id, name, endpoint: { id: endpoint, attached } }) => [
        id,
        {
          Name: name,
          EndpointID: endpoint,
          MacAddress: attached?.mac ?? "",
          IPv4Address: attached?.ipv4 ? `${attached.ipv4}/${attached.ipv4PrefixLength}` : "",
          IPv6Address: attached?.ipv6 ? `${attached.ipv6}/${attached.ipv6PrefixLength}` : "",
        },
      ]),
    ),
    Options,
    Labels,
    ...(network.usage ? { Status: { IPAM: { Subnets: subnetsOf(network.usage) } } } : {}),
    Onggi: {
      Interface: network.interface,
      Mtu: network.mtu,
      ...(network.vni === undefined ? {} : { Vni: network.vni }),
      ...(network.driver === "cni" ? { Cni: { Path: network.path, Config: network.config } } : {}),
    },
  };
}

const subnetsOf = (usage: NonNullable<NetworkInfo["usage"]>): Record<string, unknown> =>
  Object.fromEntries(usage.map(({ subnet, inUse, free }) => [subnet, { IPsInUse: inUse, DynamicIPsAvailable: free }]));
