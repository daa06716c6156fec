/** `image mount`: images at paths of the host, which outlive the engine and keep their images. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, realpathSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseMountinfo } from "../../src/sys/mountinfo.ts";
import { type Engine, gone, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox, sh } from "../kit/images.ts";

const ROUNDS = Math.max(3, Math.round(Number(process.env.ONGGI_ROUNDS ?? 100) / 5));

let engine: Engine;
beforeAll(async () => {
  engine = startEngine();
  await bootstrapBusybox(engine);
}, 120_000);
afterAll(() => engine.close(), 60_000);

const listed = async (): Promise<string[]> =>
  (await engine.ok(["image", "mount", "--format", "{{.Path}}"])).split("\n").filter(Boolean).sort();
/** What the kernel has mounted below the engine's directory. */
const mounted = (): string[] =>
  parseMountinfo(readFileSync("/proc/self/mountinfo", "utf8"))
    .map(({ mountPoint }) => mountPoint)
    .filter((path) => path.startsWith(`${realpathSync(engine.base)}/`) && !path.includes("/images/"))
    .sort();
const directory = (name: string): string => {
  const path = join(realpathSync(engine.base), name);
  mkdirSync(path);
  return path;
};

test("an image's files are there to be read, and nothing more", async () => {
  const path = await engine.ok(["image", "mount", "busybox"]);
  expect(mounted()).toEqual([path]);
  expect(readdirSync(path)).toContain("bin");
  expect(readFileSync(join(path, "etc/passwd"), "utf8")).toContain("root:x:0:0");
  expect(() => writeFileSync(join(path, "etc/passwd"), "")).toThrow("EROFS");
  const [mount] = parseMountinfo(readFileSync("/proc/self/mountinfo", "utf8")).filter(({ mountPoint }) => mountPoint === path);
  for (const option of ["ro", "nosuid", "nodev"]) expect(mount!.options).toContain(option);
  // Again is the same, and a path of one's own is another.
  expect(await engine.ok(["image", "mount", "busybox:latest"])).toBe(path);
  const mine = directory("mine");
  expect(await engine.ok(["image", "mount", "busybox", mine])).toBe(mine);
  expect(await listed()).toEqual([path, mine].sort());
  expect(await engine.ok(["image", "mount"])).toMatch(/^IMAGE +IMAGE ID +PATH\nbusybox:latest +[0-9a-f]{12} +\//);
  const id = await engine.ok(["images", "-q", "--no-trunc", "busybox"]);
  expect(await engine.ok(["image", "unmount", mine])).toBe(id);
  expect(readdirSync(mine)).toEqual([]);
  expect(await engine.ok(["image", "unmount", "busybox"])).toBe(id);
  expect(mounted()).toEqual([]);
  expect(() => statSync(path)).toThrow("ENOENT");
});

test("a mount keeps its image, also without a name, and an engine that follows finds it", async () => {
  const path = await engine.ok(["image", "mount", "busybox"]);
  const refused = await engine.onggi(["rmi", "busybox"]);
  expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining("is needed by a container or mount")]);
  await engine.ok(["rmi", "-f", "busybox"]);
  await engine.ok(["image", "prune", "-af"]);
  await engine.murder();
  expect(await listed()).toEqual([path]);
  expect(readFileSync(join(path, "etc/passwd"), "utf8")).toContain("root:x:0:0");
  const id = await engine.ok(["images", "-q", "--no-trunc"]);
  await engine.ok(["image", "unmount", id]);
  await engine.ok(["image", "prune", "-f"]);
  expect(await engine.ok(["images", "-q"])).toBe("");
  await bootstrapBusybox(engine);
});

test("what is wrong is told", async () => {
  const file = join(engine.base, "file");
  writeFileSync(file, "");
  const told = async (...args: string[]): Promise<string> => {
    const { code, stderr } = await engine.onggi(["image", ...args]);
    expect(code).toBe(1);
    return stderr;
  };
  expect(await told("mount", "busybox", file)).toContain("is no directory");
  expect(await told("mount", "busybox", `${file}s`)).toContain("ENOENT");
  expect(await told("mount", "nothing")).toContain("no such image: nothing");
  expect(await told("unmount", "busybox")).toContain("is not mounted");
  const path = await engine.ok(["image", "mount", "busybox"]);
  const user = Bun.spawn(["sleep", "60"], { cwd: path });
  try {
    expect(await told("unmount", "busybox")).toContain("is in use");
    expect(await listed()).toEqual([path]);
    await engine.ok(["image", "unmount", "--force", "busybox"]);
    expect(await listed()).toEqual([]);
  } finally {
    user.kill("SIGKILL");
    await user.exited;
  }
});

test("what somebody else unmounts is forgotten, and what he mounts over one is left alone", async () => {
  const [one, two] = [directory("one"), directory("two")];
  for (const path of [one, two]) await engine.ok(["image", "mount", "busybox", path]);
  sh(["umount", one]);
  sh(["mount", "-t", "tmpfs", "onggi-test", two]);
  try {
    const pid = await engine.pid();
    await engine.ok(["engine", "stop"]);
    await gone(pid);
    expect(await listed()).toEqual([two]);
    expect((await engine.onggi(["image", "unmount", two])).stderr).toContain("something else is mounted over");
  } finally {
    sh(["umount", two]);
  }
  await engine.ok(["image", "unmount", "--all"]);
  expect(mounted()).toEqual([]);
});

test("an engine killed while it mounts and unmounts leaves what it tells, and nothing else", async () => {
  const places = ["a", "b", "c"].map(directory);
  for (let round = 0; round < ROUNDS; round++) {
    const pid = await engine.pid();
    const calls = [
      ...places.map((path, i) => ["image", ...(round % 2 ? ["unmount"] : ["mount", "busybox"]), ...(i < 3 ? [path] : [])]),
      ["image", "mount", "busybox"],
      ["image", "unmount", "busybox"],
    ].map((args) => engine.onggi(args));
    await Bun.sleep((round * 7) % 25);
    process.kill(pid, "SIGKILL");
    await gone(pid);
    await Promise.all(calls);
    const told = await listed();
    expect(mounted()).toEqual(told);
    expect(readdirSync(join(engine.root, "mounts")).length).toBe(told.filter((path) => path.includes("/root/mounts/")).length);
  }
  await engine.ok(["image", "unmount", "--all"]);
  expect(mounted()).toEqual([]);
}, 120_000);
