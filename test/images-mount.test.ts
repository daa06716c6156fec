/** One suite for every form in which an image can be mounted: what is seen is what GNU tar and overlayfs would show. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { writeIndex } from "../src/images/erofs.ts";
import { devicesOf } from "../src/images/image-index.ts";
import { openImageStore } from "../src/images/index.ts";
import { scanLayer } from "../src/images/layer.ts";
import { archiveEnd, encodeEntry, encodeHeader } from "../src/images/tar-encode.ts";
import { buildTree } from "../src/images/tree.ts";
import { attachMount, close, mountFs } from "../src/sys/index.ts";
import { dockerArchive, imageOf, sha256, streamOf, tarOf } from "./images/archives.ts";
import { makeSourceTree } from "./images/fixture.ts";
import { contentsOf, forms, namesOf, run, treeOf, withScratch, withTree } from "./images/harness.ts";
import { snapshot } from "./images/snapshot.ts";

const noUse = { inUse: new Set<string>() };

const tarForms: [name: string, options: string[]][] = [
  ["GNU", ["--format=gnu"]],
  ["GNU with sparse files", ["--format=gnu", "-S"]],
  ["PAX with attributes", ["--format=posix", "--xattrs", "--xattrs-include=*"]],
  ["PAX with sparse files 0.0", ["--format=posix", "-S", "--sparse-version=0.0"]],
  ["PAX with sparse files 0.1", ["--format=posix", "-S", "--sparse-version=0.1"]],
  ["PAX with sparse files 1.0", ["--format=posix", "-S", "--sparse-version=1.0", "--xattrs", "--xattrs-include=*"]],
];

/** One of everything, as GNU tar packs it in every form, and what GNU tar extracts from that. */
let packed: { folder: string; extracted: Map<string, Record<string, string>> };

beforeAll(() => {
  const folder = fs.mkdtempSync(join(tmpdir(), "onggi-packed-"));
  packed = { folder, extracted: new Map() };
  const source = join(folder, "source");
  fs.mkdirSync(source);
  makeSourceTree(source);
  for (const [name, options] of tarForms) {
    const extracted = join(folder, "extracted");
    fs.mkdirSync(extracted);
    run("tar", ...options, "-C", source, "-cf", join(folder, `${name}.tar`), ".");
    run("tar", "--xattrs", "--xattrs-include=*", "--numeric-owner", "-C", extracted, "-xpf", join(folder, `${name}.tar`));
    packed.extracted.set(name, snapshot(extracted));
    fs.rmSync(extracted, { recursive: true });
  }
}, 120_000);

afterAll(() => fs.rmSync(packed.folder, { recursive: true, force: true }));

describe.each(forms)("mounted as %s", (form) => {
  test.each(tarForms)(
    "a tar in the form %s is what GNU tar extracts",
    async (name) => {
      await withScratch(async (scratch) => {
        const tar = join(packed.folder, `${name}.tar`);
        const store = openImageStore(join(scratch, "store"), { form });
        try {
          const image = await store.importRootfs(Bun.file(tar).stream(), { name: "everything" });
          expect(treeOf(store, image.id, scratch)).toEqual(packed.extracted.get(name)!);
          expect(image.size).toBe(fs.statSync(tar).size);
        } finally {
          store.close();
        }
      });
    },
    60_000,
  );

  test("an image of several layers shows the topmost of everything", async () => {
    await withScratch(async (scratch) => {
      const layers = [
        tarOf({
          a: { type: "dir" },
          "a/gone": "1",
          "a/kept": "1",
          "a/changed": "1",
          opaque: { type: "dir" },
          "opaque/hidden": "1",
          file: "1",
        }),
        tarOf({ "a/.wh.gone": "", "a/changed": "22", "opaque/.wh..wh..opq": "", "opaque/new": "2", ".wh.file": "" }),
        tarOf({ "file/now-a-directory": "3", "a/link": { type: "link", link: "a/target" } }).subarray(0, 0),
        tarOf({ "file/now-a-directory": "3", "a/target": "3", "a/link": { type: "link", link: "a/target" } }),
      ].filter((layer) => layer.length > 0);
      const store = openImageStore(join(scratch, "store"), { form });
      try {
        const [image] = await store.load(streamOf(dockerArchive(imageOf(layers), ["many:layers"])));
        expect(namesOf(store, image!.id, scratch)).toEqual(
          ["a", "a/changed", "a/kept", "a/link", "a/target", "file", "file/now-a-directory", "opaque", "opaque/new"].sort(),
        );
        withTree(store.mount(image!.id), scratch, (path) => {
          expect(fs.readFileSync(join(path, "a/changed"), "utf8")).toBe("22");
          expect(fs.statSync(join(path, "a/link")).ino).toBe(fs.statSync(join(path, "a/target")).ino);
        });
      } finally {
        store.close();
      }
    });
  });

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

test("layers one by one, with whiteouts kept, give under overlayfs what the merged index gives", async () => {
  await withScratch(async (scratch) => {
    const layers = [
      tarOf({
        a: { type: "dir" },
        "a/gone": "1",
        "a/kept": "1",
        "b/c/hidden": "1",
        file: "1",
        replaced: { type: "dir" },
        "replaced/x": "1",
      }),
      tarOf({
        "a/.wh.gone": "",
        "b/c": { type: "dir" },
        "b/c/.wh..wh..opq": "",
        "b/c/new": "2",
        ".wh.file": "",
        ".wh.replaced": "",
        "replaced/y": "2",
      }),
    ];
    const lowers = layers.map((layer, i) => {
      const tar = join(scratch, `${i}.tar`);
      fs.writeFileSync(tar, layer);
      const index = writeIndex(buildTree([scanLayer(tar)], "overlay"), {
        layers: [{ tag: `${i}`, size: layer.length }],
        uuid: new Uint8Array(16),
      });
      fs.writeFileSync(join(scratch, `${i}.erofs`), index.bytes);
      const point = join(scratch, `lower-${i}`);
      fs.mkdirSync(point);
      const mounted = mountFs("erofs", { source: join(scratch, `${i}.erofs`), options: [["device", tar]] });
      attachMount(mounted, point);
      close(mounted);
      return point;
    });
    const merged = join(scratch, "merged");
    fs.mkdirSync(merged);
    run("mount", "-t", "overlay", "overlay", "-o", `lowerdir=${lowers.reverse().join(":")}`, merged);
    const store = openImageStore(join(scratch, "store"));
    try {
      const [image] = await store.load(streamOf(dockerArchive(imageOf(layers), null)));
      const names = Object.keys(snapshot(merged)).filter((name) => name !== ".");
      expect(names.sort()).toEqual(namesOf(store, image!.id, scratch));
      expect(names).toContain("b/c/new");
      expect(names).not.toContain("replaced/x");
    } finally {
      store.close();
    }
  });
});

test("any tree of names, links and attributes is what its index shows", async () => {
  const byte = fc.integer({ min: 1, max: 255 }).filter((code) => code !== 0x2f);
  const name = fc
    .array(byte, { minLength: 1, maxLength: 255 })
    .map((codes) => String.fromCharCode(...codes))
    .filter((text) => text !== "." && text !== ".." && !text.startsWith(".wh."));
  const leaf = fc.record({
    name,
    link: fc.option(fc.integer({ min: 1, max: 1200 })),
    attribute: fc.option(fc.uint8Array({ maxLength: 900 })),
    data: fc.uint8Array({ maxLength: 1100 }),
  });
  const folder = fc.record({ name, leaves: fc.uniqueArray(leaf, { selector: (item) => item.name, maxLength: 40 }) });
  const tree = fc.uniqueArray(folder, { selector: (item) => item.name, maxLength: 6 });
  await withScratch(async (scratch) => {
    const root = join(scratch, "store");
    const store = openImageStore(root);
    try {
      await fc.assert(
        fc.asyncProperty(tree, async (folders) => {
          const parts: Buffer[] = [];
          const want = new Map<string, string>();
          for (const { name: directory, leaves } of folders) {
            parts.push(encodeHeader({ type: "dir", name: directory }));
            want.set(directory, "dir");
            for (const { name: base, link, attribute, data } of leaves) {
              const path = `${directory}/${base}`;
              const xattrs = attribute ? [{ name: "trusted.x", value: attribute }] : null;
              const target = "t".repeat(link ?? 0);
              if (link) parts.push(encodeEntry({ type: "symlink", name: path, link: target, xattrs }));
              else parts.push(encodeEntry({ type: "file", name: path, xattrs }, data));
              const content = link ? `-> ${target}` : `${data.length} bytes ${sha256(data).slice(0, 16)}`;
              want.set(path, content + (attribute ? ` trusted.x=${Buffer.from(attribute).toString("hex")}` : ""));
            }
          }
          const image = await store.importRootfs(streamOf(Buffer.concat([...parts, archiveEnd()])), {});
          const found = treeOf(store, image.id, scratch);
          delete found["."];
          expect(Object.keys(found).sort()).toEqual([...want.keys()].sort());
          for (const [path, text] of want) expect(found[path]).toContain(text);
          await store.remove(image.id, noUse);
        }),
        { numRuns: 60 },
      );
    } finally {
      store.close();
    }
    expect(contentsOf(root)).toEqual([]);
  });
}, 60_000);
