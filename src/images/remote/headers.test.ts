import { expect, test } from "bun:test";
import fc from "fast-check";
import { contentRange, lengthOf, nextLink, parseChallenges, retryAfter, uploadedBytes } from "./headers.ts";
import { proxyFor } from "./proxy.ts";
import { readToken } from "./tokens.ts";

test("several challenges in one header, with quoted strings", () => {
  expect(parseChallenges('Bearer realm="https://a/t?x=1,2",service="a \\"b\\"", Basic realm=x, Negotiate abc==, Digest')).toEqual(
    [
      { scheme: "bearer", params: { realm: "https://a/t?x=1,2", service: 'a "b"' } },
      { scheme: "basic", params: { realm: "x" } },
      { scheme: "negotiate", params: {} },
      { scheme: "digest", params: {} },
    ],
  );
  expect(parseChallenges(null)).toEqual([]);
});

test("challenges that are written are read back", () => {
  const name = fc.stringMatching(/^[a-z][a-z0-9_-]{0,8}$/).filter((text) => text !== "__proto__");
  const challenge = fc.record({
    scheme: name,
    params: fc.dictionary(name, fc.string({ unit: "grapheme-ascii" }), { minKeys: 1, noNullPrototype: true }),
  });
  fc.assert(
    fc.property(fc.array(challenge, { minLength: 1, maxLength: 4 }), (challenges) => {
      const quoted = (text: string): string => `"${text.replace(/["\\]/g, "\\$&")}"`;
      const header = challenges
        .map(({ scheme, params }) => `${scheme} ${Object.entries(params).map(([key, value]) => `${key}=${quoted(value)}`)}`)
        .join(", ");
      expect(parseChallenges(header)).toEqual(challenges);
    }),
  );
});

test("headers survive garbage", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary-ascii", maxLength: 200 }), (text) => {
      parseChallenges(text);
      parseChallenges(`Bearer ${text}`);
      nextLink(text);
      contentRange(text);
      lengthOf(text);
      const wait = retryAfter(text, 0);
      expect(wait === null || wait >= 0).toBe(true);
    }),
  );
});

test("Link, Content-Range and Retry-After", () => {
  expect(nextLink('</a>; rel="prev", </v2/x?last=b&n=1>; rel="next"')).toBe("/v2/x?last=b&n=1");
  expect(nextLink("</a>; rel=next")).toBe("/a");
  expect(nextLink('</a>; rel="nextish"')).toBeNull();
  expect(contentRange("bytes 5-9/10")).toEqual({ start: 5, end: 9, total: 10 });
  expect(contentRange("bytes 5-9/*")).toEqual({ start: 5, end: 9, total: null });
  expect(contentRange("bytes 5-10/10")).toBeNull();
  expect(retryAfter("3", 0)).toBe(3000);
  expect(retryAfter("Thu, 01 Jan 1970 00:00:10 GMT", 4000)).toBe(6000);
  expect(retryAfter("soon", 0)).toBeNull();
});

test("how much of an upload has arrived", () => {
  expect(["0-99", "bytes=0-99", "bytes 0-99", "0-0", "5-9", "", null].map(uploadedBytes)).toEqual([100, 100, 100, 0, 0, 0, 0]);
});

test("proxies as Go reads them", () => {
  const env = { HTTPS_PROXY: "proxy:3128", http_proxy: "http://plain:1", NO_PROXY: "corp.example, .inner:5000,10.0.0.0/8" };
  const of = (url: string): string | null => proxyFor(new URL(url), env);
  expect(of("https://a.example/")).toBe("http://proxy:3128");
  expect(of("http://a.example/")).toBe("http://plain:1");
  expect(of("https://corp.example/")).toBeNull();
  expect(of("https://a.corp.example/")).toBeNull();
  expect(of("https://notcorp.example/")).toBe("http://proxy:3128");
  expect(of("https://x.inner:5000/")).toBeNull();
  expect(of("https://x.inner/")).toBe("http://proxy:3128");
  expect(of("https://10.2.3.4/")).toBeNull();
  expect(of("https://127.0.0.1:5000/")).toBeNull();
  expect(of("https://[::1]/")).toBeNull();
});

test("a token server's answer is a token with an end, or an error", () => {
  expect(readToken("x", '{"access_token":"t","expires_in":100,"refresh_token":"r"}', 1000)).toEqual({
    header: "Bearer t",
    until: 91_000,
    refreshToken: "r",
  });
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
      try {
        readToken("x", text, 0);
      } catch (error) {
        expect(error).toMatchObject({ code: "registry_answer_invalid" });
      }
    }),
  );
});
