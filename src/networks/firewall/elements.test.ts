import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { formatIp, parseIp } from "../../sys/index.ts";
import { intervalOf, networkElements, nodeElements, portElement } from "./elements.ts";

const hex = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString("hex");

describe("the interval of a prefix", () => {
  const texts = (prefix: string): [string, string | null] => {
    const { first, after } = intervalOf(prefix);
    return [formatIp(first), after === null ? null : formatIp(after)];
  };

  test("begins with its first address and ends before the one after its last", () => {
    expect(texts("172.17.0.0/16")).toEqual(["172.17.0.0", "172.18.0.0"]);
    expect(texts("10.0.0.130/25")).toEqual(["10.0.0.128", "10.0.1.0"]);
    expect(texts("10.255.255.0/24")).toEqual(["10.255.255.0", "11.0.0.0"]);
    expect(texts("10.0.0.255/32")).toEqual(["10.0.0.255", "10.0.1.0"]);
    expect(texts("192.0.0.0/2")).toEqual(["192.0.0.0", null]);
    expect(texts("0.0.0.0/0")).toEqual(["0.0.0.0", null]);
    expect(texts("fd00:1::/64")).toEqual(["fd00:1::", "fd00:1:0:1::"]);
    expect(texts("ff00::/8")).toEqual(["ff00::", null]);
  });

  test("holds what has the prefix's bits and nothing else", () => {
    const bits = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(2).padStart(8, "0")).join("");
    const address = fc.uint8Array({ minLength: 4, maxLength: 4 });
    fc.assert(
      fc.property(address, fc.nat({ max: 32 }), address, (base, length, other) => {
        const { first, after } = intervalOf(`${formatIp(base)}/${length}`);
        const holds = hex(other) >= hex(first) && (after === null || hex(other) < hex(after));
        expect(holds).toBe(bits(other).slice(0, length) === bits(base).slice(0, length));
      }),
    );
  });
});

test("a network is in the sets that its properties say", () => {
  const network = { id: "x", interface: "br0", subnets4: ["10.0.0.0/24"], subnets6: ["fd00::/64"] };
  const setsOf = (internal: boolean, masquerade: boolean, icc: boolean): string[] =>
    networkElements({ ...network, internal, masquerade, icc }).flatMap(({ set, text }) =>
      text === undefined ? [] : `${set} ${text}`,
    );
  const always = ["subnets4 10.0.0.0/24", "subnets6 fd00::/64"];
  expect(setsOf(false, false, false)).toEqual(['bridges "br0"', ...always]);
  expect(setsOf(true, true, true)).toEqual(['bridges "br0"', 'internal "br0"', 'within "br0" . "br0"', ...always]);
  expect(setsOf(false, true, true)).toEqual([
    'bridges "br0"',
    'within "br0" . "br0"',
    "subnets4 10.0.0.0/24",
    "masquerade4 10.0.0.0/24",
    "subnets6 fd00::/64",
    "masquerade6 fd00::/64",
  ]);
});

test("nodes are in the sets of their families, each once", () => {
  const addresses = ["192.0.2.1", "2001:DB8::1", "192.0.2.1", "2001:db8:0::1"];
  expect(
    nodeElements({ ports: [4789, 4789], addresses, carriers: ["wg0"] }).map(({ set, key, text }) => `${set} ${text} ${hex(key)}`),
  ).toEqual([
    "tunnels 4789 12b5",
    "nodes4 192.0.2.1 . 4789 c000020112b50000",
    "nodes6 2001:db8::1 . 4789 20010db800000000000000000000000112b50000",
    `carriers "wg0" ${hex(Buffer.from("wg0")).padEnd(32, "0")}`,
  ]);
  expect(nodeElements({ ports: [], sealedPorts: [4790], addresses }).map(({ set, text }) => `${set} ${text}`)).toEqual([
    "tunnels 4790",
  ]);
  expect(() => nodeElements({ ports: [0], addresses: [] })).toThrow(TypeError);
  expect(() => nodeElements({ ports: [], addresses: ["node1"] })).toThrow(TypeError);
});

describe("a port", () => {
  const port = { protocol: "tcp", hostPort: 8080, containerIp: "172.17.0.2", containerPort: 80, interface: "br0" } as const;

  test("of an address of the host, and of any", () => {
    const one = portElement({ ...port, hostIp: "192.0.2.1" });
    expect([one.set, hex(one.key), hex(one.value)]).toEqual(["ports4", "06000000c00002011f900000", "ac11000200500000"]);
    const any = portElement({ ...port, protocol: "udp", hostIp: "0.0.0.0" });
    expect([any.set, hex(any.key), any.text]).toEqual(["any4", "110000001f900000", "udp . 8080 : 172.17.0.2 . 80"]);
    const six = portElement({ ...port, protocol: "sctp", hostIp: "::", containerIp: "fd00::2" });
    expect([six.set, hex(six.key), hex(six.value)]).toEqual(["any6", "840000001f900000", `${hex(parseIp("fd00::2"))}00500000`]);
  });

  test("of two address families is none", () => {
    expect(() => portElement({ ...port, hostIp: "::" })).toThrow(":: cannot be translated to 172.17.0.2: they are of different");
  });
});
