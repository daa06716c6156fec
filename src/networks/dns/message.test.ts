import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  datagramSize,
  decodeQuery,
  decodeResponse,
  encodeAnswer,
  encodeForwarded,
  encodeName,
  encodePassed,
  encodeRefusal,
  HEADER,
  type Query,
  RCODE,
  TYPE,
} from "./message.ts";

const bytes = (...parts: readonly (number | readonly number[] | Uint8Array)[]): Uint8Array =>
  Uint8Array.from(parts.flatMap((part) => (typeof part === "number" ? [part] : [...part])));
const u16 = (value: number): number[] => [value >> 8, value & 255];
const u32 = (value: number): number[] => [...u16(value >>> 16), ...u16(value & 0xffff)];

/** A message: id, flags, counts, and its sections. */
const message = (
  id: number,
  flags: number,
  counts: readonly number[],
  ...rest: readonly (number | readonly number[] | Uint8Array)[]
) => bytes(u16(id), u16(flags), ...counts.map(u16), ...rest);
const question = (name: string, type: number): Uint8Array => bytes(encodeName(name)!, u16(type), u16(1));
const opt = (size: number, ttl = 0): number[] => [0, ...u16(TYPE.OPT), ...u16(size), ...u32(ttl), 0, 0];
const record = (type: number, ttl: number, data: readonly number[] | Uint8Array): Uint8Array =>
  bytes([0xc0, HEADER], u16(type), u16(1), u32(ttl), u16(data.length), data);
const soa = (ttl: number, minimum: number): Uint8Array =>
  record(TYPE.SOA, ttl, bytes(0, 0, u32(1), u32(2), u32(3), u32(4), u32(minimum)));

const ask = (name: string, type: number = TYPE.A): Uint8Array => message(7, 0x100, [1, 0, 0, 0], question(name, type));
const queryOf = (asked: Uint8Array): Query => {
  const query = decodeQuery(asked, asked.length);
  if (query === null || typeof query === "number") throw new Error(`refused with ${query}`);
  return query;
};

describe("questions", () => {
  test("are read, with names in lower case", () => {
    const asked = message(0x1234, 0x120, [1, 0, 0, 1], question("Db.Web", TYPE.AAAA), opt(1400, 0x8000));
    expect(decodeQuery(asked, asked.length)).toEqual({
      id: 0x1234,
      flags: 0x120,
      name: "db.web",
      type: TYPE.AAAA,
      class: 1,
      end: 24,
      edns: { size: 1400, dnssecOk: true },
    });
    expect(queryOf(ask("")).name).toBe("");
    expect(queryOf(message(1, 0, [1, 0, 0, 0], [3, 0x61, 0x2e, 0x5c, 0], u16(1), u16(1))).name).toBe("a\\.\\\\");
  });

  test.each<[string, Uint8Array, number | null]>([
    ["too short for a header", bytes(u16(1), u16(0)), null],
    ["an answer", message(1, 0x8000, [1, 0, 0, 0], question("a", 1)), null],
    ["another operation", message(1, 0x2800, [1, 0, 0, 0], question("a", 1)), RCODE.NOTIMP],
    ["no question", message(1, 0, [0, 0, 0, 0]), RCODE.FORMERR],
    ["two questions", message(1, 0, [2, 0, 0, 0], question("a", 1), question("b", 1)), RCODE.FORMERR],
    ["a question cut off", ask("abc").slice(0, -1), RCODE.FORMERR],
    ["a name that points to itself", message(1, 0, [1, 0, 0, 0], [0xc0, HEADER], u16(1), u16(1)), RCODE.FORMERR],
    ["a name that points to the header", message(0, 0, [1, 0, 0, 0], [1, 0x61, 0xc0, 0], u16(1), u16(1)), RCODE.FORMERR],
    ["a label of a kind that is not there", message(1, 0, [1, 0, 0, 0], [0x41, 0x61, 0], u16(1), u16(1)), RCODE.FORMERR],
    [
      "a name of more than 255 bytes",
      message(1, 0, [1, 0, 0, 0], new Array(130).fill([1, 0x61]).flat(), 0, u16(1), u16(1)),
      RCODE.FORMERR,
    ],
    ["a record that is missing", message(1, 0, [1, 0, 0, 1], question("a", 1)), RCODE.FORMERR],
    ["EDNS twice", message(1, 0, [1, 0, 0, 2], question("a", 1), opt(512), opt(512)), RCODE.FORMERR],
    ["EDNS of another version", message(1, 0, [1, 0, 0, 1], question("a", 1), opt(512, 0x10000)), RCODE.BADVERS],
  ])("%s is refused", (_, asked, code) => {
    expect(decodeQuery(asked, asked.length)).toBe(code);
  });

  test("any bytes are read or refused, and every refusal can be said", () => {
    const any = fc.uint8Array({ maxLength: 300 });
    // A header that passes makes the rest worth reading.
    const likely = fc
      .tuple(fc.nat(3), fc.nat(2), any)
      .map(([counts, kind, rest]) =>
        message(
          1,
          0,
          [1, 0, counts & 1, counts >> 1],
          kind === 0 ? rest : bytes(question("abc", 1), kind === 1 ? opt(900) : [], rest),
        ),
      );
    fc.assert(
      fc.property(fc.oneof(any, likely), (asked) => {
        const query = decodeQuery(asked, asked.length);
        if (query === null) return;
        if (typeof query === "number") {
          const refusal = encodeRefusal(asked, query);
          expect(refusal.length).toBeGreaterThanOrEqual(HEADER);
          expect([...refusal.subarray(0, 2)]).toEqual([...asked.subarray(0, 2)]);
        } else {
          expect(query.end).toBeLessThanOrEqual(asked.length);
          encodeAnswer(query, asked, { rcode: RCODE.REFUSED, limit: datagramSize(query) });
        }
      }),
      { numRuns: 3000 },
    );
  });

  test("any name survives", () => {
    const label = fc.stringMatching(/^[a-z0-9_-]{1,63}$/);
    fc.assert(
      fc.property(fc.array(label, { maxLength: 3 }), fc.boolean(), (labels, upper) => {
        const name = labels.join(".");
        expect(queryOf(ask(upper ? name.toUpperCase() : name)).name).toBe(name);
      }),
    );
    expect(encodeName("a..b")).toBeNull();
    expect(encodeName("a".repeat(64))).toBeNull();
    expect(encodeName(new Array(5).fill("a".repeat(60)).join("."))).toBeNull();
  });
});

describe("our answers", () => {
  const address = Uint8Array.of(10, 0, 0, 2);

  test("have the id, the spelling and the records", () => {
    const asked = ask("DB");
    const answer = encodeAnswer(queryOf(asked), asked, {
      answers: [{ type: TYPE.A, data: address }],
      ttl: 10,
      limit: 512,
      authoritative: true,
    });
    expect([...answer]).toEqual([...message(7, 0x8580, [1, 1, 0, 0], question("DB", 1), record(TYPE.A, 10, address))]);
  });

  test("say when records are left out", () => {
    fc.assert(
      fc.property(fc.nat(200), fc.integer({ min: 512, max: 4096 }), fc.boolean(), (count, size, edns) => {
        const asked = edns ? message(7, 0, [1, 0, 0, 1], question("db", 1), opt(size)) : ask("db");
        const query = queryOf(asked);
        const limit = datagramSize(query);
        expect(limit).toBe(edns ? size : 512);
        const answer = encodeAnswer(query, asked, {
          answers: new Array(count).fill({ type: TYPE.A, data: address }),
          ttl: 1,
          limit,
        });
        expect(answer.length).toBeLessThanOrEqual(limit);
        const fits = query.end + count * 16 + (edns ? 11 : 0) <= limit;
        expect((answer[2]! & 2) === 0).toBe(fits);
        // what there is of it can be read: 7 is its id
        const decoded = decodeResponse(answer, answer.length, encodeForwarded(query, asked, 7, false), query.end);
        expect(decoded?.rcode).toBe(RCODE.NOERROR);
      }),
    );
  });
});

describe("others' answers", () => {
  const asked = ask("db.example", TYPE.A);
  const query = queryOf(asked);
  const forwarded = encodeForwarded(query, asked, 0x4242, true);
  const decode = (response: Uint8Array) => decodeResponse(response, response.length, forwarded, query.end);
  const asking = question("DB.example", TYPE.A);

  test("are questions with our id and EDNS before", () => {
    expect([...forwarded]).toEqual([...message(0x4242, 0x100, [1, 0, 0, 1], question("db.example", 1), opt(1232))]);
  });

  test.each<[string, Uint8Array]>([
    ["another id", message(0x4243, 0x8180, [1, 0, 0, 0], asking)],
    ["a question, not an answer", message(0x4242, 0x100, [1, 0, 0, 0], asking)],
    ["another name", message(0x4242, 0x8180, [1, 0, 0, 0], question("dc.example", 1))],
    ["another type", message(0x4242, 0x8180, [1, 0, 0, 0], question("db.example", 28))],
    ["a record cut off", message(0x4242, 0x8180, [1, 1, 0, 0], asking, record(1, 5, [1, 2, 3, 4]).slice(0, -1))],
    ["a name that points to itself", message(0x4242, 0x8180, [1, 1, 0, 0], asking, [0xc0, 28], u16(1), u16(1), u32(1), u16(0))],
    ["a name that points forward", message(0x4242, 0x8180, [1, 1, 0, 0], asking, [0xc0, 30], u16(1), u16(1), u32(1), u16(0))],
  ])("%s is none", (_, response) => {
    expect(decode(response)).toBeNull();
  });

  test("lose their EDNS and keep their TTLs", () => {
    const response = decode(
      message(
        0x4242,
        0x8580,
        [1, 2, 0, 2],
        asking,
        record(TYPE.CNAME, 300, [1, 0x63, 0]),
        record(TYPE.A, 60, [1, 2, 3, 4]),
        opt(4096),
        record(TYPE.A, 1, [1, 2, 3, 4]),
      ),
    );
    expect(response).toMatchObject({ rcode: 0, truncated: false, ttl: 60 });
    const passed = encodePassed(response!, query, asked, 20, 512);
    expect([...passed]).toEqual([
      ...message(
        7,
        0x8580,
        [1, 2, 0, 0],
        question("db.example", 1),
        record(TYPE.CNAME, 280, [1, 0x63, 0]),
        record(TYPE.A, 40, [1, 2, 3, 4]),
      ),
    ]);
    const cut = encodePassed(response!, query, asked, 0, query.end + 10);
    expect([...cut]).toEqual([...message(7, 0x8380, [1, 0, 0, 0], question("db.example", 1))]);
  });

  test.each<[string, Uint8Array, number]>([
    ["no such name", message(0x4242, 0x8183, [1, 0, 1, 0], asking, soa(900, 120)), 120],
    ["no such name, of a zone that changes soon", message(0x4242, 0x8183, [1, 0, 1, 0], asking, soa(30, 120)), 30],
    ["no such type", message(0x4242, 0x8180, [1, 1, 1, 0], asking, record(TYPE.CNAME, 10, [0]), soa(900, 120)), 10],
    ["for long", message(0x4242, 0x8183, [1, 0, 1, 0], asking, soa(999_999, 999_999)), 10_800],
    ["without a zone", message(0x4242, 0x8183, [1, 0, 0, 0], asking), 0],
    ["a failure", message(0x4242, 0x8182, [1, 0, 1, 0], asking, soa(900, 120)), 0],
  ])("%s is kept so long", (_, response, ttl) => {
    expect(decode(response)?.ttl).toBe(ttl);
  });

  test("any bytes are an answer or none, and an answer can be passed on", () => {
    const any = fc.uint8Array({ maxLength: 400 });
    const likely = fc
      .tuple(fc.nat(3), fc.nat(3), fc.nat(3), any)
      .map(([answers, authority, additional, rest]) =>
        message(0x4242, 0x8180, [1, answers, authority, additional], asking, rest),
      );
    const records = fc
      .array(fc.tuple(fc.constantFrom(1, 5, 6, 28, 41), fc.nat(0xffff_ffff), fc.uint8Array({ maxLength: 30 })), { maxLength: 9 })
      .map((list) =>
        message(0x4242, 0x8180, [1, list.length, 0, 0], asking, ...list.map(([type, ttl, data]) => record(type, ttl, data))),
      );
    fc.assert(
      fc.property(
        fc.oneof(any, likely, records),
        fc.integer({ min: 512, max: 4096 }),
        fc.nat(100_000),
        (response, limit, age) => {
          const decoded = decode(response);
          if (!decoded) return;
          expect(decoded.ttl).toBeGreaterThanOrEqual(0);
          expect(encodePassed(decoded, query, asked, age, limit).length).toBeLessThanOrEqual(limit);
        },
      ),
      { numRuns: 3000 },
    );
  });
});
