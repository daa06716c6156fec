import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { errno, isErrno } from "./errno.ts";
import { IFLA, NLM_F, NLMSG, RTM } from "./netconstants.ts";
import { attr, concat, decodeAttributes, decodeError, decodeMessages, eachAttribute, encodeMessage, payload } from "./netlink.ts";
import { addAddress, addNeighbour, addRoute, newVeth, setBridgePort } from "./rtmessages.ts";
import {
  decodeAddress,
  decodeLink,
  decodeLinkCounters,
  decodeNeighbour,
  decodeRoute,
  decodeVxlan,
  Rtnetlink,
} from "./rtnetlink.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

describe("attributes", () => {
  test("come back in order", () => {
    const one = fc.tuple(fc.nat({ max: 0x3fff }), fc.uint8Array({ maxLength: 300 }));
    fc.assert(
      fc.property(fc.array(one), (list) => {
        const bytes = concat(list.map(([type, body]) => attr.bytes(type, body)));
        expect(bytes.length % 4).toBe(0);
        expect([...eachAttribute(bytes)].map(([type, body]) => [type, [...body]])).toEqual(
          list.map(([type, body]) => [type, [...body]]),
        );
      }),
    );
  });

  test("numbers and texts", () => {
    const has = decodeAttributes(
      concat([attr.u8(1, 200), attr.u16(2, 60000), attr.u16be(3, 4789), attr.u32(4, 0xfffffffe), attr.string(5, "onggi")]),
    );
    expect(payload.u8(has.get(1))).toBe(200);
    expect(payload.u16(has.get(2))).toBe(60000);
    expect([...has.get(3)!]).toEqual([0x12, 0xb5]);
    expect(payload.u32(has.get(4))).toBe(0xfffffffe);
    expect(payload.string(has.get(5))).toBe("onggi");
    expect([payload.u8(undefined), payload.u16(has.get(1)), payload.u32(has.get(2)), payload.string(undefined)]).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
  });

  test("more than the length field can say is refused", () => {
    expect(attr.bytes(1, new Uint8Array(65531)).length).toBe(65536);
    expect(() => attr.bytes(1, new Uint8Array(65532))).toThrow(RangeError);
  });
});

test("messages come back", () => {
  const message = fc.record({
    type: fc.nat({ max: 0xffff }),
    flags: fc.nat({ max: 0xffff }),
    seq: fc.nat({ max: 0xffffffff }),
    payload: fc.uint8Array({ maxLength: 100 }),
  });
  fc.assert(
    fc.property(fc.array(message), (list) => {
      const back = [...decodeMessages(concat(list.map(encodeMessage)))];
      expect(back.map((one) => ({ ...one, payload: [...one.payload] }))).toEqual(
        list.map((one) => ({ ...one, payload: [...one.payload] })),
      );
    }),
  );
});

test("foreign bytes never throw", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      for (const message of decodeMessages(bytes)) decodeError(message);
      decodeError({ type: NLMSG.NLMSG_ERROR, flags: NLM_F.NLM_F_ACK_TLVS, seq: 0, payload: bytes });
      const decoders = [decodeLink, decodeLinkCounters, decodeVxlan, decodeAddress, decodeRoute, decodeNeighbour];
      for (const decode of decoders) decode(bytes);
    }),
    { numRuns: 1000 },
  );
});

test("a refusal with the kernel's words", () => {
  const original = encodeMessage({ type: RTM.RTM_NEWLINK, flags: 5, seq: 9, payload: new Uint8Array(20) });
  const text = attr.string(1, "mtu too large");
  const number = Uint8Array.of(0xea, 0xff, 0xff, 0xff);
  const whole = { type: NLMSG.NLMSG_ERROR, seq: 9, flags: NLM_F.NLM_F_ACK_TLVS, payload: concat([number, original, text]) };
  expect(decodeError(whole)).toEqual({ errno: errno.EINVAL, detail: "mtu too large" });
  const capped = {
    ...whole,
    flags: NLM_F.NLM_F_ACK_TLVS | NLM_F.NLM_F_CAPPED,
    payload: concat([number, original.subarray(0, 16), text]),
  };
  expect(decodeError(capped)).toEqual({ errno: errno.EINVAL, detail: "mtu too large" });
});

describe("requests", () => {
  test("a veth with its peer in another namespace is one message", () => {
    const request = newVeth({ name: "v0", up: true, master: 7 }, { name: "eth0", netns: { fd: 9 } });
    expect(request).toMatchObject({ type: RTM.RTM_NEWLINK, flags: NLM_F.NLM_F_CREATE | NLM_F.NLM_F_EXCL, about: "new veth v0" });
    expect(hex(request.payload)).toBe(
      "00000000000000000100000001000000" + // struct ifinfomsg: up
        "0700030076300000" + // IFLA_IFNAME "v0"
        "08000a0007000000" + // IFLA_MASTER 7
        "3c001280" + // IFLA_LINKINFO
        "09000100766574680000000" +
        "0" + // IFLA_INFO_KIND "veth"
        "2c000280" + // IFLA_INFO_DATA
        "28000100" + // VETH_INFO_PEER
        "00000000000000000000000000000000" + // struct ifinfomsg of the peer
        "090003006574683000000000" + // IFLA_IFNAME "eth0"
        "08001c0009000000", // IFLA_NET_NS_FD 9
    );
  });

  test("an address", () => {
    expect(hex(addAddress({ index: 3, prefix: "10.0.0.2/24" }).payload)).toBe(
      "0218000003000000" + "080002000a000002" + "080001000a000002",
    );
  });

  test("a default route, IPv4 and IPv6", () => {
    expect(hex(addRoute({ to: "default", gateway: "10.0.0.1", index: 3 }).payload)).toBe(
      "02000000fe04000100000000" + "08000f00fe000000" + "080005000a000001" + "0800040003000000",
    );
    const six = decodeRoute(addRoute({ to: "default", gateway: "fd00::1", table: 1000 }).payload);
    expect(six).toMatchObject({ to: "default", family: 6, gateway: "fd00::1", table: 1000 });
  });

  test("a forwarding entry", () => {
    const request = addNeighbour({ index: 4, mac: "02:42:ac:11:00:09", ip: "10.9.0.7", fdb: true, flags: 2 });
    expect(hex(request.payload)).toBe("070000000400000080000200" + "080001000a090007" + "0a0002000242ac1100090000");
    expect(request.about).toBe("add fdb entry 02:42:ac:11:00:09 10.9.0.7 on 4");
  });

  test("a bridge port", () => {
    const parts = decodeAttributes(setBridgePort(4, { hairpin: true, isolated: false }).payload, 16);
    expect([...eachAttribute(parts.get(IFLA.IFLA_PROTINFO)!)].map(([type, [value]]) => [type, value])).toEqual([
      [4, 1],
      [33, 0],
    ]);
  });
});

test("this machine's loopback, without privileges", () => {
  const net = new Rtnetlink();
  const lo = net.linkByName("lo");
  expect(lo).toMatchObject({ index: 1, name: "lo", kind: undefined });
  expect(net.linkByIndex(1)).toEqual(lo);
  expect(net.linkList().map(({ name }) => name)).toContain("lo");
  expect(net.linkByName("no-such-link")).toBeNull();
  try {
    net.requireLink("no-such-link");
    expect.unreachable();
  } catch (error) {
    expect(isErrno(error, "ENODEV")).toBe(true);
  } finally {
    net.close();
  }
});
