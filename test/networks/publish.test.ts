/** Claims on ports of the host. Needs root. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { ask, serve, serveUdp, tryTcp, tryUdp } from "../kit/netns.ts";
import { NetworksHost, publication, refusal } from "./networks-host.ts";

describe.skipIf(process.geteuid?.() !== 0)("published ports", () => {
  let host: NetworksHost;
  beforeAll(async () => {
    host = new NetworksHost();
    await host.networks.reconcile([]);
    await host.networks.create({ name: "six", ipv6: true });
  });
  afterAll(() => host.close());

  const attach = (ports: Parameters<typeof host.start>[1], network = "six") => refusal(() => host.start([network], ports));

  test("the host answers on all its addresses, by both families and protocols", async () => {
    host.netns.net.createBridge({ name: "lan0", up: true });
    host.netns.address("lan0", "192.0.2.7/24");
    host.netns.address("lan0", "2001:db8::7/64");
    const a = await host.start(
      ["six"],
      [
        publication(80, 8080),
        publication(80, 8080, { hostIp: "::" }),
        publication(53, 5300, { protocol: "udp", hostIp: "192.0.2.7" }),
        publication(81, 8081, { protocol: "sctp" }),
      ],
      "a",
    );
    serve(a.netns, 80);
    await serveUdp(a.netns, 53);
    for (const ip of ["127.0.0.1", "192.0.2.7", "2001:db8::7"]) expect(await ask(host.netns, ip, 8080)).toStartWith("a ");
    expect(await ask(host.netns, "192.0.2.7", 5300, tryUdp)).toStartWith("a ");
    expect(host.networks.publishedBy(a.id).map(({ hostIp, hostPort, protocol }) => `${hostIp} ${hostPort} ${protocol}`)).toEqual([
      "0.0.0.0 8080 tcp",
      ":: 8080 tcp",
      "192.0.2.7 5300 udp",
      "0.0.0.0 8081 sctp",
    ]);
    await host.networks.detach(a.id);
    expect(await tryTcp(host.netns, "192.0.2.7", 8080)).toBe("refused");
    expect(await attach([publication(80, 8080), publication(81, 8081, { protocol: "sctp" })])).toBe("nothing was refused");
  });

  test("a container reaches its own published port, and those of its neighbours, by the host's address", async () => {
    for (const frames of ["1", "0"]) {
      host.netns.sysctl("bridge/bridge-nf-call-iptables", frames);
      host.netns.sysctl("bridge/bridge-nf-call-ip6tables", frames);
      const network = `loop${frames}`;
      await host.networks.create({ name: network });
      const a = await host.start([network], [publication(80, 8070)], "a");
      const b = await host.start([network], [], "b");
      serve(a.netns, 80);
      expect(await ask(a.netns, "192.0.2.7", 8070)).toStartWith("a ");
      expect(await ask(b.netns, "192.0.2.7", 8070)).toStartWith("a ");
      await host.networks.forget(a.id);
    }
  });

  test("a port has one owner, and the refusal says who", async () => {
    const a = await host.start(["six"], [publication(80, 8090, { hostPortEnd: 8090 })]);
    const id = a.id.slice(0, 12);
    expect(await attach([publication(81, 8090)])).toBe(
      `port_in_use: port 0.0.0.0:8090/tcp is published by container ${id}: choose another, or stop that container`,
    );
    expect(await attach([publication(81, 8090, { hostIp: "127.0.0.1" })])).toBe(
      `port_in_use: port 127.0.0.1:8090/tcp is published by container ${id} on 0.0.0.0: choose another, or stop that container`,
    );
    expect(await attach([publication(81, 8090, { protocol: "udp" })])).toBe("nothing was refused");
    expect(await attach([publication(81, 8090, { hostIp: "::" })])).toBe("nothing was refused");
    expect(await attach([publication(81, 8091, { hostIp: "127.0.0.1" }), publication(81, 8091, { hostIp: "192.0.2.7" })])).toBe(
      "nothing was refused",
    );
    serve(host.netns, 8092, "127.0.0.1");
    expect(await attach([publication(80, 8092)])).toMatch(
      new RegExp(
        `^port_in_use: port 0.0.0.0:8092/tcp is in use on the host by \\S+ \\(process ${process.pid}\\): choose another`,
      ),
    );
    expect(await attach([publication(80, 8093, { hostIp: "192.0.2.99" })])).toStartWith(
      "port_invalid: port 192.0.2.99:8093/tcp: this host has no address 192.0.2.99",
    );
    expect(await refusal(() => Bun.listen({ hostname: "127.0.0.1", port: 8090, socket: { data() {} } }))).toContain("EADDRINUSE");
  });

  test("connections that a server of the host left behind do not keep its port", async () => {
    // The one who closes first keeps the port for a minute.
    const server = Bun.listen({
      hostname: "127.0.0.1",
      port: 8094,
      socket: { open: (socket) => void socket.end("bye\n"), data() {} },
    });
    expect(await tryTcp(host.netns, "127.0.0.1", 8094, 5000)).toBe("bye");
    server.stop(true);
    expect(await attach([publication(80, 8094)])).toBe("nothing was refused");
    expect(await attach([publication(80, 8094)])).toStartWith("port_in_use");
  });

  test("a range gives the first free port; random ones walk on", async () => {
    const range = publication(80, 8100, { hostPortEnd: 8102 });
    const ports = async (count: number): Promise<number[]> => {
      const found = [];
      for (let index = 0; index < count; index++) {
        const { id } = await host.start(["six"], [range]);
        found.push(host.networks.publishedBy(id)[0]!.hostPort);
      }
      return found;
    };
    serve(host.netns, 8101, "0.0.0.0");
    expect(await ports(2)).toEqual([8100, 8102]);
    expect(await attach([range])).toBe(
      "port_in_use: publish 80/tcp: all of the host's ports 8100-8102 are in use; give a larger range",
    );
    host.netns.sysctl("ipv4/ip_local_port_range", "40000 40003");
    const random = publication(80, 0, { hostPortEnd: 0 });
    const first = await host.start(["six"], [random, { ...random, hostIp: "::" }]);
    expect(host.networks.publishedBy(first.id).map(({ hostPort }) => hostPort)).toEqual([40_000, 40_000]);
    await host.networks.detach(first.id);
    const second = await host.start(["six"], [random, { ...random, containerPort: 81 }]);
    expect(host.networks.publishedBy(second.id).map(({ hostPort }) => hostPort)).toEqual([40_001, 40_002]);
    expect(await attach([random, random, random])).toStartWith(
      "port_in_use: publish 80/tcp: all of the host's ports 40000-40003",
    );
    expect(await attach([random, random])).toBe("nothing was refused");
    host.netns.sysctl("ipv4/ip_local_port_range", "32768 60999");
  });

  test("what a container cannot answer", async () => {
    await host.networks.create({ name: "inner", internal: true });
    await host.networks.create({ name: "four" });
    await host.networks.create({
      name: "bound",
      options: { "com.docker.network.bridge.host_binding_ipv4": "127.0.0.1" },
    });
    const publish = async (network: string, ...ports: Parameters<typeof publication>[2][]) => {
      const { id } = await host.start(
        [network],
        ports.map((changes) => publication(80, 8200, changes)),
      );
      const found = host.networks.publishedBy(id).map(({ hostIp }) => hostIp);
      await host.networks.forget(id);
      return found;
    };
    expect(await publish("inner", {})).toEqual([]);
    expect(await publish("four", {}, { hostIp: "::" })).toEqual(["0.0.0.0"]);
    expect(await publish("bound", {}, { hostIp: "::" })).toEqual(["127.0.0.1"]);
    expect(await attach([publication(80, 8200, { hostIp: "2001:db8::7" })], "four")).toStartWith(
      "port_invalid: port 80/tcp on 2001:db8::7",
    );
    expect(await attach([publication(0, 8200)], "four")).toStartWith("port_invalid");
  });

  test("ports move with the default route", async () => {
    const { networks } = host;
    const a = await host.start(["inner"], [publication(80, 8201)], "a");
    expect(networks.publishedBy(a.id)).toEqual([]);
    serve(a.netns, 80);
    networks.connect({ network: "four", container: a.id });
    await networks.attachOne(a.sandbox, "four");
    expect(networks.publishedBy(a.id)).toMatchObject([{ hostPort: 8201, network: networks.get("four").id }]);
    expect(await ask(host.netns, "127.0.0.1", 8201)).toStartWith("a ");
    networks.connect({ network: "six", container: a.id, gatewayPriority: 1 });
    await networks.attachOne(a.sandbox, "six");
    expect(networks.publishedBy(a.id)).toMatchObject([{ network: networks.get("six").id }]);
    expect(await ask(host.netns, "127.0.0.1", 8201)).toStartWith("a ");
    await networks.disconnect(a.id, "six", a.sandbox);
    expect(networks.publishedBy(a.id)).toMatchObject([{ network: networks.get("four").id }]);
    expect(await ask(host.netns, "127.0.0.1", 8201)).toStartWith("a ");
    await networks.disconnect(a.id, "four", a.sandbox);
    expect(networks.publishedBy(a.id)).toEqual([]);
    expect(await tryTcp(host.netns, "127.0.0.1", 8201)).toBe("refused");
  });

  test("with its first network of IPv6 a container is published by IPv6 too, on the same port", async () => {
    const { networks } = host;
    const random = publication(80, 0, { hostPortEnd: 0 });
    const a = await host.start(["four"], [random, { ...random, hostIp: "::" }], "a");
    serve(a.netns, 80);
    const [{ hostPort } = { hostPort: 0 }, ...others] = networks.publishedBy(a.id);
    expect(others).toEqual([]);
    networks.connect({ network: "six", container: a.id });
    await networks.attachOne(a.sandbox, "six");
    expect(networks.publishedBy(a.id).map((port) => [port.hostIp, port.hostPort, port.network])).toEqual([
      ["0.0.0.0", hostPort, networks.get("four").id],
      ["::", hostPort, networks.get("six").id],
    ]);
    expect(await ask(host.netns, "2001:db8::7", hostPort)).toStartWith("a ");
    await networks.disconnect(a.id, "six", a.sandbox);
    expect(networks.publishedBy(a.id).map(({ hostIp }) => hostIp)).toEqual(["0.0.0.0"]);
    expect(await ask(host.netns, "192.0.2.7", hostPort)).toStartWith("a ");
  });

  test("a thousand ports of one container", async () => {
    const ports = Array.from({ length: 1000 }, (_, index) => publication(index + 1, index + 20_000));
    const a = await host.start(["six"], [...ports, ...ports.map((port) => ({ ...port, hostIp: "::" }))], "a");
    serve(a.netns, 777);
    expect(await ask(host.netns, "192.0.2.7", 20_776)).toStartWith("a ");
    expect(await ask(host.netns, "2001:db8::7", 20_776)).toStartWith("a ");
    await host.networks.detach(a.id);
    expect(await tryTcp(host.netns, "192.0.2.7", 20_776)).toBe("refused");
  });
});
