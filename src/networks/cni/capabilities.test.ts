import { expect, test } from "bun:test";
import type { NetworkError } from "../errors.ts";
import { argumentsOf, capabilitiesOf, checkEndpoint } from "./capabilities.ts";
import { parseConflist } from "./config.ts";
import type { CniEndpointRequest } from "./types.ts";

const networkWith = (...names: string[]) =>
  parseConflist(
    JSON.stringify({
      name: "web",
      plugins: [{ type: "a" }, { type: "b", capabilities: Object.fromEntries(names.map((name) => [name, true])) }],
    }),
  );
const all = networkWith("portMappings", "ips", "mac", "aliases", "bandwidth");
const place = (fields: Partial<CniEndpointRequest>): CniEndpointRequest => ({ network: "cni:web", ...fields });
const noDns = { servers: [], searches: [], options: [] };

test.each<[Partial<CniEndpointRequest>, string]>([
  [{ ipv4: "10.0.0.1" }, "capability ips, so the address 10.0.0.1 cannot"],
  [{ ipv6: "fd00::1" }, "capability ips"],
  [{ mac: "02:00:00:00:00:01" }, "capability mac"],
  [{ aliases: ["db"] }, "capability aliases, so the alias db cannot"],
  [{ bandwidth: { receive: 1000 } }, "capability bandwidth"],
])("%j needs a plugin that takes it", (fields, why) => {
  expect(() => checkEndpoint(networkWith(), place(fields))).toThrow(why);
  checkEndpoint(all, place(fields));
});

test.each<[Partial<CniEndpointRequest>, string]>([
  [{ ipv4: "fd00::1" }, "no address of IPv4"],
  [{ ipv6: "10.0.0.1" }, "no address of IPv6"],
  [{ ipv4: "10.0.0" }, "no address of IPv4"],
  [{ mac: "x" }, "no hardware address"],
  [{ gatewayPriority: 1 }, "gw-priority is for networks of onggi's"],
  [{ interface: "a/b" }, "no name of an interface"],
  [{ interface: ".." }, "no name of an interface"],
  [{ interface: "x".repeat(16) }, "no name of an interface"],
  [{ driverOptions: { x: "1" } }, "has no option x; it has cni.arg.NAME"],
  [{ driverOptions: { "cni.rate": "10mbit" } }, "has no option cni.rate"],
  [{ driverOptions: { "cni.arg.A": "1;B=2" } }, 'no ";"'],
  [{ driverOptions: { "cni.arg.A=B": "1" } }, 'no ";"'],
])("%j is refused", (fields, why) => {
  let said = "";
  try {
    checkEndpoint(all, place(fields));
  } catch (error) {
    said = (error as NetworkError).message;
  }
  expect(said).toContain(why);
});

test("arguments by capability", () => {
  const published = ["0.0.0.0", "::", "192.0.2.1"].map((hostIp) => ({
    hostIp,
    protocol: "tcp" as const,
    containerPort: 80,
    hostPort: 8080,
    hostPortEnd: 8080,
  }));
  const asked = place({
    ipv4: "10.0.0.9",
    mac: "02:00:00:00:00:01",
    aliases: ["db"],
    bandwidth: { receive: 125_000, send: 100_000_000 },
    driverOptions: {
      "cni.arg.K": "v",
      "cni.arg.IgnoreUnknown": "1",
    },
  });
  expect(capabilitiesOf(asked, { published, dns: { servers: ["10.0.0.1"], searches: [], options: ["ndots:1"] } })).toEqual({
    portMappings: [
      { hostPort: 8080, containerPort: 80, protocol: "tcp" },
      { hostPort: 8080, containerPort: 80, protocol: "tcp", hostIP: "192.0.2.1" },
    ],
    bandwidth: { ingressRate: 1_000_000, ingressBurst: 528_000, egressRate: 800_000_000, egressBurst: 16_000_000 },
    ips: ["10.0.0.9"],
    mac: "02:00:00:00:00:01",
    aliases: ["db"],
    dns: { servers: ["10.0.0.1"], searches: [], options: ["ndots:1"] },
  });
  expect(argumentsOf(asked)).toBe("K=v;IgnoreUnknown=1");
  expect(capabilitiesOf(place({}), { published: [], dns: noDns })).toEqual({});
  expect(argumentsOf(place({}))).toBe("");
});
