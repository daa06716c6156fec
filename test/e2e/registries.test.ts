/** The registries' client as the command line shows it: mirrors, a pull-through cache, questions on a terminal. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Engine, startEngine } from "../kit/engine.ts";
import { dockerArchive, sh } from "../kit/images.ts";
import { Registry } from "../kit/registry.ts";
import { TokenServer } from "../kit/token-server.ts";

let engine: Engine;
/** Lets ann alone in. */
let tokens: TokenServer;
/** Has the image. */
let origin: Registry;
/** Debian's docker-registry as a cache of it. */
let cache: Registry;
let directory: string;

const say = (mirrors: readonly string[]): void => {
  const tables = mirrors.map((place) => `[[registry."hub.test".mirror]]\nlocation = "${place}"\npull-through = true\n`);
  writeFileSync(join(directory, "registries.toml"), `[registry."hub.test"]\nlocation = "${origin.domain}"\n${tables.join("")}`);
};

interface Step {
  readonly id: string;
  readonly message?: string;
  readonly source?: string;
  readonly digest?: string;
}
const pulled = async (name: string): Promise<Step[]> =>
  (await engine.ok(["pull", "--progress", "json", name])).split("\n").map((line) => JSON.parse(line) as Step);
const sourcesIn = (steps: readonly Step[]): unknown[] => [
  ...new Set(steps.filter(({ message }) => message === "Pull complete").map(({ source }) => source)),
  steps.at(-1)?.source,
];

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "onggi-e2e-registries-"));
  const docker = join(directory, "docker");
  engine = startEngine({ env: { ONGGI_REGISTRIES: join(directory, "registries.toml"), DOCKER_CONFIG: docker } });
  tokens = new TokenServer({ users: { ann: "s3cret" }, allowed: (user) => user === "ann" });
  origin = await Registry.start({ config: tokens.config });
  cache = await Registry.start({ config: `proxy: {remoteurl: "${origin.url}", username: ann, password: s3cret}\n` });
  const copy = ["skopeo", "copy", "-q", "--dest-tls-verify=false", "--dest-creds", "ann:s3cret"];
  // Not a call that waits: the token server is this process.
  const child = Bun.spawn([...copy, `docker-archive:${dockerArchive()}`, `docker://${origin.domain}/team/app:1`]);
  expect(await child.exited).toBe(0);
  say([]);
}, 120_000);
afterAll(async () => {
  await Promise.all([cache?.close(), origin?.close(), tokens?.close()]);
  await engine.close();
  rmSync(directory, { recursive: true, force: true });
}, 120_000);

test("login asks for name and password, which is not shown; the name of before needs no more than a return", async () => {
  const kept = (): unknown => JSON.parse(readFileSync(join(directory, "docker/config.json"), "utf8")).auths["hub.test"];
  const first = engine.terminal(["login", "hub.test"]);
  await first.until("Username: ");
  first.write("annx\u007f\n");
  await first.until("Password: ");
  first.write("s3crex\u007ft\r");
  expect(await first.done).toBe(0);
  expect(first.screen()).toContain("Login Succeeded");
  expect(first.screen()).not.toContain("s3cre");
  expect(kept()).toEqual({ auth: btoa("ann:"), identitytoken: expect.stringMatching(/^refresh-ann-/) });

  const again = engine.terminal(["login", "hub.test"]);
  await again.until("Username (ann): ");
  // Both answers at once.
  again.write("\ns3cret\n");
  expect(await again.done).toBe(0);

  const before = kept();
  const wrong = engine.terminal(["login", "-u", "bob", "hub.test"]);
  await wrong.until("Password: ");
  wrong.write("nothing\r");
  expect(await wrong.done).toBe(1);
  expect(wrong.screen()).not.toContain("nothing");
  expect(kept()).toEqual(before);

  const given = engine.terminal(["login", "hub.test"]);
  await given.until("Username (ann): ");
  given.write("\n");
  await given.until("Password: ");
  given.write("\u0003");
  expect(await given.done).not.toBe(0);
  await given.until("no answer was given");
}, 60_000);

test("the registry itself, by its name elsewhere", async () => {
  expect(sourcesIn(await pulled("hub.test/team/app:1"))).toEqual([origin.domain, origin.domain]);
  await engine.ok(["rmi", "hub.test/team/app:1"]);
});

test("a pull-through cache gives what its registry has; the credentials stay with the registry", async () => {
  say([cache.domain]);
  const steps = await pulled("hub.test/team/app:1");
  expect(sourcesIn(steps)).toEqual([cache.domain, cache.domain]);
  expect(await cache.log()).toContain("ns=hub.test");
  expect(await engine.ok(["images", "--digests", "--format", "{{.Repository}} {{.Digest}}"])).toBe(
    `hub.test/team/app ${steps.at(-1)!.digest}`,
  );
  expect(await engine.ok(["run", "--rm", "--pull", "never", "hub.test/team/app:1", "echo", "arrived"])).toBe("arrived");
  await engine.ok(["rmi", "hub.test/team/app:1"]);
});

test("a cache whose blobs have rotten is passed over for each of them, and the log says so", async () => {
  for (const hex of cache.blobs()) {
    const bytes = readFileSync(cache.blobFile(hex));
    bytes[bytes.length - 1]! ^= 1;
    writeFileSync(cache.blobFile(hex), bytes);
  }
  say([cache.domain]);
  const steps = await pulled("hub.test/team/app:1");
  expect(sourcesIn(steps)[0]).toBe(origin.domain);
  expect(await engine.ok(["run", "--rm", "--pull", "never", "hub.test/team/app:1", "echo", "whole"])).toBe("whole");
  expect(await engine.ok(["engine", "logs"])).toMatch(new RegExp(`${cache.domain}/team/app: .*; the next source is asked`));
  await engine.ok(["rmi", "hub.test/team/app:1"]);
});

test("a mirror that wants to know who asks is told by the credentials kept for it", async () => {
  const guarded = await Registry.start({ users: { cara: "own" } });
  try {
    const copy = ["skopeo", "copy", "-q", "--dest-tls-verify=false", "--dest-creds", "cara:own"];
    sh([...copy, `docker-archive:${dockerArchive()}`, `docker://${guarded.domain}/team/app:1`]);
    say([guarded.domain]);
    expect(sourcesIn(await pulled("hub.test/team/app:1"))).toEqual([origin.domain, origin.domain]);
    await engine.ok(["rmi", "hub.test/team/app:1"]);
    await engine.ok(["login", "-u", "cara", "--password-stdin", guarded.domain], { stdin: "own" });
    expect(sourcesIn(await pulled("hub.test/team/app:1"))).toEqual([guarded.domain, guarded.domain]);
    await engine.ok(["rmi", "hub.test/team/app:1"]);
  } finally {
    await guarded.close();
  }
});

test("nobody has it: every source is named, with its reason; a file that is no TOML is told by line", async () => {
  await cache.down();
  say([cache.domain]);
  const { code, stderr } = await engine.onggi(["pull", "hub.test/team/none:1"]);
  expect(code).toBe(1);
  expect(stderr).toContain("hub.test/team/none: manifest 1: none of 2 sources: ");
  expect(stderr).toContain(`(1) ${cache.domain}/team/none: manifest 1: ${cache.domain} cannot be reached`);
  expect(stderr).toContain("(2) hub.test/team/none: manifest 1: the registry does not have it (404)");
  writeFileSync(join(directory, "registries.toml"), '[registry."hub.test"]\n\nlocation = \n');
  const broken = await engine.onggi(["pull", "hub.test/team/app:1"]);
  expect([broken.code, broken.stderr]).toEqual([1, expect.stringContaining("registries.toml: line 3: ")]);
});
