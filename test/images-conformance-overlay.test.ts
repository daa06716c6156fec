/** Images below overlayfs, as a container has them: what is seen is what the image shows, whatever its layers say to overlayfs. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { join } from "node:path";
import { writeIndex } from "../src/images/erofs.ts";
import { extractTree } from "../src/images/extract.ts";
import { openImageStore } from "../src/images/index.ts";
import { scanLayer } from "../src/images/layer.ts";
import { buildTree } from "../src/images/tree.ts";
import type { ImageStore, MountedImage } from "../src/images/types.ts";
import {
  AT,
  attachMount,
  close,
  createUserNamespace,
  fsconfigCreate,
  fsconfigFd,
  fsconfigString,
  fsmount,
  fsopen,
  MNT,
  mountFs,
  mountSetattr,
  O,
  OPEN_TREE,
  open,
  openTree,
  umount,
} from "../src/sys/index.ts";
import { dockerArchive, imageOf, streamOf } from "./images/archives.ts";
import { cases } from "./images/conformance.ts";
import type { Case } from "./images/conformance-case.ts";
import { dir, file, gone, hardLink, layer, node, opaque, symlink } from "./images/entries.ts";
import { forms, treeOf, withScratch, withTree } from "./images/harness.ts";
import { overlayAttributes } from "./images/overlay-attributes.ts";
import { byUmoci, type Tree } from "./images/references.ts";
import { snapshot } from "./images/snapshot.ts";

/** Nearly all ids there are, each this much higher on the host. */
const SHIFT = 1000;
const ids = [{ containerID: 0, hostID: SHIFT, size: 2 ** 32 - 2 - SHIFT }];
let userns: number;

beforeAll(() => {
  userns = createUserNamespace(ids, ids);
});
afterAll(() => close(userns));

/** An overlay of these directories, topmost first, with an upper one of its own, looked at by `use`. */
const withOverlay = <T>(lowers: readonly number[], scratch: string, use: (path: string) => T): T => {
  const base = fs.mkdtempSync(join(scratch, "overlay-"));
  for (const name of ["upper", "work", "merged"]) fs.mkdirSync(join(base, name));
  const context = fsopen("overlay");
  try {
    for (const fd of lowers) fsconfigFd(context, "lowerdir+", fd);
    fsconfigString(context, "upperdir", join(base, "upper"));
    fsconfigString(context, "workdir", join(base, "work"));
    fsconfigCreate(context);
    const mount = fsmount(context);
    attachMount(mount, join(base, "merged"));
    close(mount);
  } finally {
    close(context);
  }
  try {
    return use(join(base, "merged"));
  } finally {
    umount(join(base, "merged"), MNT.MNT_DETACH);
    fs.rmSync(base, { recursive: true });
  }
};

/** A clone of a mounted image or of a directory's mount, with the container's ids if asked for. */
const lowerOf = (image: MountedImage, idmapped: boolean): number => {
  const flags = OPEN_TREE.OPEN_TREE_CLONE | OPEN_TREE.OPEN_TREE_CLOEXEC;
  const fd =
    image.kind === "fd" ? openTree(image.fd, "", flags | AT.AT_EMPTY_PATH) : openTree(AT.AT_FDCWD, image.lowers[0]!, flags);
  if (idmapped) mountSetattr(fd, "", AT.AT_EMPTY_PATH, { userns });
  return fd;
};

const shiftId = (id: string): number => (Number(id) + SHIFT < 2 ** 32 - 2 ? Number(id) + SHIFT : 65_534);

/** A file's capabilities as the host sees them: bound to the user namespace's root (capabilities(7), revision 3). */
const shiftCapability = (hex: string): string => {
  const value = Buffer.concat([Buffer.from(hex, "hex"), Buffer.alloc(4)]).subarray(0, 24);
  value[3] = 3;
  value.writeUInt32LE(value.readUInt32LE(20) + SHIFT, 20);
  return value.toString("hex");
};

/** As a container with a user namespace has them on the host: every owner moved; who has no place there is nobody. */
const shifted = (tree: Tree): Tree =>
  Object.fromEntries(
    Object.entries(tree).map(([path, text]) => [
      path,
      text
        .replace(/ (\d+):(\d+) mtime/, (_, uid, gid) => ` ${shiftId(uid)}:${shiftId(gid)} mtime`)
        .replace(/(?<=security.capability=)[0-9a-f]+/, shiftCapability),
    ]),
  );

/** The overlay's own root directory has the upper directory's attributes. */
const rootless = ({ ".": _, ...tree }: Tree): Tree => tree;

const load = async (store: ImageStore, layers: readonly Buffer[]): Promise<string> =>
  (await store.load(streamOf(dockerArchive(imageOf(layers), null), 1 << 20)))[0]!.id;

/** Those that say something of owners, times, attributes, links and devices, and one with many layers. */
const chosen: readonly Case[] = cases.filter(({ name }) =>
  /^(modes|owners|times|extended|devices|overlayfs|hard links|names|a tree deeper|an image of 120)/.test(name),
);

test("the cases that are looked at are there", () => expect(chosen.length).toBe(10));

describe.each(forms)("as %s", (form) => {
  test.each(chosen.map(({ name }) => name))("%s", async (name) => {
    const { layers } = chosen.find((item) => item.name === name)!;
    await withScratch(async (scratch) => {
      const store = openImageStore(join(scratch, "store"), { form });
      try {
        const id = await load(store, layers);
        const tree = rootless(treeOf(store, id, scratch));
        for (const idmapped of [false, true]) {
          const lower = lowerOf(store.mount(id), idmapped);
          const seen = withOverlay([lower], scratch, (path) => rootless(snapshot(path)));
          close(lower);
          expect(seen).toEqual(idmapped ? shifted(tree) : tree);
        }
      } finally {
        store.close();
      }
    });
  });

  test("nothing a layer says to overlayfs is obeyed: everything can be listed, read and deleted", async () => {
    await withScratch(async (scratch) => {
      const store = openImageStore(join(scratch, "store"), { form });
      try {
        const id = await load(store, [
          layer(file("covered", "below")),
          layer(...overlayAttributes, node("char", "covered"), dir("d"), node("char", "d/device"), file("d/x")),
        ]);
        const lower = lowerOf(store.mount(id), false);
        withOverlay([lower], scratch, (path) => {
          for (const name of ["metacopy", "redirected", "escaped", "rest", "users/in"]) {
            expect(fs.readFileSync(join(path, name), "utf8")).toBe("data");
          }
          expect(fs.readdirSync(path)).not.toContain("covered");
          expect(fs.readdirSync(join(path, "hiding"))).toEqual(["whiteout"]);
          for (const name of ["hiding/whiteout", "older/whiteout", "opaque/in", "moved/in"]) fs.statSync(join(path, name));
          expect(fs.readdirSync(join(path, "d"))).toEqual(["x"]);
          for (const name of fs.readdirSync(path)) fs.rmSync(join(path, name), { recursive: true });
          expect(fs.readdirSync(path)).toEqual([]);
        });
        close(lower);
      } finally {
        store.close();
      }
    });
  });
});

/** Layers one by one, whiteouts kept as overlayfs has them, each as a directory or as an index over its tar; topmost first. */
const separately = (layers: readonly Buffer[], form: "erofs" | "directories", scratch: string): number[] =>
  layers
    .map((data, i) => {
      const tar = join(scratch, `${i}.tar`);
      fs.writeFileSync(tar, data);
      const tree = buildTree([scanLayer(tar)], "overlay");
      if (form === "directories") {
        const path = join(scratch, `layer-${i}`);
        fs.mkdirSync(path);
        extractTree(tree, [tar], path);
        return open(path, O.O_PATH | O.O_DIRECTORY);
      }
      const index = writeIndex(tree, { layers: [{ tag: `${i}`, size: data.length }], uuid: new Uint8Array(16) });
      fs.writeFileSync(join(scratch, `${i}.erofs`), index.bytes);
      const options = index.devices.length > 0 ? ([["device", tar]] as const) : [];
      const mounted = mountFs("erofs", { source: join(scratch, `${i}.erofs`), options });
      return mounted;
    })
    .reverse();

const whiteouts = [
  layer(
    ...["a", "b", "c"].flatMap((name) => [
      dir(name),
      file(`${name}/gone`),
      file(`${name}/kept`),
      dir(`${name}/s`),
      file(`${name}/s/x`),
    ]),
    file("f"),
    symlink("l", "f"),
    hardLink("f2", "f"),
  ),
  layer(
    dir("a"),
    gone("a/gone"),
    dir("b"),
    opaque("b"),
    file("b/new"),
    gone("c"),
    dir("c", { mode: 0o700 }),
    file("c/new"),
    gone("f"),
  ),
  layer(dir("a"), gone("a/s"), file("a/s"), gone("b"), file("b"), gone("l"), dir("l"), file("l/x")),
];

describe.each(["erofs", "directories"] as const)("layers one by one, each as %s", (form) => {
  const compare = (layers: readonly Buffer[], scratch: string): void => {
    const lowers = separately(layers, form, scratch);
    try {
      const seen = withOverlay(lowers, scratch, (path) => rootless(snapshot(path)));
      const plain = (tree: Tree): Tree =>
        Object.fromEntries(
          Object.entries(tree).map(([path, text]) => [
            path,
            text.replace(/ (trusted|user)\.overlay\.opaque=79/g, "").replace(/ \d+ links.*/, ""),
          ]),
        );
      expect(plain(seen)).toEqual(plain(rootless(byUmoci(layers, scratch))));
    } finally {
      for (const fd of lowers) close(fd);
    }
  };

  test("whiteouts and opaque directories mean to overlayfs what they mean to umoci", async () => {
    await withScratch((scratch) => compare(whiteouts, scratch));
  });

  test("120 lower directories", async () => {
    await withScratch((scratch) => compare(cases.find(({ name }) => name === "an image of 120 layers")!.layers, scratch));
  });
});

test("an image of 120 layers is one lower directory", async () => {
  await withScratch(async (scratch) => {
    const store = openImageStore(join(scratch, "store"));
    try {
      const id = await load(store, cases.find(({ name }) => name === "an image of 120 layers")!.layers);
      withTree(store.mount(id), scratch, (path) => expect(fs.readFileSync(join(path, "d/last"), "utf8")).toBe("119"));
      const image = store.mount(id);
      expect(image.kind === "fd" || image.lowers.length === 1).toBeTrue();
    } finally {
      store.close();
    }
  });
});
