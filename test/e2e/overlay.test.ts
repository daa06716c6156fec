/**
 * Overlay networks: three hosts, each a network namespace with an engine of its own, on one fabric with a real etcd. As root.
 *
 *     fabric  (bridge)  10.99.0.9  etcd
 *       |- a  10.99.0.1     |- b  10.99.0.2     |- c  10.99.0.3
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { statSync } from "node:fs";
import { join as joinPath } from "node:path";
import { Wireguard } from "../../src/sys/index.ts";
import { type Engine, eventually, startEngine } from "../kit/engine.ts";
import { type EtcdServer, startEtcd } from "../kit/etcd.ts";
import { bootstrapBusybox } from "../kit/images.ts";
import { Netns } from "../kit/netns.ts";

/** A host that has been silent for so long counts as down; its addresses are free after so long. */
const ALIVE = 3;
const ADDRESSES = 8;
const ETCD = "10.99.0.9";

let fabric: Netns;
let etcd: EtcdServer;
const hosts: Host[] = [];

class Host {
  readonly name: string;
  readonly address: string;
  readonly ns: Netns;
  readonly engine: Engine;

  constructor(name: string, address: string) {
    this.name = name;
    this.address = address;
    this.ns = new Netns(name);
    fabric.cable(`to-${name}`, this.ns, "eth0", "fabric");
    this.ns.address("eth0", `${address}/24`);
    this.ns.route("default", ETCD);
    this.engine = startEngine();
  }

  /** Whoever starts the engine decides which network namespace it is in. */
  ok(...args: string[]): Promise<string> {
    return this.ns.inside(() => this.engine.ok(args));
  }

  onggi(...args: string[]) {
    return this.ns.inside(() => this.engine.onggi(args));
  }

  join(addresses = ADDRESSES): Promise<string> {
    const leases = ["--alive-for", String(ALIVE), "--addresses-for", String(addresses)];
    return this.ok("node", "join", "--name", this.name, ...leases, `etcd://${ETCD}:2379`);
  }

  run(name: string, network: string, ...command: string[]): Promise<string> {
    return this.ok("run", "-d", "--name", name, "--network", network, "busybox", ...command);
  }

  ip(container: string, network: string): Promise<string> {
    return this.ok("inspect", "-f", `{{(index .NetworkSettings.Networks "${network}").IPAddress}}`, container);
  }

  async close(): Promise<void> {
    await this.ns.inside(() => this.engine.close());
    this.ns.close();
  }
}

const SERVER = ["sh", "-c", "mkdir /w; hostname > /w/index.html; exec httpd -f -p 80 -h /w"];
const ask = (host: string, port = 80): string[] => [
  ...["sh", "-c", `printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 3 ${host} ${port} | tail -1`],
];

/** What a server elsewhere answers a container that exists; it may have been started a moment ago. */
async function reached(from: Host, container: string, target: string, port?: number): Promise<string> {
  let answer = "";
  await eventually(`${container} on ${from.name} reaches ${target}`, async () => {
    answer = (await from.onggi("exec", container, ...ask(target, port))).stdout.trim();
    return answer !== "";
  });
  return answer;
}

const [a, b, c] = [0, 1, 2].map((at) => () => hosts[at]!) as [() => Host, () => Host, () => Host];

beforeAll(async () => {
  fabric = new Netns("fabric");
  fabric.bridge("fabric", `${ETCD}/24`);
  etcd = await startEtcd({ netns: fabric, address: ETCD, port: 2379 });
  for (const [at, name] of ["a", "b", "c"].entries()) hosts.push(new Host(name, `10.99.0.${at + 1}`));
  await Promise.all(hosts.map((host) => host.ns.inside(() => bootstrapBusybox(host.engine))));
  await Promise.all(hosts.map((host) => host.join()));
}, 120_000);

afterEach(async () => {
  await Promise.all(
    hosts.map(async (host) => {
      await host.ns.inside(() => host.engine.expectClean());
    }),
  );
}, 60_000);

afterAll(async () => {
  await Promise.all(hosts.map((host) => host.close()));
  await etcd.close();
  fabric.close();
}, 60_000);

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

test("an encrypted network, where the kernel has WireGuard; an error that says so where it has not", async () => {
  using wireguard = new Wireguard();
  const create = () => a().onggi("network", "create", "-d", "overlay", "--opt", "encrypted=true", "secret");
  if (!wireguard.exists()) {
    const { code, stderr } = await create();
    expect(code).toBe(1);
    expect(stderr).toContain("this kernel has no WireGuard");
    expect(await a().ok("network", "ls", "-q", "-f", "name=secret")).toBe("");
    return;
  }
  expect((await create()).code).toBe(0);
  await eventually("it is there", async () => (await b().onggi("network", "inspect", "secret")).code === 0);
  await a().run("on-a", "secret", ...SERVER);
  await b().run("on-b", "secret", "sleep", "inf");
  const id = (await a().ok("inspect", "-f", "{{.Id}}", "on-a")).slice(0, 12);
  expect(await reached(b(), "on-b", "on-a")).toBe(id);
  const explained = await b().ok("network", "explain", "secret");
  expect(explained).toMatch(/^ip link add wg-[0-9a-f]{8} type wireguard$/m);
  expect(explained).toMatch(/ type vxlan id \d+ local fd[0-9a-f:]+ dstport 4789 /);
  expect(await b().ns.output("wg", "show", "all", "transfer")).toMatch(/^wg-\S+\s+\S+\s+[1-9]/m);
  await Promise.all([a().ok("rm", "-f", "on-a"), b().ok("rm", "-f", "on-b")]);
  await eventually("it can be removed", async () => (await a().onggi("network", "rm", "secret")).code === 0);
}, 60_000);

describe("faults", () => {
  beforeAll(async () => {
    await a().ok("network", "create", "-d", "overlay", "--subnet", "10.60.0.0/24", "hard");
    for (const host of hosts)
      await eventually("it is there", async () => (await host.onggi("network", "inspect", "hard")).code === 0);
  }, 30_000);
  afterAll(async () => {
    await b().ok("network", "rm", "hard");
  }, 30_000);

  /** A connection from a container of b to one of a, that goes on as long as bytes come back. */
  async function connection(): Promise<{ alive(): Promise<boolean>; end(): void }> {
    await a().run("server", "hard", "nc", "-ll", "-p", "7", "-e", "cat");
    await b().run("client", "hard", "sleep", "inf");
    await eventually("there is a way", async () => {
      const { stdout } = await b().onggi("exec", "client", "sh", "-c", "echo hi | nc -w 1 server 7");
      return stdout === "hi\n";
    });
    const call = b().ns.inside(() => b().engine.spawn(["exec", "-i", "client", "nc", "server", "7"]));
    let turn = 0;
    return {
      async alive() {
        const text = `turn ${++turn}\n`;
        call.process.stdin.write(text);
        call.process.stdin.flush();
        return await call.until(text, 5000).then(
          () => true,
          () => false,
        );
      },
      end: () => call.process.kill(),
    };
  }

  test("etcd stopped and started: connections live on, nobody new is let in meanwhile, then all is as before", async () => {
    const going = await connection();
    expect(await going.alive()).toBe(true);
    await etcd.kill();
    const refused = await c().onggi("run", "--rm", "--network", "hard", "busybox", "true");
    expect(refused).toMatchObject({ code: 125, stderr: expect.stringContaining("containers that run go on") });
    expect(await going.alive()).toBe(true);
    // An engine that starts while etcd is away knows what it knew, and a container that ends gives its address back later.
    await b().engine.murder();
    expect(await b().ok("network", "ls", "-q", "-f", "name=hard")).not.toBe("");
    expect(await b().ok("exec", "client", "sh", "-c", "echo again | nc -w 2 server 7; true")).toBeDefined();
    await a().run("short", "bridge", "true");
    await etcd.up();
    for (const host of hosts)
      await eventually("connected", async () => (await host.ok("node", "status", "-f", "{{.Connected}}")) === "true");
    await c().ok("run", "--rm", "--network", "hard", "busybox", "true");
    expect(await b().ok("exec", "client", "sh", "-c", "nslookup -type=a server | tail -2")).toContain(
      await a().ip("server", "hard"),
    );
    going.end();
  }, 120_000);

  test("an engine that is killed leaves its containers connected; what ended meanwhile is given back", async () => {
    const going = await connection();
    const ip = await a().ip("server", "hard");
    await a().engine.murder();
    expect(await going.alive()).toBe(true);
    await eventually(
      "a counts as down",
      async () => (await b().ok("node", "ls", "--format", "{{.Name}} {{.Status}}")).includes("a down"),
      20,
    );
    expect(await going.alive()).toBe(true);
    expect((await c().onggi("run", "--rm", "--network", "hard", "--ip", ip, "busybox", "true")).stderr).toContain("in use");
    await a().ok("ps");
    await eventually("a is up", async () => (await b().ok("node", "ls", "--format", "{{.Name}} {{.Status}}")).includes("a up"));
    expect(await going.alive()).toBe(true);
    going.end();
    await a().ok("rm", "-f", "server");
    await eventually(
      "free",
      async () => (await c().onggi("run", "--rm", "--network", "hard", "--ip", ip, "busybox", "true")).code === 0,
    );
  }, 120_000);

  test("a host without etcd keeps its connections, and cuts itself off before its addresses can be given to others", async () => {
    const going = await connection();
    const ip = await a().ip("server", "hard");
    // a still reaches b, but not etcd
    await a().ns.output(
      "nft",
      "add table inet partition; add chain inet partition out { type filter hook output priority 0; }; add rule inet partition out ip daddr 10.99.0.9 drop",
    );
    try {
      await eventually("a knows", async () => (await a().ok("node", "status", "-f", "{{.Connected}}")) === "false", 20);
      expect(await going.alive()).toBe(true);
      await eventually("a is fenced", async () => (await a().ok("node", "status", "-f", "{{.Fenced}}")) === "true", 30);
      expect(await going.alive()).toBe(false);
      going.end();
      await eventually(
        "its address is free",
        async () => {
          await c().onggi("rm", "-f", "heir");
          const args = ["run", "-d", "--name", "heir", "--network", "hard", "--ip", ip, "busybox", "sleep", "inf"];
          return (await c().onggi(...args)).code === 0;
        },
        30,
      );
    } finally {
      await a().ns.output("nft", "delete table inet partition");
    }
    await eventually(
      "a is back",
      async () => (await a().ok("node", "status", "-f", "{{.Connected}} {{.Fenced}}")) === "true false",
      20,
    );
    // Its container is not let back with an address that is another's now.
    expect((await b().onggi("exec", "client", "sh", "-c", "echo hi | nc -w 1 server 7")).stdout).toBe("");
    expect(await c().ok("inspect", "-f", "{{.State.Running}}", "heir")).toBe("true");
    await a().ok("restart", "-t", "0", "server");
    expect(await a().ip("server", "hard")).not.toBe(ip);
    await eventually(
      "it is found again",
      async () => (await b().onggi("exec", "client", "sh", "-c", "echo hi | nc -w 1 server 7")).stdout === "hi\n",
    );
  }, 180_000);

  test("a host that dies: its names go, its addresses stay its own until it is removed", async () => {
    await a().ok("node", "leave");
    await a().join(600);
    await eventually("it is there", async () => (await a().onggi("network", "inspect", "hard")).code === 0);
    const going = await connection();
    going.end();
    const ip = await a().ip("server", "hard");
    const pid = await a().engine.pid();
    process.kill(pid, "SIGSTOP");
    try {
      await eventually(
        "a is down",
        async () => (await b().ok("node", "ls", "--format", "{{.Name}} {{.Status}}")).includes("a down"),
        20,
      );
      await eventually(
        "its names are gone",
        async () => !(await b().onggi("exec", "client", "nslookup", "-type=a", "server")).stdout.includes(ip),
      );
      expect((await c().onggi("run", "--rm", "--network", "hard", "--ip", ip, "busybox", "true")).stderr).toContain("in use");
      expect((await b().onggi("node", "rm", "c")).stderr).toContain("node c is there");
      await b().ok("node", "rm", "a");
      await eventually(
        "free",
        async () => (await c().onggi("run", "--rm", "--network", "hard", "--ip", ip, "busybox", "true")).code === 0,
      );
    } finally {
      process.kill(pid, "SIGCONT");
    }
    await eventually(
      "a is back",
      async () => (await b().ok("node", "ls", "--format", "{{.Name}} {{.Status}}")).includes("a up"),
      20,
    );
    await eventually(
      "its container, too",
      async () => (await b().onggi("exec", "client", "sh", "-c", "echo hi | nc -w 1 server 7")).stdout === "hi\n",
    );
  }, 120_000);
});
