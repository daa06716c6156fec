/** Containers in networks, through the command line, with real sockets. As root. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { createServer } from "node:net";
import { type Engine, eventually, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";
import { skipLoudly } from "../kit/skip.ts";

const rounds = Math.max(2, Number(process.env.ONGGI_ROUNDS ?? 8) / 4);
let engine: Engine;
beforeAll(async () => {
  engine = startEngine();
  await bootstrapBusybox(engine);
}, 120_000);
afterEach(async () => {
  await engine.expectClean();
  await engine.ok(["network", "prune", "-f"]);
});
afterAll(() => engine.close(), 60_000);

const WEB = ["sh", "-c", "mkdir /w; hostname > /w/index.html; exec httpd -f -p 80 -h /w"];

/** What a server answers; it may have just been started. */
async function fetched(url: string): Promise<string> {
  let text = "";
  await eventually(`${url} answers`, async () => {
    text = await fetch(url, { signal: AbortSignal.timeout(2000) }).then(
      (answer) => answer.text(),
      () => "",
    );
    return text !== "";
  });
  return text.trim();
}

/** A request from within a container, by netcat: Debian's static busybox has a wget that crashes. */
const get = (host: string, port: number | string = 80): string[] => [
  ...["sh", "-c", `printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 3 ${host} ${port} | tail -1`],
];

const value = (container: string, format: string): Promise<string> => engine.ok(["inspect", "-f", format, container]);
const address = (container: string): Promise<string> => value(container, "{{.NetworkSettings.IPAddress}}");
const busybox = (network: string, ...command: string[]) =>
  engine.onggi(["run", "--rm", "--network", network, "busybox", ...command]);

/** A free port of this host, by binding it. */
const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });

describe("the default network", () => {
  test("an address, a way to the host, its line in /etc/hosts; nothing stays", async () => {
    const script = "ip -4 -o addr show eth0; ip route; tail -1 /etc/hosts; hostname";
    const lines = (await engine.ok(["run", "--rm", "busybox", "sh", "-c", script])).split("\n");
    const [, own = ""] = /inet ([\d.]+)\//.exec(lines[0] ?? "") ?? [];
    const [, gateway = ""] = /default via ([\d.]+)/.exec(lines[1] ?? "") ?? [];
    expect(lines.at(-2)).toBe(`${own}\t${lines.at(-1)}`);
    expect(await engine.ok(["run", "--rm", "busybox", "ping", "-c1", "-W2", gateway])).toContain("1 packets received");
  });

  test("containers reach each other; an address that was given back is used again, but not at once", async () => {
    await engine.ok(["run", "-d", "--name", "web", "busybox", ...WEB]);
    const first = await address("web");
    expect(await fetched(`http://${first}/`)).toBe((await value("web", "{{.Id}}")).slice(0, 12));
    expect(await engine.ok(["run", "--rm", "busybox", ...get(first)])).toBe((await value("web", "{{.Id}}")).slice(0, 12));
    await engine.ok(["rm", "-f", "web"]);
    await engine.ok(["run", "-d", "--name", "web", "busybox", ...WEB]);
    expect(await address("web")).not.toBe(first);
  });

  test("no names there, and the host's name servers", async () => {
    await engine.ok(["run", "-d", "--name", "db", "busybox", "sleep", "1000"]);
    const { code } = await engine.onggi(["run", "--rm", "busybox", "ping", "-c1", "-W1", "db"]);
    expect(code).not.toBe(0);
    const text = await engine.ok([
      "run",
      "--rm",
      "--dns",
      "192.0.2.53",
      "--dns-search",
      "a.test",
      "busybox",
      "cat",
      "/etc/resolv.conf",
    ]);
    expect(text).toContain("nameserver 192.0.2.53\nsearch a.test");
    const refused = await engine.onggi(["create", "--name", "refused", "--dns", "dns.example", "busybox"]);
    expect(refused).toMatchObject({ code: 125, stderr: expect.stringContaining("--dns dns.example") });
    expect(await engine.ok(["ps", "-aq", "--filter", "name=refused"])).toBe("");
  });
});

describe("published ports", () => {
  test("answer at 127.0.0.1, at an address of the host, to other containers; port, ps and inspect tell; free again at the end", async () => {
    const port = await freePort();
    await engine.ok(["run", "-d", "--name", "web", "-p", `${port}:80`, "busybox", ...WEB]);
    const id = (await value("web", "{{.Id}}")).slice(0, 12);
    const gateway = await value("web", "{{.NetworkSettings.Gateway}}");
    for (const host of ["127.0.0.1", "localhost", gateway]) expect(await fetched(`http://${host}:${port}/`)).toBe(id);
    expect(await engine.ok(["run", "--rm", "busybox", ...get(gateway, port)])).toBe(id);
    expect(await engine.ok(["exec", "web", ...get(gateway, port)])).toBe(id);
    expect(await engine.ok(["port", "web", "80"])).toContain(`0.0.0.0:${port}`);
    expect(await engine.ok(["ps", "--format", "{{.Ports}}"])).toContain(`0.0.0.0:${port}->80/tcp`);
    await engine.ok(["run", "-d", "--name", "serves", "--expose", "90-91/udp", "busybox", "sleep", "1000"]);
    const serves = ["ps", "-a", "--filter", "name=serves", "--format", "{{.Ports}}"];
    expect(await engine.ok(serves)).toBe("90-91/udp");
    await engine.ok(["stop", "-t", "0", "serves"]);
    expect(await engine.ok(serves)).toBe("");
    await engine.ok(["rm", "serves"]);
    expect(JSON.parse(await value("web", "{{json .NetworkSettings.Ports}}"))["80/tcp"][0]).toEqual({
      HostIp: "0.0.0.0",
      HostPort: String(port),
    });
    await engine.ok(["stop", "-t", "0", "web"]);
    expect(await engine.ok(["port", "web"])).toBe("");
    await expect(fetch(`http://127.0.0.1:${port}/`, { signal: AbortSignal.timeout(2000) })).rejects.toThrow();
    const server = Bun.serve({ port, fetch: () => new Response("host") });
    await server.stop(true);
    await engine.ok(["start", "web"]);
    expect(await fetched(`http://127.0.0.1:${port}/`)).toBe(id);
  });

  test("one that is taken: who has it is said, 125, and nothing is left", async () => {
    const port = await freePort();
    await engine.ok(["run", "-d", "--name", "first", "-p", `${port}:80`, "busybox", "sleep", "1000"]);
    const second = await engine.onggi(["run", "--name", "second", "-p", `${port}:81`, "busybox", "true"]);
    expect(second.code).toBe(125);
    expect(second.stderr).toContain("first");
    expect(await value("second", "{{.State.Status}}")).toBe("created");
    await engine.ok(["rm", "-f", "first"]);
    const server = Bun.serve({ port, hostname: "127.0.0.1", fetch: () => new Response("host") });
    try {
      const third = await engine.onggi(["run", "--rm", "-p", `127.0.0.1:${port}:80`, "busybox", "true"]);
      expect([third.code, third.stderr]).toEqual([125, expect.stringContaining(String(port))]);
    } finally {
      await server.stop(true);
    }
    await engine.ok(["start", "second"]);
  });

  test("random ones, ranges, -P with what the image exposes", async () => {
    await engine.ok(["run", "-d", "--name", "many", "-p", "80", "-P", "--expose", "81-82", "busybox", "sleep", "1000"]);
    const ports = (await engine.ok(["port", "many"])).split("\n").filter((line) => line.includes("0.0.0.0"));
    expect(ports.map((line) => line.split(" ")[0]).sort()).toEqual(["80/tcp", "81/tcp", "82/tcp"]);
    expect(new Set(ports.map((line) => line.split(":").at(-1))).size).toBe(3);
  });

  test("live on when the engine is killed, and are known to the next one", async () => {
    const port = await freePort();
    await engine.ok(["run", "-d", "--name", "web", "-p", `${port}:80`, "busybox", ...WEB]);
    const id = await fetched(`http://127.0.0.1:${port}/`);
    await engine.murder();
    expect(await fetched(`http://127.0.0.1:${port}/`)).toBe(id);
    expect(await engine.ok(["port", "web", "80"])).toContain(String(port));
    expect((await engine.onggi(["run", "--rm", "-p", `${port}:80`, "busybox", "true"])).code).toBe(125);
  });
});

describe("networks of one's own", () => {
  test("names, aliases and addresses that were asked for; other networks are out of reach", async () => {
    await engine.ok(["network", "create", "--subnet", "10.213.7.0/24", "web"]);
    await engine.ok(["network", "create", "back"]);
    await engine.ok(["run", "-d", "--name", "db", "--network", "name=web,alias=sql,ip=10.213.7.77", "busybox", ...WEB]);
    for (const name of ["db", "sql", "db.web"])
      expect((await busybox("web", "ping", "-c1", "-W2", name)).stdout).toContain("(10.213.7.77)");
    expect((await busybox("back", "ping", "-c1", "-W1", "db")).code).not.toBe(0);
    expect((await busybox("back", ...get("10.213.7.77"))).stdout).toBe("");
    const taken = await engine.onggi(["run", "--rm", "--network", "name=web,ip=10.213.7.77", "busybox", "true"]);
    expect([taken.code, taken.stderr]).toEqual([125, expect.stringContaining("10.213.7.77")]);
    const inspected = JSON.parse(await engine.ok(["network", "inspect", "web"]))[0];
    expect(Object.values(inspected.Containers)).toEqual([expect.objectContaining({ Name: "db", IPv4Address: "10.213.7.77/24" })]);
  }, 60_000);

  test("connect and disconnect while it runs", async () => {
    await engine.ok(["network", "create", "web"]);
    await engine.ok(["run", "-d", "--name", "late", "busybox", "sleep", "1000"]);
    await engine.ok(["network", "connect", "--alias", "other", "web", "late"]);
    expect((await busybox("web", "ping", "-c1", "-W2", "other")).code).toBe(0);
    expect(await engine.ok(["exec", "late", "cat", "/etc/resolv.conf"])).toContain("127.0.0.11");
    expect((await engine.onggi(["network", "connect", "web", "late"])).stderr).toContain("already");
    await engine.ok(["network", "disconnect", "web", "late"]);
    expect((await busybox("web", "ping", "-c1", "-W1", "other")).code).not.toBe(0);
    expect(await engine.ok(["exec", "late", "ip", "-o", "link"])).not.toContain("eth1");
  });

  test("internal: each other, and nothing else", async () => {
    await engine.ok(["network", "create", "--internal", "dark"]);
    await engine.ok(["run", "-d", "--name", "in", "--network", "dark", "busybox", ...WEB]);
    const id = (await value("in", "{{.Id}}")).slice(0, 12);
    await eventually("it answers", async () => (await busybox("dark", ...get("in"))).stdout.trim() === id);
    expect((await busybox("dark", "ip", "route")).stdout).not.toContain("default");
  });

  test("internal and the default one: names of both, and of the world", async () => {
    await engine.ok(["network", "create", "--internal", "dark"]);
    await engine.ok([
      "run",
      "-d",
      "--name",
      "in",
      "--network",
      "dark",
      "--network",
      "bridge",
      "--dns",
      "192.0.2.53",
      "busybox",
      "sleep",
      "1000",
    ]);
    const asked = async (name: string) => (await engine.onggi(["exec", "in", "nslookup", "-type=a", name])).stdout;
    expect(await asked("in")).toContain("Name:\tin");
    const started = Date.now();
    await asked("world.test");
    // refused at once where nobody may be asked
    expect(Date.now() - started).toBeGreaterThan(500);
  }, 60_000);

  test("IPv6", async () => {
    await engine.ok(["network", "create", "--ipv6", "--subnet", "fd00:213::/64", "six"]);
    await engine.ok(["run", "-d", "--name", "v6", "--network", "six", "busybox", "sleep", "1000"]);
    expect(await value("v6", "{{.NetworkSettings.Networks.six.GlobalIPv6Address}}")).toStartWith("fd00:213::");
    expect((await busybox("six", "ping", "-6", "-c1", "-W2", "v6")).code).toBe(0);
  });

  test("one that is in use is not removed, the predefined ones never; names are unique; prune takes the rest", async () => {
    await engine.ok(["network", "create", "web"]);
    await engine.ok(["create", "--name", "c", "--network", "web", "busybox", "true"]);
    expect((await engine.onggi(["network", "rm", "web"])).stderr).toContain("c");
    expect((await engine.onggi(["network", "rm", "bridge"])).code).toBe(1);
    expect((await engine.onggi(["network", "create", "web"])).stderr).toContain("web");
    expect((await engine.onggi(["network", "create", "--subnet", "172.17.0.0/24", "clash"])).code).toBe(1);
    expect((await engine.onggi(["run", "--rm", "--network", "nothing", "busybox", "true"])).code).toBe(125);
    expect(await engine.ok(["network", "prune", "-f"])).toBe("");
    const unused = ["network", "ls", "--format", "{{.Name}}", "-f"];
    expect(await engine.ok([...unused, "dangling=true"])).toBe("");
    expect(await engine.ok([...unused, "dangling=0"])).toBe("bridge\nhost\nnone\nweb");
    await engine.ok(["rm", "c"]);
    expect(await engine.ok([...unused, "dangling=true"])).toBe("web");
    expect(await engine.ok(["network", "prune", "-f"])).toContain("web");
    expect(await engine.ok(["network", "ls", "--format", "{{.Name}}"])).toBe("bridge\nhost\nnone");
  });
});

test("configurations outlive the engine, keep no subnet, and no container is in them", async () => {
  await engine.ok(["network", "create", "--config-only", "--subnet", "10.88.3.0/24", "plan"]);
  await engine.ok(["network", "create", "--config-from", "plan", "made"]);
  await engine.ok(["network", "create", "--config-only", "--subnet", "10.88.3.0/25", "overlapping"]);
  const shown = () => engine.ok(["network", "inspect", "plan", "made"]);
  const before = await shown();
  await engine.murder();
  expect(await shown()).toBe(before);
  expect(await engine.ok(["network", "explain", "plan"])).toContain("nothing is made");
  const address = ["run", "--rm", "--network", "name=made,ip=10.88.3.7", "busybox", "hostname", "-i"];
  expect(await engine.ok(address)).toBe("10.88.3.7");
  for (const words of [
    ["run", "--rm", "--network", "plan", "busybox", "true"],
    ["network", "create", "--config-from", "overlapping", "x"],
  ])
    expect(await engine.onggi(words)).toMatchObject({
      stderr: expect.stringMatching(/configuration-only|overlaps network made/),
    });
  expect((await engine.onggi(["network", "rm", "plan"])).stderr).toContain('"plan" is in use by made: remove them first');
  for (const name of ["made", "plan", "overlapping"]) expect(await engine.ok(["network", "rm", name])).toBe(name);
});

test("other ways: none, the host's, another container's", async () => {
  expect((await busybox("none", "ip", "-o", "link")).stdout.trim().split("\n")).toHaveLength(1);
  const port = await freePort();
  const server = Bun.serve({ port, hostname: "127.0.0.1", fetch: () => new Response("the host") });
  try {
    expect((await busybox("host", ...get("127.0.0.1", port))).stdout.trim()).toBe("the host");
  } finally {
    await server.stop(true);
  }
  await engine.ok(["run", "-d", "--name", "web", "busybox", ...WEB]);
  await fetched(`http://${await address("web")}/`);
  const id = (await value("web", "{{.Id}}")).slice(0, 12);
  expect((await busybox("container:web", ...get("127.0.0.1"))).stdout.trim()).toBe(id);
  expect((await busybox("container:web", "cat", "/etc/hosts")).stdout).toContain(await address("web"));
});

test("a container of another runtime has its networks too", async () => {
  const runc = Bun.which("runc");
  if (!runc) return skipLoudly("runc is not installed: its containers' networks are not tested");
  const port = await freePort();
  await engine.ok(["network", "create", "web"]);
  await engine.ok(["run", "-d", "--name", "web", "--runtime", runc, "--network", "web", "-p", `${port}:80`, "busybox", ...WEB]);
  expect(await fetched(`http://127.0.0.1:${port}/`)).toBe((await value("web", "{{.Id}}")).slice(0, 12));
  expect((await busybox("web", "ping", "-c1", "-W2", "web")).code).toBe(0);
});

test("an engine killed while containers come and go: no address, port, rule or interface stays", async () => {
  await engine.ok(["network", "create", "web"]);
  for (let round = 0; round < rounds; round++) {
    const port = await freePort();
    const call = engine.spawn(["run", "-d", "--name", "k", "--network", "web", "-p", `${port}:80`, "busybox", "sleep", "1000"]);
    await Bun.sleep((round * 60) / rounds);
    await engine.murder();
    await call.done;
    await engine.onggi(["rm", "-f", "k"]);
    await engine.expectClean();
    expect((await engine.onggi(["run", "--rm", "-p", `${port}:80`, "busybox", "true"])).code).toBe(0);
  }
  expect(JSON.parse(await engine.ok(["network", "inspect", "web"]))[0].Containers).toEqual({});
}, 240_000);
