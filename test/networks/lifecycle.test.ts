/** What becomes of networks when containers, engines and machines end. Needs root. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deleteAddress } from "../../src/sys/index.ts";
import { ask, serve } from "../kit/netns.ts";
import { NetworksHost, publication, refusal, until } from "./networks-host.ts";

describe.skipIf(process.geteuid?.() !== 0)("the life of networks", () => {
  let host: NetworksHost;
  beforeAll(async () => {
    host = new NetworksHost();
    await host.networks.reconcile([]);
    await host.networks.create({ name: "web", ipv6: true });
  });
  afterAll(() => host.close());

  const rules = (): Promise<string> => host.netns.output("nft", "list", "ruleset");

  test("attach and detach do nothing twice", async () => {
    const { networks } = host;
    const a = host.container("a");
    networks.connect({ network: "web", container: a.id });
    const ports = [publication(80, 8300)];
    const first = await networks.attach(a.sandbox, ports);
    expect(await networks.attach(a.sandbox, ports)).toEqual(first);
    expect(await networks.attachOne(a.sandbox, "web")).toEqual(first.endpoints[0]!);
    const [address] = [host.ipv4(a, "web")];
    await networks.detach(a.id);
    await networks.detach(a.id);
    expect(networks.endpointsOf(a.id).map(({ attached }) => attached)).toEqual([null]);
    expect(networks.publishedBy(a.id)).toEqual([]);
    expect(await rules()).not.toContain(address);
    await networks.forget(a.id);
    await networks.forget(a.id);
    expect(networks.endpointsOf(a.id)).toEqual([]);
  });

  test("all or nothing: what fails in the middle leaves no link, address, port or rule", async () => {
    const { networks } = host;
    const holder = await host.start(["web"], [publication(80, 8301)]);
    const before = { cables: host.cables().sort(), rules: await rules() };
    const a = host.container("a");
    networks.connect({ network: "web", container: a.id });
    networks.connect({ network: "bridge", container: a.id });
    expect(await refusal(() => networks.attach(a.sandbox, [publication(81, 8302), publication(80, 8301)]))).toStartWith(
      "port_in_use",
    );
    // Somebody has made an interface in the namespace: the kernel refuses in the middle.
    a.netns.net.createVeth({ name: "eth1" }, { name: "other" });
    expect(await refusal(() => networks.attach(a.sandbox, [publication(81, 8302)]))).toMatch(
      /^network_failed: attaching to .*EEXIST/,
    );
    await networks.idle();
    expect(networks.endpointsOf(a.id).map(({ attached }) => attached)).toEqual([null, null]);
    expect(a.netns.net.linkByName("eth0")).toBeNull();
    // The default network has been made for it, no more.
    expect(host.cables().sort()).toEqual(before.cables);
    expect((await rules()).replace(/elements = .*og-.*|172\.1[78]\.0\.0\/16.*/g, "")).not.toContain("8302");
    a.netns.net.deleteLink({ name: "eth1" });
    await networks.attach(a.sandbox, [publication(81, 8302)]);
    expect(networks.publishedBy(a.id)).toMatchObject([{ hostPort: 8302 }]);
    serve(a.netns, 81);
    expect(await ask(host.netns, "127.0.0.1", 8302)).toStartWith("a ");
    await networks.forget(holder.id);
    await networks.forget(a.id);
  });

  test("an engine that is killed: what runs goes on, what is missing is made again", async () => {
    const a = await host.start(["web"], [publication(80, 8303), publication(80, 8303, { hostIp: "::" })], "a");
    const gone = await host.start(["web"], [publication(80, 8304)], "gone");
    serve(a.netns, 80);
    const published = host.networks.publishedBy(a.id);
    const { attached } = host.endpoint(a, "web");
    const freed = host.ipv4(gone, "web");
    await host.restart();
    await host.networks.reconcile([a.sandbox]);
    expect(host.networks.publishedBy(a.id)).toEqual(published);
    expect(host.endpoint(a, "web").attached).toEqual(attached);
    expect(host.endpoint(gone, "web").attached).toBeNull();
    expect(await rules()).not.toContain(freed);
    await until(
      "the cable of the one that is gone is removed",
      () => !host.cables().some((name) => name !== attached!.hostInterface),
    );
    expect(await ask(host.netns, "127.0.0.1", 8303)).toStartWith("a ");
    expect(await refusal(() => Bun.listen({ hostname: "0.0.0.0", port: 8303, socket: { data() {} } }))).toContain("EADDRINUSE");
    // Somebody takes away all that can be taken away.
    const bridge = host.networks.get("web").interface;
    host.netns.net.deleteLink({ name: bridge });
    await host.netns.output("nft", "flush", "ruleset");
    await host.restart();
    await host.networks.reconcile([a.sandbox]);
    expect(await ask(host.netns, host.ipv4(a, "web"), 80)).toStartWith("a ");
    expect(await ask(host.netns, "127.0.0.1", 8303)).toStartWith("a ");
    host.netns.net.deleteLink({ name: attached!.hostInterface });
    await host.networks.reconcile([a.sandbox]);
    expect(await ask(host.netns, host.ipv4(a, "web"), 80)).toStartWith("a ");
    const b = await host.start(["web"], [], "b");
    expect(await ask(b.netns, host.ipv4(a, "web"), 80)).toBe(`a ${host.ipv4(b, "web")}`);
    for (const { id } of [a, b, gone]) await host.networks.forget(id);
  });

  test("an engine that was killed while it connected a container that runs: the next one finishes", async () => {
    await host.networks.create({ name: "late", pools: [{ subnet: "10.98.0.0/29" }] });
    const a = await host.start(["web"], [], "a");
    // Of the one nothing but the record is there; of the other, the link alone.
    host.networks.connect({ network: "late", container: a.id, gatewayPriority: 1 });
    const before = host.ipv4(a, "web");
    const { index } = a.netns.net.requireLink("eth0");
    a.netns.net.batch([deleteAddress({ index, prefix: `${before}/${host.endpoint(a, "web").attached!.ipv4PrefixLength}` })]);
    await host.restart();
    await host.networks.reconcile([a.sandbox]);
    await host.networks.settle(a.sandbox);
    serve(a.netns, 80);
    for (const network of ["web", "late"]) expect(await ask(host.netns, host.ipv4(a, network), 80)).toStartWith("a ");
    expect(host.ipv4(a, "web")).toBe(before);
    const routes = a.netns.net.routeList(undefined, 4).filter(({ to }) => to === "default");
    expect(routes.map(({ gateway }) => gateway)).toEqual(["10.98.0.1"]);
    // Where there is no address, it is taken out again.
    for (let free = 4; free > 0; free--) await host.start(["late"], []);
    const b = await host.start(["web"], [], "b");
    host.networks.connect({ network: "late", container: b.id });
    await host.networks.settle(b.sandbox);
    expect(host.networks.endpointsOf(b.id).map(({ networkName }) => networkName)).toEqual(["web"]);
    for (const { container } of host.networks.endpointsIn("late")) await host.networks.forget(container);
    await host.networks.forget(b.id);
  });

  test("a bridge that is taken away while the engine runs is made again by the next container", async () => {
    const a = await host.start(["web"], [], "a");
    host.netns.net.deleteLink({ name: host.networks.get("web").interface });
    const b = await host.start(["web"], [], "b");
    serve(b.netns, 80);
    expect(await ask(host.netns, host.ipv4(b, "web"), 80)).toStartWith("b ");
    for (const { id } of [a, b]) await host.networks.forget(id);
  });

  test("after a reboot the kernel is empty and the database full", async () => {
    const fixed = await host.networks.create({ name: "fixed", pools: [{ subnet: "10.80.0.0/24" }] });
    const a = host.container("a");
    host.networks.connect({ network: "fixed", container: a.id, ipv4: "10.80.0.7", aliases: ["db"], gatewayPriority: 3 });
    host.networks.connect({ network: "bridge", container: a.id });
    await host.networks.attach(a.sandbox, [publication(80, 8305)]);
    const before = host.networks.list();
    await host.reboot();
    await host.networks.reconcile([]);
    expect(host.networks.list()).toEqual(before);
    expect(host.links().map(({ name }) => name)).toContain(fixed.interface);
    expect(host.networks.endpointsOf(a.id)).toMatchObject([
      { networkName: "fixed", aliases: ["db"], gatewayPriority: 3, fixed: { ipv4: "10.80.0.7" }, attached: null },
      { networkName: "bridge", attached: null },
    ]);
    expect(host.networks.publishedBy(a.id)).toEqual([]);
    const again = host.container("again");
    const { published } = await host.networks.attach({ container: a.id, netns: again.netns.fd }, [publication(80, 8305)]);
    expect(published).toMatchObject([{ hostPort: 8305, network: fixed.id }]);
    serve(again.netns, 80);
    expect(await ask(host.netns, "127.0.0.1", 8305)).toStartWith("again ");
    await host.networks.forget(a.id);
  });

  test("engines side by side: other default subnets, bridges, tables, and the same ports are refused", async () => {
    const root = mkdtempSync(join(tmpdir(), "onggi-networks-"));
    const other = host.open(root, "99887766");
    try {
      const a = await host.start(["bridge"], [publication(80, 8306)], "a");
      const b = host.container("b");
      other.connect({ network: "bridge", container: b.id });
      expect(await refusal(() => other.attach(b.sandbox, [publication(80, 8306)]))).toContain(
        "port 0.0.0.0:8306/tcp is in use on the host",
      );
      await other.attach(b.sandbox, [publication(80, 8307)]);
      const [one, two] = [host.networks.get("bridge"), other.get("bridge")];
      expect(one.interface).not.toBe(two.interface);
      expect(one.pools[0]!.subnet).not.toBe(two.pools[0]!.subnet);
      serve(a.netns, 80);
      serve(b.netns, 80);
      expect(await ask(host.netns, "127.0.0.1", 8306)).toStartWith("a ");
      expect(await ask(host.netns, "127.0.0.1", 8307)).toStartWith("b ");
      await other.reconcile([b.sandbox]);
      await other.idle();
      expect(await ask(host.netns, host.ipv4(a, "bridge"), 80)).toStartWith("a ");
      await other.forget(b.id);
      await other.withdraw();
      expect(host.links().map(({ name }) => name)).not.toContain(two.interface);
      expect(host.links().map(({ name }) => name)).toContain(one.interface);
      expect(await ask(host.netns, "127.0.0.1", 8306)).toStartWith("a ");
      await host.networks.forget(a.id);
    } finally {
      other.close();
      rmSync(root, { recursive: true });
    }
  });

  test("a data root that was removed and made again gets its default network anew", async () => {
    const tag = "5566aabb";
    const roots = [1, 2].map(() => mkdtempSync(join(tmpdir(), "onggi-networks-")));
    try {
      for (const root of roots) {
        const networks = host.open(root, tag);
        const a = host.container("a");
        networks.connect({ network: "bridge", container: a.id });
        await networks.attach(a.sandbox, [publication(80, 8310)]);
        serve(a.netns, 80);
        expect(await ask(host.netns, "127.0.0.1", 8310)).toStartWith("a ");
        expect(host.netns.net.requireLink(`og-${tag}`).alias).toBe(`onggi ${tag} ${networks.get("bridge").id}`);
        if (root === roots[1]) {
          await networks.forget(a.id);
          await networks.withdraw();
        }
        await networks.close();
      }
    } finally {
      for (const root of roots) rmSync(root, { recursive: true });
    }
  });

  test("200 containers come and go at once", async () => {
    const { networks } = host;
    await networks.create({ name: "busy", pools: [{ subnet: "10.81.0.0/24" }] });
    await networks.create({ name: "busier" });
    const before = host.cables().length;
    const one = async (index: number): Promise<string> => {
      const container = host.container(`${index}`);
      networks.connect({ network: "busy", container: container.id, transient: true });
      await networks.attach(container.sandbox, [publication(80, 0, { hostPortEnd: 0 })]);
      const address = host.ipv4(container, "busy");
      networks.connect({ network: "busier", container: container.id, transient: true });
      await networks.attachOne(container.sandbox, "busier");
      if (index % 3 === 0) await networks.disconnect(container.id, "busy", container.sandbox);
      if (index % 3 === 1) await networks.detach(container.id);
      await networks.forget(container.id);
      host.end(container);
      return address;
    };
    const addresses = await Promise.all(Array.from({ length: 200 }, (_, index) => one(index)));
    expect(addresses).toHaveLength(200);
    await networks.idle();
    expect(networks.endpointsIn("busy")).toEqual([]);
    expect(await rules()).not.toContain("10.81.0.2 ");
    await until("all cables have died with their namespaces", () => host.cables().length <= before);
    const all = await Promise.all(Array.from({ length: 253 }, () => host.start(["busy"])));
    expect(new Set(all.map((container) => host.ipv4(container, "busy"))).size).toBe(253);
    for (const container of all) {
      await networks.forget(container.id);
      host.end(container);
    }
  });

  test("a database of a newer onggi, or none at all, is refused", async () => {
    const root = mkdtempSync(join(tmpdir(), "onggi-networks-"));
    try {
      host.open(root).close();
      const { Database } = await import("bun:sqlite");
      const db = new Database(join(root, "networks.db"));
      db.run("PRAGMA user_version = 99");
      db.close();
      expect(await refusal(() => host.open(root))).toContain("was written by a newer onggi (schema 99, this one knows 1)");
      await Bun.write(join(root, "networks.db"), "nonsense".repeat(1000));
      expect(await refusal(() => host.open(root))).toMatch(/^network_failed: .*networks.db is damaged/);
    } finally {
      rmSync(root, { recursive: true });
    }
  });
});
