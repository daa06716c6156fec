/** The client of etcd, with Debian's etcd, alone and as a cluster, and with servers that are none. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { Etcd, EtcdError, type EtcdErrorCode, type EtcdOptions, type WatchBatch } from "../../src/networks/overlay/etcd/index.ts";
import { bindSocket, close, connectSocket, localPort, socketAddress } from "../../src/sys/index.ts";
import { type EtcdServer, startEtcd, startEtcdCluster } from "../kit/etcd.ts";

let server: EtcdServer;
let etcd: Etcd;
const clients: Etcd[] = [];

beforeAll(async () => {
  server = await startEtcd();
  etcd = client();
});

afterAll(async () => {
  for (const one of clients) one.close();
  await server.close();
});

function client(options: Partial<EtcdOptions> = {}, of = server): Etcd {
  const made = new Etcd({ ...of.options, ...options });
  clients.push(made);
  return made;
}

let prefixes = 0;
/** Where only one test writes. */
const prefix = (): string => `/onggi/${prefixes++}/`;

const put = (key: string, value: string, of = etcd): Promise<unknown> =>
  of.transaction({ compare: [], success: [{ put: key, value }] });

/** How something fails. */
async function failure(work: Promise<unknown>): Promise<EtcdError> {
  const error = await work.then(
    () => new Error("did not fail"),
    (thrown) => thrown,
  );
  if (!(error instanceof EtcdError)) throw error;
  return error;
}

const code = async (work: Promise<unknown>): Promise<EtcdErrorCode> => (await failure(work)).code;

/** A watch that collects. */
function follow(of: Etcd, where: string, from: number) {
  const stop = new AbortController();
  const batches: WatchBatch[] = [];
  const opened = Promise.withResolvers<void>();
  const waiting = new Set<() => void>();
  const run = async (): Promise<void> => {
    for await (const batch of of.watch(where, from, { signal: stop.signal, opened: opened.resolve })) {
      batches.push(batch);
      for (const wake of waiting) wake();
    }
  };
  const done = run();
  done.catch(() => {}).finally(opened.resolve);
  const events = () => batches.flatMap((batch) => batch.events);
  const seen = async (count: number): Promise<string[]> => {
    while (events().length < count) {
      const { promise, resolve } = Promise.withResolvers<void>();
      waiting.add(resolve);
      await Promise.race([promise, done]);
      waiting.delete(resolve);
    }
    return events().map((event) => (event.type === "put" ? `${event.entry.key}=${event.entry.value}` : `-${event.key}`));
  };
  return { done, opened: opened.promise, batches, seen, stop: () => stop.abort() };
}

describe("entries", () => {
  test("put, get, list, compare, remove", async () => {
    const at = prefix();
    expect(await etcd.get(`${at}a`)).toBeNull();
    const first = await etcd.transaction({
      compare: [{ key: `${at}a`, absent: true }],
      success: [
        { put: `${at}a`, value: '옹기 \0 {"}' },
        { put: `${at}b`, value: "" },
      ],
    });
    expect(first).toMatchObject({ succeeded: true, results: [{ entries: [], removed: 0 }, { removed: 0 }] });
    const { revision } = first;
    const a = { key: `${at}a`, value: '옹기 \0 {"}', modRevision: revision, createRevision: revision, lease: "" };
    const b = { ...a, key: `${at}b`, value: "" };
    expect(await etcd.get(`${at}a`)).toEqual(a);
    expect(await etcd.list(at)).toEqual({ entries: [a, b], revision });
    const second = await etcd.transaction({
      compare: [{ key: `${at}a`, absent: true }],
      success: [{ put: `${at}a`, value: "x" }],
      failure: [{ get: `${at}a` }, { list: at }, { get: `${at}none` }],
    });
    expect(second).toEqual({
      succeeded: false,
      revision,
      results: [
        { entries: [a], removed: 0 },
        { entries: [a, b], removed: 0 },
        { entries: [], removed: 0 },
      ],
    });
    const third = await etcd.transaction({
      compare: [
        { key: `${at}a`, present: true },
        { key: `${at}a`, modRevision: revision },
        { key: `${at}b`, value: "" },
        { key: `${at}c`, modRevision: 0 },
      ],
      success: [{ remove: `${at}a` }, { remove: `${at}none` }, { put: `${at}c`, value: "c" }],
    });
    expect(third).toMatchObject({ succeeded: true, revision: revision + 1, results: [{ removed: 1 }, { removed: 0 }, {}] });
    expect(await etcd.changedSince(at, revision)).toEqual({ changed: 1, keys: 2, revision: revision + 1 });
    expect(await etcd.changedSince(at, revision + 1)).toEqual({ changed: 0, keys: 2, revision: revision + 1 });
    const last = await etcd.transaction({
      compare: [{ key: `${at}a`, present: true }],
      success: [],
      failure: [{ removePrefix: at }],
    });
    expect(last).toMatchObject({ succeeded: false, results: [{ removed: 2 }] });
    expect((await etcd.list(at)).entries).toEqual([]);
  });

  test("a prefix is no more than that", async () => {
    const at = prefix();
    for (const key of ["a", "a/1", "aé", "a\u{10ffff}", "b"]) await put(`${at}${key}`, "");
    const keys = async (text: string): Promise<string[]> =>
      (await etcd.list(at + text)).entries.map(({ key }) => key.slice(at.length));
    expect(await keys("a")).toEqual(["a", "a/1", "aé", "a\u{10ffff}"]);
    expect(await keys("aé")).toEqual(["aé"]);
    expect(await keys("a\u{10ffff}")).toEqual(["a\u{10ffff}"]);
    expect((await etcd.list("")).entries.length).toBeGreaterThan(4);
  });

  test("many are listed by pages, as they were at one revision", async () => {
    const at = prefix();
    const names = Array.from({ length: 2_300 }, (_, number) => `${at}${String(number).padStart(5, "0")}`);
    for (let from = 0; from < names.length; from += 100)
      await etcd.transaction({ compare: [], success: names.slice(from, from + 100).map((key) => ({ put: key, value: key })) });
    const listing = etcd.list(at);
    const more = put(`${at}99999`, "later");
    const { entries, revision } = await listing;
    await more;
    expect(entries.slice(0, names.length).map(({ key }) => key)).toEqual(names);
    expect(entries.every(({ modRevision }) => modRevision <= revision)).toBe(true);
    expect((await etcd.changedSince(at, revision)).changed).toBe(names.length + 1 - entries.length);
  });

  test("of a hundred that make one entry, one does", async () => {
    const at = prefix();
    const attempts = Array.from({ length: 100 }, (_, who) =>
      etcd.transaction({
        compare: [{ key: at, absent: true }],
        success: [{ put: at, value: String(who) }],
        failure: [{ get: at }],
      }),
    );
    const outcomes = await Promise.all(attempts);
    const winner = outcomes.findIndex(({ succeeded }) => succeeded);
    expect(outcomes.filter(({ succeeded }) => succeeded).length).toBe(1);
    expect((await etcd.get(at))?.value).toBe(String(winner));
    for (const [who, { results }] of outcomes.entries())
      if (who !== winner) expect(results[0]!.entries[0]!.value).toBe(String(winner));
  });

  test("what etcd refuses", async () => {
    const twice = [
      { put: "/onggi/same", value: "1" },
      { put: "/onggi/same", value: "2" },
    ];
    expect(await failure(etcd.transaction({ compare: [], success: twice }))).toMatchObject({
      code: "etcd_refused",
      message: "etcd refused: duplicate key given in txn request",
      uncertain: false,
    });
    expect(await code(put("/onggi/large", "x".repeat(2_000_000)))).toBe("etcd_refused");
  });

  test("status", async () => {
    expect(await etcd.status()).toMatchObject({ version: expect.stringMatching(/^3\.\d+\.\d+$/) });
  });
});

describe("leases", () => {
  test("one that is not kept alive ends, and its entries; one that is does not", async () => {
    const at = prefix();
    const [ending, kept] = await Promise.all([etcd.grantLease(1), etcd.grantLease(60)]);
    expect(ending.ttl).toBeGreaterThanOrEqual(1);
    await etcd.transaction({
      compare: [],
      success: [
        { put: `${at}ending`, value: "", lease: ending.id },
        { put: `${at}kept`, value: "", lease: kept.id },
      ],
    });
    expect((await etcd.get(`${at}ending`))?.lease).toBe(ending.id);
    expect(await etcd.leaseKeys(ending.id)).toEqual([`${at}ending`]);
    expect(await etcd.keepAlive(kept.id)).toBe(60);
    const { revision } = await etcd.list(at);
    const watch = follow(etcd, at, revision + 1);
    expect(await watch.seen(1)).toEqual([`-${at}ending`]);
    watch.stop();
    await watch.done;
    expect(await code(etcd.keepAlive(ending.id))).toBe("etcd_lease_gone");
    expect(await code(etcd.leaseKeys(ending.id))).toBe("etcd_lease_gone");
    expect(await code(etcd.transaction({ compare: [], success: [{ put: at, value: "", lease: ending.id }] }))).toBe(
      "etcd_lease_gone",
    );
    await etcd.revokeLease(ending.id);
    await etcd.revokeLease(kept.id);
    await etcd.revokeLease(kept.id);
    expect((await etcd.list(at)).entries).toEqual([]);
  });
});

describe("watch", () => {
  test("what was and what comes, in order, no revision split", async () => {
    const at = prefix();
    const { revision } = await etcd.transaction({ compare: [], success: [{ put: `${at}a`, value: "1" }] });
    await etcd.transaction({ compare: [], success: [{ remove: `${at}a` }, { put: `${at}b`, value: "2" }] });
    const watch = follow(etcd, at, revision);
    expect(await watch.seen(3)).toEqual([`${at}a=1`, `-${at}a`, `${at}b=2`]);
    await put("/elsewhere", "");
    const many = Array.from({ length: 120 }, (_, number) => ({ put: `${at}${number}`, value: "x".repeat(100) }));
    const last = await etcd.transaction({ compare: [], success: many });
    await watch.seen(123);
    expect(watch.batches.at(-1)).toMatchObject({ revision: last.revision, events: { length: 120 } });
    watch.stop();
    await watch.done;
  });

  test("large changes come in fragments and are put together", async () => {
    const at = prefix();
    const { revision } = await etcd.list(at);
    for (let number = 0; number < 3; number++) await put(`${at}${number}`, String(number).repeat(1_000_000));
    const watch = follow(etcd, at, revision + 1);
    expect((await watch.seen(3)).map((text) => text.length)).toEqual(Array(3).fill(at.length + 2 + 1_000_000));
    watch.stop();
    await watch.done;
    await etcd.transaction({ compare: [], success: [{ removePrefix: at }] });
  });

  test("from a revision that is no longer kept", async () => {
    const at = prefix();
    await put(at, "1");
    await put(at, "2");
    const { revision } = await etcd.list(at);
    await server.control("compact", String(revision));
    expect(await code(follow(etcd, at, revision - 1).done)).toBe("etcd_compacted");
    const watch = follow(etcd, at, revision);
    expect(await watch.seen(1)).toEqual([`${at}=2`]);
    watch.stop();
    await watch.done;
  });

  test("ends when told to: before, while it opens, while it waits, and from within", async () => {
    const at = prefix();
    const before = new AbortController();
    before.abort();
    for await (const _ of etcd.watch(at, 1, { signal: before.signal })) throw new Error("nothing was to come");
    const opening = follow(etcd, at, 1);
    opening.stop();
    await opening.done;
    const waiting = follow(etcd, at, 1_000_000);
    await waiting.opened;
    waiting.stop();
    await waiting.done;
    await put(at, "");
    const { revision } = await etcd.list(at);
    for await (const { events } of etcd.watch(at, revision, { signal: new AbortController().signal })) {
      expect(events.length).toBe(1);
      break;
    }
  });

  test("a restart ends it; another one goes on where it was", async () => {
    await using own = await startEtcd();
    const it = client({}, own);
    await put("/onggi/a", "1", it);
    const first = follow(it, "/onggi/", 1);
    expect(await first.seen(1)).toEqual(["/onggi/a=1"]);
    await own.kill();
    expect(await code(first.done)).toBe("etcd_unavailable");
    expect(await failure(it.get("/onggi/a"))).toMatchObject({
      code: "etcd_unavailable",
      message: `etcd cannot be used: ${own.endpoint}: connection refused`,
    });
    expect(await code(follow(it, "/onggi/", 1).done)).toBe("etcd_unavailable");
    await own.up();
    await put("/onggi/b", "2", it);
    const second = follow(it, "/onggi/", first.batches.at(-1)!.revision + 1);
    expect(await second.seen(1)).toEqual(["/onggi/b=2"]);
    await own.stop();
    expect(await code(second.done)).toBe("etcd_unavailable");
  });
});

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

/** Where connections are never made: the queue is full and nobody takes from it. */
class BlackHole {
  readonly #sockets: number[];
  readonly url: string;

  constructor() {
    const loopback = Uint8Array.of(127, 0, 0, 1);
    const listener = bindSocket(socketAddress(loopback, 0), 1, 0);
    const port = localPort(listener);
    // A queue of length 0 holds one.
    this.#sockets = [listener, connectSocket(socketAddress(loopback, port), 1)];
    this.url = `http://127.0.0.1:${port}`;
  }

  close(): void {
    for (const fd of this.#sockets) close(fd);
  }
}

const blackHole = new BlackHole();
afterAll(() => blackHole.close());

describe("several endpoints", () => {
  test("one that takes no connections, or says nothing, is asked once", async () => {
    const at = prefix();
    await put(at, "0");
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

describe("TLS", () => {
  test("certificates of both sides; of others", async () => {
    await using own = await startEtcd({ tls: "mutual" });
    const it = client({}, own);
    await put("/onggi/a", "1", it);
    const watch = follow(it, "/onggi/", 1);
    expect(await watch.seen(1)).toEqual(["/onggi/a=1"]);
    watch.stop();
    await watch.done;
    const { ca, cert, key, endpoints } = own.options;
    const says = async (options: EtcdOptions, text: string): Promise<void> => {
      const { code, message } = await failure(new Etcd(options).get("/onggi/a"));
      expect(code).toBe("etcd_unavailable");
      expect(message).toContain(text);
    };
    await says({ endpoints, ca: ca! }, "wants to see a certificate");
    await says({ endpoints, cert: cert!, key: key! }, "its certificate is not trusted");
    await says(
      { ...own.options, endpoints: [endpoints[0]!.replace("127.0.0.1", "localhost")] },
      "its certificate is not trusted",
    );
    await says({ endpoints: [endpoints[0]!.replace("https", "http")] }, "etcds:// is for servers with TLS");
    await says({ endpoints: [server.endpoint.replace("http", "https")] }, "etcds:// is for servers with TLS");
    const other = readFileSync(own.file("server.key"), "utf8");
    const unusable: readonly [Partial<EtcdOptions>, string][] = [
      [{ ca: "nonsense" }, "not in PEM"],
      [{ ca: "-----BEGIN CERTIFICATE-----\nbm9uc2Vuc2U=\n-----END CERTIFICATE-----\n" }, "is damaged"],
      [{ cert: cert! }, "the certificate has no key"],
      [{ key: key! }, "the key has no certificate"],
      [{ cert: cert!, key: "nonsense" }, "no private key"],
      [{ cert: cert!, key: other }, "not that of the client's certificate"],
    ];
    for (const [options, text] of unusable) expect(() => new Etcd({ endpoints, ...options })).toThrow(text);
  });
});

describe("users", () => {
  let own: EtcdServer;
  beforeAll(async () => {
    own = await startEtcd({ auth: { user: "app", password: "p:w" }, tls: "mutual" });
  });
  afterAll(() => own.close());

  test("who may what", async () => {
    const it = client({}, own);
    await put("/onggi/a", "1", it);
    expect(await failure(it.get("/other"))).toMatchObject({
      code: "etcd_unauthorized",
      message: expect.stringContaining("permission denied"),
    });
    expect(await code(follow(it, "/other", 1).done)).toBe("etcd_unauthorized");
    const { user, password: _, ...nobody } = own.options;
    expect(() => new Etcd({ ...nobody, user: user! })).toThrow("etcd's user app has no password");
    expect(await failure(new Etcd(nobody).get("/onggi/a"))).toMatchObject({
      code: "etcd_unauthorized",
      message: expect.stringContaining("a user and a password"),
    });
    expect(await failure(client({ password: "wrong" }, own).get("/onggi/a"))).toMatchObject({
      code: "etcd_unauthorized",
      message: "etcd does not know this user with this password",
    });
    const text = (name: string): string => readFileSync(own.file(name), "utf8");
    const named = client({ cert: text("named.crt"), key: text("named.key") }, own);
    const message = expect.stringContaining("has no common name (CN)");
    expect(await failure(put("/onggi/a", "", named))).toMatchObject({ code: "etcd_unauthorized", message, uncertain: false });
    expect(await failure(follow(named, "/onggi/a", 1).done)).toMatchObject({ code: "etcd_unauthorized", message });
    // Where etcd has no users, one is no matter.
    const at = prefix();
    await put(at, "1", client({ user: "app", password: "pw" }));
    expect((await etcd.get(at))?.value).toBe("1");
  });

  test("tokens that etcd has forgotten are fetched again, once for all that need one", async () => {
    const [it, watching] = [client({}, own), client({}, own)];
    await put("/onggi/a", "1", it);
    await watching.get("/onggi/a");
    await own.restart();
    const [entry, lease] = await Promise.all([
      it.get("/onggi/a"),
      it.grantLease(10),
      ...Array.from({ length: 20 }, () => it.list("/onggi/")),
    ]);
    expect(entry?.value).toBe("1");
    await it.revokeLease(lease.id);
    const watch = follow(watching, "/onggi/a", entry!.modRevision);
    expect(await watch.seen(1)).toEqual(["/onggi/a=1"]);
    watch.stop();
    await watch.done;
    await own.restart();
    await put("/onggi/a", "2", it);
    // Changed users make earlier tokens old.
    await own.control("user", "add", "other:pw");
    await put("/onggi/a", "3", it);
    expect((await it.get("/onggi/a"))?.value).toBe("3");
  });

  test("users that come and go", async () => {
    const it = client({}, own);
    await own.control("auth", "disable");
    await put("/onggi/a", "4", it);
    const later = client({}, own);
    await later.get("/onggi/a");
    await own.control("auth", "enable");
    await put("/onggi/a", "5", later);
    await put("/onggi/a", "6", it);
    expect((await it.get("/onggi/a"))?.value).toBe("6");
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
    await put(at, "1");
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
