/** testcontainers for Node on docker.sock, without its reaper and with one. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { composeVariables } from "../kit/docker-api.ts";
import { type Engine, eventually, repository, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox, cached, sh } from "../kit/images.ts";
import { nodeScript, nodeTests } from "../kit/node.ts";

let engine: Engine;
beforeAll(async () => {
  engine = startEngine();
  await bootstrapBusybox(engine);
  await makeReaperImage();
}, 120_000);
afterAll(() => engine.close(), 120_000);

const suite = (name: string): string => join(import.meta.dirname, "testcontainers", name);
const environment = (more: Readonly<Record<string, string>>): Record<string, string> => ({
  DOCKER_HOST: `unix://${engine.run}/docker.sock`,
  // nothing of the machine's own settings
  HOME: engine.base,
  TESTCONTAINERS_HOST_OVERRIDE: "127.0.0.1",
  ...more,
});

test("the library", async () => {
  const { stdout, stderr, code } = await nodeTests(suite("library.ts"), environment({ TESTCONTAINERS_RYUK_DISABLED: "true" }));
  expect(code === 0 ? "" : stdout + stderr).toBe("");
  expect(await engine.ok(["ps", "-aq"])).toBe("");
}, 180_000);

const PROJECT = `
services:
  db:
    image: busybox
    command: sleep 1000
    stop_grace_period: 0s
    healthcheck: {test: ["CMD", "true"], interval: 1s, start_period: 1s, start_interval: 100ms}
  web:
    image: busybox
    command: sh -c 'mkdir /www; echo $$GREETING > /www/index.html; exec httpd -f -p 80 -h /www'
    environment: [GREETING]
    ports: ["80"]
    stop_grace_period: 0s
`;

test("compose projects", async () => {
  const variables = composeVariables(engine);
  if (!variables) return;
  const project = join(engine.base, "project");
  mkdirSync(project);
  writeFileSync(join(project, "compose.yaml"), PROJECT);
  const settings = { ...environment({ TESTCONTAINERS_RYUK_DISABLED: "true", PROJECT: project }), ...variables };
  const { stdout, stderr, code } = await nodeTests(suite("compose.ts"), settings);
  expect(code === 0 ? "" : stdout + stderr).toBe("");
  expect(await engine.ok(["ps", "-aq"])).toBe("");
}, 180_000);

/** Bun with the libraries it wants and the reaper, as a tar of a root file system. */
const reaperTar = (): string =>
  cached("reaper.tar", (file) => {
    const tree = `${file}.tree`;
    const bun = join(repository, "node_modules/.bin/bun");
    const libraries = [...sh(["ldd", bun]).matchAll(/(\/\S+) \(0x/g)].map(([, path]) => path!);
    for (const path of libraries) {
      mkdirSync(join(tree, dirname(path)), { recursive: true });
      cpSync(path, join(tree, path), { dereference: true });
    }
    mkdirSync(join(tree, "bin"), { recursive: true });
    cpSync(bun, join(tree, "bin/bun"), { dereference: true });
    sh(["tar", "--numeric-owner", "--owner=0", "--group=0", "-C", tree, "-cf", file, "."]);
    sh(["rm", "-r", tree]);
  });

/** The image `onggi-test/reaper:1`. */
async function makeReaperImage(): Promise<void> {
  await engine.ok(["import", reaperTar(), "onggi-test/bun:1"], { timeout: 60_000 });
  const id = await engine.ok(["create", "onggi-test/bun:1", "/bin/bun"]);
  await engine.ok(["cp", suite("reaper.ts"), `${id}:/reaper.ts`]);
  await engine.ok(["commit", "-c", 'CMD ["/bin/bun", "/reaper.ts"]', id, "onggi-test/reaper:1"]);
  await engine.ok(["rm", id]);
}

for (const privileged of [false, true]) {
  test(`a ${privileged ? "privileged reaper" : "reaper in a user namespace"} removes what a killed process has left`, async () => {
    const settings = {
      RYUK_CONTAINER_IMAGE: "onggi-test/reaper:1",
      TESTCONTAINERS_RYUK_PRIVILEGED: String(privileged),
      TESTCONTAINERS_RYUK_RECONNECTION_TIMEOUT: "0.5s",
    };
    const { stdout, stderr, code } = await nodeScript(suite("reaped.ts"), environment(settings));
    expect([code, stderr]).toEqual([137, ""]);
    const { Name, State } = await engine.inspect(stdout.trim());
    expect(Name).toStartWith("/testcontainers-ryuk-");
    const ids = readFileSync(`/proc/${State.Pid}/uid_map`, "utf8").trim().split(/ +/);
    expect(ids[1] === "0").toBe(privileged);
    await eventually("all of it has gone, and the reaper has ended", async () => (await engine.ok(["ps", "-q"])) === "");
    expect(await engine.ok(["ps", "-a", "--filter", "name=reaped", "-q"])).toBe("");
    expect(await engine.ok(["network", "ls", "-q", "--filter", "label=org.testcontainers=true"])).toBe("");
  }, 120_000);
}
