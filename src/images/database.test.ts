import { Database } from "bun:sqlite";
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ImageDatabase } from "./database.ts";

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "onggi-database-"));
});
afterAll(() => rmSync(directory, { recursive: true }));

/** The tables of schema 2 that schema 3 changed. */
const BEFORE = `
  CREATE TABLE images (id TEXT PRIMARY KEY, config TEXT NOT NULL, manifest TEXT NOT NULL, size INTEGER NOT NULL) STRICT;
  CREATE TABLE image_layers (
    image TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE, position INTEGER NOT NULL, diff_id TEXT NOT NULL,
    PRIMARY KEY (image, position)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE names (
    name TEXT PRIMARY KEY, image TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX names_by_image ON names (image);
  CREATE TABLE documents (
    image TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE, digest TEXT NOT NULL, media_type TEXT NOT NULL,
    PRIMARY KEY (image, digest)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE repository_digests (
    repository TEXT NOT NULL, digest TEXT NOT NULL, image TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    PRIMARY KEY (repository, digest)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX repository_digests_by_image ON repository_digests (image);
  PRAGMA user_version = 2;
`;

test("a database of one image for each name becomes one of an image for each platform", () => {
  const path = join(directory, "images.db");
  const old = new Database(path, { create: true });
  old.run(BEFORE);
  const image = (id: string, config: object | string) =>
    old
      .query("INSERT INTO images VALUES (?, ?, 'm', 1)")
      .run(id, typeof config === "string" ? config : JSON.stringify({ os: "linux", ...config }));
  image("amd64", { architecture: "amd64" });
  image("arm64", { architecture: "arm64", variant: "v8" });
  image("armv6", { architecture: "arm", variant: "v6" });
  image("damaged", "{");
  for (const id of ["amd64", "arm64", "armv6", "damaged"]) old.query("INSERT INTO names VALUES (?, ?)").run(`${id}:1`, id);
  old.run("INSERT INTO repository_digests VALUES ('r', 'd', 'amd64')");
  old.close();

  const database = new ImageDatabase(path);
  expect(database.names()).toEqual(["amd64", "arm64", "armv6", "damaged"].map((id) => ({ name: `${id}:1`, image: id })));
  expect(database.repositoryDigests()).toEqual([{ repository: "r", digest: "d", image: "amd64" }]);
  const record = (id: string) => ({ id, config: "{}", manifest: "m", layers: [], size: 0 });
  // Each takes the place of the one for its platform.
  for (const [id, platform] of [
    ["amd64", "linux/amd64"],
    ["arm64", "linux/arm64"],
    ["armv6", "linux/arm/v6"],
  ] as const)
    database.add([{ record: record(`new ${id}`), names: [`${id}:1`], platform, beside: true }]);
  expect(database.names().map(({ image }) => image)).toEqual(["new amd64", "new arm64", "new armv6", "damaged"]);
  expect(database.state()).toEqual(["ok"]);

  // Beside another platform's, then alone again; a digest is both images'.
  database.add([
    {
      record: record("x"),
      names: ["amd64:1"],
      platform: "linux/386",
      beside: true,
      repositoryDigests: [{ repository: "r", digest: "d" }],
    },
  ]);
  expect(
    database
      .names()
      .filter(({ name }) => name === "amd64:1")
      .map(({ image }) => image),
  ).toEqual(["x", "new amd64"]);
  expect(database.repositoryDigests().map(({ image }) => image)).toEqual(["amd64", "x"]);
  database.add([{ record: record("y"), names: ["amd64:1"], platform: "linux/386" }]);
  expect(
    database
      .names()
      .filter(({ name }) => name === "amd64:1")
      .map(({ image }) => image),
  ).toEqual(["y"]);
  database.close();
});
