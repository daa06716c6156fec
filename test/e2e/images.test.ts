import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { dockerUnavailable, startDocker } from "../kit/docker.ts";
import { type Engine, eventually, startEngine } from "../kit/engine.ts";
import {
  bootstrapBusybox,
  busyboxArchive,
  busyboxTar,
  debianTar,
  dockerArchive,
  LAYERED,
  manyFilesTar,
  ociArchive,
  sh,
  zerosTar,
} from "../kit/images.ts";
import { skipLoudly } from "../kit/skip.ts";
import { type TarEntry, tar } from "../kit/tar.ts";

let engine: Engine;
beforeAll(() => {
  engine = startEngine();
});
afterAll(() => engine.close(), 120_000);

/** Every file of the image store once nothing is being written, to see what an operation left. */
async function store(): Promise<string[]> {
  const directory = join(engine.root, "images");
  let files: string[] = [];
  await eventually("nothing is being written in the store", () => {
    files = readdirSync(directory, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && !/\.(db|sqlite)(-wal|-shm)?$|journal|-wal$|-shm$/.test(entry.name))
      .map((entry) => join(entry.parentPath, entry.name));
    return !files.some((file) => file.startsWith(join(directory, "tmp/")));
  });
  return files.sort();
}

describe("bootstrap", () => {
  test("busybox runs", async () => {
    await bootstrapBusybox(engine);
    expect(await engine.ok(["run", "--rm", "busybox", "echo", "hello"])).toBe("hello");
    expect(await engine.ok(["images", "--format", "{{.Repository}}:{{.Tag}}"])).toBe("busybox:latest");
  });

  test("what it does not know is an error that lists what it knows", async () => {
    const { stderr, code } = await engine.onggi(["image", "bootstrap", "plan9"]);
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/plan9[\s\S]*busybox[\s\S]*debian/);
  });
});

describe("import", () => {
  test("from a file and from standard input, with a name, a change and a message", async () => {
    const id = await engine.ok([
      "import",
      "--change",
      "ENV GLAZE=green",
      "--change",
      'CMD ["sh", "-c", "echo $GLAZE"]',
      busyboxTar(),
      "pot:1",
    ]);
    expect(id).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(await engine.ok(["run", "--rm", "pot:1"])).toBe("green");
    await engine.ok(["import", "-", "pot:2"], { stdin: new Uint8Array(readFileSync(busyboxTar())) });
    expect(await engine.ok(["run", "--rm", "pot:2", "echo", "two"])).toBe("two");
    await engine.ok(["rmi", "pot:1", "pot:2"]);
  });

  test("gzip and zstd are recognised by their first bytes", async () => {
    for (const [tool, name] of [
      ["gzip", "gz"],
      ["zstd", "zst"],
    ] as const) {
      const packed = Bun.spawnSync([tool, "-c", busyboxTar()]).stdout;
      await engine.ok(["import", "-", `packed:${name}`], { stdin: new Uint8Array(packed) });
      expect(await engine.ok(["run", "--rm", `packed:${name}`, "/bin/echo", name])).toBe(name);
      await engine.ok(["rmi", `packed:${name}`]);
    }
  });

  test("a Debian minbase: dpkg is happy, owners, modes and times are those of the tar", async () => {
    let file: string;
    try {
      file = debianTar();
    } catch (error) {
      skipLoudly(`Debian image: ${error instanceof Error ? error.message : error}`);
      return;
    }
    await engine.ok(["import", file, "debian:minbase"], { timeout: 120_000 });
    const { stdout, code } = await engine.onggi(
      ["run", "--rm", "debian:minbase", "sh", "-c", "dpkg --audit && cat /etc/os-release"],
      { timeout: 60_000 },
    );
    expect(code).toBe(0);
    expect(stdout).toContain("bookworm");
    const listing =
      "find / -xdev ! -path '/proc*' ! -path '/sys*' ! -path '/dev*' ! -path /etc/hostname ! -path /etc/hosts ! -path /etc/resolv.conf ! -path /etc ! -path / ! -path /etc/mtab ! -path /.dockerenv -printf '%P %y %m %U:%G %T@ %n %l\\n'";
    const inside = (
      await engine.ok(["run", "--rm", "debian:minbase", "sh", "-c", `${listing} | LC_ALL=C sort`], { timeout: 60_000 })
    ).split("\n");
    const tree = join(engine.base, "debian");
    sh(["sh", "-c", `mkdir ${tree} && tar --numeric-owner --xattrs -xpf ${file} -C ${tree}`]);
    const outside = sh(["chroot", tree, "sh", "-c", `${listing} | LC_ALL=C sort`])
      .trim()
      .split("\n");
    sh(["rm", "-rf", tree]);
    const interesting = (lines: string[]): string[] =>
      lines.map((line) => line.trimEnd()).filter((line) => !/^(etc\/(hostname|hosts|resolv\.conf)|dev|proc|sys)\b/.test(line));
    expect(interesting(inside)).toEqual(interesting(outside));
    await engine.ok(["rmi", "debian:minbase"]);
  }, 240_000);

  test("20,000 files are all there with their contents", async () => {
    await engine.ok(["import", manyFilesTar(), "many"], { timeout: 60_000 });
    const archive = join(engine.base, "check.tar");
    writeFileSync(archive, "");
    const wanted = sh([
      "sh",
      "-c",
      `mkdir ${engine.base}/many && tar -xf ${manyFilesTar()} -C ${engine.base}/many && cd ${engine.base}/many && find files -type f | LC_ALL=C sort | xargs sha256sum | sha256sum`,
    ]);
    // The image has no shell: busybox comes in by a bind mount.
    const command = ["run", "--rm", "-v", "/bin/busybox:/busybox:ro", "many", "/busybox", "sh", "-c"];
    const found = await engine.ok(
      [
        ...command,
        "/busybox find files -type f | LC_ALL=C /busybox sort | /busybox xargs /busybox sha256sum | /busybox sha256sum",
      ],
      { timeout: 120_000 },
    );
    expect(found).toBe(wanted.trim());
    sh(["rm", "-rf", `${engine.base}/many`]);
    await engine.ok(["rmi", "many"]);
  }, 240_000);
});

describe("load", () => {
  test.each([
    ["docker-archive by skopeo", dockerArchive],
    ["OCI archive by skopeo", ociArchive],
  ])("%s: layers merged, configuration honoured", async (_what, make) => {
    const output = await engine.ok(["load", "-i", make()]);
    expect(output).toContain("Loaded image: ");
    expect(output).toContain(LAYERED.name);
    expect(await engine.ok(["run", "--rm", LAYERED.name])).toBe(LAYERED.expected);
    expect(await engine.ok(["run", "--rm", LAYERED.name, "sh", "-c", "echo $COLOUR; id -u; pwd"])).toBe("celadon\n1000\n/srv");
    await engine.ok(["rmi", LAYERED.name]);
  });

  test("what docker save wrote, from standard input", async () => {
    const reason = dockerUnavailable() ?? (process.env.ONGGI_IN_VM ? "not in the VM" : null);
    if (reason) return skipLoudly(`docker save: ${reason}`);
    const docker = await startDocker();
    const file = join(engine.base, "saved.tar");
    try {
      docker.docker(["load", "-q", "-i", dockerArchive()]);
      docker.docker(["save", "-o", file, LAYERED.name]);
    } finally {
      await docker.stop();
    }
    await engine.ok(["load"], { stdin: new Uint8Array(readFileSync(file)) });
    expect(await engine.ok(["run", "--rm", LAYERED.name])).toBe(LAYERED.expected);
    await engine.ok(["rmi", LAYERED.name]);
  }, 90_000);

  test("an archive whose layer is not what its digest says is refused, and nothing of it stays", async () => {
    const before = await store();
    const bytes = new Uint8Array(readFileSync(busyboxArchive()));
    // Somewhere in the middle of the only layer: past the headers, inside busybox's own bytes.
    bytes[Math.floor(bytes.length / 2)]! ^= 0xff;
    const file = join(engine.base, "wrong.tar");
    writeFileSync(file, bytes);
    const { stderr, code } = await engine.onggi(["load", "-i", file]);
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/sha256:[0-9a-f]+/);
    expect(await store()).toEqual(before);
  });

  test("what is no archive is refused with a reason", async () => {
    const { stderr, code } = await engine.onggi(["load"], { stdin: "this is no tar archive at all".repeat(100) });
    expect(code).not.toBe(0);
    expect(stderr.length).toBeGreaterThan(10);
  });
});

describe("hostile root file systems", () => {
  const hello: TarEntry = { name: "fine", data: "fine\n" };
  const imported = async (entries: TarEntry[], end = true) =>
    engine.onggi(["import", "-", "hostile"], { stdin: tar(entries, end) });
  const cat = async (path: string) =>
    engine.onggi(["run", "--rm", "-v", "/bin/busybox:/busybox:ro", "hostile", "/busybox", "cat", path]);

  test("absolute names and .. stay inside, links out of the tree lead nowhere outside", async () => {
    writeFileSync(join(engine.base, "secret"), "secret\n");
    const { code } = await imported([
      hello,
      { name: "/abs", data: "inside\n" },
      { name: "a/../../../../up", data: "inside too\n" },
      { name: "out", type: "2", link: join(engine.base, "secret") },
      { name: "climb", type: "2", link: `${"../".repeat(12)}${engine.base.slice(1)}/secret` },
    ]);
    // Refusing the archive is as good as taming it.
    if (code !== 0) return;
    for (const path of ["/out", "/climb"]) expect((await cat(path)).stdout).not.toContain("secret");
    expect((await cat("/abs")).stdout).toBe("inside\n");
    await engine.ok(["rmi", "hostile"]);
  });

  test("a hard link to what is not in the archive is refused", async () => {
    const { code, stderr } = await imported([{ name: "shadow", type: "1", link: "/etc/shadow" }]);
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/shadow/);
  });

  test("duplicate entries: the last wins; a file and a directory of one name do not both exist", async () => {
    const { code } = await imported([
      { name: "twice", data: "1\n" },
      { name: "twice", data: "2\n" },
      { name: "x", data: "file" },
      { name: "x/", type: "5" },
      { name: "x/y", data: "y\n" },
    ]);
    expect(code).toBe(0);
    expect((await cat("/twice")).stdout).toBe("2\n");
    expect((await cat("/x/y")).stdout).toBe("y\n");
    await engine.ok(["rmi", "hostile"]);
  });

  test("names that are not UTF-8 keep their bytes", async () => {
    expect((await imported([{ name: new Uint8Array([0xe9, 0x74, 0xe9]), data: "summer\n" }])).code).toBe(0);
    const { stdout } = await engine.onggi([
      "run",
      "--rm",
      "-v",
      "/bin/busybox:/busybox:ro",
      "hostile",
      "/busybox",
      "sh",
      "-c",
      'for f in /*t*; do /busybox cat "$f" 2>/dev/null; done',
    ]);
    expect(stdout).toContain("summer");
    await engine.ok(["rmi", "hostile"]);
  });

  test("a device node in the image opens nothing", async () => {
    const { code } = await imported([
      hello,
      { name: "disk", type: "4", major: 254, minor: 0, mode: 0o666 },
      { name: "mem", type: "3", major: 1, minor: 1, mode: 0o666 },
    ]);
    if (code !== 0) return;
    for (const path of ["/disk", "/mem"]) expect((await cat(path)).code).not.toBe(0);
    await engine.ok(["rmi", "hostile"]);
  });

  test.each([
    ["in a header", () => tar([hello], false).slice(0, 300)],
    ["in a file's data", () => tar([{ name: "f", data: "x".repeat(5000) }], false).slice(0, 2000)],
    ["with a size far beyond the end", () => tar([{ name: "f", data: "x", size: 2 ** 33 - 1 }], false)],
  ])("an archive cut off %s is refused and leaves nothing", async (_where, make) => {
    const before = await store();
    expect((await engine.onggi(["import", "-", "cut"], { stdin: make() })).code).not.toBe(0);
    expect(await store()).toEqual(before);
    expect(await engine.ok(["images", "-q", "cut"])).toBe("");
  });

  test("10 GiB of zeros in 10 MB are refused or held without 10 GiB of disk", async () => {
    const { code } = await engine.onggi(["import", zerosTar(), "bomb"], { timeout: 180_000 });
    const used = Number(sh(["du", "-sk", engine.root]).split("\t")[0]);
    expect(used).toBeLessThan(code === 0 ? 2 << 20 : 1 << 20);
    if (code === 0) await engine.ok(["rmi", "bomb"]);
  }, 240_000);
});

describe("rmi", () => {
  test("the last name deletes the layers, an image in use is kept", async () => {
    await engine.ok(["import", busyboxTar(), "gone:1"]);
    await engine.ok(["create", "--name", "user", "gone:1", "true"]);
    const refused = await engine.onggi(["rmi", "gone:1"]);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(/user|in use|container/);
    await engine.ok(["rm", "user"]);
    const output = await engine.ok(["rmi", "gone:1"]);
    expect(output).toMatch(/Untagged: gone:1[\s\S]*Deleted: sha256:/);
    expect((await engine.onggi(["run", "--rm", "gone:1", "true"])).code).toBe(125);
    expect((await engine.onggi(["rmi", "gone:1"])).code).toBe(1);
  });

  test("when every image is removed the store is empty", async () => {
    for (const id of new Set((await engine.ok(["images", "-q", "--no-trunc"])).split("\n").filter(Boolean)))
      await engine.ok(["rmi", "-f", id]);
    const bytes = (await store()).reduce((sum, file) => sum + statSync(file).size, 0);
    expect(bytes).toBeLessThan(64 * 1024);
  });
});
