/**
 * Pulling from registries that lie: whatever they send, the error names registry, image and layer, the store is as it was to the
 * last row and file, and what was right before can still be pulled.
 */
import { Database } from "bun:sqlite";
import { afterAll, beforeAll, expect, test } from "bun:test";
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openImageStore } from "../src/images/index.ts";
import { openRegistries } from "../src/images/remote/registries.ts";
import type { Registries } from "../src/images/remote/types.ts";
import type { ImageStore } from "../src/images/types.ts";
import { OnggiError } from "../src/lib/errors.ts";
import { imageOf, sha256, tarOf } from "./images/archives.ts";
import { contentsOf, namesOf } from "./images/harness.ts";
import { gzip, image, LAYER_2, lies } from "./images/lies.ts";
import { eventually } from "./kit/engine.ts";
import { type Answer, HostileRegistry } from "./kit/hostile.ts";
import { Registry } from "./kit/registry.ts";

const nobody: ReadonlySet<string> = new Set();

let scratch: string;
let root: string;
let store: ImageStore;
let registry: HostileRegistry;
let registries: Registries;
let count = 0;
/** Before the first pull that fails. */
let before: string[];
const openFiles = (): string[] => readdirSync("/proc/self/fd");

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), "onggi-hostile-"));
  root = join(scratch, "store");
  store = openImageStore(root, { limits: { freeBytes: 4 << 20, ratio: 100 }, maxLayerBytes: 64 << 20 });
  registry = await HostileRegistry.start();
  registries = openRegistries({ config: join(scratch, "none"), certsDirs: [], env: {} });
  const { name } = registry.image("first/app", image);
  await store.pull(name, { registries });
  await store.remove(name, { inUse: nobody });
  before = openFiles();
});
afterAll(async () => {
  store.close();
  registries.close();
  await registry.close();
  rmSync(scratch, { recursive: true });
});

/** Every row of the database of images, but for which version it has. */
function rows(): number {
  const db = new Database(join(root, "images.db"), { readonly: true });
  try {
    const tables = db.query<{ name: string }, []>("SELECT name FROM sqlite_schema WHERE type = 'table'").all();
    return tables.reduce((sum, { name }) => sum + db.query<{ n: number }, []>(`SELECT count(*) AS n FROM ${name}`).get()!.n, 0);
  } finally {
    db.close();
  }
}

async function expectNothingLeft(): Promise<void> {
  expect(contentsOf(root)).toEqual([]);
  expect(rows()).toBe(0);
  expect(store.list()).toEqual([]);
  expect((await store.check({ inUse: nobody })).problems).toEqual([]);
}

async function failureOf(name: string, by: Registries = registries): Promise<OnggiError> {
  const error = await store.pull(name, { registries: by }).then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(OnggiError);
  return error as OnggiError;
}

test.each(lies.map((one) => [one.what, one] as const))("%s is refused with its place, and leaves nothing", async (_, one) => {
  const repository = `case/${++count}`;
  const name = one.make(registry, repository) ?? `${registry.domain}/${repository}:1`;
  const sent = registry.sent;
  const error = await failureOf(name);
  expect(error.message).toMatch(one.says);
  expect([error.code, error.message.includes(`${registry.domain}/${repository}`)]).toEqual([one.code, true]);
  // What does not end is not read to its end: of 100 MB no more than lies in buffers.
  expect(registry.sent - sent).toBeLessThan((one.most ?? 16) << 20);
  await expectNothingLeft();
});

test("bodies that break off or stand still: layer and image are named; whole layers stay for the next try, and it needs the other alone", async () => {
  const broken: Record<string, (rest: Buffer) => Answer> = {
    breaks: (rest) => ({ body: rest.subarray(0, 60), length: rest.length }),
    stands: (rest) => ({ body: rest.subarray(0, 60), length: rest.length, silent: true }),
    "says nothing": (rest) => ({ body: "", length: rest.length, silent: true }),
  };
  const impatient = openRegistries({
    ...{ config: join(scratch, "none"), certsDirs: [], env: {} },
    timeouts: { answer: 10_000, stall: 200 },
  });
  const pulls = Object.entries(broken).map(async ([kind, answer]) => {
    const layers = ["lower", "upper"].map((name) => tarOf({ [`${kind}, ${name}`]: Buffer.alloc(50_000, kind) }));
    const repository = `slow/${kind.replace(" ", "-")}`;
    const made = registry.image(repository, imageOf(layers));
    const path = `${repository}/blobs/${made.layers[1]!.digest}`;
    const right = registry.answers.get(path) as Answer;
    const body = Buffer.from(right.body as Uint8Array);
    // Some bytes, and to those who ask for the rest none at all.
    registry.answers.set(path, (range) => {
      if (range === null) return answer(body);
      const from = Number(/\d+/.exec(range)![0]);
      const headers = { "Content-Range": `bytes ${from}-${body.length - 1}/${body.length}` };
      return { status: 206, headers, body: "", length: body.length - from };
    });
    const error = await failureOf(made.name, impatient);
    expect([kind, error.code]).toEqual([kind, "registry_unreachable"]);
    expect(error.message).toMatch(LAYER_2);
    expect(error.message).toContain(made.name);
    registry.answers.set(path, right);
    const before = registry.asked.length;
    const { image: found } = await store.pull(made.name, { registries });
    expect(namesOf(store, found.id, scratch)).toEqual([`${kind}, lower`, `${kind}, upper`]);
    const asked = registry.asked.slice(before).filter((one) => one.startsWith(`${repository}/blobs/`));
    expect(asked.sort()).toEqual([made.config, made.layers[1]!].map(({ digest }) => `${repository}/blobs/${digest}`).sort());
  });
  try {
    await Promise.all(pulls);
  } finally {
    impatient.close();
  }
  expect((await store.check({ inUse: nobody })).problems).toEqual([]);
  for (const { names } of store.list()) await store.remove(names[0]!, { inUse: nobody });
  await expectNothingLeft();
}, 60_000);

test("a foreign layer is asked of the registry alone", async () => {
  const elsewhere = await HostileRegistry.start();
  try {
    const urls = [`http://${elsewhere.domain}/layer`];
    const mediaType = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    const { name, layers } = registry.image("foreign/here", image, gzip, ({ config, layers: [one, two] }) => ({
      config,
      layers: [{ ...one!, mediaType, urls }, two],
    }));
    const { image: found } = await store.pull(name, { registries });
    expect(namesOf(store, found.id, scratch)).toEqual(["etc", "etc/base", "etc/top"]);
    await store.remove(name, { inUse: nobody });
    registry.answers.delete(`foreign/here/blobs/${layers[0]!.digest}`);
    expect(await failureOf(name)).toMatchObject({ code: "blob_unknown", message: expect.stringContaining("layer 1 of 2") });
    expect(elsewhere.asked).toEqual([]);
    await expectNothingLeft();
  } finally {
    await elsewhere.close();
  }
});

test("a registry that refuses every token it gives is asked no more than twice", async () => {
  const challenge = { "WWW-Authenticate": `Bearer realm="http://${registry.domain}/v2/token",service="it"` };
  registry.answers.set("token", { body: JSON.stringify({ token: "old", expires_in: 300, issued_at: "2001-01-01T00:00:00Z" }) });
  registry.answers.set("expired/app/manifests/1", { status: 401, headers: challenge });
  const before = registry.asked.length;
  const error = await failureOf(`${registry.domain}/expired/app:1`);
  expect([error.code, error.message.includes(`${registry.domain}/expired/app`)]).toEqual(["registry_unauthorized", true]);
  expect(registry.asked.slice(before).filter((path) => path.startsWith("expired")).length).toBeLessThanOrEqual(2);
  await expectNothingLeft();
});

test("a registry with another authority than the one it is to have", async () => {
  const [real, other] = await Promise.all([Registry.start({ tls: true }), Registry.start({ tls: true })]);
  const certs = join(scratch, "certs");
  mkdirSync(join(certs, real.domain), { recursive: true });
  copyFileSync(other.ca, join(certs, real.domain, "ca.crt"));
  const strict = openRegistries({ config: join(scratch, "none"), certsDirs: [certs], env: {} });
  try {
    const error = await failureOf(`${real.domain}/team/app:1`, strict);
    expect(error.code).toBe("registry_unreachable");
    expect(error.message).toMatch(/certificate|signature|issuer|verify/i);
    expect(error.message).toContain(`${real.domain}/team/app`);
    await expectNothingLeft();
  } finally {
    strict.close();
    await Promise.all([real.close(), other.close()]);
  }
});

test.each([
  "",
  " ",
  ":1",
  "/x",
  "x/",
  "X",
  "a//b",
  "a/../b",
  "-a/b",
  "a:b:c",
  "a@sha256:12",
  `a@sha512:${"0".repeat(128)}`,
  "a b",
  "a\nb",
  "a:.x",
  `a:${"t".repeat(129)}`,
  `${"n".repeat(256)}`,
  "[::1/x",
  "127.0.0.1:port/x",
  "https://127.0.0.1/x",
])("%j is no name, and nobody is asked", async (name) => {
  const before = registry.asked.length;
  expect((await failureOf(name)).code).toBe("reference_invalid");
  expect(registry.asked.length).toBe(before);
});

test("after all of it, what is right is pulled, and no connection or descriptor is left open", async () => {
  const { name, manifest } = registry.image("right/app", image);
  const { digest } = await store.pull(name, { registries });
  expect(digest).toBe(manifest.digest);
  expect(namesOf(store, name, scratch)).toEqual(["etc", "etc/base", "etc/top"]);
  expect(sha256(image.config)).toBe(store.get(name).id.slice(7));
  await store.remove(name, { inUse: nobody });
  await expectNothingLeft();
  await eventually("connections are closed", () => registry.connections === 0);
  // Some are bun's own: of its threads, and of a database that a test has read.
  await eventually("descriptors are closed", () => openFiles().length <= before.length + 4);
});
