/** Images mounted: shared, made again, gone with the image; files that no tar program writes. What is seen: images-conformance*. */
import { describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { join } from "node:path";
import { encodeHeader } from "../src/archive/tar-encode.ts";
import { devicesOf } from "../src/images/image-index.ts";
import { openImageStore } from "../src/images/index.ts";
import { lgetxattr } from "../src/sys/index.ts";
import { dockerArchive, imageOf, sha256, streamOf, tarOf } from "./images/archives.ts";
import { contentsOf, forms, namesOf, run, withScratch, withTree } from "./images/harness.ts";

const noUse = { inUse: new Set<string>() };

describe.each(forms)("mounted as %s", (form) => {
  test("an image of many layers, small and large, empty and sparse, shows all of their files", async () => {
    await withScratch(async (scratch) => {
      const map = { "GNU.sparse.name": "sparse", "GNU.sparse.size": "9006", "GNU.sparse.map": "100,5,9000,6" };
      const contents = Array.from({ length: 8 }, (_, i) => `${i}`.repeat(i % 4 === 3 ? 100_000 : 600 * (i + 1)));
      const layers = [
        ...contents.map((text, i) => tarOf({ [`file-${i}`]: text, [`little-${i}`]: `${i}` })),
        tarOf({ "only-a-directory": { type: "dir" } }),
        Buffer.concat([paxHeader(map), tarOf({ stored: "firstsecond" })]),
      ];
      const store = openImageStore(join(scratch, "store"), { form });
      try {
        const [image] = await store.load(streamOf(dockerArchive(imageOf(layers), ["many:layers"])));
        withTree(store.mount(image!.id), scratch, (path) => {
          for (const [i, text] of contents.entries()) {
            expect(fs.readFileSync(join(path, `file-${i}`), "utf8") === text).toBe(true);
            expect(fs.readFileSync(join(path, `little-${i}`), "utf8")).toBe(`${i}`);
          }
          expect(fs.readFileSync(join(path, "sparse"), "latin1")).toBe(`${"\0".repeat(100)}first${"\0".repeat(8895)}second`);
        });
        if (form !== "directories") {
          const large = [3, 7].map((i) => sha256(layers[i]!));
          expect(devicesOf(join(scratch, "store/index", `${image!.id.slice(7)}.erofs`))).toEqual(large);
        }
        expect((await store.check(noUse)).problems).toEqual([]);
      } finally {
        store.close();
      }
    });
  });

  test("a sparse file whose pieces begin anywhere, and a huge one", async () => {
    await withScratch(async (scratch) => {
      const pieces = [
        [100, "first"],
        [5000, "second"],
        [2 ** 37 + 7, "far away"],
      ] as const;
      const map = pieces.map(([offset, text]) => `${offset},${text.length}`).join(",");
      const records = {
        "GNU.sparse.major": "",
        "GNU.sparse.name": "huge",
        "GNU.sparse.size": `${2 ** 38}`,
        "GNU.sparse.map": map,
      };
      const stored = pieces.map(([, text]) => text).join("");
      const tar = Buffer.concat([paxHeader(records), tarOf({ stored })]);
      const store = openImageStore(join(scratch, "store"), { form });
      try {
        const image = await store.importRootfs(streamOf(tar), { name: "sparse" });
        withTree(store.mount(image.id), scratch, (path) => {
          const fd = fs.openSync(join(path, "huge"), "r");
          expect(fs.fstatSync(fd).size).toBe(2 ** 38);
          for (const [offset, text] of pieces) {
            const found = Buffer.alloc(text.length + 4, 0x55);
            fs.readSync(fd, found, 0, found.length, offset - 2);
            expect(found.toString("latin1")).toBe(`\0\0${text}\0\0`);
          }
          fs.closeSync(fd);
        });
        expect(Number(run("du", "-sx", "--block-size=1M", join(scratch, "store")).toString().split("\t")[0])).toBeLessThan(16);
      } finally {
        store.close();
      }
    });
  });

  test("an attribute as large as Linux takes one is shown, or said not to fit", async () => {
    await withScratch(async (scratch) => {
      const store = openImageStore(join(scratch, "store"), { form });
      const value = Buffer.alloc(65_535, "v");
      try {
        const layer = tarOf({ large: { type: "file", xattrs: [{ name: "user.large", value }] } });
        const shown = store
          .importRootfs(streamOf(layer), {})
          .then(({ id }) =>
            withTree(store.mount(id), scratch, (path) => Buffer.from(lgetxattr(join(path, "large"), "user.large") ?? [])),
          );
        if (form !== "directories") expect((await shown).equals(value)).toBeTrue();
        else {
          // ext4's attributes share a block; other file systems have room.
          const words = await shown.then((found) => `${found.equals(value)}`, String);
          expect(words).toMatch(
            /^true$|user\.large of "large" \(65535 bytes\) does not fit into the file system of the image store/,
          );
        }
      } finally {
        store.close();
      }
    });
  });

  test("an image without a file, and one with an empty layer", async () => {
    await withScratch(async (scratch) => {
      const store = openImageStore(join(scratch, "store"), { form });
      try {
        const [none] = await store.load(streamOf(dockerArchive(imageOf([]), ["none:1"])));
        expect(namesOf(store, none!.id, scratch)).toEqual([]);
        const [empty] = await store.load(streamOf(dockerArchive(imageOf([tarOf({}), tarOf({ x: "" })]), ["empty:1"])));
        expect(namesOf(store, empty!.id, scratch)).toEqual(["x"]);
      } finally {
        store.close();
      }
    });
  });

  test("a mount is shared, survives a lost index, and goes with its image", async () => {
    await withScratch(async (scratch) => {
      const root = join(scratch, "store");
      let store = openImageStore(root, { form });
      const image = await store.importRootfs(streamOf(tarOf({ hello: "there" })), { name: "hello" });
      expect(store.mount(image.id)).toEqual(store.mount("hello"));
      store.close();
      fs.rmSync(join(root, "index"), { recursive: true, force: true });
      fs.rmSync(join(root, "trees"), { recursive: true, force: true });
      store = openImageStore(root, { form });
      try {
        expect(namesOf(store, image.id, scratch)).toEqual(["hello"]);
        await store.remove("hello", noUse);
        expect(contentsOf(root)).toEqual([]);
        expect(fs.readFileSync("/proc/self/mountinfo", "utf8")).not.toContain(root);
      } finally {
        store.close();
      }
    });
  });
});

/** A PAX header with these records. */
const paxHeader = (records: Record<string, string>): Buffer => {
  const lines = Object.entries(records)
    .filter(([, value]) => value !== "")
    .map(([key, value]) => {
      const body = ` ${key}=${value}\n`;
      const length = body.length + `${body.length + 2}`.length;
      return `${length}${body}`;
    })
    .join("");
  const header = encodeHeader({ type: "file", name: "pax", size: lines.length });
  header[156] = 0x78;
  header.write("        ", 148, "latin1");
  let sum = 0;
  for (const value of header) sum += value;
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  const payload = Buffer.alloc(Math.ceil(lines.length / 512) * 512);
  payload.write(lines, "latin1");
  return Buffer.concat([header, payload]);
};
