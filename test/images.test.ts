/** The image store on real file systems, as root: names, lifetime, what is on disk. */
import { expect, test } from "bun:test";
import * as fs from "node:fs";
import { join } from "node:path";
import { bootstrap, ImageAmbiguous, ImageInUse, ImageNotFound, openImageStore } from "../src/images/index.ts";
import { dockerArchive, imageOf, sha256, streamOf, tarOf } from "./images/archives.ts";
import { codeOf, contentsOf, namesOf, run, treeOf, verifyStore, withScratch, withTree } from "./images/harness.ts";
import { eventually } from "./kit/engine.ts";

const noUse = { inUse: new Set<string>() };

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
      expect(await store.remove("one:extra", noUse)).toEqual({
        untagged: ["one:extra"],
        untaggedFrom: [one!.id],
        deleted: [],
        freed: 0,
      });
      expect(await store.remove("two", noUse)).toEqual({
        untagged: ["two:latest"],
        untaggedFrom: [one!.id],
        deleted: [],
        freed: 0,
      });
      expect(store.remove("one", { inUse: new Set([one!.id]) })).rejects.toThrow(ImageInUse);
      const gone = await store.remove(two!.id, noUse);
      expect(gone).toMatchObject({ untagged: [], deleted: [two!.id, two!.config.rootfs.diff_ids[1]!] });
      expect(await store.remove("one", { force: true, inUse: new Set([one!.id]) })).toEqual({
        untagged: ["one:latest"],
        untaggedFrom: [one!.id],
        deleted: [],
        freed: 0,
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
    store = openImageStore(root);
    store.tag("hello:v1", "hello:v2");
    const inspected = () => Bun.spawnSync(["skopeo", "inspect", `oci:${root}:hello:v2`]).success;
    await eventually("others see the name in a store that is in use", inspected);
    store.close();
    expect(await verifyStore(root, scratch)).toEqual(["hello:v1", "hello:v2"]);
  });
});

test("an imported root file system is for the platform that is said, and nothing is taken in for one that is none", async () => {
  await withScratch(async (scratch) => {
    const store = openImageStore(join(scratch, "store"));
    try {
      const { config } = await store.importRootfs(streamOf(tarOf({ a: "b" })), { platform: "linux/arm/v6" });
      expect([config.os, config.architecture, config.variant]).toEqual(["linux", "arm", "v6"]);
      const wrong = store.importRootfs(streamOf(tarOf({ c: "d" })), { platform: "linux/" });
      await expect(wrong).rejects.toMatchObject({ code: "platform_invalid" });
      expect(store.list().length).toBe(1);
    } finally {
      store.close();
    }
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
