/** Images are removed and pruned without a pause while others pull, run and commit: nothing that is in use goes, nothing is left. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { dockerArchive, imageOf } from "../images/archives.ts";
import { type Engine, slowness, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox, busyboxTar, sh } from "../kit/images.ts";
import { Registry } from "../kit/registry.ts";
import { manyFiles } from "../kit/tar.ts";

const rounds = Math.max(5, Math.round(Number(process.env.ONGGI_ROUNDS ?? 100) / 5));
const IMAGES = 3;

let engine: Engine;
let registry: Registry;
const at = (image: number): string => `${registry.domain}/team/app-${image}:1`;

beforeAll(async () => {
  [engine, registry] = [startEngine(), await Registry.start()];
  await bootstrapBusybox(engine);
  const busybox = Buffer.from(await Bun.file(busyboxTar()).arrayBuffer());
  // Two layers that all have, and one of its own each.
  const shared = Buffer.concat([...manyFiles(300, 1)]);
  for (let image = 0; image < IMAGES; image += 1) {
    const file = join(engine.base, `${image}.tar`);
    writeFileSync(file, dockerArchive(imageOf([busybox, shared, Buffer.concat([...manyFiles(100, 10 + image)])]), ["it:1"]));
    sh(["skopeo", "copy", "-q", "--dest-tls-verify=false", `docker-archive:${file}`, `docker://${at(image)}`]);
  }
}, 120_000);
afterAll(async () => {
  await registry.close();
  await engine.close();
}, 120_000);

test(
  "pulls, containers and commits beside image prune -a and rmi in a loop",
  async () => {
    await engine.ok(["pull", "-q", at(0)]);
    await engine.ok(["run", "-d", "--name", "witness", at(0), "sleep", "100000"]);
    await engine.ok(["exec", "witness", "sh", "-c", "echo mine > /mine"]);
    let ended = false;
    const until = async (step: () => Promise<unknown>): Promise<void> => {
      while (!ended) await step();
    };
    const removing = [
      until(() => engine.ok(["image", "prune", "-a", "-f"])),
      until(async () => {
        for (let image = 0; image < IMAGES; image += 1) {
          // Gone already, or in use, or removed.
          const { code, stderr } = await engine.onggi(["rmi", at(image)]);
          if (code !== 0) expect(stderr).toMatch(/no such image|needed by a container/);
        }
      }),
      // A container made of an image keeps it, whoever removes its names.
      until(() => engine.onggi(["rmi", "-f", at(0)])),
    ];
    let ran = 0;
    const pulling = Array.from({ length: IMAGES }, async (_, image) => {
      for (let round = 0; round < rounds; round += 1) {
        await engine.ok(["pull", "-q", at(image)], { timeout: 60_000 });
        const name = `made-${image}-${round}`;
        const { code, stdout, stderr } = await engine.onggi([
          "run",
          "--name",
          name,
          at(image),
          "sh",
          "-c",
          "ls -R /files | wc -l",
        ]);
        // Between the pull and the run the image may go, and is told to be gone; once there is a container it may not.
        if (code !== 0) {
          expect(stderr).toMatch(/no such image/);
          continue;
        }
        ran += 1;
        expect(Number(stdout)).toBeGreaterThan(300);
        expect(await engine.ok(["start", "-a", name])).toBe(stdout.trim());
        const made = await engine.ok(["commit", name]);
        expect(made).toMatch(/^sha256:/);
        await engine.ok(["rm", name]);
      }
    });
    const witnessing = until(async () => {
      expect(await engine.ok(["exec", "witness", "sh", "-c", "cat /mine; ls -R /files | wc -l > /dev/null"])).toBe("mine");
      await engine.ok(["commit", "witness", "kept:1"]);
    });
    try {
      await Promise.all(pulling);
    } finally {
      ended = true;
      await Promise.all([...removing, witnessing]);
    }
    process.stderr.write(`${ran} containers of ${rounds * IMAGES} pulls ran between removals\n`);
    expect(ran).toBeGreaterThan(0);
    await engine.ok(["stop", "-t", "0", "witness"]);
    await engine.ok(["start", "witness"]);
    await engine.ok(["system", "check"]);
    await engine.ok(["rm", "-f", "witness"]);
    await engine.ok(["image", "prune", "-a", "-f"]);
    expect(readdirSync(join(engine.root, "images/blobs/sha256"))).toEqual([]);
    expect(readdirSync(join(engine.root, "images/index"))).toEqual([]);
  },
  rounds * 8000 * slowness + 60_000,
);
