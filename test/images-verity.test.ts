/** An index keeps its fs-verity digest with it; where the kernel has fs-verity, it is enabled. */
import { expect, test } from "bun:test";
import * as fs from "node:fs";
import { join } from "node:path";
import { openImageStore } from "../src/images/index.ts";
import { verityDigest } from "../src/images/verity.ts";
import { measureVerity, O, open } from "../src/sys/index.ts";
import { streamOf, tarOf } from "./images/archives.ts";
import { run, withScratch } from "./images/harness.ts";
import { skipLoudly } from "./kit/skip.ts";

const nobody = { inUse: new Set<string>() };

test("--quick finds a bit flipped in an index by the digest it was written with, and --repair builds it again", async () => {
  await withScratch(async (scratch) => {
    const root = join(scratch, "store");
    const store = openImageStore(root);
    try {
      const { id } = await store.importRootfs(streamOf(tarOf({ a: "b" })), {});
      const index = join(root, "index", `${id.slice(7)}.erofs`);
      expect((await store.check({ ...nobody, quick: true })).problems).toEqual([]);
      const data = fs.readFileSync(index);
      data[data.length >> 1]! ^= 1;
      fs.writeFileSync(index, data);
      const { problems } = await store.check({ ...nobody, quick: true, repair: true });
      expect(problems.map(({ kind, message, repaired }) => [kind, message, repaired !== null])).toEqual([
        ["index", "its index is not as it was written", true],
      ]);
      expect((await store.check(nobody)).problems).toEqual([]);
    } finally {
      store.close();
    }
  });
});

test("on a file system with fs-verity the kernel checks an index by the same digest, and nobody can write to it", async () => {
  if (!fs.existsSync("/sys/fs/ext4/features/verity")) {
    skipLoudly("fs-verity of indexes: this kernel's ext4 has none (CONFIG_FS_VERITY)");
    return;
  }
  await withScratch(async (scratch) => {
    const disk = join(scratch, "disk");
    const point = join(scratch, "mounted");
    fs.mkdirSync(point);
    fs.writeFileSync(disk, "");
    fs.truncateSync(disk, 64 << 20);
    run("mkfs.ext4", "-q", "-O", "verity", "-b", "4096", disk);
    run("mount", "-o", "loop", disk, point);
    const store = openImageStore(join(point, "store"));
    try {
      const { id } = await store.importRootfs(streamOf(tarOf({ a: "b" })), {});
      const index = join(point, "store/index", `${id.slice(7)}.erofs`);
      const fd = fs.openSync(index, "r");
      const measured = measureVerity(fd);
      expect(measured && Buffer.from(measured).toString("hex")).toBe(verityDigest(fd));
      fs.closeSync(fd);
      expect(() => open(index, O.O_RDWR)).toThrow(/EPERM/);
      const image = store.mount(id);
      const path = image.kind === "fd" ? `/proc/self/fd/${image.fd}` : image.lowers[0]!;
      expect(fs.readFileSync(join(path, "a"), "utf8")).toBe("b");
      expect((await store.check(nobody)).problems).toEqual([]);
      expect((await store.remove(id, nobody)).deleted.length).toBe(2);
    } finally {
      store.close();
    }
  });
});
