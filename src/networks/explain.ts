/** A network in the words of `ip` and `nft`. Pure. */
import type { Attached } from "./attachments.ts";
import { gatewaysOf } from "./attachments.ts";
import { shaperName, tokenBucket } from "./bandwidth.ts";
import { bridgeAlias, hasBridge, lengthOf } from "./bridge.ts";
import type { NetworkRecord } from "./database.ts";
import { hasParent, parseOptions } from "./options.ts";
import { sharesMac } from "./parent.ts";
import type { Attachment, Bandwidth } from "./types.ts";

function bridgeLines(network: NetworkRecord, tag: string): string[] {
  const { interface: name, mtu, pools, ipv6, internal } = network;
  return [
    `ip link add ${name} mtu ${mtu} type bridge stp_state 0 forward_delay 0 mcast_snooping 0`,
    `ip link set ${name} alias "${bridgeAlias(network, tag)}"`,
    `sysctl net.ipv4.conf.${name}.route_localnet=1`,
    `sysctl net.ipv6.conf.${name}.disable_ipv6=${ipv6 ? 0 : 1}`,
    `sysctl net.ipv6.conf.${name}.accept_ra=0`,
    ...(internal ? [] : ["sysctl net.ipv4.ip_forward=1", ...(ipv6 ? ["sysctl net.ipv6.conf.all.forwarding=1"] : [])]),
    ...pools.map(({ gateway, subnet }) => `ip address add ${gateway}/${lengthOf(subnet)}${nodad(gateway)} dev ${name}`),
    `ip link set ${name} up`,
  ];
}

const nodad = (address: string): string => (address.includes(":") ? " nodad" : "");

function limitLines(cable: string, { receive, send }: Bandwidth = {}): string[] {
  const shaper = shaperName(cable);
  const bucket = (link: string, value: number): string => {
    const { rate, burst, limit } = tokenBucket(value);
    return `tc qdisc add dev ${link} root tbf rate ${rate * 8}bit burst ${burst} limit ${limit}`;
  };
  const redirect = `tc filter add dev ${cable} parent ffff: prio 1 u32 match u32 0 0 action mirred egress redirect dev ${shaper}`;
  return [
    ...(receive === undefined ? [] : [bucket(cable, receive)]),
    ...(send === undefined
      ? []
      : [`ip link add ${shaper} up type ifb`, bucket(shaper, send), `tc qdisc add dev ${cable} ingress`, redirect]),
  ];
}

/** A VLAN is ours if its name says that it is one, and nobody has made it before. */
function parentLines(network: NetworkRecord, tag: string, isOurs: boolean): string[] {
  const { interface: name, mtu } = network;
  const [, base, id] = /^(.+)\.(\d+)$/.exec(name) ?? [];
  if (!isOurs || base === undefined) return [`# lies on ${name}`];
  return [
    `ip link add ${name} link ${base} mtu ${mtu} type vlan id ${id}`,
    `ip link set ${name} alias "${bridgeAlias(network, tag)}" up`,
  ];
}

function childLine(network: NetworkRecord, { interface: name, mac }: Attachment): string {
  const { mode, ipvlanFlag } = parseOptions(network.driver, network.options);
  const link = `ip link add ${name} netns CONTAINER link ${network.interface} mtu ${network.mtu}`;
  if (network.driver === "ipvlan") return `${link} type ipvlan mode l2 ${ipvlanFlag}`;
  return `${link}${sharesMac(network) ? "" : ` address ${mac}`} type macvlan mode ${mode}`;
}

function endpointLines({ entry, attachment }: Attached, hairpin: boolean): string[] {
  const { network, record } = entry;
  const { interface: name, hostInterface, mac, ipv4, ipv6 } = attachment;
  const { icc } = parseOptions(network.driver, network.options);
  const container = `CONTAINER ${record.container.slice(0, 12)}`;
  const outside = hasParent(network)
    ? [childLine(network, attachment)]
    : [
        `ip link add ${hostInterface} mtu ${network.mtu} type veth peer ${name} address ${mac} mtu ${network.mtu} netns CONTAINER`,
        `ip link set ${hostInterface} master ${network.interface} up`,
        `bridge fdb replace ${mac} dev ${hostInterface} master static sticky`,
        ...(hairpin ? [`bridge link set dev ${hostInterface} hairpin on`] : []),
        ...(icc ? [] : [`bridge link set dev ${hostInterface} isolated on`]),
        ...limitLines(hostInterface, record.bandwidth),
      ];
  const before = [
    `sysctl net.ipv6.conf.default.disable_ipv6=${ipv6 === null ? 1 : 0}`,
    ...(ipv6 === null ? [] : ["sysctl net.ipv6.conf.default.accept_ra=0"]),
  ];
  const inside = [
    ...(ipv4 === null ? [] : [`ip address add ${ipv4}/${attachment.ipv4PrefixLength} brd + dev ${name}`]),
    ...(ipv6 === null ? [] : [`ip address add ${ipv6}/${attachment.ipv6PrefixLength} nodad dev ${name}`]),
    `ip link set ${name} up`,
  ];
  const gateways = gatewaysOf([{ entry, attachment }]);
  const routes = [gateways.ipv4, gateways.ipv6].flatMap((gateway) =>
    gateway === null ? [] : [`ip route add default via ${gateway}     # unless another of its networks comes first`],
  );
  const enter = (line: string): string => `nsenter --net=CONTAINER ${line}`;
  return ["", `# ${container}`, ...before.map(enter), ...outside, ...[...inside, ...routes].map(enter)];
}

export interface Explained {
  readonly tag: string;
  /** What the network lies on was made for it. */
  readonly ownsParent: boolean;
  /** Ports of bridges are in hairpin mode. */
  readonly hairpin: boolean;
  /** Of overlay: its tunnel and who is behind it. */
  readonly spanning: readonly string[];
  /** The firewall's words for this network. */
  readonly rules: string;
  /** The firewall's words for the way of what comes from outside to its ports. */
  readonly detour: readonly string[];
  /** Chains of others that drop what they do not know. */
  readonly obstacles: readonly string[];
}

export function explainNetwork(
  network: NetworkRecord,
  attached: readonly Attached[],
  { tag, ownsParent, hairpin, spanning, rules, detour, obstacles }: Explained,
): string {
  if (network.driver === "host") return "# containers of this network are in the host's network namespace: nothing is made\n";
  if (network.configOnly) return "# a configuration, for networks that are made after it: nothing is made\n";
  if (network.driver === "null") return "# containers of this network have their loopback interface alone: nothing is made\n";
  const lines = [
    `# network ${network.name}, ${network.id}`,
    ...(hasBridge(network) ? bridgeLines(network, tag) : parentLines(network, tag, ownsParent)),
    ...spanning,
    ...attached.flatMap((one) => endpointLines(one, hairpin)),
  ];
  if (rules !== "") lines.push("", `# nft list table inet onggi_${tag}`, rules.trimEnd());
  if (detour.length > 0)
    lines.push(
      "",
      "# what comes from outside to its ports passes the host's own input rules, then goes round by two links",
      ...detour,
    );
  if (obstacles.length > 0)
    lines.push("", ...obstacles.map((chain) => `# ${chain}, drops forwarded packets that it does not accept`));
  return `${lines.join("\n")}\n`;
}
