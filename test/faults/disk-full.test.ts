/** The data root lies on a small tmpfs and fills up: in an import, and under a container that writes its log. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Engine, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox, busyboxTar, manyFilesTar, sh } from "../kit/images.ts";

const MIB = 1 << 20;
const disk = mkdtempSync(join(tmpdir(), "onggi-small-"));
let engine: Engine;
beforeAll(async () => {
  sh(["mount", "-t", "tmpfs", "-o", "size=24m,mode=755", "small", disk]);
  const base = join(disk, "engine");
  mkdirSync(base);
  engine = startEngine({ base });
  await bootstrapBusybox(engine);
}, 120_000);
afterAll(async () => {
  try {
    await engine.close();
  } finally {
    // Lazily and with what lies below: a test that failed may have left something there.
    sh(["umount", "-R", "-l", disk]);
    rmSync(disk, { recursive: true });
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
