import type { Pool } from "../api/control/types.ts";
import { define } from "./command.ts";
import { type Context, line } from "./context.ts";
import { UsageError } from "./errors.ts";
import { bool, list, text } from "./flags.ts";
import { labelsOf } from "./labels.ts";
import { pairs } from "./pairs.ts";

export const command = define({
  usage: "[flags] NAME",
  summary: "make a network",
  flags: {
    driver: text("d", "DRIVER", "bridge, overlay, macvlan or ipvlan (bridge)", {
      complete: ["bridge", "overlay", "macvlan", "ipvlan"],
    }),
    subnet: list("", "PREFIX", "its addresses, as in 10.1.0.0/24; also one of IPv6"),
    gateway: list("", "ADDRESS", "the host's address in it"),
    "ip-range": list("", "PREFIX", "part of the subnet to give addresses from"),
    "aux-address": list("", "NAME=ADDRESS", "address that is somebody else's"),
    internal: bool("", "no way out and none in"),
    ipv6: bool("", "IPv6, also without a subnet"),
    ipv4: bool("", "IPv4 (true)", { rare: true }),
    opt: list("o", "KEY=VALUE", "option of the driver, as in parent=eth0"),
    label: list("", "KEY[=VALUE]", "label"),
    "config-only": bool("", "a configuration for other networks: no container can be in it", { rare: true }),
    "config-from": text("", "NETWORK", "made after that configuration", { complete: "network", rare: true }),
    ignore: bool("", "one of this name that is there already will do", { rare: true }),
    attachable: bool("", "for Docker's sake: every network is", { rare: true }),
  },
  args: [1, 1],
  examples: [
    ["network create web", "a bridge, its subnet chosen"],
    ["network create --subnet 10.1.0.0/24 --internal back", "without a way out"],
    ["network create -d overlay web", "for all nodes"],
    ["network create -d macvlan -o parent=eth0 lan", "an interface's"],
  ],
  async run(context, values, [name = ""]) {
    const created = context.call("networkCreate", {
      name,
      ...(values.driver === undefined ? {} : { driver: values.driver }),
      ...(values.subnet ? { pools: poolsOf(values) } : refuseLoose(values)),
      ...(values.internal ? { internal: true } : {}),
      ...(values.attachable ? { attachable: true } : {}),
      ...(values["config-only"] ? { configOnly: true } : {}),
      ...(values["config-from"] ? { configFrom: values["config-from"] } : {}),
      ...(values.ipv6 === undefined ? {} : { ipv6: values.ipv6 }),
      ...(values.ipv4 === undefined ? {} : { ipv4: values.ipv4 }),
      ...(values.opt ? { options: pairs(values.opt, "--opt") ?? {} } : {}),
      ...(values.label ? { labels: labelsOf(values.label) ?? {} } : {}),
    });
    const { id } = await (values.ignore ? created.catch((error: unknown) => found(context, name, error)) : created);
    await line(context.stdout, id);
    return 0;
  },
});

async function found(context: Context, name: string, error: unknown): Promise<{ id: string }> {
  if ((error as { code?: unknown }).code !== "network_exists") throw error;
  return context.call("networkInspect", { network: name });
}

interface Given {
  subnet?: string[];
  gateway?: string[];
  "ip-range"?: string[];
  "aux-address"?: string[];
}

function refuseLoose(values: Given): Record<never, never> {
  if (values.gateway || values["ip-range"] || values["aux-address"])
    throw new UsageError("--gateway, --ip-range and --aux-address say something of a --subnet: give that, too");
  return {};
}

const isV6 = (address: string): boolean => address.includes(":");

/** Each subnet with what was said of its family. */
function poolsOf({ subnet = [], gateway = [], "ip-range": ranges = [], "aux-address": aux = [] }: Given): Pool[] {
  const reserved = Object.entries(pairs(aux, "--aux-address") ?? {});
  return subnet.map((prefix) => {
    const sameFamily = (address: string): boolean => isV6(address) === isV6(prefix);
    const range = ranges.find(sameFamily);
    const gatewayOf = gateway.find(sameFamily);
    const own = reserved.filter(([, address]) => sameFamily(address));
    return {
      subnet: prefix,
      ...(range === undefined ? {} : { range }),
      ...(gatewayOf === undefined ? {} : { gateway: gatewayOf }),
      ...(own.length > 0 ? { reserved: Object.fromEntries(own) } : {}),
    };
  });
}
