import { expect, test } from "bun:test";
import fc from "fast-check";
import { WG } from "./netconstants.ts";
import { attr, concat } from "./netlink.ts";
import { decodeDevice } from "./wireguard.ts";

const key = (byte: number): Uint8Array => new Uint8Array(32).fill(byte);
const text = (byte: number): string => Buffer.from(key(byte)).toString("base64");
const body = (...attributes: readonly Uint8Array[]): Uint8Array => concat([new Uint8Array(4), ...attributes]);
const allowed = (ip: readonly number[], bits: number): Uint8Array =>
  attr.nested(0, attr.bytes(WG.WGALLOWEDIP_A_IPADDR, Uint8Array.from(ip)), attr.u8(WG.WGALLOWEDIP_A_CIDR_MASK, bits));
const peer = (byte: number, ...attributes: readonly Uint8Array[]): Uint8Array =>
  attr.nested(0, attr.bytes(WG.WGPEER_A_PUBLIC_KEY, key(byte)), ...attributes);

test("a listing of several messages: a peer's addresses go on in the next", () => {
  const endpoint = Uint8Array.of(2, 0, 0xca, 0x6c, 192, 0, 2, 7, 0, 0, 0, 0, 0, 0, 0, 0);
  const first = body(
    attr.bytes(WG.WGDEVICE_A_PUBLIC_KEY, key(9)),
    attr.u16(WG.WGDEVICE_A_LISTEN_PORT, 51820),
    attr.nested(
      WG.WGDEVICE_A_PEERS,
      peer(1),
      peer(
        2,
        attr.bytes(WG.WGPEER_A_ENDPOINT, endpoint),
        attr.u16(WG.WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL, 25),
        attr.nested(WG.WGPEER_A_ALLOWEDIPS, allowed([10, 0, 0, 0], 8)),
      ),
    ),
  );
  const second = body(attr.nested(WG.WGDEVICE_A_PEERS, peer(2, attr.nested(WG.WGPEER_A_ALLOWEDIPS, allowed([10, 1, 0, 1], 32)))));
  expect(decodeDevice([first, second])).toEqual({
    publicKey: text(9),
    port: 51820,
    peers: [
      { publicKey: text(1), endpoint: undefined, allowed: [], keepalive: 0 },
      {
        publicKey: text(2),
        endpoint: { address: "192.0.2.7", port: 51820 },
        allowed: ["10.0.0.0/8", "10.1.0.1/32"],
        keepalive: 25,
      },
    ],
  });
  expect(decodeDevice([])).toEqual({ publicKey: "", port: 0, peers: [] });
});

test("foreign bytes never throw", () => {
  const bytes = fc.uint8Array({ maxLength: 100 });
  fc.assert(
    fc.property(bytes, bytes, bytes, (one, two, three) => {
      decodeDevice([
        one,
        body(attr.nested(WG.WGDEVICE_A_PEERS, two, peer(1, three), peer(2, attr.nested(WG.WGPEER_A_ALLOWEDIPS, three)))),
      ]);
    }),
    { numRuns: 1000 },
  );
});
