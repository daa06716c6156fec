/** The client of etcd, with Debian's etcd. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { Etcd, type EtcdOptions } from "../../src/networks/overlay/etcd/index.ts";
import { type EtcdServer, startEtcd } from "../kit/etcd.ts";
import { code, EtcdClients, failure, follow, prefix, put } from "./etcd-clients.ts";

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
    for (const key of ["a", "a/1", "aé", "a\u{10ffff}", "b"]) await put(`${at}${key}`, "", etcd);
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
    const more = put(`${at}99999`, "later", etcd);
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
    expect(await code(put("/onggi/large", "x".repeat(2_000_000), etcd))).toBe("etcd_refused");
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
    await put("/elsewhere", "", etcd);
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
    for (let number = 0; number < 3; number++) await put(`${at}${number}`, String(number).repeat(1_000_000), etcd);
    const watch = follow(etcd, at, revision + 1);
    expect((await watch.seen(3)).map((text) => text.length)).toEqual(Array(3).fill(at.length + 2 + 1_000_000));
    watch.stop();
    await watch.done;
    await etcd.transaction({ compare: [], success: [{ removePrefix: at }] });
  });

  test("from a revision that is no longer kept", async () => {
    const at = prefix();
    await put(at, "1", etcd);
    await put(at, "2", etcd);
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
    await put(at, "", etcd);
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
