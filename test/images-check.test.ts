/** The store verified: a flipped bit in any of its files is found, and mended where it can be; saving, collecting and killing lose nothing. */
import { expect, test } from "bun:test";
import * as fs from "node:fs";
import { join } from "node:path";
import { openImageStore } from "../src/images/index.ts";
import type { ImageStore } from "../src/images/types.ts";
import { dockerArchive, imageOf, streamOf, tarOf } from "./images/archives.ts";
import { namesOf, verifyStore, withScratch } from "./images/harness.ts";

const nobody: ReadonlySet<string> = new Set();
const base = tarOf({ etc: { type: "dir" }, "etc/base": "base", "etc/odd": Buffer.alloc(5000, 7) });
const top = tarOf({ "etc/top": "top", "etc/.wh.base": "" });
const archive = dockerArchive(imageOf([base, top]), ["shop:1"]);

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

const flip = (path: string, at: number): void => {
  const data = fs.readFileSync(path);
  data[at]! ^= 1;
  fs.writeFileSync(path, data);
};

const collected = async (store: ImageStore, format: "docker-archive" | "oci-archive", names: string[]): Promise<Buffer> => {
  const chunks: Uint8Array[] = [];
  await store.save(names, { format, write: (chunk) => void chunks.push(chunk) });
  return Buffer.concat(chunks);
};

test("a store that is whole has no problem", async () => {
  await withStore(async (store) => {
    const { problems, images, bytes } = await store.check({ inUse: nobody });
    expect(problems).toEqual([]);
    expect(images).toBe(1);
    expect(bytes).toBeGreaterThan(base.length + top.length);
  });
});

test("a bit flipped anywhere in the index is found and mended", async () => {
  await withStore(async (store, root, scratch) => {
    const { id } = store.get("shop:1");
    const before = namesOf(store, id, scratch);
    const index = join(root, "index", `${id.slice(7)}.erofs`);
    const { size } = fs.statSync(index);
    for (const at of [0, 1024, 1100, size >> 1, size - 1]) {
      flip(index, at);
      expect((await store.check({ inUse: nobody })).problems.map(({ kind }) => kind)).toEqual(["index"]);
      const { problems } = await store.check({ inUse: nobody, repair: true });
      expect(problems[0]!.repaired).toContain("built again");
      expect((await store.check({ inUse: nobody })).problems).toEqual([]);
    }
    fs.rmSync(index);
    expect((await store.check({ inUse: nobody, quick: true })).problems.map(({ kind }) => kind)).toEqual(["index"]);
    await store.check({ inUse: nobody, repair: true });
    expect(namesOf(store, id, scratch)).toEqual(before);
  });
});

test("configuration, manifest and the layout's own files are written again", async () => {
  await withStore(async (store, root) => {
    const image = store.get("shop:1");
    const layers = new Set(image.config.rootfs.diff_ids);
    const blobs = fs.readdirSync(join(root, "blobs/sha256")).filter((name) => !layers.has(`sha256:${name}`));
    expect(blobs.length).toBe(2);
    for (const path of [...blobs.map((name) => `blobs/sha256/${name}`), "index.json", "oci-layout"]) {
      flip(join(root, path), 5);
      expect((await store.check({ inUse: nobody })).problems.map((problem) => problem.path)).toEqual([path]);
      await store.check({ inUse: nobody, repair: true });
      expect((await store.check({ inUse: nobody })).problems).toEqual([]);
    }
  });
});

test("a damaged layer takes its image along, unless a container needs it; loading it again mends it", async () => {
  await withStore(async (store, root, scratch) => {
    const { id, config } = store.get("shop:1");
    const before = namesOf(store, id, scratch);
    const layer = config.rootfs.diff_ids[0]!;
    const path = join(root, "blobs/sha256", layer.slice(7));
    for (const at of [0, fs.statSync(path).size - 1]) {
      flip(path, at);
      const { problems } = await store.check({ inUse: new Set([id]) });
      expect(problems.some((problem) => problem.layer === layer && problem.message.includes("layer 1 of 2"))).toBe(true);
      flip(path, at);
    }
    flip(path, 700);
    const kept = await store.check({ inUse: new Set([id]), repair: true });
    expect(kept.problems[0]!.repaired).toContain("a container needs it");
    expect(store.get("shop:1").id).toBe(id);
    await store.load(streamOf(archive));
    expect((await store.check({ inUse: nobody })).problems).toEqual([]);
    expect(namesOf(store, id, scratch)).toEqual(before);
    flip(path, 700);
    await store.check({ inUse: nobody, repair: true });
    expect(store.list()).toEqual([]);
    expect((await store.check({ inUse: nobody })).problems).toEqual([]);
  });
});

test("orphans are found and removed", async () => {
  await withStore(async (store, root) => {
    fs.writeFileSync(join(root, "blobs/sha256", "0".repeat(64)), "left");
    expect((await store.check({ inUse: nobody })).problems.map(({ kind }) => kind)).toEqual(["orphan"]);
    await store.check({ inUse: nobody, repair: true });
    expect((await store.check({ inUse: nobody })).problems).toEqual([]);
  });
});

test("save is deterministic, loads again, and survives the removal of its image meanwhile", async () => {
  await withStore(async (store, root, scratch) => {
    const { id } = store.get("shop:1");
    store.tag(id, "shop:2");
    for (const format of ["docker-archive", "oci-archive"] as const) {
      const saved = await collected(store, format, ["shop"]);
      expect((await collected(store, format, ["shop"])).equals(saved)).toBe(true);
      const file = join(scratch, "file.tar");
      await store.save(["shop"], { format, path: file });
      expect(fs.readFileSync(file).equals(saved)).toBe(true);
      const other = openImageStore(join(scratch, format));
      try {
        const images = await other.load(streamOf(saved));
        expect(images.map((image) => [image.id, image.names.sort()])).toEqual([[id, ["shop:1", "shop:2"]]]);
      } finally {
        other.close();
      }
    }
    const chunks: Uint8Array[] = [];
    await store.save([id], {
      format: "docker-archive",
      write: async (chunk) => {
        if (chunks.push(chunk) > 1) return;
        await store.remove(id, { force: true, inUse: nobody });
        await store.collectGarbage();
      },
    });
    expect(fs.readdirSync(join(root, "blobs/sha256"))).toEqual([]);
    const [again] = await store.load(streamOf(Buffer.concat(chunks)));
    expect([again!.id, again!.names]).toEqual([id, []]);
  });
});

test("garbage is collected while images come, go and are saved: nothing that is needed goes", async () => {
  await withStore(async (store) => {
    let ended = false;
    const collecting = (async () => {
      for (; !ended; await Bun.sleep(0)) await store.collectGarbage();
    })();
    const work = async (n: number): Promise<void> => {
      for (let i = 0; i < 5; i++) {
        const own = tarOf({ [`file-${n}-${i}`]: "own" });
        const [image] = await store.load(streamOf(dockerArchive(imageOf([base, own]), [`busy:${n}-${i}`]), 1000));
        await collected(store, "docker-archive", [image!.id, "shop:1"]);
        if (i % 2) await store.remove(`busy:${n}-${i}`, { inUse: nobody });
      }
    };
    try {
      await Promise.all([work(0), work(1), work(2)]);
    } finally {
      ended = true;
      await collecting;
    }
    expect(store.list().length).toBe(1 + 3 * 3);
    expect((await store.check({ inUse: nobody })).problems).toEqual([]);
  });
}, 60_000);

test("killed while it loads, saves and collects: the store verifies clean", async () => {
  const rounds = Number(process.env.ONGGI_ROUNDS ?? 3);
  await withScratch(async (scratch) => {
    const root = join(scratch, "store");
    const file = join(scratch, "archive.tar");
    fs.writeFileSync(file, archive);
    for (let round = 0; round < rounds; round++) {
      const child = Bun.spawn([process.execPath, join(import.meta.dirname, "images/worker.ts"), root, file, scratch], {
        stdout: "pipe",
        stderr: "inherit",
      });
      const reader = child.stdout.getReader();
      // Rounds end at different steps.
      for (let heard = 0; heard <= round % 7; heard++) await reader.read();
      child.kill("SIGKILL");
      await child.exited;
      await verifyStore(root, scratch);
      const store = openImageStore(root);
      try {
        expect((await store.check({ inUse: nobody })).problems).toEqual([]);
      } finally {
        store.close();
      }
    }
  });
}, 120_000);
