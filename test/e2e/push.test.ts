/** Login, push, logout, against a docker-registry that wants passwords; what was pushed is read by skopeo, podman and another engine. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Engine, startEngine } from "../kit/engine.ts";
import { dockerArchive, sh } from "../kit/images.ts";
import { makePodman, podmanUnavailable } from "../kit/podman.ts";
import { Registry } from "../kit/registry.ts";

let engine: Engine;
let registry: Registry;
let home: string;
let env: Record<string, string>;
/** The name of the image that was loaded. */
let loaded: string;

beforeAll(async () => {
  engine = startEngine();
  registry = await Registry.start({ users: { ann: "s3cret" } });
  home = mkdtempSync(join(tmpdir(), "onggi-login-"));
  env = { DOCKER_CONFIG: home };
  loaded = /Loaded image: (.*)/.exec(await engine.ok(["load", "-q", "-i", dockerArchive()]))![1]!;
}, 120_000);
afterAll(async () => {
  rmSync(home, { recursive: true, force: true });
  await registry.close();
  await engine.close();
}, 120_000);

const name = (): string => `${registry.domain}/team/app:1`;
const onggi = (args: string[], stdin = "") => engine.onggi(args, { env, stdin });
const login = (password: string) => onggi(["login", "-u", "ann", "--password-stdin", registry.domain], `${password}\n`);

test("nobody may push before they have logged in", async () => {
  await engine.ok(["tag", loaded, name()]);
  const { code, stderr } = await onggi(["push", name()]);
  expect([code, stderr.includes("onggi login")]).toEqual([1, true]);
});

test("a wrong password is refused and not kept", async () => {
  const { code, stderr } = await login("wrong");
  expect(code).toBe(1);
  expect(stderr).toContain(registry.domain);
  expect(stderr).not.toContain("wrong");
  expect(() => statSync(join(home, "config.json"))).toThrow();
});

test("login keeps the credentials for their owner alone; push and pull use them", async () => {
  expect(await login("s3cret")).toMatchObject({ code: 0, stdout: "Login Succeeded\n" });
  expect(statSync(join(home, "config.json")).mode & 0o777).toBe(0o600);
  const { code, stdout, stderr } = await onggi(["push", name()]);
  expect([code, stderr]).toEqual([0, ""]);
  expect(stdout).toStartWith(`The push refers to repository [${registry.domain}/team/app]\n`);
  expect(stdout.match(/: Pushed$/gm)?.length).toBe(3);
  const [, digest] = /^1: digest: (sha256:[0-9a-f]{64}) size: \d+$/m.exec(stdout)!;
  const seen = sh([
    "skopeo",
    "inspect",
    "--tls-verify=false",
    "--creds=ann:s3cret",
    "--format",
    "{{.Digest}}",
    `docker://${name()}`,
  ]);
  expect(seen.trim()).toBe(digest!);
  const again = await onggi(["push", name()]);
  expect(again.stdout.match(/: Layer already exists$/gm)?.length).toBe(3);

  const other = startEngine();
  try {
    expect(await other.ok(["pull", name()], { env })).toContain(`Digest: ${digest}`);
    expect(await other.ok(["run", "--rm", name(), "echo", "arrived"])).toBe("arrived");
  } finally {
    await other.close();
  }
}, 60_000);

test.skipIf(podmanUnavailable() !== null)(
  "podman pulls it, and it is the same image",
  async () => {
    const podman = makePodman("/usr/sbin/runc");
    try {
      await podman.client.ok(["pull", "-q", "--tls-verify=false", "--creds=ann:s3cret", name()]);
      const id = await podman.client.ok(["image", "inspect", "--format", "{{.Id}}", name()]);
      expect(`sha256:${id}`).toBe(JSON.parse(await engine.ok(["image", "inspect", name()]))[0].Id);
      await podman.client.ok(["rmi", name()]);
    } finally {
      await podman.close();
    }
  },
  60_000,
);

test("logout forgets them", async () => {
  expect((await onggi(["logout", registry.domain])).code).toBe(0);
  expect(readFileSync(join(home, "config.json"), "utf8")).not.toContain('auth":');
  expect((await onggi(["push", name()])).code).toBe(1);
});

test("all names of a repository", async () => {
  await login("s3cret");
  for (const tag of ["2", "3"]) await engine.ok(["tag", loaded, `${registry.domain}/team/app:${tag}`]);
  const { code, stdout } = await onggi(["push", "-a", `${registry.domain}/team/app`]);
  expect(code).toBe(0);
  expect(stdout.match(/^\d: digest:/gm)?.length).toBe(3);
  expect((await onggi(["push", "-a", name()])).code).not.toBe(0);
});

test("without a password and without a terminal to ask on, it says how", async () => {
  const { code, stderr } = await onggi(["login", "-u", "ann", registry.domain]);
  expect(code).not.toBe(0);
  expect(stderr).toContain("--password-stdin");
});
