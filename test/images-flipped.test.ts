/** Bits flipped at random, in files and in the database: found, told, and mended by repair and a pull. */
import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import * as fs from "node:fs";
import { join } from "node:path";
import { openImageStore } from "../src/images/index.ts";
import { openRegistries } from "../src/images/remote/registries.ts";
import type { ImageStore } from "../src/images/types.ts";
import { dockerArchive, imageOf, streamOf, tarOf } from "./images/archives.ts";
import { treeOf, withScratch } from "./images/harness.ts";
import { HostileRegistry } from "./kit/hostile.ts";
import { seededRandom } from "./kit/random.ts";

const nobody: ReadonlySet<string> = new Set();
const base = tarOf({ etc: { type: "dir" }, "etc/base": "base", "etc/odd": Buffer.alloc(5000, 7) });
const top = tarOf({ "etc/top": "top", "etc/.wh.base": "" });

const flip = (path: string, at: number, bit = 0): void => {
  const data = fs.readFileSync(path);
  data[at]! ^= 1 << bit;
  fs.writeFileSync(path, data);
};

/** A file of the store and a bit of it, by two numbers from 0 to 1. */
const bitOf = (root: string, which: number, where: number): { path: string; at: number; bit: number } => {
  const files = ["blobs/sha256", "index"].flatMap((folder) =>
    fs.readdirSync(join(root, folder)).map((name) => `${folder}/${name}`),
  );
  const all = [...files, "index.json", "oci-layout"].sort();
  const path = all[Math.floor(which * all.length)]!;
  const bits = fs.statSync(join(root, path)).size * 8;
  const position = Math.floor(where * bits);
  return { path, at: position >> 3, bit: position & 7 };
};

test("any bit flipped in any blob, layer or index is found; repair and a pull make it whole again", async () => {
  const rounds = Math.max(20, Number(process.env.ONGGI_ROUNDS ?? 100));
  const random = seededRandom("images-flipped");
  const registry = await HostileRegistry.start();
  const registries = openRegistries({ config: "/nonexistent/registries.toml", certsDirs: [], env: {} });
  try {
    const images = [imageOf([base, top]), imageOf([base, tarOf({ "etc/other": "other" })])];
    const names = images.map((image, position) => registry.image(`team/${position}`, image).name);
    await withScratch(async (scratch) => {
      const root = join(scratch, "store");
      const store = openImageStore(root);
      try {
        const pull = async (): Promise<void> => {
          for (const name of names) await store.pull(name, { registries });
        };
        await pull();
        const trees = names.map((name) => treeOf(store, name, scratch));
        // index.json follows changes a little later, and would be written over what is flipped in it
        expect((await store.check({ inUse: nobody })).problems).toEqual([]);
        for (let round = 0; round < rounds; round++) {
          const { path, at, bit } = bitOf(root, random(), random());
          flip(join(root, path), at, bit);
          const found = await store.check({ inUse: nobody });
          expect([path, at, bit, found.problems.some((problem) => problem.path === path)]).toEqual([path, at, bit, true]);
          await store.check({ inUse: nobody, repair: true });
          await pull();
          expect((await store.check({ inUse: nobody })).problems).toEqual([]);
          names.forEach((name, position) => {
            expect(treeOf(store, name, scratch)).toEqual(trees[position]!);
          });
        }
      } finally {
        store.close();
      }
    });
  } finally {
    registries.close();
    await registry.close();
  }
}, 120_000);

test("a layer that waits for the next pull is checked too", async () => {
  const registry = await HostileRegistry.start();
  const registries = openRegistries({ config: "/nonexistent/registries.toml", certsDirs: [], env: {} });
  try {
    const { name, layers } = registry.image("team/app", imageOf([base, top]));
    const path = `team/app/blobs/${layers[1]!.digest}`;
    const right = registry.answers.get(path)!;
    registry.answers.set(path, { status: 500 });
    await withScratch(async (scratch) => {
      const root = join(scratch, "store");
      const store = openImageStore(root);
      try {
        expect(store.pull(name, { registries })).rejects.toThrow("500");
        await store.pull(name, { registries }).catch(() => {});
        const [kept, ...others] = fs.readdirSync(join(root, "blobs/sha256"));
        expect(others).toEqual([]);
        flip(join(root, "blobs/sha256", kept!), 600);
        const { problems } = await store.check({ inUse: nobody, repair: true });
        expect(problems.map(({ kind, layer, repaired }) => [kind, layer, repaired?.slice(0, 7)])).toEqual([
          ["layer", `sha256:${kept}`, "removed"],
        ]);
        expect((await store.check({ inUse: nobody })).problems).toEqual([]);
        registry.answers.set(path, right);
        await store.pull(name, { registries });
        expect((await store.check({ inUse: nobody })).problems).toEqual([]);
      } finally {
        store.close();
      }
    });
  } finally {
    registries.close();
    await registry.close();
  }
});

test("bits flipped in the database: the store opens or says that it is damaged; a record is written again from its configuration", async () => {
  const random = seededRandom("images-flipped, database");
  await withScratch(async (scratch) => {
    const root = join(scratch, "store");
    const store = openImageStore(root);
    await store.load(streamOf(dockerArchive(imageOf([base, top]), ["shop:1"])));
    await store.load(streamOf(dockerArchive(imageOf([base, tarOf({ other: "x" })]), ["shop:2"])));
    const names = store.list().flatMap((image) => image.names);
    store.close();
    const copy = join(scratch, "copy");
    let told = 0;
    for (let round = 0; round < 60; round++) {
      fs.rmSync(copy, { recursive: true, force: true });
      fs.cpSync(root, copy, { recursive: true });
      const { size } = fs.statSync(join(copy, "images.db"));
      flip(join(copy, "images.db"), Math.floor(random() * size));
      let damaged: ImageStore;
      try {
        damaged = openImageStore(copy);
      } catch (error) {
        expect((error as { code?: string }).code).toBeOneOf(["store_damaged", "store_version"]);
        told += 1;
        continue;
      }
      try {
        await damaged.collectGarbage();
        const { problems } = await damaged.check({ inUse: nobody });
        const records = problems.filter(({ kind }) => kind === "record");
        if (problems.length > 0) told += 1;
        if (records.length === 0 || problems.some(({ kind }) => kind === "database")) continue;
        await damaged.check({ inUse: nobody, repair: true });
        expect((await damaged.check({ inUse: nobody })).problems.filter(({ kind }) => kind === "record")).toEqual([]);
      } finally {
        damaged.close();
      }
    }
    expect(told).toBeGreaterThan(0);
    expect(names.length).toBe(2);
    // What is recorded of an image follows from its configuration.
    const db = new Database(join(root, "images.db"));
    db.run("UPDATE images SET config = replace(config, 'sh', 'no'), size = 7");
    db.run("DELETE FROM image_layers WHERE position = 1");
    db.close();
    const again = openImageStore(root);
    try {
      const { problems } = await again.check({ inUse: nobody, repair: true });
      expect(problems.map(({ kind, repaired }) => [kind, repaired?.slice(0, 13)])).toEqual([
        ["record", "written again"],
        ["record", "written again"],
      ]);
      expect((await again.check({ inUse: nobody })).problems).toEqual([]);
      expect(again.list().flatMap((image) => image.names)).toEqual(names);
      expect(again.get("shop:1").config.config.Cmd).toEqual(["sh"]);
    } finally {
      again.close();
    }
  });
}, 60_000);
