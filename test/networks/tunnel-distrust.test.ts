/** Tunnels of overlay networks: who is believed, and what is refused. Hosts are network namespaces. Needs root; no etcd. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Peer } from "../../src/networks/overlay/tunnel.ts";
import { ask, tryTcp } from "../kit/netns.ts";
import { until } from "./networks-host.ts";
import {
  forgedPacket,
  listen,
  overlayNetwork,
  Sniffer,
  send,
  type TestContainer,
  TunnelField,
  type TunnelHost,
  VNI,
} from "./tunnel-hosts.ts";

const isRoot = process.geteuid?.() === 0;

describe.skipIf(!isRoot).each([4, 6] as const)("tunnels over IPv%d", (family) => {
  let field: TunnelField;
  const network = overlayNetwork(family);
  let { lan, stranger, hosts, containers } = {} as TunnelField;
  const peersOf = (host: TunnelHost): Peer[] => field.peersOf(host);

  beforeAll(() => {
    field = new TunnelField(family);
    ({ lan, stranger, hosts, containers } = field);
  });
  afterAll(() => field.close());

  test("a host that is cut off hears and says nothing, until it is joined again", async () => {
    const [a, b] = containers as [TestContainer, TestContainer];
    const [one] = hosts as [TunnelHost];
    using sniffer = new Sniffer(lan);
    const before = one.entries();
    one.tunnels.cut(network);
    one.tunnels.cut(network);
    sniffer.take();
    expect(await tryTcp(a.netns, b.ipv4, 80)).toBe("silence");
    expect(sniffer.take()).toEqual([]);
    expect(await tryTcp(b.netns, a.ipv4, 80)).toBe("silence");
    expect(one.entries()).toEqual(before);
    // So is one that is made while it may not say anything.
    one.netns.net.deleteLink({ name: `vx-${"a".repeat(12)}` });
    one.ensure(one.tunnel, true);
    expect(one.netns.net.requireLink(`vx-${"a".repeat(12)}`).up).toBe(false);
    expect(await tryTcp(a.netns, b.ipv4, 80)).toBe("silence");
    one.ensure();
    one.ensure(one.tunnel, true);
    expect(one.netns.net.requireLink(`vx-${"a".repeat(12)}`).up).toBe(false);
    one.ensure();
    expect(await ask(a.netns, b.ipv4, 80)).toBe(`c12 ${a.ipv4}`);
    expect(await ask(b.netns, a.ipv6, 80)).toBe(`c11 ${b.ipv6}`);
    one.tunnels.setPeers(network, peersOf(one));
    expect(one.entries()).toEqual(before);
  });

  test("packets of strangers, of containers and of programs are not believed", async () => {
    const [one, two] = hosts as [TunnelHost, TunnelHost];
    const [a, b] = containers as [TestContainer, TestContainer];
    const got = await listen(a.netns, 5000);
    const forged = (text: string) => forgedPacket(VNI, a, b.ipv4, 5000, text);
    const senders = { stranger, program: two.netns, "own program": one.netns, neighbour: b.netns, itself: a.netns };
    const nodes = { ports: [4789], addresses: [1, 2, 3].map((number) => lan.addressOf(number)) };
    // All would be believed if the rules were not.
    for (const { firewall } of hosts) firewall.setNodes({ ports: [], addresses: [] });
    for (const [name, from] of Object.entries(senders)) {
      await until(`${name} is believed`, () => send(from, one.address, 4789, forged(name)) && got.includes(name));
    }
    for (const { firewall } of hosts) firewall.setNodes(nodes);
    for (const [name, from] of Object.entries(senders)) {
      expect(send(from, one.address, 4789, forged(`forged by ${name}`))).toBe(!name.endsWith("program"));
    }
    // The rules stay when the table is put back.
    await one.netns.output("nft", "flush", "ruleset");
    expect(one.firewall.isWhole()).toBe(false);
    one.firewall.restore();
    expect(one.firewall.isWhole()).toBe(true);
    send(stranger, one.address, 4789, forged("forged by stranger"));
    // By now they would be there: this one takes the same way.
    send(b.netns, a.ipv4, 5000, new TextEncoder().encode("neighbour, as itself"));
    await until("the last", () => got.includes("neighbour, as itself"));
    expect(got.filter((text) => text.startsWith("forged"))).toEqual([]);
    // Somebody else's port is nobody's business of ours.
    const other = await listen(one.netns, 4790);
    send(stranger, "192.0.2.1", 4790, forged("theirs"));
    await until("it comes", () => other.length > 0);
  });

  test("garbage in a node's packets does no harm", async () => {
    const [one, two] = hosts as [TunnelHost, TunnelHost];
    const [a, b] = containers as [TestContainer, TestContainer];
    for (const { firewall } of hosts) firewall.setNodes({ ports: [], addresses: [] });
    for (let round = 0; round < 500; round++) {
      const bytes = crypto.getRandomValues(new Uint8Array(round % 100));
      // every other one with the right header
      if (round % 2 === 0 && bytes.length >= 8) bytes.set([8, 0, 0, 0, VNI >> 16, VNI >> 8, VNI, 0]);
      send(two.netns, one.address, 4789, bytes);
    }
    for (const { firewall } of hosts) {
      firewall.setNodes({ ports: [4789], addresses: [1, 2, 3].map((number) => lan.addressOf(number)) });
    }
    expect(await ask(a.netns, b.ipv4, 80)).toBe(`c12 ${a.ipv4}`);
    expect(await ask(b.netns, a.ipv6, 80)).toBe(`c11 ${b.ipv6}`);
  });

  test("what is no peer is refused before anything is changed", () => {
    const host = hosts[0]!;
    const before = host.entries();
    const good = { mac: "02:00:00:00:00:10", ipv4: "10.1.9.10", ipv6: null, host: hosts[1]!.address };
    for (const bad of [
      { mac: "00:00:00:00:00:00" },
      { mac: "ff:ff:ff:ff:ff:ff" },
      { mac: "01:00:5e:00:00:01" },
      { mac: "02:00" },
      { ipv4: "10.1.9" },
      { ipv6: "x" },
      { host: "" },
    ]) {
      expect(() => host.tunnels.putPeer(network, { ...good, ...bad })).toThrow(TypeError);
      expect(() => host.tunnels.setPeers(network, [good, { ...good, ...bad }])).toThrow(TypeError);
    }
    // Tunnels of the other family: the kernel's word, and the others are as they should be.
    const other = { ...good, host: family === 4 ? "2001:db8::2" : "192.0.2.2" };
    expect(() => host.tunnels.setPeers(network, [other, ...peersOf(host)])).toThrow(
      expect.objectContaining({ code: "network_failed", message: expect.stringContaining("peers of network overlay-a: ") }),
    );
    host.tunnels.setPeers(network, peersOf(host));
    expect(host.entries()).toEqual(before);
  });
});
