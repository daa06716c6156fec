import { expect, test } from "bun:test";
import fc from "fast-check";
import { type Claim, claimValues, Keys, parseClaim, parseNetwork, parseNode } from "./records.ts";

const network = "ab".repeat(32);
const claim: Claim = {
  ...{ network, node: "0123456789abcdef", container: "cd".repeat(32), mac: "02:42:0a:32:00:07" },
  ...{ ipv4: "10.50.0.7", ipv6: "fd00::7", names: ["db", "postgres"] },
};

test("a claim has a key for each address, and is told by the first", () => {
  const keys = new Keys("/onggi/v1");
  expect(keys.ofClaim(claim)).toEqual([`/onggi/v1/addresses/${network}/10.50.0.7`, `/onggi/v1/addresses/${network}/fd00::7`]);
  const [first, second] = claimValues(claim);
  expect(parseClaim(network, "10.50.0.7", first!)).toEqual(claim);
  expect(parseClaim(network, "fd00::7", second!)).toEqual({ node: claim.node });
  const v6 = { ...claim, ipv4: null };
  expect(keys.ofClaim(v6)).toEqual([`/onggi/v1/addresses/${network}/fd00::7`]);
  expect(parseClaim(network, "fd00::7", claimValues(v6)[0]!)).toEqual(v6);
});

test.each<[string, object]>([
  ["under another address", { ipv4: "10.50.0.8" }],
  ["of no node", { node: "a" }],
  ["of no container", { container: "web" }],
  ["with the hardware address of a group", { mac: "01:42:0a:32:00:07" }],
  ["with no hardware address", { mac: "x" }],
  ["with nobody's hardware address", { mac: "00:00:00:00:00:00" }],
  ["with names that are none", { names: "db" }],
  ["with an address of the other family", { ipv4: "fd00::7" }],
])("a claim %s is none", (_, change) => {
  expect(parseClaim(network, "10.50.0.7", JSON.stringify({ ...claim, ...change }))).toBeNull();
});

test("names that cannot be asked for are left out", () => {
  const value = JSON.stringify({ ...claim, names: ["db", "", "a b", 7, "x".repeat(300)] });
  expect(parseClaim(network, "10.50.0.7", value)).toEqual({ ...claim, names: ["db"] });
});

const record = {
  ...{
    id: network,
    name: "web",
    driver: "overlay",
    created: "2026-01-01T00:00:00.000Z",
    ipv4: true,
    ipv6: false,
    internal: false,
  },
  ...{
    pools: [{ subnet: "10.50.0.0/24", gateway: "10.50.0.1" }],
    options: {},
    labels: { a: "b" },
    mtu: 1450,
    vni: 4096,
    chosen: [4],
  },
};

test("a network's bridge is named here, whatever its record says", () => {
  expect(parseNetwork(JSON.stringify({ ...record, interface: "eth0", driver: "host", predefined: true }))).toMatchObject({
    ...{ name: "web", driver: "overlay", interface: "br-abababababab", predefined: false, vni: 4096 },
  });
});

test.each<[string, object]>([
  ["number", { vni: 2 ** 24 }],
  ["MTU", { mtu: 10 }],
  ["subnet", { pools: [{ subnet: "10.50.0.1/24" }] }],
  ["second subnet of a family", { pools: [{ subnet: "10.50.0.0/24" }, { subnet: "10.51.0.0/24" }] }],
  ["subnet at all", { pools: [] }],
  ["option", { options: { parent: "eth0" } }],
  ["label", { labels: { a: 1 } }],
  ["name", { name: "a b" }],
  ["date", { created: "yesterday" }],
])("a network without a proper %s is none", (_, change) => {
  expect(parseNetwork(JSON.stringify({ ...record, ...change }))).toBeNull();
});

test("a node has a name and an address", () => {
  const seal = { key: Buffer.alloc(32, 7).toString("base64"), sealPort: 51820 };
  const node = { id: "0123456789abcdef", name: "a.example", address: "10.0.0.1", ...seal, joined: 1 };
  expect(parseNode(JSON.stringify(node))).toEqual(node);
  for (const change of [{ id: "x" }, { name: "a b" }, { address: "here" }]) {
    expect(parseNode(JSON.stringify({ ...node, ...change }))).toBeNull();
  }
  for (const change of [{ key: "AAAA" }, { key: 1 }, { sealPort: 0 }]) {
    expect(parseNode(JSON.stringify({ ...node, ...change }))).toEqual({ ...node, key: "", sealPort: 0 });
  }
});

test("what others wrote never throws", () => {
  const spoilt = fc.dictionary(fc.constantFrom(...Object.keys({ ...record, ...claim })), fc.jsonValue());
  const anything = fc.oneof(
    fc.string(),
    fc.json(),
    spoilt.map((fields) => JSON.stringify({ ...record, ...claim, ...fields })),
  );
  fc.assert(
    fc.property(anything, fc.string(), (value, ip) => {
      for (const parsed of [parseNode(value), parseNetwork(value), parseClaim(network, ip, value)]) {
        expect(parsed === null || typeof parsed === "object").toBe(true);
      }
    }),
  );
});
