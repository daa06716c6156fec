/**
 * The table of an engine: what is in it before there is a network. Every rule is there twice, in the words of nft and as the kernel's
 * instructions; a test compares the words with what nft makes of the instructions.
 *
 * Packets are told apart by sets and maps alone, so that a network or port is a few elements and never a rule. Chains accept what is
 * not ours, and `accept` is no more than the end of our chain: a rule of others that drops, drops.
 */
import {
  type ChainHook,
  CT,
  deleteTable,
  type NetlinkRequest,
  NF,
  NFT,
  newChain,
  newRule,
  newSet,
  newTable,
  nft,
  RT,
  type SetSpec,
} from "../../sys/index.ts";

const { meta, header, compare, lookup, connectionBits, addressType, family, destinationNat, masquerade, notrack, verdict } = nft;

export const sets = [
  { name: "bridges", key: ["ifname"] },
  { name: "internal", key: ["ifname"] },
  { name: "within", key: ["ifname", "ifname"] },
  { name: "subnets4", key: ["ipv4_addr"], interval: true },
  { name: "subnets6", key: ["ipv6_addr"], interval: true },
  { name: "masquerade4", key: ["ipv4_addr"], interval: true },
  { name: "masquerade6", key: ["ipv6_addr"], interval: true },
  { name: "unserved", key: ["ipv6_addr"] },
  { name: "ports4", key: ["inet_proto", "ipv4_addr", "inet_service"], value: ["ipv4_addr", "inet_service"] },
  { name: "ports6", key: ["inet_proto", "ipv6_addr", "inet_service"], value: ["ipv6_addr", "inet_service"] },
  { name: "any4", key: ["inet_proto", "inet_service"], value: ["ipv4_addr", "inet_service"] },
  { name: "any6", key: ["inet_proto", "inet_service"], value: ["ipv6_addr", "inet_service"] },
  { name: "held4", key: ["inet_proto", "ipv4_addr", "inet_service"], value: ["ipv4_addr", "inet_service"] },
  { name: "held6", key: ["inet_proto", "ipv6_addr", "inet_service"], value: ["ipv6_addr", "inet_service"] },
  { name: "heldAny4", key: ["inet_proto", "inet_service"], value: ["ipv4_addr", "inet_service"] },
  { name: "heldAny6", key: ["inet_proto", "inet_service"], value: ["ipv6_addr", "inet_service"] },
  { name: "inward", key: ["ifname"] },
  { name: "tunnels", key: ["inet_service"] },
  { name: "nodes4", key: ["ipv4_addr", "inet_service"] },
  { name: "nodes6", key: ["ipv6_addr", "inet_service"] },
  { name: "carriers", key: ["ifname"] },
  { name: "spanning", key: ["ifname"] },
  { name: "gateways", key: ["ether_addr"] },
] as const satisfies readonly SetSpec[];

export type SetName = (typeof sets)[number]["name"];

interface Rule {
  readonly text: string;
  readonly expressions: readonly Uint8Array[];
}

interface Chain {
  readonly name: string;
  readonly hook?: ChainHook & { readonly text: string };
  readonly rules: readonly Rule[];
}

const rule = (text: string, ...expressions: readonly (Uint8Array | readonly Uint8Array[])[]): Rule => ({
  text,
  expressions: expressions.flatMap((one) => (one instanceof Uint8Array ? [one] : one)),
});

const { NFT_META_IIFNAME: IN, NFT_META_OIFNAME: OUT, NFT_META_L4PROTO, NFT_CMP_EQ, NFT_CMP_NEQ } = NFT;
const { NFT_REG32_01, NFT_REG32_02, NFT_REG32_04, NFT_REG32_05, NFT_CT_STATE, NFT_CT_STATUS } = NFT;
const { NFTA_FIB_F_DADDR, NFTA_FIB_F_SADDR, NFTA_FIB_F_IIF } = NFT;
const network = (offset: number, length: number, register?: number) =>
  header(NFT.NFT_PAYLOAD_NETWORK_HEADER, offset, length, register);
const source4 = network(12, 4);
const source6 = network(8, 16);
const destinationPort = (register: number) => header(NFT.NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, register);
/** The first byte of 127.0.0.0/8. */
const loopback4 = Uint8Array.of(127);
/** ARPHRD_ETHER, in the host's byte order. */
const ETHERNET = Uint8Array.of(1, 0);
/** IPPROTO_UDP, IPPROTO_ICMPV6 */
const UDP = 17;
const ICMPV6 = 58;
/** (uid_t) -1, which is nobody's: with another the packet is a socket's, and not one that the kernel made. */
const NOBODY = Uint8Array.of(255, 255, 255, 255);
const toTunnel = () => [meta(NFT_META_L4PROTO), compare(Uint8Array.of(UDP)), destinationPort(NFT.NFT_REG_1), lookup("tunnels")];
/** ESTABLISHED and RELATED of enum ip_conntrack_info, as bits of the state. */
const known = 0b110;

/** Translates what is for published ports: by the maps of those on one address, and on any. */
const publishRules = (one: "ports" | "held", any: "any" | "heldAny"): readonly Rule[] => [
  rule(
    `dnat ip to meta l4proto . ip daddr . th dport map @${one}4`,
    family(4),
    meta(NFT_META_L4PROTO),
    network(16, 4, NFT_REG32_01),
    destinationPort(NFT_REG32_02),
    lookup(`${one}4`, { map: true }),
    destinationNat(4),
  ),
  rule("ip6 daddr @unserved return", family(6), network(24, 16), lookup("unserved"), verdict.back()),
  rule(
    `dnat ip6 to meta l4proto . ip6 daddr . th dport map @${one}6`,
    family(6),
    meta(NFT_META_L4PROTO),
    network(24, 16, NFT_REG32_01),
    destinationPort(NFT_REG32_05),
    lookup(`${one}6`, { map: true }),
    destinationNat(6),
  ),
  rule("fib daddr type != local return", addressType(NFTA_FIB_F_DADDR, RT.RTN_LOCAL, NFT_CMP_NEQ), verdict.back()),
  ...([4, 6] as const).map((version) =>
    rule(
      `meta nfproto ipv${version} dnat ip${version === 4 ? "" : "6"} to meta l4proto . th dport map @${any}${version}`,
      family(version),
      meta(NFT_META_L4PROTO),
      destinationPort(NFT_REG32_01),
      lookup(`${any}${version}`, { map: true }),
      destinationNat(version),
    ),
  ),
];

const makeChains = (): readonly Chain[] => [
  {
    name: "guard",
    hook: {
      type: "filter",
      hook: NF.NF_INET_PRE_ROUTING,
      priority: NF.NF_IP_PRI_RAW,
      text: "filter hook prerouting priority raw",
    },
    rules: [
      // Every packet passes here: the comparison of one byte comes before the look-up.
      rule(
        "ip daddr 127.0.0.0/8 iifname @bridges drop",
        family(4),
        network(16, 1),
        compare(loopback4),
        meta(IN),
        lookup("bridges"),
        verdict.drop(),
      ),
      rule(
        "ip saddr 127.0.0.0/8 iifname @bridges drop",
        family(4),
        network(12, 1),
        compare(loopback4),
        meta(IN),
        lookup("bridges"),
        verdict.drop(),
      ),
      // Or a container would speak as this host does: with its address, when it is masqueraded.
      rule("udp dport @tunnels iifname @bridges drop", toTunnel(), meta(IN), lookup("bridges"), verdict.drop()),
      // A tunnel's packets are no connection: each side sends from ports that its flows choose.
      rule("udp dport @tunnels notrack", toTunnel(), notrack()),
      // Where the kernel takes frames that a bridge forwards through these chains (br_netfilter), those that go on to another host or
      // come from one need not be followed: only what is for the gateway is ever translated.
      rule(
        "iifname @spanning ether daddr != @gateways notrack",
        meta(IN),
        lookup("spanning"),
        meta(NFT.NFT_META_IIFTYPE),
        compare(ETHERNET),
        header(NFT.NFT_PAYLOAD_LL_HEADER, 0, 6),
        lookup("gateways", { inverted: true }),
        notrack(),
      ),
      rule("iifname @carriers goto from_carrier", meta(IN), lookup("carriers"), verdict.goto("from_carrier")),
    ],
  },
  {
    // A way to the host that nobody has asked for leads to nothing but tunnels.
    name: "from_carrier",
    rules: [
      rule("udp dport @tunnels accept", toTunnel(), verdict.accept()),
      rule("meta l4proto ipv6-icmp accept", meta(NFT_META_L4PROTO), compare(Uint8Array.of(ICMPV6)), verdict.accept()),
      rule("drop", verdict.drop()),
    ],
  },
  {
    name: "sent",
    hook: { type: "filter", hook: NF.NF_INET_LOCAL_OUT, priority: NF.NF_IP_PRI_RAW, text: "filter hook output priority raw" },
    rules: [
      rule(
        "udp dport @tunnels meta skuid != 4294967295 drop",
        toTunnel(),
        meta(NFT.NFT_META_SKUID),
        compare(NOBODY, NFT_CMP_NEQ),
        verdict.drop(),
      ),
      rule("udp dport @tunnels notrack", toTunnel(), notrack()),
    ],
  },
  {
    name: "prerouting",
    hook: {
      type: "nat",
      hook: NF.NF_INET_PRE_ROUTING,
      priority: NF.NF_IP_PRI_NAT_DST,
      text: "nat hook prerouting priority dstnat",
    },
    rules: [
      rule("ip daddr 127.0.0.0/8 return", family(4), network(16, 1), compare(loopback4), verdict.back()),
      rule("jump publish", verdict.jump("publish")),
      // From outside they come by the detour: see detour.ts.
      rule("iifname @bridges jump publish_held", meta(IN), lookup("bridges"), verdict.jump("publish_held")),
      rule("iifname @inward jump publish_held", meta(IN), lookup("inward"), verdict.jump("publish_held")),
    ],
  },
  {
    name: "output",
    hook: { type: "nat", hook: NF.NF_INET_LOCAL_OUT, priority: NF.NF_IP_PRI_NAT_DST, text: "nat hook output priority -100" },
    rules: [rule("jump publish", verdict.jump("publish")), rule("jump publish_held", verdict.jump("publish_held"))],
  },
  { name: "publish", rules: publishRules("ports", "any") },
  { name: "publish_held", rules: publishRules("held", "heldAny") },
  {
    name: "postrouting",
    hook: {
      type: "nat",
      hook: NF.NF_INET_POST_ROUTING,
      priority: NF.NF_IP_PRI_NAT_SRC,
      text: "nat hook postrouting priority srcnat",
    },
    rules: [
      rule("oifname @bridges goto to_container", meta(OUT), lookup("bridges"), verdict.goto("to_container")),
      rule("ip saddr @masquerade4 masquerade", family(4), source4, lookup("masquerade4"), masquerade()),
      rule("ip6 saddr @masquerade6 masquerade", family(6), source6, lookup("masquerade6"), masquerade()),
    ],
  },
  {
    name: "to_container",
    rules: [
      rule("ct status ! dnat return", connectionBits(NFT_CT_STATUS, CT.IPS_DST_NAT, NFT_CMP_EQ), verdict.back()),
      rule("ip saddr @subnets4 masquerade", family(4), source4, lookup("subnets4"), masquerade()),
      rule("ip6 saddr @subnets6 masquerade", family(6), source6, lookup("subnets6"), masquerade()),
      rule("fib saddr type local masquerade", addressType(NFTA_FIB_F_SADDR, RT.RTN_LOCAL), masquerade()),
    ],
  },
  {
    name: "forward",
    hook: {
      type: "filter",
      hook: NF.NF_INET_FORWARD,
      priority: NF.NF_IP_PRI_FILTER,
      text: "filter hook forward priority filter",
    },
    rules: [
      rule("ct state established,related accept", connectionBits(NFT_CT_STATE, known), verdict.accept()),
      rule("iifname . oifname @within accept", meta(IN), meta(OUT, NFT.NFT_REG_2), lookup("within"), verdict.accept()),
      rule("iifname @internal drop", meta(IN), lookup("internal"), verdict.drop()),
      rule("oifname @internal drop", meta(OUT), lookup("internal"), verdict.drop()),
      rule("oifname != @bridges accept", meta(OUT), lookup("bridges", { inverted: true }), verdict.accept()),
      rule("ct status dnat accept", connectionBits(NFT_CT_STATUS, CT.IPS_DST_NAT), verdict.accept()),
      rule("drop", verdict.drop()),
    ],
  },
  {
    name: "input",
    hook: { type: "filter", hook: NF.NF_INET_LOCAL_IN, priority: NF.NF_IP_PRI_FILTER, text: "filter hook input priority filter" },
    rules: [
      rule("udp dport @tunnels goto from_tunnel", toTunnel(), verdict.goto("from_tunnel")),
      rule("iifname @internal goto from_internal", meta(IN), lookup("internal"), verdict.goto("from_internal")),
    ],
  },
  {
    name: "from_tunnel",
    rules: [
      rule("iifname @carriers accept", meta(IN), lookup("carriers"), verdict.accept()),
      rule(
        "ip saddr . th dport @nodes4 accept",
        family(4),
        source4,
        destinationPort(NFT_REG32_01),
        lookup("nodes4"),
        verdict.accept(),
      ),
      rule(
        "ip6 saddr . th dport @nodes6 accept",
        family(6),
        source6,
        destinationPort(NFT_REG32_04),
        lookup("nodes6"),
        verdict.accept(),
      ),
      rule("drop", verdict.drop()),
    ],
  },
  {
    name: "from_internal",
    rules: [
      rule("ct state established,related accept", connectionBits(NFT_CT_STATE, known), verdict.accept()),
      rule("fib daddr . iif type local accept", addressType(NFTA_FIB_F_DADDR | NFTA_FIB_F_IIF, RT.RTN_LOCAL), verdict.accept()),
      // Neighbours ask for each other's hardware addresses by multicast.
      rule(
        "meta l4proto ipv6-icmp fib daddr type multicast accept",
        meta(NFT_META_L4PROTO),
        compare(Uint8Array.of(ICMPV6)),
        addressType(NFTA_FIB_F_DADDR, RT.RTN_MULTICAST),
        verdict.accept(),
      ),
      rule("drop", verdict.drop()),
    ],
  },
];

let made: readonly Chain[] | undefined;

/** The chains, made when first asked for. */
export const chains = (): readonly Chain[] => {
  made ??= makeChains();
  return made;
};

/** The requests that make the table anew, empty of elements, whatever was there under its name: to be one transaction with the elements. */
export const makeTable = (table: string): NetlinkRequest[] => [
  newTable(table),
  deleteTable(table),
  newTable(table),
  ...sets.map((set, index) => newSet(table, set, index + 1)),
  ...chains().map(({ name, hook }) => newChain(table, name, hook)),
  ...chains().flatMap(({ name, rules }) => rules.map(({ text, expressions }) => newRule(table, name, expressions, text))),
];

/** How many rules the table has. */
export const ruleCount = (): number => chains().reduce((sum, { rules }) => sum + rules.length, 0);

/** The table as `nft list table` prints it. `elements` are the texts of a set's elements, in the order they are printed. */
export function formatTable(table: string, elements: (set: SetName) => readonly string[]): string {
  const lines = [`table inet ${table} {`];
  for (const set of sets as readonly (SetSpec & { readonly name: SetName })[]) {
    const texts = elements(set.name);
    lines.push(
      `\t${set.value ? "map" : "set"} ${set.name} {`,
      `\t\ttype ${set.key.join(" . ")}${set.value ? ` : ${set.value.join(" . ")}` : ""}`,
      ...(set.interval ? ["\t\tflags interval"] : []),
      ...(texts.length > 0 ? [`\t\telements = { ${texts.join(",\n\t\t\t     ")} }`] : []),
      "\t}",
      "",
    );
  }
  for (const { name, hook, rules } of chains()) {
    lines.push(`\tchain ${name} {`);
    if (hook !== undefined) lines.push(`\t\ttype ${hook.text}; policy accept;`);
    lines.push(...rules.map(({ text }) => `\t\t${text}`), "\t}", "");
  }
  lines.pop();
  return `${lines.join("\n")}\n}\n`;
}
