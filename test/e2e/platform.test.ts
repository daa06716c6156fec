/** Images of several platforms under one name, and programs of other architectures, run by qemu and the kernel's binfmt_misc. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Emulator, emulatorUnavailable, registerEmulator } from "../kit/emulator.ts";
import { type Engine, startEngine } from "../kit/engine.ts";
import { busyboxTar, foreignBusyboxTar } from "../kit/images.ts";
import { Registry } from "../kit/registry.ts";
import { skipLoudly } from "../kit/skip.ts";

const reason = process.arch === "x64" ? emulatorUnavailable("aarch64") : `this is for x86_64, here is ${process.arch}`;
if (reason) skipLoudly(`foreign architectures: ${reason}`);

const INDEX = "application/vnd.oci.image.index.v1+json";
const MANIFEST = "application/vnd.oci.image.manifest.v1+json";
const PLATFORMS = ["linux/amd64", "linux/arm64", "linux/386"];

let engine: Engine;
let registry: Registry;
let emulator: Emulator;
let directory: string;
/** Digests of the index and of the one inside it. */
let [outer, inner] = ["", ""];

const at = (path: string): string => `${registry.domain}/${path}`;
const manifests = new Map<string, string>();
const rows = async (name: string): Promise<string[]> =>
  (await engine.ok(["images", "--digests", "--format", "{{.Platform}} {{.Digest}}", name])).split("\n").sort();
const hasBlob = (digest: string): boolean => existsSync(join(engine.root, "images/blobs/sha256", digest.slice(7)));
const clean = async (): Promise<void> => {
  await engine.ok(["image", "prune", "-af"]);
  expect(await engine.ok(["system", "check", "-q"])).toContain("0 images, 0B read: no problem");
};

async function putIndex(reference: string | null, listed: readonly object[]): Promise<{ digest: string; size: number }> {
  const text = JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests: listed });
  const digest = `sha256:${createHash("sha256").update(text).digest("hex")}`;
  const { status } = await fetch(`${registry.url}/v2/team/box/manifests/${reference ?? digest}`, {
    method: "PUT",
    headers: { "content-type": INDEX },
    body: text,
  });
  expect(status).toBe(201);
  return { digest, size: text.length };
}

beforeAll(async () => {
  if (reason) return;
  directory = mkdtempSync(join(tmpdir(), "onggi-platform-"));
  emulator = await registerEmulator("aarch64");
  registry = await Registry.start();
  engine = startEngine();
  const tars = [busyboxTar(), foreignBusyboxTar("arm64"), foreignBusyboxTar("i386")];
  const listed = [];
  for (const [i, platform] of PLATFORMS.entries()) {
    const [, architecture = ""] = platform.split("/");
    const name = at(`team/box:${architecture}`);
    await engine.ok(["import", "-q", "--platform", platform, "-c", 'CMD ["uname", "-m"]', tars[i]!, name]);
    const [, digest = "", size] = /digest: (\S+) size: (\d+)/.exec(await engine.ok(["push", name])) ?? [];
    manifests.set(platform, digest);
    listed.push({ mediaType: MANIFEST, digest, size: Number(size), platform: { os: "linux", architecture } });
  }
  const within = await putIndex(null, listed.slice(0, 2));
  const whole = await putIndex("many", [{ mediaType: INDEX, ...within }]);
  [outer, inner] = [whole.digest, within.digest];
  await clean();
}, 120_000);
afterAll(async () => {
  if (reason) return;
  rmSync(directory, { recursive: true, force: true });
  await registry.close();
  await engine.close();
  await emulator.close();
}, 60_000);

describe.skipIf(reason !== null)("a name with images of several platforms", () => {
  test("the one asked for is pulled and run beside the machine's own", async () => {
    const name = at("team/box:many");
    const first = await engine.onggi(["run", "--rm", name]);
    expect([first.code, first.stdout]).toEqual([0, "x86_64\n"]);
    const other = await engine.onggi(["run", "--rm", "--platform", "linux/arm64", name]);
    expect([other.code, other.stdout]).toEqual([0, "aarch64\n"]);
    expect(other.stderr).toContain(`Unable to find image '${name}' locally`);
    expect(other.stderr).not.toContain("WARNING");
    // Both are there, both have the index's digest, and all that described them is kept.
    expect(await rows(name)).toEqual([`linux/amd64 ${outer}`, `linux/arm64 ${outer}`]);
    for (const digest of [outer, inner, manifests.get("linux/amd64")!, manifests.get("linux/arm64")!])
      expect(hasBlob(digest)).toBe(true);
    for (const [flags, machine] of [
      [[], "x86_64"],
      [["--platform", "arm64"], "aarch64"],
    ] as const) {
      expect(await engine.ok(["run", "--rm", "--pull", "never", ...flags, name])).toBe(machine);
      expect(await engine.ok(["run", "--rm", "--pull", "never", ...flags, `${at("team/box")}@${outer}`])).toBe(machine);
    }
    expect((await engine.ok(["images", "--tree", name])).split("\n").map((row) => row.split(/ {2,}/)[0])).toEqual([
      "IMAGE",
      name,
      expect.stringMatching(/^├─ linux\/a(md|rm)64$/),
      expect.stringMatching(/^└─ linux\/a(md|rm)64$/),
    ]);
    const architecture = ["image", "inspect", "-f", "{{.Architecture}}"];
    expect(await engine.ok([...architecture, name])).toBe("amd64");
    expect(await engine.ok([...architecture, "--platform", "linux/arm64", name])).toBe("arm64");
    // An id is that image and no other: nothing is pulled for it.
    const id = await engine.ok([...architecture.slice(0, 2), "-f", "{{.Id}}", name]);
    const byId = await engine.onggi(["run", "--rm", "--platform", "linux/arm64", id]);
    expect([byId.code, byId.stderr]).toEqual([
      125,
      `onggi: image ${id} is here for linux/amd64, not for linux/arm64; name it by its name\n`,
    ]);
    const absent = await engine.onggi(["run", "--rm", "--pull", "never", "--platform", "linux/s390x", name]);
    expect([absent.code, absent.stderr]).toEqual([
      125,
      `onggi: image ${name} is here for linux/arm64, linux/amd64, not for linux/s390x; "onggi pull --platform linux/s390x" brings that one\n`,
    ]);
  });

  test("another name is for all of them; one platform's can be removed, saved, loaded and pushed", async () => {
    const [name, copy] = [at("team/box:many"), at("team/box:copy")];
    for (const platform of ["amd64", "arm64"]) await engine.ok(["pull", "-q", "--platform", platform, name]);
    await engine.ok(["tag", name, copy]);
    expect((await rows(copy)).length).toBe(2);
    await engine.ok(["rmi", "--platform", "linux/amd64", copy]);
    expect(await rows(copy)).toEqual([`linux/arm64 ${outer}`]);
    expect((await rows(name)).length).toBe(2);
    expect(await engine.ok(["push", "--platform", "linux/arm64", name])).toContain(`digest: ${manifests.get("linux/arm64")}`);
    await putIndex("many", [
      {
        mediaType: INDEX,
        digest: inner,
        size: (await (await fetch(`${registry.url}/v2/team/box/manifests/${inner}`, { headers: { accept: INDEX } })).text())
          .length,
      },
    ]);
    const file = join(directory, "arm64.tar");
    await engine.ok(["save", "-o", file, "--platform", "linux/arm64", name]);
    await engine.ok(["rmi", name, copy]);
    await clean();
    const refused = await engine.onggi(["load", "-i", file, "--platform", "linux/amd64"]);
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining("no image for linux/amd64; it has: linux/arm64")]);
    await engine.ok(["load", "-i", file, "--platform", "linux/arm64"]);
    expect(await engine.ok(["run", "--rm", "--platform", "linux/arm64", name])).toBe("aarch64");
    await engine.ok(["rmi", name]);
    await clean();
  });

  test("a pull by index replaces its own platform's image only; what is named here is alone", async () => {
    const name = at("team/box:many");
    for (const platform of ["amd64", "arm64"]) await engine.ok(["pull", "-q", "--platform", platform, name]);
    await engine.ok(["import", "-q", busyboxTar(), name]);
    expect(await rows(name)).toEqual(["linux/amd64 <none>"]);
    await engine.ok(["pull", "-q", "--platform", "arm64", name]);
    expect((await rows(name)).map((row) => row.split(" ")[0])).toEqual(["linux/amd64", "linux/arm64"]);
    await engine.ok(["rmi", name]);
    await clean();
  });

  test("a container keeps its platform's image; the other goes", async () => {
    const name = at("team/box:many");
    const id = await engine.ok(["create", "-q", "--platform", "linux/arm64", name]);
    await engine.ok(["pull", "-q", name]);
    expect((await engine.onggi(["rmi", name])).stderr).toContain("is needed by a container or mount");
    expect((await rows(name)).length).toBe(2);
    await engine.ok(["rmi", "--platform", "linux/amd64", name]);
    expect(await engine.ok(["start", "-a", id])).toBe("aarch64");
    await engine.ok(["commit", id, "mine:arm"]);
    expect(await rows("mine:arm")).toEqual(["linux/arm64 <none>"]);
    await engine.ok(["rm", id]);
    await engine.ok(["rmi", "mine:arm", name]);
    await clean();
  });
});

describe.skipIf(reason !== null)("programs of another architecture", () => {
  test("run with a warning where no platform was asked for", async () => {
    const name = at("team/box:arm64");
    const { code, stdout, stderr } = await engine.onggi([
      "run",
      "--rm",
      "-q",
      name,
      "sh",
      "-c",
      "uname -m; ls /bin | wc -l; id -u",
    ]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^aarch64\n\d{3}\n0\n$/);
    expect(stderr).toContain(
      "WARNING: The requested image's platform (linux/arm64) does not match the detected host platform (linux/amd64) and no specific platform was requested\n",
    );
    await engine.ok(["rmi", name]);
  });

  test("the 32-bit form of this machine's own runs as it is", async () => {
    const name = at("team/box:386");
    await engine.ok(["pull", "-q", name]);
    const { code, stdout, stderr } = await engine.onggi([
      "run",
      "--rm",
      name,
      "sh",
      "-c",
      "head -c 5 /bin/busybox | od -An -tx1",
    ]);
    expect([code, stdout, stderr]).toEqual([0, " 7f 45 4c 46 01\n", ""]);
    await engine.ok(["rmi", name]);
  });

  test("without an emulator are refused before anything is made", async () => {
    // Nobody registers one for an architecture that does not exist.
    await engine.ok(["import", "-q", "--platform", "linux/vax", busyboxTar(), "old:vax"]);
    const { code, stderr } = await engine.onggi(["run", "--name", "never", "old:vax", "true"]);
    expect(code).toBe(125);
    expect(stderr).toContain(
      "image old:vax is for linux/vax, this machine is linux/amd64, and no emulator is registered for vax",
    );
    expect(stderr).toContain("apt-get install qemu-user-static binfmt-support");
    await engine.ok(["import", "-q", "--platform", "linux/arm/v6", busyboxTar(), "old:arm"]);
    const outside = await registerEmulator("arm", "OP");
    const inside = await engine.onggi(["create", "old:arm", "true"]).finally(() => outside.close());
    expect([inside.code, inside.stderr]).toEqual([
      125,
      expect.stringContaining("without the flag F, so it would have to be in the image"),
    ]);
    expect(await engine.ok(["ps", "-aq"])).toBe("");
    await engine.ok(["rmi", "old:vax", "old:arm"]);
  });
});

test.skipIf(reason !== null)("input waits for an image that has to be pulled", async () => {
  const name = at("team/box:amd64");
  const { code, stdout, stderr } = await engine.onggi(["run", "-i", "--rm", name, "cat"], { stdin: "to the last byte" });
  expect([code, stdout]).toEqual([0, "to the last byte"]);
  expect(stderr).toContain("Unable to find image");
  await engine.ok(["rmi", name]);
});
