import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  decodeKeptAlive,
  decodeLease,
  decodeMemberStatus,
  decodeRange,
  decodeStatus,
  decodeToken,
  decodeTransaction,
  decodeWatchMessage,
  type Fields,
  parseJson,
} from "./decode.ts";
import { encodeTransaction, keyAfter, keyRange, onlyReads, prefixRange } from "./encode.ts";
import { EtcdError } from "./errors.ts";
import { mayPass, notDone, refusal, statusInReason, wantsToken } from "./status.ts";
import type { Operation } from "./types.ts";

const header = { cluster_id: "12101053776118486841", member_id: "15985099378392235387", revision: "3", raft_term: "2" };
const kv = {
  key: "L2EvMQ==",
  create_revision: "2",
  mod_revision: "3",
  version: "1",
  value: "dg==",
  lease: "9041998969310616842",
};
const entry = { key: "/a/1", value: "v", modRevision: 3, createRevision: 2, lease: "9041998969310616842" };
const bytes = (encoded: unknown): Buffer => Buffer.from(encoded as string, "base64");

describe("requests", () => {
  test("a transaction", () => {
    expect(
      encodeTransaction({
        compare: [
          { key: "a", absent: true },
          { key: "a", present: true },
          { key: "a", modRevision: 7 },
          { key: "a", value: "b" },
        ],
        success: [{ put: "a", value: "b", lease: "12" }, { put: "a", value: "" }, { remove: "a" }, { removePrefix: "a" }],
        failure: [{ get: "a" }, { list: "a" }],
      }),
    ).toEqual({
      compare: [
        { key: "YQ==", target: "CREATE", result: "EQUAL", create_revision: "0" },
        { key: "YQ==", target: "CREATE", result: "GREATER", create_revision: "0" },
        { key: "YQ==", target: "MOD", result: "EQUAL", mod_revision: "7" },
        { key: "YQ==", target: "VALUE", result: "EQUAL", value: "Yg==" },
      ],
      success: [
        { request_put: { key: "YQ==", value: "Yg==", lease: "12" } },
        { request_put: { key: "YQ==", value: "" } },
        { request_delete_range: { key: "YQ==" } },
        { request_delete_range: { key: "YQ==", range_end: "Yg==" } },
      ],
      failure: [{ request_range: { key: "YQ==" } }, { request_range: { key: "YQ==", range_end: "Yg==" } }],
    });
  });

  test("only what reads may be sent twice", () => {
    expect(onlyReads({ compare: [], success: [{ get: "a" }], failure: [{ list: "a" }] })).toBe(true);
    expect(onlyReads({ compare: [], success: [{ get: "a" }], failure: [{ remove: "a" }] })).toBe(false);
    expect(onlyReads({ compare: [], success: [{ put: "a", value: "" }] })).toBe(false);
  });

  test("a prefix's range holds what begins with it and nothing else", () => {
    const text = fc.string({ unit: "binary", maxLength: 6 });
    fc.assert(
      fc.property(text, text, text, (prefix, rest, other) => {
        const { key, range_end } = prefixRange(prefix);
        const inRange = (name: string): boolean =>
          Buffer.compare(Buffer.from(name), bytes(key)) >= 0 &&
          (prefix === "" || Buffer.compare(Buffer.from(name), bytes(range_end)) < 0);
        if (prefix + rest !== "") expect(inRange(prefix + rest)).toBe(true);
        const starts = Buffer.from(other).subarray(0, Buffer.byteLength(prefix)).equals(Buffer.from(prefix));
        if (other !== "") expect(inRange(other)).toBe(starts);
      }),
    );
    expect(prefixRange("")).toEqual({ key: "AA==", range_end: "AA==" });
    expect(keyRange("a")).toEqual({ key: "YQ==" });
    expect(bytes(keyAfter("YQ=="))).toEqual(Buffer.from("a\0"));
  });
});

describe("answers", () => {
  test("a range", () => {
    expect(decodeRange({ header, kvs: [kv], more: true, count: "9" })).toEqual({
      entries: [entry],
      revision: 3,
      more: true,
      count: 9,
      lastKey: "L2EvMQ==",
    });
    expect(decodeRange({ header })).toEqual({ entries: [], revision: 3, more: false, count: 0, lastKey: "" });
    const { value: _, lease: __, ...bare } = kv;
    expect(decodeRange({ header, kvs: [bare] }).entries).toEqual([{ ...entry, value: "", lease: "" }]);
  });

  test("bytes that are no text", () => {
    const key = Buffer.from([0x61, 0xff]).toString("base64");
    const { entries, lastKey } = decodeRange({ header, kvs: [{ ...kv, key }] });
    expect(entries[0]!.key).toBe("a\ufffd");
    expect(lastKey).toBe(key);
  });

  test("a transaction", () => {
    const success: Operation[] = [{ put: "a", value: "" }, { remove: "a" }, { list: "a" }];
    const responses = [
      { response_put: { header } },
      { response_delete_range: { header, deleted: "2" } },
      { response_range: { header, kvs: [kv], count: "1" } },
    ];
    expect(decodeTransaction({ header, succeeded: true, responses }, success, [])).toEqual({
      succeeded: true,
      revision: 3,
      results: [
        { entries: [], removed: 0 },
        { entries: [], removed: 2 },
        { entries: [entry], removed: 0 },
      ],
    });
    expect(decodeTransaction({ header }, success, [])).toEqual({ succeeded: false, revision: 3, results: [] });
    expect(() => decodeTransaction({ header, responses }, success, [])).toThrow("0 operations have 3 results");
    expect(() => decodeTransaction({ header, succeeded: true, responses: responses.toReversed() }, success, [])).toThrow(
      "the result of a put",
    );
  });

  test("leases, tokens, a member", () => {
    expect(decodeLease({ header, ID: "7", TTL: "5", keys: ["YQ=="] })).toEqual({ id: "7", ttl: 5, keys: ["a"] });
    expect(decodeLease({ header, ID: "7", TTL: "-1" })).toEqual({ id: "7", ttl: -1, keys: [] });
    expect(decodeKeptAlive({ result: { header, ID: "7" } })).toEqual({ id: "7", ttl: 0, keys: [] });
    expect(() => decodeLease({ header })).toThrow("the lease has no id");
    expect(decodeToken({ header, token: "hVjzdfbDoRQFjqRN.32" })).toBe("hVjzdfbDoRQFjqRN.32");
    expect(() => decodeToken({ token: "a\r\nb: c" })).toThrow("the token is no text");
    expect(decodeMemberStatus({ header, version: "3.4.23" })).toEqual({ version: "3.4.23", revision: 3 });
  });

  test("a watch's message", () => {
    const events = [{ kv }, { type: "PUT", kv }, { type: "DELETE", kv: { key: "YQ==", mod_revision: "4" } }];
    expect(decodeWatchMessage({ header, events, fragment: true })).toEqual({
      created: false,
      canceled: false,
      cancelReason: "",
      compactRevision: 0,
      fragment: true,
      events: [
        { type: "put", entry },
        { type: "put", entry },
        { type: "remove", key: "a", modRevision: 4 },
      ],
    });
    expect(decodeWatchMessage({ canceled: true, compact_revision: "9", cancel_reason: "x" })).toMatchObject({
      canceled: true,
      compactRevision: 9,
      cancelReason: "x",
    });
  });

  test.each([
    ["a header that is missing", {}],
    ["a revision that is a number", { header: { revision: 3 } }],
    ["a revision of 0", { header: {} }],
    ["a revision that is too large", { header: { revision: "9007199254740993" } }],
    ["entries that are no list", { header, kvs: {} }],
    ["an entry that is none", { header, kvs: [null] }],
    ["a key that is not base64", { header, kvs: [{ ...kv, key: "a" }] }],
    ["a value that is not base64", { header, kvs: [{ ...kv, value: "====" }] }],
    ["a lease that is no integer", { header, kvs: [{ ...kv, lease: "1e3" }] }],
    ["more of nothing", { header, more: true }],
    ["more that is a text", { header, more: "true" }],
  ] as [string, Fields][])("%s", (_name, answer) => {
    expect(() => decodeRange(answer)).toThrow(EtcdError);
  });

  test("any JSON is decoded or refused", () => {
    const decoders: ((answer: Fields) => unknown)[] = [
      decodeRange,
      decodeLease,
      decodeKeptAlive,
      decodeToken,
      decodeMemberStatus,
      decodeWatchMessage,
      decodeStatus,
      (answer) => decodeTransaction(answer, [{ get: "a" }], [{ put: "a", value: "" }]),
    ];
    const names = [
      "header",
      "revision",
      "kvs",
      "key",
      "value",
      "mod_revision",
      "create_revision",
      "lease",
      "count",
      "more",
      "events",
    ];
    const more = [
      "type",
      "kv",
      "responses",
      "response_range",
      "succeeded",
      "result",
      "ID",
      "TTL",
      "keys",
      "token",
      "error",
      "code",
    ];
    const leaf = fc.oneof(
      fc.constantFrom("1", "YQ==", "", "-1", "x", "9999999999999999999"),
      fc.boolean(),
      fc.integer(),
      fc.constant(null),
    );
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 5 },
        leaf,
        fc.array(tie("value"), { maxLength: 3 }),
        fc.dictionary(fc.constantFrom(...names, ...more), tie("value")),
      ),
    }));
    fc.assert(
      fc.property(
        fc.oneof(
          value!.map((some) => JSON.stringify(some)),
          fc.json(),
          fc.string(),
        ),
        (text) => {
          for (const decode of decoders) {
            try {
              decode(parseJson(text));
            } catch (error) {
              expect(error).toBeInstanceOf(EtcdError);
            }
          }
        },
      ),
      { numRuns: 1000 },
    );
  });
});

describe("refusals", () => {
  test("as both versions of the gateway write them, of requests and in streams", () => {
    const status = { code: 7, message: "etcdserver: permission denied" };
    expect(decodeStatus({ error: status.message, ...status })).toEqual(status);
    expect(decodeStatus({ ...status, details: [] })).toEqual(status);
    expect(decodeStatus({ error: { grpc_code: 7, http_code: 403, message: status.message } })).toEqual(status);
    expect(decodeStatus({ error: status })).toEqual(status);
    expect(decodeStatus({ header, ID: "1", error: "" })).toBeNull();
  });

  test.each([
    [5, "etcdserver: requested lease not found", "etcd_lease_gone"],
    [11, "etcdserver: mvcc: required revision has been compacted", "etcd_compacted"],
    [11, "etcdserver: mvcc: required revision is a future revision", "etcd_refused"],
    [7, "etcdserver: permission denied", "etcd_unauthorized"],
    [3, "etcdserver: authentication failed, invalid user ID or password", "etcd_unauthorized"],
    [3, "etcdserver: user name is empty", "etcd_unauthorized"],
    [16, "etcdserver: invalid auth token", "etcd_unauthorized"],
    [3, "etcdserver: too many operations in txn request", "etcd_refused"],
    [8, "etcdserver: mvcc: database space exceeded", "etcd_refused"],
  ] as const)("%d %s", (code, message, expected) => {
    expect(refusal({ code, message }).code).toBe(expected);
    expect(mayPass({ code, message })).toBe(false);
  });

  test("what passes, what wants a token, what was not done", () => {
    for (const message of ["etcdserver: no leader", "etcdserver: request timed out", "etcdserver: leader changed"])
      expect(mayPass({ code: 14, message })).toBe(true);
    expect(mayPass({ code: 8, message: "etcdserver: too many requests" })).toBe(true);
    expect(notDone({ code: 14, message: "etcdserver: no leader" })).toBe(true);
    expect(notDone({ code: 14, message: "etcdserver: request timed out" })).toBe(false);
    expect(wantsToken({ code: 16, message: "etcdserver: invalid auth token" })).toBe(true);
    expect(wantsToken({ code: 3, message: "etcdserver: revision of auth store is old" })).toBe(true);
    expect(wantsToken({ code: 7, message: "etcdserver: permission denied" })).toBe(false);
  });

  test("the reason of a watch's end", () => {
    const denied = statusInReason("rpc error: code = PermissionDenied desc = etcdserver: permission denied");
    expect(denied).toEqual({ code: 7, message: "etcdserver: permission denied" });
    expect(mayPass(statusInReason("etcdserver: no leader"))).toBe(true);
    expect(mayPass(statusInReason(""))).toBe(true);
  });
});
