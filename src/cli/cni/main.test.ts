/** The plugin's words, with an engine that answers as it is told; with a real one: test/networks/cni-plugin.test.ts. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { GuestAttachment } from "../../api/control/types.ts";
import { OnggiError } from "../../lib/errors.ts";
import { versions } from "./configuration.ts";
import { cniMain } from "./main.ts";

const config = { cniVersion: "1.1.0", name: "pods", type: "onggi-cni", network: "web" };
const env = { CNI_CONTAINERID: "pod", CNI_IFNAME: "eth0", CNI_NETNS: "/run/netns/pod" };

const attached = {
  ...{ interface: "eth0", hostInterface: "v1", mac: "02:42:0a:01:00:02" },
  ...{ ipv4: "10.1.0.2", ipv4PrefixLength: 24, ipv4Gateway: "10.1.0.1" },
  ...{ ipv6: "fd00::2", ipv6PrefixLength: 64, ipv6Gateway: null },
};
const attachment = {
  network: { id: "n1", name: "web", interface: "br-1", mtu: 1400 },
  endpoint: { attached },
  defaultGateways: ["10.1.0.1"],
  nameserver: "127.0.0.11",
} as unknown as GuestAttachment;

interface Options {
  readonly stdin?: unknown;
  readonly env?: Readonly<Record<string, string>>;
  readonly answer?: unknown;
  readonly exists?: boolean;
}

async function plugin(command: string, { stdin = config, env: more = env, answer = attachment, exists = true }: Options = {}) {
  const calls: unknown[] = [];
  let stdout = "";
  const status = await cniMain({
    env: { ...more, CNI_COMMAND: command },
    version: "1.2.3",
    stdin: async () => (stdin instanceof Uint8Array ? stdin : Buffer.from(JSON.stringify(stdin))),
    stdout: (text) => {
      stdout += text;
    },
    stderr: () => {},
    call: async (...call) => {
      calls.push(call);
      if (answer instanceof Error) throw answer;
      return answer as never;
    },
    isNamespace: () => exists,
  });
  return { status, calls, output: stdout === "" ? undefined : JSON.parse(stdout) };
}

const code = async (command: string, options: Options = {}) => (await plugin(command, options)).output?.code;

describe("results in the version that was asked for", () => {
  const ips = [
    { address: "10.1.0.2/24", gateway: "10.1.0.1", interface: 2 },
    { address: "fd00::2/64", interface: 2 },
  ];
  const inside = { name: "eth0", mac: attached.mac, sandbox: env.CNI_NETNS };
  const common = { routes: [{ dst: "0.0.0.0/0", gw: "10.1.0.1" }], dns: { nameservers: ["127.0.0.11"] } };
  const host = [{ name: "br-1" }, { name: "v1" }];
  const old = ips.map((ip, index) => ({ version: index === 0 ? "4" : "6", ...ip }));

  test.each([
    ["0.3.1", { interfaces: [...host, inside], ips: old }],
    ["0.4.0", { interfaces: [...host, inside], ips: old }],
    ["1.0.0", { interfaces: [...host, inside], ips }],
    ["1.1.0", { interfaces: [...host, { ...inside, mtu: 1400 }], ips }],
  ])("%s", async (cniVersion, special) => {
    const { status, output } = await plugin("ADD", { stdin: { ...config, cniVersion } });
    expect({ status, output }).toEqual({ status: 0, output: { cniVersion, ...special, ...common } });
  });

  test("after another plugin's", async () => {
    const prevResult = {
      ...{ interfaces: [{ name: "lo", sandbox: "/x" }], ips: [{ address: "127.0.0.1/8", interface: 0 }], routes: [] },
      dns: { search: ["a"], nameservers: ["192.0.2.1"] },
    };
    const { output } = await plugin("ADD", { stdin: { ...config, prevResult } });
    expect(output.interfaces.map(({ name }: { name: string }) => name)).toEqual(["lo", "br-1", "v1", "eth0"]);
    expect(output.ips.map((ip: { interface: number }) => ip.interface)).toEqual([0, 3, 3]);
    expect(output.dns).toEqual({ search: ["a"], nameservers: ["127.0.0.11"] });
  });
});

test("what the engine is asked", async () => {
  const runtimeConfig = { portMappings: [{ hostPort: 80, containerPort: 8080 }], aliases: ["db"], dns: { servers: ["9.9.9.9"] } };
  const { calls } = await plugin("ADD", {
    stdin: { ...config, isDefaultGateway: false, reservePorts: true, runtimeConfig },
    env: { ...env, CNI_ARGS: "K8S_POD_NAME=p;IP=10.1.0.9/24;MAC=02:00:00:00:00:01" },
  });
  expect(calls).toEqual([
    [
      "/run/onggi/onggi.sock",
      "guestAttach",
      {
        ...{ containerId: "pod", interface: "eth0", netns: "/run/netns/pod", network: "web", configuration: "pods", name: "p" },
        ...{ aliases: ["db"], ipv4: "10.1.0.9", mac: "02:00:00:00:00:01", dns: ["9.9.9.9"], defaultRoute: false },
        publish: [{ protocol: "tcp", containerPort: 8080, hostIp: "", hostPort: 80, hostPortEnd: 80 }],
      },
    ],
  ]);
});

test("VERSION, with or without input", async () => {
  const answer = { cniVersion: "1.0.0", supportedVersions: versions };
  expect(await plugin("VERSION", { stdin: { cniVersion: "1.0.0" } })).toMatchObject({ status: 0, output: answer });
  expect((await plugin("VERSION", { stdin: new Uint8Array() })).output).toMatchObject({ supportedVersions: versions });
  expect(await code("VERSION", { stdin: Buffer.from("{") })).toBe(6);
});

test("without a command it says what it is", async () => {
  expect(await plugin("", { env: {} })).toEqual({ status: 0, calls: [], output: undefined });
});

describe("errors", () => {
  test.each([
    ["engine_unreachable", 11],
    ["connection_lost", 11],
    ["addresses_exhausted", 11],
    ["network_not_found", 7],
    ["address_invalid", 7],
    ["namespace_invalid", 4],
    ["interface_exists", 4],
    ["guest_not_found", 3],
    ["port_in_use", 100],
    ["constructor", 100],
  ])("of the engine: %s is %d", async (name, wanted) => {
    const { status, output } = await plugin("ADD", { answer: new OnggiError(name, "why") });
    expect({ status, output }).toMatchObject({ status: 1, output: { cniVersion: "1.1.0", code: wanted } });
    expect(output.details).toContain("why");
  });

  test.each([
    ["CHECK", "0.3.1"],
    ["GC", "1.0.0"],
    ["STATUS", "0.4.0"],
  ])("%s is no command of %s", async (command, cniVersion) => {
    expect((await plugin(command, { stdin: { ...config, cniVersion } })).output).toMatchObject({ cniVersion, code: 1 });
  });

  test.each([
    ["constructor", 4, {}],
    ["ADD", 7, { stdin: { ...config, network: undefined } }],
    ["ADD", 7, { stdin: { ...config, runtimeConfig: { ips: ["10.0.0.1", "10.0.0.2"] } } }],
    ["ADD", 4, { env: {} }],
    ["ADD", 7, { stdin: { ...config, prevResult: [] } }],
    ["CHECK", 7, {}],
    ["GC", 7, {}],
    ["STATUS", 50, { answer: new OnggiError("engine_unreachable", "none") }],
    ["STATUS", 50, { answer: new OnggiError("network_not_found", "none") }],
  ] satisfies [string, number, Options][])("%s: %d", async (command, wanted, options) => {
    expect(await code(command, options)).toBe(wanted);
  });
});

describe("DEL", () => {
  const unreachable = new OnggiError("engine_unreachable", "none");
  test.each([
    [
      "needs no network, and no namespace",
      undefined,
      { stdin: { ...config, network: undefined }, env: { ...env, CNI_NETNS: "" } },
    ],
    ["without an engine the namespace must be gone", 11, { answer: unreachable }],
    ["and then nothing is left to do", undefined, { answer: unreachable, exists: false }],
    ["what the engine refuses is an error", 100, { answer: new OnggiError("network_failed", "x"), exists: false }],
  ] satisfies [string, number | undefined, Options][])("%s", async (_, wanted, options) => {
    expect(await code("DEL", options)).toBe(wanted);
  });
});

describe("CHECK compares", () => {
  const check = async (change: (previous: Record<string, unknown>) => object) => {
    const { output: previous } = await plugin("ADD");
    return code("CHECK", { stdin: { ...config, prevResult: change(previous) } });
  };
  test.each([
    [undefined, "the same", (previous: object) => previous],
    [undefined, "another MAC, more routes", (previous: object) => ({ ...previous, routes: [{ dst: "192.0.2.0/24" }] })],
    [100, "no interfaces", (previous: object) => ({ ...previous, interfaces: [] })],
    [100, "no addresses", (previous: object) => ({ ...previous, ips: [] })],
    [7, "garbage", (previous: object) => ({ ...previous, ips: ["x"] })],
  ])("%p: %s", async (wanted, _, change) => {
    expect(await check(change)).toBe(wanted);
  });

  test("the network", async () => {
    const { output: prevResult } = await plugin("ADD");
    expect(await code("CHECK", { stdin: { ...config, network: "other", prevResult } })).toBe(100);
  });
});

test("whatever comes in, what comes out is JSON and the status fits", async () => {
  const commands = fc.constantFrom("ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION", "x");
  const keys = fc.constantFrom("cniVersion", "name", "network", "prevResult", "runtimeConfig", "cni.dev/valid-attachments");
  await fc.assert(
    fc.asyncProperty(commands, fc.dictionary(keys, fc.jsonValue()), async (command, more) => {
      const { status, output } = await plugin(command, { stdin: { ...config, ...more } });
      expect(status).toBe(output?.code === undefined ? 0 : 1);
    }),
  );
});
