import type { Network, NetworkInfo } from "../../engine/types.ts";

/** Docker Engine API v1.54, Network: what lists say of one. */
export const networkSummary = (network: Network): Record<string, unknown> => ({
  Name: network.name,
  Id: network.id,
  Created: network.created,
  Scope: "local",
  Driver: network.driver,
  EnableIPv4: network.ipv4,
  EnableIPv6: network.ipv6,
  IPAM: {
    Driver: "default",
    Options: {},
    Config: network.pools.map(({ subnet, range, gateway, reserved }) => ({
      Subnet: subnet,
      ...(range === undefined ? {} : { IPRange: range }),
      Gateway: gateway,
      ...(reserved === undefined ? {} : { AuxiliaryAddresses: reserved }),
    })),
  },
  Internal: network.internal,
  Attachable: false,
  Ingress: false,
  ConfigFrom: { Network: "" },
  ConfigOnly: false,
  Options: network.options,
  Labels: network.labels,
});

/** NetworkInspect: also who is in it, those that run. */
export const dockerNetwork = (network: NetworkInfo): Record<string, unknown> => ({
  ...networkSummary(network),
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
  Onggi: { Interface: network.interface, Mtu: network.mtu },
});
