/** docker buildx, and what is left of `docker build`, on onggi's socket: what is there is told, what is not is named. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CommandLine } from "../kit/command.ts";
import { type Engine, startEngine } from "../kit/engine.ts";
import { toolPath } from "../kit/tools.ts";

const buildx = toolPath("docker-buildx");
const client = toolPath("docker");
const missing = !buildx || !client;

let engine: Engine;
let docker: CommandLine;

beforeAll(async () => {
  if (missing) return;
  engine = startEngine();
  await engine.ok(["ps"]);
  const config = join(engine.base, "docker-config");
  mkdirSync(join(config, "cli-plugins"), { recursive: true });
  symlinkSync(buildx, join(config, "cli-plugins/docker-buildx"));
  docker = new CommandLine([client], { env: { DOCKER_CONFIG: config } });
}, 60_000);
afterAll(() => engine?.close(), 60_000);

describe.skipIf(missing)("docker buildx", () => {
  test("a context of the socket is its builder", async () => {
    await docker.ok(["context", "create", "onggi", "--docker", `host=unix://${engine.run}/docker.sock`]);
    await docker.ok(["context", "use", "onggi"]);
    expect(await docker.ok(["context", "show"])).toBe("onggi");
    expect(JSON.parse(await docker.ok(["version", "--format", "{{json .Server}}"]))).toMatchObject({ MinAPIVersion: "1.24" });
    expect(await docker.ok(["buildx", "version"])).toContain("buildx");
    // without a builder in the engine buildx would run one of its own in a container
    expect(await docker.ok(["buildx", "ls"])).toMatch(/^onggi\*? +docker-container\b.*\n.*onggi +inactive/m);
    expect(await docker.ok(["buildx", "inspect", "onggi"])).toMatch(
      /Driver: +docker-container.*Endpoint: +onggi\nStatus: +inactive/s,
    );
  });

  test("builders elsewhere are made, listed and removed", async () => {
    await docker.ok(["buildx", "create", "--name", "far", "--driver", "remote", "tcp://127.0.0.1:1"]);
    expect(await docker.ok(["buildx", "ls"])).toMatch(/^far +remote/m);
    await docker.ok(["buildx", "rm", "far"]);
    expect(await docker.ok(["buildx", "ls"])).not.toMatch(/^far /m);
  });

  test("the engine itself says that it has no builder", async () => {
    const directory = join(engine.base, "context");
    mkdirSync(directory);
    writeFileSync(join(directory, "Dockerfile"), "FROM scratch\n");
    const { stderr, code } = await docker.run(["build", directory], { env: { DOCKER_BUILDKIT: "0" } });
    expect([code, stderr]).toEqual([1, expect.stringContaining("Error response from daemon: onggi does not build images")]);
  });
});
