/** Manifest lists: put together of local images and of registries', pushed to docker-registry, read by skopeo and podman. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { digestOf } from "../../src/images/digest.ts";
import { type Engine, startEngine } from "../kit/engine.ts";
import { busyboxTar, dockerArchive, sh } from "../kit/images.ts";
import { makePodman, podmanUnavailable } from "../kit/podman.ts";
import { Registry } from "../kit/registry.ts";

let engine: Engine;
let a: Registry;
let b: Registry;
const host = process.arch === "arm64" ? "arm64" : "amd64";
const other = host === "amd64" ? "arm64" : "amd64";

interface Entry {
  mediaType: string;
  digest: string;
  size: number;
  platform?: Record<string, unknown>;
}
const raw = (name: string): { digest: string; mediaType: string; manifests: Entry[] } => {
  const text = sh(["skopeo", "inspect", "--tls-verify=false", "--raw", `docker://${name}`]);
  return { digest: digestOf(text), ...JSON.parse(text) };
};
const listed = async (): Promise<string[]> =>
  (await engine.ok(["manifest", "ls", "--format", "{{.List}} {{.Platform}} {{.Member}}"])).split("\n").filter(Boolean);

beforeAll(async () => {
  engine = startEngine();
  [a, b] = await Promise.all([Registry.start(), Registry.start()]);
  await engine.ok(["import", "-q", "--platform", `linux/${host}`, busyboxTar(), "app:host"]);
  await engine.ok(["import", "-q", "--platform", `linux/${other}`, busyboxTar(), "app:other"]);
}, 120_000);
afterAll(async () => {
  await Promise.all([a.close(), b.close()]);
  await engine.close();
}, 120_000);

test("of local images: kept by a killed engine, sent by its successor, the same for skopeo and podman", async () => {
  const list = `${a.domain}/team/app:1`;
  expect(await engine.ok(["manifest", "create", list, "app:host", "app:other"])).toBe(`Created manifest list ${list}`);
  await engine.ok(["manifest", "annotate", "--variant", "v9", "--os-features", "x,y", list, "app:other"]);
  await engine.murder();
  expect(await listed()).toEqual([
    `${list} linux/${host} docker.io/library/app:host`,
    `${list} linux/${other}/v9 docker.io/library/app:other`,
  ]);
  const refused = await engine.onggi(["rmi", "app:other"]);
  expect([refused.code, refused.stderr.includes("needed by a manifest list")]).toEqual([1, true]);
  expect((await engine.onggi(["image", "prune", "-a", "-f"])).code).toBe(0);

  const digest = await engine.ok(["manifest", "push", "-q", list]);
  const index = raw(list);
  expect([index.digest, index.mediaType]).toEqual([digest, "application/vnd.oci.image.index.v1+json"]);
  expect(index.manifests.map(({ platform }) => platform)).toEqual([
    { architecture: host, os: "linux" },
    { architecture: other, os: "linux", "os.features": ["x", "y"], variant: "v9" },
  ]);
  // what was pushed is known now, and pushed again it is the same
  const shown = JSON.parse(await engine.ok(["manifest", "inspect", list]));
  expect(shown.manifests).toEqual(index.manifests);
  expect(await engine.ok(["manifest", "push", "--quiet", "--purge", list])).toBe(digest);
  expect(await listed()).toEqual([]);
  const verbose = JSON.parse(await engine.ok(["manifest", "inspect", "-v", list]));
  expect(verbose.map(({ Descriptor }: { Descriptor: Entry }) => Descriptor.digest)).toEqual(
    index.manifests.map(({ digest }) => digest),
  );
  expect(digestOf(Buffer.from(verbose[1].Raw, "base64"))).toBe(index.manifests[1]!.digest as `sha256:${string}`);

  await engine.ok(["pull", "-q", "--platform", `linux/${other}/v9`, list]);
  const id = async (name: string) => JSON.parse(await engine.ok(["image", "inspect", name]))[0].Id;
  expect(await id(list)).toBe(await id("app:other"));
}, 60_000);

test("a name that has images of several platforms here gives them all", async () => {
  const id = async (name: string): Promise<string> => JSON.parse(await engine.ok(["image", "inspect", name]))[0].Id;
  const [ours, theirs] = [await id("app:host"), await id("app:other")];
  // as a pull of two platforms leaves them
  const source = `${a.domain}/team/both:1`;
  await engine.ok(["manifest", "create", source, "app:host", "app:other"]);
  await engine.ok(["manifest", "push", "-q", "--purge", source]);
  for (const platform of [host, other]) await engine.ok(["pull", "-q", "--platform", `linux/${platform}`, source]);
  await engine.ok(["tag", source, "both:1"]);
  const list = `${b.domain}/both:1`;
  await engine.ok(["manifest", "create", list, "both:1"]);
  expect((await listed()).sort()).toEqual([`${list} linux/${host} ${ours}`, `${list} linux/${other} ${theirs}`].sort());
  await engine.ok(["manifest", "push", "-q", "--purge", list]);
  expect(
    raw(list)
      .manifests.map(({ platform }) => platform?.architecture)
      .sort(),
  ).toEqual(["amd64", "arm64"]);
  await engine.ok(["rmi", "both:1", source]);
}, 60_000);

test.skipIf(podmanUnavailable() !== null)(
  "podman pulls its platform's",
  async () => {
    const podman = makePodman("/usr/sbin/runc");
    try {
      const name = `${a.domain}/team/app:1`;
      await podman.client.ok(["pull", "-q", "--tls-verify=false", name]);
      const id = await podman.client.ok(["image", "inspect", "--format", "{{.Id}}", name]);
      expect(`sha256:${id}`).toBe(JSON.parse(await engine.ok(["image", "inspect", "app:host"]))[0].Id);
      await podman.client.ok(["rmi", name]);
    } finally {
      await podman.close();
    }
  },
  60_000,
);

test("of registries': manifests keep their digests, blobs are mounted within one and copied to another", async () => {
  const copy = (tag: string, ...flags: string[]) => {
    const target = `docker://${a.domain}/src:${tag}`;
    sh(["skopeo", "copy", "-q", "--dest-tls-verify=false", ...flags, `docker-archive:${dockerArchive()}`, target]);
    return raw(`${a.domain}/src:${tag}`).digest;
  };
  const docker = copy("docker");
  const oci = copy("oci", "--format", "oci");
  const [here, there] = [`${a.domain}/dst:1`, `${b.domain}/dst:1`];
  await engine.ok(["manifest", "create", here, `${a.domain}/src:docker`, `${a.domain}/src:oci`]);
  await engine.ok(["manifest", "annotate", "--os", "linux", "--arch", "s390x", here, `${a.domain}/src:oci`]);
  const digest = await engine.ok(["manifest", "push", "-q", here]);
  const index = raw(here);
  expect(index.digest).toBe(digest);
  expect(index.manifests.map((entry) => entry.digest)).toEqual([docker, oci]);
  expect(await a.log()).toMatch(/POST \/v2\/dst\/blobs\/uploads\/\?from=src&mount=|POST \/v2\/dst\/blobs\/uploads\/\?mount=/);

  // an index gives its entries, with their platforms
  await engine.ok(["manifest", "create", there, here]);
  await engine.ok(["manifest", "push", "-q", there]);
  expect(raw(there).manifests).toEqual(index.manifests);
  expect(raw(`${b.domain}/dst@${oci}`).digest).toBe(oci);
  expect(b.blobs().length).toBeGreaterThanOrEqual(4 + 4);

  // of Docker's manifests alone it is Docker's list
  const dockers = `${b.domain}/dst:docker`;
  await engine.ok(["manifest", "create", dockers, `${a.domain}/src@${docker}`]);
  await engine.ok(["manifest", "push", "-q", dockers]);
  expect(raw(dockers).mediaType).toBe("application/vnd.docker.distribution.manifest.list.v2+json");
  expect(JSON.parse(await engine.ok(["manifest", "inspect", dockers, docker])).schemaVersion).toBe(2);
  await engine.ok(["manifest", "rm", here, there, dockers]);
}, 60_000);

test("what is there is refused, amended or removed; what is not there is named", async () => {
  const list = `${a.domain}/words:1`;
  await engine.ok(["manifest", "create", list, "app:host"]);
  const fails = async (words: string, ...args: string[]) => {
    const { code, stderr } = await engine.onggi(["manifest", ...args]);
    expect(code).toBe(1);
    expect(stderr).toContain(words);
  };
  await fails("--amend adds to it", "create", list, "app:other");
  await engine.ok(["manifest", "create", "--amend", list, "app:other"]);
  expect((await listed()).length).toBe(2);
  await fails("is no member of", "annotate", "--arch", "arm", list, "app:third");
  await fails("is no part of a platform", "annotate", "--arch", "a b", list, "app:host");
  await fails("the registry does not have it", "create", "new:1", `${a.domain}/team/none:1`);
  await fails("there is no manifest list", "rm", "new:1");
  // by force a member goes, and the push says so
  await engine.ok(["manifest", "rm", list]);
  await fails("there is no manifest list", "push", list);
});
