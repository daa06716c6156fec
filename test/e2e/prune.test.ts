/** `container prune`, `image prune`, `system prune`: what goes, what stays, what is asked and what is told. */
import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { join } from "node:path";
import { bytesBelow } from "../../src/lib/disk.ts";
import { decimalSize } from "../../src/lib/units.ts";
import { type Engine, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";
import { tar } from "../kit/tar.ts";

let engine: Engine;
beforeAll(async () => {
  engine = startEngine();
}, 120_000);
beforeEach(async () => {
  await engine.ok(["system", "prune", "-af"]);
  await bootstrapBusybox(engine);
}, 60_000);
afterAll(() => engine.close(), 60_000);

const names = async (): Promise<string[]> =>
  (await engine.ok(["ps", "-a", "--format", "{{.Names}}"])).split("\n").filter(Boolean).sort();
const images = async (): Promise<string[]> =>
  (await engine.ok(["images", "--format", "{{.Repository}}"])).split("\n").filter(Boolean).sort();
/** Bytes of everything that images and containers have. */
const onDisk = (): number =>
  ["images/blobs", "images/index", "images/trees", "containers", "trash"].reduce(
    (sum, path) => sum + bytesBelow(join(engine.root, path)),
    0,
  );
const importImage = (name: string, ...flags: string[]): Promise<string> =>
  engine.ok(["import", "-q", ...flags, "-", name], {
    stdin: Buffer.from(tar([{ name: "data", data: name.repeat(10_000) }])).toString("latin1"),
  });

test("container prune removes what does not run, by label and age", async () => {
  await engine.ok(["run", "-d", "--name", "runs", "busybox", "sleep", "1000"]);
  await engine.ok(["create", "--name", "waits", "-l", "keep=yes", "busybox", "true"]);
  await engine.ok([
    "run",
    "--name",
    "wrote",
    "-l",
    "keep=no",
    "busybox",
    "sh",
    "-c",
    "head -c 3000000 /dev/zero > /file; echo done",
  ]);
  const prune = (...flags: string[]): Promise<string> => engine.ok(["container", "prune", "-f", ...flags]);
  expect(await prune("--filter", "until=1h")).toBe("Total reclaimed space: 0B");
  expect(await prune("--filter", "label=keep=maybe")).toBe("Total reclaimed space: 0B");
  expect((await engine.onggi(["container", "prune", "-f", "--filter", "colour=red"])).stderr).toContain("no such filter: colour");
  const before = onDisk();
  const id = await engine.ok(["inspect", "-f", "{{.Id}}", "wrote"]);
  const told = await prune("--filter", "label!=keep=yes");
  expect(told).toBe(`Deleted Containers:\n${id}\n\nTotal reclaimed space: ${decimalSize(before - onDisk())}`);
  expect(before - onDisk()).toBeGreaterThan(3_000_000);
  expect(await names()).toEqual(["runs", "waits"]);
  expect(await prune()).toContain("Deleted Containers:");
  expect(await names()).toEqual(["runs"]);
  await engine.ok(["rm", "-f", "runs"]);
});

test("image prune tells the bytes that went, and leaves what others share", async () => {
  await importImage("one", "-c", "LABEL team=a");
  await engine.ok(["create", "--name", "user", "busybox", "true"]);
  await importImage("two");
  await engine.ok(["commit", "user", "three"]);
  expect(await engine.ok(["image", "prune", "-f"])).toBe("Total reclaimed space: 0B");
  expect(await engine.ok(["image", "prune", "-af", "--filter", "label=team=b"])).toBe("Total reclaimed space: 0B");
  let before = onDisk();
  expect(await engine.ok(["image", "prune", "-af", "--filter", "label=team"])).toEndWith(
    `Total reclaimed space: ${decimalSize(before - onDisk())}`,
  );
  expect(before - onDisk()).toBeGreaterThan(30_000);
  // "three" lies over busybox's layer, which a container needs.
  before = onDisk();
  expect(await engine.ok(["image", "prune", "-af"])).toEndWith(`Total reclaimed space: ${decimalSize(before - onDisk())}`);
  expect(await images()).toEqual(["busybox"]);
  await engine.ok(["rm", "user"]);
});

test("system prune removes containers first, then their images", async () => {
  await importImage("dangling");
  await importImage("dangling");
  await engine.ok(["tag", "busybox", "spare"]);
  await engine.ok(["create", "busybox", "true"]);
  const asked = await engine.onggi(["system", "prune", "--filter", "until=0s"], { stdin: "y\n" });
  expect([asked.code, asked.stderr]).toEqual([0, ""]);
  expect(asked.stdout).toStartWith(
    "WARNING! This will remove:\n  - all stopped containers\n  - all networks not used by at least one container\n  - all dangling images\n\n  Items to be pruned will be filtered with:\n  - until=0s\n\nAre you sure you want to continue? [y/N] Deleted Containers:\n",
  );
  expect(asked.stdout).toMatch(/\nDeleted Images:\ndeleted: sha256:[0-9a-f]{64}\n\nTotal reclaimed space: \d/);
  expect(await images()).toEqual(["busybox", "dangling", "spare"]);
  const before = onDisk();
  expect(await engine.ok(["system", "prune", "-af"])).toEndWith(`Total reclaimed space: ${decimalSize(before)}`);
  expect([await images(), onDisk()]).toEqual([[], 0]);
});

test("no is no, and nobody is an error", async () => {
  await engine.ok(["create", "--name", "stays", "busybox", "true"]);
  for (const command of ["container", "image", "system"]) {
    const no = await engine.onggi([command, "prune"], { stdin: "n\n" });
    expect([no.code, no.stderr]).toEqual([0, ""]);
    expect(no.stdout).not.toContain("Total");
    const nobody = await engine.onggi([command, "prune"], { stdin: "" });
    expect([nobody.code, nobody.stderr]).toEqual([125, "onggi: nobody is there to be asked: use --force\n"]);
  }
  expect(await names()).toEqual(["stays"]);
});

test("images are listed by what Docker's filters say", async () => {
  await importImage("reg.example/team/app:1");
  await Bun.sleep(1100);
  await importImage("reg.example/team/app:2");
  await importImage("unnamed");
  const id = await engine.ok(["images", "-q", "unnamed"]);
  await engine.ok(["tag", "reg.example/team/app:2", "unnamed"]);
  const list = async (...filters: string[]): Promise<string[]> =>
    (await engine.ok(["images", "--format", "{{.Repository}}:{{.Tag}}", ...filters.flatMap((filter) => ["-f", filter])]))
      .split("\n")
      .filter(Boolean)
      .sort();
  expect(await list("dangling=true")).toEqual(["<none>:<none>"]);
  expect(await engine.ok(["images", "-qf", "dangling=1"])).toBe(id);
  expect(await list("dangling=false", "reference=*")).toEqual(["busybox:latest", "unnamed:latest"]);
  // "*" does not go across "/".
  expect(await list("reference=*/*/app")).toEqual(["reg.example/team/app:1", "reg.example/team/app:2"]);
  expect(await list("reference=*/app:*")).toEqual([]);
  expect(await list("reference=reg.example/team/app:[2-9]", "reference=docker.io/library/busy*")).toEqual([
    "busybox:latest",
    "reg.example/team/app:2",
  ]);
  expect(await list("before=reg.example/team/app:2", "reference=*/*/*")).toEqual(["reg.example/team/app:1"]);
  expect(await list("since=reg.example/team/app:1", "reference=*/*/*")).toEqual(["reg.example/team/app:2"]);
  expect(await list("until=1h", "reference=*/*/*")).toEqual([]);
  const wrong = async (filter: string): Promise<string> => (await engine.onggi(["images", "-f", filter])).stderr;
  expect(await wrong("dangling=maybe")).toContain("neither true nor false");
  expect(await wrong("until=soon")).toContain("neither a moment nor a duration");
});
