/** Bad archives, bad layers, full disks, interrupted and killed imports: a clear error, and a store that is whole. */
import { expect, test } from "bun:test";
import * as fs from "node:fs";
import { join } from "node:path";
import { archiveEnd, encodeEntry } from "../src/archive/tar-encode.ts";
import { openImageStore } from "../src/images/index.ts";
import { dockerArchive, imageOf, streamOf, tarOf } from "./images/archives.ts";
import { codeOf, contentsOf, messageOf, namesOf, run, verifyStore, withScratch } from "./images/harness.ts";

const base = tarOf({ etc: { type: "dir" }, "etc/base": "base" });
const top = tarOf({ "etc/top": "top", "etc/.wh.base": "" });
const image = imageOf([base, top]);

test("hostile layers are refused with the entry's name and leave nothing", async () => {
  const layers: [layer: Uint8Array, says: RegExp][] = [
    [tarOf({ "a/../../etc/cron.d/x": "evil" }), /tar entry "a\/..\/..\/etc\/cron.d\/x" at offset 0/],
    [tarOf({ a: { type: "link", link: "../../etc/shadow" } }), /tar entry "a" at offset 0: "\.\." in a path/],
    [tarOf({ a: { type: "link", link: "/etc/shadow" } }), /hard link to "etc\/shadow", which is not there/],
    [tarOf({ a: "x", b: "y" }).subarray(0, 800), /truncated/],
    [tarOf({ d: { type: "dir" }, a: { type: "link", link: "d" } }), /hard link to the directory "d"/],
    [tarOf({ a: { type: "symlink", link: "b" }, b: { type: "symlink", link: "a" }, "a/x": "" }), /too many symbolic links/],
  ];
  await withScratch(async (scratch) => {
    const root = join(scratch, "store");
    const store = openImageStore(root);
    try {
      for (const [layer, says] of layers) {
        expect(await codeOf(store.importRootfs(streamOf(layer), {}))).toBe("layer_invalid");
        expect(await messageOf(store.importRootfs(streamOf(layer), {}))).toMatch(says);
        expect(contentsOf(root)).toEqual([]);
      }
    } finally {
      store.close();
    }
  });
});

test("links that lead out stay links: nothing outside is touched in any form", async () => {
  await withScratch(async (scratch) => {
    const outside = join(scratch, "outside");
    fs.mkdirSync(outside);
    const up = "../".repeat(20) + outside.slice(1);
    const layer = tarOf({
      absolute: { type: "symlink", link: outside },
      "absolute/one": "1",
      relative: { type: "symlink", link: up },
      "relative/two": "2",
      "/rooted": "3",
    });
    for (const form of ["erofs", "directories"] as const) {
      const store = openImageStore(join(scratch, form), { form });
      try {
        const { id } = await store.importRootfs(streamOf(layer), {});
        const inside = outside.slice(1);
        expect(namesOf(store, id, scratch)).toContain(`${inside}/one`);
        expect(namesOf(store, id, scratch)).toContain(`${inside}/two`);
        expect(namesOf(store, id, scratch)).toContain("rooted");
        expect(fs.readdirSync(outside)).toEqual([]);
      } finally {
        store.close();
      }
    }
  });
});

/** Ten gigabytes of zeros as a file in a tar, in ten megabytes: gzip members of 64 MiB each. */
const bomb = (): Uint8Array => {
  const member = Bun.gzipSync(new Uint8Array(64 << 20), { level: 9 });
  const head = Bun.gzipSync(new Uint8Array(encodeEntry({ type: "file", name: "zeros", size: 10 * 2 ** 30 })));
  return Buffer.concat([head, ...Array.from({ length: 160 }, () => member), Bun.gzipSync(new Uint8Array(archiveEnd()))]);
};

test("10 GiB of zeros in 10 MB are refused, on their own and as a layer", async () => {
  await withScratch(async (scratch) => {
    const root = join(scratch, "store");
    const store = openImageStore(root);
    try {
      const data = bomb();
      expect(data.length).toBeLessThan(11 << 20);
      expect(await messageOf(store.importRootfs(streamOf(data), {}))).toMatch(/expand to more than .* 500 times/);
      const archive = dockerArchive({ layers: [Buffer.from(data)], config: image.config }, ["bomb:1"]);
      expect(await codeOf(store.load(streamOf(archive, 1 << 20)))).toBe("decompression_limit");
      expect(contentsOf(root)).toEqual([]);
    } finally {
      store.close();
    }
  });
}, 120_000);

test("a layer with more bytes or entries than the limits is refused", async () => {
  await withScratch(async (scratch) => {
    const root = join(scratch, "store");
    const store = openImageStore(root, { maxLayerBytes: 1 << 20, maxLayerEntries: 100 });
    try {
      expect(await codeOf(store.importRootfs(streamOf(tarOf({ big: Buffer.alloc(2 << 20, 1) })), {}))).toBe("layer_too_large");
      const many = Object.fromEntries(Array.from({ length: 101 }, (_, i) => [`n${i}`, ""]));
      expect(await codeOf(store.importRootfs(streamOf(tarOf(many)), {}))).toBe("layer_too_large");
      expect(contentsOf(root)).toEqual([]);
    } finally {
      store.close();
    }
  });
});

test("a full disk is said plainly, leaves nothing, and the next import that fits works", async () => {
  await withScratch(async (scratch) => {
    const root = join(scratch, "small");
    fs.mkdirSync(root);
    run("mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", root);
    const store = openImageStore(root);
    try {
      const noise = new Uint8Array(8 << 20).map((_, i) => (i * 2654435761) >>> 13);
      for (const layers of [[tarOf({ noise })], [base, tarOf({ noise })]]) {
        const load = store.load(streamOf(dockerArchive(imageOf(layers), ["big:1"])));
        expect(await codeOf(load)).toBe("out_of_disk");
        expect(contentsOf(root)).toEqual([]);
      }
      expect(await codeOf(store.importRootfs(streamOf(tarOf({ noise })), { name: "big" }))).toBe("out_of_disk");
      // The layer fits, its index does not.
      const many: Record<string, string> = {};
      for (let i = 0; i < 5000; i++) many[`${"n".repeat(80)}-${i}`] = "";
      expect(
        await codeOf(store.importRootfs(streamOf(tarOf({ ...many, fill: noise.subarray(0, (2 << 20) + 700_000) })), {})),
      ).toBe("out_of_disk");
      expect(contentsOf(root)).toEqual([]);
      await store.load(streamOf(dockerArchive(image, ["fits:1"])));
      expect(namesOf(store, "fits:1", scratch)).toEqual(["etc", "etc/top"]);
    } finally {
      store.close();
    }
    expect(await verifyStore(root, scratch)).toEqual(["fits:1"]);
  });
}, 30_000);

test("an abort ends a load at once, wherever it stands, and leaves nothing", async () => {
  await withScratch(async (scratch) => {
    const root = join(scratch, "store");
    const store = openImageStore(root);
    try {
      const archive = dockerArchive(image, ["img:v1"]);
      for (let cut = 0; cut < archive.length; cut += 1024) {
        const stop = new AbortController();
        let told = false;
        const stuck = new ReadableStream<Uint8Array>({
          start: (controller) => controller.enqueue(new Uint8Array(archive.subarray(0, cut + 1))),
          pull: () => void setTimeout(() => stop.abort(new Error("the user went away")), 1),
          cancel: () => {
            told = true;
          },
        });
        expect(store.load(stuck, { signal: stop.signal })).rejects.toThrow("the user went away");
        await store.load(stuck, { signal: stop.signal }).catch(() => {});
        while (!told) await Bun.sleep(1);
        for (let wait = 0; contentsOf(root).length > 0 && wait < 200; wait++) await Bun.sleep(5);
        expect(contentsOf(root)).toEqual([]);
      }
    } finally {
      store.close();
    }
  });
}, 30_000);

test("a source that fails is the error, and nothing is left", async () => {
  await withScratch(async (scratch) => {
    const root = join(scratch, "store");
    const store = openImageStore(root);
    try {
      for (const data of [
        dockerArchive(image, ["img:v1"]),
        Buffer.from(Bun.gzipSync(new Uint8Array(dockerArchive(image, ["img:v1"])))),
      ]) {
        let sent = false;
        const broken = new ReadableStream<Uint8Array>({
          pull: (controller) => {
            if (sent) controller.error(new Error("connection reset"));
            else controller.enqueue(new Uint8Array(data.subarray(0, 200)));
            sent = true;
          },
        });
        expect(await messageOf(store.load(broken))).toBe("connection reset");
        expect(contentsOf(root)).toEqual([]);
      }
    } finally {
      store.close();
    }
  });
});

test("loads, removals and garbage collection at the same time do not harm each other", async () => {
  await withScratch(async (scratch) => {
    const root = join(scratch, "store");
    const store = openImageStore(root);
    try {
      const archives = Array.from({ length: 6 }, (_, i) =>
        dockerArchive(imageOf([base, tarOf({ [`n${i % 3}`]: `${i % 3}` })]), [`n${i}:1`]),
      );
      for (let round = 0; round < 5; round++) {
        const loading = archives.map((archive) => store.load(streamOf(archive, 3000)));
        await Promise.all([...loading, store.collectGarbage(), Bun.sleep(1).then(() => store.collectGarbage())]);
        expect(store.list().length).toBe(3);
        await Promise.all([0, 1, 2, 3, 4].map((i) => store.remove(`n${i}:1`, { inUse: new Set() })));
        expect(namesOf(store, "n5:1", scratch)).toEqual(["etc", "etc/base", "n2"]);
      }
    } finally {
      store.close();
    }
    expect(await verifyStore(root, scratch)).toEqual(["n5:1"]);
  });
});

test("killed 20 times in the middle of importing, the store opens whole and clean each time", async () => {
  await withScratch(async (scratch) => {
    const root = join(scratch, "store");
    const archive = join(scratch, "archive.tar");
    const noise = new Uint8Array(3 << 20).map((_, i) => (i * 2654435761) >>> 11);
    fs.writeFileSync(archive, dockerArchive(imageOf([base, tarOf({ noise, more: "x" }), top]), ["loaded:1"]));
    const first = openImageStore(root);
    await first.load(streamOf(dockerArchive(imageOf([base, tarOf({ mine: "x" })]), ["mine:1"])));
    first.close();
    let interrupted = 0;
    for (let round = 0; round < 20; round++) {
      const child = Bun.spawn([process.execPath, join(import.meta.dir, "images/importer.ts"), root, archive], {
        stdout: "pipe",
        stderr: "inherit",
      });
      // From its start on, at ever other places of the first rounds of its loop.
      const reader = child.stdout.getReader();
      if (round % 4 !== 0) await reader.read();
      await Bun.sleep(round % 4 === 0 ? 40 + round * 6 : (round * 7) % 60);
      child.kill("SIGKILL");
      await child.exited;
      if (contentsOf(root).some((path) => path.startsWith("tmp/"))) interrupted++;
      const names = await verifyStore(root, scratch);
      expect(names).toContain("mine:1");
      const store = openImageStore(root);
      for (const name of names) if (name !== "mine:1") await store.remove(name, { inUse: new Set() });
      store.close();
    }
    expect(interrupted).toBeGreaterThan(0);
  });
}, 120_000);
