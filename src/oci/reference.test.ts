import { expect, test } from "bun:test";
import fc from "fast-check";
import { OnggiError } from "../lib/errors.ts";
import { canonicalName, familiarName, parseReference } from "./reference.ts";

const hex = "0123456789abcdef".repeat(4);

const good: [text: string, canonical: string, familiar: string][] = [
  ["busybox", "docker.io/library/busybox:latest", "busybox:latest"],
  ["busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"],
  ["docker.io/busybox", "docker.io/library/busybox:latest", "busybox:latest"],
  ["docker.io/library/busybox", "docker.io/library/busybox:latest", "busybox:latest"],
  ["index.docker.io/library/busybox:x", "docker.io/library/busybox:x", "busybox:x"],
  ["user/app", "docker.io/user/app:latest", "user/app:latest"],
  ["library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"],
  ["docker.io/a.b/c", "docker.io/a.b/c:latest", "docker.io/a.b/c:latest"],
  ["localhost/app", "localhost/app:latest", "localhost/app:latest"],
  ["localhost:5000/app:v1", "localhost:5000/app:v1", "localhost:5000/app:v1"],
  ["example.org/a/b/c", "example.org/a/b/c:latest", "example.org/a/b/c:latest"],
  ["UPPER/app", "UPPER/app:latest", "UPPER/app:latest"],
  ["[::1]:5000/app", "[::1]:5000/app:latest", "[::1]:5000/app:latest"],
  ["a__b/c-_d".replace("-_", "--"), "docker.io/a__b/c--d:latest", "a__b/c--d:latest"],
  [`busybox@sha256:${hex}`, `docker.io/library/busybox@sha256:${hex}`, `busybox@sha256:${hex}`],
  [`busybox:1@sha256:${hex}`, `docker.io/library/busybox:1@sha256:${hex}`, `busybox:1@sha256:${hex}`],
];

for (const [text, canonical, familiar] of good) {
  test(`${text} is ${canonical}, for short ${familiar}`, () => {
    expect(canonicalName(parseReference(text))).toBe(canonical);
    expect(familiarName(parseReference(text))).toBe(familiar);
  });
}

const bad = [
  "",
  ":tag",
  "Busybox",
  "a//b",
  "/a",
  "a/",
  "a b",
  "a:",
  "a:b c",
  `a:${"t".repeat(129)}`,
  "a@sha256:12",
  "a..b",
  "a___b",
  "-a",
  "-.org/a",
  "x.org:port/a",
  hex,
  `${"a".repeat(256)}`,
];
for (const text of bad) {
  test(`${JSON.stringify(text.slice(0, 40))} is refused`, () => {
    expect(() => parseReference(text)).toThrow(OnggiError);
  });
}

test("the short and the full form of a name mean the same name", () => {
  const word = fc.stringMatching(/^[a-z0-9]{1,8}$/);
  const part = fc.tuple(word, fc.constantFrom("", ".", "_", "__", "-", "--"), word).map((pieces) => pieces.join(""));
  const domain = fc.constantFrom("", "docker.io/", "localhost/", "localhost:5000/", "example.org/", "library/");
  const tag = fc.constantFrom("", ":latest", ":v1.2_x");
  fc.assert(
    fc.property(domain, fc.array(part, { minLength: 1, maxLength: 3 }), tag, (host, parts, end) => {
      const reference = parseReference(`${host}${parts.join("/")}${end}`);
      const canonical = canonicalName(reference);
      expect(canonicalName(parseReference(canonical))).toBe(canonical);
      expect(canonicalName(parseReference(familiarName(reference)))).toBe(canonical);
    }),
  );
});

test("any text is a name or OnggiError", () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      try {
        const name = canonicalName(parseReference(text));
        expect(canonicalName(parseReference(name))).toBe(name);
      } catch (error) {
        expect(error).toBeInstanceOf(OnggiError);
      }
    }),
  );
});
