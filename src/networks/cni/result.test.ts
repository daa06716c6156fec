import { expect, test } from "bun:test";
import fc from "fast-check";
import { isObject } from "./json.ts";
import { convertResult, parsePluginError, parseResult, parseVersions, ResultInvalid } from "./result.ts";
import { VERSIONS } from "./versions.ts";

const noDns = { nameservers: [], domain: "", search: [], options: [] };
const v1 = {
  cniVersion: "1.0.0",
  interfaces: [
    { name: "cni0", mac: "00:11:22:33:44:55" },
    { name: "eth0", mac: "99:88:77:66:55:AA", sandbox: "/run/netns/x" },
  ],
  ips: [
    { address: "10.1.0.5/16", gateway: "10.1.0.1", interface: 1 },
    { address: "fd00::5/64", interface: 1 },
  ],
  routes: [{ dst: "0.0.0.0/0" }, { dst: "::/0", gw: "fd00::1" }],
  dns: { nameservers: ["10.1.0.1"], search: ["a.test"] },
};

test("a result of 1.0", () => {
  expect(parseResult(v1)).toEqual({
    interfaces: [
      { name: "cni0", mac: "00:11:22:33:44:55", sandbox: "" },
      { name: "eth0", mac: "99:88:77:66:55:aa", sandbox: "/run/netns/x" },
    ],
    ips: [
      { address: "10.1.0.5", prefixLength: 16, gateway: "10.1.0.1", interface: 1 },
      { address: "fd00::5", prefixLength: 64, gateway: null, interface: 1 },
    ],
    dns: { ...noDns, nameservers: ["10.1.0.1"], search: ["a.test"] },
  });
});

test("a result of 0.2", () => {
  const old = {
    cniVersion: "0.2.0",
    ip4: { ip: "10.1.0.5/16", gateway: "10.1.0.1", routes: [{ dst: "0.0.0.0/0" }] },
    ip6: { ip: "fd00::5/64" },
  };
  const parsed = parseResult(old);
  expect(parsed.ips).toEqual([
    { address: "10.1.0.5", prefixLength: 16, gateway: "10.1.0.1", interface: null },
    { address: "fd00::5", prefixLength: 64, gateway: null, interface: null },
  ]);
  expect(convertResult(old, "1.1.0")).toEqual({
    cniVersion: "1.1.0",
    interfaces: [],
    ips: [{ address: "10.1.0.5/16", gateway: "10.1.0.1" }, { address: "fd00::5/64" }],
    routes: [{ dst: "0.0.0.0/0" }],
  });
});

test("conversions", () => {
  expect(convertResult(v1, "1.0.0")).toEqual(v1);
  expect(convertResult(v1, "0.4.0").ips).toEqual([
    { version: "4", address: "10.1.0.5/16", gateway: "10.1.0.1", interface: 1 },
    { version: "6", address: "fd00::5/64", interface: 1 },
  ]);
  expect(convertResult(convertResult(v1, "0.3.0"), "1.0.0")).toEqual(v1);
  expect(convertResult(v1, "0.2.0")).toEqual({
    cniVersion: "0.2.0",
    ip4: { ip: "10.1.0.5/16", gateway: "10.1.0.1", routes: [{ dst: "0.0.0.0/0" }] },
    ip6: { ip: "fd00::5/64", routes: [{ dst: "::/0", gw: "fd00::1" }] },
    dns: v1.dns,
  });
  // what says no version is of the network's
  expect(convertResult({ ips: [], x: 1 }, "1.1.0")).toEqual({ cniVersion: "1.1.0", ips: [], x: 1 });
  expect(convertResult({ ip4: { ip: "10.0.0.1/8" } }, "1.0.0").ips).toEqual([{ address: "10.0.0.1/8" }]);
});

test.each([
  [null, "not an object"],
  [[], "not an object"],
  [{ cniVersion: "7" }, "cniVersion"],
  [{ ips: {} }, "ips is not a list"],
  [{ ips: [{ address: "10.0.0.1" }] }, "no address with the length"],
  [{ ips: [{ address: "10.0.0.1/33" }] }, "no address with the length"],
  [{ ips: [{ address: "10.0.0.1/8", gateway: "x\ny" }] }, "no address"],
  [{ ips: [{ address: "10.0.0.1/8", interface: 0 }] }, "not in the list"],
  [{ ips: [{ address: "10.0.0.1/8", interface: "0" }] }, "not in the list"],
  [{ interfaces: ["eth0"] }, "not an object"],
  [{ dns: { nameservers: ["10.0.0.1\nnameserver 6.6.6.6"] } }, "dns.nameservers"],
  [{ dns: { nameservers: ["ns.example"] } }, "no address"],
  [{ dns: { search: ["a b"] } }, "dns.search"],
  [{ dns: { domain: "a\nb" } }, "dns.domain"],
  [{ dns: 1 }, "dns is not an object"],
  [{ ip4: "10.0.0.1/8" }, "not an object"],
])("%j is no result", (value, why) => {
  expect(() => parseResult(value)).toThrow(ResultInvalid);
  expect(() => parseResult(value)).toThrow(why);
});

test("a hardware address that is none of Ethernet's, and an interface index that says none", () => {
  const { interfaces, ips } = parseResult({
    interfaces: [{ name: "ib0", mac: "00:11:22:33:44:55:66:77" }],
    ips: [{ address: "10.0.0.1/8", interface: -1 }],
  });
  expect([interfaces[0]!.mac, ips[0]!.interface]).toEqual(["", null]);
});

const anything = fc.jsonValue({ maxDepth: 4 });
const nearly = fc.record(
  {
    cniVersion: fc.oneof(fc.constantFrom<string>(...VERSIONS), anything),
    interfaces: fc.oneof(
      fc.array(fc.record({ name: fc.oneof(fc.string(), anything), mac: fc.oneof(fc.constant("02:00:00:00:00:01"), anything) })),
      anything,
    ),
    ips: fc.oneof(
      fc.array(
        fc.record(
          {
            address: fc.oneof(fc.constantFrom("10.0.0.1/8", "fd00::1/64"), anything),
            gateway: fc.oneof(fc.constant("10.0.0.2"), anything),
            interface: fc.oneof(fc.integer({ min: -1, max: 2 }), anything),
          },
          { requiredKeys: ["address"] },
        ),
      ),
      anything,
    ),
    ip4: fc.oneof(fc.constant({ ip: "10.0.0.1/8" }), anything),
    routes: anything,
    dns: anything,
  },
  { requiredKeys: [] },
);

test("whatever is printed, it is a result or is refused; and what is one is one in every version", () => {
  fc.assert(
    fc.property(fc.oneof(anything, nearly), fc.constantFrom(...VERSIONS), (value, version) => {
      parsePluginError(value);
      parseVersions(value);
      let parsed: ReturnType<typeof parseResult>;
      try {
        parsed = parseResult(value);
      } catch (error) {
        expect(error).toBeInstanceOf(ResultInvalid);
        return;
      }
      if (!isObject(value)) throw new Error("no object was taken");
      const converted = parseResult(convertResult(value, version));
      expect(converted.dns).toEqual(parsed.dns);
      if (version >= "0.3.0")
        expect(converted.ips.map(({ address }) => address)).toEqual(parsed.ips.map(({ address }) => address));
    }),
    { numRuns: 500 },
  );
});

test("errors and versions", () => {
  expect(parsePluginError({ cniVersion: "1.0.0", code: 7, msg: "Invalid Configuration", details: "too small" })).toEqual({
    code: 7,
    msg: "Invalid Configuration",
    details: "too small",
  });
  for (const value of [null, {}, { code: "7", msg: "" }, { code: 7 }, "x"]) expect(parsePluginError(value)).toBeNull();
  expect(parseVersions({ cniVersion: "1.0.0", supportedVersions: ["0.4.0"] })).toEqual(["0.4.0"]);
  for (const value of [null, {}, { supportedVersions: [1] }]) expect(parseVersions(value)).toBeNull();
});
