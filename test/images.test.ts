/** The image store on real file systems, every form of mount, as root. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { writeIndex } from "../src/images/erofs.ts";
import { bootstrap, ImageAmbiguous, ImageInUse, ImageNotFound, openImageStore } from "../src/images/index.ts";
import { scanLayer } from "../src/images/layer.ts";
import { archiveEnd, encodeEntry, encodeHeader } from "../src/images/tar-encode.ts";
import { buildTree } from "../src/images/tree.ts";
import { attachMount, close, mountFs } from "../src/sys/index.ts";
import { dockerArchive, imageOf, sha256, streamOf, tarOf } from "./images/archives.ts";
import { makeSourceTree } from "./images/fixture.ts";
import { codeOf, contentsOf, forms, namesOf, treeOf, verifyStore, withScratch, withTree } from "./images/harness.ts";
import { snapshot } from "./images/snapshot.ts";

const run = (...command: string[]): Buffer => {
  const done = Bun.spawnSync(command, { env: { ...process.env, LC_ALL: "C" } });
  if (!done.success) throw new Error(`${command.join(" ")}: ${done.stderr}`);
  return done.stdout;
};

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

test("the best form is found by trying, and a store without the right to mount falls back", async () => {
  await withScratch(async (scratch) => {
    const store = openImageStore(join(scratch, "store"));
    expect(["erofs", "loop", "directories"]).toContain(store.form);
    store.close();
    expect(contentsOf(join(scratch, "store"))).toEqual([]);
  });
});

test("a store on overlayfs cannot be mounted file-backed and takes loop devices", async () => {
  await withScratch(async (scratch) => {
    for (const name of ["disk", "merged"]) fs.mkdirSync(join(scratch, name));
    run("mount", "-t", "tmpfs", "tmpfs", join(scratch, "disk"));
    for (const name of ["lower", "upper", "work"]) fs.mkdirSync(join(scratch, "disk", name));
    const options = ["lower", "upper", "work"].map((name) => `${name}dir=${join(scratch, "disk", name)}`).join(",");
    run("mount", "-t", "overlay", "overlay", "-o", options, join(scratch, "merged"));
    const store = openImageStore(join(scratch, "merged/store"));
    try {
      expect(store.form).toBe("loop");
      const image = await store.importRootfs(streamOf(tarOf({ file: "content" })), {});
      expect(namesOf(store, image.id, scratch)).toEqual(["file"]);
    } finally {
      store.close();
    }
  });
});

test("a store whose path is longer than a mount option may be", async () => {
  await withScratch(async (scratch) => {
    const store = openImageStore(join(scratch, "d".repeat(150), "e".repeat(150)));
    try {
      const image = await store.importRootfs(streamOf(tarOf({ file: "content" })), {});
      expect(namesOf(store, image.id, scratch)).toEqual(["file"]);
    } finally {
      store.close();
    }
  });
});

test("an image is found by name, id and prefix; names move; removal says what went", async () => {
  await withScratch(async (scratch) => {
    const root = join(scratch, "store");
    const store = openImageStore(root);
    try {
      const shared = tarOf({ base: "1" });
      const [one] = await store.load(streamOf(dockerArchive(imageOf([shared, tarOf({ one: "1" })]), ["one", "one:extra"])));
      const [two] = await store.load(
        streamOf(dockerArchive(imageOf([shared, tarOf({ two: "2" })]), ["docker.io/library/two:latest"])),
      );
      expect(store.list().map(({ names }) => names)).toEqual([["two:latest"], ["one:extra", "one:latest"]]);
      for (const reference of [
        "one",
        "one:latest",
        "docker.io/library/one",
        one!.id,
        one!.id.slice(7),
        one!.id.slice(0, 20),
        one!.id.slice(7, 19),
      ]) {
        expect(store.get(reference).id).toBe(one!.id);
      }
      for (const reference of ["three", "one:none", "sha256:00", "", "Not A Name"])
        expect(() => store.get(reference)).toThrow(ImageNotFound);
      expect(() => store.get("sha256:")).toThrow(ImageNotFound);
      store.tag(one!.id, "two:latest");
      expect(store.get("two").id).toBe(one!.id);
      expect(store.get(two!.id).names).toEqual([]);
      expect(await codeOf(store.remove(one!.id, noUse))).toBe("image_in_use");
      expect(await store.remove("one:extra", noUse)).toEqual({ untagged: ["one:extra"], deleted: [] });
      expect(await store.remove("two", noUse)).toEqual({ untagged: ["two:latest"], deleted: [] });
      expect(store.remove("one", { inUse: new Set([one!.id]) })).rejects.toThrow(ImageInUse);
      const gone = await store.remove(two!.id, noUse);
      expect(gone).toEqual({ untagged: [], deleted: [two!.id, two!.config.rootfs.diff_ids[1]!] });
      expect(await store.remove("one", { force: true, inUse: new Set([one!.id]) })).toEqual({
        untagged: ["one:latest"],
        deleted: [],
      });
      expect(namesOf(store, one!.id, scratch)).toEqual(["base", "one"]);
      expect((await store.remove(one!.id, noUse)).deleted).toEqual([one!.id, ...one!.config.rootfs.diff_ids]);
      expect(contentsOf(root)).toEqual([]);
      expect(store.remove("one", noUse)).rejects.toThrow(ImageNotFound);
    } finally {
      store.close();
    }
  });
});

test("a prefix that several ids begin with is ambiguous", async () => {
  await withScratch(async (scratch) => {
    const store = openImageStore(join(scratch, "store"));
    try {
      const first = new Map<string, string>();
      for (let i = 0; i < 40; i++) {
        const { id } = await store.importRootfs(streamOf(tarOf({ n: `${i}` })), {});
        const same = first.get(id.slice(0, 8));
        if (same) {
          expect(() => store.get(id.slice(0, 8))).toThrow(ImageAmbiguous);
          return;
        }
        first.set(id.slice(0, 8), id);
      }
      throw new Error("forty ids with forty different digits");
    } finally {
      store.close();
    }
  });
});

test("what is stored is there for the next engine, and is an OCI image layout for others", async () => {
  await withScratch(async (scratch) => {
    const root = join(scratch, "store");
    let store = openImageStore(root);
    const image = await store.importRootfs(streamOf(tarOf({ hello: "there" })), {
      name: "hello:v1",
      config: { Env: ["A=b"], Cmd: ["x"] },
    });
    store.close();
    store = openImageStore(root);
    expect(store.list()).toEqual([image]);
    store.close();
    expect(run("skopeo", "inspect", `oci:${root}:hello:v1`).toString()).toContain(image.config.rootfs.diff_ids[0]!);
    run("skopeo", "copy", "-q", `oci:${root}:hello:v1`, `oci:${join(scratch, "copy")}:hello`);
    expect(await verifyStore(root, scratch)).toEqual(["hello:v1"]);
  });
});

test("runs of zeros take no space on disk and the layer keeps its digest", async () => {
  await withScratch(async (scratch) => {
    const root = join(scratch, "store");
    const store = openImageStore(root);
    try {
      const tar = tarOf({ before: "x", zeros: Buffer.alloc(64 << 20), after: "y" });
      const image = await store.importRootfs(streamOf(tar, 1 << 20), {});
      expect(image.config.rootfs.diff_ids).toEqual([`sha256:${sha256(tar)}`]);
      expect(Number(run("du", "-sx", "--block-size=1M", root).toString().split("\t")[0])).toBeLessThan(3);
      expect(treeOf(store, image.id, scratch).zeros).toContain(sha256(Buffer.alloc(64 << 20)).slice(0, 16));
    } finally {
      store.close();
    }
    await verifyStore(root, scratch);
  });
});

test("busybox out of this machine's own runs in its own root", async () => {
  await withScratch(async (scratch) => {
    const store = openImageStore(join(scratch, "store"));
    try {
      const image = await bootstrap(store, "busybox");
      expect(image.names).toEqual(["busybox:latest"]);
      expect(image.config.config.Cmd).toEqual(["sh"]);
      withTree(store.mount(image.id), scratch, (path) => {
        expect(run("chroot", path, "/bin/sh", "-c", "echo hello; id -un; ls / | wc -l").toString()).toBe("hello\nroot\n12\n");
      });
      const again = await bootstrap(store, "busybox", { name: "other" });
      expect(again.config.rootfs).toEqual(image.config.rootfs);
      expect(await codeOf(bootstrap(store, "alpine"))).toBe("bootstrap_unknown");
      expect(await codeOf(bootstrap(store, "busybox", { busybox: "/bin/sh" }))).toBe("bootstrap_tool_missing");
      expect(await codeOf(bootstrap(store, "debian:no-such-suite"))).toBe("bootstrap_failed");
      expect(store.list().length).toBe(2);
    } finally {
      store.close();
    }
  });
}, 60_000);

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
