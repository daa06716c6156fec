/** Sandboxes of others in networks of a real engine, by the CNI plugin. As root. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { addressOf, CniPlugin, PLUGIN, type Pod, podOf } from "../kit/cni.ts";
import { type Engine, eventually, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";
import { ask, Netns, serve, tryTcp } from "../kit/netns.ts";
import { freePort } from "../kit/registry.ts";

/** The namespace of this process, for what asks in a namespace. */
const machine = { inside: <T>(work: () => T): T => work() } as Netns;

let engine: Engine;
let cni: CniPlugin;
const open: Netns[] = [];

/** A sandbox of somebody: a namespace, and what it is called. */
function sandbox(id: string): { ns: Netns; pod: Pod } {
  const ns = new Netns(id);
  open.push(ns);
  return { ns, pod: podOf(ns) };
}

const close = (ns: Netns): void => {
  open.splice(open.indexOf(ns), 1);
  ns.close();
};

const machineOutput = (...command: string[]): Promise<string> => Bun.spawn(command).stdout.text();

const dig = async (ns: Netns, ...words: string[]): Promise<string[]> =>
  (await ns.output("dig", "+short", "+time=2", "@127.0.0.11", ...words)).split("\n").filter(Boolean).sort();

const linksOf = ({ net }: Netns): string[] => net.linkList().map(({ name }) => name);
const defaultsOf = ({ net }: Netns): (string | undefined)[] =>
  net.routeList(undefined, 4).flatMap(({ to, gateway }) => (to === "default" ? [gateway] : []));

interface InspectedNetwork {
  readonly Containers: Readonly<Record<string, { readonly Name: string; readonly IPv4Address: string }>>;
}
const guests = async (network = "web"): Promise<string[]> =>
  Object.keys((JSON.parse(await engine.ok(["network", "inspect", network])) as InspectedNetwork[])[0]!.Containers).filter((id) =>
    id.startsWith("cni-"),
  );

describe.skipIf(process.geteuid?.() !== 0)("the CNI plugin", () => {
  beforeAll(async () => {
    engine = startEngine();
    cni = new CniPlugin(engine, { network: "web" });
    await bootstrapBusybox(engine);
    await engine.ok(["network", "create", "--subnet", "10.181.0.0/24", "web"]);
    await engine.ok(["network", "create", "--subnet", "10.182.0.0/24", "back"]);
    const server = ["sh", "-c", "mkdir /w; echo peer > /w/index.html; exec httpd -f -p 80 -h /w"];
    await engine.ok(["run", "-d", "--name", "peer", "--network", "web", "busybox", ...server]);
  }, 120_000);

  afterEach(async () => {
    for (const ns of open.splice(0)) ns.close();
    await cni.ok("GC", { id: "", netns: "" }, { "cni.dev/valid-attachments": [] });
    expect([...(await guests()), ...(await guests("back"))]).toEqual([]);
  });

  afterAll(async () => {
    await engine.ok(["rm", "-f", "peer"]);
    await engine.ok(["network", "rm", "web", "back"]);
    await engine.close();
  }, 60_000);

  test("a sandbox and containers reach each other by address and by name; nothing stays", async () => {
    const { ns, pod } = sandbox("pod-1");
    serve(ns, 8080);
    const named = { ...pod, args: "IgnoreUnknown=1;K8S_POD_NAME=front;X=y" };
    const result = await cni.ok("ADD", named, { runtimeConfig: { aliases: ["www"] } });
    const own = addressOf(result);
    const inside = result.interfaces.findIndex(({ sandbox: path }) => path === pod.netns);
    expect(result).toMatchObject({ cniVersion: "1.1.0", dns: { nameservers: ["127.0.0.11"] } });
    expect(result.routes).toEqual([{ dst: "0.0.0.0/0", gw: "10.181.0.1" }]);
    expect(result.ips).toMatchObject([{ address: `${own}/24`, gateway: "10.181.0.1", interface: inside }]);
    expect(ns.net.requireLink("eth0")).toMatchObject({ address: result.interfaces[inside]!.mac, up: true });
    expect(defaultsOf(ns)).toEqual(["10.181.0.1"]);

    const [peer = ""] = await dig(ns, "peer");
    expect((await ns.output("curl", "-s", "--retry", "20", "--retry-connrefused", `http://${peer}/`)).trim()).toBe("peer");
    expect(await dig(ns, "front")).toEqual([own]);
    expect(await dig(ns, "www.web")).toEqual([own]);
    expect(await dig(ns, "-x", own)).toEqual(["front.web."]);
    const asked = await engine.ok(["exec", "peer", "sh", "-c", "nc -w 5 www 8080 < /dev/null | head -1"]);
    expect(asked).toBe(`pod-1 ${peer}`);

    expect(await guests()).toEqual(["cni-pod-1"]);
    await cni.ok("CHECK", named, { prevResult: result });
    await cni.ok("STATUS", named);
    await cni.ok("DEL", named, { prevResult: result });
    expect(linksOf(ns)).toEqual(["lo"]);
    await cni.ok("DEL", named);
    await cni.ok("DEL", { ...named, netns: "" });
    expect(await cni.fails("CHECK", named, { prevResult: result })).toMatchObject({ code: 3 });
    expect((await ns.run("nft", "list", "tables")).stdout).toBe("");
  });

  test("a published port is reached from the host, until DEL", async () => {
    const { ns, pod } = sandbox("pod-2");
    serve(ns, 80);
    const hostPort = await freePort();
    const portMappings = [{ hostPort, containerPort: 80, protocol: "tcp" }];
    await cni.ok("ADD", pod, { runtimeConfig: { portMappings } });
    expect(await ask(machine, "127.0.0.1", hostPort)).toStartWith("pod-2 ");
    const other = sandbox("pod-3");
    const refused = await cni.fails("ADD", other.pod, { runtimeConfig: { portMappings } });
    expect(refused).toMatchObject({ code: 100, details: expect.stringContaining(`${hostPort}`) });
    // all or nothing
    expect(linksOf(other.ns)).toEqual(["lo"]);
    expect(await guests()).toEqual(["cni-pod-2"]);
    await cni.ok("DEL", pod);
    expect(await tryTcp(machine, "127.0.0.1", hostPort)).toBe("refused");
    // a port that a process has
    using taker = Bun.listen({ hostname: "0.0.0.0", port: 0, socket: { data() {} } });
    const taken = { runtimeConfig: { portMappings: [{ hostPort: taker.port, containerPort: 80 }] } };
    expect(await cni.fails("ADD", pod, { ...taken, reservePorts: true })).toMatchObject({ code: 100 });
    await cni.ok("ADD", pod, taken);
    expect(await ask(machine, "127.0.0.1", taker.port)).toStartWith("pod-2 ");
  });

  test("fixed addresses, which nobody else gets meanwhile", async () => {
    const fixed = { runtimeConfig: { ips: ["10.181.0.77/24"], mac: "02:00:00:00:00:77" } };
    const one = sandbox("pod-4");
    const result = await cni.ok("ADD", one.pod, fixed);
    expect(addressOf(result)).toBe("10.181.0.77");
    expect(one.ns.net.requireLink("eth0").address).toBe("02:00:00:00:00:77");
    const two = sandbox("pod-5");
    expect(await cni.fails("ADD", two.pod, { runtimeConfig: { ips: ["10.181.0.77"] } })).toMatchObject({ code: 100 });
    expect(await cni.fails("ADD", two.pod, { runtimeConfig: { ips: ["192.0.2.1"] } })).toMatchObject({ code: 7 });
    await cni.ok("DEL", one.pod);
    expect(addressOf(await cni.ok("ADD", two.pod, { runtimeConfig: { ips: ["10.181.0.77"] } }))).toBe("10.181.0.77");
  });

  test("a network without an address left", async () => {
    await engine.ok(["network", "create", "--subnet", "10.185.0.0/30", "small"]);
    const [one, two] = [sandbox("fits"), sandbox("no-room")];
    const small = { network: "small" };
    await cni.ok("STATUS", one.pod, small);
    await cni.ok("ADD", one.pod, small);
    expect(await cni.fails("STATUS", one.pod, small)).toMatchObject({ code: 50 });
    expect(await cni.fails("ADD", two.pod, small)).toMatchObject({ code: 11 });
    await cni.ok("DEL", one.pod);
    await cni.ok("STATUS", one.pod, small);
    await engine.ok(["network", "rm", "small"]);
    expect(await cni.fails("STATUS", one.pod, small)).toMatchObject({ code: 50 });
  });

  test("limits of what is sent and received", async () => {
    const { pod } = sandbox("limited");
    const { interfaces } = await cni.ok("ADD", pod, { runtimeConfig: { bandwidth: { ingressRate: 8e6, egressRate: 16e6 } } });
    const cable = interfaces[1]!.name;
    expect(await machineOutput("tc", "qdisc", "show", "dev", cable)).toMatch(/tbf .* rate 8Mbit .*\n.*ingress/);
    expect(await machineOutput("tc", "qdisc", "show", "dev", `i${cable.slice(1)}`)).toContain("rate 16Mbit");
    await cni.ok("DEL", pod);
  });

  test("several networks: the first one leads out until it goes, names are those of both", async () => {
    const { ns, pod } = sandbox("pod-6");
    await cni.ok("ADD", pod);
    const second = { ...pod, interface: "net1" };
    const result = await cni.ok("ADD", second, { network: "back" });
    expect(result.routes).toEqual([]);
    expect(defaultsOf(ns)).toEqual(["10.181.0.1"]);
    expect(await dig(ns, "peer.web")).toHaveLength(1);
    expect(await cni.fails("ADD", { ...pod, interface: "net2" })).toMatchObject({ code: 100 });
    expect(await cni.fails("ADD", pod)).toMatchObject({ code: 4, details: expect.stringContaining("CNI_IFNAME") });
    await cni.ok("DEL", pod);
    expect(defaultsOf(ns)).toEqual(["10.182.0.1"]);
    expect(linksOf(ns).sort()).toEqual(["lo", "net1"]);
    await cni.ok("CHECK", second, { network: "back", prevResult: result });
    await cni.ok("DEL", second, { network: "back" });
    expect(linksOf(ns)).toEqual(["lo"]);
  });

  test("a default route of others stays, and none is made where none is wanted", async () => {
    const { ns, pod } = sandbox("pod-7");
    const other = sandbox("elsewhere");
    ns.cable("else0", other.ns, "end");
    ns.address("else0", "192.0.2.2/24");
    ns.route("default", "192.0.2.1");
    expect((await cni.ok("ADD", pod)).routes).toEqual([]);
    expect(defaultsOf(ns)).toEqual(["192.0.2.1"]);
    expect((await cni.ok("ADD", other.pod, { isDefaultGateway: false })).routes).toEqual([]);
    expect(defaultsOf(other.ns)).toEqual([]);
  });

  test("what is no network namespace of somebody else is refused, and not touched", async () => {
    const place = join(engine.base, "places");
    mkdirSync(place);
    writeFileSync(join(place, "file"), "");
    Bun.spawnSync(["mkfifo", join(place, "fifo")]);
    const paths = [
      join(place, "file"),
      join(place, "fifo"),
      join(place, "none"),
      "/proc/self/ns/mnt",
      "/proc/1/ns/net",
      "/dev/null",
    ];
    for (const netns of paths) {
      const failure = await cni.fails("ADD", { id: "pod-8", netns });
      expect(failure).toMatchObject({ code: 4, details: expect.stringContaining("CNI_NETNS") });
    }
    expect(await cni.fails("ADD", { id: "pod-8", netns: paths[0]! }, { network: "none-such" })).toMatchObject({ code: 4 });
    await cni.ok("DEL", { id: "pod-8", netns: paths[2]! });
  });

  test("networks know their guests", async () => {
    const { ns, pod } = sandbox("pod-9");
    await cni.ok("ADD", { ...pod, args: "K8S_POD_NAME=back-end" }, { network: "back" });
    const { stderr, code } = await engine.onggi(["network", "rm", "back"]);
    expect({ stderr, code }).toMatchObject({ code: 1, stderr: expect.stringContaining("cni-pod-9") });
    expect(await engine.ok(["network", "inspect", "-f", "{{range .Containers}}{{.Name}}{{end}}", "back"])).toBe("back-end");
    await engine.ok(["network", "disconnect", "back", "pod-9"]);
    expect(await guests("back")).toEqual([]);
    await eventually("the interface is gone", () => linksOf(ns).join() === "lo");
    await cni.ok("DEL", pod, { network: "back" });
  });

  test("CHECK tells what has been lost", async () => {
    const { ns, pod } = sandbox("pod-10");
    const prevResult = await cni.ok("ADD", pod);
    await ns.output("ip", "addr", "del", prevResult.ips[0]!.address, "dev", "eth0");
    expect(await cni.fails("CHECK", pod, { prevResult })).toMatchObject({
      code: 100,
      details: expect.stringContaining("address"),
    });
    await ns.output("ip", "link", "del", "eth0");
    expect(await cni.fails("CHECK", pod, { prevResult })).toMatchObject({ code: 100, details: expect.stringContaining("eth0") });
    await cni.ok("DEL", pod);
  });

  test("GC leaves what its own configuration knows, and what others have asked for", async () => {
    const [kept, stale, foreign, gone] = ["kept", "stale", "foreign", "gone"].map(sandbox) as [
      ...[ReturnType<typeof sandbox>, ReturnType<typeof sandbox>, ReturnType<typeof sandbox>, ReturnType<typeof sandbox>],
    ];
    for (const { pod } of [kept, stale, gone]) await cni.ok("ADD", pod);
    await cni.ok("ADD", foreign.pod, { name: "other" });
    close(gone.ns);
    const valid = ["kept", "gone"].map((containerID) => ({ containerID, ifname: "eth0" }));
    await cni.ok("GC", kept.pod, { "cni.dev/valid-attachments": valid });
    expect((await guests()).sort()).toEqual(["cni-foreign", "cni-kept"]);
    expect(linksOf(stale.ns)).toEqual(["lo"]);
    await cni.ok("GC", foreign.pod, { name: "other", "cni.dev/valid-attachments": [] });
    expect(await guests()).toEqual(["cni-kept"]);
  });

  test("a sandbox that is made anew under its id, without a DEL, is another one", async () => {
    const first = sandbox("pod-11");
    await cni.ok("ADD", first.pod);
    close(first.ns);
    const second = sandbox("pod-11");
    await cni.ok("ADD", second.pod);
    expect(linksOf(second.ns)).toEqual(["lo", "eth0"]);
    expect(await guests()).toEqual(["cni-pod-11"]);
  });

  test("the engine's death changes nothing; what ends meanwhile is given back", async () => {
    const [stays, goes] = [sandbox("stays"), sandbox("goes")];
    serve(stays.ns, 80);
    const hostPort = await freePort();
    const runtimeConfig = { portMappings: [{ hostPort, containerPort: 80 }] };
    const result = await cni.ok("ADD", { ...stays.pod, args: "K8S_POD_NAME=durable" }, { runtimeConfig });
    await cni.ok("ADD", goes.pod, { runtimeConfig: { ips: ["10.181.0.99"] } });
    await engine.murder();
    expect(await cni.fails("ADD", goes.pod)).toMatchObject({ code: 11 });
    expect(await cni.fails("STATUS", goes.pod)).toMatchObject({ code: 50 });
    expect(await cni.fails("DEL", goes.pod)).toMatchObject({ code: 11 });
    expect(await ask(machine, "127.0.0.1", hostPort)).toStartWith("stays ");
    close(goes.ns);
    await cni.ok("DEL", goes.pod);
    await engine.pid();
    expect(await guests()).toEqual(["cni-stays"]);
    expect(await ask(machine, "127.0.0.1", hostPort)).toStartWith("stays ");
    expect(await dig(stays.ns, "durable")).toEqual([addressOf(result)]);
    await cni.ok("CHECK", stays.pod, { prevResult: result });
    const again = sandbox("again");
    expect(addressOf(await cni.ok("ADD", again.pod, { runtimeConfig: { ips: ["10.181.0.99"] } }))).toBe("10.181.0.99");
    // and it is still there when the engine has ended in peace
    await engine.ok(["engine", "stop"]);
    expect(await ask(machine, "127.0.0.1", hostPort)).toStartWith("stays ");
    await engine.pid();
    await cni.ok("CHECK", stays.pod, { prevResult: result });
    await cni.ok("DEL", stays.pod);
    expect(linksOf(stays.ns)).toEqual(["lo"]);
  });

  test("an engine killed amid ADDs and DELs: what DEL says afterwards is true", async () => {
    const many = Array.from({ length: 8 }, (_, index) => sandbox(`torn-${index}`));
    const adding = many.map(({ pod }) => cni.run("ADD", pod));
    await Bun.sleep(20);
    await engine.murder();
    await Promise.all(adding);
    await engine.pid();
    await Promise.all(many.map(({ pod }) => cni.ok("DEL", pod)));
    for (const { ns } of many) expect(linksOf(ns)).toEqual(["lo"]);
    expect(await guests()).toEqual([]);
    await Promise.all(many.map(({ pod }) => cni.ok("ADD", pod)));
    const deleting = many.map(({ pod }) => cni.run("DEL", pod));
    await Bun.sleep(30);
    await engine.murder();
    await Promise.all(deleting);
    await engine.pid();
    await Promise.all(many.map(({ pod }) => cni.ok("DEL", pod)));
    expect(await guests()).toEqual([]);
    for (const { ns } of many) await eventually("no interface is left", () => linksOf(ns).join() === "lo");
  });

  test("fifty at once, each with an address of its own, and nothing is left", async () => {
    const many = Array.from({ length: 50 }, (_, index) => sandbox(`many-${index}`));
    // what it opens once, it has open
    await cni.ok("ADD", many[0]!.pod);
    await cni.ok("DEL", many[0]!.pod);
    const before = await engine.descriptorCount();
    const results = await Promise.all(many.map(({ pod }) => cni.ok("ADD", pod)));
    expect(new Set(results.map(addressOf)).size).toBe(50);
    expect(await guests()).toHaveLength(50);
    await Promise.all(many.map(({ pod }) => cni.ok("DEL", pod)));
    for (const { ns } of many) expect(linksOf(ns)).toEqual(["lo"]);
    await eventually("its descriptors are given back", async () => (await engine.descriptorCount()) <= before);
  });

  test("VERSION needs no engine and no configuration", () => {
    const { stdout, exitCode } = Bun.spawnSync([PLUGIN], { env: { CNI_COMMAND: "VERSION" }, stdin: "ignore" });
    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout.toString()).supportedVersions).toContain("1.1.0");
  });
});
