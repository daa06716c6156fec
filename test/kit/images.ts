/**
 * Real images for tests, each made once and kept in build/cache/test: a root file system tar of the host's busybox, a Debian
 * minbase, a layer of many small files, and one three-layer image in the forms that skopeo and docker save write.
 */
import {
  chmodSync,
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { unpackPackages } from "../vm/apt.ts";
import { type Engine, repository } from "./engine.ts";
import { manyFiles, type TarEntry, tar } from "./tar.ts";

const cache = join(repository, "build/cache/test");

/** Gives an engine the image `busybox:latest`, as a user would. */
export async function bootstrapBusybox(engine: Engine): Promise<void> {
  await engine.ok(["image", "bootstrap", "busybox"], { timeout: 60_000 });
}

/** Root file system with busybox, its links, /etc/passwd, group and an empty /tmp. */
export function busyboxTar(): string {
  return cached("busybox.tar", (file) => {
    const tree = `${file}.tree`;
    makeBusyboxTree(tree);
    sh(["tar", "--numeric-owner", "--sort=name", "--mtime=@1700000000", "-C", tree, "-cf", file, "."]);
    rmSync(tree, { recursive: true });
  });
}

/** The same with Debian's busybox of another architecture ("arm64", "i386"), from Debian's mirror. */
export function foreignBusyboxTar(architecture: string): string {
  return cached(`busybox-${architecture}.tar`, (file) => {
    const home = `${file}.package`;
    unpackPackages("bookworm", home, () => ["busybox-static"], architecture);
    const tree = `${file}.tree`;
    makeBusyboxTree(tree, join(home, "root/bin/busybox"));
    sh(["tar", "--numeric-owner", "--sort=name", "--mtime=@1700000000", "-C", tree, "-cf", file, "."]);
    for (const path of [tree, home]) rmSync(path, { recursive: true });
  });
}

/** The same as a directory, for bare runtimes. */
export function makeBusyboxTree(tree: string, program = "/bin/busybox"): void {
  rmSync(tree, { recursive: true, force: true });
  for (const dir of ["bin", "etc", "dev", "proc", "sys", "tmp", "root", "var"]) mkdirSync(join(tree, dir), { recursive: true });
  chmodSync(join(tree, "tmp"), 0o1777);
  cpSync(program, join(tree, "bin/busybox"), { dereference: true });
  for (const applet of sh(["/bin/busybox", "--list"]).trim().split("\n")) {
    if (applet !== "busybox") symlinkSync("busybox", join(tree, "bin", applet));
  }
  writeFileSync(join(tree, "etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n");
  writeFileSync(join(tree, "etc/group"), "root:x:0:\nnogroup:x:65534:\n");
}

/** A Debian minbase of the host's suite, by mmdebstrap (needs its mirror; some 20 s the first time). */
export function debianTar(): string {
  return cached("debian.tar", (file) => {
    sh(["mmdebstrap", "--quiet", "--variant=minbase", "--format=tar", "bookworm", file, "http://deb.debian.org/debian"]);
  });
}

/** One layer of `count` small files, about 6 KiB each. */
export function manyFilesTar(count = 20_000): string {
  return cached(`files-${count}.tar`, (file) => {
    const fd = openSync(file, "w");
    for (const chunk of manyFiles(count)) writeSync(fd, chunk);
    closeSync(fd);
  });
}

/** Three layers that between them need whiteouts, opaque directories and hard links resolved; see `LAYERED`. */
export const LAYERED = {
  name: "onggi-test/layered:1",
  env: "COLOUR=celadon",
  user: "1000:1000",
  workdir: "/srv",
  /** Prints what a correct merge looks like. */
  expected: ["kept", "replaced", "no gone", "only new", "linked"].join("\n"),
} as const;

const CHECK = `#!/bin/sh
cat /data/kept /data/replaced
[ -e /data/gone ] && echo "gone is there" || echo "no gone"
echo "only $(ls /opaque)"
[ "$(stat -c %i /data/link)" = "$(stat -c %i /data/target)" ] && echo linked || echo "not linked"
`;

function layers(): Record<string, TarEntry[]> {
  return {
    second: [
      { name: "data/", type: "5" },
      { name: "data/kept", data: "kept\n" },
      { name: "data/replaced", data: "old\n" },
      { name: "data/gone", data: "gone\n" },
      { name: "opaque/", type: "5" },
      { name: "opaque/old", data: "" },
      { name: "srv/", type: "5", uid: 1000, gid: 1000 },
      { name: "check", data: CHECK, mode: 0o755 },
    ],
    third: [
      { name: "data/", type: "5" },
      { name: "data/replaced", data: "replaced\n" },
      { name: "data/.wh.gone", data: "" },
      { name: "data/target", data: "x" },
      { name: "data/link", type: "1", link: "data/target" },
      { name: "opaque/", type: "5" },
      { name: "opaque/.wh..wh..opq", data: "" },
      { name: "opaque/new", data: "" },
    ],
  };
}

/** The layered image as an OCI layout directory (umoci), for the archives below. */
function layeredLayout(): string {
  const layout = join(cache, "layered-layout");
  if (existsSync(layout)) return layout;
  const work = `${layout}.part`;
  rmSync(work, { recursive: true, force: true });
  mkdirSync(cache, { recursive: true });
  sh(["umoci", "init", "--layout", work]);
  sh(["umoci", "new", "--image", `${work}:1`]);
  sh(["umoci", "raw", "add-layer", "--image", `${work}:1`, busyboxTar()]);
  for (const [name, entries] of Object.entries(layers())) {
    const file = join(cache, `layer-${name}.tar`);
    writeFileSync(file, tar(entries));
    sh(["umoci", "raw", "add-layer", "--image", `${work}:1`, file]);
  }
  const config = [
    "--config.env",
    LAYERED.env,
    "--config.user",
    LAYERED.user,
    "--config.workingdir",
    LAYERED.workdir,
    "--config.cmd",
    "/check",
  ];
  sh(["umoci", "config", "--image", `${work}:1`, ...config]);
  renameSync(work, layout);
  return layout;
}

/** As `skopeo copy oci:... docker-archive:` writes it. */
export function dockerArchive(): string {
  return cached("layered-docker.tar", (file) =>
    sh(["skopeo", "copy", "-q", `oci:${layeredLayout()}:1`, `docker-archive:${file}:${LAYERED.name}`]),
  );
}

/** As `skopeo copy oci:... oci-archive:` writes it: compressed layers, the name as an annotation of the index. */
export function ociArchive(): string {
  return cached("layered-oci.tar", (file) =>
    sh(["skopeo", "copy", "-q", `oci:${layeredLayout()}:1`, `oci-archive:${file}:${LAYERED.name}`]),
  );
}

/** `docker-archive` of one busybox layer, uncompressed, for those who need an archive and no more. */
export function busyboxArchive(): string {
  return cached("busybox-docker.tar", (file) => {
    const layout = `${file}.layout`;
    rmSync(layout, { recursive: true, force: true });
    sh(["umoci", "init", "--layout", layout]);
    sh(["umoci", "new", "--image", `${layout}:1`]);
    sh(["umoci", "raw", "add-layer", "--image", `${layout}:1`, busyboxTar()]);
    sh(["umoci", "config", "--image", `${layout}:1`, "--config.cmd", "/bin/sh"]);
    sh(["skopeo", "copy", "-q", `oci:${layout}:1`, `docker-archive:${file}:onggi-test/busybox:latest`]);
    rmSync(layout, { recursive: true });
  });
}

/** `docker-archive` whose one layer is `manyFilesTar`, uncompressed. */
export function manyFilesArchive(count = 20_000): string {
  return cached(`files-${count}-docker.tar`, (file) => {
    const layer = manyFilesTar(count);
    const digest = sh(["sha256sum", layer]).split(" ")[0]!;
    const config = JSON.stringify({
      ...{
        architecture: process.arch === "arm64" ? "arm64" : "amd64",
        os: "linux",
        config: {},
        history: [{ created_by: "many files" }],
      },
      rootfs: { type: "layers", diff_ids: [`sha256:${digest}`] },
    });
    const id = new Bun.CryptoHasher("sha256").update(config).digest("hex");
    const tree = `${file}.tree`;
    mkdirSync(join(tree, digest), { recursive: true });
    cpSync(layer, join(tree, digest, "layer.tar"));
    writeFileSync(join(tree, `${id}.json`), config);
    const manifest = [{ Config: `${id}.json`, RepoTags: [`onggi-test/files:${count}`], Layers: [`${digest}/layer.tar`] }];
    writeFileSync(join(tree, "manifest.json"), JSON.stringify(manifest));
    sh(["tar", "--numeric-owner", "--owner=0", "--group=0", "-C", tree, "-cf", file, "manifest.json", `${id}.json`, digest]);
    rmSync(tree, { recursive: true });
  });
}

/** 10 GiB of zeros as one file of a tar, zstd-compressed to about a megabyte. */
export function zerosTar(): string {
  return cached("zeros.tar.zst", (file) => {
    // The size does not fit the header's eleven octal digits: a PAX record carries it.
    const header = tar([{ name: "PaxHeaders/zeros", type: "x", data: "20 size=10737418240\n" }, { name: "zeros" }], false);
    writeFileSync(`${file}.header`, header);
    sh(["sh", "-c", `(cat ${file}.header; head -c 10737419264 /dev/zero) | zstd -q -1 -o ${file}`]);
    rmSync(`${file}.header`);
  });
}

/** A file or directory of build/cache/test; made by `make`, under another name until it is whole, where it is not there. */
export function cached(name: string, make: (file: string) => void): string {
  const file = join(cache, name);
  if (existsSync(file)) return file;
  mkdirSync(cache, { recursive: true });
  const part = `${file}.${process.pid}.part`;
  rmSync(part, { recursive: true, force: true });
  make(part);
  renameSync(part, file);
  return file;
}

/** Runs a tool and returns its output; throws with its complaint. */
export function sh(command: readonly string[], options: { cwd?: string; env?: Record<string, string> } = {}): string {
  const result = Bun.spawnSync([...command], { ...options, stdout: "pipe", stderr: "pipe" });
  if (result.exitCode !== 0)
    throw new Error(`${command.join(" ")} ended with ${result.exitCode}: ${result.stderr.toString().trim()}`);
  return result.stdout.toString();
}
