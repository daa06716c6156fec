/** Overlay networks: three hosts on one fabric with a real etcd (test/kit/cluster.ts). As root. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { statSync } from "node:fs";
import { join as joinPath } from "node:path";
import { Cluster, ETCD, type Host, reached, SERVER } from "../kit/cluster.ts";
import { eventually } from "../kit/engine.ts";
import { type EtcdServer, startEtcd } from "../kit/etcd.ts";
import type { Netns } from "../kit/netns.ts";

let cluster: Cluster;
let fabric: Netns;
let etcd: EtcdServer;
let hosts: readonly Host[];
const [a, b, c] = [0, 1, 2].map((at) => () => hosts[at]!) as [() => Host, () => Host, () => Host];

beforeAll(async () => {
  cluster = await Cluster.start(["a", "b", "c"]);
  ({ fabric, etcd, hosts } = cluster);
}, 120_000);
afterEach(() => cluster.expectClean(), 60_000);
afterAll(() => cluster.close(), 60_000);

describe("a cluster", () => {
  test("hosts join and list each other; a name and an address are one host's", async () => {
    expect(await c().ok("node", "leave")).toBe("this host is no longer node c");
    const stderr = async (...args: string[]): Promise<string> => {
      const result = await c().onggi("node", "join", ...args);
      expect(result.code).toBe(1);
      return result.stderr;
    };
    expect(await stderr("--name", "a", `etcd://${ETCD}`)).toContain("has a node a already");
    expect(await stderr("--address", "10.99.0.77", `etcd://${ETCD}`)).toContain("is none of this host");
    expect(await stderr("etcd://10.99.0.9:1")).toContain("10.99.0.9:1");
    expect(await stderr("http://10.99.0.9")).toContain("etcd://");
    expect(await c().join()).toBe("this host is node c (10.99.0.3)");
    expect(await stderr(`etcd://${ETCD}`)).toContain("in a cluster already, as c");
    for (const host of hosts) {
      await eventually("all are seen", async () => (await host.ok("node", "ls", "--format", "{{.Status}}")) === "up\nup\nup");
      const lines = (await host.ok("node", "ls", "--format", "{{.Name}} {{.Address}}")).split("\n");
      const own = (one: Host): string => (one === host ? `${one.name} *` : one.name);
      expect(lines).toEqual(hosts.map((one) => `${own(one)} ${one.address}`));
    }
  }, 60_000);

  test("a network that one host makes is there on all, and gone on all; it is not removed while it has containers anywhere", async () => {
    const id = await a().ok("network", "create", "-d", "overlay", "--label", "tier=back", "web");
    for (const host of hosts) {
      await eventually("it is there", async () => (await host.onggi("network", "inspect", "web")).code === 0);
      expect(await host.ok("network", "inspect", "-f", "{{.Id}} {{.Driver}} {{.Labels.tier}}", "web")).toBe(`${id} overlay back`);
    }
    expect((await b().onggi("network", "create", "-d", "overlay", "web")).stderr).toContain("there is a network web already");
    await c().run("holder", "web", "sleep", "inf");
    const refused = await a().onggi("network", "rm", "web");
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining("containers holder on c") });
    await c().ok("rm", "-f", "holder");
    await eventually("it can be removed", async () => (await b().onggi("network", "rm", "web")).code === 0);
    for (const host of hosts)
      await eventually("it is gone", async () => (await host.onggi("network", "inspect", "web")).code !== 0);
  }, 60_000);

  test("one that is made after a configuration is on all hosts, and does not need it any more", async () => {
    await a().ok("network", "create", "--config-only", "--subnet", "10.77.9.0/24", "--label", "tier=back", "plan");
    await a().ok("network", "create", "-d", "overlay", "--config-from", "plan", "made");
    const format = "{{.Driver}} {{.Labels.tier}} {{range .IPAM.Config}}{{.Subnet}}{{end}} {{json .ConfigFrom}}";
    for (const host of [a(), b()]) {
      await eventually("it is there", async () => (await host.onggi("network", "inspect", "made")).code === 0);
      expect(await host.ok("network", "inspect", "-f", format, "made")).toBe('overlay back 10.77.9.0/24 {"Network":""}');
    }
    expect((await b().onggi("network", "inspect", "plan")).code).toBe(1);
    expect(await a().ok("network", "rm", "plan", "made")).toBe("plan\nmade");
  }, 60_000);

  test("hosts that make networks at the same time make different ones", async () => {
    const made = await Promise.all(
      hosts.flatMap((host) => [1, 2, 3].map((n) => host.ok("network", "create", "-d", "overlay", `${host.name}${n}`))),
    );
    for (const host of hosts) {
      await eventually("all are there", async () => {
        const names = (await host.ok("network", "ls", "-f", "driver=overlay", "--format", "{{.Subnets}}")).split("\n");
        return names.length === made.length && new Set(names).size === made.length;
      });
    }
    await Promise.all(hosts.map((host) => host.ok("network", "rm", ...[1, 2, 3].map((n) => `${host.name}${n}`))));
  }, 60_000);
  test("a host leaves when it has nobody in a network, and nothing of it is left", async () => {
    await a().ok("network", "create", "-d", "overlay", "solo");
    await a().run("stays", "solo", "sleep", "inf");
    expect((await a().onggi("node", "leave")).stderr).toContain("network solo has containers");
    await a().ok("rm", "-f", "stays");
    await a().ok("network", "rm", "solo");
    for (const host of hosts) expect(await host.ok("node", "leave")).toBe(`this host is no longer node ${host.name}`);
    expect(await a().ok("network", "ls", "-q", "-f", "driver=overlay")).toBe("");
    expect((await etcd.control("get", "--prefix", "--keys-only", "/")).trim()).toBe("/onggi/v1/revision");
    await Promise.all(hosts.map((host) => host.join()));
  }, 60_000);
});

test("an etcd with certificates and users: joined with both, and the password stays here", async () => {
  await using secure = await startEtcd({
    netns: fabric,
    address: ETCD,
    tls: "mutual",
    auth: { user: "app", password: "se/cret" },
  });
  const files = ["--ca", secure.file("ca.crt"), "--cert", secure.file("client.crt"), "--key", secure.file("client.key")];
  const join = (stdin: string) =>
    a().ns.inside(() =>
      a().engine.onggi(["node", "join", "--password-stdin", ...files, `etcd://app@${secure.host}/onggi/other`], { stdin }),
    );
  await a().ok("node", "leave");
  try {
    const { code, stderr } = await join("nonsense\n");
    expect(code).toBe(1);
    expect(stderr).toContain("does not know this user with this password");
    expect(stderr).not.toContain("nonsense");
    expect(await join("se/cret\n")).toMatchObject({ code: 0, stderr: "" });
    expect(JSON.parse(await a().ok("node", "status"))).toMatchObject([{ Connected: true, Prefix: "/onggi/other", Problem: "" }]);
    expect(await a().ok("node", "status")).not.toContain("se/cret");
    expect(statSync(joinPath(a().engine.root, "cluster.db")).mode & 0o777).toBe(0o600);
    await a().ok("network", "create", "-d", "overlay", "here");
    expect((await b().onggi("network", "inspect", "here")).code).toBe(1);
    await a().ok("run", "--rm", "--network", "here", "busybox", "true");
    await a().ok("network", "rm", "here");
    await a().ok("node", "leave");
  } finally {
    await a().onggi("node", "leave");
    await a().join();
  }
}, 60_000);

describe("containers of several hosts", () => {
  beforeAll(async () => {
    await a().ok("network", "create", "-d", "overlay", "--subnet", "10.50.0.0/24", "--ip-range", "10.50.0.0/25", "--ipv6", "net");
    for (const host of hosts)
      await eventually("it is there", async () => (await host.onggi("network", "inspect", "net")).code === 0);
  }, 30_000);
  afterAll(async () => {
    await a().ok("network", "rm", "net");
  }, 30_000);

  test("reach each other by address and by name, IPv4 and IPv6; names follow who comes and goes", async () => {
    await Promise.all(hosts.map((host) => host.run(`on-${host.name}`, "net", ...SERVER)));
    for (const from of hosts) {
      for (const to of hosts) {
        const id = (await to.ok("inspect", "-f", "{{.Id}}", `on-${to.name}`)).slice(0, 12);
        expect(await reached(from, `on-${from.name}`, await to.ip(`on-${to.name}`, "net"))).toBe(id);
        expect(await reached(from, `on-${from.name}`, `on-${to.name}`)).toBe(id);
        expect(await reached(from, `on-${from.name}`, id)).toBe(id);
        const format = `{{(index .NetworkSettings.Networks "net").GlobalIPv6Address}}`;
        expect(await reached(from, `on-${from.name}`, await to.ok("inspect", "-f", format, `on-${to.name}`))).toBe(id);
      }
    }
    const explained = await a().ok("network", "explain", "net");
    const mac = await b().ok("inspect", "-f", `{{(index .NetworkSettings.Networks "net").MacAddress}}`, "on-b");
    expect(explained).toMatch(/^ip link add vx-[0-9a-f]{12} .*type vxlan id \d+ local 10\.99\.0\.1 dstport 4789 nolearning/m);
    expect(explained).toMatch(new RegExp(`^bridge fdb .*${mac} dev vx-[0-9a-f]{12} dst 10\\.99\\.0\\.2 `, "m"));
    // Who serves on c is found on a by an alias too, from both hosts that have it, and no more when it is gone.
    await b().ok("run", "-d", "--name", "web-b", "--network", "name=net,alias=web", "busybox", ...SERVER);
    await c().ok("run", "-d", "--name", "web-c", "--network", "name=net,alias=web", "busybox", ...SERVER);
    const both = (await Promise.all([b().ip("web-b", "net"), c().ip("web-c", "net")])).sort();
    const known = async (name: string): Promise<string[]> => {
      const { stdout } = await a().onggi("exec", "on-a", "nslookup", "-type=a", name);
      return [...stdout.matchAll(/^Address: *(10\.50\.\S+)$/gm)].map(([, ip]) => ip!).sort();
    };
    await eventually("both are found", async () => (await known("web")).join() === both.join());
    await b().ok("rm", "-f", "web-b");
    await eventually("one is left", async () => (await known("web")).length === 1);
    expect(await known("web")).toEqual([await c().ip("web-c", "net")]);
    await c().ok("rename", "web-c", "other");
    await eventually("it has its new name", async () => (await known("other")).join() === (await known("web")).join());
    expect(await known("web-c")).toEqual([]);
  }, 120_000);

  test("containers that start at the same time everywhere have addresses of their own; a fixed one is one container's", async () => {
    const each = 8;
    const ips = await Promise.all(
      hosts.flatMap((host) =>
        Array.from({ length: each }, async (_, n) => {
          await host.run(`many-${n}`, "net", "sleep", "inf");
          return host.ip(`many-${n}`, "net");
        }),
      ),
    );
    expect(new Set(ips).size).toBe(hosts.length * each);
    await a().ok("run", "-d", "--name", "fixed", "--network", "net", "--ip", "10.50.0.200", "busybox", "sleep", "inf");
    const second = await b().onggi("run", "-d", "--name", "fixed", "--network", "net", "--ip", "10.50.0.200", "busybox", "true");
    expect(second).toMatchObject({
      code: 125,
      stderr: expect.stringMatching(/10\.50\.0\.200 .* in use by container fixed on a/),
    });
    await a().ok("rm", "-f", "fixed");
    await eventually("it is free", async () => {
      await b().onggi("rm", "-f", "fixed");
      return (
        (await b().onggi("run", "-d", "--name", "fixed", "--network", "net", "--ip", "10.50.0.200", "busybox", "sleep", "inf"))
          .code === 0
      );
    });
  }, 120_000);

  test("what leaves a container of one host for the other's world passes its own host", async () => {
    await a().ok("run", "-d", "--name", "out", "--network", "net", "-p", "10.99.0.1:8080:80", "busybox", ...SERVER);
    const id = (await a().ok("inspect", "-f", "{{.Id}}", "out")).slice(0, 12);
    await b().run("in", "net", "sleep", "inf");
    // by the address that host a publishes it on
    expect(await reached(b(), "in", "10.99.0.1", 8080)).toBe(id);
  }, 60_000);
});
