/** Image archives of every kind, right and wrong. */
import { describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { join } from "node:path";
import { openImageStore } from "../src/images/index.ts";
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
import { codeOf, contentsOf, messageOf, namesOf, run, verifyStore, withScratch } from "./images/harness.ts";

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
