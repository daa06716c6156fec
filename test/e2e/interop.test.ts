/**
 * One image, every client: what docker, podman, skopeo push, onggi pulls, and the other way round. Equal digests, and equal file
 * trees to the last attribute, as each of them shows the image to its containers.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { snapshot } from "../images/snapshot.ts";
import { type Docker, dockerUnavailable, startDocker } from "../kit/docker.ts";
import { type Engine, startEngine } from "../kit/engine.ts";
import { dockerArchive, LAYERED, sh } from "../kit/images.ts";
import { makePodman, type Podman, podmanUnavailable } from "../kit/podman.ts";
import { distributionLayout, modulesLayout } from "../kit/real-images.ts";
import { Registry, type Stored } from "../kit/registry.ts";
import { skipLoudly } from "../kit/skip.ts";

const missing = dockerUnavailable() ?? podmanUnavailable();
if (missing) skipLoudly(`images between onggi, docker and podman: ${missing}`);

let engine: Engine;
let docker: Docker;
let podman: Podman;
let registry: Registry;
let directory: string;
const at = (path: string): string => `${registry.domain}/${path}`;
const inspected = (name: string, ...flags: string[]): string =>
  sh(["skopeo", "inspect", "--tls-verify=false", ...flags, `docker://${name}`]).trim();
const digestOf = (name: string): string => inspected(name, "--format", "{{.Digest}}");
const idOf = (name: string): string => JSON.parse(inspected(name, "--raw")).config.digest;
const ours = async (name: string) => JSON.parse(await engine.ok(["image", "inspect", name]))[0];

beforeAll(async () => {
  if (missing) return;
  directory = mkdtempSync(join(tmpdir(), "onggi-interop-"));
  engine = startEngine();
  podman = makePodman("/usr/sbin/runc");
  [docker, registry] = await Promise.all([startDocker(), Registry.start()]);
}, 120_000);
afterAll(async () => {
  if (missing) return;
  rmSync(directory, { recursive: true, force: true });
  await registry?.close();
  await docker?.stop();
  await podman?.close();
  await engine?.close();
}, 120_000);

/** What a container manager puts into every container; not the image's. */
const OWN = new Set(["dev", "proc", "sys", "etc/hostname", "etc/hosts", "etc/resolv.conf", "etc/mtab", ".dockerenv"]);

/** The tree without what no client takes from the image: the root's own time, and those of the directories that hold OWN. */
function treeAt(root: string): Record<string, string> {
  const found = snapshot(root, { without: OWN });
  for (const name of [".", "etc"]) found[name] = found[name]!.replace(/mtime \d+/, "mtime of its own");
  return found;
}

async function treeInOnggi(name: string): Promise<Record<string, string>> {
  const id = await engine.ok(["run", "-d", "--userns", "host", "--pull", "never", name, "sleep", "1000"]);
  try {
    return treeAt(`/proc/${(await engine.inspect(id)).State.Pid}/root/.`);
  } finally {
    await engine.ok(["rm", "-f", id]);
  }
}

async function treeInDocker(name: string): Promise<Record<string, string>> {
  const id = await docker.client.ok(["run", "-d", "--network", "none", name, "sleep", "1000"]);
  try {
    return treeAt(await docker.client.ok(["inspect", "-f", "{{.GraphDriver.Data.MergedDir}}", id]));
  } finally {
    await docker.client.ok(["rm", "-f", id]);
  }
}

async function treeInPodman(name: string): Promise<Record<string, string>> {
  const id = await podman.client.ok(["create", name, "true"]);
  try {
    return treeAt(await podman.client.ok(["mount", id]));
  } finally {
    await podman.client.ok(["rm", "-f", id]);
  }
}

/** Both trees whole where they are equal; else what differs. */
function expectEqualTrees(found: Record<string, string>, expected: Record<string, string>, atLeast: number): void {
  const names = [...new Set([...Object.keys(found), ...Object.keys(expected)])].filter((name) => found[name] !== expected[name]);
  expect(Object.fromEntries(names.slice(0, 20).map((name) => [name, found[name]]))).toEqual(
    Object.fromEntries(names.slice(0, 20).map((name) => [name, expected[name]])) as Record<string, string>,
  );
  expect(Object.keys(found).length).toBeGreaterThan(atLeast);
}

describe.skipIf(missing !== null)(
  "onggi pull, docker pull and skopeo copy of one image give equal digests and equal file trees",
  () => {
    test.each([
      ["a Debian", distributionLayout, "v2s2", 5000],
      ["20,000 files", modulesLayout, "oci", 20_000],
    ] as const)(
      "%s",
      async (_, layout, format, files) => {
        const name = at(`real/${format}:1`);
        sh(["skopeo", "copy", "-q", "--dest-tls-verify=false", "--format", format, `oci:${layout()}:1`, `docker://${name}`]);
        const digest = digestOf(name);
        const copy = join(directory, format);
        await Promise.all([
          engine.ok(["pull", "-q", name], { timeout: 120_000 }),
          docker.client.ok(["pull", "-q", name], { timeout: 120_000 }),
        ]);
        sh(["skopeo", "copy", "-q", "--src-tls-verify=false", "--preserve-digests", `docker://${name}`, `dir:${copy}`]);

        const manifest = readFileSync(join(copy, "manifest.json"), "utf8");
        expect(new Bun.CryptoHasher("sha256").update(manifest).digest("hex")).toBe(digest.slice(7));
        const image = await ours(name);
        const [theirs] = JSON.parse(await docker.client.ok(["image", "inspect", name]));
        expect(image.Id).toBe(JSON.parse(manifest).config.digest);
        expect(image.Id).toBe(theirs.Id);
        expect(image.RepoDigests).toEqual([`${at(`real/${format}`)}@${digest}`]);
        expect(image.RepoDigests).toEqual(theirs.RepoDigests);
        expect(image.RootFS.Layers).toEqual(theirs.RootFS.Layers);

        const bundle = `${copy}-bundle`;
        sh(["skopeo", "copy", "-q", `dir:${copy}`, `oci:${copy}-oci:1`]);
        sh(["umoci", "unpack", "--image", `${copy}-oci:1`, bundle]);
        const tree = await treeInOnggi(name);
        expectEqualTrees(tree, treeAt(join(bundle, "rootfs")), files);
        expectEqualTrees(tree, await treeInDocker(name), files);
        rmSync(bundle, { recursive: true });

        // And back: onggi pushes it, under another name, with the digest it came with.
        const back = at(`back/${format}:1`);
        await engine.ok(["tag", name, back]);
        expect(await engine.ok(["push", back], { timeout: 120_000 })).toContain(`digest: ${digest}`);
        expect(digestOf(back)).toBe(digest);
      },
      240_000,
    );
  },
);

/** The three-layer image as `docker load` and `podman load` know it, and as a container of it says it is merged right. */
async function expectRight(name: string): Promise<void> {
  expect(await engine.ok(["run", "--rm", "--pull", "never", name])).toBe(LAYERED.expected);
}

async function expectStoreWhole(): Promise<void> {
  expect((await engine.onggi(["system", "check"])).stdout).toContain("no problem");
}

describe.skipIf(missing !== null)("what others push, onggi pulls", () => {
  const types = (name: string): string[] =>
    JSON.parse(inspected(name, "--raw")).layers.map(({ mediaType }: { mediaType: string }) => mediaType);

  const pulled = async (name: string, type: RegExp): Promise<void> => {
    for (const found of types(name)) expect(found).toMatch(type);
    await engine.ok(["pull", "-q", name]);
    const image = await ours(name);
    expect([image.Id, image.RepoDigests]).toEqual([idOf(name), [`${name.replace(/:[^:/]*$/, "")}@${digestOf(name)}`]]);
    await expectRight(name);
    await engine.ok(["rmi", "-f", image.Id]);
  };

  test("docker", async () => {
    const name = at("by-docker/app:1");
    await docker.client.ok(["load", "-q", "-i", dockerArchive()]);
    await docker.client.ok(["tag", LAYERED.name, name]);
    await docker.client.ok(["push", "-q", name]);
    await pulled(name, /docker.*diff\.tar\.gzip$/);
  }, 60_000);

  // Each to a registry of its own: podman and skopeo remember which forms of a layer a registry has, and push no other.
  test.each([
    ["podman", "v2s2", ["--format", "v2s2"], /docker.*diff\.tar\.gzip$/],
    ["podman", "oci", ["--format", "oci"], /oci.*tar\+gzip$/],
    ["podman", "zstd", ["--format", "oci", "--compression-format", "zstd"], /oci.*tar\+zstd$/],
    ["podman", "zstd:chunked", ["--format", "oci", "--compression-format", "zstd:chunked"], /oci.*tar\+zstd$/],
    ["skopeo", "zstd", ["--format", "oci", "--dest-compress-format", "zstd"], /oci.*tar\+zstd$/],
    ["skopeo", "zstd:chunked", ["--format", "oci", "--dest-compress-format", "zstd:chunked"], /oci.*tar\+zstd$/],
  ] as const)(
    "%s, %s",
    async (client, form, flags, type) => {
      const other = await Registry.start();
      try {
        const name = `${other.domain}/by/${client}:1`;
        if (client === "podman") {
          await podman.client.ok(["load", "-q", "-i", dockerArchive()]);
          await podman.client.ok(["push", "-q", "--tls-verify=false", ...flags, LAYERED.name, `docker://${name}`]);
        } else {
          sh([
            "skopeo",
            "copy",
            "-q",
            "--dest-tls-verify=false",
            ...flags,
            `docker-archive:${dockerArchive()}`,
            `docker://${name}`,
          ]);
        }
        if (form === "zstd:chunked") {
          const chunked = JSON.parse(inspected(name, "--raw")).layers[0].annotations;
          expect(Object.keys(chunked)).toContain("io.containers.zstd-chunked.manifest-checksum");
        }
        await pulled(name, type);
      } finally {
        await other.close();
      }
    },
    60_000,
  );

  describe("by hand", () => {
    const media = (kind: string): string => `application/vnd.oci.image.${kind}`;
    let config: Stored & { mediaType: string };
    let tars: Buffer[];

    beforeAll(async () => {
      const work = join(directory, "tars");
      sh(["sh", "-c", `mkdir ${work} && tar -C ${work} -xf ${dockerArchive()}`]);
      const [entry] = JSON.parse(readFileSync(join(work, "manifest.json"), "utf8"));
      tars = entry.Layers.map((layer: string) => readFileSync(join(work, layer)));
      const stored = await registry.putBlob("by/hand", readFileSync(join(work, entry.Config)));
      config = { mediaType: media("config.v1+json"), ...stored };
    });

    /** Each header with its data a member of its own, and at the end an empty one with an extra field, as estargz has them. */
    const inMembers = (tar: Buffer): Buffer => {
      const pieces: Uint8Array[] = [];
      for (let at = 0; at < tar.length; at += 10_240) pieces.push(Bun.gzipSync(new Uint8Array(tar.subarray(at, at + 10_240))));
      const footer = Buffer.from("1f8b08040000000000ff1a005347160030303030303030303030303030303030", "hex");
      const rest = Buffer.concat([Buffer.from("STARGZ"), Buffer.from("010000ffff0000000000000000", "hex")]);
      return Buffer.concat([...pieces, footer, rest]);
    };

    test.each([
      ["uncompressed layers", (tar: Buffer) => tar, "layer.v1.tar"],
      ["gzip of many members with estargz's footer", inMembers, "layer.v1.tar+gzip"],
      [
        "zstd of several frames, one of them skippable",
        (tar: Buffer) =>
          Buffer.concat([
            Bun.zstdCompressSync(tar.subarray(0, 1024)),
            Buffer.from("522a4d1805000000", "hex"),
            Buffer.from("table"),
            Bun.zstdCompressSync(tar.subarray(1024)),
          ]),
        "layer.v1.tar+zstd",
      ],
    ] as const)("%s, by an index in an index", async (_, pack, type) => {
      const tag = type.replace(/[^a-z]/g, "");
      const layers = await Promise.all(
        tars.map(async (tar) => ({ mediaType: media(type), ...(await registry.putBlob("by/hand", pack(tar))) })),
      );
      const manifest = { schemaVersion: 2, mediaType: media("manifest.v1+json"), config, layers };
      const nest = async (mediaType: string, value: unknown): Promise<unknown> => {
        const stored = await registry.putManifest("by/hand", null, mediaType, value);
        const platform = { os: "linux", architecture: process.arch === "arm64" ? "arm64" : "amd64" };
        return { schemaVersion: 2, mediaType: media("index.v1+json"), manifests: [{ mediaType, ...stored, platform }] };
      };
      const inner = await nest(manifest.mediaType, manifest);
      const outer = await registry.putManifest("by/hand", tag, media("index.v1+json"), await nest(media("index.v1+json"), inner));
      const name = at(`by/hand:${tag}`);
      expect(await engine.ok(["pull", name])).toContain(`Digest: ${outer.digest}`);
      expect((await ours(name)).Id).toBe(config.digest);
      await expectRight(name);
      await engine.ok(["rmi", "-f", config.digest]);
    });
  });
});

describe.skipIf(missing !== null)("what onggi pushes, others pull", () => {
  test("docker, podman and skopeo see one image, and its tree", async () => {
    const name = at("by-onggi/app:1");
    const id = await engine.ok([
      "run",
      "-d",
      "--userns",
      "host",
      "--pull",
      "never",
      at("real/oci:1"),
      "sh",
      "-c",
      "echo own > /own; sleep 1000",
    ]);
    await engine.ok(["exec", id, "sh", "-c", "rm /files/d7/file-700.txt; mkdir /new; chown 12:34 /own; ln /own /new/twin"]);
    await engine.ok(["commit", id, name]);
    await engine.ok(["rm", "-f", id]);
    const digest = /digest: (\S+)/.exec(await engine.ok(["push", name], { timeout: 120_000 }))![1]!;
    expect(digestOf(name)).toBe(digest);
    const image = await ours(name);
    await Promise.all([
      docker.client.ok(["pull", "-q", name], { timeout: 120_000 }),
      podman.client.ok(["pull", "-q", "--tls-verify=false", name], { timeout: 120_000 }),
    ]);
    const [theirs] = JSON.parse(await docker.client.ok(["image", "inspect", name]));
    expect([theirs.Id, theirs.RepoDigests]).toEqual([image.Id, [`${at("by-onggi/app")}@${digest}`]]);
    expect(`sha256:${await podman.client.ok(["image", "inspect", "-f", "{{.Id}}", name])}`).toBe(image.Id);
    const tree = await treeInOnggi(name);
    expect(Object.keys(tree)).not.toContain("files/d7/file-700.txt");
    expect(tree["new/twin"]).toContain("links with");
    expectEqualTrees(tree, await treeInDocker(name), 20_000);
    // To podman a layer that says nothing of the root says its mode is 0555.
    expectEqualTrees(tree, { ...(await treeInPodman(name)), ".": tree["."]! }, 20_000);
  }, 240_000);
});

test.skipIf(missing !== null)("after all of it the store is whole, and removing everything leaves nothing", async () => {
  await expectStoreWhole();
  const ids = (await engine.ok(["images", "-q", "--no-trunc"])).split("\n").filter(Boolean);
  await engine.ok(["rmi", "-f", ...new Set(ids)]);
  expect(readdirSync(join(engine.root, "images/blobs/sha256"))).toEqual([]);
});
