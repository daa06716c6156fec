import type { NetworkInfo } from "../api/control/types.ts";
import { define } from "./command.ts";
import { text } from "./flags.ts";
import { inspectObjects } from "./inspect-objects.ts";

export const command = define({
  usage: "[flags] NETWORK...",
  summary: "show everything about networks, as Docker's JSON",
  flags: { format: text("f", "TEMPLATE", "json or a Go template") },
  args: [1, Number.POSITIVE_INFINITY],
  complete: "network",
  examples: [["network inspect -f '{{range .Containers}}{{.Name}} {{end}}' web", "who is in it"]],
  run: (context, values, args) =>
    inspectObjects(context, args, values.format, async (network) =>
      dockerNetwork(await context.call("networkInspect", { network })),
    ),
});

/** Under the names of Docker's API (v1.41, NetworkInspect). */
export const dockerNetwork = (network: NetworkInfo): object => ({
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
      Gateway: gateway,
      ...(reserved === undefined ? {} : { AuxiliaryAddresses: reserved }),
    })),
  },
  Internal: network.internal,
  Attachable: network.driver === "overlay",
  Ingress: false,
  ConfigFrom: { Network: "" },
  ConfigOnly: false,
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
  Options: network.options,
  Labels: network.labels,
  Onggi: { Interface: network.interface, Mtu: network.mtu, ...(network.vni === undefined ? {} : { Vni: network.vni }) },
});
