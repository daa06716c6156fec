/** Overlay networks when etcd, engines and hosts are away. As root. */
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { Cluster, type Host } from "../kit/cluster.ts";
import { eventually } from "../kit/engine.ts";
import type { EtcdServer } from "../kit/etcd.ts";

let cluster: Cluster;
let etcd: EtcdServer;
let hosts: readonly Host[];
const [a, b, c] = [0, 1, 2].map((at) => () => hosts[at]!) as [() => Host, () => Host, () => Host];
beforeAll(async () => {
  cluster = await Cluster.start(["a", "b", "c"]);
  ({ etcd, hosts } = cluster);
  await a().ok("network", "create", "-d", "overlay", "--subnet", "10.60.0.0/24", "hard");
  for (const host of hosts)
    await eventually("it is there", async () => (await host.onggi("network", "inspect", "hard")).code === 0);
}, 120_000);
afterEach(() => cluster.expectClean(), 60_000);
afterAll(async () => {
  await b().ok("network", "rm", "hard");
  await cluster.close();
}, 60_000);

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

test("a host leaves while etcd is away: the others can forget it, and it can come back", async () => {
  await etcd.kill();
  expect(await c().ok("node", "leave")).toBe("this host is no longer node c");
  const alone = await c().onggi("run", "--rm", "--network", "hard", "busybox", "true");
  expect([alone.code, alone.stderr.includes("no such network")]).toEqual([125, true]);
  await etcd.up();
  await eventually(
    "b is connected, and c forgotten",
    async () => (await b().onggi("node", "rm", "c")).code === 0 || !(await b().ok("node", "ls", "-q")).includes("c"),
    20,
  );
  await eventually(
    "it comes back",
    async () =>
      c()
        .join()
        .then(
          () => true,
          () => false,
        ),
    20,
  );
  await eventually("with its networks", async () => (await c().onggi("network", "inspect", "hard")).code === 0);
}, 90_000);

test("a host that dies: its names go, its addresses stay its own until it is removed", async () => {
  await a().ok("node", "leave");
  await a().join({ alive: 3, addresses: 600 });
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
