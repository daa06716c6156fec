/** `onggi compose`: a project from its file to containers, and away again. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Engine, eventually, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";

let engine: Engine;
beforeAll(async () => {
  engine = startEngine();
  await bootstrapBusybox(engine);
}, 120_000);
afterAll(() => engine.close(), 120_000);

/** A project's directory with its file. */
function project(name: string, yaml: string): string {
  const directory = join(engine.base, name);
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, "compose.yaml"), yaml);
  return directory;
}
const compose = (cwd: string, ...words: string[]) =>
  engine.onggi(["compose", ...words], { cwd, timeout: 60_000, env: { TOKEN: "of the caller" } });
const ok = async (cwd: string, ...words: string[]): Promise<string> => {
  const { stdout, stderr, code } = await compose(cwd, ...words);
  if (code !== 0) throw new Error(`compose ${words.join(" ")} exited with ${code}\n${stdout}\n${stderr}`);
  return stdout.trimEnd();
};

const SLEEP = `["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"]`;
const shop = (word: string) => `
services:
  web:
    image: busybox
    command: ["sh", "-c", "echo ${word}; cat /etc/motd /run/secrets/token; echo; trap 'exit 0' TERM; while :; do sleep 0.1; done"]
    depends_on:
      db: { condition: service_healthy }
      migrate: { condition: service_completed_successfully }
    configs: [{ source: motd, target: /etc/motd }]
    secrets: [token]
  db:
    image: busybox
    command: ${SLEEP}
    volumes: ["data:/data", "/anonymous"]
    healthcheck: { test: ["CMD", "test", "-d", "/data"], interval: 200ms }
  migrate:
    image: busybox
    command: ["sh", "-c", "echo migrated > /data/state"]
    volumes: ["data:/data"]
volumes: { data: }
configs: { motd: { content: "hello\\n" } }
secrets: { token: { environment: TOKEN } }
`;

test("up, once more, changed, down: containers, networks and volumes come and go", async () => {
  const cwd = project("shop", shop("one"));
  const first = await compose(cwd, "up", "-d");
  expect([first.code, first.stdout]).toEqual([0, ""]);
  expect(
    first.stderr
      .split("\n")
      .filter((line) => line.includes("shop-web-1"))
      .at(-1),
  ).toBe(" Container shop-web-1  Started");
  expect((await ok(cwd, "ps", "--format", "{{.Name}} {{.Service}} {{.State}} {{.Health}}")).split("\n")).toEqual([
    "shop-db-1 db running healthy",
    "shop-web-1 web running",
  ]);
  await eventually("web has said what it found", async () => (await ok(cwd, "logs", "--no-color", "web")).includes("caller"));
  expect((await ok(cwd, "logs", "--no-color", "web")).split("\n")).toEqual([
    "web-1  | one",
    "web-1  | hello",
    "web-1  | of the caller",
  ]);
  expect(await ok(cwd, "exec", "-T", "db", "cat", "/data/state")).toBe("migrated");
  await ok(cwd, "exec", "-T", "db", "touch", "/anonymous/kept");
  const before = await ok(cwd, "ps", "-q");
  await ok(cwd, "up", "-d");
  expect(await ok(cwd, "ps", "-q")).toBe(before);

  writeFileSync(join(cwd, "compose.yaml"), shop("two").replace("interval: 200ms", "interval: 300ms"));
  await ok(cwd, "up", "-d", "--quiet-pull");
  const after = (await ok(cwd, "ps", "-q")).split("\n");
  expect(after.length).toBe(2);
  for (const id of after) expect(before).not.toContain(id);
  expect(await ok(cwd, "exec", "-T", "db", "ls", "/anonymous")).toBe("kept");
  expect(await ok(cwd, "ls", "-a", "--format", "json")).toBe(
    `[{"Name":"shop","Status":"exited(1), running(2)","ConfigFiles":"${cwd}/compose.yaml"}]`,
  );

  await ok(cwd, "down");
  expect(await engine.ok(["ps", "-aq"])).toBe("");
  expect(await engine.ok(["volume", "ls", "-q", "--filter", "label=com.docker.compose.project=shop"])).toBe("shop_data");
  await ok(cwd, "down", "-v");
  expect(await engine.ok(["network", "ls", "-q", "--filter", "name=shop"])).toBe("");
  expect(await engine.ok(["volume", "ls", "-q", "--filter", "label=com.docker.compose.project=shop"])).toBe("");
}, 120_000);

test("scale, orphans, names, run, and what is not there", async () => {
  const cwd = project("many", `services: { a: { image: busybox, command: ${SLEEP} }, b: { image: busybox, command: ${SLEEP} } }`);
  await ok(cwd, "up", "-d", "--scale", "a=3");
  expect((await ok(cwd, "ps", "--format", "{{.Name}}")).split("\n")).toEqual(["many-a-1", "many-a-2", "many-a-3", "many-b-1"]);
  expect(
    await ok(cwd, "run", "--rm", "-T", "a", "sh", "-c", "hostname >/dev/null; ping -c1 -w2 b >/dev/null && echo found b"),
  ).toBe("found b");
  expect((await compose(cwd, "run", "--rm", "-T", "a", "sh", "-c", "exit 7")).code).toBe(7);
  expect((await compose(cwd, "run", "--rm", "-T", "a", "no-such-command")).code).toBe(127);
  writeFileSync(join(cwd, "compose.yaml"), `services: { a: { image: busybox, command: ${SLEEP} } }`);
  const left = await compose(cwd, "up", "-d");
  expect(left.stderr).toContain("Found orphan containers (many-b-1)");
  expect((await ok(cwd, "ps", "--format", "{{.Name}}")).split("\n")).toEqual(["many-a-1", "many-b-1"]);
  await ok(cwd, "up", "-d", "--remove-orphans");
  expect(await ok(cwd, "ps", "--format", "{{.Name}}")).toBe("many-a-1");
  const missing = await compose(cwd, "logs", "nope");
  expect([missing.code, missing.stderr]).toEqual([1, expect.stringContaining("no such service: nope")]);
  // without files a project is found by its name
  await ok(engine.base, "-p", "many", "down", "-t", "1");
  expect(await engine.ok(["ps", "-aq"])).toBe("");
}, 120_000);

test("a dependency that fails keeps its dependents from starting", async () => {
  const cwd = project(
    "fails",
    `services:
  bad: { image: busybox, command: ["false"] }
  web: { image: busybox, command: ${SLEEP}, depends_on: { bad: { condition: service_completed_successfully } } }`,
  );
  const { code, stderr } = await compose(cwd, "up", "-d");
  expect(code).toBe(1);
  expect(stderr).toContain("dependency bad failed to start: container fails-bad-1 did not complete successfully: exit 1");
  expect(await ok(cwd, "ps", "-a", "--format", "{{.Name}} {{.State}}")).toBe("fails-bad-1 exited\nfails-web-1 created");
  await ok(cwd, "down");
}, 60_000);

test("ipc: of another service, and of a container beside the project", async () => {
  await engine.ok(["run", "-d", "--name", "beside", "--ipc", "shareable", "busybox", "sleep", "1000"]);
  const one = (ipc: string) => `{ image: busybox, command: ["sleep", "1000"], stop_grace_period: 0s, ipc: "${ipc}" }`;
  const cwd = project(
    "ipc",
    `services: { shares: ${one("shareable")}, joins: ${one("service:shares")}, outside: ${one("container:beside")} }`,
  );
  await ok(cwd, "up", "-d");
  await ok(cwd, "exec", "-T", "shares", "touch", "/dev/shm/of-shares");
  await engine.ok(["exec", "beside", "touch", "/dev/shm/of-beside"]);
  expect(await ok(cwd, "exec", "-T", "joins", "ls", "/dev/shm")).toBe("of-shares");
  expect(await ok(cwd, "exec", "-T", "outside", "ls", "/dev/shm")).toBe("of-beside");
  await ok(cwd, "up", "-d", "--force-recreate");
  await ok(cwd, "exec", "-T", "shares", "touch", "/dev/shm/new");
  expect(await ok(cwd, "exec", "-T", "joins", "ls", "/dev/shm")).toBe("new");
  await ok(cwd, "down");
  await engine.ok(["rm", "-f", "beside"]);
});

test("what is to be built is named", async () => {
  const cwd = project("built", "services: { app: { build: . } }");
  const { code, stderr } = await compose(cwd, "up", "-d");
  expect([code, stderr]).toEqual([1, expect.stringContaining("build image built-app elsewhere and load it")]);
  await engine.ok(["tag", "busybox", "built-app"]);
  await ok(cwd, "up", "-d");
  await ok(cwd, "down", "--rmi", "local");
  expect((await engine.onggi(["inspect", "built-app"])).code).toBe(1);
}, 60_000);

test("in the foreground: output with names; the first end stops the others and gives the exit code; ctrl-c stops all", async () => {
  const cwd = project(
    "fore",
    `services:
  main: { image: busybox, command: ["sh", "-c", "echo out; echo err >&2; sleep 0.5; exit 3"] }
  side: { image: busybox, command: ${SLEEP} }`,
  );
  const ended = await compose(cwd, "up", "--exit-code-from", "main");
  expect(ended.code).toBe(3);
  expect(ended.stdout.split("\n")).toContain("main-1  | out");
  expect(ended.stdout).toContain("main-1 exited with code 3");
  expect(ended.stderr).toContain("main-1  | err\n");
  expect(await ok(cwd, "ps", "-a", "--format", "{{.Name}} {{.State}}")).toBe("fore-main-1 exited\nfore-side-1 exited");
  const running = engine.spawn(["compose", "up", "side"], { cwd, timeout: 60_000 });
  await eventually("it runs", async () => (await ok(cwd, "ps", "--format", "{{.State}}", "side")) === "running");
  await eventually("it is attached to", () => running.errors().includes("Attaching to side-1"));
  running.process.kill("SIGINT");
  const stopped = await running.done;
  expect([stopped.code, stopped.stderr]).toEqual([130, expect.stringContaining("Gracefully Stopping...")]);
  expect(await ok(cwd, "ps", "-a", "--format", "{{.State}}", "side")).toBe("exited");
  await ok(cwd, "down");
}, 120_000);

test("two ups at once: one after the other, and nothing twice", async () => {
  const cwd = project(
    "twice",
    `services: { a: { image: busybox, command: ${SLEEP} }, b: { image: busybox, command: ${SLEEP} } }`,
  );
  const ups = [1, 2, 3].map(() => compose(cwd, "up", "-d", "--force-recreate"));
  for (const { code, stderr } of await Promise.all(ups)) expect([code, stderr]).toEqual([0, expect.stringContaining("Started")]);
  expect(await ok(cwd, "ps", "-a", "--format", "{{.Name}} {{.State}}")).toBe("twice-a-1 running\ntwice-b-1 running");
  await ok(cwd, "down", "-t", "1");
}, 60_000);

test("hooks; restart takes dependents with it; ctrl-c in the middle of up, and up completes it", async () => {
  const cwd = project(
    "hooks",
    `services:
  a:
    image: busybox
    command: ${SLEEP}
    volumes: ["out:/out"]
    post_start: [{ command: ["sh", "-c", "echo started by $$WHO >> /out/log"], environment: { WHO: hook } }]
    pre_stop: [{ command: ["sh", "-c", "echo stopping >> /out/log"] }]
  b: { image: busybox, command: ${SLEEP}, depends_on: { a: { condition: service_started, restart: true } } }
volumes: { out: }`,
  );
  await ok(cwd, "up", "-d");
  const started = (await engine.inspect("hooks-b-1")).State.StartedAt;
  await ok(cwd, "restart", "a");
  expect((await engine.inspect("hooks-b-1")).State.StartedAt > started).toBe(true);
  expect(await ok(cwd, "exec", "-T", "a", "cat", "/out/log")).toBe("started by hook\nstopping\nstarted by hook");
  const up = engine.spawn(["compose", "up", "-d", "--force-recreate"], { cwd });
  await eventually("it is at work", () => up.errors().includes("Recreate"));
  up.process.kill("SIGINT");
  expect((await up.done).code).toBe(130);
  await ok(cwd, "up", "-d");
  expect(await ok(cwd, "ps", "-a", "--format", "{{.Name}} {{.State}}")).toBe("hooks-a-1 running\nhooks-b-1 running");
  await ok(cwd, "down", "-v", "-t", "1");
}, 60_000);

test("an engine that is killed in the middle of up: what is there is told, and up completes it", async () => {
  const services = ["a", "b", "c", "d", "e", "f"].map((name) => `  ${name}: { image: busybox, command: ${SLEEP} }`).join("\n");
  const cwd = project("killed", `services:\n${services}\n`);
  for (const round of [1, 3]) {
    const up = engine.spawn(["compose", "up", "-d", "--force-recreate"], { cwd, timeout: 60_000 });
    await Bun.sleep(60 * round);
    await engine.murder();
    await up.done;
    await ok(cwd, "ps", "-a");
  }
  await ok(cwd, "up", "-d");
  expect((await ok(cwd, "ps", "-a", "--format", "{{.Name}} {{.State}}")).split("\n")).toEqual(
    ["a", "b", "c", "d", "e", "f"].map((name) => `killed-${name}-1 running`),
  );
  await ok(cwd, "down", "-t", "1");
  expect(await engine.ok(["ps", "-aq"])).toBe("");
}, 120_000);

test("--dry-run tells all that would be done, and does nothing", async () => {
  const cwd = project("dry", shop("dry"));
  const names = async (): Promise<string> => (await engine.onggi(["ps", "-aq"])).stdout;
  const before = await names();
  const { code, stderr } = await compose(cwd, "--dry-run", "up");
  expect(code).toBe(0);
  for (const step of [
    "Network dry_default  Created",
    "Volume dry_data  Created",
    "Container dry-db-1  Healthy",
    "Container dry-web-1  Started",
  ])
    expect(stderr).toContain(` DRY-RUN MODE -  ${step}\n`);
  expect(await names()).toBe(before);
  expect((await engine.onggi(["network", "ls", "-q", "-f", "name=dry_default"])).stdout).toBe("");

  await ok(cwd, "up", "-d");
  const there = await names();
  expect((await compose(cwd, "down", "-v", "--dry-run")).stderr).toContain(" DRY-RUN MODE -  Volume dry_data  Removed\n");
  expect((await compose(cwd, "up", "-d", "--force-recreate", "--dry-run")).stderr).toContain("Container dry-web-1  Recreated\n");
  expect(await names()).toBe(there);
  const refused = await compose(cwd, "--dry-run", "exec", "web", "true");
  expect([refused.code, refused.stderr]).toEqual([125, expect.stringContaining("cannot be told without doing it")]);
  await ok(cwd, "down", "-v", "-t", "1");
});
