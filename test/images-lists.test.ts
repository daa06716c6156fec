/** Manifest lists of registries that lie, and at their limits: an error, and the list as it was. */
import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { openImageStore } from "../src/images/index.ts";
import { openRegistries } from "../src/images/remote/registries.ts";
import type { Registries } from "../src/images/remote/types.ts";
import type { ImageStore } from "../src/images/types.ts";
import { OnggiError } from "../src/lib/errors.ts";
import { imageOf, tarOf } from "./images/archives.ts";
import { HostileRegistry, types } from "./kit/hostile.ts";
import { Registry } from "./kit/registry.ts";

const image = imageOf([tarOf({ "etc/base": "base" })]);

let scratch: string;
let store: ImageStore;
let registry: HostileRegistry;
let target: Registry;
let registries: Registries;

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), "onggi-lists-"));
  store = openImageStore(join(scratch, "store"));
  [registry, target] = await Promise.all([HostileRegistry.start(), Registry.start()]);
  registries = openRegistries({ config: join(scratch, "none"), certsDirs: [], env: {}, timeouts: { answer: 2000, stall: 500 } });
});
afterAll(async () => {
  store.close();
  registries.close();
  await Promise.all([registry.close(), target.close()]);
  rmSync(scratch, { recursive: true });
});
beforeEach(() => registry.answers.clear());

const index = (tag: string, manifests: unknown): string => {
  registry.document("evil", tag, { schemaVersion: 2, mediaType: types.index, manifests });
  return `${registry.domain}/evil:${tag}`;
};
const create = (name: string, ...images: string[]) => store.lists.create(name, images, { registries });

test("whatever an index holds, it is a list or an error, and nothing in between", async () => {
  const entry = fc.oneof(
    fc.anything(),
    fc.record({ mediaType: fc.anything(), digest: fc.anything(), size: fc.anything(), platform: fc.anything() }),
    fc.record({
      mediaType: fc.constantFrom(types.manifest, types.index, "application/other"),
      digest: fc.stringMatching(/^[0-9a-f]{64}$/).map((hex) => `sha256:${hex}`),
      size: fc.nat(),
      platform: fc.record({ os: fc.anything(), architecture: fc.anything(), "os.features": fc.anything() }),
    }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(entry, { maxLength: 5 }), async (manifests) => {
      const name = index("1", manifests);
      try {
        await create("list:1", name);
        const { members, text } = store.lists.get("list:1");
        expect(JSON.parse(text).manifests.length).toBe(members.length);
        store.lists.remove("list:1");
      } catch (error) {
        expect(error).toBeInstanceOf(OnggiError);
      }
      expect(store.lists.all()).toEqual([]);
    }),
    { numRuns: 100 },
  );
});

test("an index nested without end, a manifest or blob of other bytes: the push ends, nothing has the tag", async () => {
  const { manifest } = registry.image("evil", image);
  const pushed = async (name: string): Promise<void> => {
    await create(`${target.domain}/list:1`, name);
    try {
      await expect(store.lists.push(`${target.domain}/list:1`, { registries })).rejects.toBeInstanceOf(OnggiError);
    } finally {
      store.lists.remove(`${target.domain}/list:1`);
    }
    expect((await fetch(`${target.url}/v2/list/manifests/1`)).status).toBe(404);
  };
  // nested deeper than anybody nests
  let inner = manifest;
  for (let depth = 0; depth < 12; depth++) {
    const mediaType = types.index;
    inner = registry.document("evil", null, {
      schemaVersion: 2,
      mediaType,
      manifests: [inner],
      annotations: { depth: `${depth}` },
    });
  }
  await pushed(index("deep", [inner]));
  // other bytes under a digest that an index names
  const name = index("other", [manifest]);
  registry.answers.set(`evil/manifests/${manifest.digest}`, { headers: { "Content-Type": types.manifest }, body: "{}" });
  await pushed(name);
  // a blob of other bytes
  const honest = registry.image("evil", image);
  const blob = honest.layers[0]!;
  const body = registry.answers.get(`evil/blobs/${blob.digest}`) as { body: Uint8Array };
  const changed = Buffer.from(body.body);
  changed[changed.length - 1]! ^= 1;
  registry.answers.set(`evil/blobs/${blob.digest}`, { body: changed });
  await pushed(index("blob", [honest.manifest]));
  registry.answers.set(`evil/blobs/${blob.digest}`, body);
  await create(`${target.domain}/list:1`, index("good", [honest.manifest]));
  expect((await store.lists.push(`${target.domain}/list:1`, { registries, purge: true })).members.length).toBe(1);
});

test("5,000 members and no more", async () => {
  const entry = (i: number) => ({ mediaType: types.manifest, digest: `sha256:${i.toString(16).padStart(64, "0")}`, size: 1 });
  const entries = Array.from({ length: 5001 }, (_, i) => entry(i));
  await create("large:1", index("full", entries.slice(1)));
  const amend = store.lists.create("large:1", [index("more", [entry(0)])], { registries, amend: true });
  await expect(amend).rejects.toMatchObject({ code: "manifest_list_too_large" });
  expect(store.lists.get("large:1").members.length).toBe(5000);
  store.lists.remove("large:1");
  await expect(create("large:1", index("over", entries))).rejects.toMatchObject({ code: "manifest_list_too_large" });
  expect(store.lists.all()).toEqual([]);
});
