/** Volumes as a store: lists, what they take, export, import and clone, many at a time, and engines that follow one another. */
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { getxattr } from "../../src/sys/index.ts";
import { type Engine, eventually, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox, sh } from "../kit/images.ts";
import { unmountBelow } from "../kit/leaks.ts";
import { DATA, mountedVolumes, pathOfVolume, refusedBy, removeAll, volumeImage, volumesOf } from "../kit/volumes.ts";

let engine: Engine;
beforeAll(async () => {
  engine = startEngine();
  await bootstrapBusybox(engine);
  await volumeImage(engine, "data", ["VOLUME /data", "VOLUME /none"], DATA);
}, 120_000);
afterEach(() => removeAll(engine), 60_000);
afterAll(() => engine.close(), 60_000);

const run = (...args: string[]): Promise<string> => engine.ok(["run", "--rm", ...args]);
const refused = (...args: string[]): Promise<string> => refusedBy(engine, args);
const volumes = (): Promise<string[]> => volumesOf(engine);
const pathOf = (name: string): Promise<string> => pathOfVolume(engine, name);
const mounted = (): string[] => mountedVolumes(engine);
const directory = (name: string): string => {
  const path = join(realpathSync(engine.base), name);
  mkdirSync(path, { recursive: true });
  return path;
};

test("list, inspect and system df", async () => {
  await engine.ok(["volume", "create", "-l", "app=a", "-l", "plain", "one"]);
  await engine.ok(["volume", "create", "two"]);
  await engine.ok(["create", "--name", "c", "-v", "one:/v", "-v", "/anonymous", "busybox", "true"]);
  expect(await engine.ok(["volume", "ls", "-q", "-f", "label=app=a"])).toBe("one");
  expect(await engine.ok(["volume", "ls", "-q", "-f", "dangling=true"])).toBe("two");
  expect(await engine.ok(["volume", "ls", "--format", "{{.Name}} {{.Labels}} {{.Containers}}", "-f", "name=one"])).toBe(
    "one app=a,plain= c",
  );
  expect(await refused("volume", "ls", "-f", "colour=red")).toContain("no such filter: colour");
  const [volume] = JSON.parse(await engine.ok(["inspect", "one"])) as Record<string, unknown>[];
  expect(volume).toMatchObject({ Name: "one", Driver: "local", Scope: "local", Labels: { app: "a", plain: "" }, Options: {} });
  await run("-v", "one:/v", "busybox", "sh", "-c", "dd if=/dev/zero of=/v/f bs=1000 count=5");
  expect(await engine.ok(["system", "df", "--format", "{{.Type}} {{.TotalCount}} {{.Active}} {{.Size}}"])).toContain(
    "Local Volumes 3 2 5kB",
  );
  expect(await engine.ok(["system", "df", "-v"])).toMatch(/one +1 +5kB/);
  expect(
    await engine.ok(["events", "--until", "0s", "--since", "10m", "--filter", "volume=two", "--format", "{{.Action}}"]),
  ).toContain("create");
  await engine.ok(["rm", "c"]);
  expect(await engine.ok(["system", "prune", "-f", "--volumes"])).toContain("Deleted Volumes:");
  expect(await volumes()).toEqual(["one", "two"]);
});

test("export and import carry everything over; import is whole or not at all; clone", async () => {
  await engine.ok(["create", "--name", "maker", "-v", "from:/data", "data", "true"]);
  const archive = join(engine.base, "volume.tar");
  await engine.ok(["volume", "export", "-o", archive, "from"]);
  expect(await engine.ok(["volume", "import", "into", archive])).toBe("into");
  expect(await engine.ok(["volume", "clone", "-q", "from", "copy"])).toBe("copy");
  const listing = (path: string): string =>
    sh(["find", ".", "-printf", "%P %y %m %U:%G %s %n %T@ %l\\n"], { cwd: path }).split("\n").sort().join("\n");
  const original = listing(await pathOf("from"));
  expect(original).toContain("below/program f 4755 0:0 1 1");
  // the root of a tar says nothing of the directory that it is unpacked in
  const below = (text: string): string =>
    text
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith(" "))
      .join("\n");
  expect(below(listing(await pathOf("into")))).toBe(below(original));
  expect(listing(await pathOf("copy"))).toBe(original);
  expect(Buffer.from(getxattr(join(await pathOf("into"), "below/program"), "user.colour")!).toString()).toBe("celadon");

  expect(await refused("volume", "import", "into", archive)).toContain("is not empty");
  sh(["rm", join(await pathOf("into"), "file")]);
  await engine.ok(["volume", "import", "--merge", "into", archive]);
  expect(below(listing(await pathOf("into")))).toBe(below(original));
  const whole = readFileSync(archive);
  expect(await refused("volume", "import", "half", "-")).toContain("truncated, or no tar");
  const half = await engine.onggi(["volume", "import", "half", "-"], { stdin: new Uint8Array(whole.subarray(0, 1200)) });
  expect([half.code, half.stderr]).toEqual([1, expect.stringContaining("truncated")]);
  expect((await volumes()).filter((name) => name.length < 64)).toEqual(["copy", "from", "into"]);
  expect(await refused("volume", "clone", "from", "copy")).toContain("is there already");
});

test("many at the same time: a volume is filled once, and never removed from under a container", async () => {
  const calls = Array.from({ length: 24 }, (_, i) =>
    i % 4 === 3
      ? engine.onggi(["volume", "rm", "busy"])
      : engine.onggi([
          "run",
          "--rm",
          "-v",
          "busy:/data",
          "-v",
          "/own",
          "data",
          "sh",
          "-c",
          `cat /data/file; touch /own/${i}; ls /own`,
        ]),
  );
  for (const [i, { code, stdout, stderr }] of (await Promise.all(calls)).entries()) {
    if (i % 4 === 3) expect(code === 0 || /in use|no such volume/.test(stderr)).toBe(true);
    else expect([code, stdout, stderr]).toEqual([0, `from the image\n${i}\n`, ""]);
  }
  expect((await volumes()).filter((name) => name !== "busy")).toEqual([]);
}, 60_000);

test("on a file system that can share blocks a clone does", async () => {
  const disk = directory("xfs");
  sh(["truncate", "-s", "320M", `${disk}.img`]);
  sh(["mkfs.xfs", "-q", `${disk}.img`]);
  sh(["mount", "-o", "loop", `${disk}.img`, disk]);
  const there = startEngine({ base: directory("xfs/engine") });
  try {
    await there.ok(["volume", "create", "big"]);
    const path = await there.ok(["volume", "inspect", "-f", "{{.Mountpoint}}", "big"]);
    sh(["dd", "if=/dev/urandom", `of=${path}/file`, "bs=1M", "count=100", "status=none"]);
    for (const name of ["one", "two"]) {
      const { stderr, code } = await there.onggi(["volume", "clone", "big", name]);
      expect([code, stderr]).toEqual([0, expect.stringContaining("all of it shared")]);
      const copy = await there.ok(["volume", "inspect", "-f", "{{.Mountpoint}}", name]);
      sh(["cmp", `${path}/file`, `${copy}/file`]);
    }
  } finally {
    await there.close();
    sh(["umount", disk]);
  }
});

test("a subvolume of btrfs: what is beside it is not seen, and nothing stays mounted", async () => {
  const disk = directory("btrfs");
  sh(["truncate", "-s", "128M", `${disk}.img`]);
  sh(["mkfs.btrfs", "-q", `${disk}.img`]);
  sh(["mount", "-o", "loop", `${disk}.img`, disk]);
  try {
    sh(["btrfs", "-q", "subvolume", "create", `${disk}/a`]);
    sh(["sh", "-c", `echo inside > ${disk}/a/file; echo beside > ${disk}/other`]);
  } finally {
    sh(["umount", disk]);
  }
  const options = ["-o", "type=btrfs", "-o", `device=${disk}.img`, "-o", "o=subvol=a"];
  await engine.ok(["volume", "create", ...options, "sub"]);
  const script = "cat /data/file; ls /data; echo more > /data/more";
  expect(await engine.ok(["run", "--rm", "-v", "sub:/data", "busybox", "sh", "-c", script])).toBe("inside\nfile");
  expect(await engine.ok(["run", "--rm", "-v", "sub:/data", "busybox", "cat", "/data/more"])).toBe("more");
  await engine.ok(["volume", "create", "-o", "type=btrfs", "-o", `device=${disk}.img`, "-o", "o=subvol=none", "none"]);
  const { code, stderr } = await engine.onggi(["run", "--rm", "-v", "none:/data", "busybox", "true"]);
  expect(code).toBe(125);
  expect(stderr).toContain("none");
  await engine.ok(["volume", "rm", "sub", "none"]);
});

test("an engine that follows finds volumes mounted, and lets go of them when their users end", async () => {
  await engine.ok(["volume", "create", "-o", "type=tmpfs", "memory"]);
  await engine.ok(["volume", "create", "-o", "size=16m", "fixed"]);
  await engine.ok([
    "run",
    "-d",
    "--name",
    "lives",
    "-v",
    "memory:/m",
    "-v",
    "fixed:/f",
    "busybox",
    "sh",
    "-c",
    "echo 1 > /m/f; sleep 1000",
  ]);
  await engine.murder();
  expect(await run("-v", "memory:/m", "busybox", "cat", "/m/f")).toBe("1");
  expect(mounted().length).toBe(2);
  await engine.murder();
  process.kill((await engine.inspect("lives")).State.Pid, "SIGKILL");
  await eventually("both are unmounted", () => mounted().length === 0);
  // as after a reboot: containers that ran, nothing mounted
  await engine.ok(["start", "lives"]);
  const { State } = await engine.inspect("lives");
  const pid = await engine.pid();
  process.kill(pid, "SIGKILL");
  process.kill(State.Pid, "SIGKILL");
  await eventually("both are gone", () => !existsSync(`/proc/${State.Pid}`) && !existsSync(`/proc/${pid}/exe`));
  unmountBelow(join(engine.root, "volumes"));
  expect(await engine.ok(["start", "lives"])).toBe("lives");
  expect(mounted().length).toBe(2);
  await engine.ok(["rm", "-f", "lives"]);
  expect(mounted()).toEqual([]);
});
