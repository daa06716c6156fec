import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { canonical, type Peer, PeerSet } from "./peers.ts";
import { tunnelMtu, tunnelName } from "./tunnel.ts";

test("what fits a tunnel, and its name", () => {
  expect([tunnelMtu(1500, 4), tunnelMtu(1500, 6), tunnelMtu(9000, 4)]).toEqual([1450, 1430, 8950]);
  expect(tunnelName("0123456789abcdef")).toBe("vx-0123456789ab");
});

test("a peer's addresses are written as the kernel's are", () => {
  const peer = { mac: "02:42:0A:01:00:0B", ipv4: "10.1.0.11", ipv6: "FD00:1:0::B", host: "2001:db8:0:0::1" };
  expect(canonical(peer)).toEqual({ mac: "02:42:0a:01:00:0b", ipv4: "10.1.0.11", ipv6: "fd00:1::b", host: "2001:db8::1" });
  expect(canonical({ ...peer, ipv4: null, ipv6: null })).toMatchObject({ ipv4: null, ipv6: null });
});

describe("a set of peers", () => {
  const digit = fc.nat({ max: 4 });
  const peer = fc.record({
    mac: digit.map((n) => `02:00:00:00:00:0${n}`),
    ipv4: fc.option(digit.map((n) => `10.0.0.${n}`)),
    ipv6: fc.option(digit.map((n) => `fd00::${n + 1}`)),
    host: digit.map((n) => `192.0.2.${n}`),
  });
  const change = fc.oneof(
    peer.map((one) => ({ put: one })),
    peer.map(({ mac }) => ({ delete: mac })),
  );

  test("has a holder for each address, tells which ones are free, and is the same when it is made again", () => {
    fc.assert(
      fc.property(fc.array(change), (changes) => {
        const set = new PeerSet();
        for (const one of changes) {
          const before = [...set.macs.keys()];
          const released = "put" in one ? set.put(one.put) : set.delete(one.delete);
          expect(released.toSorted()).toEqual(before.filter((ip) => !set.macs.has(ip)).toSorted());
          for (const [ip, mac] of set.macs) {
            const holder: Peer = set.byMac.get(mac)!;
            expect([holder.ipv4, holder.ipv6]).toContain(ip);
          }
          if ("put" in one) expect(set.byMac.get(one.put.mac)).toEqual(one.put);
        }
        const again = PeerSet.of([...set.byMac.values()]);
        expect([...again.byMac]).toEqual([...set.byMac]);
        for (const [ip, mac] of set.macs) expect(again.macs.get(ip)).toBe(mac);
      }),
    );
  });
});
