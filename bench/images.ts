/** Pull, push, save and remove, against docker and podman with the same registry on loopback. */
import { createHash } from "node:crypto";
import { closeSync, mkdirSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { createGzip, createZstdCompress, constants as zlib } from "node:zlib";
import { sh } from "../test/kit/images.ts";
import { Registry } from "../test/kit/registry.ts";
import { tar } from "../test/kit/tar.ts";
import { highestResident, median, repository, type Samples, settle, time } from "./measure.ts";
import type { Row } from "./report.ts";
import { type Field, onggi } from "./sections.ts";

type Form = "gzip" | "zstd";

const MIB = 2 ** 20;
const LAYERS = 5;
const FILES = 24_000;

const of = (samples: Samples, name: string): number | null => (samples[name]?.length ? median(samples[name]) : null);
const sha256 = (data: Uint8Array | string): string => createHash("sha256").update(data).digest("hex");

/** Text that compresses as programs and documents do, to some 40 %: words by Zipf's law from a fixed generator. */
export function textPool(bytes: number): Buffer {
  let seed = 0x9e3779b9;
  const random = (): number => {
    seed ^= seed << 13;
    seed ^= seed >>> 17;
    seed ^= seed << 5;
    return (seed >>> 0) / 2 ** 32;
  };
  const letters = "etaoinshrdlcumwfgypbvk_(){};.";
  const words = Array.from({ length: 6000 }, () =>
    Array.from({ length: 2 + Math.floor(random() * 9) }, () => letters[Math.floor(random() * letters.length)]).join(""),
  );
  const pool = Buffer.alloc(bytes);
  for (let at = 0; at < bytes; ) at += pool.write(`${words[Math.floor(words.length * random() ** 3)]} `, at);
  return pool;
}

export interface Made {
  /** Name in the registry without its domain. */
  readonly name: string;
  /** The compressed layers. */
  readonly blobs: readonly string[];
  readonly bytes: number;
}

/** An image of 300 MB in 24,000 files and five layers as an OCI layout in `directory`; another `salt`, other contents. */
export async function makeImage(directory: string, form: Form, salt: number, pool: Buffer): Promise<Made> {
  const store = join(directory, "blobs/sha256");
  mkdirSync(store, { recursive: true });
  const layers: { digest: string; size: number; diffId: string }[] = [];
  const perLayer = FILES / LAYERS;
  let bytes = 0;
  for (let layer = 0; layer < LAYERS; layer += 1) {
    const compressor =
      form === "gzip" ? createGzip({ level: 6 }) : createZstdCompress({ params: { [zlib.ZSTD_c_compressionLevel]: 3 } });
    const temporary = join(directory, `layer-${layer}`);
    const fd = openSync(temporary, "w");
    const digest = createHash("sha256");
    const diffId = createHash("sha256");
    let size = 0;
    compressor.on("data", (chunk: Buffer) => {
      digest.update(chunk);
      size += chunk.length;
      writeSync(fd, chunk);
    });
    const ended = new Promise((resolve, reject) => compressor.on("end", resolve).on("error", reject));
    for (let file = 0; file < perLayer; file += 100) {
      const folder = `srv/l${layer}/d${file}/`;
      const entries = Array.from({ length: 100 }, (_, index) => {
        const number = salt * FILES + layer * perLayer + file + index;
        const length = 200 + ((number * 7919) % 24_000);
        const start = (number * 104_729) % (pool.length - length);
        return {
          name: `${folder}file-${index}.txt`,
          data: Buffer.concat([Buffer.from(`${number}\n`), pool.subarray(start, start + length)]),
        };
      });
      const chunk = tar([{ name: folder, type: "5" }, ...entries], file + 100 >= perLayer);
      bytes += chunk.length;
      diffId.update(chunk);
      if (!compressor.write(chunk)) await new Promise((resolve) => compressor.once("drain", resolve));
    }
    compressor.end();
    await ended;
    closeSync(fd);
    const hex = digest.digest("hex");
    sh(["mv", temporary, join(store, hex)]);
    layers.push({ digest: `sha256:${hex}`, size, diffId: `sha256:${diffId.digest("hex")}` });
  }
  const put = (value: unknown): { digest: string; size: number } => {
    const text = JSON.stringify(value);
    writeFileSync(join(store, sha256(text)), text);
    return { digest: `sha256:${sha256(text)}`, size: text.length };
  };
  const config = put({
    ...{ architecture: process.arch === "arm64" ? "arm64" : "amd64", os: "linux", config: { Cmd: ["true"] } },
    rootfs: { type: "layers", diff_ids: layers.map(({ diffId }) => diffId) },
  });
  const manifest = put({
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config: { mediaType: "application/vnd.oci.image.config.v1+json", ...config },
    layers: layers.map(({ digest, size }) => ({ mediaType: `application/vnd.oci.image.layer.v1.tar+${form}`, digest, size })),
  });
  const name = `bench/${form}:${salt}`;
  const annotations = { "org.opencontainers.image.ref.name": String(salt) };
  const descriptor = { mediaType: "application/vnd.oci.image.manifest.v1+json", ...manifest, annotations };
  writeFileSync(join(directory, "index.json"), JSON.stringify({ schemaVersion: 2, manifests: [descriptor] }));
  writeFileSync(join(directory, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
  return { name, blobs: layers.map(({ digest }) => join(store, digest.slice(7))), bytes };
}

/** Time to decompress the blobs in a process of its own, one after another, throwing the bytes away. */
const expandTime = (blobs: readonly string[], form: Form): number =>
  time([process.execPath, join(repository, "bench/expand.ts"), form, ...blobs]);

/** Time to write the image's bytes to one file with fsync. */
const writeTime = (bytes: number, directory: string): number => {
  const file = join(directory, "written");
  const ms = time(["dd", "if=/dev/zero", `of=${file}`, "bs=1M", `count=${Math.ceil(bytes / MIB)}`, "conv=fsync", "status=none"]);
  rmSync(file);
  return ms;
};

/** Every round pulls another image, so that nobody has any of it; nothing is deleted before the end. */
export async function pull(field: Field, form: Form, rounds: number): Promise<Row[]> {
  const directory = join(field.base, `pull-${form}`);
  mkdirSync(directory, { recursive: true });
  const registry = await Registry.start();
  const pool = textPool(4 * MIB);
  const samples: Samples = {
    onggi: [],
    docker: [],
    podman: [],
    expand: [],
    "write + fsync": [],
    "rmi onggi": [],
    "rmi docker": [],
  };
  let highest = 0;
  const names: string[] = [];
  try {
    for (let round = 0; round < rounds; round += 1) {
      const layout = join(directory, String(round));
      const image = await makeImage(layout, form, round + 1, pool);
      const reference = `${registry.domain}/${image.name}`;
      names.push(reference);
      sh(["skopeo", "copy", "-q", "--dest-tls-verify=false", `oci:${layout}:${round + 1}`, `docker://${reference}`]);
      const sides: [string, () => number | Promise<number>][] = [
        ["expand", () => expandTime(image.blobs, form)],
        ["write + fsync", () => writeTime(image.bytes, directory)],
      ];
      const { onggi: engine, docker, podman } = field;
      if (engine) {
        const { command, env } = onggi(engine, ["pull", "-q", reference]);
        sides.push(["onggi", () => time(command(round), { env: env! })]);
      }
      // Docker 20.10 knows no zstd.
      if (docker && form === "gzip")
        sides.push(["docker", () => time([docker.cli, "pull", "-q", reference], { env: docker.env })]);
      if (podman) sides.push(["podman", () => time(podman.command(["pull", "-q", "--tls-verify=false", reference]))]);
      for (let turn = 0; turn < sides.length; turn += 1) {
        const [name, run] = sides[(turn + round) % sides.length]!;
        settle();
        samples[name]!.push(await run());
      }
      if (engine) highest = Math.max(highest, highestResident(await engine.pid()));
      rmSync(layout, { recursive: true });
    }
    for (const reference of names) {
      settle();
      const { onggi: engine, docker } = field;
      if (engine) {
        const { command, env } = onggi(engine, ["rmi", reference]);
        samples["rmi onggi"]!.push(time(command(0), { env: env! }));
      }
      settle();
      if (docker && form === "gzip") samples["rmi docker"]!.push(time([docker.cli, "rmi", reference], { env: docker.env }));
      if (field.podman) sh([...field.podman.command(["rmi", reference])]);
    }
  } finally {
    await registry.close();
    rmSync(directory, { recursive: true, force: true });
  }
  const ours = of(samples, "onggi");
  const bound = Math.max(of(samples, "expand")!, of(samples, "write + fsync")!);
  const row = (otherName: string, other: number | null, atMost: number): Row => ({
    what: `pull 300 MB, ${form}`,
    ...{ onggi: ours, other, otherName, unit: "ms", samples, target: { atMost } },
    note: `median of ${rounds}`,
  });
  const removal: Row = {
    what: "rmi of it",
    ...{
      onggi: of(samples, "rmi onggi"),
      other: of(samples, "rmi docker"),
      otherName: "docker",
      unit: "ms",
      target: { atMost: 0.1 },
    },
  };
  const memory: Row = {
    what: "engine's peak memory over the pulls",
    ...{ onggi: field.onggi ? highest / MIB : null, other: null, otherName: "", unit: "MiB", target: { absolute: 200 } },
  };
  return [
    ...(form === "gzip" ? [row("docker", of(samples, "docker"), 0.2)] : []),
    row("podman", of(samples, "podman"), 0.2),
    row(of(samples, "expand")! >= of(samples, "write + fsync")! ? "expanding in-process" : "write + fsync", bound, 1.5),
    ...(form === "gzip" ? [removal] : []),
    memory,
  ];
}

/** An image that came by `load`: pushed to an empty repository, saved to a file. */
export async function pushAndSave(field: Field, rounds: number): Promise<Row[]> {
  const directory = join(field.base, "push");
  mkdirSync(directory, { recursive: true });
  const registry = await Registry.start();
  const pool = textPool(4 * MIB);
  const samples: Samples = {
    "push onggi": [],
    "push docker": [],
    "save onggi": [],
    "save docker": [],
    "load onggi": [],
    "load docker": [],
  };
  try {
    for (let round = 0; round < rounds; round += 1) {
      const layout = join(directory, String(round));
      await makeImage(layout, "gzip", 1000 + round, pool);
      const archive = join(directory, "archive.tar");
      const reference = `${registry.domain}/bench/own:${round}`;
      rmSync(archive, { force: true });
      sh(["skopeo", "copy", "-q", `oci:${layout}:${1000 + round}`, `docker-archive:${archive}:${reference}`]);
      rmSync(layout, { recursive: true });
      const sides: { name: string; run: (words: readonly string[]) => number }[] = [];
      const { onggi: engine, docker } = field;
      if (engine) {
        sides.push({
          name: "onggi",
          run: (words) => {
            const { command, env } = onggi(engine, words);
            return time(command(round), { env: env! });
          },
        });
      }
      if (docker) sides.push({ name: "docker", run: (words) => time([docker.cli, ...words], { env: docker.env }) });
      if (round % 2 === 1) sides.reverse();
      for (const { name, run } of sides) {
        settle();
        samples[`load ${name}`]!.push(run(["load", "-q", "-i", archive]));
        settle();
        samples[`save ${name}`]!.push(run(["save", "-o", join(directory, "saved.tar"), reference]));
        rmSync(join(directory, "saved.tar"));
        settle();
        // A repository of its own for each, or the second would find the first one's blobs to mount.
        const target = reference.replace("/bench/own", `/bench/own-${name}`);
        run(["tag", reference, target]);
        samples[`push ${name}`]!.push(run(["push", "-q", target]));
      }
    }
  } finally {
    await registry.close();
    rmSync(directory, { recursive: true, force: true });
  }
  return ["load", "save", "push"].map((what) => ({
    what: `${what} 300 MB`,
    ...{ onggi: of(samples, `${what} onggi`), other: of(samples, `${what} docker`), otherName: "docker", unit: "ms", samples },
    target: { atMost: 0.6 },
    note: `median of ${rounds}`,
  }));
}
