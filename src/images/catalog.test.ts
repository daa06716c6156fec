import { afterEach, beforeEach, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { Catalog } from "./catalog.ts";
import { ContentStore } from "./content.ts";
import { ImageDatabase, type NewImage } from "./database.ts";
import { digestOf } from "./digest.ts";

let root: string;
let content: ContentStore;
let database: CountingDatabase;

beforeEach(() => {
  root = fs.mkdtempSync(join(tmpdir(), "onggi-catalog-"));
  content = new ContentStore(root);
  database = new CountingDatabase(join(root, "images.db"));
});

afterEach(() => {
  database.close();
  fs.rmSync(root, { recursive: true, force: true });
});

/** Counts the rows that a catalog has read. */
class CountingDatabase extends ImageDatabase {
  rows = 0;

  #counted<T>(rows: T[]): T[] {
    this.rows += rows.length;
    return rows;
  }

  override images(id?: string) {
    return this.#counted(super.images(id));
  }

  override names(image?: string) {
    return this.#counted(super.names(image));
  }

  override documents(image?: string) {
    return this.#counted(super.documents(image));
  }

  override repositoryDigests(image?: string) {
    return this.#counted(super.repositoryDigests(image));
  }

  override idsWith(prefix: string) {
    return this.#counted(super.idsWith(prefix));
  }

  /** Rows read by `work`. */
  readBy(work: () => unknown): number {
    const before = this.rows;
    work();
    return this.rows - before;
  }
}

const digest = (text: string) => digestOf(text);

/** An image by its number; images share layers with their neighbours, the odd ones are for another platform. */
const image = (number: number, names: readonly string[] = [], documents: readonly number[] = [], beside = false): NewImage => {
  const architecture = number % 2 === 0 ? "amd64" : "arm64";
  const layers = [digest(`layer ${number >> 1}`), digest(`layer of ${number}`)];
  const config = JSON.stringify({
    ...{ architecture, os: "linux", config: {}, comment: `${number}` },
    rootfs: { type: "layers", diff_ids: layers },
  });
  return {
    record: { id: digest(config), config, manifest: digest(`manifest ${number}`), layers, size: number },
    names: names.map((name) => `docker.io/library/${name}`),
    ...{ platform: `linux/${architecture}`, beside },
    documents: documents.map((n) => ({ digest: digest(`document ${n}`), mediaType: "text" })),
    repositoryDigests: documents.map((n) => ({ repository: "docker.io/library/many", digest: digest(`document ${n}`) })),
  };
};

/** Everything a catalog says. */
const saidBy = (catalog: Catalog, names: readonly string[]) => ({
  all: catalog.all(),
  needed: [...catalog.needed()].sort(),
  named: names.map((name) => catalog.named(name)),
  layout: JSON.parse(catalog.layoutIndex()),
});

test("whatever changes one after another, a catalog says what one that reads everything says", () => {
  const number = fc.integer({ min: 0, max: 5 });
  const name = fc.constantFrom("a:1", "a:2", "b:1", "c:1");
  const change = fc.oneof(
    fc.record({
      kind: fc.constant("add" as const),
      images: fc.array(fc.tuple(number, fc.array(name, { maxLength: 2 }), fc.array(number, { maxLength: 2 }), fc.boolean()), {
        maxLength: 3,
      }),
    }),
    fc.record({ kind: fc.constant("name" as const), number, name }),
    fc.record({ kind: fc.constant("untag" as const), number, names: fc.array(name, { maxLength: 2 }), digests: fc.boolean() }),
    fc.record({ kind: fc.constant("remove" as const), number }),
    fc.record({ kind: fc.constant("forget" as const), number }),
  );
  const catalog = new Catalog(database, content);
  const names = ["a:1", "a:2", "b:1", "c:1", ...[0, 1, 2, 3, 4, 5].map((n) => `many@${digest(`document ${n}`)}`)].map(
    (text) => `docker.io/library/${text}`,
  );
  fc.assert(
    fc.property(fc.array(change, { maxLength: 8 }), (changes) => {
      for (const made of changes) {
        if (made.kind === "add") catalog.changed(database.add(made.images.map((parts) => image(...parts))));
        else if (made.kind === "untag") {
          const { id } = image(made.number).record;
          const gone = made.names.map((text) => `docker.io/library/${text}`);
          catalog.changed(database.removeNames(id, gone, made.digests ? database.repositoryDigests(id) : []));
        } else if (made.kind === "forget") catalog.changed(database.removeDocument(digest(`document ${made.number}`)));
        else {
          const { record, platform } = image(made.number);
          const { id } = record;
          if (made.kind === "remove") catalog.changed(database.removeImage(id));
          else if (catalog.has(id)) catalog.changed(database.setName(`docker.io/library/${made.name}`, [{ id, platform }]));
        }
      }
      const said = saidBy(catalog, names);
      expect(JSON.parse(fs.readFileSync(join(root, "index.json"), "utf8"))).toEqual(said.layout);
      expect(said).toEqual(saidBy(new Catalog(database, content), names));
    }),
    { numRuns: 100 },
  );
}, 60_000);

test("a change reads what it concerns, whatever else there is", () => {
  const catalog = new Catalog(database, content);
  const add = (...images: NewImage[]) => catalog.changed(database.add(images));
  add(...Array.from({ length: 1000 }, (_, i) => image(i, [`many:${i}`], [i])));
  const { id } = image(500).record;
  const one = [{ id, platform: "linux/amd64" }];
  const hex = id.slice("sha256:".length);
  expect(database.readBy(() => add(image(1000, ["many:1000"], [1000])))).toBe(4);
  expect(database.readBy(() => catalog.changed(database.setName("docker.io/library/other:1", one)))).toBe(5);
  // the name leaves one image for another
  expect(database.readBy(() => catalog.changed(database.setName("docker.io/library/many:1", one)))).toBe(9);
  expect(database.readBy(() => catalog.changed(database.removeNames(id, ["docker.io/library/other:1"])))).toBe(5);
  expect(database.readBy(() => catalog.find(hex.slice(0, 12)))).toBe(1);
  expect(database.readBy(() => [catalog.find("many:700"), catalog.find(id), catalog.needs(id)])).toBe(0);
  expect(database.readBy(() => catalog.changed(database.removeImage(id)))).toBe(0);
  catalog.close();
}, 60_000);

test("index.json follows changes by itself, and at once when asked", async () => {
  const index = () => JSON.parse(fs.readFileSync(join(root, "index.json"), "utf8")).manifests.length;
  const catalog = new Catalog(database, content);
  expect(index()).toBe(0);
  catalog.changed(database.add([image(1, ["a:1", "a:2"])]));
  while (index() !== 2) await Bun.sleep(1);
  catalog.changed(database.add([image(2), image(3)]));
  catalog.close();
  expect(index()).toBe(4);
  fs.writeFileSync(join(root, "index.json"), "{}");
  expect(JSON.parse(catalog.layoutIndex()).manifests.length).toBe(4);
  expect(fs.readFileSync(join(root, "index.json"), "utf8")).toBe("{}");
  catalog.reload();
  expect(index()).toBe(4);
  // a process that dies before it has followed
  catalog.changed(database.add([image(4)]));
  expect(index()).toBe(4);
  new Catalog(database, content);
  expect(index()).toBe(5);
  catalog.close();
}, 60_000);

test("where index.json cannot be written, it is with a later change", () => {
  const catalog = new Catalog(database, content);
  fs.rmSync(join(root, "tmp"), { recursive: true });
  catalog.changed(database.add([image(1)]));
  catalog.close();
  fs.mkdirSync(join(root, "tmp"));
  expect(JSON.parse(fs.readFileSync(join(root, "index.json"), "utf8")).manifests).toEqual([]);
  catalog.changed(database.add([image(2)]));
  catalog.close();
  expect(JSON.parse(fs.readFileSync(join(root, "index.json"), "utf8")).manifests.length).toBe(2);
});
