import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { digestOf } from "../src/images/digest.ts";
import { type ImageStore, openImageStore } from "../src/images/index.ts";
import { openRegistries } from "../src/images/remote/registries.ts";
import type { Digest } from "../src/oci/digest.ts";
import { busyboxTar } from "./kit/images.ts";
import { Registry } from "./kit/registry.ts";

const registries = openRegistries({ config: "/nonexistent/registries.toml", certsDirs: [], env: {} });

let a: Registry;
let b: Registry;
const opened: { store: ImageStore; root: string }[] = [];
beforeAll(async () => {
  [a, b] = await Promise.all([Registry.start(), Registry.start()]);
});
afterAll(async () => {
  for (const { store, root } of opened) {
    store.close();
    rmSync(root, { recursive: true, force: true });
  }
  registries.close();
  await Promise.all([a.close(), b.close()]);
});

async function storeWith(name: string): Promise<{ store: ImageStore; id: string; root: string }> {
  const root = mkdtempSync(join(tmpdir(), "onggi-push-"));
  const store = openImageStore(root, { form: "directories" });
  opened.push({ store, root });
  const { id } = await store.importRootfs(Bun.file(busyboxTar()).stream(), { name });
  return { store, id, root };
}

const inspect = (name: string) => {
  const { stdout, stderr, exitCode } = Bun.spawnSync(["skopeo", "inspect", "--tls-verify=false", "--raw", `docker://${name}`]);
  if (exitCode !== 0) throw new Error(stderr.toString());
  return { digest: digestOf(stdout), manifest: JSON.parse(stdout.toString()) };
};

const uploads = async (registry: Registry): Promise<number> =>
  ((await registry.log()).match(/"(POST|PUT) [^"]*\/blobs\/uploads/g) ?? []).length;

describe("push", () => {
  test("what skopeo reads is what was pushed; again, nothing is sent; elsewhere there, it is mounted", async () => {
    const name = `${a.domain}/team/base:1`;
    const { store, id } = await storeWith(name);
    const pushed = await store.push(name, { registries });
    const seen = inspect(name);
    expect(seen.digest).toBe(pushed.digest as Digest);
    expect(seen.manifest.config.digest).toBe(id);
    expect(store.get(name).repoDigests).toEqual([`${a.domain}/team/base@${pushed.digest}`]);
    // the registry's copy expands to the tar it was made of
    const [layer] = seen.manifest.layers;
    const plain = Bun.gunzipSync(new Uint8Array(await Bun.file(a.blobFile(layer.digest)).arrayBuffer()));
    expect(digestOf(plain)).toBe(store.get(name).config.rootfs.diff_ids[0] as Digest);

    const before = await uploads(a);
    expect(await store.push(name, { registries })).toEqual(pushed);
    expect(await uploads(a)).toBe(before);

    const steps: string[] = [];
    const other = `${a.domain}/team/app:1`;
    store.tag(id, other);
    const again = await store.push(other, { registries, progress: ({ message }) => steps.push(message) });
    expect(again.digest).toBe(pushed.digest);
    expect(steps).toEqual(["Preparing", "Mounted from team/base"]);
    expect(await a.log()).toMatch(/POST \/v2\/team\/app\/blobs\/uploads\/\?mount=sha256/);
  });

  test("from one registry to another the manifest stays, of whatever form its layers are", async () => {
    const name = `${a.domain}/jar:1`;
    const { store, id } = await storeWith(name);
    const first = await store.push(name, { registries, compression: "zstd" });
    expect(inspect(name).manifest.layers[0].mediaType).toEndWith("tar+zstd");
    store.tag(id, `${b.domain}/jar:1`);
    const copy = await store.push(`${b.domain}/jar:1`, { registries });
    expect(copy.digest).toBe(first.digest);
    store.tag(id, `${b.domain}/plain:1`);
    await store.push(`${b.domain}/plain:1`, { registries, compression: "none" });
    expect(inspect(`${b.domain}/plain:1`).manifest.layers[0].mediaType).toEndWith("layer.v1.tar");
  });

  test("where the registry that has a layer is gone, it is compressed again, to the same bytes", async () => {
    const registry = await Registry.start();
    try {
      const { store, id } = await storeWith(`${registry.domain}/lost:1`);
      const first = await store.push(`${registry.domain}/lost:1`, { registries });
      await registry.down();
      store.tag(id, `${b.domain}/lost:1`);
      const second = await store.push(`${b.domain}/lost:1`, { registries });
      expect(second.digest).toBe(first.digest);
      expect(inspect(`${b.domain}/lost:1`).digest).toBe(first.digest as Digest);
    } finally {
      await registry.close();
    }
  });

  test("the same tar gives the same blob in any store", async () => {
    const names = [`${a.domain}/same:1`, `${b.domain}/same:1`];
    const layers: unknown[] = [];
    for (const name of names) {
      const { store } = await storeWith(name);
      await store.push(name, { registries });
      layers.push(inspect(name).manifest.layers);
    }
    expect(layers[0]).toEqual(layers[1]);
  });

  test("a registry that dies leaves a store that pushes again", async () => {
    const registry = await Registry.start();
    try {
      const name = `${registry.domain}/jar:1`;
      const { store } = await storeWith(name);
      await registry.down();
      await expect(store.push(name, { registries })).rejects.toThrow();
      expect(store.get(name).repoDigests).toEqual([]);
      await registry.up();
      const { digest } = await store.push(name, { registries });
      expect(inspect(name).digest).toBe(digest as Digest);
    } finally {
      await registry.close();
    }
  });

  test("an image removed during its push is pushed, stays removed, and leaves nothing", async () => {
    const name = `${a.domain}/passing:1`;
    const { store, root } = await storeWith(name);
    let removing: Promise<unknown> | undefined;
    const progress = () => {
      removing ??= store.remove(name, { inUse: new Set() });
    };
    const { digest } = await store.push(name, { registries, progress });
    await removing;
    expect(inspect(name).digest).toBe(digest as Digest);
    expect(store.list()).toEqual([]);
    expect(readdirSync(join(root, "blobs/sha256"))).toEqual([]);
  });

  test("an image that is not there, and a name by digest, are refused", async () => {
    const { store } = await storeWith("here:1");
    await expect(store.push("absent:1", { registries })).rejects.toMatchObject({ code: "image_not_found" });
    await expect(store.push(`a@sha256:${"0".repeat(64)}`, { registries })).rejects.toMatchObject({ code: "reference_invalid" });
  });
});
