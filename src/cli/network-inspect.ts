import type { NetworkInfo } from "../api/control/types.ts";
import { define } from "./command.ts";
import { type Context, line } from "./context.ts";
import { bool, text } from "./flags.ts";
import { inspectObjects } from "./inspect-objects.ts";

export const command = define({
  usage: "[flags] NETWORK...",
  summary: "show everything about networks, as Docker's JSON",
  flags: {
    check: bool("", "have the plugins of a CNI network say what is wrong with it"),
    format: text("f", "TEMPLATE", "json or a Go template"),
  },
  args: [1, Number.POSITIVE_INFINITY],
  complete: "network",
  examples: [
    ["network inspect -f '{{range .Containers}}{{.Name}} {{end}}' web", "who is in it"],
    ["network inspect --check cni:web", "CNI: are its plugins content"],
  ],
  async run(context, values, args) {
    const find = async (network: string) => dockerNetwork(await context.call("networkInspect", { network }));
    const code = await inspectObjects(context, args, values.format, find);
    return code === 0 && values.check ? check(context, args) : code;
  },
});

/** STATUS and CHECK of CNI: 1 if a plugin is not content. */
async function check(context: Context, networks: readonly string[]): Promise<number> {
  let code = 0;
  for (const network of networks) {
    const { problems } = await context.call("networkCheck", { network });
    for (const problem of problems) await line(context.stderr, `onggi: ${problem}`);
    if (problems.length > 0) code = 1;
  }
  return code;
}

/** As Go writes maps. */
const sorted = (map: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(map).sort(([one], [other]) => (one < other ? -1 : 1)));

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
  Options: sorted(network.options),
  Labels: sorted(network.labels),
  Onggi: {
    Interface: network.interface,
    Mtu: network.mtu,
    ...(network.vni === undefined ? {} : { Vni: network.vni }),
    ...(network.driver === "cni" ? { Cni: { Path: network.path, Config: network.config } } : {}),
  },
});
