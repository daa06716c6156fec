import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { dockerUnavailable, startDocker } from "../kit/docker.ts";
import { type Engine, onggiCommand, startEngine } from "../kit/engine.ts";
import { busyboxTar, dockerArchive, LAYERED, sh } from "../kit/images.ts";
import { skipLoudly } from "../kit/skip.ts";

let engine: Engine;
let id = "";
beforeAll(async () => {
  engine = startEngine();
  await engine.ok(["load", "-q", "-i", dockerArchive()]);
  id = await engine.ok(["image", "inspect", "-f", "{{.Id}}", LAYERED.name]);
}, 60_000);
afterAll(() => engine.close(), 120_000);

/** The digest of the configuration as skopeo sees it. */
const skopeoId = (source: string): string =>
  `sha256:${new Bun.CryptoHasher("sha256").update(Bun.spawnSync(["skopeo", "inspect", "--config", "--raw", source]).stdout).digest("hex")}`;

test("skopeo reads both archives and the layout, and finds the same image", async () => {
  if (!Bun.which("skopeo")) return skipLoudly("skopeo is not installed");
  const at = (name: string) => join(engine.base, name);
  await engine.ok(["save", "-o", at("docker.tar"), LAYERED.name]);
  await engine.ok(["save", "--format", "oci-archive", "-o", at("oci.tar"), LAYERED.name]);
  await engine.ok(["save", "--format", "oci-dir", "-o", at("layout"), LAYERED.name]);
  expect(skopeoId(`docker-archive:${at("docker.tar")}:${LAYERED.name}`)).toBe(id);
  expect(skopeoId(`oci-archive:${at("docker.tar")}`)).toBe(id);
  expect(skopeoId(`oci-archive:${at("oci.tar")}:${LAYERED.name}`)).toBe(id);
  expect(skopeoId(`oci:${at("layout")}:${LAYERED.name}`)).toBe(id);
  // Whole layers, read and verified.
  sh(["skopeo", "copy", "-q", `docker-archive:${at("docker.tar")}`, `dir:${at("copied")}`]);
  sh(["skopeo", "copy", "-q", `oci:${at("layout")}:${LAYERED.name}`, `dir:${at("copied too")}`]);
  const { code, stderr } = await engine.onggi(["save", "--format", "oci-dir", "-o", at("layout"), LAYERED.name]);
  expect([code, /not empty/.test(stderr)]).toEqual([1, true]);
});

test("docker loads it and gives it back with the same id, and several images load as one archive", async () => {
  const reason = dockerUnavailable() ?? (process.env.ONGGI_IN_VM ? "not in the VM" : null);
  if (reason) return skipLoudly(`docker load: ${reason}`);
  await engine.ok(["import", busyboxTar(), "second:1"]);
  const file = join(engine.base, "several.tar");
  await engine.ok(["save", "-o", file, LAYERED.name, "second:1"]);
  const docker = await startDocker();
  try {
    docker.docker(["load", "-q", "-i", file]);
    expect(docker.docker(["image", "inspect", "-f", "{{.Id}}", LAYERED.name]).trim()).toBe(id);
    docker.docker(["save", "-o", file, LAYERED.name, "second:1"]);
  } finally {
    await docker.stop();
  }
  await engine.ok(["rmi", LAYERED.name, "second:1"]);
  const loaded = await engine.ok(["load", "-i", file]);
  expect(loaded).toContain(`Loaded image: ${LAYERED.name}`);
  expect(loaded).toContain("Loaded image: second:1");
  expect(await engine.ok(["image", "inspect", "-f", "{{.Id}}", LAYERED.name])).toBe(id);
  expect(await engine.ok(["run", "--rm", LAYERED.name])).toBe(LAYERED.expected);
  await engine.ok(["rmi", "second:1"]);
}, 120_000);

test("through standard output and input; a terminal is refused; what fails leaves no file", async () => {
  const file = join(engine.base, "piped.tar");
  const { code } = await engine.onggi(["save", "-o", file, LAYERED.name]);
  expect(code).toBe(0);
  const { exitCode, stdout } = Bun.spawnSync(
    ["sh", "-c", `"$@" save ${LAYERED.name} | cmp - ${file} && echo same`, "sh", ...onggiCommand],
    { env: { ...process.env, ONGGI_ROOT: engine.root, ONGGI_RUN: engine.run } },
  );
  expect([exitCode, stdout.toString()]).toEqual([0, "same\n"]);
  const terminal = engine.terminal(["save", LAYERED.name]);
  expect(await terminal.done).toBe(125);
  expect(terminal.screen()).toContain("standard output is a terminal");
  const missing = await engine.onggi(["save", "-o", join(engine.base, "none.tar"), "nosuch"]);
  expect([missing.code, /no such image: nosuch/.test(missing.stderr)]).toEqual([1, true]);
  expect(existsSync(join(engine.base, "none.tar"))).toBe(false);
});

test("history, tree, df and prune tell of the same layers", async () => {
  const sizes = (await engine.ok(["history", "-H=false", "--format", "{{.Size}}", LAYERED.name])).split("\n").map(Number);
  const total = Number(await engine.ok(["image", "inspect", "-f", "{{.Size}}", LAYERED.name]));
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(total);
  const [tree] = JSON.parse(await engine.ok(["image", "tree", "--json", LAYERED.name]));
  expect(tree.layers.reduce((sum: number, { size }: { size: number }) => sum + size, 0)).toBe(total);
  expect(await engine.ok(["system", "df", "--format", "{{.Type}} {{.TotalCount}} {{.Active}}"])).toBe(
    "Images 1 0\nContainers 0 0\nLocal Volumes 0 0",
  );
  await engine.ok(["create", "--name", "keeper", LAYERED.name, "true"]);
  expect(await engine.ok(["image", "prune", "-af"])).toContain("Total reclaimed space: 0B");
  await engine.ok(["rm", "keeper"]);
  expect(await engine.ok(["image", "prune", "-af", "--filter", "label=none"])).toContain("Total reclaimed space: 0B");
  expect(await engine.ok(["system", "check"])).toContain("1 images");
  expect(await engine.ok(["image", "prune", "-af"])).toContain(`untagged: ${LAYERED.name}`);
  expect(await engine.ok(["images", "-q"])).toBe("");
});

test("system check through the engine: exit code 1 for a damaged layer, 0 once repaired", async () => {
  await engine.ok(["import", busyboxTar(), "frail"]);
  const [layer = ""] = JSON.parse(await engine.ok(["image", "inspect", "-f", "{{json .RootFS.Layers}}", "frail"]));
  const file = join(engine.root, "images/blobs/sha256", layer.slice(7));
  const data = readFileSync(file);
  data[statSync(file).size >> 1]! ^= 1;
  await Bun.write(file, data);
  const found = await engine.onggi(["system", "check"]);
  expect(found.code).toBe(1);
  expect(found.stdout).toContain("layer 1 of 1 does not have the digest it is named by");
  const repaired = await engine.onggi(["system", "check", "--repair"]);
  expect([repaired.code, repaired.stdout.includes("removed the image frail:latest")]).toEqual([0, true]);
  expect((await engine.onggi(["system", "check"])).code).toBe(0);
}, 60_000);
