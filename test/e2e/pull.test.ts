/** Pulling from Debian's docker-registry what skopeo put there, and what a client could not have put there. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { slowness } from "../kit/command.ts";
import { type Engine, eventually, startEngine } from "../kit/engine.ts";
import { dockerArchive, manyFilesTar, sh } from "../kit/images.ts";
import { Registry } from "../kit/registry.ts";

let engine: Engine;
let registry: Registry;
let directory: string;
/** A name in the registry. */
const at = (path: string): string => `${registry.domain}/${path}`;

function push(source: string, name: string, ...flags: string[]): void {
  sh(["skopeo", "copy", "-q", "--dest-tls-verify=false", ...flags, source, `docker://${at(name)}`]);
}
const inspected = (name: string, ...flags: string[]): string =>
  sh(["skopeo", "inspect", "--tls-verify=false", ...flags, `docker://${at(name)}`]).trim();
const blobsOf = (of: Engine): string[] => readdirSync(join(of.root, "images/blobs/sha256")).sort();
const nothingUnderWay = (): Promise<void> =>
  eventually("nothing is under way", () => readdirSync(join(engine.root, "images/tmp")).length === 0);

beforeAll(async () => {
  engine = startEngine();
  registry = await Registry.start();
  directory = mkdtempSync(join(tmpdir(), "onggi-pull-"));
  push(`docker-archive:${dockerArchive()}`, "team/app:docker");
}, 120_000);
afterAll(async () => {
  rmSync(directory, { recursive: true, force: true });
  await registry.close();
  await engine.close();
}, 120_000);

describe("what skopeo pushed", () => {
  const forms: [string, string[]][] = [
    ["docker", []],
    ["oci", ["--format", "oci"]],
  ];

  test.each(forms)("%s comes with the digests it has there, and with its files", async (tag, flags) => {
    const name = at(`team/app:${tag}`);
    if (tag !== "docker") push(`docker-archive:${dockerArchive()}`, `team/app:${tag}`, ...flags);
    const output = await engine.ok(["pull", name]);
    const digest = inspected(`team/app:${tag}`, "--format", "{{.Digest}}");
    expect(output).toContain(`Digest: ${digest}\nStatus: Downloaded newer image for ${name}\n${name}`);
    const image = JSON.parse(await engine.ok(["image", "inspect", name]))[0];
    const manifest = JSON.parse(inspected(`team/app:${tag}`, "--raw"));
    expect(image.Id).toBe(manifest.config.digest);
    expect(image.RepoDigests).toContain(`${at("team/app")}@${digest}`);

    const layout = join(directory, tag);
    sh(["skopeo", "copy", "-q", "--src-tls-verify=false", `docker://${name}`, `oci:${layout}:it`]);
    sh(["umoci", "unpack", "--image", `${layout}:it`, `${layout}-bundle`]);
    const list =
      "cd $ROOT && find . -xdev ! -type d | grep -vE '^./(dev|proc|sys|.dockerenv|etc/(hosts|hostname|resolv.conf))' | sort | while read f; do stat -c '%n %a %u %g %s %Y' \"$f\"; done; find bin etc -type f | grep -vE 'etc/(hosts|hostname|resolv.conf)' | sort | xargs sha256sum";
    const ours = await engine.ok(["run", "--rm", "--pull", "never", "-e", "ROOT=/", name, "sh", "-c", list]);
    const theirs = sh(["busybox", "sh", "-c", `ROOT=${layout}-bundle/rootfs; ${list}`]).trimEnd();
    expect(ours).toBe(theirs);
    await engine.ok(["rmi", "-f", image.Id]);
    expect(blobsOf(engine)).toEqual([]);
  });
});

test("what is there is not fetched again, and told so", async () => {
  const name = at("team/app:docker");
  await engine.ok(["pull", "-q", name]);
  const before = await registry.fetches();
  const output = await engine.ok(["pull", name]);
  expect(output).toContain(`Status: Image is up to date for ${name}`);
  expect(output.match(/: Already exists$/gm)?.length).toBe(3);
  // The configuration alone.
  expect((await registry.fetches()) - before).toBeLessThanOrEqual(1);
  const digest = inspected("team/app:docker", "--format", "{{.Digest}}");
  expect(await engine.ok(["run", "--rm", "--pull", "never", `${at("team/app")}@${digest}`, "echo", "by digest"])).toBe(
    "by digest",
  );
  expect(await engine.ok(["images", "--digests", "--format", "{{.Tag}} {{.Digest}}"])).toBe(`docker ${digest}`);
  await engine.ok(["rmi", name]);
});

test("two who want one image share the work", async () => {
  const name = at("team/app:docker");
  const before = await registry.fetches();
  await Promise.all([1, 2, 3].map(() => engine.ok(["pull", "-q", name])));
  // Every layer once; every pull reads the configuration.
  expect((await registry.fetches()) - before).toBeLessThanOrEqual(3 + 3);
  await engine.ok(["rmi", name]);
  expect(blobsOf(engine)).toEqual([]);
});

test("an index has each platform its own, and says what it has", async () => {
  const manifest = JSON.parse(inspected("team/app:docker", "--raw"));
  const config = JSON.parse(inspected("team/app:docker", "--config", "--raw"));
  const manifests = await Promise.all(
    ["amd64", "arm64"].map(async (architecture) => {
      const own = await registry.putBlob("team/app", JSON.stringify({ ...config, architecture }));
      const type = manifest.mediaType;
      const stored = await registry.putManifest("team/app", null, type, { ...manifest, config: { ...manifest.config, ...own } });
      return { mediaType: type, ...stored, platform: { os: "linux", architecture } };
    }),
  );
  const type = "application/vnd.oci.image.index.v1+json";
  const index = await registry.putManifest("team/app", "many", type, { schemaVersion: 2, mediaType: type, manifests });
  const architecture = (...flags: string[]): Promise<string> =>
    engine.ok(["image", "inspect", "-f", "{{.Architecture}}", ...flags, at("team/app:many")]);
  expect(await engine.ok(["pull", at("team/app:many")])).toContain(`Digest: ${index.digest}`);
  expect(await architecture()).toBe(process.arch === "arm64" ? "arm64" : "amd64");
  for (const wanted of ["arm64", "amd64"]) {
    await engine.ok(["pull", "-q", "--platform", `linux/${wanted}`, at("team/app:many")]);
    expect(await architecture("--platform", wanted)).toBe(wanted);
  }
  const { code, stderr } = await engine.onggi(["pull", "--platform", "linux/s390x", at("team/app:many")]);
  expect(code).toBe(1);
  expect(stderr).toContain("has no image for linux/s390x; it has: linux/amd64, linux/arm64");
  const ids = await engine.ok(["images", "-q"]);
  await engine.ok(["rmi", "-f", ...ids.split("\n")]);
  expect(blobsOf(engine)).toEqual([]);
});

describe("what is wrong", () => {
  test("a byte that has changed: registry, image and layer are named, and nothing stays", async () => {
    const { layers } = JSON.parse(inspected("team/app:docker", "--raw"));
    for (const [position, { digest }] of layers.entries()) {
      const file = registry.blobFile(digest);
      const good = readFileSync(file);
      const bad = Buffer.from(good);
      bad[good.length - 5]! ^= 0x10;
      writeFileSync(file, bad);
      const { code, stderr } = await engine.onggi(["pull", at("team/app:docker")]);
      writeFileSync(file, good);
      expect(code).toBe(1);
      expect(stderr).toContain(`${at("team/app:docker")}, layer ${position + 1} of 3 (${digest})`);
      expect(blobsOf(engine)).toEqual([]);
    }
    await engine.ok(["pull", "-q", at("team/app:docker")]);
    await engine.ok(["rmi", at("team/app:docker")]);
  });

  test("a blob that is cut off", async () => {
    const { layers } = JSON.parse(inspected("team/app:docker", "--raw"));
    const file = registry.blobFile(layers[0].digest);
    const good = readFileSync(file);
    writeFileSync(file, good.subarray(0, good.length - 100));
    const { code, stderr } = await engine.onggi(["pull", at("team/app:docker")], { timeout: 60_000 });
    writeFileSync(file, good);
    expect(code).toBe(1);
    expect(stderr).toContain(at("team/app"));
    await nothingUnderWay();
  }, 90_000);

  test.each([
    ["team/none:1", "manifest"],
    ["team/app:none", "manifest"],
    [`team/app@sha256:${"0".repeat(64)}`, "manifest"],
    ["TEAM/app", "is not an image name"],
  ])("%s is not there", async (name, words) => {
    const { code, stderr } = await engine.onggi(["pull", at(name)]);
    expect(code).toBe(1);
    expect(stderr).toContain(words);
  });

  test("nobody answers", async () => {
    const { code, stderr } = await engine.onggi(["pull", "127.0.0.1:1/x"]);
    expect(code).toBe(1);
    expect(stderr).toContain("127.0.0.1:1 cannot be reached");
  });
});

describe("run", () => {
  test("brings what is not there, unless told not to", async () => {
    const name = at("team/app:docker");
    const never = await engine.onggi(["run", "--rm", "--pull", "never", name, "true"]);
    expect([never.code, never.stderr.includes("no such image")]).toEqual([125, true]);
    const { code, stdout, stderr } = await engine.onggi(["run", "--rm", name, "echo", "here"]);
    expect([code, stdout]).toEqual([0, "here\n"]);
    expect(stderr).toContain(`Unable to find image '${name}' locally`);
    await engine.ok(["rmi", name]);
    const fed = await engine.onggi(["run", "--rm", "-i", "-q", name, "cat"], { stdin: "through\n" });
    expect([fed.code, fed.stdout]).toEqual([0, "through\n"]);
    expect(await engine.ok(["create", "--pull", "always", "--name", "made", name, "true"])).toMatch(/^[0-9a-f]{64}$/);
    await engine.ok(["rm", "made"]);
    await engine.ok(["rmi", name]);
  });
});

test("a registry that wants a password gets the one Docker's file has", async () => {
  const closed = await Registry.start({ users: { ann: "s3cret" } });
  try {
    const name = `${closed.domain}/a/b:1`;
    sh([
      ...["skopeo", "copy", "-q", "--dest-tls-verify=false", "--dest-creds=ann:s3cret"],
      ...[`docker-archive:${dockerArchive()}`, `docker://${name}`],
    ]);
    const home = join(directory, "home");
    mkdirSync(home, { recursive: true });
    const config = (words: string): void =>
      writeFileSync(join(home, "config.json"), JSON.stringify({ auths: { [closed.domain]: { auth: btoa(words) } } }));
    const env = { DOCKER_CONFIG: home };
    const nobody = await engine.onggi(["pull", name], { env });
    expect([nobody.code, nobody.stderr.includes("onggi login")]).toEqual([1, true]);
    config("ann:wrong");
    expect((await engine.onggi(["pull", name], { env })).code).toBe(1);
    config("ann:s3cret");
    await engine.ok(["pull", "-q", name], { env });
    expect(await engine.ok(["run", "--rm", name, "echo", "in"])).toBe("in");
    await engine.ok(["rmi", name]);
  } finally {
    await closed.close();
  }
});

describe("faults", () => {
  let layout: string;
  const name = (): string => at("team/big:1");

  beforeAll(() => {
    layout = join(directory, "big");
    mkdirSync(layout);
    const tag = `${layout}/image:1`;
    sh(["umoci", "init", "--layout", `${layout}/image`]);
    sh(["umoci", "new", "--image", tag]);
    for (let layer = 0; layer < 3; layer += 1) sh(["umoci", "raw", "add-layer", "--image", tag, manyFilesTar(2000)]);
    sh(["umoci", "raw", "add-layer", "--image", tag, manyFilesTar(20_000)]);
    push(`oci:${tag}`, "team/big:1");
  }, 120_000);

  /** Runs `disturb` once the pull has something of a layer. */
  async function disturbed(disturb: () => Promise<unknown>): Promise<number> {
    const pull = engine.spawn(["pull", "--progress", "json", name()], { timeout: 120_000 });
    const soon = Math.random() * 300;
    await Promise.race([pull.until(/Downloading/, 60_000).catch(() => {}), pull.done]);
    await Bun.sleep(soon);
    await disturb();
    return (await pull.done).code;
  }

  test(
    "a registry that goes away in the middle and comes back",
    async () => {
      const code = await disturbed(async () => {
        await registry.down();
        await registry.up();
      });
      expect(code).toBe(0);
      expect(await engine.ok(["image", "inspect", "-f", "{{.RepoTags}}", name()])).toContain("team/big:1");
      await engine.ok(["rmi", name()]);
      expect(blobsOf(engine)).toEqual([]);
    },
    120_000 * slowness,
  );

  test(
    "a client that goes away ends the pull; what is whole stays for the next",
    async () => {
      const pull = engine.spawn(["pull", "--progress", "json", name()]);
      await pull.until(/Downloading/, 60_000);
      pull.process.kill("SIGINT");
      expect((await pull.done).code).not.toBe(0);
      await nothingUnderWay();
      await engine.ok(["pull", "-q", name()], { timeout: 60_000 });
      await engine.ok(["rmi", name()]);
      expect(blobsOf(engine)).toEqual([]);
    },
    120_000 * slowness,
  );
});
