/** Tunnels of overlay networks between hosts that are network namespaces, with real traffic. Needs root; no etcd. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { peerLines, tunnelLines } from "../../src/networks/overlay/explain.ts";
import { type Peer, Tunnels } from "../../src/networks/overlay/tunnel.ts";
import {
  bindSocket,
  close,
  connectSocket,
  parseIp,
  parseMac,
  SOCK,
  sendFrames,
  setSocketOption,
  socketAddress,
  sys,
  sysRaw,
} from "../../src/sys/index.ts";
import { slowness } from "../kit/command.ts";
import { ask, Netns, serve, tryTcp } from "../kit/netns.ts";
import { seededRandom } from "../kit/random.ts";
import { refusal, until } from "./networks-host.ts";
import { listen, overlayNetwork, Sniffer, TAG, type TestContainer, TunnelField, TunnelHost, VNI } from "./tunnel-hosts.ts";

const isRoot = process.geteuid?.() === 0;

describe.skipIf(!isRoot).each([4, 6] as const)("tunnels over IPv%d", (family) => {
  let field: TunnelField;
  const network = overlayNetwork(family);
  let { lan, hosts, containers } = {} as TunnelField;
  const peersOf = (host: TunnelHost): Peer[] => field.peersOf(host);

  beforeAll(() => {
    field = new TunnelField(family);
    ({ lan, hosts, containers } = field);
  });
  afterAll(() => field.close());

  test("containers of all hosts reach each other over IPv4 and IPv6, and see who calls", async () => {
    for (const from of containers) {
      for (const to of containers) {
        expect(await ask(from.netns, to.ipv4, 80)).toBe(`${to.netns.name} ${from.ipv4}`);
        expect(await ask(from.netns, to.ipv6, 80)).toBe(`${to.netns.name} ${from.ipv6}`);
      }
      expect(
        from.netns.net
          .neighbourList()
          .filter(({ ip }) => containers.some(({ ipv4, ipv6 }) => from.ipv6 !== ip && (ip === ipv4 || ip === ipv6)))
          .map(({ ip, mac }) => [ip, mac])
          .sort(),
      ).toEqual(
        containers
          .filter((other) => other !== from)
          .flatMap(({ mac, ipv4, ipv6 }) => [
            [ipv4, mac],
            [ipv6, mac],
          ])
          .sort(),
      );
    }
  });

  test("each container's gateway is its own host", async () => {
    for (const [index, { netns, ipv4, ipv6 }] of containers.entries()) {
      serve(hosts[index]!.netns, 81);
      expect(await ask(netns, "10.1.0.1", 81)).toBe(`host${index + 1} ${ipv4}`);
      expect(await ask(netns, "fd00:1::1", 81)).toBe(`host${index + 1} ${ipv6}`);
      expect(await ask(hosts[index]!.netns, ipv4, 80)).toBe(`c${11 + index} 10.1.0.1`);
    }
  });

  test("nothing is flooded: what leaves a host is for a peer", async () => {
    using sniffer = new Sniffer(lan);
    const [a, b] = containers as [TestContainer, TestContainer];
    sniffer.take();
    // nobody's addresses, from a container and from a host
    for (const from of [a.netns, hosts[0]!.netns]) {
      expect(["silence", "refused"]).toContain(await tryTcp(from, "10.1.0.99", 80, 100));
      expect(["silence", "refused"]).toContain(await tryTcp(from, "fd00:1::99", 80, 100));
    }
    // for all, for groups, and for a hardware address that nobody has
    const { index } = a.netns.net.requireLink("eth0");
    for (const to of [
      [255, 255, 255, 255, 255, 255],
      [0x01, 0, 0x5e, 0, 0, 1],
      [0x33, 0x33, 0, 0, 0, 1],
      [2, 0, 0, 0, 0, 99],
    ]) {
      const frame = new Uint8Array(60);
      frame.set([...to, ...parseMac(a.mac), 0x88, 0xb5]);
      a.netns.inside(() => sendFrames(index, [frame]));
      hosts[0]!.netns.inside(() => sendFrames(hosts[0]!.bridge, [frame]));
    }
    expect(await ask(a.netns, b.ipv4, 80)).toBe(`c12 ${a.ipv4}`);
    expect(await ask(a.netns, b.ipv6, 80)).toBe(`c12 ${a.ipv6}`);
    const seen = sniffer.take();
    expect(seen.length).toBeGreaterThan(6);
    expect([...new Set(seen.map(({ to }) => to))].sort()).toEqual([a.mac, b.mac]);
    expect(new Set(seen.map(({ vni }) => vni))).toEqual(new Set([VNI]));
  });

  test("what fits the network's MTU passes, in whole packets", async () => {
    const [a, b] = containers as [TestContainer, TestContainer];
    const fds = [
      b.netns.inside(() => bindSocket(socketAddress(parseIp("0.0.0.0"), 4000), SOCK.SOCK_DGRAM)),
      a.netns.inside(() => connectSocket(socketAddress(parseIp(b.ipv4), 4000), SOCK.SOCK_DGRAM)),
    ] as const;
    using sniffer = new Sniffer(lan);
    // IP_MTU_DISCOVER: IP_PMTUDISC_DO
    setSocketOption(fds[1], 0, 10, 2);
    const payload = network.mtu - 28;
    expect(() => sys("sendto", undefined, fds[1], new Uint8Array(payload + 1), payload + 1, 0, null, 0)).toThrow("EMSGSIZE");
    const buffer = new Uint8Array(2000);
    sys("sendto", undefined, fds[1], new Uint8Array(payload), payload, 0, null, 0);
    let length = -1;
    await until("it is there", () => {
      length = sysRaw("recvfrom", fds[0], buffer, buffer.length, 0, null, null);
      return length >= 0;
    });
    expect(length).toBe(payload);
    for (const fd of fds) close(fd);
    const seen = sniffer.take();
    expect(Math.max(...seen.map((one) => one.length))).toBe(1500);
    expect(seen.every(({ isFragment }) => !isFragment)).toBe(true);
  });

  test("streams of many full packets arrive as they were sent", async () => {
    const [a, , c] = containers as [TestContainer, TestContainer, TestContainer];
    const whole = new Uint8Array(8 << 20).map((_, index) => (index * 31) >> 5);
    const digest = new Bun.CryptoHasher("sha256").update(whole).digest("hex");
    for (const [index, hostname] of [c.ipv4, c.ipv6].entries()) {
      const { promise, resolve, reject } = Promise.withResolvers<string>();
      const port = 8000 + index;
      const hasher = new Bun.CryptoHasher("sha256");
      c.netns.keep(
        c.netns.inside(() =>
          Bun.listen({
            hostname,
            port,
            socket: { data: (_, bytes) => void hasher.update(bytes), close: () => resolve(hasher.digest("hex")) },
          }),
        ),
      );
      let sent = 0;
      const push = (socket: { write(bytes: Uint8Array): number; end(): void }): void => {
        for (let wrote = 1; wrote > 0 && sent < whole.length; sent += Math.max(wrote, 0))
          wrote = socket.write(whole.subarray(sent));
        if (sent === whole.length) socket.end();
      };
      a.netns
        .inside(() =>
          Bun.connect({
            hostname,
            port,
            socket: { open: push, drain: push, data() {}, connectError: (_, error) => reject(error) },
          }),
        )
        .catch(reject);
      expect(await promise).toBe(digest);
    }
  });

  test("a container that starts elsewhere with the same addresses is found at once", async () => {
    const [one, two, three] = hosts as [TunnelHost, TunnelHost, TunnelHost];
    const [a, , c] = containers as [TestContainer, TestContainer, TestContainer];
    let old = two.start(20, "first");
    serve(old.netns, 80);
    for (const host of [one, three]) host.tunnels.putPeer(network, two.peerOf(old));
    for (const from of [a, c]) expect(await ask(from.netns, old.ipv4, 80)).toBe(`first ${from.ipv4}`);
    for (const [from, to, name] of [
      [two, three, "second"],
      [three, two, "third"],
    ] as const) {
      from.stop(old);
      const moved = to.start(20, name);
      serve(moved.netns, 80);
      one.tunnels.putPeer(network, to.peerOf(moved));
      from.tunnels.putPeer(network, to.peerOf(moved));
      to.tunnels.removePeer(network, from.peerOf(old));
      // What comes late changes nothing.
      one.tunnels.removePeer(network, from.peerOf(old));
      for (const caller of containers) {
        expect(await ask(caller.netns, moved.ipv4, 80)).toBe(`${name} ${caller.ipv4}`);
        expect(await ask(caller.netns, moved.ipv6, 80)).toBe(`${name} ${caller.ipv6}`);
      }
      expect(to.entries().filter((entry) => entry.includes(moved.mac))).toEqual([]);
      old = moved;
    }
    for (const host of [one, three]) host.tunnels.removePeer(network, two.peerOf(old));
    two.stop(old);
    expect(one.entries().filter((entry) => entry.includes(old.mac))).toEqual([]);
    expect(await tryTcp(a.netns, old.ipv4, 80)).toBe("silence");
  });

  test("a container that sends with a peer's hardware address gets none of its frames", async () => {
    const [a, b] = containers as [TestContainer, TestContainer];
    const thief = hosts[0]!.start(30, "thief");
    const frame = new Uint8Array(60).fill(255, 0, 6);
    frame.set([...parseMac(b.mac), 0x88, 0xb5], 6);
    const { index } = thief.netns.net.requireLink("eth0");
    thief.netns.inside(() => sendFrames(index, [frame, frame]));
    expect(await ask(a.netns, b.ipv4, 80)).toBe(`c12 ${a.ipv4}`);
    expect(hosts[0]!.entries()).toContain(`master ${b.mac} static sticky`);
    hosts[0]!.stop(thief);
  });

  test("addresses that go from one peer to another", () => {
    const host = hosts[0]!;
    const before = host.entries();
    const peer = (last: number, changes: Partial<Peer> = {}): Peer => ({
      mac: `02:00:00:00:00:${last}`,
      ipv4: `10.1.9.${last}`,
      ipv6: null,
      host: hosts[1]!.address,
      ...changes,
    });
    const put = (one: Peer): void => host.tunnels.putPeer(network, one);
    const told = (): string[] => host.entries().filter((entry) => !before.includes(entry));
    const neighbours = (): string[] => told().filter((entry) => entry.startsWith("neighbour"));
    put(peer(10));
    put(peer(11, { ipv6: "fd00:1::9:11" }));
    expect(told()).toHaveLength(7);
    put(peer(11, { ipv4: "10.1.9.10" }));
    expect(neighbours()).toEqual(["neighbour 10.1.9.10 02:00:00:00:00:11"]);
    host.tunnels.removePeer(network, peer(10));
    expect(neighbours()).toEqual(["neighbour 10.1.9.10 02:00:00:00:00:11"]);
    put(peer(11, { ipv4: "10.1.9.10", ipv6: "FD00:1:0::9:12", mac: "02:00:00:00:00:11" }));
    const now = told();
    host.tunnels.setPeers(network, [...peersOf(host), peer(11), peer(11, { ipv4: "10.1.9.10", ipv6: "fd00:1::9:12" })]);
    expect(told()).toEqual(now);
    host.tunnels.removePeer(network, peer(11));
    host.tunnels.removePeer(network, peer(11));
    expect(host.entries()).toEqual(before);
  });

  test("whoever comes, moves and goes, the kernel has what a new engine would make it", () => {
    const host = hosts[0]!;
    const before = host.entries();
    const random = seededRandom("peers");
    const pick = (count: number): number => Math.floor(random() * count);
    const some = (): Peer => ({
      mac: `02:00:00:00:01:0${pick(6)}`,
      ipv4: pick(4) === 0 ? null : `10.1.8.${pick(6)}`,
      ipv6: pick(4) === 0 ? null : `fd00:1::8:${pick(6)}`,
      host: hosts[1 + pick(2)]!.address,
    });
    // What is to be: the last that was put of each hardware address, in the order of their coming.
    let wanted: Peer[] = [];
    for (let round = 0; round < 300; round++) {
      const peer = some();
      if (pick(3) === 0) {
        host.tunnels.removePeer(network, peer);
        wanted = wanted.filter(({ mac, host: at }) => mac !== peer.mac || at !== peer.host);
      } else {
        host.tunnels.putPeer(network, peer);
        wanted = [...wanted.filter(({ mac }) => mac !== peer.mac), peer];
      }
      if (round % 10 !== 9) continue;
      const found = host.entries();
      const owners = new Map(
        wanted.flatMap(({ mac, ipv4, ipv6 }) => [ipv4, ipv6].flatMap((ip) => (ip === null ? [] : [[ip, mac] as const]))),
      );
      for (const entry of found.filter((one) => one.startsWith("neighbour") && !before.includes(one))) {
        const [, ip, mac] = entry.split(" ") as [string, string, string];
        expect([ip, mac]).toEqual([ip, owners.get(ip) ?? "nobody's"]);
      }
      const hostsOf = wanted.map((one) => `self ${one.mac} ${one.host} permanent`);
      expect(found.filter((one) => one.startsWith("self") && !before.includes(one))).toEqual(hostsOf.sort());
      // What a new engine is told of is what each peer has by now.
      const later = new Tunnels(host.netns.net, TAG);
      host.netns.inside(() => later.ensure(network, host.bridge, host.tunnel));
      const have = new Set(found);
      const has = (ip: string | null, mac: string): string | null =>
        ip !== null && have.has(`neighbour ${ip} ${mac}`) ? ip : null;
      later.setPeers(network, [
        ...peersOf(host),
        ...wanted.map((one) => ({ ...one, ipv4: has(one.ipv4, one.mac), ipv6: has(one.ipv6, one.mac) })),
      ]);
      expect(host.entries()).toEqual(found);
    }
    host.tunnels.setPeers(network, peersOf(host));
    expect(host.entries()).toEqual(before);
  });

  test("what others did is repaired by the difference", async () => {
    const [one] = hosts as [TunnelHost];
    const { netns, tunnels } = one;
    const [vxlan, bridge] = [`vx-${"a".repeat(12)}`, network.interface];
    const before = one.entries();
    expect(before).toHaveLength(8);
    const [, { mac, ipv4, ipv6 }] = containers as [TestContainer, TestContainer];
    const elsewhere = lan.addressOf(9);
    for (const damage of [
      ["ip", "neigh", "flush", "dev", bridge, "nud", "permanent"],
      ["ip", "neigh", "replace", ipv4, "lladdr", "02:00:00:00:00:01", "dev", bridge, "nud", "permanent"],
      ["ip", "neigh", "replace", ipv6, "lladdr", mac, "dev", bridge, "nud", "stale"],
      ["ip", "neigh", "add", "10.1.0.77", "lladdr", mac, "dev", bridge, "nud", "permanent"],
      ["bridge", "fdb", "replace", mac, "dev", vxlan, "dst", elsewhere, "self", "permanent"],
      ["bridge", "fdb", "append", "00:00:00:00:00:00", "dev", vxlan, "dst", elsewhere, "self", "permanent"],
      ["bridge", "fdb", "del", mac, "dev", vxlan, "self"],
      ["bridge", "fdb", "del", mac, "dev", vxlan, "master"],
      ["bridge", "fdb", "replace", mac, "dev", vxlan, "master", "static"],
      ["bridge", "fdb", "add", "02:00:00:00:00:02", "dev", vxlan, "master", "static"],
    ]) {
      await netns.output(...damage);
      expect([damage, one.entries()]).not.toEqual([damage, before]);
      tunnels.setPeers(network, peersOf(one));
      expect(one.entries()).toEqual(before);
    }
    // With the tunnel, or with the bridge, all of it is gone and comes again.
    await netns.output("ip", "link", "del", vxlan);
    one.ensure();
    expect(one.entries()).toEqual(before);
    await netns.output("ip", "link", "set", vxlan, "nomaster", "down");
    await netns.output("ip", "link", "set", vxlan, "mtu", "1280");
    one.ensure();
    tunnels.setPeers(network, peersOf(one));
    expect(one.entries()).toEqual(before);
    expect(netns.net.requireLink(vxlan).mtu).toBe(network.mtu);
    expect(await ask(containers[0]!.netns, ipv4, 80)).toBe(`c12 ${containers[0]!.ipv4}`);
    // A later engine knows of nothing, and finds what is there.
    const { index } = netns.net.requireLink(vxlan);
    const later = new Tunnels(netns.net, TAG);
    expect(await refusal(() => later.putPeer(network, hosts[1]!.peerOf(containers[1]!)))).toStartWith(
      "network_failed: network overlay-a has no tunnel",
    );
    expect(netns.inside(() => later.ensure(network, one.bridge, one.tunnel))).toBe(index);
    later.setPeers(network, peersOf(one));
    expect(one.entries()).toEqual(before);
  });

  test("thousands of peers", () => {
    const host = hosts[2]!;
    const before = host.entries();
    const hex = (index: number, byte: number): string => ((index >> (byte * 8)) & 255).toString(16).padStart(2, "0");
    const count = slowness > 1 ? 1000 : 10_000;
    const many = Array.from({ length: count }, (_, index) => ({
      mac: `02:01:00:00:${hex(index, 1)}:${hex(index, 0)}`,
      ipv4: `10.1.${100 + (index >> 8)}.${index & 255}`,
      ipv6: `fd00:1::100:${index.toString(16)}`,
      host: hosts[index & 1]!.address,
    }));
    for (const round of ["first", "again"]) {
      const start = Bun.nanoseconds();
      host.tunnels.setPeers(network, [...peersOf(host), ...many]);
      console.log(`${count} peers, ${round}: ${((Bun.nanoseconds() - start) / 1e6).toFixed(0)} ms`);
      expect(host.entries()).toHaveLength(before.length + count * 4);
    }
    host.tunnels.setPeers(network, peersOf(host));
    expect(host.entries()).toEqual(before);
  });

  test("a tunnel of other properties is made anew; what is another's is refused", async () => {
    const [one] = hosts as [TunnelHost];
    const { netns, tunnel } = one;
    const before = one.entries();
    const name = `vx-${"a".repeat(12)}`;
    for (const change of [{ vni: 99 }, { port: 4791 }, { local: family === 4 ? "192.0.2.111" : "2001:db8::111" }]) {
      netns.address("eth0", family === 4 ? "192.0.2.111/24" : "2001:db8::111/64");
      const changed = { ...tunnel, ...change };
      one.ensure(changed);
      expect(netns.net.vxlanByName(name)).toMatchObject({
        id: changed.vni,
        port: changed.port,
        local: changed.local,
        learning: false,
      });
      expect(one.entries()).toEqual(before);
      const { index } = netns.net.requireLink(name);
      expect(one.ensure(changed)).toBe(index);
      await netns.output("ip", "address", "del", family === 4 ? "192.0.2.111/24" : "2001:db8::111/64", "dev", "eth0");
    }
    one.ensure();
    expect(await ask(containers[0]!.netns, containers[1]!.ipv4, 80)).toBe(`c12 ${containers[0]!.ipv4}`);
    const others = new Tunnels(netns.net, "ffffffff");
    const second = overlayNetwork(family, "b");
    const ensure = (changes: object = {}, of = second) =>
      refusal(() => netns.inside(() => others.ensure(of, one.bridge, { ...tunnel, ...changes })));
    expect(await ensure()).toBe(
      `network_failed: the tunnel of network overlay-b cannot be made: VNI ${VNI} on UDP port 4789 is in use by interface ${name} ("onggi ${TAG} ${network.id}"): choose another VNI or another port`,
    );
    expect(await ensure({}, network)).toBe(
      `network_failed: interface ${name} of network overlay-a is another's (vxlan, "onggi ${TAG} ${network.id}"): rename or remove it`,
    );
    await listen(netns, 4800, family === 4 ? "0.0.0.0" : "::");
    expect(await ensure({ vni: 98, port: 4800 })).toBe(
      'network_failed: the tunnel of network overlay-b cannot be made: UDP port 4800 is in use by a program of this host; "ss -lunp" lists them',
    );
    netns.net.deleteLink({ name: `vx-${"b".repeat(12)}` });
  });

  test("without inter-container communication other hosts' containers are no more reached than this one's", async () => {
    const options = { "com.docker.network.bridge.enable_icc": "false" };
    const apart = { ...overlayNetwork(family, "c"), options };
    const others = [5, 6].map((number) => new TunnelHost(lan, number, apart));
    try {
      const [a, b] = others.map((host, index) => host.start(21 + index)) as [TestContainer, TestContainer];
      serve(b.netns, 80);
      for (const [index, host] of others.entries()) {
        const other = others[1 - index]!;
        host.tunnels.setPeers(apart, [other.peerOf(other.containers[0]!)]);
        serve(host.netns, 81);
      }
      expect(await ask(a.netns, "10.1.0.1", 81)).toBe(`host5 ${a.ipv4}`);
      expect(await tryTcp(a.netns, b.ipv4, 80)).toBe("silence");
      expect(await tryTcp(a.netns, b.ipv6, 80)).toBe("silence");
      expect(tunnelLines(apart, TAG, others[0]!.tunnel).join("\n")).toContain("neigh_suppress on isolated on");
      // It is this alone that keeps them apart.
      await others[0]!.netns.output("bridge", "link", "set", "dev", `vx-${"c".repeat(12)}`, "isolated", "off");
      await others[1]!.netns.output("bridge", "link", "set", "dev", `vx-${"c".repeat(12)}`, "isolated", "off");
      expect(await ask(a.netns, b.ipv4, 80)).toBe(`c22 ${a.ipv4}`);
      for (const host of others) host.ensure();
      expect(await tryTcp(a.netns, b.ipv4, 80)).toBe("silence");
    } finally {
      for (const host of others) host.close();
    }
  });

  test("what is explained makes what is made", async () => {
    const [one] = hosts as [TunnelHost];
    using other = new Netns("other");
    other.bridge(network.interface, "10.1.0.1/16", "fd00:1::1/64");
    other.net.createVeth({ name: "x" }, { name: "eth0" });
    other.address("eth0", `${one.address}/${family === 4 ? 24 : 64}`);
    const lines = [...tunnelLines(network, TAG, one.tunnel), ...peersOf(one).flatMap((peer) => peerLines(network, peer))];
    for (const line of lines) {
      const words = line.replace(/^sysctl /, "sysctl -q -w ").match(/"[^"]*"|\S+/g)!;
      await other.output(...words.map((word) => word.replaceAll('"', "")));
    }
    const name = `vx-${"a".repeat(12)}`;
    const shown = async (netns: Netns): Promise<string> =>
      JSON.stringify(
        JSON.parse(await netns.output("ip", "-d", "-j", "link", "show", "dev", name)),
        (key, value) =>
          /^(?:ifindex|address|port_|designated|root|bridge_id|no$|hold_timer|message_age|forward_delay|state|link_netnsid)/.test(
            key,
          )
            ? undefined
            : value,
        1,
      );
    expect(await shown(other)).toBe(await shown(one.netns));
    const view = Object.create(one, {
      netns: { value: other },
      bridge: { value: other.net.requireLink(network.interface).index },
    });
    expect(view.entries()).toEqual(one.entries());
  });

  test("strays are found, and a network's tunnel is removed with nothing left", async () => {
    const [, , three] = hosts as [TunnelHost, TunnelHost, TunnelHost];
    const name = `vx-${"a".repeat(12)}`;
    expect(three.kernel.strays(new Set(three.kernel.net.linkList().map((link) => link.name)), new Set()).sort()).toEqual(
      [network.interface, name].sort(),
    );
    expect(three.kernel.strays(new Set(three.kernel.net.linkList().map((link) => link.name)), new Set([network.id]))).toEqual([]);
    const others = new Tunnels(three.netns.net, "ffffffff");
    await three.netns.inside(() => others.remove(network));
    others.cut(network);
    expect(three.netns.net.requireLink(name).up).toBe(true);
    await three.netns.inside(() => three.tunnels.remove(network));
    await three.netns.inside(() => three.tunnels.remove(network));
    expect(three.netns.net.linkByName(name)).toBeNull();
    expect(await tryTcp(containers[0]!.netns, containers[2]!.ipv4, 80)).toBe("silence");
  });
});
