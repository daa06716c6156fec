import { expect, test } from "bun:test";
import fc from "fast-check";
import { sealedLines } from "./explain.ts";
import { generatePrivateKey, publicKeyOf, sealedAddress, sealedMtu } from "./wireguard.ts";

test("a new key is another each time, and whole", () => {
  const keys = Array.from({ length: 10 }, generatePrivateKey);
  expect(new Set(keys).size).toBe(10);
  for (const key of keys) expect(Buffer.from(publicKeyOf(key), "base64")).toHaveLength(32);
  for (const bad of ["", "x", keys[0]!.slice(0, 20), `${keys[0]}AAAA`]) expect(() => publicKeyOf(bad)).toThrow(TypeError);
});

test("a node's address follows from its key, in a prefix of its cluster's", () => {
  const text = fc.string();
  fc.assert(
    fc.property(text, text, text, (cluster, key, other) => {
      const address = sealedAddress(cluster, key);
      expect(address).toBe(sealedAddress(cluster, key));
      expect(address).toStartWith("fd");
      if (key === other) return;
      expect(sealedAddress(cluster, other)).not.toBe(address);
      expect(sealedAddress(cluster, other).split(":").slice(0, 3)).toEqual(address.split(":").slice(0, 3));
      expect(sealedAddress(`${cluster}'`, key).split(":").slice(0, 3)).not.toEqual(address.split(":").slice(0, 3));
    }),
  );
  expect(sealedAddress("prod", "one")).toBe("fd68:e53c:e1d5:47a:c0ed:6aa7:8775:4a51");
  expect(sealedMtu(1500)).toBe(1420);
});

test("what is explained has all but the private key", () => {
  const privateKey = generatePrivateKey();
  const own = sealedAddress("prod", publicKeyOf(privateKey));
  const nodes = [
    { publicKey: "ONE=", address: "192.0.2.2", port: 51820 },
    { publicKey: "TWO=", address: "2001:db8::3", port: 51821, keepalive: 25 },
  ];
  expect(sealedLines("0a1b2c3d", { privateKey, port: 51820, cluster: "prod", underlay: 1500 }, nodes)).toEqual([
    "ip link add wg-0a1b2c3d type wireguard",
    'ip link set wg-0a1b2c3d alias "onggi 0a1b2c3d wireguard"',
    "wg set wg-0a1b2c3d private-key FILE listen-port 51820",
    "ip route replace unreachable fd68:e53c:e1d5::/48 metric 4096",
    "ip link set wg-0a1b2c3d mtu 1420 up",
    `ip address add ${own}/48 nodad dev wg-0a1b2c3d`,
    `wg set wg-0a1b2c3d peer ONE= endpoint 192.0.2.2:51820 allowed-ips ${sealedAddress("prod", "ONE=")}/128`,
    `wg set wg-0a1b2c3d peer TWO= endpoint [2001:db8::3]:51821 persistent-keepalive 25 allowed-ips ${sealedAddress("prod", "TWO=")}/128`,
  ]);
});
