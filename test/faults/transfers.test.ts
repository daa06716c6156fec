/** Those who pull and push go away, and so do registries, in the middle: what others wait for goes on, what nobody wants ends. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { imageOf, tarOf } from "../images/archives.ts";
import type { RunningCall } from "../kit/command.ts";
import { type Engine, eventually, startEngine } from "../kit/engine.ts";
import { type Answer, HostileRegistry } from "../kit/hostile.ts";
import { manyFilesTar, sh } from "../kit/images.ts";
import { Registry } from "../kit/registry.ts";

let engine: Engine;
let registry: HostileRegistry;
beforeAll(async () => {
  engine = startEngine();
  registry = await HostileRegistry.start();
  // What the first pull opens for good is open before descriptors are counted.
  const { name } = registry.image("first/app", imageOf([tarOf({ first: "" })]));
  await engine.ok(["pull", "-q", name]);
  await engine.ok(["rmi", name]);
}, 120_000);
afterAll(async () => {
  await registry.close();
  await engine.close();
}, 120_000);

const below = (path: string): string[] => readdirSync(join(engine.root, "images", path));
const noise = (size: number): Buffer => Buffer.from(Array.from({ length: size }, (_, at) => (at * 2654435761) >>> 13));

/** An image of two layers, of which the second comes half, and whole once `open` is called. */
function gated(repository: string) {
  const { promise, resolve: open } = Promise.withResolvers<void>();
  const made = registry.image(
    repository,
    imageOf([tarOf({ base: "base" }), tarOf({ top: noise(200_000), [repository.replace("/", "-")]: "" })]),
  );
  const path = `${repository}/blobs/${made.layers[1]!.digest}`;
  const { body } = registry.answers.get(path) as { body: Uint8Array };
  const half = body.length >> 1;
  async function* pieces(): AsyncGenerator<Uint8Array> {
    yield body.subarray(0, half);
    await promise;
    yield body.subarray(half);
  }
  registry.answers.set(path, { body: pieces, length: body.length } satisfies Answer);
  const asked = (): number => registry.asked.filter((one) => one === path).length;
  // Said by whoever has joined those who wait for it.
  const waiting = `{"id":"${made.layers[1]!.digest.slice(7, 19)}","message":"Waiting"`;
  return { name: made.name, open, asked, waiting };
}

/** A pull that waits for the layer that does not come. */
async function begun({ name, waiting }: { name: string; waiting: string }): Promise<RunningCall> {
  const call = engine.spawn(["pull", "--progress", "json", name], { timeout: 60_000 });
  await call.until(/"Pull complete"|"Already exists"/);
  await call.until(waiting);
  await eventually("half of the layer is there", () => registry.connections === 1 && below("tmp").length === 1);
  return call;
}

test.each(["SIGINT", "SIGKILL"] as const)(
  "%s to one of three who pull an image: the others get it, by one download",
  async (signal) => {
    const image = gated(`shared/${signal.toLowerCase()}`);
    const { name, open, asked } = image;
    const first = await begun(image);
    const others = [await begun(image), await begun(image)];
    first.process.kill(signal);
    expect((await first.done).code).not.toBe(0);
    expect(others.every(({ process }) => process.exitCode === null)).toBe(true);
    open();
    expect((await Promise.all(others.map(({ done }) => done))).map(({ code }) => code)).toEqual([0, 0]);
    expect(asked()).toBe(1);
    await engine.ok(["rmi", name]);
    expect(below("blobs/sha256")).toEqual([]);
  },
  60_000,
);

test.each(["SIGINT", "SIGKILL"] as const)(
  "%s to the last one who pulls: the download ends, and nothing of it is left",
  async (signal) => {
    const image = gated(`alone/${signal.toLowerCase()}`);
    const { name, open } = image;
    const before = await engine.descriptorCount();
    const call = await begun(image);
    call.process.kill(signal);
    expect((await call.done).code).not.toBe(0);
    await eventually("the connection is closed", () => registry.connections === 0);
    await eventually("nothing is being written", () => below("tmp").length === 0);
    await eventually("no descriptor is left open", async () => (await engine.descriptorCount()) <= before + 1);
    expect(await engine.ok(["images", "-q"])).toBe("");
    await engine.ok(["system", "check"]);
    open();
    await engine.ok(["pull", "-q", name]);
    await engine.ok(["rmi", name]);
    expect(below("blobs/sha256")).toEqual([]);
  },
  60_000,
);

/** A push of which the registry has a mebibyte of a layer. */
async function pushing(name: string, to: Registry): Promise<RunningCall> {
  const push = engine.spawn(["push", "-q", name], { timeout: 120_000 });
  const uploads = join(to.storage, "docker/registry/v2/repositories/team/files/_uploads");
  const begun = (id: string): boolean => (statSync(join(uploads, id, "data"), { throwIfNoEntry: false })?.size ?? 0) > 1 << 20;
  await eventually("a layer is on its way", () => existsSync(uploads) && readdirSync(uploads).some(begun));
  return push;
}

test("a registry that goes away in the middle of a push and comes back", async () => {
  const target = await Registry.start();
  try {
    const name = `${target.domain}/team/files:1`;
    await engine.ok(["import", manyFilesTar(), name], { timeout: 60_000 });
    const push = await pushing(name, target);
    await target.down();
    await Bun.sleep(100);
    await target.up();
    const { code, stderr } = await push.done;
    expect([code, stderr]).toEqual([0, ""]);
    const manifest = JSON.parse(sh(["skopeo", "inspect", "--raw", "--tls-verify=false", `docker://${name}`]));
    const [layer] = manifest.layers;
    const data = new Uint8Array(await Bun.file(target.blobFile(layer.digest)).arrayBuffer());
    expect(`sha256:${new Bun.CryptoHasher("sha256").update(data).digest("hex")}`).toBe(layer.digest);
    expect(manifest.config.digest).toBe(await engine.ok(["image", "inspect", "-f", "{{.Id}}", name]));
    await engine.ok(["rmi", name]);
  } finally {
    await target.close();
  }
}, 180_000);

test("a client that goes away in the middle of a push: the upload is given up, and no tag is made", async () => {
  const target = await Registry.start();
  try {
    const name = `${target.domain}/team/files:1`;
    await engine.ok(["import", manyFilesTar(), name], { timeout: 60_000 });
    const push = await pushing(name, target);
    push.process.kill("SIGKILL");
    await push.done;
    await eventually("the upload is deleted", async () => /"DELETE [^"]*\/blobs\/uploads\//.test(await target.log()));
    expect((await fetch(`${target.url}/v2/team/files/manifests/1`)).status).toBe(404);
    await engine.ok(["push", "-q", name], { timeout: 60_000 });
    await engine.ok(["rmi", name]);
    expect(below("blobs/sha256")).toEqual([]);
  } finally {
    await target.close();
  }
}, 180_000);
