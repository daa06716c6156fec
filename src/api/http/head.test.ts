import { expect, test } from "bun:test";
import fc from "fast-check";
import { bodyDecoder } from "./body.ts";
import { HttpError } from "./errors.ts";
import { headLength, parseHead } from "./head.ts";

const bytes = (text: string): Uint8Array => Buffer.from(text, "latin1");
const parse = (text: string) => parseHead(bytes(text));
const refused = (text: string): number => {
  try {
    parse(text);
    return 0;
  } catch (error) {
    if (!(error instanceof HttpError)) throw error;
    return error.status;
  }
};

test("a head is read", () => {
  const head = parse("POST /a%20b?c=d HTTP/1.1\r\nHost: docker\r\nX-A:  b \r\nx-a: c\r\nContent-Length: 07\r\n\r\n");
  expect({ ...head, headers: Object.fromEntries(head.headers) }).toEqual({
    method: "POST",
    target: "/a%20b?c=d",
    minorVersion: 1,
    headers: { host: "docker", "x-a": "b, c", "content-length": "07" },
    framing: 7,
    keepAlive: true,
  });
  expect(parse("GET http://host:1/x?y HTTP/1.1\r\nHost: a\r\n\r\n").target).toBe("/x?y");
  expect(parse("GET http://host HTTP/1.1\r\nHost: a\r\n\r\n").target).toBe("/");
  expect(parse("GET / HTTP/1.0\r\n\r\n").keepAlive).toBe(false);
  expect(parse("GET / HTTP/1.0\r\nConnection: foo, Keep-Alive\r\n\r\n").keepAlive).toBe(true);
  expect(parse("GET / HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n").keepAlive).toBe(false);
  expect(parse("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n").framing).toBe("chunked");
});

test("what two readers could understand differently is refused", () => {
  const host = "Host: a\r\n";
  for (const text of [
    "GET /\r\n\r\n",
    "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
    "get / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET x HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /#x HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /\x80 HTTP/1.1\r\nHost: a\r\n\r\n",
    `GET / HTTP/1.1\r\n${host}${host}\r\n`,
    `GET / HTTP/1.1\r\n${host}A : b\r\n\r\n`,
    `GET / HTTP/1.1\r\n${host}: b\r\n\r\n`,
    `GET / HTTP/1.1\r\n${host} folded\r\n\r\n`,
    `GET / HTTP/1.1\r\n${host}A: b\nC: d\r\n\r\n`,
    `GET / HTTP/1.1\r\n${host}A: b\rC: d\r\n\r\n`,
    `GET / HTTP/1.1\r\n${host}A: b\0\r\n\r\n`,
    `GET / HTTP/1.1\r\n${host}Content-Length: +1\r\n\r\n`,
    `GET / HTTP/1.1\r\n${host}Content-Length: 1, 1\r\n\r\n`,
    `GET / HTTP/1.1\r\n${host}Content-Length: 0x1\r\n\r\n`,
    `GET / HTTP/1.1\r\n${host}Content-Length: 99999999999999999\r\n\r\n`,
    "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
  ])
    expect([text, refused(text)]).toEqual([text, 400]);
  expect(refused("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n")).toBe(501);
});

test("garbage is read or refused, never anything else", () => {
  const piece = fc.constantFrom(
    "GET ",
    "/",
    " HTTP/1.1",
    "\r\n",
    "\r",
    "\n",
    ":",
    " ",
    "Host: a",
    "Content-Length: 1",
    "\0",
    "chunked",
  );
  fc.assert(
    fc.property(fc.array(fc.oneof(piece, fc.string({ maxLength: 8 })), { maxLength: 20 }), (parts) => {
      const text = bytes(`${parts.join("")}\r\n\r\n`);
      const length = headLength(text);
      expect(length).toBeGreaterThan(0);
      try {
        parseHead(text.subarray(0, length));
      } catch (error) {
        expect(error).toBeInstanceOf(HttpError);
      }
    }),
  );
});

test("headers come back as they were written", () => {
  const name = fc.stringMatching(/^X-[A-Za-z0-9-]{1,12}$/);
  const value = fc.stringMatching(/^[!-~]([ -~]{0,20}[!-~])?$/);
  fc.assert(
    fc.property(fc.uniqueArray(fc.tuple(name, value), { selector: ([key]) => key.toLowerCase(), maxLength: 20 }), (pairs) => {
      const text = `GET / HTTP/1.1\r\nHost: a\r\n${pairs.map(([key, content]) => `${key}: ${content}\r\n`).join("")}\r\n`;
      const { headers } = parse(text);
      for (const [key, content] of pairs) expect(headers.get(key.toLowerCase())).toBe(content);
    }),
  );
});

/** Pushes `encoded` in pieces cut at `cuts`; the body, and how many bytes were its. */
function decode(framing: number | "chunked", encoded: Uint8Array, cuts: readonly number[]) {
  const decoder = bodyDecoder(framing);
  const taken: Uint8Array[] = [];
  let used = 0;
  const ends = [...new Set([...cuts.map((cut) => cut % (encoded.length + 1)), encoded.length])].sort((a, b) => a - b);
  let start = 0;
  for (const end of ends) {
    if (decoder.done) break;
    used += decoder.push(encoded.subarray(start, end), (data) => taken.push(data.slice()));
    start = end;
  }
  return { body: Buffer.concat(taken), used, done: decoder.done };
}

test("bodies come out as they went in, wherever they were cut, and what follows is left", () => {
  const cuts = fc.array(fc.nat(), { maxLength: 10 });
  const chunks = fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 }), { maxLength: 6 });
  fc.assert(
    fc.property(chunks, cuts, fc.uint8Array({ maxLength: 9 }), (parts, at, rest) => {
      const body = Buffer.concat(parts);
      const framed = Buffer.concat([
        ...parts.flatMap((part) => [bytes(`${part.length.toString(16).toUpperCase()}\r\n`), part, bytes("\r\n")]),
        bytes("0\r\nTrailer: x\r\n\r\n"),
      ]);
      expect(decode("chunked", Buffer.concat([framed, rest]), at)).toEqual({ body, used: framed.length, done: true });
      expect(decode(body.length, Buffer.concat([body, rest]), at)).toEqual({ body, used: body.length, done: true });
    }),
  );
});

test("chunks that are not what they say are refused", () => {
  for (const text of [
    "x\r\n",
    "\r\n",
    "-1\r\n",
    "1\r\nab\r\n",
    "1\na\r\n",
    "1\r\na\n",
    "fffffffffffff\r\n",
    `1;${"x".repeat(5000)}`,
    "1 2\r\n",
  ])
    expect(() => decode("chunked", bytes(text), [])).toThrow(HttpError);
});
