import { expect, test } from "bun:test";
import fc from "fast-check";
import { OnggiError } from "../lib/errors.ts";
import { checkNameServer, parseExtraHost } from "./network-files.ts";

test.each(["9.9.9.9", "2620:fe::fe", "fe80::1%eth0"])("a name server: %s", (text) => {
  expect(() => checkNameServer(text)).not.toThrow();
});

test.each(["", "dns.example", "9.9.9", "9.9.9.9/32", "9.9.9.9:53", "fe80::1%", "%eth0", "9.9.9.9 "])(
  "no name server: %p",
  (text) => {
    expect(() => checkNameServer(text)).toThrow("--dns");
  },
);

test.each([
  ["a:1.2.3.4", "1.2.3.4"],
  ["a=::1", "::1"],
  ["a:[::1]", "::1"],
  ["a:host-gateway", "10.0.0.1"],
])("%s", (text, address) => {
  expect(parseExtraHost(text, "10.0.0.1")).toEqual({ name: "a", address });
});

test("any other text is refused", () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      for (const parse of [checkNameServer, (one: string) => parseExtraHost(one, null)]) {
        try {
          parse(text);
        } catch (error) {
          expect(error).toBeInstanceOf(OnggiError);
        }
      }
    }),
  );
});
