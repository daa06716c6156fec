/** One suite that every form of an image passes: what is seen is what GNU tar extracts of one layer, and umoci of several. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { devicesOf } from "../src/images/image-index.ts";
import { openImageStore } from "../src/images/index.ts";
import type { ImageStore } from "../src/images/types.ts";
import { dockerArchive, imageOf, streamOf } from "./images/archives.ts";
import { cases } from "./images/conformance.ts";
import type { Case } from "./images/conformance-case.ts";
import { makeSourceTree } from "./images/fixture.ts";
import { contentsOf, forms, run, treeOf, withScratch } from "./images/harness.ts";
import { referenceTree, type Tree } from "./images/references.ts";
import { toolPath } from "./kit/tools.ts";

const noUse = { inUse: new Set<string>() };

/** The forms in which GNU tar packs one source tree that has one of everything. */
const tarForms: [name: string, options: string[]][] = [
  ["GNU", ["--format=gnu"]],
  ["GNU with sparse files", ["--format=gnu", "-S"]],
  ["PAX with attributes", ["--format=posix", "--xattrs", "--xattrs-include=*"]],
  ["PAX with sparse files 0.0", ["--format=posix", "-S", "--sparse-version=0.0"]],
  ["PAX with sparse files 0.1", ["--format=posix", "-S", "--sparse-version=0.1"]],
  ["PAX with sparse files 1.0", ["--format=posix", "-S", "--sparse-version=1.0", "--xattrs", "--xattrs-include=*"]],
];

const packed = (scratch: string, options: readonly string[]): Buffer => {
  const source = join(scratch, "source");
  if (!fs.existsSync(source)) {
    fs.mkdirSync(source);
    makeSourceTree(source);
  }
  run("tar", ...options, "-C", source, "-cf", join(scratch, "packed.tar"), ".");
  return fs.readFileSync(join(scratch, "packed.tar"));
};

const untimed = (tree: Tree, paths: readonly string[] = []): Tree => {
  const changed = { ...tree };
  for (const path of paths) changed[path] = changed[path]?.replace(/mtime -?\d+/, "") ?? "";
  return changed;
};

/** What each case has to look like, found when first asked for: whoever may say it says it, and they agree. */
const known = new Map<string, Tree>();

const wanted = ({ name, layers, by, untimed: paths, without, withoutAttributes }: Case, scratch: string): Tree => {
  const before = known.get(name);
  if (before) return before;
  const trees = by.map((reference) => {
    const tree = untimed(referenceTree(reference, layers, scratch), paths);
    for (const path of without?.names ?? []) {
      expect(tree[path]).toBeDefined();
      delete tree[path];
    }
    if (!withoutAttributes) return tree;
    return Object.fromEntries(Object.entries(tree).map(([path, text]) => [path, text.replace(withoutAttributes, "")]));
  });
  for (const tree of trees) expect(tree).toEqual(trees[0]!);
  known.set(name, trees[0]!);
  return trees[0]!;
};

/** erofs-utils finds nothing wrong with an image's index, and can read every file by it. */
const expectSound = (root: string, id: string): void => {
  const fsck = toolPath("fsck.erofs");
  if (fsck === null) return;
  const index = join(root, "index", `${id.slice(7)}.erofs`);
  const devices = devicesOf(index).map((name) => `--device=${join(root, "blobs/sha256", name)}`);
  const { stderr, exitCode } = Bun.spawnSync([fsck, "--extract", ...devices, index]);
  // It goes by paths, which may be too long for it.
  if (!stderr.includes("the path is too long")) expect([stderr.toString(), exitCode]).toEqual(["", 0]);
};

let packs: readonly Case[] = [];

beforeAll(async () => {
  await withScratch((scratch) => {
    packs = tarForms.map(([name, options]) => ({ name, layers: [packed(scratch, options)], by: ["tar"] }));
  });
}, 60_000);

describe.each(forms)("as %s", (form) => {
  let scratch: string;
  let store: ImageStore;

  beforeAll(() => {
    scratch = fs.mkdtempSync(join(tmpdir(), "onggi-conformance-"));
    store = openImageStore(join(scratch, "store"), { form });
  });

  afterAll(() => {
    const left = contentsOf(join(scratch, "store"));
    store.close();
    fs.rmSync(scratch, { recursive: true });
    expect(left).toEqual([]);
  });

  const check = async (item: Case): Promise<void> => {
    const { layers } = item;
    const [image] = await store.load(streamOf(dockerArchive(imageOf(layers), null), 1 << 20));
    try {
      expect(untimed(treeOf(store, image!.id, scratch), item.untimed)).toEqual(wanted(item, scratch));
      expect(image!.size).toBe(layers.reduce((sum, { length }) => sum + length, 0));
      if (form === "erofs") expectSound(join(scratch, "store"), image!.id);
    } finally {
      await store.remove(image!.id, noUse);
    }
  };

  test.each(tarForms.map(([name]) => name))(
    "a tar in the form %s",
    (name) => check(packs.find((pack) => pack.name === name)!),
    60_000,
  );

  test.each(cases.map(({ name }) => name))("%s", (name) => check(cases.find((item) => item.name === name)!), 60_000);
});
