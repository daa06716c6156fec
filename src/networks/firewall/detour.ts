/**
 * Published ports behind the host's own input rules. A published port is translated before the host's `input` chains, which so never
 * see it. Here the first packet of a connection to such a port is left as it is: it goes through `input` as if a program of the host
 * listened, with the interface it came by, and may be dropped there. What has passed is sent round, by a pair of links, to come in
 * again by one that only such packets come in by: from there it is translated. The rest of the connection follows the first packet's
 * translation.
 *
 * Sending a packet elsewhere (`dup`) is there for IPv4 and IPv6 alone, so there is a small table for each beside the engine's own.
 */
import { messageOf, OnggiError } from "../../lib/errors.ts";
import {
  addElements,
  deleteElements,
  deleteTable,
  isErrno,
  type NetlinkRequest,
  NF,
  NFT,
  type Nfnetlink,
  newChain,
  newRule,
  newSet,
  newTable,
  nft,
  ofFamily,
  parseIp,
  RT,
  Rtnetlink,
  type SetElement,
  setKey,
} from "../../sys/index.ts";
import { NamespaceSysctls } from "../sysctls.ts";
import { CHUNK, isAny, portBytes, protocolNumbers } from "./elements.ts";
import type { FirewallPort } from "./types.ts";

const { meta, header, lookup, compare, addressType, immediate, duplicate, verdict } = nft;

/** Behind those of the host, which are at 0 or thereabouts. */
const PRIORITY = 200;
/** Whom the packets are sent to: an address that nobody has, on that link alone. */
const next = { 4: "169.254.255.2", 6: "fe80::6f6e:6767" } as const;
/** Or the kernel takes what comes in there for forged: it looks for an address on the link. */
const OWN = "169.254.255.1";
/** A packet of IPv4 goes to its own destination unless a route names who is next. */
const GATEWAY = "169.254.255.3";

const interfaceName = (name: string): Uint8Array => {
  const bytes = new Uint8Array(16);
  new TextEncoder().encodeInto(name, bytes);
  return bytes;
};

export class Detour implements Disposable {
  /** The link by which packets come in again. */
  readonly inward: string;
  readonly #outward: string;
  readonly #table: string;
  readonly #links = new Rtnetlink();
  readonly #sysctls = new NamespaceSysctls();
  #isMade = false;

  constructor(tag: string) {
    this.inward = `oi-${tag}`;
    this.#outward = `od-${tag}`;
    this.#table = `onggi_${tag}_detour`;
  }

  /** From now on these ports, and no others, are behind the host's rules. Throws `network_failed` where the kernel cannot have that. */
  set(net: Nfnetlink, ports: readonly FirewallPort[]): void {
    if (ports.length === 0 && !this.#isMade && !this.#links.linkByName(this.#outward)) return;
    try {
      const index = this.#makeLinks();
      net.commit(([4, 6] as const).flatMap((version) => this.#makeTable(version, index, ports)));
      this.#isMade = true;
    } catch (error) {
      if (error instanceof OnggiError) throw error;
      throw new OnggiError("network_failed", `publishing behind the host's firewall: ${messageOf(error)}`, { cause: error });
    }
  }

  /** The same by what is different. False: it cannot be done so, for it is not there as it was. */
  change(net: Nfnetlink, removed: readonly FirewallPort[], added: readonly FirewallPort[]): boolean {
    if (!this.#isMade) return false;
    const requests = ([4, 6] as const).flatMap((version) =>
      [
        ...this.#elements(version, removed, (set, list) => deleteElements(this.#table, set, list)),
        ...this.#elements(version, added, (set, list) => addElements(this.#table, set, list)),
      ].map((request) => ofFamily(version === 4 ? "ip" : "ip6", request)),
    );
    return net.tryCommit(requests)[0] === undefined;
  }

  /** Why the kernel cannot have it; "" if it can. */
  problem(net: Nfnetlink): string {
    const table = `${this.#table}_probe`;
    const rule = [immediate(NFT.NFT_REG_1, parseIp(next[4])), duplicate(NFT.NFT_REG_1, NFT.NFT_REG_1)];
    const rule6 = [immediate(NFT.NFT_REG_1, parseIp(next[6])), duplicate(NFT.NFT_REG_1, NFT.NFT_REG_1)];
    const probe = (family: "ip" | "ip6", expressions: typeof rule): NetlinkRequest[] =>
      [newTable(table), newChain(table, "probe"), newRule(table, "probe", expressions), deleteTable(table)].map((request) =>
        ofFamily(family, request),
      );
    return net.tryCommit([...probe("ip", rule), ...probe("ip6", rule6)])[0]?.message ?? "";
  }

  /** It as ip(8) makes and nft prints it, with these ports alone; empty while there is none. */
  describe(ports: readonly FirewallPort[]): string[] {
    const inward = this.#links.linkByName(this.inward);
    if (!this.#isMade || !inward) return [];
    const [out, back, mac] = [this.#outward, this.inward, inward.address];
    return [
      `ip link add ${out} up type veth peer name ${back}`,
      `ip link set ${back} up`,
      `ip address add ${OWN}/32 dev ${back} scope host`,
      ...[GATEWAY, next[6]].map((ip) => `ip neighbour add ${ip} lladdr ${mac} nud permanent dev ${out}`),
      `ip route add ${next[4]}/32 via ${GATEWAY} dev ${out} onlink`,
      `sysctl net.ipv4.conf.${back}.rp_filter=2`,
      `sysctl net.ipv4.conf.${back}.forwarding=1`,
      `sysctl net.ipv6.conf.${back}.accept_ra=0`,
      ...([4, 6] as const).flatMap((version) => this.#tableLines(version, ports)),
    ];
  }

  #tableLines(version: 4 | 6, ports: readonly FirewallPort[]): string[] {
    const [family, protocol] = version === 4 ? ["ip", "ipv4"] : ["ip6", "ipv6"];
    const own = ports.filter(({ hostIp }) => hostIp.includes(":") === (version === 6));
    const elements = (list: readonly FirewallPort[]): string[] => {
      const texts = list.map(({ protocol: of, hostIp, hostPort }) =>
        [of, ...(isAny(hostIp) ? [] : [hostIp]), hostPort].join(" . "),
      );
      return texts.length > 0 ? [`\t\telements = { ${texts.join(",\n\t\t\t     ")} }`] : [];
    };
    return [
      "",
      `# nft list table ${family} ${this.#table}`,
      `table ${family} ${this.#table} {`,
      ...["\tset any {", "\t\ttype inet_proto . inet_service", ...elements(own.filter(({ hostIp }) => isAny(hostIp))), "\t}", ""],
      ...["\tset ports {", `\t\ttype inet_proto . ${protocol}_addr . inet_service`],
      ...[...elements(own.filter(({ hostIp }) => !isAny(hostIp))), "\t}", ""],
      "\tchain input {",
      `\t\ttype filter hook input priority ${PRIORITY}; policy accept;`,
      `\t\tiifname "${this.inward}" return`,
      '\t\tiifname "lo" return',
      "\t\tfib daddr type != local return",
      "\t\tmeta l4proto . th dport @any goto leave",
      `\t\tmeta l4proto . ${family} daddr . th dport @ports goto leave`,
      ...["\t}", "", "\tchain leave {", `\t\tdup to ${next[version]} device "${this.#outward}" drop`, "\t}", "}"],
    ];
  }

  /** Takes it all away, also what another engine of this data root has left. */
  remove(net: Nfnetlink): void {
    const link = this.#links.linkByName(this.#outward);
    if (!link && !this.#isMade) return;
    net.commit(
      (["ip", "ip6"] as const).flatMap((family) =>
        [newTable(this.#table), deleteTable(this.#table)].map((request) => ofFamily(family, request)),
      ),
    );
    if (link) this.#links.deleteLink({ index: link.index });
    this.#isMade = false;
  }

  /** The number of the link that packets are sent by. */
  #makeLinks(): number {
    const there = this.#links.linkByName(this.#outward);
    if (there && this.#isMade) return there.index;
    if (!there) this.#links.createVeth({ name: this.#outward, up: true }, { name: this.inward });
    const inward = this.#links.requireLink(this.inward);
    this.#links.linkUp(this.inward);
    this.#links.linkUp(this.#outward);
    const has = this.#links.addressList(inward.index).some(({ ip }) => ip === OWN);
    if (!has) this.#links.addAddress({ index: inward.index, prefix: `${OWN}/32`, scope: RT.RT_SCOPE_HOST });
    const { index } = this.#links.requireLink(this.#outward);
    for (const ip of [GATEWAY, next[6]]) this.#links.addNeighbour({ index, ip, mac: inward.address! });
    try {
      this.#links.addRoute({ to: `${next[4]}/32`, gateway: GATEWAY, index, onlink: true });
    } catch (error) {
      if (!isErrno(error, "EEXIST")) throw error;
    }
    // what comes in has a sender that is reached by another link
    this.#sysctls.write(`ipv4/conf/${this.inward}/rp_filter`, "2");
    this.#sysctls.write(`ipv4/conf/${this.inward}/forwarding`, "1");
    this.#sysctls.write(`ipv6/conf/${this.inward}/accept_ra`, "0");
    return index;
  }

  #makeTable(version: 4 | 6, link: number, ports: readonly FirewallPort[]): NetlinkRequest[] {
    const table = this.#table;
    const family = version === 4 ? "ip" : "ip6";
    const address = version === 4 ? "ipv4_addr" : "ipv6_addr";
    const port = (register: number) => header(NFT.NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, register);
    const destination =
      version === 4
        ? header(NFT.NFT_PAYLOAD_NETWORK_HEADER, 16, 4, NFT.NFT_REG32_01)
        : header(NFT.NFT_PAYLOAD_NETWORK_HEADER, 24, 16, NFT.NFT_REG32_01);
    const leave = verdict.goto("leave");
    const requests = [
      newTable(table),
      deleteTable(table),
      newTable(table),
      newSet(table, { name: "any", key: ["inet_proto", "inet_service"] }, 1),
      newSet(table, { name: "ports", key: ["inet_proto", address, "inet_service"] }, 2),
      newChain(table, "input", { type: "filter", hook: NF.NF_INET_LOCAL_IN, priority: PRIORITY }),
      newChain(table, "leave"),
      ...[
        // what nothing translates any more
        [meta(NFT.NFT_META_IIFNAME), compare(interfaceName(this.inward)), verdict.back()],
        // the host's own, to ::1 where that is not served
        [meta(NFT.NFT_META_IIFNAME), compare(interfaceName("lo")), verdict.back()],
        [...addressType(NFT.NFTA_FIB_F_DADDR, RT.RTN_LOCAL, NFT.NFT_CMP_NEQ), verdict.back()],
        [meta(NFT.NFT_META_L4PROTO), port(NFT.NFT_REG32_01), lookup("any"), leave],
        [
          meta(NFT.NFT_META_L4PROTO),
          destination,
          port(version === 4 ? NFT.NFT_REG32_02 : NFT.NFT_REG32_05),
          lookup("ports"),
          leave,
        ],
      ].map((expressions) => newRule(table, "input", expressions)),
      newRule(table, "leave", [
        immediate(NFT.NFT_REG_1, parseIp(next[version])),
        immediate(NFT.NFT_REG_2, new Uint8Array(Uint32Array.of(link).buffer)),
        duplicate(NFT.NFT_REG_1, NFT.NFT_REG_2),
        verdict.drop(),
      ]),
      ...this.#elements(version, ports, (set, list) => addElements(table, set, list)),
    ];
    return requests.map((request) => ofFamily(family, request));
  }

  /** Messages for the ports of one family, by the set that they are in. */
  #elements(
    version: 4 | 6,
    ports: readonly FirewallPort[],
    message: (set: "any" | "ports", list: readonly SetElement[]) => NetlinkRequest,
  ): NetlinkRequest[] {
    const key = ({ protocol, hostIp, hostPort }: FirewallPort): SetElement => ({
      key: setKey(Uint8Array.of(protocolNumbers[protocol]), ...(isAny(hostIp) ? [] : [parseIp(hostIp)]), portBytes(hostPort)),
    });
    const own = ports.filter(({ hostIp }) => hostIp.includes(":") === (version === 6));
    const sets = Map.groupBy(own, ({ hostIp }) => (isAny(hostIp) ? "any" : "ports"));
    return [...sets].flatMap(([set, list]) =>
      Array.from({ length: Math.ceil(list.length / CHUNK) }, (_, index) =>
        message(set, list.slice(index * CHUNK, (index + 1) * CHUNK).map(key)),
      ),
    );
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** What is in the kernel stays. */
  close(): void {
    this.#links.close();
  }
}
