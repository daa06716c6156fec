/** The client of etcd where etcd is silent, lost in part or in whole, or something else. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Etcd, EtcdErrorCode } from "../../src/networks/overlay/etcd/index.ts";
import { type EtcdServer, startEtcd, startEtcdCluster } from "../kit/etcd.ts";
import { BlackHole, code, EtcdClients, failure, follow, prefix, put } from "./etcd-clients.ts";

let clients: EtcdClients;
let server: EtcdServer;
let etcd: Etcd;

beforeAll(async () => {
  clients = await EtcdClients.start();
  server = clients.server;
  etcd = clients.client();
});

afterAll(() => clients[Symbol.asyncDispose]());

const client: EtcdClients["client"] = (options, of) => clients.client(options, of);

const blackHole = new BlackHole();
afterAll(() => blackHole.close());

describe("a server that says nothing", () => {
  test("costs the time-out, its requests are not sure, and nothing else waits for it", async () => {
    await using own = await startEtcd();
    const [it, patient] = [client({ timeout: 300 }, own), client({}, own)];
    await put("/onggi/a", "1", patient);
    const watch = follow(patient, "/onggi/", 1);
    await watch.seen(1);
    own.freeze();
    const reading = failure(it.get("/onggi/a"));
    const writing = failure(put("/onggi/a", "2", it));
    expect(await code(follow(it, "/onggi/", 1).done)).toBe("etcd_unavailable");
    expect(await reading).toMatchObject({ code: "etcd_unavailable", message: expect.stringContaining("no answer within 0.3 s") });
    expect(await writing).toMatchObject({ code: "etcd_unavailable", uncertain: true });
    expect(await code(it.changedSince("/onggi/", 1))).toBe("etcd_unavailable");
    own.thaw();
    await put("/onggi/b", "3", patient);
    const { entries } = await patient.list("/onggi/");
    expect(entries.map(({ key }) => key)).toEqual(["/onggi/a", "/onggi/b"]);
    expect((await watch.seen(2)).at(0)).toBe("/onggi/a=1");
    watch.stop();
    await watch.done;
  });

  test("close ends what is under way", async () => {
    const own = client({ endpoints: [blackHole.url] });
    const requests = [code(own.get("a")), code(put("a", "", own)), code(follow(own, "a", 1).done)];
    const live = client();
    const watch = follow(live, "a", 1);
    await watch.opened;
    own.close();
    live.close();
    for (const request of [...requests, code(watch.done)]) expect(await request).toBe("etcd_unavailable");
    expect(await failure(live.get("a"))).toMatchObject({ message: "etcd's client is closed" });
  });
});

describe("several endpoints", () => {
  test("one that takes no connections, or says nothing, is asked once", async () => {
    const at = prefix();
    await put(at, "0", etcd);
    let asked = 0;
    const silent = Bun.listen({ port: 0, hostname: "127.0.0.1", socket: { open: () => void asked++, data: () => {} } });
    const endpoints = [`http://127.0.0.1:${silent.port}`, blackHole.url, server.endpoint];
    const of = (from: number, timeout = 1200): Etcd => client({ endpoints: endpoints.slice(from), timeout });
    const write = async (it: Etcd): Promise<void> => {
      for (let number = 1; number < 5; number++) await put(at, String(number), it);
    };
    const read = async (it: Etcd): Promise<void> => {
      for (let number = 0; number < 5; number++) expect(await it.get(at)).not.toBeNull();
    };
    const watch = follow(of(1), at, (await etcd.get(at))!.modRevision);
    try {
      await Promise.all([write(of(1)), read(of(0))]);
      expect(asked).toBe(1);
      expect((await watch.seen(5)).at(-1)).toBe(`${at}=4`);
      // A change was sent: no other is asked.
      expect(await failure(put(at, "5", of(0, 200)))).toMatchObject({ code: "etcd_unavailable", uncertain: true });
      expect((await etcd.get(at))?.value).toBe("4");
    } finally {
      silent.stop(true);
      watch.stop();
    }
    await watch.done;
  });

  test("none is reached", async () => {
    const none = client({ endpoints: [blackHole.url, "http://127.0.0.1:1"], timeout: 300 });
    const error = await failure(put("/onggi/a", "", none));
    expect(error).toMatchObject({ code: "etcd_unavailable", uncertain: false });
    for (const { message } of [error, await failure(none.get("/onggi/a"))]) {
      expect(message).toContain(`${blackHole.url}: no answer within `);
      expect(message).toContain("http://127.0.0.1:1: connection refused");
    }
    expect(await code(client({ endpoints: ["http://nosuch.invalid"], timeout: 500 }).get("a"))).toBe("etcd_unavailable");
  });

  test("members are killed: with one less all goes on, with two it says so", async () => {
    const members = await startEtcdCluster(3);
    try {
      const endpoints = members.map(({ endpoint }) => endpoint);
      const [it, hasty] = [client({ endpoints }), client({ endpoints, timeout: 1000 })];
      await put("/onggi/a", "1", it);
      await members[0]!.kill();
      const { entries, revision } = await it.list("/onggi/");
      expect(entries.map(({ value }) => value)).toEqual(["1"]);
      // The cluster may be choosing a leader: what is not sure is looked at.
      while ((await it.get("/onggi/a"))?.value !== "2") await put("/onggi/a", "2", hasty).catch(() => {});
      const watch = follow(it, "/onggi/", revision + 1);
      expect((await watch.seen(1)).at(0)).toBe("/onggi/a=2");
      await members[2]!.kill();
      const lost = client({ endpoints: endpoints.slice(1, 2), timeout: 400 });
      expect(await code(put("/onggi/a", "3", lost))).toBe("etcd_unavailable");
      // Also where the connection lives on: the member knows that it is alone, and says so.
      expect(await code(watch.done)).toBe("etcd_unavailable");
      for (let known = false; !known; ) {
        const { message, uncertain } = await failure(put("/onggi/a", "3", lost));
        known = message.includes("no leader") && !uncertain;
      }
      await members[2]!.up();
      expect((await it.get("/onggi/a"))?.value).toMatch(/[23]/);
    } finally {
      for (const member of members) await member.close();
    }
  });
});

describe("servers that are no etcd", () => {
  const header = { revision: "5" };
  const line = (value: unknown): string => `${JSON.stringify(value)}\n`;
  const answers: readonly [string, () => Response, EtcdErrorCode][] = [
    ["a web server", () => new Response("<html>", { headers: { "content-type": "text/html" } }), "etcd_invalid_answer"],
    ["another API", () => Response.json({ hello: "world" }), "etcd_invalid_answer"],
    ["an old etcd", () => new Response("404 page not found", { status: 404 }), "etcd_invalid_answer"],
    ["a proxy without a server", () => new Response("bad gateway", { status: 502 }), "etcd_unavailable"],
    ["a redirect", () => Response.redirect("http://127.0.0.1:1/", 307), "etcd_invalid_answer"],
    ["nothing", () => new Response(""), "etcd_invalid_answer"],
    ["a list", () => Response.json([]), "etcd_invalid_answer"],
    ["null", () => Response.json(null), "etcd_invalid_answer"],
    ["no base64", () => Response.json({ header, kvs: [{ key: "?", mod_revision: "1" }] }), "etcd_invalid_answer"],
    ["no revision", () => Response.json({ header, kvs: [{ key: "YQ==", mod_revision: 1 }] }), "etcd_invalid_answer"],
    ["a revision too large", () => Response.json({ header: { revision: "9007199254740993" } }), "etcd_invalid_answer"],
    ["a cancelled request", () => Response.json({ error: "context canceled", code: 1 }, { status: 408 }), "etcd_unavailable"],
    [
      "what gzip makes of it",
      () => new Response(Bun.gzipSync("{}"), { headers: { "content-encoding": "gzip" } }),
      "etcd_invalid_answer",
    ],
  ];

  test.each(answers)("%s", async (name, answer, expected) => {
    using garbage = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: answer });
    const it = client({ endpoints: [garbage.url.origin], timeout: expected === "etcd_unavailable" ? 250 : 5000 });
    expect(await code(it.get("a"))).toBe(expected);
    expect(await code(it.list("a"))).toBe(expected);
    expect(await code(follow(it, "a", 1).done)).toMatch(/^etcd_(invalid_answer|unavailable)$/);
    const change = await failure(it.transaction({ compare: [], success: [{ put: "a", value: "" }], failure: [{ get: "a" }] }));
    expect(change).toMatchObject({ code: expected, uncertain: name !== "an old etcd" });
    expect(await code(it.keepAlive("1"))).toMatch(/^etcd_(invalid_answer|unavailable)$/);
    // Beside one that is right it is no matter.
    const at = prefix();
    await put(at, "1", etcd);
    const both = client({ endpoints: [garbage.url.origin, server.endpoint] });
    expect((await both.get(at))?.value).toBe("1");
  });

  test("an answer without an end is read to the limit", async () => {
    const piece = new Uint8Array(1 << 20).fill(32);
    using endless = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch: () => new Response(new ReadableStream({ pull: (controller) => controller.enqueue(piece) })),
    });
    const it = client({ endpoints: [endless.url.origin] });
    expect(await failure(it.get("a"))).toMatchObject({ code: "etcd_invalid_answer", message: expect.stringContaining("64 MiB") });
    expect(await code(follow(it, "a", 1).done)).toBe("etcd_invalid_answer");
  });

  test("a stream split anywhere, several messages at once, an error, an end", async () => {
    const kv = { key: "YQ==", value: "7Zi5", mod_revision: "6", create_revision: "6" };
    const start = line({ result: { header, created: true } });
    const events = line({ result: { header, events: [{ kv }], fragment: true } });
    const rest = line({ result: { header, events: [{ type: "DELETE", kv: { key: "YQ==", mod_revision: "6" } }] } });
    const streams: readonly [string, EtcdErrorCode, number][] = [
      [start + events + rest, "etcd_unavailable", 1],
      [start + line({ error: { grpc_code: 14, http_code: 503, message: "etcdserver: no leader" } }), "etcd_unavailable", 0],
      [start + line({ error: { code: 7, message: "etcdserver: permission denied" } }), "etcd_unauthorized", 0],
      [start + rest + line({ result: { canceled: true, compact_revision: "9" } }), "etcd_compacted", 1],
      [start + rest + line({ result: { canceled: true, cancel_reason: "why not" } }), "etcd_unavailable", 1],
      [`${start}garbage\n`, "etcd_invalid_answer", 0],
      [start + line({ result: { events: [{ type: "WHAT", kv }] } }), "etcd_invalid_answer", 0],
      [start + events, "etcd_unavailable", 0],
      [events, "etcd_invalid_answer", 0],
      ["", "etcd_unavailable", 0],
    ];
    for (const [text, expected, count] of streams) {
      using pieces = Bun.serve({
        port: 0,
        hostname: "127.0.0.1",
        fetch: () =>
          new Response(async function* () {
            const bytes = Buffer.from(text);
            for (let from = 0; from < bytes.length; from += 7) {
              yield bytes.subarray(from, from + 7);
              if (from % 70 === 0) await Bun.sleep(0);
            }
          } as never),
      });
      const watch = follow(client({ endpoints: [pieces.url.origin] }), "a", 1);
      expect([text, await code(watch.done)]).toEqual([text, expected]);
      expect(watch.batches.length).toBe(count);
    }
  });

  test("a watch that is never confirmed", async () => {
    using silent = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch: () => new Response(new ReadableStream({ start: (controller) => controller.enqueue(Buffer.from("{")) })),
    });
    const it = client({ endpoints: [silent.url.origin], timeout: 200 });
    expect(await code(follow(it, "a", 1).done)).toBe("etcd_unavailable");
    expect(await code(it.get("a"))).toBe("etcd_unavailable");
  });

  test("a proxy of the environment is not asked", async () => {
    const before = process.env.http_proxy;
    process.env.http_proxy = "http://127.0.0.1:1";
    try {
      expect(await etcd.get("/onggi/none")).toBeNull();
      expect(process.env.http_proxy).toBe("http://127.0.0.1:1");
    } finally {
      if (before === undefined) delete process.env.http_proxy;
      else process.env.http_proxy = before;
    }
  });
});
