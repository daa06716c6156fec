import { expect, test } from "bun:test";
import { isIP } from "node:net";
import fc from "fast-check";
import { formatIp, formatMac, isIp, parseIp, parseMac, parsePrefix } from "./ipaddress.ts";

test("canonical IPv6 text, RFC 5952", () => {
  const canonical = (text: string) => formatIp(parseIp(text));
  expect(canonical("2001:0db8:0000:0000:0001:0000:0000:0001")).toBe("2001:db8::1:0:0:1");
  expect(canonical("2001:db8:0:1:1:1:1:1")).toBe("2001:db8:0:1:1:1:1:1");
  expect(canonical("0:0:0:0:0:0:0:0")).toBe("::");
  expect(canonical("::ffff:10.0.0.1")).toBe("::ffff:10.0.0.1");
  expect(canonical("FE80::A")).toBe("fe80::a");
  expect(canonical("1::")).toBe("1::");
});

test("bytes to text and back", () => {
  const bytes = fc.oneof(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.uint8Array({ minLength: 16, maxLength: 16 }));
  fc.assert(
    fc.property(bytes, (ip) => {
      expect(parseIp(formatIp(ip))).toEqual(ip);
      expect(isIP(formatIp(ip))).toBe(ip.length === 4 ? 4 : 6);
    }),
  );
});

test("takes exactly what the system's own parser takes", () => {
  const piece = fc.constantFrom(":", "::", ".", "0", "1", "00", "255", "256", "fe80", "12345", "g", "%eth0", "/", " ");
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 16 }), (pieces) => {
      const text = pieces.join("");
      expect(isIp(text)).toBe(isIP(text) !== 0 && !text.includes("%"));
    }),
    { numRuns: 2000 },
  );
});

test("prefixes", () => {
  expect(parsePrefix("10.1.2.3/8")).toEqual({ bytes: Uint8Array.of(10, 1, 2, 3), length: 8 });
  expect(parsePrefix("::1").length).toBe(128);
  for (const bad of ["10.0.0.0/33", "10.0.0.0/", "10.0.0.0/8/9", "::/129", "::/-1", "x/8", "", "10.0.0.0/ 8"]) {
    expect(() => parsePrefix(bad)).toThrow(TypeError);
  }
});

test("hardware addresses", () => {
  expect(formatMac(parseMac("02:42:AC:11:00:02"))).toBe("02:42:ac:11:00:02");
  for (const bad of ["", "02:42:ac:11:00", "02-42-ac-11-00-02", "02:42:ac:11:00:0g"])
    expect(() => parseMac(bad)).toThrow(TypeError);
});
