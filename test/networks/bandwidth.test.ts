/** Limits of what containers send and receive, as iperf3 finds them. Needs root. */
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import type { Bandwidth } from "../../src/networks/index.ts";
import { slowness } from "../kit/command.ts";
import { ask, serve, tryTcp } from "../kit/netns.ts";
import { NetworksHost, refusal, type TestContainer, until } from "./networks-host.ts";

/** Bytes per second: 20 and 40 Mbit/s. */
const [SLOW, LESS_SLOW] = [2.5e6, 5e6];
let host: NetworksHost;
let server: TestContainer;

beforeAll(async () => {
  host = new NetworksHost();
  server = await host.start(["bridge"], [], "server");
  serve(server.netns, 80);
});
afterEach(() => host.networks.idle());
afterAll(async () => {
  await host.close();
});

/** Bytes per second that arrive at a neighbour's, or with `-R` from there. Each has a server of its own: one may stay busy for ever. */
async function measure(container: TestContainer, ...options: string[]): Promise<number> {
  const to = host.ipv4(server, "bridge");
  for (const end = Date.now() + 20_000 * slowness; ; ) {
    const iperf = server.netns.inside(() => Bun.spawn(["iperf3", "-s", "-1"], { stdout: "ignore", stderr: "ignore" }));
    try {
      await Bun.sleep(50 * slowness);
      const { stdout } = await container.netns.run("timeout", "10", "iperf3", "-c", to, "-J", "-t", "1", ...options);
      const rate = JSON.parse(stdout || "{}").end?.sum_received?.bits_per_second / 8;
      if (rate > 0) return rate;
      // the server is not there yet
      if (Date.now() > end) throw new Error(stdout);
    } finally {
      iperf.kill();
      await iperf.exited;
    }
  }
}

/** What may be sent at once comes on top, within a second; a machine that has much to do takes away. */
function expectRate(measured: number, rate: number): void {
  expect(measured).toBeGreaterThan(0.5 * rate);
  expect(measured).toBeLessThan(1.3 * rate);
}

async function limited(bandwidth: Bandwidth): Promise<TestContainer> {
  const container = host.container();
  host.networks.connect({ network: "bridge", container: container.id, bandwidth });
  await host.networks.attach(container.sandbox, []);
  return container;
}

const shapers = (): string[] => host.links().flatMap(({ name, kind }) => (kind === "ifb" ? [name] : []));
const cable = (container: TestContainer): string => host.endpoint(container, "bridge").attached!.hostInterface;
const disciplines = (link: string): Promise<string> => host.netns.output("tc", "qdisc", "show", "dev", link);

test("each direction has its own limit from the first packet, for one stream and for many", async () => {
  const container = await limited({ receive: SLOW, send: LESS_SLOW });
  expectRate(await measure(container, "-R"), SLOW);
  expectRate(await measure(container), LESS_SLOW);
  expectRate(await measure(container, "-P", "8"), LESS_SLOW);
  // nothing of it is where the container could take it away
  expect(await container.netns.output("tc", "qdisc", "show", "dev", "eth0")).not.toContain("tbf");
  expect(container.netns.net.linkList().map(({ name }) => name)).toEqual(["lo", "eth0"]);
  await host.networks.forget(container.id);
  await host.networks.idle();
  expect(shapers()).toEqual([]);
  host.end(container);
});

test("limits change while it runs, one direction at a time, and are taken away", async () => {
  const container = await limited({ receive: SLOW });
  const free = await measure(container);
  expect(free).toBeGreaterThan(3 * SLOW);
  await host.networks.limit(container.id, ({ bandwidth }) => ({ ...bandwidth, send: SLOW }));
  expect(host.endpoint(container, "bridge").bandwidth).toEqual({ receive: SLOW, send: SLOW });
  expectRate(await measure(container), SLOW);
  await host.networks.limit(container.id, () => ({ send: LESS_SLOW }));
  expectRate(await measure(container), LESS_SLOW);
  expect(await measure(container, "-R")).toBeGreaterThan(3 * SLOW);
  await host.networks.limit(container.id, () => ({ receive: 0, send: 0 }));
  await host.networks.limit(container.id, () => ({}));
  expect(await measure(container)).toBeGreaterThan(3 * SLOW);
  expect(shapers()).toEqual([]);
  expect(await disciplines(cable(container))).not.toMatch(/tbf|ingress/);
  await host.networks.forget(container.id);
  host.end(container);
});

test("a network that is connected later, and disconnected", async () => {
  await host.networks.create({ name: "later" });
  const container = await host.start(["bridge"]);
  host.networks.connect({ network: "later", container: container.id, bandwidth: { receive: SLOW, send: SLOW } });
  const { attached } = await host.networks.attachOne(container.sandbox, "later");
  expect(await disciplines(attached!.hostInterface)).toContain("rate 20Mbit");
  expect(await disciplines(shapers()[0]!)).toContain("rate 20Mbit");
  await host.networks.disconnect(container.id, "later", container.sandbox);
  await host.networks.idle();
  expect(shapers()).toEqual([]);
  await host.networks.forget(container.id);
  await host.networks.remove("later");
  host.end(container);
});

test("an engine that comes anew makes again what is missing, and takes away what nobody knows", async () => {
  const container = await limited({ receive: SLOW, send: SLOW });
  const gone = await limited({ send: SLOW });
  const [name, other] = [cable(container), cable(gone)].map((end) => `i${end.slice(1)}`);
  expect(shapers().sort()).toEqual([name!, other!].sort());
  host.netns.net.deleteLink({ name: name! });
  await host.netns.output("tc", "qdisc", "del", "dev", cable(container), "root");
  // it does not send without its limit
  expect(await tryTcp(container.netns, host.ipv4(server, "bridge"), 80)).toBe("silence");
  host.end(gone);
  await host.restart();
  await host.networks.reconcile([server.sandbox, container.sandbox]);
  await host.networks.idle();
  expect(shapers()).toEqual([name!]);
  expect(await ask(container.netns, host.ipv4(server, "bridge"), 80)).toStartWith("server");
  expect(await disciplines(cable(container))).toContain("rate 20Mbit");
  expectRate(await measure(container), SLOW);
  // with nothing missing it stays as it is
  await host.restart();
  await host.networks.reconcile([server.sandbox, container.sandbox]);
  await host.networks.idle();
  expect(shapers()).toEqual([name!]);
  await host.networks.forget(gone.id);
  await host.networks.forget(container.id);
  host.end(container);
  await until("the shaper is gone", () => shapers().length === 0);
});

test("explain says the commands that make it, and these make it", async () => {
  const container = await limited({ receive: SLOW, send: LESS_SLOW });
  const lines = (await host.networks.explain("bridge")).split("\n");
  const name = cable(container);
  const shaper = `i${name.slice(1)}`;
  const own = lines.filter((line) => /^tc |type ifb/.test(line) && line.includes(name.slice(1)));
  expect(own).toEqual([
    `tc qdisc add dev ${name} root tbf rate 20000000bit burst 66000 limit 191000`,
    `ip link add ${shaper} up type ifb`,
    `tc qdisc add dev ${shaper} root tbf rate 40000000bit burst 100000 limit 350000`,
    `tc qdisc add dev ${name} ingress`,
    `tc filter add dev ${name} parent ffff: prio 1 u32 match u32 0 0 action mirred egress redirect dev ${shaper}`,
  ]);
  const made = async () => [await disciplines(name), await disciplines(shaper), await filters(name)].map(plain);
  const filters = (link: string) => host.netns.output("tc", "filter", "show", "dev", link, "ingress");
  /** Without numbers that the kernel gives. */
  const plain = (text: string) => text.replace(/tbf [0-9a-f]+:|index \d+|refcnt \d+/g, "");
  const before = await made();
  await host.networks.limit(container.id, () => ({}));
  for (const line of own) await host.netns.output(...line.split(" "));
  expect(await made()).toEqual(before);
  await host.networks.forget(container.id);
  host.netns.net.deleteLink({ name: shaper });
  host.end(container);
});

test("what cannot be limited is refused", async () => {
  host.netns.net.createVeth({ name: "lan0", up: true }, { name: "lan1" });
  await host.networks.create({
    name: "lan",
    driver: "macvlan",
    options: { parent: "lan0" },
    pools: [{ subnet: "10.99.0.0/24" }],
  });
  const container = host.container();
  const connect = (network: string, bandwidth: Bandwidth) => () =>
    host.networks.connect({ network, container: container.id, bandwidth });
  expect(await refusal(connect("lan", { send: SLOW }))).toBe(
    "network_invalid: network lan cannot limit how fast a container sends and receives: with driver macvlan its packets do not pass the host",
  );
  for (const rate of [-1, 0.5, Number.NaN])
    expect(await refusal(connect("bridge", { receive: rate }))).toContain("network_invalid");
  connect("lan", { send: 0 })();
  connect("bridge", {})();
  const limit = () => host.networks.limit(container.id, () => ({ send: SLOW }));
  expect(await refusal(limit)).toContain("network_invalid: network lan cannot limit");
  expect(host.endpoint(container, "bridge").bandwidth).toEqual({});
  await host.networks.forget(container.id);
  await host.networks.remove("lan");
  host.end(container);
});

test("a rate beyond 32 bits", async () => {
  const container = await limited({ receive: 5e9 });
  expect(await disciplines(cable(container))).toContain("rate 40Gbit");
  await host.networks.forget(container.id);
  host.end(container);
});
