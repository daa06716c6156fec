import { expect, test } from "bun:test";
import fc from "fast-check";
import { decodeConnection } from "./conntrack.ts";
import { attr, concat } from "./netlink.ts";
import { CT, NFNL, NFT, NFT_MSG, NFTA } from "./nfconstants.ts";
import { decodeGeneration, netfilterHeader } from "./nfnetlink.ts";
import { lookup, verdict } from "./nft-expressions.ts";
import { addElements, decodeBaseChain, decodeElements, interfaceKey, newSet, setKey } from "./nftables.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

test("foreign bytes never throw", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      decodeGeneration(bytes);
      decodeElements(bytes);
      decodeBaseChain(bytes);
      decodeConnection(bytes);
    }),
    { numRuns: 1000 },
  );
});

test("elements come back", () => {
  const element = fc.record(
    {
      key: fc.uint8Array({ minLength: 1, maxLength: 24 }),
      value: fc.uint8Array({ minLength: 1, maxLength: 20 }),
      end: fc.constant(true),
    },
    { requiredKeys: ["key"] },
  );
  const plain = (list: readonly { key: Uint8Array; value?: Uint8Array; end?: boolean }[]) =>
    list.map(({ key, value, end }) => [hex(key), value === undefined ? null : hex(value), end ?? false]);
  fc.assert(
    fc.property(fc.array(element, { maxLength: 50 }), (list) => {
      const { type, payload } = addElements("t", "s", list);
      expect(type).toBe((NFNL.NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG.NFT_MSG_NEWSETELEM);
      expect(plain(decodeElements(payload))).toEqual(plain(list));
    }),
  );
});

test("500 elements of the longest kind fit a message", () => {
  const element = { key: new Uint8Array(24), value: new Uint8Array(20) };
  expect(() => addElements("t", "s", new Array(500).fill(element))).not.toThrow();
});

test("keys are padded part by part", () => {
  expect(hex(setKey(Uint8Array.of(6), Uint8Array.of(10, 0, 0, 1), Uint8Array.of(0, 80)))).toBe("060000000a00000100500000");
  expect(hex(setKey(Uint8Array.of(0, 80)))).toBe("0050");
  expect(hex(interfaceKey("eth0"))).toBe(`65746830${"00".repeat(12)}`);
  expect(() => interfaceKey("a name of sixteen")).toThrow(TypeError);
  expect(() => interfaceKey("")).toThrow(TypeError);
});

test("a set of several types has their numbers, six bits each", () => {
  const { payload } = newSet("t", { name: "m", key: ["inet_proto", "inet_service"], value: ["ipv4_addr", "inet_service"] }, 7);
  const u32be = (type: number, value: number): string => hex(attr.u32be(type, value));
  const bytes = hex(payload);
  expect(bytes).toContain(u32be(NFTA.NFTA_SET_FLAGS, NFT.NFT_SET_MAP));
  expect(bytes).toContain(u32be(NFTA.NFTA_SET_KEY_TYPE, 12 * 64 + 13) + u32be(NFTA.NFTA_SET_KEY_LEN, 8));
  expect(bytes).toContain(u32be(NFTA.NFTA_SET_DATA_TYPE, 7 * 64 + 13) + u32be(NFTA.NFTA_SET_DATA_LEN, 8));
});

test("expressions", () => {
  expect(hex(lookup("s", { inverted: true }))).toBe(
    "2c000180" + // NFTA_LIST_ELEM
      "0b0001006c6f6f6b75700000" + // NFTA_EXPR_NAME "lookup"
      "1c000280" + // NFTA_EXPR_DATA
      "0600010073000000" + // NFTA_LOOKUP_SET "s"
      "0800020000000001" + // NFTA_LOOKUP_SREG 1
      "0800050000000001", // NFTA_LOOKUP_FLAGS: inverted
  );
  expect(hex(verdict.goto("c"))).toContain("08000100fffffffc"); // NFTA_VERDICT_CODE -4
});

test("a connection of a listing", () => {
  const tuple = (type: number, source: number[], destination: number[], port: number): Uint8Array =>
    attr.nested(
      type,
      attr.nested(
        CT.CTA_TUPLE_IP,
        attr.bytes(CT.CTA_IP_V4_SRC, Uint8Array.from(source)),
        attr.bytes(CT.CTA_IP_V4_DST, Uint8Array.from(destination)),
      ),
      attr.nested(CT.CTA_TUPLE_PROTO, attr.u8(CT.CTA_PROTO_NUM, 17), attr.u16be(CT.CTA_PROTO_DST_PORT, port)),
    );
  const original = tuple(CT.CTA_TUPLE_ORIG, [192, 0, 2, 2], [192, 0, 2, 1], 53);
  const id = attr.u32be(CT.CTA_ID, 77);
  const message = concat([netfilterHeader(2), original, tuple(CT.CTA_TUPLE_REPLY, [172, 17, 0, 2], [192, 0, 2, 2], 40000), id]);
  expect(decodeConnection(message)).toEqual({
    destination: "192.0.2.1",
    destinationPort: 53,
    answers: "172.17.0.2",
    name: [original, id],
  });
});
