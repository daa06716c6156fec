/** Names, asked for by `dig` in namespaces as containers have them, of a resolver in a namespace that stands for the host's. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { slowness } from "../kit/command.ts";
import { NameServer } from "../kit/nameserver.ts";
import { cast, DnsHost, data, dig, type Member, sayAll } from "./dns-host.ts";

const host = new DnsHost();
const members = cast();
const { alpha, beta, gamma, inner } = members;
const all = [alpha, beta, gamma, inner];

const upstream = new NameServer();
const second = new NameServer({ addresses: ["192.0.2.20"], ttl: 60 });
const silent = new NameServer({ silent: true });
const service = host.newService();

const serve = (who: Member, upstreams: readonly string[] = [], more: object = {}): Promise<void> =>
  service.serve({ id: who.id, netns: who.ns.fd, upstreams, extraHosts: [], ...more });

describe.skipIf(process.geteuid?.() !== 0)("names in networks", () => {
  beforeAll(async () => {
    host.ns.address("lo", "10.9.0.3/32");
    await upstream.listen(host.ns, "127.0.0.1");
    await second.listen(host.ns, "127.0.0.2");
    await silent.listen(host.ns, "127.0.0.4");
    sayAll(service, members);
    for (const who of all) await serve(who);
    await service.settled();
  });

  afterAll(async () => {
    for (const { id } of all) service.forget(id);
    await service.close();
    for (const { ns } of all) ns.close();
    await host.until("the resolver's end", () => host.resolverPid() === 0);
    host.close();
  });

  test("addresses, aliases, short ids, names of addresses, the host", async () => {
    expect(await dig(alpha, "beta")).toMatchObject({ status: "NOERROR", flags: "qr aa rd ra", answers: ["10 A 10.1.0.3"] });
    expect((await dig(alpha, "BETA", "AAAA")).answers).toEqual(["10 AAAA fd00:1::3"]);
    expect(data(await dig(alpha, "www"))).toEqual(["A 10.1.0.2", "A 10.1.0.3"]);
    expect(data(await dig(alpha, "+tcp", "bbbbbbbbbbbb"))).toEqual(["A 10.1.0.3"]);
    expect(data(await dig(alpha, "beta.web"))).toEqual(["A 10.1.0.3"]);
    expect(data(await dig(alpha, "-x", "10.1.0.3"))).toEqual(["PTR beta.web."]);
    expect(data(await dig(alpha, "-x", "fd00:1::3"))).toEqual(["PTR beta.web."]);
    expect(data(await dig(alpha, "host.docker.internal"))).toEqual(["A 10.1.0.1"]);
    expect(data(await dig(alpha, "host.onggi.internal", "AAAA"))).toEqual(["AAAA fd00:1::1"]);
    expect(data(await dig(alpha, "+noedns", "beta"))).toEqual(["A 10.1.0.3"]);
  });

  test("a name without the family or the type exists, and nobody else is asked", async () => {
    expect(await dig(beta, "alpha", "AAAA")).toMatchObject({ status: "NOERROR", answers: [] });
    expect(await dig(beta, "alpha", "MX")).toMatchObject({ status: "NOERROR", answers: [] });
    expect(upstream.asked("alpha")).toBe(0);
  });

  test("a container only knows the networks it is in", async () => {
    expect((await dig(alpha, "inner")).status).toBe("NXDOMAIN");
    expect(upstream.asked("inner")).toBe(1);
    expect(data(await dig(inner, "inner"))).toEqual(["A 10.2.0.4"]);
  });

  test("an internal network asks nobody else", async () => {
    const dug = await dig(inner, "internal.test");
    expect(dug.status).toBe("SERVFAIL");
    expect(dug.ms).toBeLessThan(1000 * slowness);
    expect(upstream.asked("internal.test")).toBe(0);
  });

  test("extra hosts and links are the container's own", async () => {
    const more = { extraHosts: [{ name: "extra", address: "192.0.2.77" }], links: [{ name: "store", container: alpha.id }] };
    await serve(beta, [], more);
    expect(data(await dig(beta, "extra"))).toEqual(["A 192.0.2.77"]);
    expect(data(await dig(beta, "store"))).toEqual(["A 10.1.0.2"]);
    expect((await dig(alpha, "store")).status).toBe("NXDOMAIN");
  });

  test("round robin", async () => {
    const firsts = new Set<string>();
    for (let tries = 0; tries < 60 && firsts.size < 2; tries++) firsts.add((await dig(alpha, "www")).answers[0]!);
    expect([...firsts].sort()).toEqual(["10 A 10.1.0.2", "10 A 10.1.0.3"]);
  });

  test("many addresses of a name: cut off by datagram, whole by stream", async () => {
    for (let index = 0; index < 100; index++) {
      service.join("web", { container: `e${index + 100}`.padEnd(64, "0"), names: ["many"], ipv4: `10.1.1.${index}`, ipv6: null });
    }
    const plain = await dig(alpha, "+noedns", "+ignore", "many");
    expect(plain.flags).toBe("qr aa tc rd ra");
    expect(plain.answers.length).toBeLessThan(31);
    expect((await dig(alpha, "+ignore", "+bufsize=4096", "many")).answers).toHaveLength(100);
    expect((await dig(alpha, "many")).answers).toHaveLength(100);
    for (let index = 0; index < 100; index++) service.leave("web", `e${index + 100}`.padEnd(64, "0"));
    expect((await dig(alpha, "many")).status).toBe("NXDOMAIN");
  });

  test("all else is asked of the host's servers, once as long as it may be kept", async () => {
    upstream.names.set("a.test", { addresses: ["192.0.2.1", "2001:db8::1"], ttl: 3600 });
    const dug = await dig(alpha, "a.test");
    expect(dug).toMatchObject({ status: "NOERROR", flags: "qr aa rd ra" });
    expect(dug.answers[0]).toMatch(/^3(600|59\d) A 192\.0\.2\.1$/);
    for (const who of [alpha, beta]) expect(data(await dig(who, "A.test"))).toEqual(["A 192.0.2.1"]);
    expect(upstream.asked("a.test")).toBe(1);
    expect(data(await dig(alpha, "+tcp", "a.test", "AAAA"))).toEqual(["AAAA 2001:db8::1"]);
    expect(upstream.asked("a.test")).toBe(2);
  });

  test("what there is not is kept as its zone says", async () => {
    for (let index = 0; index < 3; index++) expect((await dig(alpha, "nothing.test")).status).toBe("NXDOMAIN");
    expect(upstream.asked("nothing.test")).toBe(1);
    upstream.names.set("soon.test", { rcode: 3, ttl: 0 });
    for (let index = 0; index < 3; index++) expect((await dig(alpha, "soon.test")).status).toBe("NXDOMAIN");
    expect(upstream.asked("soon.test")).toBe(3);
    upstream.names.set("short.test", { addresses: ["192.0.2.9"], ttl: 1 });
    await dig(alpha, "short.test");
    await host.until("another question", () => {
      void dig(alpha, "short.test");
      Bun.sleepSync(200);
      return upstream.asked("short.test") > 1;
    });
  });

  test("a long answer comes by stream, and is cut off for who asks by datagram", async () => {
    const addresses = Array.from({ length: 200 }, (_, index) => `192.0.2.${index}`);
    upstream.names.set("long.test", { addresses, ttl: 60, long: true });
    expect(await dig(alpha, "+ignore", "long.test")).toMatchObject({ flags: "qr tc rd ra", answers: [] });
    expect((await dig(alpha, "long.test")).answers).toHaveLength(200);
    expect([upstream.datagrams.get("long.test"), upstream.streams.get("long.test")]).toEqual([1, 1]);
  });

  test("forged answers, and servers that do not know EDNS", async () => {
    upstream.names.set("forged.test", { addresses: ["192.0.2.2"], ttl: 60, forged: true });
    expect(data(await dig(alpha, "forged.test"))).toEqual(["A 192.0.2.2"]);
    upstream.names.set("old.test", { addresses: ["192.0.2.3"], ttl: 60, old: true });
    expect(data(await dig(alpha, "old.test"))).toEqual(["A 192.0.2.3"]);
    expect(upstream.asked("old.test")).toBe(2);
  });

  test("servers that are not there, that refuse and that are silent", async () => {
    await serve(beta, ["127.0.0.3", "127.0.0.2"]);
    const fast = await dig(beta, "absent.test");
    expect(data(fast)).toEqual(["A 192.0.2.20"]);
    expect(fast.ms).toBeLessThan(900 * slowness);

    upstream.names.set("refused.test", { rcode: 5 });
    await serve(beta, ["127.0.0.1", "127.0.0.2"]);
    expect(data(await dig(beta, "refused.test"))).toEqual(["A 192.0.2.20"]);
    await serve(beta, ["127.0.0.1"]);
    expect((await dig(beta, "refused.test")).status).toBe("REFUSED");

    await serve(beta, ["127.0.0.4", "127.0.0.2"]);
    const slow = await dig(beta, "late1.test");
    expect(data(slow)).toEqual(["A 192.0.2.20"]);
    expect(slow.ms).toBeGreaterThan(900);
    // the silent one is asked last now
    expect(data(await dig(beta, "late2.test"))).toEqual(["A 192.0.2.20"]);
    expect(silent.asked("late2.test")).toBe(0);

    await serve(beta, ["127.0.0.4"]);
    const never = await dig(beta, "never.test");
    expect(never.status).toBe("SERVFAIL");
    expect(never.ms).toBeLessThan(5000 * slowness);
    expect(silent.asked("never.test")).toBe(2);
    await serve(beta);
  });

  test("the same question in flight is asked once", async () => {
    await serve(beta, ["127.0.0.4"]);
    await serve(alpha, ["127.0.0.4"]);
    const before = silent.asked("same.test");
    const dug = await Promise.all([alpha, beta, alpha, beta].map((who) => dig(who, "same.test")));
    expect(dug.map(({ status }) => status)).toEqual(new Array(4).fill("SERVFAIL"));
    expect(silent.asked("same.test") - before).toBe(2);
    await serve(alpha);
    await serve(beta);
  });

  test("the host's servers change", async () => {
    writeFileSync(host.resolvConf, "nameserver 127.0.0.2\n");
    const deadline = Date.now() + 10_000 * slowness;
    let found: string[] = [];
    for (let index = 0; Date.now() < deadline && found[0] !== "A 192.0.2.20"; index++) {
      found = data(await dig(alpha, `changed${index}.test`));
      await Bun.sleep(50);
    }
    expect(found).toEqual(["A 192.0.2.20"]);
    writeFileSync(host.resolvConf, "nameserver 127.0.0.1\n");
  });

  test("questions that would come back are not asked for ever", async () => {
    // A relay at gamma's address, which asks what it is asked of gamma's own name server: the resolver.
    const back = new Map<number, { port: number; address: string }>();
    let relayed = 0;
    const outside = await host.ns.inside(() =>
      Bun.udpSocket({
        hostname: "10.9.0.3",
        port: 53,
        socket: {
          data(_, bytes, port, address) {
            relayed += 1;
            back.set(bytes.readUInt16BE(0), { port, address });
            inside.send(bytes, 53, "127.0.0.11");
          },
          error: () => {},
        },
      }),
    );
    const inside = await gamma.ns.inside(() =>
      Bun.udpSocket({
        hostname: "127.0.0.1",
        port: 0,
        socket: {
          data(_, bytes) {
            const to = back.get(bytes.readUInt16BE(0));
            try {
              if (to) outside.send(bytes, to.port, to.address);
            } catch {
              // the question was given up
            }
          },
          error: () => {},
        },
      }),
    );
    for (const who of [alpha, gamma]) await serve(who, ["10.9.0.3"]);
    const direct = await dig(alpha, "loop1.test");
    expect(direct.status).toBe("SERVFAIL");
    expect(direct.ms).toBeLessThan(4000 * slowness);
    expect(relayed).toBeLessThan(4);
    // The relay is not known to be gamma: the question waits for itself, and gives up.
    service.join("web", { container: gamma.id, names: ["gamma"], ipv4: "10.1.0.4", ipv6: null });
    relayed = 0;
    expect((await dig(alpha, "loop2.test")).status).toBe("SERVFAIL");
    expect(relayed).toBeLessThan(4);
    expect(data(await dig(alpha, "beta"))).toEqual(["A 10.1.0.3"]);
    outside.close();
    inside.close();
    for (const who of [alpha, gamma]) await serve(who);
    await serve(beta, ["127.0.0.11"]);
    expect((await dig(beta, "ourselves.test")).status).toBe("SERVFAIL");
    await serve(beta);
  });

  test("names that lead to each other in a circle are the asker's affair: nothing is followed", async () => {
    let asked = 0;
    const circle = await host.ns.inside(() =>
      Bun.udpSocket({
        hostname: "127.0.0.9",
        port: 53,
        socket: {
          data(socket, bytes, port, address) {
            asked += 1;
            // CNAME, to the question's own name
            const end = bytes.indexOf(0, 12) + 5;
            const answer = Buffer.from([0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 2, 0xc0, 12]);
            const header = Buffer.from([...bytes.subarray(0, 2), 0x84, 0, 0, 1, 0, 1, 0, 0, 0, 0]);
            socket.send(Buffer.concat([header, bytes.subarray(12, end), answer]), port, address);
          },
        },
      }),
    );
    await serve(beta, ["127.0.0.9"]);
    const found = await dig(beta, "circle.test");
    expect([found.status, data(found)]).toEqual(["NOERROR", ["CNAME circle.test."]]);
    expect(asked).toBe(1);
    expect(data(await dig(beta, "alpha"))).toEqual(["A 10.1.0.2"]);
    circle.close();
    await serve(beta);
  });

  test("a flood of garbage and of hopeless questions from one container leaves room for others", async () => {
    await serve(beta, ["127.0.0.4"]);
    const socket = await beta.ns.inside(() => Bun.udpSocket({ hostname: "127.0.0.1", port: 0, socket: {} }));
    let isOver = false;
    let sent = 0;
    const flood = (async () => {
      for (; !isOver; sent += 200) {
        for (let index = 0; index < 200; index++) {
          const bytes = crypto.getRandomValues(new Uint8Array(12 + (index % 80) * 2));
          if (index % 4 > 0 && bytes.length > 30) bytes.set([0, index, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 8]);
          if (index % 4 > 1 && bytes.length > 30) bytes.set([0, 0, 1, 0, 1], 21);
          try {
            socket.send(bytes, 53, "127.0.0.11");
          } catch {
            // full
          }
        }
        await Bun.sleep(1);
      }
    })();
    for (let index = 0; index < 10; index++) expect(data(await dig(alpha, "beta"))).toEqual(["A 10.1.0.3"]);
    upstream.names.set("flooded.test", { addresses: ["192.0.2.5"], ttl: 60 });
    expect(data(await dig(alpha, "flooded.test"))).toEqual(["A 192.0.2.5"]);
    isOver = true;
    await flood;
    socket.close();
    expect(sent).toBeGreaterThan(1000);
    expect(data(await dig(beta, "alpha"))).toEqual(["A 10.1.0.2"]);
    await serve(beta);
  });

  test("streams: several questions at once, a byte at a time, garbage, more than are kept", async () => {
    const question = Uint8Array.from([0, 22, 0, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 4, 0x62, 0x65, 0x74, 0x61, 0, 0, 1, 0, 1]);
    const connect = async (messages: readonly Uint8Array[]): Promise<Buffer> => {
      let got = Buffer.alloc(0);
      const { promise, resolve } = Promise.withResolvers<void>();
      const socket = await alpha.ns.inside(() =>
        Bun.connect({
          hostname: "127.0.0.11",
          port: 53,
          socket: {
            data(_, bytes) {
              got = Buffer.concat([got, bytes]);
              if (got.length >= 40 * 2) resolve();
            },
            close: () => resolve(),
          },
        }),
      );
      for (const message of messages) {
        socket.write(message);
        socket.flush();
        await Bun.sleep(0);
      }
      await promise;
      socket.terminate();
      return got;
    };
    const twice = Uint8Array.from([...question, ...question]);
    expect((await connect([twice])).length).toBe(80);
    expect((await connect([...twice].map((byte) => Uint8Array.of(byte)))).length).toBe(80);
    const idle = await Promise.all(
      Array.from({ length: 50 }, () =>
        alpha.ns.inside(() => Bun.connect({ hostname: "127.0.0.11", port: 53, socket: { data: () => {} } })),
      ),
    );
    expect(data(await dig(alpha, "+tcp", "beta"))).toEqual(["A 10.1.0.3"]);
    for (const socket of idle) socket.terminate();
  });

  test("a container may serve port 53 itself", async () => {
    const own = new NameServer({ addresses: ["192.0.2.99"], ttl: 1 });
    await own.listen(alpha.ns, "0.0.0.0");
    expect((await alpha.ns.output("dig", "@127.0.0.1", "+short", "x.test")).trim()).toBe("192.0.2.99");
    expect(data(await dig(alpha, "beta"))).toEqual(["A 10.1.0.3"]);
    expect(own.asked("beta")).toBe(0);
  });
});
