/** Bad archives, bad layers, full disks, interrupted and killed imports: a clear error, and a store that is whole. */
import { describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { join } from "node:path";
import { openImageStore } from "../src/images/index.ts";
import { archiveEnd, encodeEntry } from "../src/images/tar-encode.ts";
import {
  blob,
  dockerArchive,
  imageOf,
  manifestOf,
  media,
  ociArchive,
  refName,
  sha256,
  streamOf,
  tarOf,
} from "./images/archives.ts";
import { codeOf, contentsOf, messageOf, namesOf, verifyStore, withScratch } from "./images/harness.ts";

const run = (...command: string[]): Buffer => {
  const done = Bun.spawnSync(command, { env: { ...process.env, LC_ALL: "C" } });
  if (!done.success) throw new Error(`${command.join(" ")}: ${done.stderr}`);
  return done.stdout;
};

const base = tarOf({ etc: { type: "dir" }, "etc/base": "base" });
const top = tarOf({ "etc/top": "top", "etc/.wh.base": "" });
const image = imageOf([base, top]);
const plain = (layer: Buffer): Uint8Array => layer;
const host = { os: "linux", architecture: process.arch === "x64" ? "amd64" : process.arch };
const foreign = { os: "linux", architecture: "s390x" };

describe("archives that are right", () => {
  const blobs = (): Record<string, Uint8Array | string> => ({});
  const oci = (compress: (layer: Buffer) => Uint8Array, name = "img:v1"): Buffer => {
    const all = blobs();
    return ociArchive(all, [manifestOf(all, image, compress, refName(name))]);
  };
  const nested = (): Buffer => {
    const all = blobs();
    const other = imageOf([tarOf({ other: "architecture" })], { architecture: "s390x" });
    const attestation = {
      annotations: { "vnd.docker.reference.type": "attestation-manifest" },
      platform: { os: "unknown", architecture: "unknown" },
    };
    const list = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        manifests: [
          manifestOf(all, imageOf([base]), plain, attestation),
          manifestOf(all, other, plain, { platform: foreign }),
          manifestOf(all, image, plain, { platform: host }),
        ],
      }),
    );
    return ociArchive(all, [
      blob(all, list, media.index, {
        annotations: { "io.containerd.image.name": "docker.io/library/img:v1", "org.opencontainers.image.ref.name": "v1" },
      }),
    ]);
  };
  const both = (): Buffer => {
    const all = blobs();
    const manifest = manifestOf(all, image, plain, refName("ignored"));
    const path = (data: Buffer): string => `blobs/sha256/${sha256(data)}`;
    const docker = [{ Config: path(image.config), RepoTags: ["img:v1"], Layers: image.layers.map(path) }];
    return ociArchive({ ...all, "manifest.json": JSON.stringify(docker) }, [manifest]);
  };
  const rights: [what: string, archive: () => Uint8Array][] = [
    ["docker save", () => dockerArchive(image, ["img:v1"])],
    ["docker save, compressed as a whole by gzip", () => Bun.gzipSync(new Uint8Array(dockerArchive(image, ["img:v1"])))],
    ["docker save, compressed as a whole by zstd", () => Bun.zstdCompressSync(dockerArchive(image, ["img:v1"]))],
    ["OCI with plain layers", () => oci(plain)],
    ["OCI with gzip layers", () => oci((layer) => Bun.gzipSync(new Uint8Array(layer)))],
    ["OCI with zstd layers", () => oci((layer) => Bun.zstdCompressSync(layer))],
    ["OCI with a full name", () => oci(plain, "docker.io/library/img:v1")],
    ["OCI with a nested index of several platforms", nested],
    ["Docker 25 and later: both manifests", both],
  ];
  test.each(rights)("%s", async (_, archive) => {
    await withScratch(async (scratch) => {
      const root = join(scratch, "store");
      const store = openImageStore(root);
      try {
        for (let round = 0; round < 2; round++) {
          const loaded = await store.load(streamOf(archive(), 700));
          expect(loaded.map(({ id, names }) => ({ id, names }))).toEqual([
            { id: `sha256:${sha256(image.config)}`, names: ["img:v1"] },
          ]);
          expect(fs.readdirSync(join(root, "blobs/sha256")).length).toBe(4);
        }
        expect(namesOf(store, "img:v1", scratch)).toEqual(["etc", "etc/top"]);
      } finally {
        store.close();
      }
      expect(await verifyStore(root, scratch)).toEqual(["img:v1"]);
    });
  });

  test('a layer that occurs twice, an image without a name, a name from the file "repositories"', async () => {
    await withScratch(async (scratch) => {
      const store = openImageStore(join(scratch, "store"));
      try {
        const twice = imageOf([base, tarOf({ x: "1" }), base]);
        const [first] = await store.load(streamOf(dockerArchive(twice, null)));
        expect(first!.names).toEqual(["legacy/name:old"]);
        const [second] = await store.load(streamOf(dockerArchive(twice, null, { repositories: Buffer.from("{}") })));
        expect(second!.id).toBe(first!.id);
        const all: Record<string, Uint8Array | string> = {};
        const [third] = await store.load(streamOf(ociArchive(all, [manifestOf(all, imageOf([top]), plain, refName("latest"))])));
        expect(third!.names).toEqual([]);
        expect(namesOf(store, first!.id, scratch)).toEqual(["etc", "etc/base", "x"]);
      } finally {
        store.close();
      }
    });
  });

  test("what skopeo and podman make", async () => {
    await withScratch(async (scratch) => {
      const source = openImageStore(join(scratch, "source"));
      const made = await source.importRootfs(streamOf(tarOf({ bin: { type: "dir" }, "bin/sh": "#!" })), { name: "app:v1" });
      source.close();
      const from = `oci:${join(scratch, "source")}:app:v1`;
      const at = (name: string): string => join(scratch, name);
      run("skopeo", "copy", "-q", from, `docker-archive:${at("skopeo-docker.tar")}:app:v1`);
      run("skopeo", "copy", "-q", from, `oci-archive:${at("skopeo-oci.tar")}:app:v1`);
      const podman = ["podman", "--root", at("podman"), "--runroot", at("podman-run"), "--storage-driver", "vfs"];
      run(...podman, "load", "-q", "-i", at("skopeo-docker.tar"));
      run(...podman, "save", "-q", "-o", at("podman-docker.tar"), "docker.io/library/app:v1");
      run(...podman, "save", "-q", "--format", "oci-archive", "-o", at("podman-oci.tar"), "docker.io/library/app:v1");
      for (const name of ["skopeo-docker", "skopeo-oci", "podman-docker", "podman-oci"]) {
        const store = openImageStore(at(name));
        try {
          const loaded = await store.load(Bun.file(at(`${name}.tar`)).stream());
          expect(loaded.map(({ names }) => names)).toEqual([["app:v1"]]);
          expect(loaded[0]!.config.rootfs).toEqual(made.config.rootfs);
          expect(namesOf(store, "app:v1", scratch)).toEqual(["bin", "bin/sh"]);
        } finally {
          store.close();
        }
      }
    });
  }, 60_000);
});

describe("archives that are wrong are refused and leave nothing", () => {
  const configName = `${sha256(image.config)}.json`;
  const layerName = `${sha256("layer 1")}/layer.tar`;
  const ociWith = (change: (blobs: Record<string, Uint8Array | string>) => void): Buffer => {
    const all: Record<string, Uint8Array | string> = {};
    const manifest = manifestOf(all, image, plain, refName("img"));
    change(all);
    return ociArchive(all, [manifest]);
  };
  const text = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
  const wrongs: [what: string, archive: () => Uint8Array, code: string, says: RegExp][] = [
    [
      "another layer than the configuration says",
      () => dockerArchive(image, ["img:v1"], { [layerName]: base }),
      "digest_mismatch",
      /img:v1, layer 2 of 2: expected sha256:.* holds sha256:/,
    ],
    [
      "another configuration than its name says",
      () => dockerArchive(image, ["img:v1"], { [configName]: imageOf([base, top], { author: "x" }).config }),
      "digest_mismatch",
      /img:v1: its configuration is named/,
    ],
    [
      "a layer that is missing",
      () =>
        dockerArchive(image, ["img:v1"], {
          "manifest.json": text([{ Config: configName, RepoTags: ["img:v1"], Layers: ["a/layer.tar", "b/layer.tar"] }]),
        }),
      "archive_invalid",
      /layer 1 of 2: the archive has no layer "a\/layer.tar"/,
    ],
    [
      "fewer layers than the configuration says",
      () =>
        dockerArchive(image, null, {
          "manifest.json": text([{ Config: configName, RepoTags: ["img:v1"], Layers: [layerName] }]),
        }),
      "archive_invalid",
      /configuration names 2 layers, its manifest 1/,
    ],
    [
      "a manifest that is no list",
      () => dockerArchive(image, null, { "manifest.json": text({}) }),
      "archive_invalid",
      /not a list/,
    ],
    [
      "a manifest that is no JSON",
      () => dockerArchive(image, null, { "manifest.json": Buffer.from("[{") }),
      "archive_invalid",
      /not JSON/,
    ],
    ["a name that is none", () => dockerArchive(image, ["Not/A Name"]), "reference_invalid", /Not\/A Name/],
    [
      "a layer that is hostile",
      () => dockerArchive(imageOf([tarOf({ "../evil": "x" })]), ["img:v1"]),
      "layer_invalid",
      /img:v1, layer 1 of 1: tar entry "..\/evil" at offset 0/,
    ],
    ["a layer that ends early", () => dockerArchive(imageOf([base.subarray(0, 1200)]), ["img:v1"]), "layer_invalid", /truncated/],
    [
      "no image at all",
      () => tarOf({ "etc/passwd": "root" }),
      "archive_invalid",
      /neither manifest.json nor index.json.*onggi import/,
    ],
    ["an archive that ends early", () => dockerArchive(image, ["img:v1"]).subarray(0, 3000), "archive_invalid", /truncated/],
    [
      "gzip that ends early",
      () => Bun.gzipSync(new Uint8Array(dockerArchive(image, ["img:v1"]))).subarray(0, 400),
      "compressed_data_invalid",
      /gzip data are damaged/,
    ],
    [
      "zstd that ends early",
      () => Bun.zstdCompressSync(dockerArchive(image, ["img:v1"])).subarray(0, 400),
      "archive_invalid",
      /truncated|neither/,
    ],
    ["nothing", () => new Uint8Array(0), "archive_invalid", /neither/],
    ["noise", () => new Uint8Array(5000).map((_, i) => (i * 7919) & 0xff), "archive_invalid", /not a whole tar/],
    [
      "an OCI layer with another digest",
      () =>
        ociWith((all) => {
          all[`blobs/sha256/${sha256(top)}`] = tarOf({ other: "x" });
        }),
      "digest_mismatch",
      /layer 2 of 2: expected sha256/,
    ],
    [
      "an OCI configuration with another digest",
      () =>
        ociWith((all) => {
          all[`blobs/sha256/${sha256(image.config)}`] = `${image.config} `;
        }),
      "digest_mismatch",
      /configuration: expected/,
    ],
    [
      "an image for another machine only",
      () => {
        const all = {};
        return ociArchive(all, [
          manifestOf(all, image, plain, { ...refName("img"), platform: foreign }),
          manifestOf(all, imageOf([]), plain, { ...refName("img"), platform: { os: "windows", architecture: "amd64" } }),
        ]);
      },
      "platform_not_found",
      /has: linux\/s390x, windows\/amd64/,
    ],
    [
      "a configuration for another system",
      () => dockerArchive(imageOf([base], { os: "windows" }), ["img:v1"]),
      "image_config_invalid",
      /"windows" cannot run here/,
    ],
    [
      "a configuration with a wrong type in it",
      () => dockerArchive(imageOf([base], { config: { Env: "A=b" } }), ["img:v1"]),
      "image_config_invalid",
      /"config.Env" is not a list of strings/,
    ],
    [
      "a digest that is none",
      () => dockerArchive(imageOf([base], { rootfs: { type: "layers", diff_ids: ["sha256:../../etc/passwd"] } }), ["img:v1"]),
      "image_config_invalid",
      /rootfs.diff_ids/,
    ],
  ];
  test.each(wrongs)("%s", async (_, archive, code, says) => {
    await withScratch(async (scratch) => {
      const root = join(scratch, "store");
      const store = openImageStore(root);
      try {
        expect(await codeOf(store.load(streamOf(archive(), 1000)))).toBe(code);
        expect(await messageOf(store.load(streamOf(archive(), 1000)))).toMatch(says);
        expect(contentsOf(root)).toEqual([]);
        expect(await store.collectGarbage()).toEqual([]);
        expect(store.list()).toEqual([]);
      } finally {
        store.close();
      }
    });
  });
});

test("hostile layers are refused with the entry's name and leave nothing", async () => {
  const layers: [layer: Uint8Array, says: RegExp][] = [
    [tarOf({ "a/../../etc/cron.d/x": "evil" }), /tar entry "a\/..\/..\/etc\/cron.d\/x" at offset 0/],
    [tarOf({ a: { type: "link", link: "../../etc/shadow" } }), /tar entry "a" at offset 0: "\.\." in a path/],
    [tarOf({ a: { type: "link", link: "/etc/shadow" } }), /hard link to "etc\/shadow", which the layer does not hold/],
    [tarOf({ a: "x", b: "y" }).subarray(0, 800), /truncated/],
    [tarOf({ d: { type: "dir" }, a: { type: "link", link: "d" } }), /hard link to the directory "d"/],
    [tarOf({ a: { type: "symlink", link: "b" }, b: { type: "symlink", link: "a" }, "a/x": "" }), /too many symbolic links/],
  ];
  await withScratch(async (scratch) => {
    const root = join(scratch, "store");
    const store = openImageStore(root);
    try {
      for (const [layer, says] of layers) {
        expect(await codeOf(store.importRootfs(streamOf(layer), {}))).toBe("layer_invalid");
        expect(await messageOf(store.importRootfs(streamOf(layer), {}))).toMatch(says);
        expect(contentsOf(root)).toEqual([]);
      }
    } finally {
      store.close();
    }
  });
});

test("links that lead out stay links: nothing outside is touched in any form", async () => {
  await withScratch(async (scratch) => {
    const outside = join(scratch, "outside");
    fs.mkdirSync(outside);
    const up = "../".repeat(20) + outside.slice(1);
    const layer = tarOf({
      absolute: { type: "symlink", link: outside },
      "absolute/one": "1",
      relative: { type: "symlink", link: up },
      "relative/two": "2",
      "/rooted": "3",
    });
    for (const form of ["erofs", "directories"] as const) {
      const store = openImageStore(join(scratch, form), { form });
      try {
        const { id } = await store.importRootfs(streamOf(layer), {});
        const inside = outside.slice(1);
        expect(namesOf(store, id, scratch)).toContain(`${inside}/one`);
        expect(namesOf(store, id, scratch)).toContain(`${inside}/two`);
        expect(namesOf(store, id, scratch)).toContain("rooted");
        expect(fs.readdirSync(outside)).toEqual([]);
      } finally {
        store.close();
      }
    }
  });
});

/** Ten gigabytes of zeros as a file in a tar, in ten megabytes: gzip members of 64 MiB each. */
const bomb = (): Uint8Array => {
  const member = Bun.gzipSync(new Uint8Array(64 << 20), { level: 9 });
  const head = Bun.gzipSync(new Uint8Array(encodeEntry({ type: "file", name: "zeros", size: 10 * 2 ** 30 })));
  return Buffer.concat([head, ...Array.from({ length: 160 }, () => member), Bun.gzipSync(new Uint8Array(archiveEnd()))]);
};

test("10 GiB of zeros in 10 MB are refused, on their own and as a layer", async () => {
  await withScratch(async (scratch) => {
    const root = join(scratch, "store");
    const store = openImageStore(root);
    try {
      const data = bomb();
      expect(data.length).toBeLessThan(11 << 20);
      expect(await messageOf(store.importRootfs(streamOf(data), {}))).toMatch(/expand to more than .* 500 times/);
      const archive = dockerArchive({ layers: [Buffer.from(data)], config: image.config }, ["bomb:1"]);
      expect(await codeOf(store.load(streamOf(archive, 1 << 20)))).toBe("decompression_limit");
      expect(contentsOf(root)).toEqual([]);
    } finally {
      store.close();
    }
  });
}, 120_000);

test("a layer larger than the limit is refused", async () => {
  await withScratch(async (scratch) => {
    const root = join(scratch, "store");
    const store = openImageStore(root, { maxLayerBytes: 1 << 20 });
    try {
      expect(await codeOf(store.importRootfs(streamOf(tarOf({ big: Buffer.alloc(2 << 20, 1) })), {}))).toBe("layer_too_large");
      expect(contentsOf(root)).toEqual([]);
    } finally {
      store.close();
    }
  });
});

test("a full disk is said plainly, leaves nothing, and the next import that fits works", async () => {
  await withScratch(async (scratch) => {
    const root = join(scratch, "small");
    fs.mkdirSync(root);
    run("mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", root);
    const store = openImageStore(root);
    try {
      const noise = new Uint8Array(8 << 20).map((_, i) => (i * 2654435761) >>> 13);
      for (const layers of [[tarOf({ noise })], [base, tarOf({ noise })]]) {
        const load = store.load(streamOf(dockerArchive(imageOf(layers), ["big:1"])));
        expect(await codeOf(load)).toBe("out_of_disk");
        expect(contentsOf(root)).toEqual([]);
      }
      expect(await codeOf(store.importRootfs(streamOf(tarOf({ noise })), { name: "big" }))).toBe("out_of_disk");
      // The layer fits, its index does not.
      const many: Record<string, string> = {};
      for (let i = 0; i < 5000; i++) many[`${"n".repeat(80)}-${i}`] = "";
      expect(
        await codeOf(store.importRootfs(streamOf(tarOf({ ...many, fill: noise.subarray(0, (2 << 20) + 700_000) })), {})),
      ).toBe("out_of_disk");
      expect(contentsOf(root)).toEqual([]);
      await store.load(streamOf(dockerArchive(image, ["fits:1"])));
      expect(namesOf(store, "fits:1", scratch)).toEqual(["etc", "etc/top"]);
    } finally {
      store.close();
    }
    expect(await verifyStore(root, scratch)).toEqual(["fits:1"]);
  });
}, 30_000);

test("an abort ends a load at once, wherever it stands, and leaves nothing", async () => {
  await withScratch(async (scratch) => {
    const root = join(scratch, "store");
    const store = openImageStore(root);
    try {
      const archive = dockerArchive(image, ["img:v1"]);
      for (let cut = 0; cut < archive.length; cut += 1024) {
        const stop = new AbortController();
        let told = false;
        const stuck = new ReadableStream<Uint8Array>({
          start: (controller) => controller.enqueue(new Uint8Array(archive.subarray(0, cut + 1))),
          pull: () => void setTimeout(() => stop.abort(new Error("the user went away")), 1),
          cancel: () => {
            told = true;
          },
        });
        expect(store.load(stuck, { signal: stop.signal })).rejects.toThrow("the user went away");
        await store.load(stuck, { signal: stop.signal }).catch(() => {});
        while (!told) await Bun.sleep(1);
        for (let wait = 0; contentsOf(root).length > 0 && wait < 200; wait++) await Bun.sleep(5);
        expect(contentsOf(root)).toEqual([]);
      }
    } finally {
      store.close();
    }
  });
}, 30_000);

test("a source that fails is the error, and nothing is left", async () => {
  await withScratch(async (scratch) => {
    const root = join(scratch, "store");
    const store = openImageStore(root);
    try {
      for (const data of [
        dockerArchive(image, ["img:v1"]),
        Buffer.from(Bun.gzipSync(new Uint8Array(dockerArchive(image, ["img:v1"])))),
      ]) {
        let sent = false;
        const broken = new ReadableStream<Uint8Array>({
          pull: (controller) => {
            if (sent) controller.error(new Error("connection reset"));
            else controller.enqueue(new Uint8Array(data.subarray(0, 200)));
            sent = true;
          },
        });
        expect(await messageOf(store.load(broken))).toBe("connection reset");
        expect(contentsOf(root)).toEqual([]);
      }
    } finally {
      store.close();
    }
  });
});

test("loads, removals and garbage collection at the same time do not harm each other", async () => {
  await withScratch(async (scratch) => {
    const root = join(scratch, "store");
    const store = openImageStore(root);
    try {
      const archives = Array.from({ length: 6 }, (_, i) =>
        dockerArchive(imageOf([base, tarOf({ [`n${i % 3}`]: `${i % 3}` })]), [`n${i}:1`]),
      );
      for (let round = 0; round < 5; round++) {
        const loading = archives.map((archive) => store.load(streamOf(archive, 3000)));
        await Promise.all([...loading, store.collectGarbage(), Bun.sleep(1).then(() => store.collectGarbage())]);
        expect(store.list().length).toBe(3);
        await Promise.all([0, 1, 2, 3, 4].map((i) => store.remove(`n${i}:1`, { inUse: new Set() })));
        expect(namesOf(store, "n5:1", scratch)).toEqual(["etc", "etc/base", "n2"]);
      }
    } finally {
      store.close();
    }
    expect(await verifyStore(root, scratch)).toEqual(["n5:1"]);
  });
});

test("killed 20 times in the middle of importing, the store opens whole and clean each time", async () => {
  await withScratch(async (scratch) => {
    const root = join(scratch, "store");
    const archive = join(scratch, "archive.tar");
    const noise = new Uint8Array(3 << 20).map((_, i) => (i * 2654435761) >>> 11);
    fs.writeFileSync(archive, dockerArchive(imageOf([base, tarOf({ noise, more: "x" }), top]), ["loaded:1"]));
    const first = openImageStore(root);
    await first.load(streamOf(dockerArchive(imageOf([base, tarOf({ mine: "x" })]), ["mine:1"])));
    first.close();
    let interrupted = 0;
    for (let round = 0; round < 20; round++) {
      const child = Bun.spawn([process.execPath, join(import.meta.dir, "images/importer.ts"), root, archive], {
        stdout: "pipe",
        stderr: "inherit",
      });
      // From its start on, at ever other places of the first rounds of its loop.
      const reader = child.stdout.getReader();
      if (round % 4 !== 0) await reader.read();
      await Bun.sleep(round % 4 === 0 ? 40 + round * 6 : (round * 7) % 60);
      child.kill("SIGKILL");
      await child.exited;
      if (contentsOf(root).some((path) => path.startsWith("tmp/"))) interrupted++;
      const names = await verifyStore(root, scratch);
      expect(names).toContain("mine:1");
      const store = openImageStore(root);
      for (const name of names) if (name !== "mine:1") await store.remove(name, { inUse: new Set() });
      store.close();
    }
    expect(interrupted).toBeGreaterThan(0);
  });
}, 120_000);
