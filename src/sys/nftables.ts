/** Messages of nf_tables, for tables of the inet family unless another is given: requests for `Nfnetlink.commit`. */
import { NLM_F } from "./netconstants.ts";
import { attr, concat, decodeAttributes, eachAttribute, type NetlinkRequest, payload } from "./netlink.ts";
import { NF, NFNL, NFPROTO, NFT, NFT_MSG, NFTA, NFTA_EXPR } from "./nfconstants.ts";
import { NETFILTER_HEADER, type Nfnetlink, netfilterRequest } from "./nfnetlink.ts";

const families = { inet: NFPROTO.NFPROTO_INET, ip: NFPROTO.NFPROTO_IPV4, ip6: NFPROTO.NFPROTO_IPV6 } as const;
export type TableFamily = keyof typeof families;

const request = (message: number, flags: number, about: string, ...attributes: readonly Uint8Array[]): NetlinkRequest =>
  netfilterRequest(NFNL.NFNL_SUBSYS_NFTABLES, message, NFPROTO.NFPROTO_INET, flags, about, attributes);

/** A request for a table of the inet family, for one of that name in another. */
export const ofFamily = (family: TableFamily, made: NetlinkRequest): NetlinkRequest => {
  const payload = made.payload.slice();
  payload[0] = families[family];
  return { ...made, payload, about: made.about.replace(" inet ", ` ${family} `) };
};

/** Makes a table, unless it is there. */
export const newTable = (table: string): NetlinkRequest =>
  request(NFT_MSG.NFT_MSG_NEWTABLE, NLM_F.NLM_F_CREATE, `new table inet ${table}`, attr.string(NFTA.NFTA_TABLE_NAME, table));

/** Deletes a table with all that is in it. ENOENT if it is not there. */
export const deleteTable = (table: string): NetlinkRequest =>
  request(NFT_MSG.NFT_MSG_DELTABLE, 0, `delete table inet ${table}`, attr.string(NFTA.NFTA_TABLE_NAME, table));

export interface ChainHook {
  readonly type: "filter" | "nat";
  /** NF_INET_* */
  readonly hook: number;
  /** Lower comes earlier. */
  readonly priority: number;
}

/** Makes a chain: with a hook one that packets enter from outside, and whose policy is to accept. */
export const newChain = (table: string, chain: string, hook?: ChainHook): NetlinkRequest =>
  request(
    NFT_MSG.NFT_MSG_NEWCHAIN,
    NLM_F.NLM_F_CREATE,
    `new chain inet ${table} ${chain}`,
    attr.string(NFTA.NFTA_CHAIN_TABLE, table),
    attr.string(NFTA.NFTA_CHAIN_NAME, chain),
    ...(hook === undefined
      ? []
      : [
          attr.nested(
            NFTA.NFTA_CHAIN_HOOK,
            attr.u32be(NFTA.NFTA_HOOK_HOOKNUM, hook.hook),
            attr.u32be(NFTA.NFTA_HOOK_PRIORITY, hook.priority),
          ),
          attr.string(NFTA.NFTA_CHAIN_TYPE, hook.type),
        ]),
  );

/** Puts a rule at the end of a chain. Chains and sets that it names must be there, or be made before it in the transaction. */
export const newRule = (table: string, chain: string, expressions: readonly Uint8Array[], about = "rule"): NetlinkRequest =>
  request(
    NFT_MSG.NFT_MSG_NEWRULE,
    NLM_F.NLM_F_CREATE | NLM_F.NLM_F_APPEND,
    `${about} in inet ${table} ${chain}`,
    attr.string(NFTA.NFTA_RULE_TABLE, table),
    attr.string(NFTA.NFTA_RULE_CHAIN, chain),
    attr.nested(NFTA.NFTA_RULE_EXPRESSIONS, ...expressions),
  );

/** Types of a key's or value's parts as nft knows them: their numbers (the kernel only keeps them for it), bytes, byte order. */
export const setTypes = {
  ipv4_addr: { number: 7, size: 4, big: true },
  ipv6_addr: { number: 8, size: 16, big: true },
  ether_addr: { number: 9, size: 6, big: true },
  inet_proto: { number: 12, size: 1, big: true },
  inet_service: { number: 13, size: 2, big: true },
  ifname: { number: 41, size: 16, big: false },
} as const;
export type SetType = keyof typeof setTypes;

export interface SetSpec {
  readonly name: string;
  readonly key: readonly SetType[];
  /** Makes it a map. */
  readonly value?: readonly SetType[];
  /** Elements are ranges; then the key has one part. */
  readonly interval?: boolean;
}

const padded = (size: number): number => (size + 3) & ~3;
/** Several parts are one number of six bits each, and each begins at a multiple of four bytes. */
const typeNumber = (types: readonly SetType[]): number => types.reduce((sum, type) => sum * 64 + setTypes[type].number, 0);
const typeSize = (types: readonly SetType[]): number =>
  types.length === 1 ? setTypes[types[0]!].size : types.reduce((sum, type) => sum + padded(setTypes[type].size), 0);

/** What nft keeps for itself with a set: byte orders, without which it misreads numbers. type, length, u32. */
const byteOrder = (field: 0 | 1, types: readonly SetType[]): Uint8Array =>
  Uint8Array.of(field, 4, types.length > 1 ? 0 : setTypes[types[0]!].big ? 2 : 1, 0, 0, 0);

/** Makes a set or map. `id` is its number within the transaction. */
export const newSet = (table: string, spec: SetSpec, id: number): NetlinkRequest =>
  request(
    NFT_MSG.NFT_MSG_NEWSET,
    NLM_F.NLM_F_CREATE,
    `new set inet ${table} ${spec.name}`,
    attr.string(NFTA.NFTA_SET_TABLE, table),
    attr.string(NFTA.NFTA_SET_NAME, spec.name),
    attr.u32be(NFTA.NFTA_SET_FLAGS, (spec.interval ? NFT.NFT_SET_INTERVAL : 0) | (spec.value ? NFT.NFT_SET_MAP : 0)),
    attr.u32be(NFTA.NFTA_SET_KEY_TYPE, typeNumber(spec.key)),
    attr.u32be(NFTA.NFTA_SET_KEY_LEN, typeSize(spec.key)),
    ...(spec.value === undefined
      ? []
      : [attr.u32be(NFTA.NFTA_SET_DATA_TYPE, typeNumber(spec.value)), attr.u32be(NFTA.NFTA_SET_DATA_LEN, typeSize(spec.value))]),
    attr.u32be(NFTA.NFTA_SET_ID, id),
    attr.bytes(
      NFTA.NFTA_SET_USERDATA,
      concat([byteOrder(0, spec.key), ...(spec.value === undefined ? [] : [byteOrder(1, spec.value)])]),
    ),
  );

/** An element's key or value: its parts one after the other, each padded to four bytes if there are several. */
export function setKey(...parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0]!;
  const key = new Uint8Array(parts.reduce((sum, part) => sum + padded(part.length), 0));
  let at = 0;
  for (const part of parts) {
    key.set(part, at);
    at += padded(part.length);
  }
  return key;
}

/** An interface's name as a key. */
export function interfaceKey(name: string): Uint8Array {
  const key = new Uint8Array(16);
  if (new TextEncoder().encodeInto(name, key.subarray(0, 15)).read !== name.length || name === "") {
    throw new TypeError(`not the name of an interface: ${JSON.stringify(name)}`);
  }
  return key;
}

export interface SetElement {
  readonly key: Uint8Array;
  /** Of a map. */
  readonly value?: Uint8Array;
  /** The key is the first that an interval no longer holds. */
  readonly end?: boolean;
}

const encodeElement = ({ key, value, end }: SetElement): Uint8Array =>
  attr.nested(
    NFTA.NFTA_LIST_ELEM,
    attr.nested(NFTA.NFTA_SET_ELEM_KEY, attr.bytes(NFTA_EXPR.NFTA_DATA_VALUE, key)),
    ...(value === undefined ? [] : [attr.nested(NFTA.NFTA_SET_ELEM_DATA, attr.bytes(NFTA_EXPR.NFTA_DATA_VALUE, value))]),
    ...(end ? [attr.u32be(NFTA.NFTA_SET_ELEM_FLAGS, NFT.NFT_SET_ELEM_INTERVAL_END)] : []),
  );

const elements = (message: number, flags: number, word: string, table: string, set: string, list: readonly SetElement[]) =>
  request(
    message,
    flags,
    `${word} inet ${table} ${set}`,
    attr.string(NFTA.NFTA_SET_ELEM_LIST_TABLE, table),
    attr.string(NFTA.NFTA_SET_ELEM_LIST_SET, set),
    attr.nested(NFTA.NFTA_SET_ELEM_LIST_ELEMENTS, ...list.map(encodeElement)),
  );

/**
 * Adds elements; those that are there with the same value stay, with another value it is EBUSY. At most 500 elements: more may not
 * fit an attribute.
 */
export const addElements = (table: string, set: string, list: readonly SetElement[]): NetlinkRequest =>
  elements(NFT_MSG.NFT_MSG_NEWSETELEM, NLM_F.NLM_F_CREATE, "add element", table, set, list);

/** Deletes elements. ENOENT if one of them is not there. */
export const deleteElements = (table: string, set: string, list: readonly SetElement[]): NetlinkRequest =>
  elements(NFT_MSG.NFT_MSG_DELSETELEM, 0, "delete element", table, set, list);

/** The elements of a listing. Never throws. */
export function decodeElements(body: Uint8Array): SetElement[] {
  const list = decodeAttributes(body, NETFILTER_HEADER).get(NFTA.NFTA_SET_ELEM_LIST_ELEMENTS) ?? new Uint8Array();
  const found: SetElement[] = [];
  const dataOf = (bytes: Uint8Array | undefined) => bytes && decodeAttributes(bytes).get(NFTA_EXPR.NFTA_DATA_VALUE);
  for (const [, element] of eachAttribute(list)) {
    const has = decodeAttributes(element);
    const key = dataOf(has.get(NFTA.NFTA_SET_ELEM_KEY));
    const value = dataOf(has.get(NFTA.NFTA_SET_ELEM_DATA));
    const flags = has.get(NFTA.NFTA_SET_ELEM_FLAGS)?.[3] ?? 0;
    const end = (flags & NFT.NFT_SET_ELEM_INTERVAL_END) !== 0;
    if (key !== undefined) found.push({ key, ...(value === undefined ? {} : { value }), ...(end ? { end } : {}) });
  }
  return found;
}

/** All elements of a set. @throws NetlinkError ENOENT if there is no such set */
export function listElements(net: Nfnetlink, table: string, set: string): SetElement[] {
  const answers = net.request(
    request(
      NFT_MSG.NFT_MSG_GETSETELEM,
      NLM_F.NLM_F_DUMP,
      `list set inet ${table} ${set}`,
      attr.string(NFTA.NFTA_SET_ELEM_LIST_TABLE, table),
      attr.string(NFTA.NFTA_SET_ELEM_LIST_SET, set),
    ),
  );
  return answers.flatMap(({ payload: body }) => decodeElements(body));
}

/** A table's rules, chain by chain, each as a text of its handle and expressions: the same as long as it is the same rule. */
export function listRules(net: Nfnetlink, table: string): string[] {
  const answers = net.request(
    request(NFT_MSG.NFT_MSG_GETRULE, NLM_F.NLM_F_DUMP, `list table inet ${table}`, attr.string(NFTA.NFTA_RULE_TABLE, table)),
  );
  return answers.map(({ payload: body }) => {
    const has = decodeAttributes(body, NETFILTER_HEADER);
    return [NFTA.NFTA_RULE_HANDLE, NFTA.NFTA_RULE_EXPRESSIONS]
      .map((type) => Buffer.from(has.get(type) ?? []).toString("hex"))
      .join(" ");
  });
}

export interface BaseChain {
  /** AF_* or NFPROTO_INET */
  readonly family: number;
  readonly table: string;
  readonly name: string;
  /** NF_INET_* */
  readonly hook: number;
  readonly dropsByDefault: boolean;
}

/** A chain of a listing that packets enter from outside; null for other chains. Never throws. */
export function decodeBaseChain(body: Uint8Array): BaseChain | null {
  const has = decodeAttributes(body, NETFILTER_HEADER);
  const hook = payload.u32be(decodeAttributes(has.get(NFTA.NFTA_CHAIN_HOOK) ?? new Uint8Array()).get(NFTA.NFTA_HOOK_HOOKNUM));
  if (hook === undefined) return null;
  return {
    family: body[0]!,
    table: payload.string(has.get(NFTA.NFTA_CHAIN_TABLE)) ?? "",
    name: payload.string(has.get(NFTA.NFTA_CHAIN_NAME)) ?? "",
    hook,
    dropsByDefault: payload.u32be(has.get(NFTA.NFTA_CHAIN_POLICY)) === NF.NF_DROP,
  };
}

/** The chains of all tables, whosoever, that packets enter from outside. */
export function listBaseChains(net: Nfnetlink): BaseChain[] {
  const all = netfilterRequest(NFNL.NFNL_SUBSYS_NFTABLES, NFT_MSG.NFT_MSG_GETCHAIN, 0, NLM_F.NLM_F_DUMP, "list chains", []);
  return net
    .request(all)
    .map(({ payload: body }) => decodeBaseChain(body))
    .filter((chain) => chain !== null);
}
