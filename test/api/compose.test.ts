/** docker compose 2 on onggi's socket, as the plugin of Docker's command line and on its own. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CommandLine } from "../kit/command.ts";
import { type Engine, eventually, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";
import { toolPath } from "../kit/tools.ts";

const compose = toolPath("docker-compose");
const docker = toolPath("docker");
const missing = !compose || !docker;

const SHOP = `
services:
  db:
    image: busybox
    command: sh -c 'sleep 0.3; touch /ready; exec sleep 1000'
    healthcheck: {test: ["CMD", "test", "-e", "/ready"], interval: 1s, retries: 9, start_period: 9s, start_interval: 100ms}
    volumes: ["data:/data"]
    secrets: [password, token]
    networks: {back: {aliases: [store]}}
    stop_grace_period: 0s
  web:
    image: busybox
    command: sh -c 'echo started; exec httpd -f -p 80 -h /www'
    depends_on: {db: {condition: service_healthy}}
    networks: [back, front]
    ports: ["127.0.0.1::80"]
    configs: [{source: page, target: /www/index.html}]
    environment: {COLOUR: "\${COLOUR:-white}"}
    stop_grace_period: 0s
    deploy: {resources: {limits: {memory: 64M, cpus: "0.5"}}}
    develop: {watch: [{action: sync, path: ./pages, target: /www}]}
  tool:
    image: busybox
    profiles: [tools]
    command: echo tooled
  brief:
    image: busybox
    profiles: [tools]
    command: sh -c 'sleep 4; exit 5'
networks: {back: {internal: true}, front: {}}
volumes: {data: {}}
secrets: {password: {file: ./password}, token: {environment: TOKEN}}
configs: {page: {content: "a page"}}
`;

let engine: Engine;
let project: string;
/** By the two ways it is called. */
let alone: CommandLine;
let plugin: CommandLine;

beforeAll(async () => {
  if (missing) return;
  engine = startEngine();
  await bootstrapBusybox(engine);
  project = join(engine.base, "shop");
  mkdirSync(join(project, "pages"), { recursive: true });
  writeFileSync(join(project, "compose.yaml"), SHOP);
  writeFileSync(join(project, "password"), "hidden\n");
  const config = join(engine.base, "docker-config");
  mkdirSync(join(config, "cli-plugins"), { recursive: true });
  symlinkSync(compose, join(config, "cli-plugins/docker-compose"));
  const env = { DOCKER_HOST: `unix://${engine.run}/docker.sock`, DOCKER_CONFIG: config, TOKEN: "from outside" };
  alone = new CommandLine([compose], { env, cwd: project, timeout: 30_000 });
  plugin = new CommandLine([docker, "compose"], { env, cwd: project, timeout: 30_000 });
}, 120_000);
afterEach(() => plugin?.killRunning());
afterAll(async () => {
  await alone?.run(["--profile", "*", "down", "-v", "-t", "0"]);
  await engine?.close();
}, 120_000);

const ids = async (): Promise<string[]> => (await plugin.ok(["ps", "-aq"])).split("\n").sort();
const lines = (text: string): string[] => text.split("\n").sort();

describe.skipIf(missing)("a project", () => {
  test("up waits for what must be healthy; up again makes nothing anew", async () => {
    await plugin.ok(["up", "-d"]);
    const made = await ids();
    expect(made).toHaveLength(2);
    const services = ["ps", "--format", "{{.Name}} {{.Service}} {{.State}} {{.Health}}"];
    expect(lines(await plugin.ok(services))).toEqual(["shop-db-1 db running healthy", "shop-web-1 web running "]);
    for (const call of [plugin, alone]) {
      const { stderr, code } = await call.run(["up", "-d"]);
      expect([code, stderr.includes("Recreate"), await ids()]).toEqual([0, false, made]);
    }
    expect(await plugin.ok(["ls", "--format", "json"])).toContain('"Status":"running(2)"');
  }, 60_000);

  test("networks and aliases, secrets, configs, ports, limits", async () => {
    const [resolved, files, page, port] = await Promise.all([
      plugin.ok(["exec", "-T", "web", "nslookup", "store"]),
      plugin.ok(["exec", "-T", "db", "cat", "/run/secrets/password", "/run/secrets/token"]),
      plugin.ok(["exec", "-T", "web", "cat", "/www/index.html"]),
      plugin.ok(["port", "web", "80"]),
    ]);
    expect(resolved).toContain("Name:\tstore");
    expect([files, page]).toEqual(["hidden\nfrom outside", "a page"]);
    expect(await (await fetch(`http://${port}/`)).text()).toBe("a page");
    const [found] = JSON.parse(await engine.ok(["inspect", "shop-web-1"]));
    expect(found.HostConfig).toMatchObject({ Memory: 64 * 2 ** 20, NanoCpus: 500_000_000 });
    expect(Object.keys(found.NetworkSettings.Networks).sort()).toEqual(["shop_back", "shop_front"]);
    expect(found.NetworkSettings.Networks.shop_back.DNSNames).toEqual(["shop-web-1", "web", found.Id.slice(0, 12)]);
    expect((await plugin.run(["port", "web", "81"])).code).toBe(1);
  });

  test("logs, top, images, stats, events, cp", async () => {
    expect(await plugin.ok(["logs", "--no-color"])).toBe("web-1  | started");
    await plugin.ok(["up", "-d", "brief"]);
    const waiting = plugin.spawn(["wait", "brief"]);
    expect(await plugin.ok(["top", "db"])).toContain("sleep 1000");
    const images = JSON.parse(await plugin.ok(["images", "--format", "json"]));
    expect(images.map(({ Repository }: { Repository: string }) => Repository)).toEqual(["busybox", "busybox", "busybox"]);
    expect(lines(await plugin.ok(["stats", "--no-stream", "--format", "{{.Name}}", "db"]))).toEqual(["shop-db-1"]);
    const events = plugin.spawn(["events", "--json", "web"]);
    await eventually("an event is told", async () => {
      await plugin.run(["pause", "web"]);
      await plugin.run(["unpause", "web"]);
      return events.output().includes('"action":"pause"');
    });
    events.process.kill();
    await plugin.ok(["cp", "web:/www/index.html", join(engine.base, "page")]);
    expect(readFileSync(join(engine.base, "page"), "utf8")).toBe("a page");
    expect((await waiting.done).code).toBe(5);
    await plugin.ok(["rm", "-f", "brief"]);
  }, 60_000);

  test("exec and run: output, exit codes, a terminal, what cannot be run", async () => {
    expect((await plugin.run(["exec", "-T", "web", "sh", "-c", "exit 6"])).code).toBe(6);
    expect((await plugin.run(["exec", "-T", "web", "nope"])).code).toBe(127);
    const call = plugin.terminal(["exec", "web", "sh"]);
    await call.until("/ # ");
    call.write("tty; exit 3\n");
    expect(await call.done).toBe(3);
    expect(call.screen()).toContain("/dev/pts/");
    expect(await plugin.ok(["run", "--rm", "tool"])).toBe("tooled");
    expect((await plugin.run(["run", "--rm", "-T", "--no-deps", "web", "sh", "-c", "exit 7"])).code).toBe(7);
    expect(await alone.ok(["run", "--rm", "-T", "--no-deps", "web", "cat"], { stdin: "typed\n" })).toBe("typed");
    expect(await ids()).toHaveLength(2);
  }, 60_000);

  test("what changes is made anew, and nothing else; scale", async () => {
    const [db, web] = await Promise.all(["db", "web"].map((service) => plugin.ok(["ps", "-q", service])));
    await plugin.ok(["up", "-d"], { env: { COLOUR: "green" } });
    expect(await plugin.ok(["ps", "-q", "db"])).toBe(db!);
    expect(await plugin.ok(["ps", "-q", "web"])).not.toBe(web!);
    expect(await plugin.ok(["exec", "-T", "web", "sh", "-c", "echo $COLOUR"])).toBe("green");
    await plugin.ok(["up", "-d", "--scale", "db=2", "--no-recreate"]);
    expect(lines(await plugin.ok(["ps", "--format", "{{.Name}}", "db"]))).toEqual(["shop-db-1", "shop-db-2"]);
    await plugin.ok(["scale", "db=1"]);
    expect(await plugin.ok(["ps", "--format", "{{.Name}}", "db"])).toBe("shop-db-1");
  }, 60_000);

  test("watch puts what is written into the container", async () => {
    const watch = plugin.spawn(["watch", "--no-up", "--quiet", "web"]);
    let written = 0;
    await eventually("a file has been brought in", async () => {
      written += 1;
      writeFileSync(join(project, "pages/new"), `${written}`);
      // compose waits until nothing has changed for half a second
      await Bun.sleep(1000);
      return (await plugin.run(["exec", "-T", "web", "cat", "/www/new"])).code === 0;
    });
    watch.process.kill();
  }, 60_000);

  test("an engine that is killed: the project is as it was", async () => {
    const before = await ids();
    const following = plugin.spawn(["logs", "-f", "--no-color", "web"]);
    await following.until("started");
    await engine.murder();
    await following.done;
    await engine.ok(["ps"]);
    expect(await ids()).toEqual(before);
    expect((await plugin.run(["up", "-d", "--no-build"], { env: { COLOUR: "green" } })).stderr).not.toContain("Recreate");
    expect(await ids()).toEqual(before);
    await plugin.ok(["restart", "-t", "0", "web"]);
    await plugin.ok(["stop", "-t", "0"]);
    expect(await plugin.ok(["ps", "--format", "{{.Name}}"])).toBe("");
    await plugin.ok(["start", "web"]);
    await plugin.ok(["kill", "web"]);
    expect(await plugin.ok(["rm", "-f", "web"])).toContain("shop-web-1");
  }, 60_000);

  test("down takes everything, and the images where that is asked for", async () => {
    await engine.ok(["tag", "busybox", "kept"]);
    await plugin.ok(["--profile", "*", "down", "-v", "-t", "0", "--rmi", "all"]);
    expect(await engine.ok(["ps", "-aq"])).toBe("");
    expect(await engine.ok(["volume", "ls", "-q"])).toBe("");
    expect(await engine.ok(["network", "ls", "--filter", "type=custom", "-q"])).toBe("");
    expect(await engine.ok(["images", "--format", "{{.Repository}}"])).toBe("kept");
    expect(JSON.parse(await plugin.ok(["ls", "-a", "--format", "json"]))).toEqual([]);
  }, 60_000);
});
