/**
 * Stores that earlier versions wrote: they open with every image, name, layer and document they had, also when the process that
 * brings them to the present schema is killed in the middle of it.
 */
import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import * as fs from "node:fs";
import { join } from "node:path";
import { ImageDatabase } from "../src/images/database.ts";
import { openImageStore } from "../src/images/index.ts";
import { openRegistries } from "../src/images/remote/registries.ts";
import { imageOf, tarOf } from "./images/archives.ts";
import { codeOf, treeOf, withScratch } from "./images/harness.ts";
import { HostileRegistry } from "./kit/hostile.ts";
import { seededRandom } from "./kit/random.ts";

/** What each schema added to the one before. Never to be changed: this is what lies on disks. */
const schemas: readonly string[] = [
  `CREATE TABLE images (id TEXT PRIMARY KEY, config TEXT NOT NULL, manifest TEXT NOT NULL, size INTEGER NOT NULL) STRICT;
   CREATE TABLE image_layers (
     image TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE, position INTEGER NOT NULL, diff_id TEXT NOT NULL,
     PRIMARY KEY (image, position)
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX image_layers_by_layer ON image_layers (diff_id);
   CREATE TABLE names (name TEXT PRIMARY KEY, image TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE) STRICT, WITHOUT ROWID;
   CREATE INDEX names_by_image ON names (image);`,
  `CREATE TABLE layer_blobs (
     digest TEXT PRIMARY KEY, size INTEGER NOT NULL, media_type TEXT NOT NULL, diff_id TEXT NOT NULL, taken INTEGER NOT NULL
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX layer_blobs_by_layer ON layer_blobs (diff_id);
   CREATE TABLE blob_sources (
     digest TEXT NOT NULL REFERENCES layer_blobs (digest) ON DELETE CASCADE, repository TEXT NOT NULL,
     PRIMARY KEY (digest, repository)
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE documents (
     image TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE, digest TEXT NOT NULL, media_type TEXT NOT NULL,
     PRIMARY KEY (image, digest)
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE repository_digests (
     repository TEXT NOT NULL, digest TEXT NOT NULL, image TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
     PRIMARY KEY (repository, digest)
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX repository_digests_by_image ON repository_digests (image);`,
  "CREATE TABLE manifest_lists (name TEXT PRIMARY KEY, members TEXT NOT NULL) STRICT, WITHOUT ROWID;",
];
const versions = schemas.map((_, position) => position + 1);

/** Rows that each schema took over from a database of today, which is attached as "now". */
const copies: readonly string[] = [
  `INSERT INTO images SELECT id, config, manifest, size FROM now.images ORDER BY rowid;
   INSERT INTO image_layers SELECT image, position, diff_id FROM now.image_layers;
   INSERT INTO names SELECT name, image FROM now.names;`,
  `INSERT INTO layer_blobs SELECT digest, size, media_type, diff_id, taken FROM now.layer_blobs;
   INSERT INTO blob_sources SELECT digest, repository FROM now.blob_sources;
   INSERT INTO documents SELECT image, digest, media_type FROM now.documents;
   INSERT INTO repository_digests SELECT repository, digest, image FROM now.repository_digests;`,
  "INSERT INTO manifest_lists SELECT name, members FROM now.manifest_lists;",
];

/** Makes of a database as it is now one as `version` had it. */
function takeBack(path: string, version: number): void {
  const old = `${path}.old`;
  const db = new Database(old, { create: true });
  db.run("PRAGMA journal_mode = WAL");
  db.query("ATTACH ? AS now").run(path);
  for (let step = 0; step < version; step++) db.run(`${schemas[step]!} ${copies[step]!}`);
  db.run(`PRAGMA user_version = ${version}`);
  db.run("DETACH now");
  db.close();
  for (const end of ["", "-wal", "-shm"]) fs.rmSync(`${path}${end}`, { force: true });
  fs.renameSync(old, path);
}

const versionOf = (path: string): number => {
  const db = new Database(path, { readonly: true });
  try {
    return db.query<{ user_version: number }, []>("PRAGMA user_version").get()!.user_version;
  } finally {
    db.close();
  }
};

const base = tarOf({ etc: { type: "dir" }, "etc/base": "base" });
const nobody: ReadonlySet<string> = new Set();

test.each(versions)("a store of schema %i opens with all it had, and works on", async (version) => {
  const registry = await HostileRegistry.start();
  const registries = openRegistries({ config: "/nonexistent/registries.toml", certsDirs: [], env: {} });
  try {
    await withScratch(async (scratch) => {
      const root = join(scratch, "store");
      const first = openImageStore(root);
      const names = [1, 2].map((n) => registry.image(`team/${n}`, imageOf([base, tarOf({ [`own-${n}`]: "" })])).name);
      for (const name of names) await first.pull(name, { registries });
      first.tag(names[0]!, "other:1");
      const before = first.list();
      const trees = names.map((name) => treeOf(first, name, scratch));
      first.close();
      takeBack(join(root, "images.db"), version);

      for (let opened = 0; opened < 2; opened++) {
        const store = openImageStore(root);
        try {
          await store.collectGarbage();
          // The first schema knew nothing of registries.
          const expected = version === 1 ? before.map((image) => ({ ...image, repoDigests: [] })) : before;
          expect(store.list()).toEqual(expected);
          expect(names.map((name) => treeOf(store, name, scratch))).toEqual(trees);
          expect((await store.check({ inUse: nobody })).problems).toEqual([]);
        } finally {
          store.close();
        }
      }
      const store = openImageStore(root);
      try {
        await store.pull(names[0]!, { registries });
        expect(store.list()[1]!.repoDigests.length).toBe(1);
        for (const name of [...names, "other:1"]) await store.remove(name, { inUse: nobody });
        expect(fs.readdirSync(join(root, "blobs/sha256"))).toEqual([]);
      } finally {
        store.close();
      }
    });
  } finally {
    registries.close();
    await registry.close();
  }
});

test("a store of a later schema is left alone", async () => {
  await withScratch(async (scratch) => {
    const root = join(scratch, "store");
    openImageStore(root).close();
    const path = join(root, "images.db");
    const db = new Database(path);
    db.run("PRAGMA user_version = 1000");
    db.close();
    expect(await codeOf((async () => openImageStore(root))())).toBe("store_version");
    expect(versionOf(path)).toBe(1000);
  });
});

test("killed on the way to the present schema, a database is of the one or of the other, whole", async () => {
  const rounds = Math.max(8, Math.round(Number(process.env.ONGGI_ROUNDS ?? 100) / 4));
  const random = seededRandom("images-migrate");
  const images = 20_000;
  await withScratch(async (scratch) => {
    const made = join(scratch, "made.db");
    new ImageDatabase(made).close();
    const present = versionOf(made);
    const db = new Database(made);
    db.transaction(() => {
      const config = JSON.stringify({
        architecture: "arm64",
        variant: "v8",
        os: "linux",
        config: { Env: Array(20).fill("A=B") },
      });
      for (let n = 0; n < images; n++) {
        db.query("INSERT INTO images VALUES (?, ?, 'm', 1)").run(`${n}`, config);
        db.query("INSERT INTO image_layers VALUES (?, 0, 'layer')").run(`${n}`);
        db.query("INSERT INTO names (name, platform, image) VALUES (?, 'linux/arm64', ?)").run(`n:${n}`, `${n}`);
      }
    })();
    db.close();
    takeBack(made, 1);
    const path = join(scratch, "images.db");
    const again = (): void => {
      for (const end of ["-wal", "-shm"]) fs.rmSync(`${path}${end}`, { force: true });
      fs.copyFileSync(made, path);
    };
    const open = () => Bun.spawn([process.execPath, join(import.meta.dirname, "images/opener.ts"), path], { stdout: "pipe" });
    /** Milliseconds from its first word to its end. */
    const lasts = async (): Promise<number> => {
      const child = open();
      await child.stdout.getReader().read();
      const from = performance.now();
      await child.exited;
      return performance.now() - from;
    };
    again();
    const ms = await lasts();
    expect(versionOf(path)).toBe(present);
    let between = 0;
    for (let round = 0; round < rounds; round++) {
      again();
      const child = open();
      await child.stdout.getReader().read();
      await Bun.sleep(random() * ms);
      child.kill("SIGKILL");
      await child.exited;
      // What is in its log is read with it.
      const found = new Database(path);
      const version = found.query<{ user_version: number }, []>("PRAGMA user_version").get()!.user_version;
      expect(version).toBeOneOf([1, present]);
      expect(found.query("SELECT count(*) AS n FROM names").get()).toEqual({ n: images });
      found.close();
      if (version === 1) between += 1;
      const opened = new ImageDatabase(path);
      try {
        expect(opened.state()).toEqual(["ok"]);
        expect(opened.names().length).toBe(images);
        expect(opened.images().every(({ layers }) => layers.length === 1)).toBe(true);
      } finally {
        opened.close();
      }
      expect(versionOf(path)).toBe(present);
    }
    expect(between).toBeGreaterThan(0);
  });
}, 120_000);
