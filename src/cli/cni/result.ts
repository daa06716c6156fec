/** Results as CNI's versions write them ("ADD Success", section 5), and what is believed of an earlier one. Pure. */
import type { GuestAttachment } from "../../api/control/types.ts";
import type { CniVersion, Configuration, Dns } from "./configuration.ts";
import type { Attachment } from "./environment.ts";
import { CniError, CODE } from "./errors.ts";
import { type Dictionary, dictionary, list } from "./shapes.ts";

/** The lists of `prevResult` as they came: they are in the version that is asked for. */
interface Previous {
  readonly interfaces: readonly unknown[];
  readonly ips: readonly unknown[];
  readonly routes: readonly unknown[];
  readonly dns: Dictionary;
}

/** @throws CniError invalidConfiguration */
export function previousOf({ whole }: Configuration): Previous | undefined {
  if (whole.prevResult === undefined || whole.prevResult === null) return undefined;
  const { interfaces, ips, routes, dns } = dictionary("prevResult", whole.prevResult);
  return {
    interfaces: list("prevResult.interfaces", interfaces),
    ips: list("prevResult.ips", ips),
    routes: list("prevResult.routes", routes),
    dns: dictionary("prevResult.dns", dns),
  };
}

/** Whether results of a version have what newer ones brought. */
const isOneOne = (version: CniVersion): boolean => version === "1.1.0";
/** Until 1.0.0 an address says its family. */
const hasFamily = (version: CniVersion): boolean => version.startsWith("0.");

const prefixesOf = ({ endpoint: { attached } }: GuestAttachment) =>
  [
    { address: attached?.ipv4, length: attached?.ipv4PrefixLength, gateway: attached?.ipv4Gateway, family: "4" },
    { address: attached?.ipv6, length: attached?.ipv6PrefixLength, gateway: attached?.ipv6Gateway, family: "6" },
  ].filter(({ address }) => typeof address === "string");

/** What ADD prints: what there was before, and what has been made. */
export function resultOf(
  attachment: GuestAttachment,
  { netns }: Attachment,
  configuration: Configuration,
  runtimeDns: Dns,
  previous: Previous | undefined,
): object {
  const { network, endpoint, defaultGateways } = attachment;
  const { cniVersion } = configuration;
  const attached = endpoint.attached!;
  const before = previous?.interfaces ?? [];
  const host = [network.interface, attached.hostInterface]
    .filter((name) => name !== "" && attached.hostInterface !== "")
    .map((name) => ({ name }));
  const inside = {
    name: attached.interface,
    mac: attached.mac,
    ...(isOneOne(cniVersion) ? { mtu: network.mtu } : {}),
    sandbox: netns,
  };
  const index = before.length + host.length;
  const ips = prefixesOf(attachment).map(({ address, length, gateway, family }) => ({
    ...(hasFamily(cniVersion) ? { version: family } : {}),
    address: `${address}/${length}`,
    ...(gateway ? { gateway } : {}),
    interface: index,
  }));
  const routes = defaultGateways.map((gw) => ({ dst: gw.includes(":") ? "::/0" : "0.0.0.0/0", gw }));
  return {
    cniVersion,
    interfaces: [...before, ...host, inside],
    ips: [...(previous?.ips ?? []), ...ips],
    routes: [...(previous?.routes ?? []), ...routes],
    dns: { ...previous?.dns, ...configuration.dns, ...runtimeDns, ...nameserverOf(attachment) },
  };
}

/** Ours asks those that the configuration or the runtime names. */
const nameserverOf = ({ nameserver }: GuestAttachment): Dns => (nameserver === null ? {} : { nameservers: [nameserver] });

/**
 * Whether a result of ADD, perhaps changed by plugins after this one, still says what the engine knows: the interface, and its addresses.
 * @throws CniError refused
 */
export function compare(attachment: GuestAttachment, { interface: name, netns }: Attachment, previous: Previous): void {
  const index = previous.interfaces.findIndex((entry) => {
    const { name: other, sandbox } = dictionary("prevResult.interfaces", entry);
    return other === name && sandbox === netns;
  });
  if (index < 0) throw new CniError(CODE.refused, `prevResult has no interface ${name} in ${netns}`);
  const said = previous.ips.map((entry) => dictionary("prevResult.ips", entry)).filter((ip) => ip.interface === index);
  for (const { address, length } of prefixesOf(attachment)) {
    const wanted = `${address}/${length}`;
    if (!said.some((ip) => ip.address === wanted)) {
      throw new CniError(CODE.refused, `interface ${name} has ${wanted}, which prevResult does not say`);
    }
  }
}
