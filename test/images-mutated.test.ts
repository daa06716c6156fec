/**
 * Documents, answers and archives changed at random: whatever comes of it is an image that is whole, or an error of ours that names
 * registry and repository and leaves nothing.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { historyOf, imageTrees } from "../src/engine/image-layers.ts";
import { listImages } from "../src/engine/images.ts";
import { openImageStore } from "../src/images/index.ts";
import { openRegistries } from "../src/images/remote/registries.ts";
import type { Registries } from "../src/images/remote/types.ts";
import type { ImageStore } from "../src/images/types.ts";
import { OnggiError } from "../src/lib/errors.ts";
import { dockerArchive, imageOf, streamOf, tarOf } from "./images/archives.ts";
import { contentsOf, treeOf } from "./images/harness.ts";
import { type Answer, HostileRegistry, types } from "./kit/hostile.ts";
import { sha256 } from "./kit/registry.ts";

const nobody: ReadonlySet<string> = new Set();
const image = imageOf([
  tarOf({ etc: { type: "dir" }, "etc/base": "base", link: { type: "symlink", link: "etc" } }),
  tarOf({ "etc/top": Buffer.alloc(3000, "top"), "etc/.wh.base": "" }),
]);

let scratch: string;
let root: string;
let store: ImageStore;
let registry: HostileRegistry;
let registries: Registries;
let count = 0;

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), "onggi-mutated-"));
  root = join(scratch, "store");
  store = openImageStore(root, { limits: { freeBytes: 1 << 20, ratio: 100 } });
  registry = await HostileRegistry.start();
  const timeouts = { answer: 5000, stall: 1000 };
  registries = openRegistries({ config: join(scratch, "none"), certsDirs: [], env: {}, timeouts });
});
afterAll(async () => {
  store.close();
  registries.close();
  await registry.close();
  rmSync(scratch, { recursive: true });
});

/** Either way out, and the store as it was. */
async function expectWholeOrRefused(work: () => Promise<unknown>, names: string): Promise<void> {
  try {
    await work();
    for (const { id, config } of store.list()) {
      treeOf(store, id, scratch);
      // What is told of it, and what is made of it.
      JSON.stringify([historyOf(store, id), imageTrees(store, id), listImages(store, {})]);
      await store.commit(streamOf(tarOf({ more: "" })), { parent: id, config: config.config, createdBy: "a test" });
    }
    expect((await store.check({ inUse: nobody })).problems).toEqual([]);
    for (const { id } of store.list()) await store.remove(id, { force: true, inUse: nobody });
  } catch (error) {
    if (!(error instanceof OnggiError)) throw error;
    expect(error.message).toContain(names);
  }
  expect(store.list()).toEqual([]);
  // What came whole before the registry failed may wait for the next pull.
  expect((await store.check({ inUse: nobody })).problems).toEqual([]);
}

type Json = unknown;

/** Every place in a document, as the keys that lead to it. */
const placesIn = (value: Json): string[][] => {
  if (typeof value !== "object" || value === null) return [[]];
  return [[], ...Object.entries(value).flatMap(([key, below]) => placesIn(below).map((place) => [key, ...place]))];
};

/** The document with another value, or (undefined) none, at a place. */
const changed = (value: Json, [key, ...rest]: readonly string[], put: Json): Json => {
  if (key === undefined) return put;
  const copy = (Array.isArray(value) ? [...value] : { ...(value as object) }) as Record<string, Json>;
  const below = changed(copy[key], rest, put);
  if (below === undefined) delete copy[key];
  else copy[key] = below;
  return copy;
};

const odd = fc.oneof(
  fc.constantFrom<Json>(undefined, null, "", 0, -1, 2 ** 53, 1e300, [], {}, true, "sha256:", `sha256:${"0".repeat(64)}`, "linux"),
  fc.constantFrom<Json>(...Object.values(types), "application/json", "../../etc/passwd", "\u0000", "a".repeat(5000)),
  fc.jsonValue(),
);
const mutation = fc.tuple(fc.nat(), odd);

/** Puts an odd value at one of a document's places. */
const mutate = (value: Json, [place, put]: readonly [number, Json]): Json => {
  const places = placesIn(value);
  return changed(value, places[place % places.length]!, put);
};

test("documents with odd values at odd places, their digests right", async () => {
  const changes = fc.record({
    config: fc.option(mutation, { nil: null }),
    manifest: fc.option(mutation, { nil: null }),
    index: fc.option(mutation, { nil: null }),
  });
  await fc.assert(
    fc.asyncProperty(changes, async ({ config, manifest, index }) => {
      const repository = `mutated/${++count}`;
      const document = (value: Json, change: readonly [number, Json] | null, mediaType: string) => {
        const text = JSON.stringify(change ? (mutate(value, change) ?? null) : value);
        const digest = sha256(text);
        for (const kind of ["manifests", "blobs"])
          registry.answers.set(`${repository}/${kind}/${digest}`, { headers: { "Content-Type": mediaType }, body: text });
        return { mediaType, digest, size: Buffer.byteLength(text) };
      };
      const gzip = `${types.layer}+gzip`;
      const layers = image.layers.map((layer) => registry.blob(repository, Bun.gzipSync(new Uint8Array(layer)), gzip));
      const described = document(JSON.parse(image.config.toString()), config, types.config);
      const made = document({ schemaVersion: 2, mediaType: types.manifest, config: described, layers }, manifest, types.manifest);
      const platform = { os: "linux", architecture: process.arch === "arm64" ? "arm64" : "amd64" };
      const top = document({ schemaVersion: 2, mediaType: types.index, manifests: [{ ...made, platform }] }, index, types.index);
      registry.answers.set(`${repository}/manifests/1`, registry.answers.get(`${repository}/manifests/${top.digest}`)!);
      const name = `${registry.domain}/${repository}`;
      await expectWholeOrRefused(() => store.pull(`${name}:1`, { registries }), name);
    }),
    { numRuns: 200 },
  );
}, 120_000);

test("answers with odd statuses, headers and bodies", async () => {
  // Those that ask for another try are for other tests, which have the time.
  const status = fc.constantFrom(200, 201, 204, 206, 301, 302, 304, 307, 400, 401, 403, 404, 405, 416, 418, 500, 501, 599);
  const text = fc.oneof(
    fc.string({ unit: "grapheme-ascii", maxLength: 60 }),
    fc.constantFrom(
      "0",
      "-1",
      "99999999999999999999",
      "bytes 0-1/2",
      "bytes 5-4/3",
      'Bearer realm="x"',
      "Basic",
      "/v2/token",
      "http://[",
    ),
  );
  const name = fc.constantFrom(
    ...["Content-Type", "Content-Range", "Docker-Content-Digest", "Location", "WWW-Authenticate", "Link", "Content-Encoding"],
  );
  const answer = fc.record({
    status,
    headers: fc.dictionary(name, text, { maxKeys: 3 }),
    body: fc.oneof(fc.uint8Array({ maxLength: 300 }), fc.constant(new Uint8Array(image.config))),
    cut: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(fc.nat({ max: 3 }), answer, async (which, { status, headers, body, cut }) => {
      const repository = `answers/${++count}`;
      const { config, layers, manifest } = registry.image(repository, image);
      const path = [`manifests/1`, `blobs/${config.digest}`, `blobs/${layers[0]!.digest}`, `blobs/${layers[1]!.digest}`][which]!;
      registry.answers.set(`${repository}/${path}`, {
        ...{ status, headers, body },
        ...(cut && path.startsWith("manifests") ? { length: body.length + 10 } : {}),
      } satisfies Answer);
      expect(manifest.size).toBeGreaterThan(0);
      const name = `${registry.domain}/${repository}`;
      await expectWholeOrRefused(() => store.pull(`${name}:1`, { registries }), name);
    }),
    { numRuns: 100 },
  );
}, 120_000);

test("archives with changed, missing and repeated bytes", async () => {
  // Other layers than those of failed pulls, which wait for the next.
  const archive = dockerArchive(imageOf([tarOf({ one: "one" }), tarOf({ two: Buffer.alloc(3000, "two") })]), ["mutated:1"]);
  const before = contentsOf(root);
  const place = fc.nat({ max: archive.length - 1 });
  const change = fc.oneof(
    fc.record({ kind: fc.constant("flip" as const), at: place, by: fc.integer({ min: 1, max: 255 }) }),
    fc.record({ kind: fc.constant("cut" as const), at: place, by: fc.integer({ min: 1, max: 2000 }) }),
    fc.record({ kind: fc.constant("repeat" as const), at: place, by: fc.integer({ min: 1, max: 2000 }) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 3 }), fc.boolean(), async (changes, packed) => {
      let data = Buffer.from(archive);
      for (const { kind, at, by } of changes) {
        if (kind === "flip" && at < data.length) data[at]! ^= by;
        if (kind === "cut") data = Buffer.concat([data.subarray(0, at), data.subarray(at + by)]);
        if (kind === "repeat") data = Buffer.concat([data.subarray(0, at + by), data.subarray(at)]);
      }
      const bytes = packed ? Bun.gzipSync(new Uint8Array(data)) : new Uint8Array(data);
      await expectWholeOrRefused(() => store.load(streamOf(bytes, 700)), "");
      expect(contentsOf(root)).toEqual(before);
    }),
    { numRuns: 200 },
  );
}, 120_000);
