/** Volumes: every way to ask for them, what containers see in them, what outlives whom, and what is refused. */
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { getxattr } from "../../src/sys/index.ts";
import { type Engine, eventually, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox, sh } from "../kit/images.ts";
import { loopsBelow, unmountBelow } from "../kit/leaks.ts";
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
interface Mount {
  readonly Type: string;
  readonly Name?: string;
  readonly Source: string;
  readonly Destination: string;
  readonly RW: boolean;
}
const mountsOf = async (container: string): Promise<Mount[]> => (await engine.inspect(container)).Mounts as unknown as Mount[];

test("named volumes keep what containers write, for the next one", async () => {
  await run("-v", "kept:/v", "busybox", "sh", "-c", "echo one > /v/file");
  expect(await run("-v", "kept:/elsewhere:ro", "busybox", "cat", "/elsewhere/file")).toBe("one");
  expect(await refused("run", "--rm", "-v", "kept:/v:ro", "busybox", "touch", "/v/other")).toContain("Read-only file system");
  expect(await run("--mount", "src=kept,dst=/v,readonly", "--userns", "host", "busybox", "cat", "/v/file")).toBe("one");
  expect(readFileSync(join(await pathOf("kept"), "file"), "utf8")).toBe("one\n");
  expect(await volumes()).toEqual(["kept"]);
});

test("containers with user namespaces of their own share a volume, and the disk has the ids they see", async () => {
  await engine.ok(["run", "-d", "--name", "a", "-v", "shared:/v", "busybox", "sleep", "1000"]);
  await engine.ok(["run", "-d", "--name", "b", "-v", "shared:/v", "busybox", "sleep", "1000"]);
  const [a, b] = await Promise.all(["a", "b"].map((name) => engine.inspect(name)));
  const ids = [a, b].map((one) => (one!.Onggi as { IdMap: { HostId: number } }).IdMap.HostId);
  expect(ids[0]).not.toBe(ids[1]);
  await engine.ok(["exec", "a", "sh", "-c", "echo x > /v/root; echo x > /v/user; chown 1000:1001 /v/user"]);
  expect(await engine.ok(["exec", "b", "stat", "-c", "%u:%g %n", "/v/root", "/v/user"])).toBe("0:0 /v/root\n1000:1001 /v/user");
  await engine.ok(["exec", "b", "sh", "-c", "echo y >> /v/root; chown 0:0 /v/user"]);
  const path = await pathOf("shared");
  expect([statSync(join(path, "root")).uid, statSync(join(path, "user")).uid]).toEqual([0, 0]);
});

test("-v makes a missing directory of the host, --mount does not", async () => {
  const missing = join(engine.base, "missing/deep");
  expect(await refused("run", "--rm", "--mount", `type=bind,src=${missing},dst=/x`, "busybox", "true")).toContain(missing);
  expect(existsSync(missing)).toBe(false);
  await run("-v", `${missing}:/x`, "busybox", "touch", "/x/file");
  expect(readdirSync(missing)).toEqual(["file"]);
  await run("--mount", `type=bind,src=${missing}2,dst=/x,bind-create-src`, "busybox", "true");
  expect(existsSync(`${missing}2`)).toBe(true);
});

test("an empty volume gets what the image has there, with all it has besides content, once", async () => {
  await engine.ok(["create", "--name", "first", "-v", "filled:/data", "data", "true"]);
  const path = await pathOf("filled");
  const stat = (name: string) => statSync(join(path, name));
  expect(readdirSync(path).sort()).toEqual(["below", "file", "link", "same"]);
  expect([stat(".").mode & 0o7777, stat(".").uid, stat(".").gid]).toEqual([0o750, 70, 71]);
  expect([stat("file").mode & 0o7777, stat("file").uid, stat("file").mtimeMs]).toEqual([0o640, 70, 1.6e12]);
  expect([stat("file").ino, stat("file").nlink]).toEqual([stat("same").ino, 2]);
  expect(stat("below/program").mode & 0o7777).toBe(0o4755);
  expect(stat("below").mode & 0o7777).toBe(0o1777);
  expect(stat("below/fifo").isFIFO()).toBe(true);
  expect(Buffer.from(getxattr(join(path, "below/program"), "user.colour")!).toString()).toBe("celadon");
  expect(await run("-v", "filled:/data", "data", "sh", "-c", "stat -c %u:%g /data/file; rm /data/file; ls /data")).toBe(
    "70:71\nbelow\nlink\nsame",
  );
  // what is not empty is left as it is
  expect(await run("-v", "filled:/data", "data", "ls", "/data")).toBe("below\nlink\nsame");
  expect(await run("-v", "bare:/data:nocopy", "data", "ls", "/data")).toBe("");
  expect(await run("-v", "bare:/bin/below", "data", "ls", "/bin/below")).toBe("");
  // another container runs with it empty: it sees the files come
  await engine.ok(["run", "-d", "--name", "sees", "-v", "late:/x:nocopy", "data", "sleep", "1000"]);
  await engine.ok(["create", "-v", "late:/data", "data", "true"]);
  expect(await engine.ok(["exec", "sees", "sh", "-c", "cat /x/file; stat -c %a:%u /x"])).toBe("from the image\n750:70");
});

test("a VOLUME of the image is an anonymous volume, which goes with rm -v and --rm and stays otherwise", async () => {
  expect(await run("data", "cat", "/data/file")).toBe("from the image");
  expect(await volumes()).toEqual([]);
  await engine.ok(["run", "--name", "one", "data", "sh", "-c", "echo mine > /data/own"]);
  const mounts = await mountsOf("one");
  expect(mounts.map(({ Type, Destination, RW }) => [Type, Destination, RW])).toEqual([
    ["volume", "/data", true],
    ["volume", "/none", true],
  ]);
  expect(mounts.every(({ Name }) => /^[0-9a-f]{64}$/.test(Name!))).toBe(true);
  expect(mounts[0]!.Source).toBe(await pathOf(mounts[0]!.Name!));
  await engine.ok(["start", "-a", "one"]);
  expect(await volumes()).toEqual(mounts.map(({ Name }) => Name!).sort());
  await engine.ok(["rm", "one"]);
  expect((await volumes()).length).toBe(2);
  await engine.murder();
  // they belong to nobody any more, and stay
  expect((await volumes()).length).toBe(2);
  await engine.ok(["run", "-d", "--name", "two", "data", "sleep", "1000"]);
  expect((await volumes()).length).toBe(4);
  await engine.ok(["rm", "-fv", "two"]);
  expect((await volumes()).length).toBe(2);
  await engine.ok(["volume", "create", "named"]);
  expect(await engine.ok(["volume", "prune", "-f"])).toMatch(
    /^Deleted Volumes:\n[0-9a-f]{64}\n[0-9a-f]{64}\n\nTotal reclaimed space: /,
  );
  expect(await volumes()).toEqual(["named"]);
  expect(await engine.ok(["volume", "prune", "-af", "--filter", "label=no"])).toContain("0B");
  await engine.ok(["volume", "prune", "-af"]);
  expect(await volumes()).toEqual([]);
  // what is asked for at its place is instead of it
  await engine.ok(["create", "--name", "three", "-v", "mine:/data", "--tmpfs", "/none", "data", "true"]);
  expect(await volumes()).toEqual(["mine"]);
});

test("--volumes-from: the same volumes and binds, read-only if asked", async () => {
  const host = directory("from");
  writeFileSync(join(host, "h"), "host");
  await engine.ok([
    "run",
    "-d",
    "--name",
    "source",
    "-v",
    "vol:/v",
    "-v",
    `${host}:/h:ro`,
    "data",
    "sh",
    "-c",
    "echo s > /v/s; sleep 1000",
  ]);
  expect(await run("--volumes-from", "source", "busybox", "sh", "-c", "cat /v/s /h/h /data/file; echo t > /v/t")).toBe(
    "s\nhostfrom the image",
  );
  expect(await engine.ok(["exec", "source", "cat", "/v/t"])).toBe("t");
  expect(await refused("run", "--rm", "--volumes-from", "source:ro", "busybox", "touch", "/v/x")).toContain("Read-only");
  expect(await refused("run", "--rm", "--volumes-from", "source", "busybox", "touch", "/h/x")).toContain("Read-only");
  expect(await refused("run", "--rm", "--volumes-from", "nobody", "busybox", "true")).toContain("no such container: nobody");
  // an anonymous volume that another container has too outlives its own
  await engine.ok(["create", "--name", "heir", "--volumes-from", "source", "busybox", "cat", "/data/file"]);
  await engine.ok(["rm", "-fv", "source"]);
  expect(await engine.ok(["start", "-a", "heir"])).toBe("from the image");
  await engine.ok(["rm", "-v", "heir"]);
  expect(await volumes()).toEqual(["vol"]);
});

test("read-only is so all the way down, unless it is not to be", async () => {
  const host = directory("deep");
  directory("deep/below");
  sh(["mount", "-t", "tmpfs", "onggi-test", join(host, "below")]);
  writeFileSync(join(host, "below/file"), "");
  const touch = (options: string): Promise<string> =>
    run(
      "--mount",
      `type=bind,src=${host},dst=/d,${options}`,
      "busybox",
      "sh",
      "-c",
      "ls /d/below; touch /d/x /d/below/y 2>&1; true",
    );
  try {
    expect(await touch("ro")).toBe("file\ntouch: /d/x: Read-only file system\ntouch: /d/below/y: Read-only file system");
    expect(await touch("ro,bind-recursive=writable")).toBe("file\ntouch: /d/x: Read-only file system");
    expect(await touch("ro,bind-recursive=readonly")).toContain("touch: /d/below/y: Read-only file system");
    expect(await touch("ro,bind-recursive=disabled")).toBe(
      "touch: /d/x: Read-only file system\ntouch: /d/below/y: Read-only file system",
    );
  } finally {
    unmountBelow(host);
  }
});

test("mounts made on the host later come through where that is asked for", async () => {
  const host = directory("propagation");
  sh(["mount", "-t", "tmpfs", "onggi-test", host]);
  try {
    sh(["mount", "--make-shared", host]);
    mkdirSync(join(host, "later"));
    await engine.ok(["run", "-d", "--name", "slave", "-v", `${host}:/h:rslave`, "busybox", "sleep", "1000"]);
    await engine.ok(["run", "-d", "--name", "private", "-v", `${host}:/h`, "busybox", "sleep", "1000"]);
    sh(["mount", "-t", "tmpfs", "onggi-test", join(host, "later")]);
    writeFileSync(join(host, "later/file"), "");
    expect(await engine.ok(["exec", "slave", "ls", "/h/later"])).toBe("file");
    expect(await engine.ok(["exec", "private", "ls", "/h/later"])).toBe("");
    expect((await mountsOf("slave"))[0]).toMatchObject({ Type: "bind", Source: host, Propagation: "rslave" } as object);
  } finally {
    unmountBelow(engine.base);
  }
});

test("parts of volumes and of images, and images as mounts", async () => {
  await run(
    "-v",
    "parts:/v",
    "busybox",
    "sh",
    "-c",
    "mkdir -p /v/a/b; echo deep > /v/a/b/f; ln -s a/b /v/in; ln -s / /v/out; mkdir -p /v/etc",
  );
  const part = (subpath: string, ...command: string[]): Promise<string> =>
    run("--mount", `src=parts,dst=/p,volume-subpath=${subpath}`, "busybox", ...command);
  expect(await part("a/b", "cat", "/p/f")).toBe("deep");
  expect(await part("a/b/f", "cat", "/p")).toBe("deep");
  expect(await part("in", "ls", "/p")).toBe("f");
  // a link that leads out leads to the volume's own root
  expect(await part("out", "ls", "/p")).toBe("a\netc\nin\nout");
  expect(await part("out/etc", "ls", "/p")).toBe("");
  for (const bad of ["../x", "/a", "a/../../x"])
    expect(await refused("run", "--rm", "--mount", `src=parts,dst=/p,volume-subpath=${bad}`, "busybox", "true")).toContain(
      "subpath",
    );
  expect(await refused("run", "--rm", "--mount", "src=parts,dst=/p,volume-subpath=nothing", "busybox", "true")).toContain(
    "nothing of volume",
  );

  await volumeImage(engine, "other", [], DATA);
  expect(
    await run("--mount", "type=image,src=other,dst=/i", "busybox", "sh", "-c", "cat /i/data/file; stat -c %u:%a /i/data/file"),
  ).toBe("from the image\n70:640");
  expect(await run("--mount", "type=image,src=other,dst=/i,image-subpath=data/below", "busybox", "ls", "/i")).toBe(
    "fifo\nprogram",
  );
  expect(await refused("run", "--rm", "--mount", "type=image,src=other,dst=/i", "busybox", "touch", "/i/x")).toContain(
    "Read-only",
  );
  await engine.ok(["create", "--name", "holds", "--mount", "type=image,src=other,dst=/i", "busybox", "cat", "/i/data/file"]);
  expect(await refused("rmi", "other")).toContain("is needed by a container");
  await engine.ok(["rmi", "-f", "other"]);
  await engine.ok(["image", "prune", "-f"]);
  expect(await engine.ok(["start", "-a", "holds"])).toBe("from the image");
  // nothing of what was passed open is in reach
  const fds = await run(
    "--mount",
    "type=image,src=busybox,dst=/i",
    "--mount",
    "src=parts,dst=/p,volume-subpath=a",
    "busybox",
    "ls",
    "/proc/self/fd",
  );
  expect(fds).toBe("0\n1\n2\n3");
});

test("a volume of fixed size holds no more, and is mounted only while it is used", async () => {
  await engine.ok(["volume", "create", "-o", "size=16m", "fixed"]);
  expect(mounted()).toEqual([]);
  await engine.ok(["run", "-d", "--name", "user", "-v", "fixed:/f", "busybox", "sleep", "1000"]);
  expect(mounted()).toEqual([await pathOf("fixed")]);
  expect(await refused("exec", "user", "dd", "if=/dev/zero", "of=/f/big", "bs=1M", "count=32")).toContain("No space left");
  expect(await engine.ok(["exec", "user", "sh", "-c", "rm /f/big; echo kept > /f/small; ls /f"])).toBe("small");
  // a second user, and the first one's end
  expect(await run("-v", "fixed:/g", "busybox", "cat", "/g/small")).toBe("kept");
  expect(mounted().length).toBe(1);
  await engine.ok(["rm", "-f", "user"]);
  expect(mounted()).toEqual([]);
  await eventually("the loop device is free", () =>
    loopsBelow(realpathSync(engine.base)).every((line) => !line.includes("/volumes/")),
  );
  expect(await run("-v", "fixed:/g", "busybox", "cat", "/g/small")).toBe("kept");
  // unmounted and mounted again at once: what the last one wrote is there
  for (let turn = 0; turn < 10; turn += 1)
    expect(await run("-v", "fixed:/g", "busybox", "sh", "-c", `cat /g/turns 2>/dev/null | wc -l; echo ${turn} >> /g/turns`)).toBe(
      `${turn}`,
    );
  const tooSmall = await refused("volume", "create", "-o", "size=1k", "never");
  expect(tooSmall).toContain("needs 1m at least");
  expect(await volumes()).toEqual(["fixed"]);
});

test("the local driver mounts memory, directories and image files", async () => {
  await engine.ok(["volume", "create", "-o", "type=tmpfs", "-o", "o=size=1m,mode=1777", "memory"]);
  await engine.ok(["run", "-d", "--name", "one", "-v", "memory:/m", "busybox", "sh", "-c", "echo 1 > /m/f; sleep 1000"]);
  await eventually("it has written", async () => (await engine.ok(["exec", "one", "cat", "/m/f"])) === "1");
  expect(await run("-v", "memory:/n", "busybox", "sh", "-c", "cat /n/f; stat -c %a /n")).toBe("1\n1777");
  expect(await refused("exec", "one", "dd", "if=/dev/zero", "of=/m/big", "bs=1M", "count=2")).toContain("No space left");
  await engine.ok(["rm", "-f", "one"]);
  expect(mounted()).toEqual([]);
  expect(await run("-v", "memory:/n", "busybox", "ls", "/n")).toBe("");

  const host = directory("elsewhere");
  await engine.ok(["volume", "create", "-o", "type=none", "-o", "o=bind", "-o", `device=${host}`, "bound"]);
  await run("-v", "bound:/b", "busybox", "touch", "/b/here");
  expect(readdirSync(host)).toEqual(["here"]);
  await engine.ok(["volume", "rm", "bound"]);
  expect(readdirSync(host)).toEqual(["here"]);

  const image = join(host, "image");
  sh(["truncate", "-s", "16M", image]);
  sh(["mke2fs", "-q", "-t", "ext4", image]);
  await run("--mount", `src=file,dst=/e,volume-opt=type=ext4,volume-opt=device=${image}`, "busybox", "touch", "/e/in");
  expect(await run("-v", "file:/e", "busybox", "ls", "/e")).toBe("in\nlost+found");
  await eventually("no loop device is left", () =>
    loopsBelow(realpathSync(engine.base)).every((line) => !line.includes("/elsewhere/")),
  );

  await engine.ok(["volume", "create", "-o", "type=ext4", "-o", "device=/no/such/device", "broken"]);
  expect(await refused("run", "--rm", "-v", "broken:/x", "busybox", "true")).toContain("cannot mount /no/such/device");
  expect(await refused("volume", "create", "-o", "type=tmpfs", "bound2", "extra")).toContain("at most 1 argument");
  expect(await refused("volume", "create", "-o", "colour=red", "bound2")).toContain("known are type, o, device, size");
  expect(await refused("volume", "create", "-o", "size=2m", "memory")).toContain("is there with other options");
  expect(await engine.ok(["volume", "create", "memory"])).toBe("memory");
});

test("a file system without id-mapped mounts costs the container its user namespace, and says so", async () => {
  const [lower, upper, work, merged] = ["lower", "upper", "work", "merged"].map((name) => directory(`overlay/${name}`));
  sh(["mount", "-t", "overlay", "onggi-test", "-o", `lowerdir=${lower},upperdir=${upper},workdir=${work}`, merged!]);
  try {
    const run_ = (...flags: string[]): string[] => ["run", "--rm", ...flags, "-v", `${merged}:/o`, "busybox", "touch", "/o/file"];
    await engine.ok(["create", "--name", "overlay", "-v", `${merged}:/o`, "busybox", "touch", "/o/file"]);
    const { Onggi } = (await engine.inspect("overlay")) as unknown as { Onggi: { Isolation: object } };
    expect(Onggi.Isolation).toEqual({
      UserNamespace: false,
      Reason: `${merged} for /o lies on overlay, which has no id-mapped mounts`,
    });
    await engine.ok(["start", "-a", "overlay"]);
    expect(statSync(join(merged!, "file")).uid).toBe(0);
    expect(await refused(...run_("--userns", "private"))).toContain("lies on overlay, which has no id-mapped mounts");
    await engine.ok(["rm", "overlay"]);
  } finally {
    unmountBelow(engine.base);
  }
});

test("a volume in use is not removed, and what is wrong is told", async () => {
  await engine.ok(["create", "--name", "has", "-v", "used:/v", "busybox", "true"]);
  expect(await refused("volume", "rm", "used")).toContain("volume used is in use by has");
  expect(await engine.ok(["volume", "prune", "-af"])).toContain("0B");
  expect(await refused("volume", "rm", "nothing")).toContain("no such volume: nothing");
  expect(await engine.ok(["volume", "rm", "-f", "nothing"])).toBe("nothing");
  expect(await refused("volume", "create", "../x")).toContain("two to 255 letters");
  expect(await refused("run", "--rm", "-v", "a:/x", "-v", "b:/x", "busybox", "true")).toContain("is asked for twice");
  expect(await refused("run", "--rm", "-v", "ok:/x", "-v", "x:/y", "busybox", "true")).toContain("volume name");
  // what was made for a container that could not be made is gone
  expect(await volumes()).toEqual(["used"]);
  // something is mounted in it: deleting would delete there
  const below = join(await pathOf("used"), "below");
  mkdirSync(below);
  await engine.ok(["rm", "has"]);
  sh(["mount", "-t", "tmpfs", "onggi-test", below]);
  writeFileSync(join(below, "precious"), "");
  try {
    expect(await refused("volume", "rm", "used")).toContain("something is mounted on");
    expect(existsSync(join(below, "precious"))).toBe(true);
  } finally {
    sh(["umount", below]);
  }
});
