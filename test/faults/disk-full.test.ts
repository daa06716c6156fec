/**
 * The data root lies on a small tmpfs and fills up: while images come, are made and go out, and under a container that writes its
 * log. Each time the reason is told, all space is given back, and what was asked works once there is room.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { dockerArchive, imageOf } from "../images/archives.ts";
import { type Engine, eventually, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox, busyboxTar, manyFilesTar, sh } from "../kit/images.ts";
import { Registry } from "../kit/registry.ts";
import { manyFiles } from "../kit/tar.ts";

const MIB = 1 << 20;
const disk = mkdtempSync(join(tmpdir(), "onggi-small-"));
const elsewhere = mkdtempSync(join(tmpdir(), "onggi-large-"));
let engine: Engine;
let registry: Registry;
beforeAll(async () => {
  registry = await Registry.start();
  sh(["mount", "-t", "tmpfs", "-o", "size=24m,mode=755", "small", disk]);
  const base = join(disk, "engine");
  mkdirSync(base);
  engine = startEngine({ base });
  await bootstrapBusybox(engine);
}, 120_000);
afterAll(async () => {
  try {
    await registry.close();
    await engine.close();
  } finally {
    // Lazily and with what lies below: a test that failed may have left something there.
    sh(["umount", "-R", "-l", disk]);
    rmSync(disk, { recursive: true });
    rmSync(elsewhere, { recursive: true });
  }
}, 120_000);

const free = (): number => {
  const { bavail, bsize } = statfsSync(disk);
  return bavail * bsize;
};

test("an import that does not fit fails with the reason, gives all space back, and the engine works on", async () => {
  const before = free();
  for (let round = 0; round < 3; round += 1) {
    const { stderr, code } = await engine.onggi(["import", manyFilesTar(), "too:big"], { timeout: 60_000 });
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/ENOSPC|no space/i);
    expect(await engine.ok(["images", "-q", "too:big"])).toBe("");
    expect(Math.abs(free() - before)).toBeLessThan(MIB);
  }
  expect(await engine.ok(["run", "--rm", "busybox", "echo", "works"])).toBe("works");
}, 120_000);

const resize = (mebibytes: number): string => sh(["mount", "-o", `remount,size=${mebibytes}m`, disk]);
const blobs = (): string[] => readdirSync(join(engine.root, "images/blobs/sha256")).sort();

/** Fills the disk to the last page while `work` runs. */
async function whileFull<T>(work: () => Promise<T>): Promise<T> {
  const filler = join(disk, "filler");
  writeFileSync(filler, "");
  Bun.spawnSync(["dd", "if=/dev/zero", `of=${filler}`, "bs=4k"], { stderr: "ignore" });
  try {
    return await work();
  } finally {
    rmSync(filler);
  }
}

/** It fails on the small disk and leaves all as it was; on a larger one it works, and what it made is removed. */
async function expectRoomIsNeeded(args: readonly string[], made?: string): Promise<void> {
  const [before, content] = [free(), blobs()];
  const { stderr, code } = await engine.onggi(args, { timeout: 60_000 });
  expect([code === 0, /no space/i.test(stderr)]).toEqual([false, true]);
  expect(readdirSync(join(engine.root, "images/tmp"))).toEqual([]);
  expect(blobs()).toEqual(content);
  expect(Math.abs(free() - before)).toBeLessThan(MIB);
  await engine.ok(["system", "check"]);
  resize(100);
  try {
    await engine.ok(args, { timeout: 60_000 });
    if (made) await engine.ok(["rmi", made]);
    expect(blobs()).toEqual(content);
  } finally {
    resize(24);
  }
}

test("a pull and a load of several layers that do not fit, of which some do", async () => {
  const image = imageOf([200, 400, 8000].map((count) => Buffer.concat([...manyFiles(count, count)])));
  const archive = join(elsewhere, "image.tar");
  writeFileSync(archive, dockerArchive(image, ["large:1"]));
  const name = `${registry.domain}/large:1`;
  sh(["skopeo", "copy", "-q", "--dest-tls-verify=false", `docker-archive:${archive}`, `docker://${name}`]);
  await expectRoomIsNeeded(["pull", "-q", name], name);
  await expectRoomIsNeeded(["load", "-q", "-i", archive], "large:1");
}, 120_000);

test("a commit that does not fit: the container goes on", async () => {
  await engine.ok(["run", "-d", "--name", "full", "busybox", "sh", "-c", "head -c 13000000 /dev/urandom > /big; sleep 5000"]);
  await eventually("it has written", async () => (await engine.ok(["exec", "full", "stat", "-c", "%s", "/big"])) === "13000000");
  await expectRoomIsNeeded(["commit", "full", "big:1"], "big:1");
  expect((await engine.inspect("full")).State.Status).toBe("running");
  await engine.ok(["rm", "-f", "full"]);
}, 120_000);

test("pause and commit on a disk that is full to the last page: what fails leaves the container running", async () => {
  await engine.ok(["run", "-d", "--name", "still", "busybox", "sleep", "5000"]);
  await whileFull(async () => {
    const paused = await engine.onggi(["pause", "still"]);
    if (paused.code === 0) await engine.ok(["unpause", "still"]);
    else expect(paused.stderr).toMatch(/full|no space/i);
    expect((await engine.inspect("still")).State.Status).toBe("running");
    const committed = await engine.onggi(["commit", "still", "still:1"]);
    if (committed.code !== 0) expect(committed.stderr).toMatch(/no space/i);
    expect((await engine.inspect("still")).State.Status).toBe("running");
  });
  expect(await engine.ok(["exec", "still", "echo", "goes on"])).toBe("goes on");
  await engine.ok(["rm", "-f", "still"]);
  await engine.ok(["image", "prune", "-f"]);
});

test("a save that does not fit leaves no file", async () => {
  const folder = join(disk, "saved");
  mkdirSync(folder);
  const full = await whileFull(() => engine.onggi(["save", "-o", join(folder, "busybox.tar"), "busybox"]));
  expect([full.code === 0, /no space/i.test(full.stderr)]).toEqual([false, true]);
  expect(readdirSync(folder)).toEqual([]);
  await engine.ok(["save", "-o", join(folder, "busybox.tar"), "busybox"]);
  rmSync(folder, { recursive: true });
});

test("a push from a full disk works or tells why, and works when there is room", async () => {
  const name = `${registry.domain}/busybox:1`;
  await engine.ok(["tag", "busybox", name]);
  const full = await whileFull(() => engine.onggi(["push", "-q", name], { timeout: 60_000 }));
  if (full.code !== 0) expect(full.stderr).toMatch(/no space/i);
  const { stdout } = await engine.onggi(["push", name]);
  expect(stdout).toMatch(/digest: sha256:[0-9a-f]{64}/);
  await engine.ok(["rmi", name]);
  await engine.ok(["system", "check"]);
}, 60_000);

test("a full disk loses log lines, never holds the container, and removing things works on it", async () => {
  await engine.ok([
    "run",
    "-d",
    "--name",
    "loud",
    "busybox",
    "sh",
    "-c",
    "yes $(printf 'x%.0s' $(seq 1 500)) | head -c 40000000; exit 5",
  ]);
  expect(await engine.ok(["wait", "loud"], { timeout: 60_000 })).toBe("5");
  expect(free()).toBeLessThan(4 * MIB);
  await engine.ok(["rm", "loud"]);
  expect(free()).toBeGreaterThan(8 * MIB);
}, 120_000);

test("create on a full disk fails with the reason or works; afterwards nothing is half", async () => {
  const filler = join(disk, "filler");
  writeFileSync(filler, "");
  Bun.spawnSync(["dd", "if=/dev/zero", `of=${filler}`, "bs=64k"], { stderr: "ignore" });
  const created = await engine.onggi(["create", "--name", "tight", "busybox", "true"]);
  if (created.code !== 0) expect(created.stderr).toMatch(/ENOSPC|no space|full/i);
  rmSync(filler);
  expect(await engine.ok(["run", "--rm", "busybox", "echo", "again"])).toBe("again");
  if (created.code === 0) await engine.ok(["rm", "tight"]);
  const ids = (await engine.ok(["ps", "-aq", "--no-trunc"])).split("\n").filter(Boolean);
  expect(readdirSync(join(engine.root, "containers")).every((id) => ids.includes(id))).toBe(true);
  await engine.ok(["import", busyboxTar(), "small"]);
  await engine.ok(["rmi", "small"]);
});
