/**
 * Containers in networks of the CNI project's own plugins, as Debian has them. The engine runs in a network namespace of the test's, so
 * that bridges, rules and ports are not the machine's. As root.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CLONE, close, O, open, setns } from "../../src/sys/index.ts";
import { type Engine, eventually, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";
import { ask, Netns, serve } from "../kit/netns.ts";
import { skipLoudly } from "../kit/skip.ts";

const PLUGINS = "/usr/lib/cni";
const isThere = process.geteuid?.() === 0 && existsSync(join(PLUGINS, "bridge"));
if (!isThere) skipLoudly("CNI: no plugins in /usr/lib/cni (containernetworking-plugins)");

const rounds = Math.max(4, Number(process.env.ONGGI_ROUNDS ?? 8) / 2);

describe.skipIf(!isThere)("CNI networks", () => {
  const base = mkdtempSync(join(tmpdir(), "onggi-cni-net-"));
  const [configs, bin, leases] = ["net.d", "bin", "leases"].map((name) => join(base, name)) as [string, string, string];
  const home = open("/proc/thread-self/ns/net", O.O_RDONLY);
  let host: Netns;
  let engine: Engine;

  const ipam = (subnet: string) => ({
    ipam: { type: "host-local", dataDir: leases, ranges: [[{ subnet }]], routes: [{ dst: "0.0.0.0/0" }] },
  });
  const network = (name: string, list: object): void =>
    writeFileSync(join(configs, `${name}.conflist`), JSON.stringify({ cniVersion: "1.0.0", name, ...list }));
  const bridge = (name: string, subnet: string) => ({
    ...{ type: "bridge", bridge: name, isGateway: true, ipMasq: true, capabilities: { ips: true, mac: true } },
    ...ipam(subnet),
  });

  beforeAll(async () => {
    for (const directory of [configs, bin]) mkdirSync(directory);
    const web = {
      ...bridge("cni-web", "10.88.0.0/24"),
      dns: { nameservers: ["10.88.0.1"], search: ["web.test"], options: ["ndots:2"] },
    };
    network("web", {
      plugins: [
        web,
        { type: "tuning", sysctl: { "net.core.somaxconn": "500" } },
        { type: "portmap", capabilities: { portMappings: true } },
        { type: "bandwidth", capabilities: { bandwidth: true } },
        { type: "firewall" },
      ],
    });
    network("back", { cniVersion: "0.3.1", plugins: [{ ...bridge("cni-back", "10.89.0.0/24"), ipMasq: false }] });
    writeFileSync(join(configs, "lo.conf"), JSON.stringify({ cniVersion: "0.4.0", name: "lo", type: "loopback" }));
    network("slow", { plugins: [bridge("cni-slow", "10.90.0.0/24"), { type: "slow" }] });
    host = new Netns("host");
    setns(host.fd, CLONE.CLONE_NEWNET);
    const env = { ONGGI_CNI_CONFIG_DIR: configs, ONGGI_CNI_BIN_DIR: `${bin}:${PLUGINS}` };
    engine = startEngine({ env });
    await bootstrapBusybox(engine);
  }, 120_000);
  afterEach(async () => {
    await engine.expectClean();
    await nothingLeft();
  });
  afterAll(async () => {
    try {
      await engine.close();
    } finally {
      setns(home, CLONE.CLONE_NEWNET);
      close(home);
      host.close();
      rmSync(base, { recursive: true });
    }
  }, 60_000);

  /** Addresses that host-local has given. */
  const leased = (): string[] =>
    existsSync(leases)
      ? readdirSync(leases).flatMap((name) => readdirSync(join(leases, name)).filter((file) => /^\d/.test(file)))
      : [];
  const kept = (): string[] => readdirSync(join(engine.root, "cni"));
  /** Who waits for a container's end may be told of it while its networks are taken back. */
  const nothingLeft = (): Promise<void> =>
    eventually("no attachment, no lease, no namespace is left", () =>
      [kept(), leased(), readdirSync(join(engine.run, "netns"))].every((names) => names.length === 0),
    );
  const value = (container: string, format: string): Promise<string> => engine.ok(["inspect", "-f", format, container]);
  const address = (container: string, name = "cni:web"): Promise<string> =>
    value(container, `{{(index .NetworkSettings.Networks "${name}").IPAddress}}`);
  const SERVE = ["sh", "-c", "while :; do hostname | nc -l -p 80; done"];

  test("two containers reach each other and the host; files, inspect, ps and network ls say where they are", async () => {
    await engine.ok(["run", "-d", "--name", "a", "--hostname", "a", "--network", "cni:web", "busybox", ...SERVE]);
    const ip = await address("a");
    expect(ip).toMatch(/^10\.88\.0\.\d+$/);
    const seen = await engine.ok([
      ...[
        "run",
        "--rm",
        "--network",
        "cni:web",
        "--ip",
        "10.88.0.77",
        "--mac-address",
        "02:00:00:00:00:77",
        "busybox",
        "sh",
        "-c",
      ],
      `ping -c 1 -W 5 ${ip} >/dev/null && ip addr show eth0; ip route; cat /etc/hosts /etc/resolv.conf /proc/sys/net/core/somaxconn`,
    ]);
    expect(seen).toContain("inet 10.88.0.77/24");
    expect(seen).toContain("link/ether 02:00:00:00:00:77");
    expect(seen).toContain("default via 10.88.0.1 dev eth0");
    expect(seen).toMatch(/^10\.88\.0\.77\t[0-9a-f]{12}$/m);
    expect(seen).toContain("nameserver 10.88.0.1\nsearch web.test\noptions ndots:2\n500");
    expect(await ask(host, ip, 80)).toBe("a");
    expect(await value("a", '{{(index .NetworkSettings.Networks "cni:web").Gateway}} {{.NetworkSettings.IPAddress}}')).toBe(
      `10.88.0.1 ${ip}`,
    );
    expect(await engine.ok(["ps", "--filter", "network=cni:web", "--format", "{{.Names}} {{.Networks}}"])).toBe("a cni:web");
    expect(await engine.ok(["network", "ls", "--filter", "driver=cni", "--format", "{{.Name}} {{.Subnets}}"])).toBe(
      "cni:back 10.89.0.0/24\ncni:lo \ncni:slow 10.90.0.0/24\ncni:web 10.88.0.0/24",
    );
    const [inspected] = JSON.parse(await engine.ok(["network", "inspect", "cni:web"]));
    expect(Object.values(inspected.Containers)).toMatchObject([{ Name: "a", IPv4Address: `${ip}/24` }]);
    expect(inspected.Onggi.Cni).toMatchObject({
      Path: join(configs, "web.conflist"),
      Config: { name: "web", cniVersion: "1.0.0" },
    });
    expect(await engine.ok(["network", "inspect", "-f", "{{.Name}}", inspected.Id.slice(0, 12)])).toBe("cni:web");
    expect(await engine.ok(["network", "explain", "cni:web"])).toContain(`# portmap: ${PLUGINS}/portmap, knows 0.1.0, `);
  });

  test("ports by portmap, a rate by bandwidth; a restart of the engine changes nothing", async () => {
    await engine.ok([
      ...["run", "-d", "--name", "a", "--hostname", "a", "-p", "8080:80", "-p", "127.0.0.1::80"],
      ...["--network", "name=cni:web,receive=10mbit", "busybox", ...SERVE],
    ]);
    const ip = await address("a");
    const ports = await engine.ok(["port", "a"]);
    const [, local] = /127\.0\.0\.1:(\d+)/.exec(ports)!;
    expect(ports).toContain("80/tcp -> 0.0.0.0:8080");
    expect(await host.output("tc", "qdisc")).toContain("tbf");
    expect(await ask(host, "10.88.0.1", 8080)).toBe("a");
    await eventually("127.0.0.1 answers", async () => (await ask(host, "127.0.0.1", Number(local))) === "a");
    const taken = await engine.onggi(["run", "--rm", "--network", "cni:web", "-p", "8080:80", "busybox", "true"]);
    expect(taken.stderr).toContain("is published by container a");
    await engine.murder();
    expect(await address("a")).toBe(ip);
    expect(await engine.ok(["port", "a"])).toBe(ports);
    expect(await ask(host, "10.88.0.1", 8080)).toBe("a");
    const again = await engine.onggi(["run", "--rm", "--network", "cni:web", "-p", "8080:80", "busybox", "true"]);
    expect(again.stderr).toContain("is published by container a");
    await engine.ok(["rm", "-f", "a"]);
    expect(await host.output("iptables-save")).not.toContain("8080");
    expect(await host.output("tc", "qdisc")).not.toContain("tbf");
  });

  test("several networks, one of an old version and a single plugin; CHECK", async () => {
    const lo = "name=cni:lo,driver-opt=com.docker.network.endpoint.ifname=lo";
    await engine.ok(["run", "-d", "--name", "a", "--network", "cni:back", "--network", lo, "busybox", ...SERVE]);
    expect(await address("a", "cni:back")).toStartWith("10.89.0.");
    expect(await address("a", "cni:lo")).toBe("127.0.0.1");
    expect(await engine.ok(["exec", "a", "ip", "-o", "addr", "show", "eth0"])).toContain(await address("a", "cni:back"));
    await engine.ok(["network", "inspect", "--check", "cni:lo"]);
    expect((await engine.onggi(["network", "inspect", "--check", "bridge"])).stderr).toContain("has no plugins to ask");
  });

  test("IPv6 beside IPv4, by ptp; a container that runc makes", async () => {
    const pools = { ranges: [[{ subnet: "10.92.0.0/24" }], [{ subnet: "fd00:92::/64" }]] };
    const routes = [{ dst: "0.0.0.0/0" }, { dst: "::/0" }];
    const ptp = { type: "ptp", ipMasq: false, ipam: { type: "host-local", dataDir: leases, ...pools, routes } };
    network("dual", { plugins: [ptp, { type: "portmap", snat: true, capabilities: { portMappings: true } }] });
    await engine.ok([
      ...["run", "-d", "--name", "a", "--hostname", "a", "--runtime", "runc", "--network", "cni:dual", "-p", "8082:80"],
      ...["busybox", ...SERVE],
    ]);
    expect(await value("a", "{{.NetworkSettings.GlobalIPv6Address}} {{.NetworkSettings.IPv6Gateway}}")).toMatch(
      /^fd00:92::\d+ fd00:92::1$/,
    );
    expect(await engine.ok(["port", "a"])).toBe("80/tcp -> 0.0.0.0:8082\n80/tcp -> [::]:8082");
    for (const ip of [await address("a", "cni:dual"), await value("a", "{{.NetworkSettings.GlobalIPv6Address}}")])
      await eventually(`${ip} answers`, async () => (await ask(host, ip, 80)) === "a");
    await eventually("the port answers", async () => (await ask(host, "10.92.0.1", 8082)) === "a");
    await eventually("that of IPv6 answers", async () => (await ask(host, "fd00:92::1", 8082)) === "a");
    expect(await engine.ok(["exec", "a", "cat", "/etc/hosts"])).toMatch(/^fd00:92::\d+\ta$/m);
    rmSync(join(configs, "dual.conflist"));
  });

  test("CHECK tells what somebody has taken away; plugins that do not know the newest version of a network", async () => {
    network("plain", { cniVersion: "1.1.0", cniVersions: ["0.4.0", "1.0.0"], plugins: [bridge("cni-plain", "10.91.0.0/24")] });
    const id = await engine.ok([
      ...["run", "-d", "--name", "a", "--network", "cni:plain", "--cap-add", "NET_ADMIN", "busybox", "sleep", "1000"],
    ]);
    expect(readFileSync(join(engine.root, "cni", `${id}.eth0.json`), "utf8")).toContain('"cniVersion":"1.0.0"');
    await engine.ok(["network", "inspect", "--check", "cni:plain"]);
    await engine.ok(["exec", "a", "ip", "route", "del", "default"]);
    const { code, stderr } = await engine.onggi(["network", "inspect", "--check", "-f", "{{.Name}}", "cni:plain"]);
    expect(stderr).toContain("onggi: container a: CNI plugin bridge (CHECK): ");
    expect(code).toBe(1);
    expect(kept()).toEqual([`${id}.eth0.json`]);
    rmSync(join(configs, "plain.conflist"));
  });

  test("a container that ends, one that is killed, one that cannot start: nothing is left of them", async () => {
    await engine.ok(["run", "--name", "a", "--network", "cni:web", "busybox", "true"]);
    await nothingLeft();
    await engine.ok(["start", "a"]);
    await engine.ok(["wait", "a"]);
    expect((await engine.onggi(["run", "--rm", "--network", "cni:web", "busybox", "no-such-command"])).code).toBe(127);
    await engine.ok(["run", "-d", "--name", "b", "--network", "cni:web", "busybox", "sleep", "1000"]);
    await engine.ok(["kill", "b"]);
    await engine.ok(["wait", "b"]);
    await nothingLeft();
  });

  test("what is not done", async () => {
    const said = async (...args: string[]) => (await engine.onggi(args)).stderr;
    await engine.ok(["run", "-d", "--name", "a", "--network", "cni:web", "busybox", "sleep", "1000"]);
    await engine.ok(["run", "-d", "--name", "b", "busybox", "sleep", "1000"]);
    expect(await said("network", "connect", "bridge", "a")).toContain(
      "was made with networks of CNI plugins; it cannot be in other networks",
    );
    expect(await said("network", "connect", "cni:web", "b")).toContain("give --network to run or create");
    expect(await said("network", "disconnect", "cni:web", "a")).toContain("they take it away when the container ends");
    expect(await said("network", "rm", "cni:web")).toContain("remove its file");
    expect(await said("create", "--network", "cni:web", "--network", "bridge", "busybox")).toContain(
      "not in both: cni:web, bridge",
    );
    expect(await said("create", "--network", "cni:none", "busybox")).toContain('no CNI network "none"');
    expect(await said("create", "--network", "cni:back", "-p", "80", "busybox")).toContain("capability portMappings");
    expect(await said("create", "--network", "name=bridge,driver-opt=cni.arg.A=1", "busybox")).toContain(
      "is for networks of CNI plugins",
    );
    expect(await said("network", "inspect", "cni:none")).toContain('no CNI network "none"');
  });

  test("many at once have addresses of their own", async () => {
    const names = Array.from({ length: 8 }, (_, index) => `m${index}`);
    await Promise.all(
      names.map((name) => engine.ok(["run", "-d", "--name", name, "--network", "cni:web", "busybox", "sleep", "1000"])),
    );
    const addresses = await Promise.all(names.map((name) => address(name)));
    expect(new Set(addresses).size).toBe(names.length);
    expect(leased().length).toBe(names.length);
    await engine.ok(["rm", "-f", ...names]);
  });

  test("an engine that is killed in the middle of ADD: its plugin is ended, DEL is called by the next one", async () => {
    const [begun, free, log] = ["begun", "free", "log"].map((name) => join(base, name)) as [string, string, string];
    // passes on what it has got, once it may
    const script = `#!/bin/sh
config=$(cat); echo "$CNI_COMMAND" >> ${log}
[ "$CNI_COMMAND" = ADD ] || exit 0
echo $$ > ${begun}.new; mv ${begun}.new ${begun}
while [ ! -e ${free} ]; do sleep 0.05; done
echo late >> ${log}
printf '%s' "$config" | sed 's/.*"prevResult":\\(.*\\)}$/\\1/'
`;
    writeFileSync(join(bin, "slow"), script);
    chmodSync(join(bin, "slow"), 0o755);
    const run = engine.spawn(["run", "-d", "--name", "a", "--network", "cni:slow", "busybox", "sleep", "1000"]);
    await eventually("ADD has begun", () => existsSync(begun));
    expect(leased()).toHaveLength(1);
    expect(kept()).toHaveLength(1);
    await engine.murder();
    await run.done;
    await engine.pid();
    await eventually("DEL has been called", () => readFileSync(log, "utf8") === "ADD\nDEL\n");
    await nothingLeft();
    writeFileSync(free, "");
    await Bun.sleep(200);
    expect(readFileSync(log, "utf8")).toBe("ADD\nDEL\n");
    await engine.ok(["start", "a"]);
    expect(await address("a", "cni:slow")).toStartWith("10.90.0.");
    await engine.ok(["rm", "-f", "a"]);
    expect(readFileSync(log, "utf8")).toBe("ADD\nDEL\nADD\nlate\nDEL\n");
  });

  test("an engine that is killed at any moment: nothing of its containers is left, on the disk or in the kernel", async () => {
    for (let round = 0; round < rounds; round++) {
      const name = `k${round}`;
      const ends = round % 2 === 0 ? ["sleep", "1000"] : ["true"];
      const run = engine.spawn(["run", "-d", "--name", name, "--network", "cni:web", "-p", "8083:80", "busybox", ...ends]);
      await Bun.sleep(50 + Math.random() * 350);
      await engine.murder();
      await run.done;
      await engine.onggi(["rm", "-f", name]);
      await nothingLeft();
      expect(await host.output("iptables-save")).not.toContain("8083");
      await eventually("no cable is left", async () => !(await host.output("ip", "-br", "link")).includes("veth"));
      expect(readdirSync(join(engine.run, "cni"))).toEqual([]);
    }
  });

  test("containers that ended while there was no engine are taken out by the next one", async () => {
    const id = await engine.ok(["run", "-d", "--name", "a", "--network", "cni:web", "-p", "8081:80", "busybox", "sleep", "1000"]);
    const { State } = await engine.inspect(id);
    await engine.murder();
    process.kill(State.Pid, "SIGKILL");
    await eventually("the engine knows", async () => !(await engine.inspect(id)).State.Running);
    await nothingLeft();
    expect(await host.output("iptables-save")).not.toContain("8081");
    // and the port is anybody's
    serve(host, 8081);
  });
});
