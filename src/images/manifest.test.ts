import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Platform } from "../oci/platform.ts";
import { choose, mediaTypes, parseDescriptor, parseDocument } from "./manifest.ts";

const digest = (digit: string) => `sha256:${digit.repeat(64)}`;
const config = { mediaType: mediaTypes.config, digest: digest("c"), size: 10 };
const layer = { mediaType: `${mediaTypes.layer}+gzip`, digest: digest("1"), size: 100 };
const manifest = { schemaVersion: 2, mediaType: mediaTypes.manifest, config, layers: [layer] };
const read = (value: unknown, type: string = mediaTypes.manifest) => parseDocument(JSON.stringify(value), type, "x");

describe("documents", () => {
  test("a manifest of OCI and one of Docker are read alike", () => {
    const docker = {
      schemaVersion: 2,
      mediaType: mediaTypes.dockerManifest,
      config: { ...config, mediaType: mediaTypes.dockerConfig },
      layers: [{ ...layer, mediaType: "application/vnd.docker.image.rootfs.diff.tar.gzip" }],
    };
    for (const found of [read(manifest), read(docker, mediaTypes.dockerManifest)]) {
      if (!("manifest" in found)) throw new Error("no manifest");
      expect(found.manifest.config.digest).toBe(digest("c") as never);
      expect(found.manifest.layers.map(({ size }) => size)).toEqual([100]);
    }
  });

  test("without a type it is what it looks like", () => {
    expect(read({ schemaVersion: 2, config, layers: [] }, "")).toHaveProperty("manifest");
    expect(read({ schemaVersion: 2, manifests: [] }, "")).toHaveProperty("index");
  });

  test.each([
    ["that is no JSON", "{", mediaTypes.manifest, "manifest_invalid"],
    ["of schema 1", '{"schemaVersion":1}', mediaTypes.manifest, "manifest_unsupported"],
    ["of another type than said", JSON.stringify(manifest), mediaTypes.index, "manifest_invalid"],
    ["that is both", JSON.stringify({ ...manifest, manifests: [] }), mediaTypes.manifest, "manifest_invalid"],
    ["of an unknown type", "{}", "text/html", "manifest_unsupported"],
    ["of an artifact", JSON.stringify({ ...manifest, config: { ...config, mediaType: "a/b" } }), "", "manifest_unsupported"],
    [
      "with a strange layer",
      JSON.stringify({ ...manifest, layers: [{ ...layer, mediaType: "a/b" }] }),
      "",
      "manifest_unsupported",
    ],
    ["without a layer's size", JSON.stringify({ ...manifest, layers: [{ ...layer, size: -1 }] }), "", "manifest_invalid"],
    ["with sha512", JSON.stringify({ ...manifest, layers: [{ ...layer, digest: "sha512:aa" }] }), "", "digest_invalid"],
  ])("one %s is refused", (_, text, type, code) => {
    expect(() => parseDocument(text, type, "x")).toThrow(expect.objectContaining({ code }));
  });

  test("any JSON is read or refused with a reason", () => {
    const shape = fc.oneof(
      fc.jsonValue(),
      fc.record(
        {
          schemaVersion: fc.oneof(fc.integer(), fc.jsonValue()),
          mediaType: fc.constantFrom(...Object.values(mediaTypes)),
          manifests: fc.oneof(fc.jsonValue(), fc.array(fc.constantFrom<unknown>(layer, config, 3, null))),
          config: fc.oneof(fc.constant(config), fc.jsonValue()),
          layers: fc.oneof(fc.jsonValue(), fc.array(fc.constantFrom<unknown>(layer, config, "", {}))),
        },
        { requiredKeys: [] },
      ),
    );
    fc.assert(
      fc.property(shape, fc.constantFrom("", ...Object.values(mediaTypes)), (value, type) => {
        try {
          expect(Object.keys(parseDocument(JSON.stringify(value), type, "x"))).toHaveLength(1);
        } catch (error) {
          expect((error as { code?: string }).code).toBeOneOf(["manifest_invalid", "manifest_unsupported", "digest_invalid"]);
        }
      }),
    );
  });
});

describe("choosing", () => {
  const of = (digit: string, platform: Platform | null, annotations = {}) =>
    parseDescriptor({ mediaType: mediaTypes.manifest, digest: digest(digit), size: 1, platform, annotations }, "x");
  const arm: Platform = { os: "linux", architecture: "arm", variant: "v7" };
  const pick = (...candidates: Parameters<typeof choose>[0]) => choose(candidates, arm, "x", true).digest;

  test("the nearest variant is taken, whatever the order", () => {
    const [v5, v6] = [of("5", { ...arm, variant: "v5" }), of("6", { ...arm, variant: "v6" })];
    expect([pick(v5, v6), pick(v6, v5)]).toEqual([v6.digest, v6.digest]);
  });

  test("one without a platform suits any, a build record none", () => {
    const [plain, record] = [of("1", null), of("2", arm, { "vnd.docker.reference.type": "attestation-manifest" })];
    expect(pick(record, plain)).toBe(plain.digest);
    expect(() => pick(record)).toThrow("has no image for linux/arm/v7; it has: none");
  });

  test("a platform of control characters is not shown", () => {
    expect(() => pick(of("1", { os: "linux", architecture: "\u001b[2Jx" }))).toThrow("it has: linux/unknown");
  });

  test("what there is instead is told", () => {
    expect(() => pick(of("1", { os: "linux", architecture: "s390x" }))).toThrow("it has: linux/s390x");
  });
});
