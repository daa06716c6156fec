/** An image is removed while it is being brought again: it is whole afterwards or gone, with all that was made of it. */
import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { join } from "node:path";
import { openImageStore } from "../src/images/index.ts";
import { openRegistries } from "../src/images/remote/registries.ts";
import type { ImageStore } from "../src/images/types.ts";
import { dockerArchive, imageOf, streamOf, tarOf } from "./images/archives.ts";
import { codeOf, contentsOf, namesOf, withScratch } from "./images/harness.ts";
import { HostileRegistry } from "./kit/hostile.ts";

const nobody: ReadonlySet<string> = new Set();
const image = imageOf([tarOf({ base: "base" }), tarOf({ top: Buffer.alloc(300_000, "top") })]);
const archive = dockerArchive(image, ["it:1"]);
const registries = openRegistries({ config: "/nonexistent/registries.toml", certsDirs: [], env: {} });

const withStore = (work: (store: ImageStore, root: string, scratch: string) => Promise<void>): Promise<void> =>
  withScratch(async (scratch) => {
    const root = join(scratch, "store");
    const store = openImageStore(root);
    try {
      await store.load(streamOf(archive));
      await work(store, root, scratch);
    } finally {
      store.close();
    }
  });

test("by a load, at any moment of it", async () => {
  await withStore(async (store, root, scratch) => {
    let remained = 0;
    for (let moment = 0; moment < 60; moment++) {
      const loading = store.load(streamOf(archive, 20_000));
      for (let turn = 0; turn < moment * 2; turn++) await Promise.resolve();
      if (moment % 3 === 0) await Bun.sleep(moment / 10);
      await store.remove("it:1", { force: true, inUse: nobody });
      await loading;
      expect((await store.check({ inUse: nobody })).problems).toEqual([]);
      if (store.list().length > 0) remained += 1;
      else {
        // It was removed when all was done.
        expect(contentsOf(root)).toEqual([]);
        await store.load(streamOf(archive));
      }
      expect(namesOf(store, "it:1", scratch)).toEqual(["base", "top"]);
    }
    expect(remained).toBeGreaterThan(0);
    await store.remove("it:1", { force: true, inUse: nobody });
    expect(contentsOf(root)).toEqual([]);
  });
}, 60_000);

test("by a pull that fails then: what it held goes with it, but for layers that came by a pull", async () => {
  const registry = await HostileRegistry.start();
  try {
    await withStore(async (store, root) => {
      const more = imageOf([...image.layers, tarOf({ third: "third" })]);
      const { name, layers } = registry.image("team/app", more);
      const asked = Promise.withResolvers<void>();
      const open = Promise.withResolvers<void>();
      const path = `team/app/blobs/${layers[2]!.digest}`;
      const right = registry.answers.get(path)!;
      async function* never(): AsyncGenerator<Uint8Array> {
        asked.resolve();
        await open.promise;
        yield new Uint8Array(0);
      }
      registry.answers.set(path, () => ({ status: 500, body: never }));
      // Its two first layers are those of the image that was loaded.
      const pulling = store.pull(name, { registries }).then(
        () => "pulled",
        (error: Error) => error.message,
      );
      await asked.promise;
      await store.remove("it:1", { force: true, inUse: nobody });
      expect(contentsOf(root).length).toBeGreaterThan(0);
      open.resolve();
      expect(await pulling).toContain("500");
      expect(contentsOf(root)).toEqual([]);
      expect((await store.check({ inUse: nobody })).problems).toEqual([]);
      registry.answers.set(path, right);
      await store.pull(name, { registries });
      expect((await store.check({ inUse: nobody })).problems).toEqual([]);
    });
  } finally {
    await registry.close();
  }
});

test("layers of a pull that failed wait for a day, and go then", async () => {
  const registry = await HostileRegistry.start();
  try {
    await withScratch(async (scratch) => {
      const root = join(scratch, "store");
      const { name, layers } = registry.image("team/app", image);
      registry.answers.set(`team/app/blobs/${layers[1]!.digest}`, { status: 500 });
      const store = openImageStore(root);
      expect(await codeOf(store.pull(name, { registries }))).toBe("registry_error");
      const kept = contentsOf(root);
      expect(kept.length).toBe(1);
      await store.collectGarbage();
      expect(contentsOf(root)).toEqual(kept);
      store.close();
      const db = new Database(join(root, "images.db"));
      db.run("UPDATE layer_blobs SET taken = taken - 25 * 3600 * 1000");
      db.close();
      const tomorrow = openImageStore(root);
      try {
        expect((await tomorrow.check({ inUse: nobody })).problems.map(({ kind }) => kind)).toEqual(["orphan"]);
        expect(await tomorrow.collectGarbage()).toEqual(kept);
        expect(contentsOf(root)).toEqual([]);
      } finally {
        tomorrow.close();
      }
    });
  } finally {
    await registry.close();
  }
});
