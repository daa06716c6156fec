// biome-ignore-all lint/suspicious/noTemplateCurlyInString: variables are the matter
/** `onggi compose config`: no engine is asked for it. How files are loaded is in src/compose/load. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type CallOptions, startCommand } from "../kit/command.ts";
import { onggiCommand, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";
import { Registry } from "../kit/registry.ts";

let directory: string;

const config = (words: readonly string[], options: CallOptions & { before?: readonly string[] } = {}) =>
  startCommand([...onggiCommand, "compose", ...(options.before ?? []), "config", ...words], { cwd: directory, ...options }).done;
const said = async (...given: Parameters<typeof config>): Promise<string> => {
  const { stdout, stderr, code } = await config(...given);
  expect([code, stderr]).toEqual([0, ""]);
  return stdout;
};

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "onggi-compose-"));
  mkdirSync(join(directory, "sub"));
  writeFileSync(join(directory, ".env"), "TAG=1.2\n");
  writeFileSync(
    join(directory, "compose.yaml"),
    `name: shop
services:
  web:
    image: nginx:\${TAG:-latest}
    ports: ["80:80"]
    command: echo $$HOME
    depends_on: [db]
    volumes: [data:/data]
    x-team: front
  db: {image: "postgres:\${PG?which}", profiles: [db]}
  job: {build: ., networks: [back]}
volumes: {data: , unused: }
networks: {back: }
x-common: {a: 1}
`,
  );
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const env = { PG: "17" };
const before = ["--profile", "db"];

test("the project is printed, as YAML that says the same again", async () => {
  const yaml = await said([], { env, before });
  expect(yaml).toContain("image: nginx:1.2\n");
  expect(yaml).toContain("- $$HOME\n");
  expect(yaml).toContain("x-team: front\n");
  expect(yaml).not.toContain("unused");
  writeFileSync(join(directory, "sub/compose.yaml"), yaml);
  expect(await said([], { env, before: ["-f", "sub/compose.yaml", "--project-directory", ".", ...before] })).toBe(yaml);
  expect(await said([], { env, before: ["-f", "-", ...before], stdin: yaml })).toBe(yaml);
  const json = JSON.parse(await said(["--format", "json"], { env, before: ["--all-resources", ...before] }));
  expect(json).toMatchObject({
    name: "shop",
    services: { web: { ports: [{ target: 80, published: "80" }] } },
    volumes: { unused: {} },
  });
});

test("names of one kind", async () => {
  const names = async (...words: string[]): Promise<string[]> => (await said(words, { env, before })).trimEnd().split("\n");
  expect(await names("--services")).toEqual(["web", "db", "job"]);
  expect(await names("--services", "web")).toEqual(["web", "db"]);
  expect(await names("--images")).toEqual(["nginx:1.2", "postgres:17", "shop-job"]);
  expect(await names("--volumes")).toEqual(["data"]);
  expect(await names("--networks")).toEqual(["back", "default"]);
  expect(await names("--profiles")).toEqual(["db"]);
  expect(await names("--variables")).toEqual([
    expect.stringMatching(/^NAME +REQUIRED +DEFAULT VALUE +ALTERNATE VALUE$/),
    expect.stringMatching(/^PG +true/),
    expect.stringMatching(/^TAG +false +latest/),
  ]);
  expect(await names("--environment")).toContain("TAG=1.2");
  expect(await names("--hash", "db")).toEqual([expect.stringMatching(/^db [0-9a-f]{64}$/)]);
});

test("what is left as it is", async () => {
  const written = await said(["--no-interpolate"], { env, before });
  expect(written).toContain("image: nginx:${TAG:-latest}");
  expect(written).toContain("command: echo $$HOME");
  const plain = await said(["--no-normalize", "--no-path-resolution"], { env, before });
  expect(plain).toContain(`context: "."\n`);
  expect(plain).not.toContain("default");
});

test("into a file", async () => {
  expect(await said(["-o", "sub/out.yaml"], { env, before })).toBe("");
  expect(readFileSync(join(directory, "sub/out.yaml"), "utf8")).toStartWith("name: shop\n");
});

test("what is wrong is told, with its place, and ends with 1", async () => {
  expect(await said(["-q"], { env, before })).toBe("");
  expect(await config(["-q"], { env })).toMatchObject({
    code: 1,
    stdout: "",
    stderr: `onggi: compose.yaml:7:18: services.web.depends_on.db: service "db" is required by "web" but is disabled; enable it with --profile db\n`,
  });
  expect(await config([], { before })).toMatchObject({
    code: 1,
    stderr: "onggi: compose.yaml:10:25: services.db.image: required variable PG is missing a value: which\n",
  });
  expect(await config([], { before: ["-f", "none.yaml"] })).toMatchObject({
    code: 1,
    stderr: `onggi: open ${directory}/none.yaml: no such file or directory\n`,
  });
  expect(await config(["nope"], { env, before })).toMatchObject({ code: 1, stderr: "onggi: no such service: nope\n" });
});

test("images by their digests, which their registry is asked for", async () => {
  const engine = startEngine();
  const registry = await Registry.start();
  try {
    await bootstrapBusybox(engine);
    const name = `${registry.domain}/shop/web:1`;
    await engine.ok(["tag", "busybox", name]);
    const digest = /sha256:[0-9a-f]{64}/.exec(await engine.ok(["push", name]))?.[0];
    const file = join(directory, "sub/pinned.yaml");
    writeFileSync(
      file,
      `name: pinned\nservices: {web: {image: "${name}"}, built: {build: .}, there: {image: "x@sha256:${"a".repeat(64)}"}}\n`,
    );
    const pinned = JSON.parse(await engine.ok(["compose", "-f", file, "config", "--resolve-image-digests", "--format", "json"]));
    expect(pinned.services.web.image).toBe(`${name}@${digest}`);
    expect(pinned.services.there.image).toBe(`x@sha256:${"a".repeat(64)}`);
    const locked = await engine.ok(["compose", "-f", file, "config", "--lock-image-digests"]);
    expect(locked).toStartWith(`services:\n  web:\n    image: ${name}@${digest}\n`);
    writeFileSync(join(directory, "sub/lock.yaml"), locked);
    expect(await engine.ok(["compose", "-f", file, "-f", join(directory, "sub/lock.yaml"), "config", "--images"])).toContain(
      `${name}@${digest}\n`,
    );
  } finally {
    await registry.close();
    await engine.close();
  }
}, 60_000);
