/** What the firewall lets through and what it does not, with real packets between network namespaces. Needs root. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { addRoute } from "../../src/sys/index.ts";
import { ask, type Netns, tryTcp, tryUdp } from "../kit/netns.ts";
import { bridgeNetfilterExists, FirewallHost, networks, port } from "./firewall-host.ts";

describe.each(bridgeNetfilterExists ? [false, true] : [false])("br_netfilter: %p", (bridgeNetfilter) => {
  let made: FirewallHost;
  let host: Netns;
  let outside: Netns;
  const container = (name: string): Netns => made.container(name);

  beforeAll(async () => {
    made = await FirewallHost.make(bridgeNetfilter);
    ({ host, outside } = made);
    made.firewall.ensure(Object.values(networks), [
      port(8080),
      port(8080, { hostIp: "::" }),
      port(8080, { protocol: "udp" }),
      port(8080, { protocol: "udp", hostIp: "::" }),
      port(8081, { hostIp: "192.0.2.3" }),
      port(8081, { hostIp: "2001:db8::3" }),
      port(8082, { hostIp: "127.0.0.1" }),
      port(8083, { containerIp: "172.21.0.11", interface: "nb" }),
      port(8084, { containerIp: "172.23.0.11", interface: "nx" }),
    ]);
  });
  afterAll(() => made?.close());

  /** Several questions at once: silence takes its time. */
  const all = (...questions: Promise<string>[]): Promise<string[]> => Promise.all(questions);

  describe("from outside", () => {
    test("a published port leads to the container, which sees who asks", async () => {
      expect(await ask(outside, "192.0.2.1", 8080)).toBe("a1 192.0.2.2");
      expect(await ask(outside, "192.0.2.3", 8080)).toBe("a1 192.0.2.2");
      expect(await ask(outside, "2001:db8::1", 8080)).toBe("a1 2001:db8::2");
      expect(await ask(outside, "192.0.2.1", 8080, tryUdp)).toBe("a1 192.0.2.2");
      expect(await ask(outside, "2001:db8::1", 8080, tryUdp)).toBe("a1 2001:db8::2");
      expect(await ask(outside, "192.0.2.1", 8083)).toBe("b1 192.0.2.2");
      expect(await ask(outside, "192.0.2.1", 8084)).toBe("x1 192.0.2.2");
    });

    test("one published on an address is published there alone", async () => {
      expect(await ask(outside, "192.0.2.3", 8081)).toBe("a1 192.0.2.2");
      expect(await ask(outside, "2001:db8::3", 8081)).toBe("a1 2001:db8::2");
      expect(
        await all(
          tryTcp(outside, "192.0.2.1", 8081),
          tryTcp(outside, "2001:db8::1", 8081),
          tryTcp(outside, "192.0.2.1", 8082),
          tryUdp(outside, "192.0.2.1", 8081),
        ),
      ).toEqual(["refused", "refused", "refused", "refused"]);
    });

    test("the host's own ports are as they were", async () => {
      expect(await ask(outside, "192.0.2.1", 9000)).toBe("host 192.0.2.2");
      expect(await ask(outside, "2001:db8::1", 9000)).toBe("host 2001:db8::2");
    });

    test("containers are not reached past their published ports", async () => {
      // there is a way, and what is published is not reached by it either
      const addresses = ["172.20.0.11", "172.21.0.11", "172.22.0.11", "172.23.0.11", "fd00:20::11", "fd00:21::11", "fd00:22::11"];
      const answers = await all(
        ...addresses.flatMap((ip) => [tryTcp(outside, ip, 80), tryTcp(outside, ip, 81), tryUdp(outside, ip, 80)]),
      );
      expect(new Set(answers)).toEqual(new Set(["silence"]));
      for (const ip of addresses) expect(await ask(host, ip, 80)).toStartWith(`${"abix"[addresses.indexOf(ip) % 4]}1 `);
    });

    test("127.0.0.1 is not reached by routing it to the host", async () => {
      const lan = outside.net.requireLink("eth0").index;
      outside.sysctl("ipv4/conf/all/route_localnet", 1);
      await outside.output("ip", "address", "del", "127.0.0.1/8", "dev", "lo");
      outside.net.batch([addRoute({ to: "127.0.0.0/8", gateway: "192.0.2.1", index: lan })]);
      expect(
        await all(tryTcp(outside, "127.0.0.1", 8082), tryTcp(outside, "127.0.0.1", 8080), tryTcp(outside, "127.0.0.1", 9100)),
      ).toEqual(["silence", "silence", "silence"]);
    });
  });

  describe("from the host", () => {
    test("by 127.0.0.1 and by its own addresses; the container sees the bridge's address", async () => {
      expect(await ask(host, "127.0.0.1", 8080)).toBe("a1 172.20.0.1");
      expect(await ask(host, "127.0.0.1", 8082)).toBe("a1 172.20.0.1");
      expect(await ask(host, "127.0.0.1", 8083)).toBe("b1 172.21.0.1");
      expect(await ask(host, "192.0.2.1", 8080)).toBe("a1 172.20.0.1");
      expect(await ask(host, "172.20.0.1", 8080)).toBe("a1 172.20.0.1");
      expect(await ask(host, "2001:db8::1", 8080)).toBe("a1 fd00:20::1");
      expect(await ask(host, "127.0.0.1", 8080, tryUdp)).toBe("a1 172.20.0.1");
      expect(await ask(host, "2001:db8::1", 8080, tryUdp)).toBe("a1 fd00:20::1");
    });

    test("by ::1, without br_netfilter; the host's own services there are as they were", async () => {
      expect(await ask(host, "::1", 9000)).toBe("host ::1");
      expect(await tryTcp(host, "::1", 9001)).toBe("refused");
      if (bridgeNetfilter) {
        // at once, so that clients go on to 127.0.0.1
        expect(await all(tryTcp(host, "::1", 8080), tryUdp(host, "::1", 8080))).toEqual(["refused", "refused"]);
        return;
      }
      expect(await ask(host, "::1", 8080)).toBe("a1 fd00:20::1");
      expect(await ask(host, "::1", 8080, tryUdp)).toBe("a1 fd00:20::1");
      // by nobody else
      await container("a2").output("ip", "address", "del", "::1/128", "dev", "lo");
      container("a2").net.addRoute({ to: "::1/128", gateway: "fd00:20::1" });
      expect(await all(tryTcp(container("a2"), "::1", 8080), tryTcp(container("a2"), "::1", 9000))).toEqual([
        "silence",
        "silence",
      ]);
    });

    test("by container address, published or not, internal or not", async () => {
      expect(await ask(host, "172.20.0.11", 81)).toBe("a1 172.20.0.1");
      expect(await ask(host, "172.22.0.11", 81)).toBe("i1 172.22.0.1");
      expect(await ask(host, "fd00:22::11", 81)).toBe("i1 fd00:22::1");
    });

    test("curl and nc say the same", async () => {
      expect((await host.run("nc", "-w", "1", "127.0.0.1", "8080")).stdout).toBe("a1 172.20.0.1\n");
      const http = await host.run("curl", "-sS", "--http0.9", "-m", "1", "http://127.0.0.1:8080/");
      expect(http.stdout).toStartWith("a1 172.20.0.1\nGET / HTTP/1.1");
    });

    test("what is published on one address is refused on another", async () => {
      expect(await all(tryTcp(host, "127.0.0.1", 8081), tryTcp(host, "192.0.2.1", 8082), tryTcp(host, "::1", 8081))).toEqual([
        "refused",
        "refused",
        "refused",
      ]);
    });
  });

  describe("from a container", () => {
    test("its own published port, a neighbour's, and another network's, by any address of the host", async () => {
      for (const ip of ["192.0.2.1", "172.20.0.1", "172.21.0.1"]) {
        expect(await ask(container("a1"), ip, 8080)).toBe("a1 172.20.0.1");
        expect(await ask(container("a2"), ip, 8080)).toBe("a1 172.20.0.1");
        expect(await ask(container("b1"), ip, 8080)).toBe("a1 172.20.0.1");
      }
      for (const from of ["a1", "a2", "b1"]) {
        expect(await ask(container(from), "2001:db8::1", 8080)).toBe("a1 fd00:20::1");
        expect(await ask(container(from), "192.0.2.1", 8080, tryUdp)).toBe("a1 172.20.0.1");
        expect(await ask(container(from), "2001:db8::1", 8080, tryUdp)).toBe("a1 fd00:20::1");
      }
      for (const from of ["x1", "x2"]) {
        // With br_netfilter the frame stays on the bridge, whose ports are isolated.
        if (bridgeNetfilter) expect(await tryTcp(container(from), "192.0.2.1", 8084)).toBe("silence");
        else expect(await ask(container(from), "192.0.2.1", 8084)).toBe("x1 172.23.0.1");
      }
    });

    test("a neighbour, but no other network", async () => {
      expect(await ask(container("a2"), "172.20.0.11", 81)).toBe("a1 172.20.0.12");
      expect(await ask(container("a2"), "fd00:20::11", 81)).toBe("a1 fd00:20::12");
      const others = ["172.21.0.11", "172.22.0.11", "172.23.0.11", "fd00:21::11", "fd00:22::11", "fd00:23::11"];
      const answers = await all(...others.flatMap((ip) => [tryTcp(container("a1"), ip, 80), tryUdp(container("a1"), ip, 80)]));
      expect(new Set(answers)).toEqual(new Set(["silence"]));
    });

    test("the world, with the host's address where the network is masqueraded", async () => {
      expect(await ask(container("a1"), "192.0.2.2", 80)).toBe("outside 192.0.2.1");
      expect(await ask(container("a1"), "2001:db8::2", 80)).toMatch(/^outside 2001:db8::[13]$/);
      expect(await ask(container("a1"), "192.0.2.2", 80, tryUdp)).toBe("outside 192.0.2.1");
      expect(await ask(container("b1"), "192.0.2.2", 80)).toBe("outside 172.21.0.11");
      expect(await ask(container("b1"), "2001:db8::2", 80)).toBe("outside fd00:21::11");
    });

    test("the host's services, but not those on 127.0.0.1", async () => {
      expect(await ask(container("a1"), "172.20.0.1", 9000)).toBe("host 172.20.0.11");
      expect(await ask(container("a1"), "192.0.2.1", 9000)).toBe("host 172.20.0.11");
      const a2 = container("a2");
      a2.sysctl("ipv4/conf/all/route_localnet", 1);
      await a2.output("ip", "address", "del", "127.0.0.1/8", "dev", "lo");
      a2.route("127.0.0.0/8", "172.20.0.1");
      expect(await all(tryTcp(a2, "127.0.0.1", 9100), tryTcp(a2, "127.0.0.1", 8080), tryTcp(a2, "127.0.0.1", 8082))).toEqual([
        "silence",
        "silence",
        "silence",
      ]);
      // It is the guard that keeps it out, nothing else.
      await host.output("nft", "flush", "chain", "inet", "onggi_0a1b2c3d", "guard");
      expect(await ask(a2, "127.0.0.1", 9100)).toBe("host 172.20.0.12");
      made.firewall.restore();
      expect(await tryTcp(a2, "127.0.0.1", 9100)).toBe("silence");
    });
  });

  test("an internal network: its members and its own addresses of the host, nothing else", async () => {
    const i1 = container("i1");
    expect(await ask(i1, "172.22.0.12", 80)).toBe("i2 172.22.0.11");
    expect(await ask(i1, "172.22.0.1", 9000)).toBe("host 172.22.0.11");
    expect(await ask(i1, "fd00:22::1", 9000)).toBe("host fd00:22::11");
    const refused = [
      "192.0.2.2",
      "2001:db8::2",
      "192.0.2.1",
      "2001:db8::1",
      "172.20.0.1",
      "fd00:20::1",
      "172.20.0.11",
      "fd00:20::11",
    ];
    expect(new Set(await all(...refused.flatMap((ip) => [tryTcp(i1, ip, 80), tryTcp(i1, ip, 9000)])))).toEqual(
      new Set(["silence"]),
    );
    // and nothing that is sent to all
    const received = await host.inside(() => {
      const { promise, resolve } = Promise.withResolvers<string[]>();
      const heard: string[] = [];
      const socket = Bun.udpSocket({
        hostname: "0.0.0.0",
        port: 9001,
        socket: {
          data(_, bytes) {
            heard.push(`${bytes}`);
            if (`${bytes}` === "unicast") resolve(heard);
          },
        },
      });
      void socket.then((one) => host.keep(one));
      return { promise, socket };
    });
    await received.socket;
    const sender = await i1.inside(() => Bun.udpSocket({ hostname: "0.0.0.0" }));
    sender.setBroadcast(true);
    sender.send("broadcast", 9001, "172.22.0.255");
    for (let tries = 0; tries < 50; tries++) {
      sender.send("unicast", 9001, "172.22.0.1");
      if ((await Promise.race([received.promise, Bun.sleep(100)])) !== undefined) break;
    }
    sender.close();
    expect(await received.promise).toEqual(["unicast"]);
    // published ports of others neither, by no address of the host
    const ports = [tryTcp(i1, "172.22.0.1", 8080), tryTcp(i1, "192.0.2.1", 8080), tryUdp(i1, "172.22.0.1", 8080)];
    expect(new Set(await all(...ports, tryTcp(i1, "fd00:22::1", 8080)))).toEqual(new Set(["silence"]));
  });

  test("without icc neighbours do not reach each other by way of the host", async () => {
    // x1 and x2 are each told that the other is behind the gateway, as with isolated ports of a bridge and proxy ARP; so are a1 and a2.
    for (const [letter, second] of [
      ["a", 20],
      ["x", 23],
    ] as const) {
      for (const [from, to] of [
        [1, 2],
        [2, 1],
      ]) {
        container(`${letter}${from}`).route(`172.${second}.0.1${to}/32`, `172.${second}.0.1`);
        container(`${letter}${from}`).sysctl("ipv4/conf/all/accept_redirects", 0);
      }
    }
    expect(await ask(container("a1"), "172.20.0.12", 81)).toBe("a2 172.20.0.11");
    expect(await all(tryTcp(container("x1"), "172.23.0.12", 80), tryUdp(container("x2"), "172.23.0.11", 80))).toEqual([
      "silence",
      "silence",
    ]);
    expect(await ask(container("x1"), "192.0.2.2", 80)).toBe("outside 192.0.2.1");
  });
});
