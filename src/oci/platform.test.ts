import { expect, test } from "bun:test";
import fc from "fast-check";
import { distance, nativeDistance, nearest, parsePlatform, platformText } from "./platform.ts";

test.each([
  ["linux/amd64", "linux/amd64"],
  ["arm64", "linux/arm64"],
  ["linux/arm64/v8", "linux/arm64"],
  ["linux/arm/6", "linux/arm/v6"],
  ["linux/arm/v7", "linux/arm"],
  ["Linux/X86_64", "linux/amd64"],
  ["armel", "linux/arm/v6"],
])("%s is %s", (text, platform) => expect(platformText(parsePlatform(text))).toBe(platform));

test.each(["", "linux/", "a/b/c/d", "linux/amd 64", "/amd64"])("%j is none", (text) =>
  expect(() => parsePlatform(text)).toThrow("is no platform"),
);

test.each([
  ["linux/arm/v7", "linux/arm/v7", 0],
  ["linux/arm/v7", "linux/arm/v6", 1],
  ["linux/arm/v6", "linux/arm/v7", null],
  ["linux/amd64/v3", "linux/amd64", 2],
  ["linux/amd64", "linux/amd64/v2", null],
  ["linux/arm64", "linux/arm64/v8", 0],
  ["linux/arm64", "linux/arm/v7", null],
  ["linux/amd64", "windows/amd64", null],
] as const)("on %s an image for %s is %p away", (wanted, offered, expected) =>
  expect(distance(parsePlatform(wanted), parsePlatform(offered))).toBe(expected),
);

test("any text is a platform that reads back as itself, or refused", () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      let platform: ReturnType<typeof parsePlatform>;
      try {
        platform = parsePlatform(text);
      } catch (error) {
        expect((error as { code?: string }).code).toBe("platform_invalid");
        return;
      }
      expect(parsePlatform(platformText(platform))).toEqual(platform);
    }),
  );
});

test("a machine runs its own architecture first, then the 32-bit form of it, and no other", () => {
  const chosen = (machine: string, offered: string[]): string | undefined =>
    nearest(offered, (one) => nativeDistance(parsePlatform(machine), parsePlatform(one)));
  expect(chosen("linux/amd64", ["linux/arm64", "linux/386", "linux/amd64"])).toBe("linux/amd64");
  expect(chosen("linux/amd64", ["linux/arm64", "linux/386"])).toBe("linux/386");
  expect(chosen("linux/arm64", ["linux/arm/v6", "linux/arm/v7", "linux/386"])).toBe("linux/arm/v7");
  expect(chosen("linux/amd64", ["linux/arm64", "windows/386"])).toBeUndefined();
  expect(chosen("linux/s390x", ["linux/amd64"])).toBeUndefined();
});
