/** The end of a pull: the index is made while the last layers become durable, and nothing of it stays when the pull fails. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { type ImageStore, openImageStore } from "../src/images/index.ts";
import { openRegistries } from "../src/images/remote/registries.ts";
import { withScratch } from "./images/harness.ts";
import { dockerArchive, LAYERED, sh } from "./kit/images.ts";
import { Registry } from "./kit/registry.ts";

const registries = openRegistries({ config: "/nonexistent/registries.toml", certsDirs: [], env: {} });
const LAYERS = 3;
const nobody = { inUse: new Set<string>() };

let registry: Registry;
let name: string;
beforeAll(async () => {
  registry = await Registry.start();
  name = `${registry.domain}/${LAYERED.name}`;
  sh(["skopeo", "copy", "-q", "--dest-tls-verify=false", `docker-archive:${dockerArchive()}`, `docker://${name}`]);
}, 60_000);
afterAll(async () => {
  registries.close();
  await registry.close();
});

const withStore = (work: (store: ImageStore, root: string) => Promise<void>): Promise<void> =>
  withScratch(async (root) => {
    const store = openImageStore(root);
    try {
      await work(store, root);
    } finally {
      store.close();
    }
  });
const namesIn = (root: string, folder: string): string[] => readdirSync(join(root, folder)).sort();

test("given up when all layers have come: they stay for the next pull, the index that was being made does not", () =>
  withStore(async (store, root) => {
    const { signal, abort } = ((controller) => ({
      signal: controller.signal,
      abort: () => controller.abort(new Error("enough")),
    }))(new AbortController());
    let downloaded = 0;
    const pull = store.pull(name, {
      registries,
      signal,
      progress: ({ message }) => {
        if (message === "Download complete" && ++downloaded === LAYERS) abort();
      },
    });
    await expect(pull).rejects.toThrow("enough");
    expect([downloaded, namesIn(root, "blobs/sha256").length, namesIn(root, "index"), namesIn(root, "tmp")]).toEqual([
      LAYERS,
      LAYERS,
      [],
      [],
    ]);
    expect((await store.check(nobody)).problems).toEqual([]);
    const steps: string[] = [];
    const { image } = await store.pull(name, { registries, progress: ({ message }) => steps.push(message) });
    expect(steps).toEqual(Array.from({ length: LAYERS }, () => "Already exists"));
    expect(namesIn(root, "index")).toEqual([`${image.id.slice(7)}.erofs`]);
    expect((await store.check(nobody)).problems).toEqual([]);
  }));

test("several pulls of one image, some given up at any moment: it is whole, or not there and nothing else is wrong", () =>
  withStore(async (store, root) => {
    for (let round = 0; round < 12; round++) {
      const pulls = [0, 1, 2].map(async (who) => {
        const controller = new AbortController();
        let steps = 0;
        const progress = () => {
          if (who > 0 && ++steps === ((round * 5 + who * 3) % 17) + 1) controller.abort(new Error("enough"));
        };
        return store.pull(name, { registries, signal: controller.signal, progress }).then(
          ({ image }) => image.id,
          (error: Error) => error.message,
        );
      });
      const [id = "", ...others] = await Promise.all(pulls);
      expect(id).toStartWith("sha256:");
      for (const other of others) expect([id, "enough"]).toContain(other);
      expect(namesIn(root, "index")).toEqual([`${id.slice(7)}.erofs`]);
      expect((await store.check(nobody)).problems).toEqual([]);
      await store.remove(id, { force: true, ...nobody });
      expect([namesIn(root, "blobs/sha256"), namesIn(root, "index"), namesIn(root, "tmp")]).toEqual([[], [], []]);
    }
  }));
