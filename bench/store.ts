/** The image store: mounts of images with few and many layers, and what commands cost in a store of many images. */
import { createHash } from "node:crypto";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { openImageStore } from "../src/images/index.ts";
import { type Engine, startEngine } from "../test/kit/engine.ts";
import { tar } from "../test/kit/tar.ts";
import { type Contestant, interleave, median, type Samples } from "./measure.ts";
import type { Row } from "./report.ts";
import { onggi } from "./sections.ts";

const MANY = 1000;

const of = (samples: Samples, name: string): number | null => (samples[name]?.length ? median(samples[name]) : null);
const sha256 = (data: Uint8Array | string): string => createHash("sha256").update(data).digest("hex");

/**
 * The first mount of an image of 50 layers and of one of a single layer with as many files, from the store, in this process: of
 * small layers, and of layers with files of 20 kB.
 */
export async function mount(base: string, rounds: number): Promise<Row[]> {
  const root = join(base, "mounts");
  const samples: Samples = { one: [], fifty: [], "one large": [], "fifty large": [] };
  const ids: Record<string, string> = {};
  const filling = openImageStore(root);
  for (const [name, layers, bytes] of [
    ["one", 1, 10],
    ["fifty", 50, 10],
    ["one large", 1, 20_000],
    ["fifty large", 50, 20_000],
  ] as const) {
    const archive = archiveOf(name.replace(" ", "-"), layers, 500 / layers, bytes);
    ids[name] = (await filling.load(new Blob([archive]).stream()))[0]!.id;
  }
  filling.close();
  const order = Object.keys(ids);
  for (let round = 0; round < rounds; round += 1) {
    const store = openImageStore(root);
    // What this machine can mount is found out once, by whoever comes first.
    if (store.form !== "erofs") throw new Error(`images are mounted as ${store.form} here`);
    order.push(order.shift()!);
    for (const name of order) {
      const from = performance.now();
      store.mount(ids[name]!);
      samples[name]!.push((performance.now() - from) * 1000);
    }
    store.close();
  }
  rmSync(root, { recursive: true });
  const row = (what: string, fifty: string, one: string): Row => ({
    what,
    ...{ onggi: of(samples, fifty), other: of(samples, one), otherName: "of one layer", unit: "us", samples },
    target: { atMost: 1.2 },
  });
  return [
    row("mount an image of 50 layers", "fifty", "one"),
    row("mount an image of 50 layers, large", "fifty large", "one large"),
  ];
}

/** A docker-archive with one image: so many files of so many bytes in each of its layers. */
function archiveOf(name: string, layers: number, files: number, bytes: number): Uint8Array<ArrayBuffer> {
  const tars = Array.from({ length: layers }, (_, layer) =>
    tar(Array.from({ length: files }, (_, file) => ({ name: `f${layer}-${file}`, data: `${layer} ${file}`.padEnd(bytes) }))),
  );
  const config = JSON.stringify({
    ...{ architecture: process.arch === "arm64" ? "arm64" : "amd64", os: "linux", config: {} },
    rootfs: { type: "layers", diff_ids: tars.map((data) => `sha256:${sha256(data)}`) },
  });
  const manifest = [{ Config: "config.json", RepoTags: [`${name}:1`], Layers: tars.map((_, layer) => `${layer}.tar`) }];
  return new Uint8Array(
    tar([
      { name: "manifest.json", data: JSON.stringify(manifest) },
      { name: "config.json", data: config },
      ...tars.map((data, layer) => ({ name: `${layer}.tar`, data })),
    ]),
  );
}

/** Commands in a store of a thousand images, and in one that has hardly more than the bench removes from it. */
export async function manyImages(rounds: number): Promise<Row[]> {
  // Two rounds go by before the first that counts.
  const sizes = { many: MANY, few: rounds + 2 };
  const engines: Record<string, Engine> = {};
  try {
    for (const [name, count] of Object.entries(sizes)) {
      const engine = startEngine();
      engines[name] = engine;
      await engine.pid();
      for (let number = 0; number < count; number += 1) {
        const data = tar([{ name: "n", data: String(number) }]);
        await engine.ok(["import", "-", `many/image:${number}`], { stdin: data });
      }
    }
    const commands: readonly [what: string, words: (round: number) => readonly string[]][] = [
      ["images -q", () => ["images", "-q"]],
      ["image inspect", (round) => ["image", "inspect", `many/image:${round}`]],
      ["tag", (round) => ["tag", `many/image:${round}`, `many/tag:${round}`]],
      ["rmi of a tag", (round) => ["rmi", `many/tag:${round}`]],
      ["rmi", (round) => ["rmi", `many/image:${round}`]],
    ];
    // One after the other: a name is given before it is taken away.
    const samples: Samples = {};
    for (const [what, words] of commands) {
      const contestants = Object.entries(engines).map(
        ([name, engine]): Contestant => ({
          ...onggi(engine, [], `${what}, ${name}`),
          command: (round) => onggi(engine, words(round)).command(round),
        }),
      );
      Object.assign(samples, await interleave(contestants, rounds));
    }
    return commands.map(([what]): Row => {
      const [many, few] = [samples[`${what}, many`]!, samples[`${what}, few`]!];
      const row = { what: `${what}, with 1,000 images`, onggi: median(many), unit: "ms", samples: { many, few } };
      if (what === "images -q") return { ...row, other: null, otherName: "", target: { absolute: 15 } };
      return { ...row, other: median(few), otherName: `with ${sizes.few}`, target: { atMost: 1.2 } };
    });
  } finally {
    for (const engine of Object.values(engines)) await engine.close();
  }
}
