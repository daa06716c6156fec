import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { NetworkError } from "../errors.ts";
import { conflistOf, parseConf, parseConflist, parsePlugin, requestConfig } from "./config.ts";

const list = (fields: object): string =>
  JSON.stringify({ cniVersion: "1.0.0", name: "web", plugins: [{ type: "bridge" }], ...fields });

const reason = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    expect(error).toBeInstanceOf(NetworkError);
    return (error as NetworkError).message;
  }
  throw new Error("it was taken");
};

test("a list", () => {
  const text = list({
    disableCheck: true,
    disableGC: "TRUE",
    plugins: [
      { type: "bridge", bridge: "cni0" },
      { type: "portmap", capabilities: { portMappings: true, ips: false } },
    ],
  });
  expect(parseConflist(text)).toEqual({
    name: "web",
    version: "1.0.0",
    versions: ["1.0.0"],
    disableCheck: true,
    disableGC: true,
    onlyInlined: false,
    plugins: [
      { type: "bridge", capabilities: [], fields: { type: "bridge", bridge: "cni0" } },
      {
        type: "portmap",
        capabilities: ["portMappings"],
        fields: { type: "portmap", capabilities: { portMappings: true, ips: false } },
      },
    ],
  });
});

test("a single plugin, as it was before there were lists", () => {
  const text = JSON.stringify({ name: "old", type: "bridge", bridge: "cni0" });
  expect(parseConf(text)).toMatchObject({
    name: "old",
    version: "0.1.0",
    plugins: [{ type: "bridge", fields: { bridge: "cni0" } }],
  });
  expect(parsePlugin('{"type":"tuning","capabilities":null}')).toMatchObject({ type: "tuning", capabilities: [] });
});

test.each([
  [{ cniVersion: "0.3.1" }, "0.3.1"],
  [{ cniVersion: undefined }, "0.1.0"],
  [{ cniVersion: "" }, "0.1.0"],
  [{ cniVersion: "0.4.0", cniVersions: ["0.3.1", "1.1.0", "1.0.0"] }, "1.1.0"],
  [{ cniVersion: "2.0.0", cniVersions: ["1.0.0"] }, "1.0.0"],
  [{ cniVersion: undefined, cniVersions: ["0.4.0", "9.9.9"] }, "0.4.0"],
])("the newest version of %j that there is: %s", (fields, version) => {
  expect(parseConflist(list(fields)).version).toBe(version as never);
});

test("all versions it is written for, newest first", () => {
  const { versions } = parseConflist(list({ cniVersion: "1.0.0", cniVersions: ["0.3.1", "1.1.0", "1.0.0", "2.0.0"] }));
  expect(versions).toEqual(["1.1.0", "1.0.0", "0.3.1"]);
});

test.each([
  ["[]", "not a JSON object"],
  ["{", "not JSON"],
  [list({ name: undefined }), "no name"],
  [list({ name: "../x" }), "no name"],
  [list({ name: "-x" }), "no name"],
  [list({ name: 7 }), "no name"],
  [list({ cniVersion: "2.0.0" }), "version 2.0.0 of the CNI specification; known are 0.1.0, "],
  [list({ cniVersion: 1 }), "cniVersion is not a text"],
  [list({ cniVersions: "1.0.0" }), "cniVersions is not a list"],
  [list({ disableGC: 1 }), "disableGC is neither true nor false"],
  [list({ plugins: [] }), "plugins is not a list of plugins"],
  [list({ plugins: {} }), "plugins is not a list of plugins"],
  [list({ plugins: [{}] }), "plugin 1 has no type"],
  [list({ plugins: [{ type: "a" }, { type: "../../bin/sh" }] }), "plugin 2 has no type"],
  [list({ plugins: [{ type: ".." }] }), "plugin 1 has no type"],
  [list({ plugins: [{ type: "a", capabilities: [] }] }), "capabilities is not an object"],
  [list({ plugins: undefined, loadOnlyInlinedPlugins: true }), "loadOnlyInlinedPlugins is true"],
  [list({ plugins: Array.from({ length: 65 }, () => ({ type: "a" })) }), "65 plugins"],
])("%s is refused", (text, why) => {
  expect(reason(() => parseConflist(text))).toContain(why);
});

describe("what a plugin is told", () => {
  const network = parseConflist(
    list({
      plugins: [
        {
          type: "bridge",
          name: "mine",
          cniVersion: "0.1.0",
          capabilities: { ips: true, mac: true },
          runtimeConfig: { a: 1 },
          prevResult: {},
          "cni.dev/x": 1,
          args: { a: 1 },
          ipam: { type: "host-local" },
        },
      ],
    }),
  );
  const [plugin] = network.plugins;

  test("its own fields, the network's name and version, and nothing that only a runtime says", () => {
    expect(requestConfig(network, plugin!)).toEqual({
      type: "bridge",
      name: "web",
      cniVersion: "1.0.0",
      args: { a: 1 },
      ipam: { type: "host-local" },
    });
  });

  test("capability arguments that it wants, what came before it, what is still there", () => {
    const told = requestConfig(network, plugin!, { capabilities: { ips: ["10.0.0.1"], bandwidth: {} }, prevResult: { ips: [] } });
    expect(told).toMatchObject({ runtimeConfig: { ips: ["10.0.0.1"] }, prevResult: { ips: [] } });
    expect(told).not.toHaveProperty("capabilities");
    const valid = [{ containerID: "c", ifname: "eth0" }];
    expect(requestConfig(network, plugin!, { validAttachments: valid })["cni.dev/valid-attachments"]).toEqual(valid);
  });

  test("large numbers as they were written", () => {
    const { plugins, ...rest } = parseConflist(
      '{"name":"n","plugins":[{"type":"t","vni":12345678901234567890,"list":[-98765432109876543210, 1.5]}]}',
    );
    expect(JSON.stringify(requestConfig({ ...rest, plugins }, plugins[0]!))).toContain(
      '"vni":12345678901234567890,"list":[-98765432109876543210,1.5]',
    );
  });

  test("a field that is called __proto__ is a field", () => {
    const { plugins, ...rest } = parseConflist('{"name":"n","plugins":[{"type":"t","__proto__":{"type":"x"}}]}');
    expect(JSON.stringify(requestConfig({ ...rest, plugins }, plugins[0]!))).toContain('"__proto__":{"type":"x"}');
  });
});

test("whatever is written, it is taken or refused with a reason", () => {
  const json = fc.json({ maxDepth: 3 });
  const nearly = fc.record(
    {
      name: fc.oneof(fc.string(), fc.constant("web")),
      cniVersion: fc.oneof(fc.constantFrom("0.1.0", "0.4.0", "1.1.0", "3"), fc.jsonValue()),
      cniVersions: fc.oneof(fc.array(fc.constantFrom("0.1.0", "1.1.0", "x")), fc.jsonValue()),
      disableCheck: fc.oneof(fc.boolean(), fc.jsonValue()),
      plugins: fc.oneof(
        fc.array(fc.record({ type: fc.oneof(fc.constant("bridge"), fc.jsonValue()), capabilities: fc.jsonValue() })),
        fc.jsonValue(),
      ),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(
      fc.oneof(
        json,
        fc.string(),
        nearly.map((value) => JSON.stringify(value)),
      ),
      (text) => {
        for (const parse of [parseConf, parseConflist, parsePlugin]) {
          try {
            parse(text);
          } catch (error) {
            expect(error).toBeInstanceOf(NetworkError);
          }
        }
      },
    ),
  );
});

test("a list that was taken is kept and read again as the same", () => {
  const plugin = fc.record({
    type: fc.stringMatching(/^[a-z]{1,8}$/),
    capabilities: fc.dictionary(fc.string(), fc.boolean()),
    x: fc.jsonValue({ maxDepth: 2 }),
  });
  fc.assert(
    fc.property(
      fc.array(plugin, { minLength: 1, maxLength: 4 }),
      fc.boolean(),
      fc.constantFrom("0.3.1", "1.1.0"),
      (plugins, disableGC, cniVersion) => {
        const network = parseConflist(list({ plugins, disableGC, cniVersion }));
        expect(parseConflist(JSON.stringify(conflistOf(network)))).toEqual({ ...network, onlyInlined: true });
      },
    ),
  );
});
