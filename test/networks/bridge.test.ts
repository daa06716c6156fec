/** Bridges, addresses and routes of containers, with real sockets between network namespaces. Needs root. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { parseMac, sendFrames } from "../../src/sys/index.ts";
import { ask, Netns, serve, tryTcp } from "../kit/netns.ts";
import { NetworksHost, refusal, TAG, until } from "./networks-host.ts";

describe.skipIf(process.geteuid?.() !== 0)("bridge networks", () => {
  let host: NetworksHost;
  beforeAll(async () => {
    host = new NetworksHost();
    host.netns.sysctl("ipv4/ip_forward", 0);
    await host.networks.reconcile([]);
  });
  afterAll(() => host.close());

  test("there are three networks, and nothing of them in the kernel", () => {
    const [bridge, ...others] = host.networks.list();
    expect(bridge).toMatchObject({
      name: "bridge",
      driver: "bridge",
      interface: `og-${TAG}`,
      pools: [{ subnet: "172.17.0.0/16", gateway: "172.17.0.1" }],
      mtu: 1500,
      predefined: true,
    });
    expect(others.map(({ name, driver, interface: link }) => [name, driver, link])).toEqual([
      ["host", "host", ""],
      ["none", "null", ""],
    ]);
    expect(host.links().map(({ name }) => name)).toEqual(["lo"]);
  });

  test("two containers of the default network reach each other, and the host", async () => {
    const [a, b] = [await host.start(["bridge"], [], "a"), await host.start(["bridge"], [], "b")];
    serve(b.netns, 80);
    expect(await ask(a.netns, host.ipv4(b, "bridge"), 80)).toBe(`b ${host.ipv4(a, "bridge")}`);
    serve(host.netns, 81);
    expect(await ask(a.netns, "172.17.0.1", 81)).toBe(`host ${host.ipv4(a, "bridge")}`);
    expect(await ask(host.netns, host.ipv4(b, "bridge"), 80)).toBe("b 172.17.0.1");
    expect(host.endpoint(a, "bridge").attached).toMatchObject({
      interface: "eth0",
      ipv4: "172.17.0.2",
      ipv4PrefixLength: 16,
      ipv4Gateway: "172.17.0.1",
      ipv6: null,
      mac: "02:42:ac:11:00:02",
    });
    expect(a.netns.net.requireLink("eth0")).toMatchObject({ mtu: 1500, address: "02:42:ac:11:00:02", up: true });
    expect(a.netns.net.addressList().filter(({ family }) => family === 6)).toEqual([expect.objectContaining({ ip: "::1" })]);
    expect(host.log).toContain("networks: switched net.ipv4.ip_forward on");
  });

  test("a network with IPv6: both families at once, no wait for duplicates", async () => {
    const network = await host.networks.create({ name: "six", ipv6: true, pools: [{ subnet: "10.66.0.0/24" }] });
    expect(network.pools[1]!.subnet).toMatch(/^fd[0-9a-f:]+\/64$/);
    const [a, b] = [await host.start(["six"], [], "a"), await host.start(["six"], [], "b")];
    serve(b.netns, 80);
    expect(await ask(a.netns, host.ipv6(b, "six"), 80)).toBe(`b ${host.ipv6(a, "six")}`);
    expect(await ask(a.netns, host.ipv4(b, "six"), 80)).toBe(`b ${host.ipv4(a, "six")}`);
    serve(host.netns, 82);
    expect(await ask(a.netns, network.pools[1]!.gateway, 82)).toBe(`host ${host.ipv6(a, "six")}`);
    const global = a.netns.net.addressList().find(({ ip }) => ip === host.ipv6(a, "six"));
    expect(global!.flags & 0x40).toBe(0);
    expect(a.netns.net.routeList(254, 6).find(({ to }) => to === "default")?.gateway).toBe(network.pools[1]!.gateway);
    expect(readFileSync(`/proc/sys/net/ipv6/conf/${network.interface}/accept_ra`, "utf8")).toBe("0\n");
  });

  test("an internal network leads nowhere", async () => {
    await host.networks.create({ name: "inner", internal: true, ipv6: true });
    const [a, b] = [await host.start(["inner"], [], "a"), await host.start(["inner"], [], "b")];
    serve(b.netns, 80);
    expect(await ask(a.netns, host.ipv4(b, "inner"), 80)).toBe(`b ${host.ipv4(a, "inner")}`);
    expect(a.netns.net.routeList().filter(({ to }) => to === "default")).toEqual([]);
    expect(host.endpoint(a, "inner").attached).toMatchObject({ ipv4Gateway: null, ipv6Gateway: null });
  });

  test("without inter-container communication containers reach the host alone", async () => {
    await host.networks.create({ name: "apart", options: { "com.docker.network.bridge.enable_icc": "false" } });
    const [a, b] = [await host.start(["apart"], [], "a"), await host.start(["apart"], [], "b")];
    serve(b.netns, 80);
    serve(host.netns, 83);
    const { gateway } = host.networks.get("apart").pools[0]!;
    expect(await ask(a.netns, gateway, 83)).toBe(`host ${host.ipv4(a, "apart")}`);
    expect(await ask(host.netns, host.ipv4(b, "apart"), 80)).toBe(`b ${gateway}`);
    expect(await tryTcp(a.netns, host.ipv4(b, "apart"), 80)).toBe("silence");
  });

  test("several networks: names and default routes by priority, then by name", async () => {
    await host.networks.create({ name: "alpha" });
    await host.networks.create({ name: "beta" });
    await host.networks.create({ name: "gamma", options: { "com.docker.network.container_iface_prefix": "net" } });
    const a = host.container();
    host.networks.connect({ network: "beta", container: a.id });
    host.networks.connect({ network: "gamma", container: a.id, gatewayPriority: -1 });
    host.networks.connect({ network: "alpha", container: a.id });
    host.networks.connect({ network: "bridge", container: a.id, gatewayPriority: 7, interface: "wan0" });
    const { endpoints } = await host.networks.attach(a.sandbox, []);
    expect(endpoints.map(({ networkName, attached }) => [networkName, attached!.interface])).toEqual([
      ["bridge", "wan0"],
      ["alpha", "eth0"],
      ["beta", "eth1"],
      ["gamma", "net0"],
    ]);
    const defaults = (): (string | undefined)[] =>
      a.netns.net
        .routeList()
        .filter(({ to }) => to === "default")
        .map(({ gateway }) => gateway);
    expect(defaults()).toEqual(["172.17.0.1"]);
    await host.networks.disconnect(a.id, "bridge", a.sandbox);
    expect(defaults()).toEqual([host.networks.get("alpha").pools[0]!.gateway]);
    await until("its interface is gone", () => a.netns.net.linkByName("wan0") === null);
    host.networks.connect({ network: "bridge", container: a.id, gatewayPriority: 7 });
    expect((await host.networks.attachOne(a.sandbox, "bridge")).attached!.interface).toBe("eth2");
    expect(defaults()).toEqual(["172.17.0.1"]);
  });

  test("an address that is used again works at once, though the namespace that had it is still there", async () => {
    await host.networks.create({ name: "fixed", pools: [{ subnet: "10.67.0.0/24" }] });
    const client = await host.start(["fixed"], [], "client");
    for (const name of ["first", "second", "third"]) {
      const server = host.container(name);
      host.networks.connect({ network: "fixed", container: server.id, ipv4: "10.67.0.9" });
      await host.networks.attach(server.sandbox, []);
      serve(server.netns, 80);
      expect(await tryTcp(client.netns, "10.67.0.9", 80, 5000)).toBe(`${name} ${host.ipv4(client, "fixed")}`);
      expect(await tryTcp(host.netns, "10.67.0.9", 80, 5000)).toBe(`${name} 10.67.0.1`);
      await host.networks.detach(server.id);
      await host.networks.forget(server.id);
    }
  });

  test("a container that sends with another's hardware address gets none of its frames", async () => {
    const [a, b, thief] = [
      await host.start(["bridge"], [], "a"),
      await host.start(["bridge"], [], "b"),
      await host.start(["bridge"]),
    ];
    serve(b.netns, 80);
    const frame = new Uint8Array(60).fill(255, 0, 6);
    frame.set([...parseMac(host.endpoint(b, "bridge").attached!.mac), 0x88, 0xb5], 6);
    const { index } = thief.netns.net.requireLink("eth0");
    thief.netns.inside(() => sendFrames(index, [frame, frame]));
    expect(await ask(a.netns, host.ipv4(b, "bridge"), 80)).toBe(`b ${host.ipv4(a, "bridge")}`);
  });

  test("an address with another hardware address than before is announced", async () => {
    await host.networks.create({ name: "macs", pools: [{ subnet: "10.68.0.0/24" }, { subnet: "fd00:68::/64" }] });
    const client = await host.start(["macs"], [], "client");
    for (const [index, mac] of [undefined, "02:00:00:00:00:0a", "02:00:00:00:00:0b", undefined].entries()) {
      const server = host.container(`server${index}`);
      const fixed = { ipv4: "10.68.0.9", ipv6: "fd00:68::9", ...(mac === undefined ? {} : { mac }) };
      host.networks.connect({ network: "macs", container: server.id, ...fixed });
      await host.networks.attach(server.sandbox, []);
      const known = (netns: Netns): string[] =>
        netns.net
          .neighbourList()
          .filter(({ ip }) => ip === "10.68.0.9" || ip === "fd00:68::9")
          .flatMap(({ mac: of }) => of ?? []);
      if (index > 0) {
        const now = server.netns.net.requireLink("eth0").address;
        expect(now).toBe(mac ?? "02:42:0a:44:00:09");
        await until("the neighbours know", () => known(client.netns).every((one) => one === now));
        expect(known(client.netns)).toEqual([now, now]);
        expect(known(host.netns)).toEqual([now, now]);
      }
      serve(server.netns, 80);
      expect(await ask(client.netns, "10.68.0.9", 80)).toStartWith(`server${index} `);
      expect(await ask(client.netns, "fd00:68::9", 80)).toStartWith(`server${index} `);
      expect(await ask(host.netns, "10.68.0.9", 80)).toStartWith(`server${index} `);
      await host.networks.forget(server.id);
    }
  });

  test("containers have the MTU of the default route's interface, or of the option", async () => {
    using outside = new Netns("outside");
    host.netns.net.createVeth({ name: "uplink", up: true, mtu: 1420 }, { name: "uplink", netns: { fd: outside.fd } });
    host.netns.address("uplink", "192.0.2.2/24");
    outside.net.linkUp("uplink");
    host.netns.route("default", "192.0.2.1");
    await host.networks.create({ name: "auto" });
    await host.networks.create({ name: "jumbo", options: { "com.docker.network.driver.mtu": "9000" } });
    const a = await host.start(["auto", "jumbo"]);
    expect(["eth0", "eth1"].map((name) => a.netns.net.requireLink(name).mtu)).toEqual([1420, 9000]);
    expect(host.networks.get("auto").mtu).toBe(1420);
    host.netns.net.deleteLink({ name: "uplink" });
  });

  test("subnets that others have are refused, and passed over when one is chosen", async () => {
    using outside = new Netns("outside");
    host.netns.cable("lan", outside, "lan");
    host.netns.address("lan", "10.70.0.5/24");
    host.netns.route("10.71.0.0/16", "10.70.0.1");
    host.netns.address("lan", "172.30.0.9/12");
    const create = (subnet: string) => refusal(() => host.networks.create({ name: "clash", pools: [{ subnet }] }));
    expect(await create("10.71.5.0/24")).toBe(
      "subnet_overlap: subnet 10.71.5.0/24 of network clash overlaps route 10.71.0.0/16 by lan: choose another",
    );
    expect(await create("10.70.0.0/16")).toContain("overlaps address 10.70.0.5/24 of lan");
    expect(await create("10.66.0.128/25")).toContain("overlaps network six with 10.66.0.0/24");
    expect((await host.networks.create({ name: "chosen" })).pools[0]!.subnet).toBe("192.168.0.0/20");
    expect(await refusal(() => host.networks.get("clash"))).toStartWith("network_not_found");
    host.netns.net.deleteLink({ name: "lan" });
  });

  test("a small subnet is given out to the last address", async () => {
    await host.networks.create({ name: "small", pools: [{ subnet: "10.72.0.0/29" }] });
    const containers = [];
    for (let count = 0; count < 5; count++) containers.push(await host.start(["small"]));
    expect(containers.map((container) => host.ipv4(container, "small"))).toEqual(
      [2, 3, 4, 5, 6].map((last) => `10.72.0.${last}`),
    );
    const cables = host.cables().length;
    expect(await refusal(() => host.start(["bridge", "small"]))).toBe(
      "addresses_exhausted: no address of 10.72.0.0/29 is free: 5 are in use by running containers; stop one, or make a network with a larger subnet",
    );
    expect(host.cables().length).toBe(cables);
    await host.networks.detach(containers[2]!.id);
    expect(host.ipv4(await host.start(["small"]), "small")).toBe("10.72.0.4");
  });

  test("fixed addresses: only where the maker chose the subnet, one for each container", async () => {
    const connect = (changes: object) => {
      const { id: container } = host.container();
      return refusal(() => host.networks.connect({ network: "fixed", container, ...changes }));
    };
    expect(await connect({ network: "auto", ipv4: "172.20.0.9" })).toStartWith("address_invalid");
    expect(await connect({ network: "bridge", ipv4: "172.17.0.9" })).toStartWith("address_invalid");
    expect(await connect({ ipv4: "10.68.0.9" })).toBe("address_invalid: address 10.68.0.9 is not one of subnet 10.67.0.0/24");
    expect(await connect({ ipv4: "10.67.0.1" })).toContain("is the gateway's");
    expect(await connect({ ipv6: "fd00::1" })).toStartWith("address_invalid");
    const [one, two] = [host.container("one"), host.container("two")];
    const mac = "02:00:00:00:00:77";
    host.networks.connect({ network: "fixed", container: one.id, ipv4: "10.67.0.20", mac });
    host.networks.connect({ network: "fixed", container: two.id, ipv4: "10.67.0.20" });
    await host.networks.attach(one.sandbox, []);
    expect(one.netns.net.requireLink("eth0").address).toBe(mac);
    expect(await refusal(() => host.networks.attach(two.sandbox, []))).toBe(
      `address_in_use: address 10.67.0.20 of network fixed is in use by container ${one.id.slice(0, 12)}: choose another, or stop that container`,
    );
    serve(one.netns, 80);
    expect(await ask(host.netns, "10.67.0.20", 80)).toBe("one 10.67.0.1");
  });

  test("names and references", async () => {
    const { networks } = host;
    const made = await networks.create({ name: "named", labels: { a: "b" } });
    expect(networks.get(made.id.slice(0, 6))).toEqual(made);
    expect(await refusal(() => networks.create({ name: "named" }))).toStartWith("network_exists");
    expect(await refusal(() => networks.create({ name: "bridge" }))).toStartWith("network_exists");
    expect(await refusal(() => networks.get("nothing"))).toStartWith("network_not_found");
    expect(await refusal(() => networks.remove("bridge"))).toStartWith("network_invalid");
    const a = await host.start(["named"]);
    expect(await refusal(() => networks.connect({ network: "named", container: a.id }))).toStartWith("endpoint_exists");
    expect(await refusal(() => networks.connect({ network: "host", container: a.id }))).toStartWith("network_invalid");
    expect(await refusal(() => networks.disconnect(a.id, "bridge", null))).toStartWith("endpoint_not_found");
    expect(await refusal(() => networks.remove("named"))).toContain(
      `network_in_use: network named has containers ${a.id.slice(0, 12)}`,
    );
    await networks.disconnect(a.id, "named", a.sandbox);
    expect(a.netns.net.addressList().filter(({ family, scope }) => family === 4 && scope === 0)).toEqual([]);
    expect(await networks.remove("named")).toEqual(made);
    expect(await refusal(() => networks.get(made.id))).toStartWith("network_not_found");
    await networks.idle();
    expect(host.netns.net.linkByName(made.interface)).toBeNull();
    const again = { name: "named", options: { "com.docker.network.bridge.name": "br-mine" } };
    for (let round = 0; round < 3; round++) {
      expect((await networks.create(again)).interface).toBe("br-mine");
      await networks.remove("named");
    }
    expect(await refusal(() => networks.create({ ...again, options: { "com.docker.network.bridge.name": "lo" } }))).toBe(
      "network_invalid: network named: this host has an interface lo already; choose another name for the bridge",
    );
  });

  test("what the network is explained as makes it", async () => {
    await host.networks.create({ name: "told", pools: [{ subnet: "10.73.0.0/24" }, { subnet: "fd00:73::/64" }] });
    const a = await host.start(["told"]);
    const text = await host.networks.explain("told");
    using other = new Netns("other");
    using inner = new Netns("inner");
    await Bun.write(`${host.root}/inner`, "");
    const lines = text.split("\n").filter((line) => /^(?:ip|sysctl|bridge|nsenter) /.test(line));
    const { id, interface: bridge } = host.networks.get("told");
    expect(lines[0]).toBe(`ip link add ${bridge} mtu 1500 type bridge stp_state 0 forward_delay 0 mcast_snooping 0`);
    expect(text).toContain(id);
    expect(text).toContain(`table inet onggi_${TAG} {`);
    const script = lines
      .join("\n")
      .replaceAll("netns CONTAINER", () => "netns $$")
      .replaceAll("--net=CONTAINER", () => "--net=/proc/$$/ns/net");
    const shell = inner.inside(() =>
      Bun.spawn(["sh", "-e"], {
        stdin: "pipe",
        stdout: "pipe",
        stderr: "pipe",
        env: { ...process.env, OUTER: `/proc/${process.pid}/fd/${other.fd}` },
      }),
    );
    // Lines without nsenter are the host's.
    const outer = script.replace(/^(?!nsenter)/gm, 'nsenter --net="$OUTER" ');
    shell.stdin.write(outer.replace(/( sysctl )([^=]+)=/g, "$1-q -w $2="));
    shell.stdin.end();
    expect(await shell.stderr.text()).toBe("");
    expect(await shell.exited).toBe(0);
    const shown = (netns: Netns) =>
      netns.net
        .addressList()
        .filter(({ scope }) => scope === 0)
        .map(({ ip, prefixLength }) => `${ip}/${prefixLength}`)
        .sort();
    expect(shown(inner)).toEqual(shown(a.netns));
    expect(inner.net.requireLink("eth0").address).toBe(a.netns.net.requireLink("eth0").address);
    expect(other.net.requireLink(bridge).address).not.toBe("");
    serve(inner, 80);
    expect(await ask(other, host.ipv4(a, "told"), 80)).toBe("inner 10.73.0.1");
  });

  test("an engine that ends takes away what nobody needs, and another makes it again", async () => {
    const { networks } = host;
    const kept = await host.start(["six"]);
    for (const network of networks.list()) {
      for (const { container } of networks.endpointsIn(network.name)) if (container !== kept.id) await networks.detach(container);
    }
    await networks.withdraw();
    const bridges = (): string[] =>
      host
        .links()
        .filter(({ kind }) => kind === "bridge")
        .map(({ name }) => name);
    expect(bridges()).toEqual([networks.get("six").interface]);
    await networks.detach(kept.id);
    await networks.withdraw();
    expect(bridges()).toEqual([]);
    expect(await host.netns.output("nft", "list", "ruleset")).toBe("");
    await host.restart();
    await host.networks.reconcile([]);
    expect(bridges()).toContain(host.networks.get("six").interface);
  });
});
