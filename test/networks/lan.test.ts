/** Networks on an interface of the host: macvlan, ipvlan, VLANs. Needs root. */
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import type { NetworkRequest } from "../../src/networks/index.ts";
import { newLink, setBridgePort, setLink, vlanData } from "../../src/sys/index.ts";
import { ask, Netns, serve } from "../kit/netns.ts";
import { skipLoudly } from "../kit/skip.ts";
import { NetworksHost, refusal, TAG, type TestContainer, until } from "./networks-host.ts";

let host: NetworksHost;
/** What the host's interface phys0 leads to: port 1 of a switch, which has the LAN's addresses itself. */
let outside: Netns;

beforeAll(() => {
  host = new NetworksHost();
  outside = new Netns("outside");
  outside.bridge("switch", "10.90.0.1/24", "fd00:90::1/64");
  outside.cable("port1", host.netns, "phys0", "switch");
  serve(outside, 80);
});
afterEach(async () => {
  for (const { id, name, predefined } of host.networks.list()) {
    if (predefined) continue;
    for (const { container } of host.networks.endpointsIn(id)) await host.networks.forget(container);
    await host.networks.remove(name);
  }
  for (const container of containers.splice(0)) host.end(container);
  await host.networks.idle();
  expect(vlans()).toEqual([]);
});
afterAll(async () => {
  outside.close();
  await host.close();
});

const vlans = (): string[] => host.links().flatMap(({ name, kind }) => (kind === "vlan" ? [name] : []));
const SUBNET = { subnet: "10.90.0.0/24", range: "10.90.0.128/25" };

const create = (name: string, options: Record<string, string>, changes: Partial<NetworkRequest> = {}) =>
  host.networks.create({ name, driver: "macvlan", options: { parent: "phys0", ...options }, pools: [SUBNET], ...changes });

/** Those that run; ended with the test. */
const containers: TestContainer[] = [];

function container(name: string): TestContainer {
  const made = host.container(name);
  containers.push(made);
  serve(made.netns, 80);
  return made;
}

/** Containers of one network, attached, that answer on port 80. */
async function start(network: string, ...names: string[]): Promise<TestContainer[]> {
  const started = names.map(container);
  for (const { id, sandbox } of started) {
    host.networks.connect({ network, container: id });
    await host.networks.attach(sandbox, []);
  }
  return started;
}

/** By a program, which ends: a connection of this process that waits in vain would keep the container's namespace. */
const reaches = async ({ netns }: TestContainer, ip: string): Promise<boolean> =>
  (await netns.run("nc", "-z", "-w", "1", ip, "80")).exitCode === 0;

async function leave(...gone: TestContainer[]): Promise<void> {
  for (const one of gone) {
    await host.networks.forget(one.id);
    host.end(one);
    containers.splice(containers.indexOf(one), 1);
  }
}

test("macvlan: containers are hosts of the parent's LAN, with the addresses that they are told to have", async () => {
  await create("lan", {});
  const a = container("a");
  host.networks.connect({ network: "lan", container: a.id, ipv4: "10.90.0.10", mac: "02:00:00:00:90:20" });
  await host.networks.attach(a.sandbox, []);
  const [b] = await start("lan", "b");
  expect(host.endpoint(a, "lan").attached).toMatchObject({ hostInterface: "", ipv4: "10.90.0.10", ipv4Gateway: "10.90.0.1" });
  expect(a.netns.net.requireLink("eth0")).toMatchObject({ kind: "macvlan", address: "02:00:00:00:90:20" });
  expect(await ask(a.netns, "10.90.0.1", 80)).toBe("outside 10.90.0.10");
  expect(await ask(a.netns, host.ipv4(b!, "lan"), 80)).toBe("b 10.90.0.10");
  expect(await ask(outside, host.ipv4(b!, "lan"), 80)).toBe("b 10.90.0.1");
  await host.networks.disconnect(b!.id, "lan", b!.sandbox);
  await until("its interface is gone", () => b!.netns.net.linkByName("eth0") === null);
});

test("macvlan, private: the LAN, but not each other, whatever the switch does", async () => {
  await create("private", { macvlan_mode: "private" });
  const [a, b] = await start("private", "a", "b");
  expect(await ask(a!.netns, "10.90.0.1", 80)).toStartWith("outside ");
  hairpin(true);
  expect(await reaches(a!, host.ipv4(b!, "private"))).toBe(false);
  hairpin(false);
});

/** Whether the switch sends frames back to where they came from. */
const hairpin = (on: boolean): void =>
  outside.net.batch([setBridgePort(outside.net.requireLink("port1").index, { hairpin: on })]);

test("macvlan, vepa: each other by way of a switch that sends back", async () => {
  await create("vepa", { macvlan_mode: "vepa" });
  const [a, b] = await start("vepa", "a", "b");
  expect(await ask(a!.netns, "10.90.0.1", 80)).toStartWith("outside ");
  hairpin(true);
  expect(await ask(a!.netns, host.ipv4(b!, "vepa"), 80)).toStartWith("b ");
  hairpin(false);
  expect(await reaches(a!, host.ipv4(b!, "vepa"))).toBe(false);
});

test("macvlan, passthru: one container at a time, with the parent's hardware address", async () => {
  await create("through", { macvlan_mode: "passthru" });
  const { address } = host.netns.net.requireLink("phys0");
  const [a] = await start("through", "a");
  expect(host.endpoint(a!, "through").attached!.mac).toBe(address);
  expect(a!.netns.net.requireLink("eth0").address).toBe(address);
  expect(await ask(outside, host.ipv4(a!, "through"), 80)).toBe("a 10.90.0.1");
  const b = container("b");
  host.networks.connect({ network: "through", container: b.id });
  expect(await refusal(() => host.networks.attach(b.sandbox, []))).toBe(
    `network_in_use: network through passes phys0 through to one container at a time, and ${a!.id.slice(0, 12)} has it`,
  );
  await host.networks.disconnect(a!.id, "through", a!.sandbox);
  await until("its interface is gone", () => a!.netns.net.linkByName("eth0") === null);
  await host.networks.attach(b.sandbox, []);
  expect(await ask(outside, host.ipv4(b, "through"), 80)).toBe("b 10.90.0.1");
  const c = container("c");
  expect(await refusal(() => host.networks.connect({ network: "through", container: c.id, mac: "02:00:00:00:00:01" }))).toContain(
    "address_invalid: address 02:00:00:00:00:01: containers of network through have the hardware address of phys0",
  );
});

test("macvlan: IPv6, alone and with IPv4", async () => {
  const six = { subnet: "fd00:90::/64", range: "fd00:90::1000/116" };
  await create("both", {}, { pools: [SUBNET, six] });
  const [a, b] = await start("both", "a", "b");
  expect(await ask(a!.netns, "fd00:90::1", 80)).toBe(`outside ${host.ipv6(a!, "both")}`);
  expect(await ask(a!.netns, host.ipv6(b!, "both"), 80)).toStartWith("b ");
  expect(await ask(outside, host.ipv6(a!, "both"), 80)).toStartWith("a ");
  expect(a!.netns.net.routeList(undefined, 6).find(({ to }) => to === "default")?.gateway).toBe("fd00:90::1");
  await leave(a!, b!);
  await host.networks.remove("both");
  await create("six", {}, { ipv4: false, ipv6: true, pools: [six] });
  const [c] = await start("six", "c");
  expect(host.endpoint(c!, "six").attached!.ipv4).toBeNull();
  expect(await ask(c!.netns, "fd00:90::1", 80)).toStartWith("outside ");
});

/** True if this kernel makes what a network needs; otherwise that is said in these words, and nothing is left. */
async function made(work: Promise<unknown>, lacking: string): Promise<boolean> {
  const links = host.links().length;
  const why = await refusal(() => work);
  if (why === "nothing was refused") return true;
  expect(why).toStartWith(`network_invalid: this kernel has no ${lacking}`);
  expect(host.networks.list().filter(({ predefined }) => !predefined)).toEqual([]);
  expect(host.links().length).toBe(links);
  skipLoudly(`networks of ${lacking}: this kernel has none`);
  return false;
}

test("a container that is started again at once gets its address again", async () => {
  const ADDRESS = "10.90.0.20";
  for (const macvlan_mode of ["bridge", "passthru"]) {
    await create("lan", { macvlan_mode });
    for (let times = 0; times < 3; times++) {
      const one = container("again");
      host.networks.connect({ network: "lan", container: one.id, ipv4: ADDRESS });
      await host.networks.attach(one.sandbox, []);
      expect(await ask(outside, ADDRESS, 80)).toStartWith("again ");
      // the kernel takes its time with the namespace
      await leave(one);
    }
    await host.networks.remove("lan");
  }
});

test("a VLAN is made with the first network that lies on it, and goes with the last", async () => {
  const options = { parent: "phys0.50" };
  if (!(await made(create("first", options), "VLANs"))) return;
  const { index } = outside.net.requireLink("port1");
  outside.net.batch([
    newLink({ kind: "vlan", name: "port1.50", parent: index, data: vlanData(50) }),
    setLink({ name: "port1.50", up: true }),
  ]);
  outside.address("port1.50", "10.91.0.1/24");
  await create("second", { ...options, macvlan_mode: "private" }, { pools: [{ subnet: "10.91.0.0/24" }] });
  const [a, b] = await start("second", "a", "b");
  expect(host.netns.net.requireLink("phys0.50")).toMatchObject({ kind: "vlan", up: true });
  expect(await ask(a!.netns, "10.91.0.1", 80)).toStartWith("outside ");
  expect(await reaches(a!, host.ipv4(b!, "second"))).toBe(false);
  const explained = await host.networks.explain("second");
  expect(explained).toContain("ip link add phys0.50 link phys0 mtu 1500 type vlan id 50\n");
  // the network that it was made for goes, the other stays
  await host.networks.remove("first");
  await host.networks.idle();
  expect(await ask(a!.netns, "10.91.0.1", 80)).toStartWith("outside ");
  // and one that somebody has removed is made again
  host.netns.net.deleteLink({ name: "phys0.50" });
  await host.restart();
  await host.networks.reconcile([]);
  expect(host.netns.net.requireLink("phys0.50").alias).toBe(`onggi ${TAG} ${host.networks.get("second").id}`);
  const [c] = await start("second", "c");
  expect(await ask(c!.netns, "10.91.0.1", 80)).toStartWith("outside ");
  // an engine that ends leaves nothing that nobody needs
  await leave(a!, b!, c!);
  await host.networks.withdraw();
  expect(vlans()).toEqual([]);
  const [d] = await start("second", "d");
  expect(await ask(d!.netns, "10.91.0.1", 80)).toStartWith("outside ");
  await leave(d!);
  await host.networks.remove("second");
  // at once after that, by the same name
  await create("third", options);
  expect(vlans()).toEqual(["phys0.50"]);
  outside.net.deleteLink({ name: "port1.50" });
});

test("a VLAN of the host's own is used and stays", async () => {
  const vlan = newLink({ kind: "vlan", name: "phys0.7", parent: host.netns.net.requireLink("phys0").index, data: vlanData(7) });
  const [failure] = host.netns.net.tryBatch([vlan]);
  if (failure !== undefined) return skipLoudly("networks of VLANs: this kernel has none");
  await create("lan", { parent: "phys0.7" });
  expect(await host.networks.explain("lan")).toContain("# lies on phys0.7\n");
  await host.networks.remove("lan");
  await host.networks.withdraw();
  expect(vlans()).toEqual(["phys0.7"]);
  host.netns.net.deleteLink({ name: "phys0.7" });
});

test("ipvlan: hosts of the LAN with the parent's hardware address", async () => {
  if (!(await made(create("ip", {}, { driver: "ipvlan" }), "ipvlan"))) return;
  expect(host.links().filter(({ kind }) => kind === "ipvlan")).toEqual([]);
  const [a, b] = await start("ip", "a", "b");
  const { address } = host.netns.net.requireLink("phys0");
  expect(a!.netns.net.requireLink("eth0")).toMatchObject({ kind: "ipvlan", address });
  expect(host.endpoint(a!, "ip").attached!.mac).toBe(address);
  expect(await ask(a!.netns, "10.90.0.1", 80)).toBe(`outside ${host.ipv4(a!, "ip")}`);
  expect(await ask(outside, host.ipv4(b!, "ip"), 80)).toStartWith("b ");
  expect(await ask(a!.netns, host.ipv4(b!, "ip"), 80)).toStartWith("b ");
  expect(await host.networks.explain("ip")).toContain("link phys0 mtu 1500 type ipvlan mode l2 bridge\n");
  await host.networks.disconnect(a!.id, "ip", a!.sandbox);
  await until("its interface is gone", () => a!.netns.net.linkByName("eth0") === null);
  await leave(a!, b!);
  await host.networks.remove("ip");
  await create("alone", { ipvlan_flag: "private" }, { driver: "ipvlan" });
  const [c, d] = await start("alone", "c", "d");
  expect(await reaches(c!, host.ipv4(d!, "alone"))).toBe(false);
  await leave(c!, d!);
  await until("the parent is free for others", () => host.links().every(({ kind }) => kind !== "ipvlan"));
});

test("what cannot be", async () => {
  const refused = (options: Record<string, string>) => refusal(() => create("bad", options));
  expect(await refused({ parent: "nothing0" })).toStartWith('network_invalid: this host has no interface "nothing0"');
  expect(await refused({ parent: "nothing0.5" })).toStartWith('network_invalid: this host has no interface "nothing0"');
  expect(await refused({ parent: "" })).toStartWith("network_invalid: a macvlan network lies on an interface");
  for (const parent of ["phys0.0", "phys0.4095"]) {
    expect(await refused({ parent })).toBe(
      `network_invalid: option parent=${parent}: the VLANs of phys0 are phys0.1 to phys0.4094`,
    );
  }
  expect(await refused({ parent: "phys0/../x" })).toStartWith("network_invalid: option parent=phys0/../x: an interface's name");
  expect(await refused({ "com.docker.network.bridge.name": "x" })).toStartWith("network_invalid: driver macvlan has no");
});
