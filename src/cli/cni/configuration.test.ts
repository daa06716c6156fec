import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { capabilitiesOf, configurationOf, parseObject, validAttachments } from "./configuration.ts";
import { CniError } from "./errors.ts";

const base = { cniVersion: "1.1.0", name: "pods", type: "onggi-cni", network: "web" };
const parse = (value: unknown) => configurationOf(parseObject(new TextEncoder().encode(JSON.stringify(value))));
const capabilities = (runtimeConfig: unknown) => capabilitiesOf(parse({ ...base, runtimeConfig }));

/** The code and words of the error that `work` ends with. */
function failure(work: () => unknown): [code: number, details: string] {
  try {
    work();
  } catch (error) {
    if (error instanceof CniError) return [error.code, error.message];
    throw error;
  }
  return [0, ""];
}

test("a configuration", () => {
  expect(parse({ ...base, socket: "/run/x.sock", dns: { nameservers: ["9.9.9.9"], search: ["a.b"], domain: "" } })).toMatchObject(
    {
      cniVersion: "1.1.0",
      name: "pods",
      network: "web",
      socket: "/run/x.sock",
      dns: { nameservers: ["9.9.9.9"], search: ["a.b"] },
    },
  );
  expect(parse(base).socket).toBe("/run/onggi/onggi.sock");
  expect(parse({ ...base, ipam: {}, prevResult: null, dns: null }).isDefaultGateway).toBeUndefined();
});

describe("refused", () => {
  test.each([
    [1, { ...base, cniVersion: undefined }],
    [1, { ...base, cniVersion: "0.3.0" }],
    [1, { ...base, cniVersion: "2.0.0" }],
    [6, { ...base, cniVersion: 1 }],
    [6, { ...base, cniVersion: "newest" }],
    [7, { ...base, name: undefined }],
    [7, { ...base, name: "../x" }],
    [7, { ...base, name: 5 }],
    [7, { ...base, socket: "onggi.sock" }],
    [7, { ...base, isDefaultGateway: "yes" }],
    [7, { ...base, dns: { nameservers: "9.9.9.9" } }],
    [7, { ...base, dns: { nameservers: ["dns.example"] } }],
    [2, { ...base, ipam: { type: "host-local" } }],
    [2, { ...base, ipMasq: false }],
  ])("%d: %j", (code, value) => {
    expect(failure(() => parse(value))[0]).toBe(code);
  });

  test.each(["", "[]", "null", "{", '"x"', "\xff", "[".repeat(100_000)])("no object: %p", (text) => {
    expect(failure(() => parseObject(Buffer.from(text, "latin1")))[0]).toBe(6);
  });

  test("the error names key and value of what is not supported", () => {
    const [code, details] = failure(() => capabilities({ deviceID: "0000:04:00.5" }));
    expect([code, details]).toEqual([2, '"runtimeConfig.deviceID": "0000:04:00.5"']);
  });
});

describe("capabilities", () => {
  test("all of them", () => {
    expect(
      capabilities({
        portMappings: [
          { hostPort: 8080, containerPort: 80, protocol: "TCP", hostIP: "127.0.0.1" },
          { hostPort: 53, containerPort: 53, protocol: "udp" },
          { hostPort: 0, containerPort: 9 },
        ],
        ips: ["10.1.0.9/24", "fd00::9"],
        mac: "02:00:00:00:00:01",
        aliases: ["db"],
        dns: { servers: ["10.0.0.10"], searches: ["x.y"], options: ["ndots:5"] },
        bandwidth: { ingressRate: 8001, ingressBurst: 1, egressRate: 0 },
      }),
    ).toEqual({
      publish: [
        { protocol: "tcp", containerPort: 80, hostIp: "127.0.0.1", hostPort: 8080, hostPortEnd: 8080, unreserved: true },
        { protocol: "udp", containerPort: 53, hostIp: "", hostPort: 53, hostPortEnd: 53, unreserved: true },
      ],
      ips: ["10.1.0.9", "fd00::9"],
      mac: "02:00:00:00:00:01",
      aliases: ["db"],
      dns: { nameservers: ["10.0.0.10"], search: ["x.y"], options: ["ndots:5"] },
      bandwidth: { receive: 1001 },
    });
  });

  test("aliases as podman gives them", () => {
    expect(capabilities({ aliases: { pods: ["a", "b"], other: ["c"] } }).aliases).toEqual(["a", "b"]);
    expect(capabilities({ aliases: { other: ["c"] } }).aliases).toEqual([]);
  });

  test.each([
    [{ portMappings: {} }],
    [{ portMappings: [{ hostPort: 65_536, containerPort: 80 }] }],
    [{ portMappings: [{ hostPort: 80 }] }],
    [{ portMappings: [{ hostPort: 80, containerPort: 80, protocol: "icmp" }] }],
    [{ ips: "10.0.0.1" }],
    [{ mac: 5 }],
    [{ aliases: ["a b"] }],
    [{ dns: [] }],
    [{ dns: { servers: ["9.9.9"] } }],
    [{ bandwidth: { egressRate: -1 } }],
    [{ bandwidth: { egressRate: "1M" } }],
    ["x"],
  ])("refused: %j", (given) => {
    expect(failure(() => capabilities(given))[0]).toBe(7);
  });
});

test("attachments that stay", () => {
  const valid = (given: unknown) => validAttachments(parse({ ...base, "cni.dev/valid-attachments": given }));
  expect(valid([{ containerID: "a", ifname: "eth0" }])).toEqual([{ containerId: "a", interface: "eth0" }]);
  for (const given of [undefined, {}, [{ containerID: "a" }], [{ ifname: "eth0" }], [null], [{ containerID: "/", ifname: "e" }]])
    expect(failure(() => valid(given))[0]).toBe(7);
});

test("whatever comes in, the answer is a configuration or a numbered error", () => {
  const key = fc.constantFrom("network", "socket", "dns", "ipam", "isDefaultGateway", "runtimeConfig", "prevResult", "name");
  const capability = fc.dictionary(
    fc.constantFrom("portMappings", "ips", "mac", "aliases", "dns", "bandwidth", "x"),
    fc.jsonValue(),
  );
  const value = fc.oneof(fc.jsonValue(), capability);
  fc.assert(
    fc.property(fc.dictionary(key, value), (more) => {
      const [code] = failure(() => {
        const configuration = parse({ ...base, ...more });
        capabilitiesOf(configuration);
        validAttachments(configuration);
      });
      expect([2, 7]).toContain(code);
    }),
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      expect([1, 6, 7]).toContain(failure(() => configurationOf(parseObject(bytes)))[0]);
    }),
  );
});
