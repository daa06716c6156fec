/**
 * The engine is killed with SIGKILL while images come, go and are made, at moments spread at random over the operation. After each:
 * the store verifies clean, what a client was told is done is there, what was under way is whole or gone, and works when it is
 * asked for again, without what had arrived being sent again.
 *
 * 2 x ONGGI_ROUNDS rounds (default 200) in all.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { dockerArchive, imageOf } from "../images/archives.ts";
import type { CallResult } from "../kit/command.ts";
import { type Engine, gone, isAlive, slowness, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox, manyFilesTar, sh } from "../kit/images.ts";
import { seededRandom } from "../kit/random.ts";
import { Registry } from "../kit/registry.ts";
import { manyFiles } from "../kit/tar.ts";

const OPERATIONS = 9;
const rounds = Math.max(2, Math.round((2 * Number(process.env.ONGGI_ROUNDS ?? 100)) / OPERATIONS));
const limit = rounds * 10_000 * slowness + 60_000;
const random = seededRandom("images-killed");

let engine: Engine;
let registry: Registry;
let directory: string;
/** Four layers, some 14 MB. */
let archive: string;
let manifest: { config: { digest: string }; layers: { digest: string }[] };
let diffIds: string[];
/** What is there before and after every round. */
let lasting: string[];

const name = (): string => `${registry.domain}/team/big:1`;
const hexOf = (digest: string): string => digest.slice("sha256:".length);
const below = (path: string): string[] => readdirSync(join(engine.root, "images", path)).sort();
const blobs = (): string[] => below("blobs/sha256");

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "onggi-killed-"));
  archive = join(directory, "big.tar");
  const layers = [100, 300, 600, 1200].map((count) => Buffer.concat([...manyFiles(count, count)]));
  const image = imageOf(layers);
  diffIds = JSON.parse(image.config.toString()).rootfs.diff_ids;
  writeFileSync(archive, dockerArchive(image, ["big:1"]));
  [engine, registry] = [startEngine(), await Registry.start()];
  await bootstrapBusybox(engine);
  sh(["skopeo", "copy", "-q", "--dest-tls-verify=false", "--format", "oci", `docker-archive:${archive}`, `docker://${name()}`]);
  manifest = JSON.parse(sh(["skopeo", "inspect", "--raw", "--tls-verify=false", `docker://${name()}`]));
  await engine.ok(["run", "-d", "--name", "witness", "busybox", "sleep", "100000"]);
  lasting = blobs();
}, 120_000);
afterAll(async () => {
  rmSync(directory, { recursive: true, force: true });
  await registry.close();
  await engine.close();
}, 120_000);

/** Runs the command once undisturbed; returns how long it took. */
async function lasts(args: readonly string[]): Promise<number> {
  const { code, ms, stderr } = await engine.onggi(args, { timeout: 60_000 });
  expect([code, stderr]).toEqual([0, stderr]);
  return ms;
}

/** Kills the engine at a random moment of the command, or just after it. */
async function killedIn(args: readonly string[], ms: number): Promise<CallResult> {
  const pid = await engine.pid();
  const call = engine.spawn(args, { stdin: "", timeout: 60_000 });
  await Bun.sleep(random() * ms * 1.1);
  if (isAlive(pid)) process.kill(pid, "SIGKILL");
  await gone(pid);
  return await call.done;
}

/** What must hold after every round, with an engine that was started anew. */
async function expectWhole(): Promise<void> {
  const { code, stdout } = await engine.onggi(["system", "check"], { timeout: 60_000 });
  expect([code, stdout]).toEqual([0, stdout]);
  expect(below("tmp")).toEqual([]);
  expect((await engine.inspect("witness")).State.Status).toBe("running");
  expect(await engine.ok(["exec", "witness", "echo", "well"])).toBe("well");
}

const there = async (image: string): Promise<boolean> => (await engine.ok(["images", "-q", image])) !== "";

/** Once the round's images have gone, nothing of them stays. */
async function expectAsBefore(): Promise<void> {
  await engine.ok(["image", "prune", "-a", "-f"]);
  expect(blobs()).toEqual(lasting);
  expect(below("index").length).toBe(1);
  await engine.ok(["system", "check"]);
}

test(
  "during pull: the next one brings what is not there, and that alone",
  async () => {
    const ms = await lasts(["pull", "-q", name()]);
    await engine.ok(["rmi", name()]);
    let resumed = 0;
    for (let round = 0; round < rounds; round += 1) {
      const { code } = await killedIn(["pull", "-q", name()], ms);
      await expectWhole();
      const whole = await there(name());
      if (code === 0) expect(whole).toBe(true);
      const arrived = manifest.layers.filter((_, position) => blobs().includes(hexOf(diffIds[position]!)));
      if (whole) expect(arrived.length).toBe(4);
      if (arrived.length % 4 !== 0) resumed += 1;
      const before = (await registry.log()).length;
      await engine.ok(["pull", "-q", name()], { timeout: 60_000 });
      const fetched = (await registry.log()).slice(before);
      for (const layer of manifest.layers)
        expect([layer.digest, fetched.includes(`blobs/${layer.digest}`)]).toEqual([layer.digest, !arrived.includes(layer)]);
      expect(await engine.ok(["image", "inspect", "-f", "{{.Id}}", name()])).toBe(manifest.config.digest);
      await engine.ok(["rmi", name()]);
      await expectAsBefore();
    }
    process.stderr.write(`killed in ${rounds} pulls, ${resumed} of them with some of the layers there\n`);
  },
  limit,
);

test(
  "during push: a tag names what is whole, and the next push sends the rest",
  async () => {
    await engine.ok(["load", "-q", "-i", archive]);
    const target = await Registry.start();
    try {
      const at = (round: number): string => `${target.domain}/round-${round}/big:1`;
      // From here nothing can be mounted or taken over: each round is a push of everything.
      const forget = async (): Promise<void> => {
        await engine.ok(["rmi", "-f", manifest.config.digest]);
        await engine.ok(["load", "-q", "-i", archive]);
      };
      const present = async (round: number): Promise<boolean> => {
        const answer = await fetch(`${target.url}/v2/round-${round}/big/manifests/1`, {
          headers: { accept: "application/vnd.oci.image.manifest.v1+json" },
        });
        if (answer.status !== 200) return false;
        const { config, layers } = (await answer.json()) as typeof manifest;
        for (const { digest } of [config, ...layers]) {
          const { status } = await fetch(`${target.url}/v2/round-${round}/big/blobs/${digest}`, { method: "HEAD" });
          expect(status).toBe(200);
        }
        return true;
      };
      await engine.ok(["tag", "big:1", at(-1)]);
      const ms = await lasts(["push", "-q", at(-1)]);
      for (let round = 0; round < rounds; round += 1) {
        await forget();
        await engine.ok(["tag", "big:1", at(round)]);
        const { code } = await killedIn(["push", "-q", at(round)], ms);
        await expectWhole();
        const done = await present(round);
        if (code === 0) expect(done).toBe(true);
        expect(await there("big:1")).toBe(true);
        await engine.ok(["push", "-q", at(round)], { timeout: 60_000 });
        expect(await present(round)).toBe(true);
      }
    } finally {
      await target.close();
    }
    await expectAsBefore();
  },
  limit,
);

test(
  "during load, and during import: the image is whole or not there",
  async () => {
    const files = manyFilesTar(2000);
    const ways: [string[], string][] = [
      [["load", "-q", "-i", archive], "big:1"],
      [["import", files, "files:1"], "files:1"],
    ];
    for (const [command, image] of ways) {
      const ms = await lasts(command);
      await expectAsBefore();
      for (let round = 0; round < rounds; round += 1) {
        const { code } = await killedIn(command, ms);
        await expectWhole();
        if (code === 0) expect(await there(image)).toBe(true);
        if (!(await there(image))) expect(blobs()).toEqual(lasting);
        await engine.ok(command, { timeout: 60_000 });
        expect(await there(image)).toBe(true);
        await expectAsBefore();
      }
    }
  },
  limit * 2,
);

test(
  "during commit: the container goes on, whatever it was frozen for",
  async () => {
    await engine.ok(["run", "-d", "--name", "source", "busybox", "sh", "-c", "while :; do sleep 0.01; done"]);
    await engine.ok([
      "exec",
      "source",
      "sh",
      "-c",
      "head -c 30000000 /dev/urandom > /big; mkdir /d; for i in $(seq 500); do echo $i > /d/$i; done",
    ]);
    const commit = ["commit", "source", "made:1"];
    const ms = await lasts(commit);
    for (let round = 0; round < rounds; round += 1) {
      const { code } = await killedIn(commit, ms);
      await expectWhole();
      expect((await engine.inspect("source")).State.Status).toBe("running");
      expect(await engine.ok(["exec", "source", "echo", "goes on"])).toBe("goes on");
      if (code === 0) expect(await there("made:1")).toBe(true);
      await engine.ok(commit);
      expect(await there("made:1")).toBe(true);
      await expectAsBefore();
    }
    // A pause that a user wants is another matter.
    await engine.ok(["pause", "source"]);
    await engine.murder();
    expect((await engine.inspect("source")).State.Status).toBe("paused");
    await engine.ok(["unpause", "source"]);
    await engine.ok(["rm", "-f", "source"]);
  },
  limit,
);

test(
  "during prune: what a container needs stays, everything else is whole or gone",
  async () => {
    const images = ["one:1", "two:1", "three:1"];
    const fill = async (): Promise<void> => {
      await engine.ok(["load", "-q", "-i", archive]);
      for (const [position, image] of images.entries())
        await engine.ok(["import", "-m", `${position}`, manyFilesTar(2000), image]);
    };
    await fill();
    const ms = await lasts(["image", "prune", "-a", "-f"]);
    await expectAsBefore();
    for (let round = 0; round < rounds; round += 1) {
      await fill();
      await killedIn(["image", "prune", "-a", "-f"], ms);
      await expectWhole();
      expect(await there("busybox")).toBe(true);
      await expectAsBefore();
    }
  },
  limit,
);

test(
  "during save: the archive is there whole or not at all, and nothing lies beside it",
  async () => {
    await engine.ok(["load", "-q", "-i", archive]);
    const folder = mkdtempSync(join(directory, "save-"));
    const target = join(folder, "saved.tar");
    const ms = await lasts(["save", "-o", target, "big:1"]);
    const whole = sh(["sha256sum", target]);
    for (let round = 0; round < rounds; round += 1) {
      rmSync(target, { force: true });
      const { code } = await killedIn(["save", "-o", target, "big:1"], ms);
      await expectWhole();
      expect(readdirSync(folder)).toEqual(existsSync(target) ? ["saved.tar"] : []);
      if (code === 0) expect(existsSync(target)).toBe(true);
      if (existsSync(target)) expect(sh(["sha256sum", target])).toBe(whole);
      await engine.ok(["save", "-o", target, "big:1"]);
      expect(sh(["sha256sum", target])).toBe(whole);
    }
    await expectAsBefore();
  },
  limit,
);

test(
  "during manifest create and push: a list is whole or not there, and a tag names an index with all its manifests",
  async () => {
    const target = await Registry.start();
    const small = join(directory, "small.tar");
    writeFileSync(small, Buffer.concat([...manyFiles(200, 7)]));
    await engine.ok(["import", "-q", small, "small:1"]);
    const accept = ["index", "manifest"].map((type) => `application/vnd.oci.image.${type}.v1+json`).join(", ");
    const at = (round: number): string => `${target.domain}/round-${round}/list:1`;
    const create = (round: number): string[] => ["manifest", "create", at(round), name(), "small:1"];
    const push = (round: number): string[] => ["manifest", "push", "-q", at(round)];
    const members = async (round: number): Promise<number> =>
      (await engine.ok(["manifest", "ls", "--format", "{{.List}}"])).split("\n").filter((list) => list === at(round)).length;
    const ask = (round: number, path: string): Promise<Response> =>
      fetch(`${target.url}/v2/round-${round}/list/${path}`, { headers: { accept } });
    const present = async (round: number): Promise<boolean> => {
      const answer = await ask(round, "manifests/1");
      if (answer.status !== 200) return false;
      const { manifests } = (await answer.json()) as { manifests: { digest: string }[] };
      expect(manifests.length).toBe(2);
      for (const { digest } of manifests) {
        const found = await ask(round, `manifests/${digest}`);
        expect(found.status).toBe(200);
        const { config, layers } = (await found.json()) as typeof manifest;
        for (const blob of [config, ...layers]) expect((await ask(round, `blobs/${blob.digest}`)).status).toBe(200);
      }
      return true;
    };
    try {
      const [making, pushing] = [await lasts(create(-1)), await lasts(push(-1))];
      for (let round = 0; round < rounds; round += 1) {
        const made = await killedIn(create(round), making);
        await expectWhole();
        const count = await members(round);
        expect(made.code === 0 ? [2] : [0, 2]).toContain(count);
        if (count === 0) await engine.ok(create(round));
        const { code } = await killedIn(push(round), pushing);
        await expectWhole();
        expect(await members(round)).toBe(2);
        const done = await present(round);
        if (code === 0) expect(done).toBe(true);
        await engine.ok(push(round), { timeout: 60_000 });
        expect(await present(round)).toBe(true);
        await engine.ok(["manifest", "rm", at(round)]);
      }
      await engine.ok(["manifest", "rm", at(-1)]);
    } finally {
      await target.close();
    }
    await expectAsBefore();
  },
  limit * 2,
);
