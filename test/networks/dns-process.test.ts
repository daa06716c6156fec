/** The resolver as a process: killed, left alone by its engine, taken over by another one, and ended. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { namespaceId, openSockets } from "../../src/networks/dns/sockets.ts";
import { accept, close, O, open, recvFds, SOCK, sendFds, unixListen } from "../../src/sys/index.ts";
import { ROUNDS } from "../kit/bundle.ts";
import { Netns } from "../kit/netns.ts";
import { cast, containerId, DnsHost, data, dig, type Member, sayAll } from "./dns-host.ts";

const host = new DnsHost();
const members = cast();
const { alpha, beta, gamma, inner } = members;
const all = [alpha, beta, gamma, inner];

/** A container that ends while no engine is there: how its resolver finds that out takes a while. */
const abandoned = { run: join(host.directory, "abandoned"), ns: new Netns("abandoned"), process: null as Bun.Subprocess | null };

let service = host.newService();

const serve = (who: Member, upstreams: readonly string[] = [], more: object = {}): Promise<void> =>
  service.serve({ id: who.id, netns: who.ns.fd, upstreams, extraHosts: [], ...more });

const count = (pid: number | "self"): number => readdirSync(`/proc/${pid}/fd`).length;

describe.skipIf(process.geteuid?.() !== 0)("the resolver's process", () => {
  beforeAll(async () => {
    abandoned.process = abandoned.ns.inside(() => Bun.spawn(["sleep", "4"]));
    const leaving = host.newService(abandoned.run);
    leaving.setNetwork({ id: "n", name: "n", internal: true, gateway4: null, gateway6: null });
    leaving.join("n", { container: containerId("9"), names: ["me"], ipv4: "10.3.0.2", ipv6: null });
    await leaving.serve({ id: containerId("9"), netns: abandoned.ns.fd, upstreams: [], extraHosts: [] });
    expect(data(await dig(abandoned, "me"))).toEqual(["A 10.3.0.2"]);
    await leaving.close();
    abandoned.ns.close();
    sayAll(service, members);
    for (const who of all) await serve(who);
    await service.settled();
    await host.until("the resolver", () => service.isConnected);
  });

  afterAll(async () => {
    for (const { id } of all) service.forget(id);
    await service.close();
    for (const { ns } of all) ns.close();
    await abandoned.process?.exited;
    host.close();
  });

  test("a resolver that is killed is started again, and what was asked meanwhile is answered", async () => {
    for (let round = 0; round < 3; round++) {
      const pid = host.resolverPid();
      expect(pid).toBeGreaterThan(0);
      process.kill(pid, "SIGKILL");
      expect(data(await dig(alpha, "beta"))).toEqual(["A 10.1.0.3"]);
      expect(data(await dig(inner, "+tcp", "inner"))).toEqual(["A 10.2.0.4"]);
      await host.until("another resolver", () => service.isConnected && ![0, pid].includes(host.resolverPid()));
    }
  });

  test("answers go on without an engine, and the next one takes over without a gap", async () => {
    const rules = await alpha.ns.output("nft", "list", "ruleset");
    const pid = host.resolverPid();
    await service.close();
    expect(data(await dig(alpha, "beta"))).toEqual(["A 10.1.0.3"]);
    service = host.newService();
    expect(data(await dig(alpha, "beta"))).toEqual(["A 10.1.0.3"]);
    sayAll(service, members);
    service.join("web", { container: beta.id, names: ["beta"], ipv4: "10.1.0.33", ipv6: null });
    for (const who of [alpha, beta, inner]) await serve(who);
    // gamma has ended while no engine was there
    service.leave("web", gamma.id);
    await service.settled();
    expect(data(await dig(alpha, "beta"))).toEqual(["A 10.1.0.33"]);
    expect((await gamma.ns.run("dig", "@127.0.0.11", "+tries=1", "+timeout=1", "alpha")).stdout).toContain(
      "no servers could be reached",
    );
    expect(await alpha.ns.output("nft", "list", "ruleset")).toBe(rules);
    expect(host.resolverPid()).toBe(pid);
    service.join("web", { container: beta.id, names: ["beta", "www"], ipv4: "10.1.0.3", ipv6: "fd00:1::3" });
    await serve(gamma);
    service.join("web", { container: gamma.id, names: ["gamma"], ipv4: "10.1.0.4", ipv6: null });
    expect(data(await dig(gamma, "gamma"))).toEqual(["A 10.1.0.4"]);
  });

  test("hundreds of containers come and go, and are taken over, and nothing stays open", async () => {
    const spaces = Array.from({ length: 125 }, (_, index) => new Netns(`many${index}`));
    const idOf = (round: number, index: number) => `${round}x${index}`.padEnd(64, "f");
    const pid = host.resolverPid();
    const before = [count("self"), count(pid)];
    const comes = async (round: number) => {
      for (const [index, { fd }] of spaces.entries()) {
        service.join("web", { container: idOf(round, index), names: [`many${index}`], ipv4: `10.1.2.${index}`, ipv6: null });
        await service.serve({ id: idOf(round, index), netns: fd, upstreams: [], extraHosts: [] });
      }
    };
    const answers = async () => {
      const wanted = await dig({ ns: spaces[7]! }, "many119");
      expect(data(wanted)).toEqual(["A 10.1.2.119"]);
      expect(data(await dig({ ns: spaces[124]! }, "many8"))).toEqual(["A 10.1.2.8"]);
    };
    for (let round = 0; round < 4; round++) {
      await comes(round);
      await answers();
      if (round === 3) {
        await service.close();
        service = host.newService();
        sayAll(service, members);
        for (const who of all) await serve(who);
        await comes(round);
        await service.settled();
        await answers();
        expect(host.resolverPid()).toBe(pid);
      }
      for (const index of spaces.keys()) {
        service.forget(idOf(round, index));
        service.leave("web", idOf(round, index));
      }
    }
    expect(data(await dig(alpha, "beta"))).toEqual(["A 10.1.0.3"]);
    expect(count(pid)).toBe(before[1]!);
    // pipes of programs that have ended are closed a little later
    await host.until("an end of what was opened", () => count("self") <= before[0]!);
    for (const space of spaces) space.close();
  });

  test("the resolver is killed again and again while containers come", async () => {
    const spaces = Array.from({ length: 5 }, (_, index) => new Netns(`killed${index}`));
    for (let round = 0; round < Math.ceil(ROUNDS / 20); round++) {
      const ids = spaces.map((_, index) => `${round}y${index}`.padEnd(64, "f"));
      for (const [index, { fd }] of spaces.entries()) {
        if (index === round % 5) {
          const pid = host.resolverPid();
          if (pid > 0) process.kill(pid, "SIGKILL");
        }
        service.join("web", { container: ids[index]!, names: ["killed"], ipv4: `10.1.3.${index}`, ipv6: null });
        await service.serve({ id: ids[index]!, netns: fd, upstreams: [], extraHosts: [] });
      }
      const dug = await Promise.all(spaces.map((ns) => dig({ ns }, "killed")));
      for (const each of dug) expect(data(each)).toEqual([0, 1, 2, 3, 4].map((index) => `A 10.1.3.${index}`));
      for (const id of ids) {
        service.forget(id);
        service.leave("web", id);
      }
    }
    for (const space of spaces) space.close();
  });

  test("a resolver of another version is told to end, and another gets its sockets", async () => {
    const run = join(host.directory, "older");
    mkdirSync(run);
    const space = new Netns("older");
    const sockets = openSockets(space.fd);
    const rules = await space.output("nft", "list", "ruleset");
    const directory = open(run, O.O_PATH | O.O_DIRECTORY);
    const older = unixListen(directory, "resolver.sock", 1, { type: SOCK.SOCK_SEQPACKET });
    const newer = host.newService(run);
    const connection = accept(older);
    const hello = { protocol: 0, held: [{ container: containerId("8"), netns: namespaceId(space.fd) }], isLast: true };
    sendFds(connection, new TextEncoder().encode(JSON.stringify(hello)), [sockets.udp, sockets.tcp]);
    newer.setNetwork({ id: "n", name: "n", internal: true, gateway4: null, gateway6: null });
    newer.join("n", { container: containerId("8"), names: ["me"], ipv4: "10.3.0.8", ipv6: null });
    await newer.serve({ id: containerId("8"), netns: space.fd, upstreams: [], extraHosts: [] });
    expect(new TextDecoder().decode(recvFds(connection, 1000).data)).toBe('[{"op":"stop"}]');
    for (const fd of [connection, older, directory, sockets.udp, sockets.tcp]) close(fd);
    expect(data(await dig({ ns: space }, "me"))).toEqual(["A 10.3.0.8"]);
    expect(await space.output("nft", "list", "ruleset")).toBe(rules);
    newer.forget(containerId("8"));
    await newer.close();
    await host.until("its end", () => host.resolverPid(run) === 0);
    space.close();
  });

  test("without an engine it goes when its containers have gone", async () => {
    await host.until("its end", () => host.resolverPid(abandoned.run) === 0);
  });

  test("it ends when no container needs it", async () => {
    // one that was killed before may just be starting again
    await host.until("the resolver", () => service.isConnected && host.resolverPid() !== 0);
    for (const { id } of all) service.forget(id);
    await service.close();
    await host.until("its end", () => host.resolverPid() === 0);
    expect(readdirSync(host.run).sort()).toEqual(["resolver.lock", "resolver.log"]);
    expect(readFileSync(join(host.run, "resolver.log"), "utf8")).toBe("");
    expect(host.logged).toEqual([]);
  });
});
