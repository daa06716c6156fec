/** Signatures that are none, in a registry that means no good: nothing of the image is fetched, nothing stays. */
import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openImageStore } from "../src/images/index.ts";
import { openPolicy } from "../src/images/policy.ts";
import { openRegistries } from "../src/images/remote/registries.ts";
import type { Registries } from "../src/images/remote/types.ts";
import { SIGNATURE_ANNOTATION, SIMPLE_SIGNING, signatureTag } from "../src/images/trust/find.ts";
import { signWith } from "../src/images/trust/keys.ts";
import { payloadOf } from "../src/images/trust/payload.ts";
import type { ImageStore } from "../src/images/types.ts";
import type { Digest } from "../src/oci/digest.ts";
import { imageOf, tarOf } from "./images/archives.ts";
import { contentsOf } from "./images/harness.ts";
import { type Descriptor, HostileRegistry, types } from "./kit/hostile.ts";

const ours = generateKeyPairSync("ec", { namedCurve: "P-256" });
const others = generateKeyPairSync("ec", { namedCurve: "P-256" });
const image = imageOf([tarOf({ "etc/base": "base" })]);

let scratch: string;
let store: ImageStore;
let registry: HostileRegistry;
let registries: Registries;
let manifest: Descriptor;
let name: string;

beforeAll(async () => {
  registry = await HostileRegistry.start();
  scratch = mkdtempSync(join(tmpdir(), "onggi-trust-"));
  store = openImageStore(join(scratch, "store"));
  registries = openRegistries({ config: join(scratch, "none"), certsDirs: [], env: {}, timeouts: { answer: 2000, stall: 500 } });
  writeFileSync(join(scratch, "our.pub"), ours.publicKey.export({ type: "spki", format: "pem" }));
});
afterAll(async () => {
  await registry.close();
  store.close();
  registries.close();
  rmSync(scratch, { recursive: true });
});
beforeEach(() => {
  registry.answers.clear();
  ({ name, manifest } = registry.image("team/app", image));
});

const policy = (rule = `require = "signature"\nkeys = ["${join(scratch, "our.pub")}"]`) => {
  const file = join(scratch, "policy.toml");
  writeFileSync(file, `[policy."${registry.domain}/team"]\n${rule}\n`);
  return openPolicy(file);
};
const pull = (as = name, by = policy()) => store.pull(as, { registries, policy: by });

interface Layer {
  payload: string;
  key?: KeyObject;
  signature?: string;
}
const layerOf = (repository: string, { payload, key = ours.privateKey, signature }: Layer): Descriptor => ({
  ...registry.blob(repository, payload, SIMPLE_SIGNING),
  annotations: { [SIGNATURE_ANNOTATION]: signature ?? Buffer.from(signWith(key, Buffer.from(payload))).toString("base64") },
});
/** What lies under the tag of a manifest's signatures. */
const put = (layers: Descriptor[], digest = manifest.digest, repository = "team/app"): void => {
  const config = registry.blob(repository, "{}", types.config);
  registry.document(repository, signatureTag(digest as Digest), { schemaVersion: 2, mediaType: types.manifest, config, layers });
};
const sign = (layer: Partial<Layer> = {}, digest = manifest.digest): void =>
  put([layerOf("team/app", { payload: payloadOf(`${registry.domain}/team/app`, digest as Digest), ...layer })], digest);

/** Refused, before anything of the image was asked for; the store is empty. */
async function expectRefused(words: RegExp, code = "signature_missing", as = name): Promise<void> {
  registry.asked.length = 0;
  await expect(pull(as)).rejects.toMatchObject({ code, message: expect.stringMatching(words) });
  const { layers, config } = JSON.parse(String((registry.answers.get("team/app/manifests/1") as { body: string }).body));
  const fetched = [config, ...layers].map(({ digest }: Descriptor) => `team/app/blobs/${digest}`);
  expect(registry.asked.filter((path) => fetched.includes(path))).toEqual([]);
  expect(store.list()).toEqual([]);
  expect(contentsOf(join(scratch, "store"))).toEqual([]);
}
const expectTaken = async (as = name): Promise<void> => {
  const { image } = await pull(as);
  await store.remove(image.id, { force: true, inUse: new Set() });
};

test("signed by the key: it comes; by a wrong key, another image's, or not at all: nothing does", async () => {
  await expectRefused(/it has no signature/);
  sign({ key: others.privateKey });
  await expectRefused(/by another key/);
  const elsewhere = `sha256:${"1".repeat(64)}` as Digest;
  sign({ payload: payloadOf(`${registry.domain}/team/app`, elsewhere) });
  await expectRefused(/a signature is of another image/);
  sign({ payload: payloadOf(`${registry.domain}/team/other`, manifest.digest as Digest) });
  await expectRefused(/it is signed as .*\/team\/other/);
  sign({ signature: "AAAA" });
  await expectRefused(/by another key/);
  sign();
  await expectTaken();
});

test.each(["", "null", "[]", "{}", "not JSON", '{"critical":{"type":"atomic container signature"}}', "\u0000\u00ff"])(
  "a payload that is %j, although the key signed it",
  async (payload) => {
    sign({ payload });
    await expectRefused(/payload/);
  },
);

test("a good signature among bad ones is found", async () => {
  const good = payloadOf(`${registry.domain}/team/app`, manifest.digest as Digest);
  put([
    layerOf("team/app", { payload: good, key: others.privateKey }),
    layerOf("team/app", { payload: "{}" }),
    { ...layerOf("team/app", { payload: "gone" }), digest: `sha256:${"2".repeat(64)}` },
    { mediaType: "application/other", digest: "nonsense", size: -1 },
    layerOf("team/app", { payload: good }),
  ]);
  await expectTaken();
});

test("10,000 signatures, payloads of 100 MB, manifests of 100 MB: an error, and little is read", async () => {
  const layer = layerOf("team/app", { payload: "x", key: others.privateKey });
  put(Array.from({ length: 10_000 }, () => layer));
  await expectRefused(/has 10000 signatures; the limit is 100|more than 4 MiB/);
  put([{ ...layer, size: 100 << 20 }]);
  const before = registry.sent;
  await expectRefused(/a signature of 104857600 bytes; the limit is 65536/);
  const huge = function* () {
    for (let piece = 0; piece < 100; piece++) yield Buffer.alloc(1 << 20, " ");
  };
  registry.answers.set(`team/app/manifests/${signatureTag(manifest.digest as Digest)}`, { body: huge });
  await expectRefused(/more than 4 MiB/);
  expect(registry.sent - before).toBeLessThan(32 << 20);
  // the text of a payload that is another one than its digest says
  const { digest } = layer;
  put([layer]);
  registry.answers.set(`team/app/blobs/${digest}`, { body: "y" });
  await expectRefused(/has other bytes/);
});

test("a tag that moves between the verification and the pull: what was verified is what comes", async () => {
  sign();
  const evil = registry.image("team/evil", imageOf([tarOf({ "etc/evil": "evil" })]));
  const honest = registry.answers.get("team/app/manifests/1");
  const other = registry.answers.get(`team/evil/manifests/${evil.manifest.digest}`) as { body: string };
  let asked = 0;
  registry.answers.set("team/app/manifests/1", () => (asked++ === 0 ? (honest as { body: string }) : other));
  const { digest, image: pulled } = await pull();
  expect([digest, asked]).toEqual([manifest.digest, 1]);
  await store.remove(pulled.id, { force: true, inUse: new Set() });
});

test("of an index the signature of the index will do, or that of the platform's manifest", async () => {
  const platform = { os: "linux", architecture: process.arch === "arm64" ? "arm64" : "amd64" };
  const index = registry.document("team/app", "many", {
    schemaVersion: 2,
    mediaType: types.index,
    manifests: [{ ...manifest, platform }],
  });
  const many = `${registry.domain}/team/app:many`;
  await expectRefused(/it has no signature/, "signature_missing", many);
  sign();
  await expectTaken(many);
  registry.answers.delete(`team/app/manifests/${signatureTag(manifest.digest as Digest)}`);
  sign({}, index.digest);
  await expectTaken(many);
  // and no signature of one platform speaks for another
  await expectRefused(/it has no signature/);
});

test("what refers to the image is looked at too; the registry's word for it is not taken", async () => {
  const payload = payloadOf(`${registry.domain}/team/app`, manifest.digest as Digest);
  const artifactType = "application/vnd.dev.cosign.artifact.sig.v1+json";
  const artifact = (layer: Descriptor): void => {
    const config = registry.blob("team/app", "{}", "application/vnd.oci.empty.v1+json");
    const value = { schemaVersion: 2, mediaType: types.manifest, artifactType, config, layers: [layer], subject: manifest };
    const entry = { ...registry.document("team/app", null, value), artifactType };
    registry.answers.set(`team/app/referrers/${manifest.digest}`, {
      headers: { "Content-Type": types.index },
      body: JSON.stringify({ schemaVersion: 2, mediaType: types.index, manifests: [entry] }),
    });
  };
  artifact(layerOf("team/app", { payload, key: others.privateKey }));
  await expectRefused(/by another key/);
  artifact(layerOf("team/app", { payload }));
  await expectTaken();
});

test("a mirror is no way around: the name that is asked for decides, wherever it is fetched from", async () => {
  const mirror = await HostileRegistry.start();
  const config = join(scratch, "registries.toml");
  const at = `registry."${registry.domain}"`;
  writeFileSync(config, `[[${at}.mirror]]\nlocation = "${mirror.domain}"\ninsecure = "http"\n[${at}]\ninsecure = "http"\n`);
  const mirrored = openRegistries({ config, certsDirs: [], env: {} });
  const through = (rule?: string) => store.pull(name, { registries: mirrored, policy: policy(rule) });
  try {
    mirror.image("team/app", imageOf([tarOf({ "etc/evil": "evil" })]));
    await expect(through()).rejects.toMatchObject({ code: "signature_missing" });
    // the mirror's own name may have a rule of its own: it is not the one that counts
    const file = join(scratch, "mirror.toml");
    const ours = `[policy."${registry.domain}"]\nrequire = "signature"\nkeys = ["${join(scratch, "our.pub")}"]\n`;
    writeFileSync(file, `${ours}[policy."${mirror.domain}"]\naccept = true\n`);
    const both = store.pull(name, { registries: mirrored, policy: openPolicy(file) });
    await expect(both).rejects.toMatchObject({ code: "signature_missing" });
    await expect(through("reject = true")).rejects.toMatchObject({ code: "policy_refused" });
    expect(contentsOf(join(scratch, "store"))).toEqual([]);
    // what it has of the registry's comes from it; the signature may be the registry's alone, beside a worse one of the mirror's
    mirror.image("team/app", image);
    sign();
    const tag = `team/app/manifests/${signatureTag(manifest.digest as Digest)}`;
    mirror.answers.set(tag, { headers: { "Content-Type": types.manifest }, body: '{"schemaVersion":2,"layers":[]}' });
    const { image: pulled, source } = await through();
    expect(source).toBe(mirror.domain);
    await store.remove(pulled.id, { force: true, inUse: new Set() });
  } finally {
    mirrored.close();
    await mirror.close();
  }
});

test("names that are refused, or wanted by digest, ask nothing of the registry", async () => {
  const asked = registry.asked.length;
  await expect(pull(name, policy("reject = true"))).rejects.toMatchObject({ code: "policy_refused" });
  await expect(pull(name, policy('require = "digest"'))).rejects.toMatchObject({ code: "policy_refused" });
  await expect(pull(name, policy("rejct = true"))).rejects.toMatchObject({ code: "policy_invalid" });
  const missing = policy('require = "signature"\nkeys = ["/nonexistent/key.pub"]');
  await expect(pull(name, missing)).rejects.toMatchObject({ code: "policy_invalid", message: expect.stringContaining("line 3") });
  expect(registry.asked.length).toBe(asked);
  const { image: pulled } = await pull(`${registry.domain}/team/app@${manifest.digest}`, policy('require = "digest"'));
  await store.remove(pulled.id, { force: true, inUse: new Set() });
});
