/** Layers as they come: every form of an image gives of them what a model says, and what umoci unpacks. */
import { describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { archiveEnd, encodeEntry, encodeHeader } from "../src/archive/tar-encode.ts";
import type { TarEntry } from "../src/archive/tar-types.ts";
import { openImageStore } from "../src/images/index.ts";
import { Inode } from "../src/images/tree.ts";
import { shownXattrs } from "../src/images/tree-xattrs.ts";
import type { ImageStore } from "../src/images/types.ts";
import { lgetxattr, lsetxattr } from "../src/sys/index.ts";
import { dockerArchive, imageOf, sha256, streamOf } from "./images/archives.ts";
import { dir, file, gone, hardLink, layer, node, opaque, symlink } from "./images/entries.ts";
import { contentsOf, treeOf, withScratch } from "./images/harness.ts";
import { Model, type Step, type Style } from "./images/model.ts";
import { byUmoci, type Tree } from "./images/references.ts";

const noUse = { inUse: new Set<string>() };
const forms = ["erofs", "directories"] as const;
/** Every run starts umoci; `make test` makes four times as many as the gate. */
const RUNS = Math.max(20, Math.round(Number(process.env.ONGGI_ROUNDS ?? 100)));

/** What is the same whoever writes it: a directory's time is not. */
const plain = ({ ".": _, ...tree }: Tree): Tree =>
  Object.fromEntries(Object.entries(tree).map(([path, text]) => [path, text.replace(/ 0:0 mtime -?\d+/, "")]));

const withStores = (work: (stores: readonly ImageStore[], scratch: string) => Promise<void>): Promise<void> =>
  withScratch(async (scratch) => {
    const stores = forms.map((form) => openImageStore(join(scratch, form), { form }));
    try {
      await work(stores, scratch);
    } finally {
      for (const store of stores) store.close();
    }
    for (const form of forms) expect(contentsOf(join(scratch, form))).toEqual([]);
  });

/** The tree a store makes of layers, or why not. */
const treeIn = async (store: ImageStore, layers: readonly Buffer[], scratch: string): Promise<Tree | Error> => {
  try {
    const [image] = await store.load(streamOf(dockerArchive(imageOf(layers), null)));
    try {
      return plain(treeOf(store, image!.id, scratch));
    } finally {
      await store.remove(image!.id, noUse);
    }
  } catch (error) {
    return error as Error;
  }
};

// Few names, so that entries meet.
const name = fc.constantFrom("a", "b", "c");
const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((parts) => parts.join("/"));

describe("layers of what happens in a container", () => {
  const step: fc.Arbitrary<Step> = fc.oneof(
    fc.record({ do: fc.constantFrom("write", "mkdir", "remove"), path }),
    fc.record({ do: fc.constantFrom("symlink", "link", "rename", "rename"), path, to: path }),
    fc.record({ do: fc.constant("chmod" as const), path, mode: fc.constantFrom(0o600, 0o755, 0o4711, 0o1777) }),
  );
  const style: fc.Arbitrary<Style> = fc.record({ whiteoutsFirst: fc.boolean(), opaque: fc.boolean() });
  const stack = fc.array(fc.record({ steps: fc.array(step, { maxLength: 12 }), style }), { minLength: 1, maxLength: 6 });

  test("give the container's file system", async () => {
    await withStores(async (stores, scratch) => {
      await fc.assert(
        fc.asyncProperty(stack, async (list) => {
          const model = new Model();
          const layers = list.map(({ steps, style: how }) => model.layer(steps, how));
          const want = model.tree();
          for (const store of stores) expect(await treeIn(store, layers, scratch)).toEqual(want);
          expect(plain(byUmoci(layers, scratch))).toEqual(want);
        }),
        { numRuns: RUNS },
      );
    });
  }, 300_000);
});

describe("layers of any entries in any order", () => {
  const parents = (whole: string): Buffer[] => {
    const parts = whole.split("/").slice(0, -1);
    return parts.map((_, i) => dir(parts.slice(0, i + 1).join("/")));
  };
  const meet = (one: string, other: string): boolean => `${one}/`.startsWith(`${other}/`) || `${other}/`.startsWith(`${one}/`);
  // Words, so that a counterexample can be read.
  const item = fc.oneof(
    { weight: 20, arbitrary: fc.tuple(fc.constantFrom("file", "dir", "private dir", "symlink", "fifo", "gone", "opaque"), path) },
    { weight: 6, arbitrary: fc.tuple(fc.constant("linked file"), path, path, path) },
    { weight: 1, arbitrary: fc.tuple(fc.constant("link"), path, path) },
  );
  const encode = ([kind, at, ...names]: readonly [string, string, ...string[]]): Buffer[] => {
    switch (kind) {
      case "file":
        return [...parents(at), file(at)];
      case "dir":
        return [...parents(at), dir(at)];
      case "private dir":
        return [...parents(at), dir(at, { mode: 0o700 })];
      case "symlink":
        return [...parents(at), symlink(at, "nowhere")];
      case "fifo":
        return [...parents(at), node("fifo", at)];
      case "gone":
        return [...parents(at), gone(at)];
      case "opaque":
        return [...parents(`${at}/x`), opaque(at)];
      case "link":
        return meet(at, names[0]!) ? [] : [...parents(at), hardLink(at, names[0]!)];
      default:
        // A link in the place of its own target is refused by umoci and means nothing to us; below it there is none.
        return [
          ...[...parents(at), file(at, "shared")],
          ...names.filter((name) => !meet(name, at)).flatMap((name) => [...parents(name), hardLink(name, at)]),
        ];
    }
  };
  const stack = fc.array(fc.array(item, { maxLength: 8 }), { minLength: 1, maxLength: 4 });

  test("give what umoci unpacks, or are refused as umoci refuses them", async () => {
    let refused = 0;
    await withStores(async (stores, scratch) => {
      await fc.assert(
        fc.asyncProperty(stack, async (list) => {
          const layers = list.map((items) => layer(...items.flatMap(encode)));
          let want: Tree | null = null;
          try {
            want = plain(byUmoci(layers, scratch));
          } catch {
            refused++;
          }
          for (const store of stores) {
            const found = await treeIn(store, layers, scratch);
            if (want) expect(found).toEqual(want);
            else expect(found).toBeInstanceOf(Error);
          }
        }),
        { numRuns: RUNS },
      );
    });
    expect(refused).toBeLessThan(RUNS / 2);
  }, 300_000);
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

test("the access control lists that are shown are those that the kernel keeps", async () => {
  const entry = fc.tuple(fc.constantFrom(1, 2, 4, 8, 16, 32), fc.integer({ min: 0, max: 8 }), fc.constantFrom(0, 5, 0xffffffff));
  const sorted = fc
    .uniqueArray(entry, { maxLength: 6, selector: ([tag]) => tag })
    .map((list) => list.toSorted((a, b) => a[0] - b[0]));
  const shape = fc.constantFrom([1, 4, 32], [1, 2, 4, 16, 32], [1, 2, 2, 4, 8, 16, 32], [1, 4, 16, 32], [1, 2, 4, 32]);
  const proper = shape.chain((tags) => fc.tuple(...tags.map((tag) => fc.tuple(fc.constant(tag), fc.nat(7), fc.nat(9)))));
  const acl = fc.oneof(proper, sorted, fc.array(entry, { maxLength: 6 })).map((entries) => {
    const value = Buffer.alloc(4 + 8 * entries.length);
    value.writeUInt32LE(2);
    for (const [i, [tag, permissions, id]] of entries.entries()) {
      value.writeUInt16LE(tag, 4 + 8 * i);
      value.writeUInt16LE(permissions, 6 + 8 * i);
      value.writeUInt32LE(id, 8 + 8 * i);
    }
    return value;
  });
  const damaged = fc.tuple(acl, fc.nat(60)).map(([value, length]) => value.subarray(0, length));
  await withScratch((scratch) => {
    let made = 0;
    fc.assert(
      fc.property(fc.oneof(acl, damaged), fc.constantFrom("access", "default"), fc.boolean(), (value, kind, folder) => {
        const name = `system.posix_acl_${kind}`;
        const at = join(scratch, `${made++}`);
        if (folder) fs.mkdirSync(at);
        else fs.writeFileSync(at, "");
        let kept = true;
        try {
          lsetxattr(at, name, value);
          kept = lgetxattr(at, name) !== null;
        } catch {
          kept = false;
        }
        const entry = { type: folder ? "dir" : "file", xattrs: [{ name, value }] } as unknown as TarEntry;
        expect(shownXattrs(new Inode(entry, 0)).length).toBe(kept ? 1 : 0);
      }),
      { numRuns: 20 * RUNS },
    );
  });
});
