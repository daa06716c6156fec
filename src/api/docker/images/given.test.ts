/** What clients write in headers and queries: credentials, names, platforms. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import type { OnggiError } from "../../../lib/errors.ts";
import { canonicalName } from "../../../oci/reference.ts";
import { ApiError } from "../errors.ts";
import { credentialsIn } from "./credentials.ts";
import { joined, platform } from "./names.ts";

const given = (header: string) => credentialsIn({ headers: new Map([["x-registry-auth", header]]) });
const encoded = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");

test("credentials are those that were encoded, with either alphabet, padded or not", () => {
  const word = fc.string({ minLength: 1, maxLength: 40, unit: "binary" });
  fc.assert(
    fc.property(word, word, fc.constantFrom("base64" as const, "base64url" as const), (username, password, alphabet) => {
      const text = Buffer.from(JSON.stringify({ username, password })).toString(alphabet);
      expect(given(text)).toEqual({ username, password });
    }),
  );
  expect(given(encoded({ auth: Buffer.from("ann:a:b").toString("base64") }))).toEqual({ username: "ann", password: "a:b" });
  expect(given(encoded({ identitytoken: "t", serveraddress: "x" }))).toEqual({ identityToken: "t" });
  for (const nothing of ["", encoded({}), encoded(null), encoded("")]) expect(given(nothing)).toBeUndefined();
});

test("whatever else is in the header is refused as the client's fault, and not repeated", () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ unit: "binary" }),
        fc.json().map((text) => Buffer.from(text).toString("base64")),
      ),
      (header) => {
        try {
          given(header);
        } catch (error) {
          expect(error).toBeInstanceOf(ApiError);
          expect((error as ApiError).status).toBe(400);
        }
      },
    ),
  );
  expect(() => given("c2VjcmV0")).toThrow("invalid X-Registry-Auth header: it is no JSON in base64");
  expect(() => given(encoded({ registrytoken: "a\nb" }))).toThrow("characters");
});

test("a name and a tag, or a digest, are one name", () => {
  const digest = `sha256:${"a".repeat(64)}`;
  const name = (...words: [string, string?]) => canonicalName(joined(words[0], words[1]));
  expect(name("busybox")).toBe("docker.io/library/busybox:latest");
  expect(name("busybox:1", "2")).toBe("docker.io/library/busybox:2");
  expect(name("localhost:5000/a", "2")).toBe("localhost:5000/a:2");
  expect(name("a.b/c", digest)).toBe(`a.b/c@${digest}`);
  expect(joined("busybox", undefined).tag).toBeNull();
  fc.assert(
    fc.property(fc.string(), fc.option(fc.string(), { nil: undefined }), (repo, tag) => {
      try {
        joined(repo, tag);
      } catch (error) {
        expect((error as OnggiError).code).toBe("reference_invalid");
      }
    }),
  );
});

test("platforms are JSON objects", () => {
  const read = (text: string) => platform("", {}).read([text], "platform");
  expect(read('{"os":"linux","architecture":"arm","variant":"v7"}')).toBe("linux/arm/v7");
  expect(read("")).toBeUndefined();
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
      try {
        expect(["string", "undefined"]).toContain(typeof read(text));
      } catch (error) {
        expect((error as ApiError).status).toBe(400);
      }
    }),
  );
});
