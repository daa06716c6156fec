/** Signatures and the policy that wants them, with cosign and skopeo: what they sign, onggi takes, and the other way round. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CommandLine } from "../kit/command.ts";
import { type Engine, startEngine } from "../kit/engine.ts";
import { busyboxArchive, sh } from "../kit/images.ts";
import { Registry } from "../kit/registry.ts";
import { toolPath } from "../kit/tools.ts";

const PASSWORD = "pw";
const cosignPath = toolPath("cosign");
const skopeoPath = toolPath("skopeo");

let engine: Engine;
let registry: Registry;
let directory: string;
let policyFile: string;
let count = 0;
/** An image of its own for each test. */
let path: string;
let name: string;

const at = (file: string): string => join(directory, file);
const push = (to: string): void => {
  sh([
    "skopeo",
    "copy",
    "-q",
    "--dest-tls-verify=false",
    `docker-archive:${busyboxArchive()}`,
    `docker://${registry.domain}/${to}`,
  ]);
};
const policy = (rule: string): void => writeFileSync(policyFile, `[policy."${registry.domain}"]\n${rule}\n`);
const wanted = (file: string, more = ""): void => policy(`require = "signature"\nkeys = ["${at(file)}"]\n${more}`);
const onggi = (...args: string[]) => engine.onggi(args, { env: { COSIGN_PASSWORD: PASSWORD } });
const fails = async (words: string, ...args: string[]): Promise<void> => {
  const { code, stderr } = await onggi(...args);
  expect([code !== 0, stderr]).toEqual([true, expect.stringContaining(words)]);
};
const images = async (): Promise<string> => await engine.ok(["images", "-q"]);

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "onggi-trust-"));
  policyFile = at("policy.toml");
  engine = startEngine({ env: { ONGGI_POLICY: policyFile } });
  registry = await Registry.start();
  sh(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", at("other.key")]);
  sh(["openssl", "ec", "-in", at("other.key"), "-pubout", "-out", at("other.pub")]);
  sh(["openssl", "genrsa", "-out", at("rsa.key"), "2048"]);
  sh(["openssl", "rsa", "-in", at("rsa.key"), "-pubout", "-out", at("rsa.pub")]);
  sh(["openssl", "genpkey", "-algorithm", "ed25519", "-out", at("ed.key")]);
  sh(["openssl", "pkey", "-in", at("ed.key"), "-pubout", "-out", at("ed.pub")]);
  if (cosignPath) await cosign("generate-key-pair", "--output-key-prefix", at("our"));
  else for (const end of ["key", "pub"]) sh(["cp", at(`other.${end}`), at(`our.${end}`)]);
}, 60_000);
afterAll(async () => {
  rmSync(directory, { recursive: true });
  await registry.close();
  await engine.close();
}, 60_000);
beforeEach(() => {
  path = `team/app${++count}`;
  name = `${registry.domain}/${path}:1`;
  push(`${path}:1`);
  policy("accept = true");
});

const cosign = async (...args: string[]): Promise<string> => {
  const env = { COSIGN_PASSWORD: PASSWORD, HOME: directory, TUF_ROOT: at("tuf") };
  return await new CommandLine([cosignPath!], { cwd: directory, env, timeout: 60_000 }).ok(args);
};

test("an image must be signed by the key to be pulled or run; what is here already runs", async () => {
  wanted("other.pub");
  await fails("is not signed by", "pull", name);
  await fails("is not signed by", "run", "--rm", name, "true");
  await fails("is not signed by", "create", "--pull", "always", name);
  expect(await images()).toBe("");
  const { stdout } = await onggi("image", "sign", "--key", at("other.key"), "-a", "build=7", name);
  expect(stdout).toMatch(/^Signed: sha256:[0-9a-f]{64}\n$/);
  expect(await engine.ok(["run", "--rm", name, "echo", "signed"])).toBe("signed");
  // by another key now; what came under the old policy is not asked again, a pull is
  wanted("rsa.pub");
  expect(await engine.ok(["run", "--rm", name, "echo", "here"])).toBe("here");
  await fails("by another key", "run", "--rm", "--pull", "always", name, "true");
  await onggi("image", "sign", "--key", at("rsa.key"), name);
  await engine.ok(["pull", "-q", name]);
  for (const key of ["other.pub", "rsa.pub"])
    expect(await engine.ok(["image", "verify", "--key", at(key), name])).toContain(
      `is signed by ${at(key)}, as ${registry.domain}`,
    );
  await fails("is not signed by", "image", "verify", "--identity", "exact", "--key", at("rsa.pub"), name);
  await engine.ok(["rmi", name]);
}, 60_000);

test("those who sign at the same moment have all signed", async () => {
  const keys = ["other", "rsa"];
  const signed = await Promise.all(keys.map((key) => onggi("image", "sign", "--key", at(`${key}.key`), name)));
  expect(signed.map(({ code }) => code)).toEqual([0, 0]);
  for (const key of keys) await engine.ok(["image", "verify", "--key", at(`${key}.pub`), name]);
});

test("a signature is of one image, and copied with another it is none", async () => {
  const tag = `sha256-${sh(["skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}", `docker://${name}`])
    .trim()
    .slice(7)}.sig`;
  await onggi("image", "sign", "--key", at("other.key"), name);
  const copied = `${registry.domain}/team/copied${count}`;
  sh(["skopeo", "copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false", `docker://${name}`, `docker://${copied}:1`]);
  const signatures = `${registry.domain}/${path}:${tag}`;
  sh([
    "skopeo",
    "copy",
    "-q",
    "--src-tls-verify=false",
    "--dest-tls-verify=false",
    `docker://${signatures}`,
    `docker://${copied}:${tag}`,
  ]);
  wanted("other.pub");
  await fails(`it is signed as ${registry.domain}/${path}`, "pull", `${copied}:1`);
  wanted("other.pub", `identity = "any"`);
  await engine.ok(["pull", "-q", `${copied}:1`]);
  await engine.ok(["rmi", `${copied}:1`]);
  writeFileSync(
    policyFile,
    `[policy."${copied}"]\nrequire = "signature"\nkeys = ["${at("other.pub")}"]\nsigned-as = "${registry.domain}/${path}"\n`,
  );
  await engine.ok(["pull", "-q", `${copied}:1`]);
  await engine.ok(["rmi", `${copied}:1`]);
}, 60_000);

test("by digest only, from nowhere, and a policy that cannot be read", async () => {
  policy('require = "digest"');
  await fails("asks for a digest", "pull", name);
  await fails("asks for a digest", "pull", "-a", `${registry.domain}/${path}`);
  const digest = sh(["skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}", `docker://${name}`]).trim();
  await engine.ok(["pull", "-q", `${registry.domain}/${path}@${digest}`]);
  policy("reject = true");
  await fails("lets nothing come from there", "pull", `${registry.domain}/${path}@${digest}`);
  policy("reject = yes");
  await fails(`${policyFile}: line 2`, "pull", name);
  // an archive is not asked
  await engine.ok(["load", "-q", "-i", busyboxArchive()]);
  await engine.ok(["rmi", "-f", ...new Set((await images()).split("\n"))]);
});

describe.skipIf(cosignPath === null)("cosign", () => {
  const flags = ["--tlog-upload=false", "--yes"];

  test("signs what onggi takes", async () => {
    await cosign("sign", ...flags, "--key", at("our.key"), name);
    wanted("other.pub");
    await fails("by another key", "pull", name);
    wanted("our.pub");
    await engine.ok(["pull", "-q", name]);
    await engine.ok(["rmi", name]);
  }, 60_000);

  test("verifies what onggi signs, with cosign's own key, beside its own signature", async () => {
    const verify = (key: string) => cosign("verify", "--insecure-ignore-tlog", "--key", at(key), name);
    await cosign("sign", ...flags, "--key", at("our.key"), name);
    await onggi("image", "sign", "--key", at("rsa.key"), "-a", "by=onggi", name);
    expect(await verify("rsa.pub")).toContain('"by":"onggi"');
    expect(await verify("our.pub")).toContain('"cosign container image signature"');
    await expect(verify("other.pub")).rejects.toThrow();
    await onggi("image", "sign", "--key", at("ed.key"), name);
    await verify("ed.pub");
    const { code } = await onggi("image", "sign", "--key", at("our.key"), name);
    expect(code).toBe(0);
    await verify("our.pub");
    const wrong = await engine.onggi(["image", "sign", "--key", at("our.key"), name], { env: { COSIGN_PASSWORD: "no" } });
    expect([wrong.code, wrong.stderr]).toEqual([1, expect.stringContaining("the password does not open it")]);
  }, 60_000);

  test("signs through what refers to the image, in the registry that has no list of that", async () => {
    const env = { COSIGN_PASSWORD: PASSWORD, HOME: directory, COSIGN_EXPERIMENTAL: "1" };
    const experimental = new CommandLine([cosignPath!], { cwd: directory, env, timeout: 60_000 });
    await experimental.ok(["sign", ...flags, "--registry-referrers-mode", "oci-1-1", "--key", at("our.key"), name]);
    wanted("our.pub");
    await engine.ok(["pull", "-q", name]);
    await engine.ok(["rmi", name]);
  }, 60_000);
});

describe.skipIf(skopeoPath === null)("skopeo", () => {
  const skopeo = (...args: string[]): string => sh([skopeoPath!, "--registries.d", at("registries.d"), ...args]);
  beforeAll(() => {
    mkdirSync(at("registries.d"));
    writeFileSync(at("registries.d/all.yaml"), "default-docker:\n  use-sigstore-attachments: true\n");
    const rule = { type: "sigstoreSigned", keyPath: at("other.pub"), signedIdentity: { type: "matchRepository" } };
    const rules = { default: [{ type: "reject" }], transports: { docker: { [registry.domain]: [rule] } } };
    writeFileSync(at("policy.json"), JSON.stringify(rules));
    writeFileSync(at("anything.json"), JSON.stringify({ default: [{ type: "insecureAcceptAnything" }] }));
    writeFileSync(at("password"), PASSWORD);
  });

  test("takes what onggi signs, and nothing else", async () => {
    const copy = () =>
      skopeo("--policy", at("policy.json"), "copy", "-q", "--src-tls-verify=false", `docker://${name}`, `dir:${at("copied")}`);
    expect(copy).toThrow("signature");
    await onggi("image", "sign", "--key", at("rsa.key"), name);
    expect(copy).toThrow("signature");
    await onggi("image", "sign", "--key", at("other.key"), name);
    copy();
  }, 60_000);

  test.skipIf(cosignPath === null)(
    "signs what onggi takes",
    async () => {
      const keys = ["--sign-by-sigstore-private-key", at("our.key"), "--sign-passphrase-file", at("password")];
      const source = `docker-archive:${busyboxArchive()}`;
      skopeo("--policy", at("anything.json"), "copy", "-q", "--dest-tls-verify=false", ...keys, source, `docker://${name}`);
      wanted("our.pub", 'identity = "exact"');
      await engine.ok(["pull", "-q", name]);
      await engine.ok(["rmi", name]);
    },
    60_000,
  );
});
