/**
 * Expressions, the instructions of nf_tables' rules: each loads, compares, looks up or decides. Registers: 1 to 4 hold 16 bytes each,
 * and are the same memory as 8 to 23 of 4 bytes (`NFT.NFT_REG32_*`). A comparison or look-up that fails ends the rule.
 */
import { attr } from "./netlink.ts";
import { NFTA_EXPR as E, NF, NFPROTO, NFT, NFTA } from "./nfconstants.ts";

const expression = (name: string, ...attributes: readonly Uint8Array[]): Uint8Array =>
  attr.nested(NFTA.NFTA_LIST_ELEM, attr.string(E.NFTA_EXPR_NAME, name), attr.nested(E.NFTA_EXPR_DATA, ...attributes));
const data = (type: number, value: Uint8Array): Uint8Array => attr.nested(type, attr.bytes(E.NFTA_DATA_VALUE, value));
/** Numbers in registers are the machine's. */
const word = (value: number): Uint8Array => Uint8Array.of(value, value >> 8, value >> 16, value >> 24);

/** Loads what is known of a packet beside its bytes: an interface's name (16 bytes), the protocol. */
export const meta = (key: number, register: number = NFT.NFT_REG_1): Uint8Array =>
  expression("meta", attr.u32be(E.NFTA_META_KEY, key), attr.u32be(E.NFTA_META_DREG, register));

/** Loads bytes of a header. */
export const header = (base: number, offset: number, length: number, register: number = NFT.NFT_REG_1): Uint8Array =>
  expression(
    "payload",
    attr.u32be(E.NFTA_PAYLOAD_DREG, register),
    attr.u32be(E.NFTA_PAYLOAD_BASE, base),
    attr.u32be(E.NFTA_PAYLOAD_OFFSET, offset),
    attr.u32be(E.NFTA_PAYLOAD_LEN, length),
  );

/** Writes bytes into a header, and what the checksum at `checksum` (an offset in the transport header) must then be. */
export const setHeader = (base: number, offset: number, value: Uint8Array, checksum: number): readonly Uint8Array[] => [
  expression("immediate", attr.u32be(E.NFTA_IMMEDIATE_DREG, NFT.NFT_REG_1), data(E.NFTA_IMMEDIATE_DATA, value)),
  expression(
    "payload",
    attr.u32be(E.NFTA_PAYLOAD_SREG, NFT.NFT_REG_1),
    attr.u32be(E.NFTA_PAYLOAD_BASE, base),
    attr.u32be(E.NFTA_PAYLOAD_OFFSET, offset),
    attr.u32be(E.NFTA_PAYLOAD_LEN, value.length),
    attr.u32be(E.NFTA_PAYLOAD_CSUM_TYPE, E.NFT_PAYLOAD_CSUM_INET),
    attr.u32be(E.NFTA_PAYLOAD_CSUM_OFFSET, checksum),
  ),
];

/** Goes on only if register 1 begins with these bytes, or with NFT_CMP_NEQ if not. */
export const compare = (value: Uint8Array, operator: number = NFT.NFT_CMP_EQ): Uint8Array =>
  expression(
    "cmp",
    attr.u32be(E.NFTA_CMP_SREG, NFT.NFT_REG_1),
    attr.u32be(E.NFTA_CMP_OP, operator),
    data(E.NFTA_CMP_DATA, value),
  );

/** Goes on only if register 1 is in a set; a map's value is then in register 1. */
export const lookup = (set: string, options: { readonly inverted?: boolean; readonly map?: boolean } = {}): Uint8Array =>
  expression(
    "lookup",
    attr.string(E.NFTA_LOOKUP_SET, set),
    attr.u32be(E.NFTA_LOOKUP_SREG, NFT.NFT_REG_1),
    ...(options.map ? [attr.u32be(E.NFTA_LOOKUP_DREG, NFT.NFT_REG_1)] : []),
    ...(options.inverted ? [attr.u32be(E.NFTA_LOOKUP_FLAGS, NFT.NFT_LOOKUP_F_INV)] : []),
  );

/** Loads the state, or the status, of the packet's connection and goes on only if one of these bits is set; with NFT_CMP_EQ if none. */
export const connectionBits = (key: number, bits: number, operator: number = NFT.NFT_CMP_NEQ): readonly Uint8Array[] => [
  expression("ct", attr.u32be(E.NFTA_CT_KEY, key), attr.u32be(E.NFTA_CT_DREG, NFT.NFT_REG_1)),
  expression(
    "bitwise",
    attr.u32be(E.NFTA_BITWISE_SREG, NFT.NFT_REG_1),
    attr.u32be(E.NFTA_BITWISE_DREG, NFT.NFT_REG_1),
    attr.u32be(E.NFTA_BITWISE_LEN, 4),
    data(E.NFTA_BITWISE_MASK, word(bits)),
    data(E.NFTA_BITWISE_XOR, word(0)),
  ),
  compare(word(0), operator),
];

/** Goes on only if an address of the packet (`flags`: NFTA_FIB_F_*) is of a kind that routing knows, RTN_*. */
export const addressType = (flags: number, type: number, operator: number = NFT.NFT_CMP_EQ): readonly Uint8Array[] => [
  expression(
    "fib",
    attr.u32be(E.NFTA_FIB_DREG, NFT.NFT_REG_1),
    attr.u32be(E.NFTA_FIB_RESULT, NFT.NFT_FIB_RESULT_ADDRTYPE),
    attr.u32be(E.NFTA_FIB_FLAGS, flags),
  ),
  compare(word(type), operator),
];

/** Goes on only with IPv4, or IPv6. */
export const family = (version: 4 | 6): readonly Uint8Array[] => [
  meta(NFT.NFT_META_NFPROTO),
  compare(Uint8Array.of(version === 4 ? NFPROTO.NFPROTO_IPV4 : NFPROTO.NFPROTO_IPV6)),
];

/** Loads bytes. */
export const immediate = (register: number, value: Uint8Array): Uint8Array =>
  expression("immediate", attr.u32be(E.NFTA_IMMEDIATE_DREG, register), data(E.NFTA_IMMEDIATE_DATA, value));

/** Sends a copy of the packet to the address in a register, by the link whose number is in another. Tables of ip and ip6 alone have it. */
export const duplicate = (address: number, link: number): Uint8Array =>
  expression("dup", attr.u32be(E.NFTA_DUP_SREG_ADDR, address), attr.u32be(E.NFTA_DUP_SREG_DEV, link));

/** Gives the connection another destination: the address in register 1, and after it the port. */
export const destinationNat = (version: 4 | 6): Uint8Array =>
  expression(
    "nat",
    attr.u32be(E.NFTA_NAT_TYPE, NFT.NFT_NAT_DNAT),
    attr.u32be(E.NFTA_NAT_FAMILY, version === 4 ? NFPROTO.NFPROTO_IPV4 : NFPROTO.NFPROTO_IPV6),
    attr.u32be(E.NFTA_NAT_REG_ADDR_MIN, NFT.NFT_REG_1),
    attr.u32be(E.NFTA_NAT_REG_PROTO_MIN, version === 4 ? NFT.NFT_REG32_01 : NFT.NFT_REG_2),
  );

/** Gives the connection the address of the interface it leaves by as its source. */
export const masquerade = (): Uint8Array => expression("masq");

/** Connection tracking leaves the packet alone. */
export const notrack = (): Uint8Array => expression("notrack");

const decision = (code: number, chain?: string): Uint8Array =>
  expression(
    "immediate",
    attr.u32be(E.NFTA_IMMEDIATE_DREG, NFT.NFT_REG_VERDICT),
    attr.nested(
      E.NFTA_IMMEDIATE_DATA,
      attr.nested(
        E.NFTA_DATA_VERDICT,
        attr.u32be(E.NFTA_VERDICT_CODE, code),
        ...(chain === undefined ? [] : [attr.string(E.NFTA_VERDICT_CHAIN, chain)]),
      ),
    ),
  );

/** How a rule ends. `accept` ends this base chain only: those of other tables have their say too; `drop` is final. */
export const verdict = {
  accept: (): Uint8Array => decision(NF.NF_ACCEPT),
  drop: (): Uint8Array => decision(NF.NF_DROP),
  back: (): Uint8Array => decision(NFT.NFT_RETURN),
  jump: (chain: string): Uint8Array => decision(NFT.NFT_JUMP, chain),
  goto: (chain: string): Uint8Array => decision(NFT.NFT_GOTO, chain),
} as const;
