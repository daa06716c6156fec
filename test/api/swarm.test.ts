/** What there is not: swarm mode and plugins, as clients of an engine without them know it. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { CommandLine } from "../kit/command.ts";
import { dockerClients, dockerFor } from "../kit/docker-api.ts";
import { type Engine, startEngine } from "../kit/engine.ts";

let engine: Engine;
beforeAll(async () => {
  engine = startEngine();
  await engine.ok(["ps"]);
}, 120_000);
afterAll(() => engine.close(), 120_000);

const NOT_A_MANAGER = "This node is not a swarm manager.";

describe.each(dockerClients())("%s", (client) => {
  let docker: CommandLine;
  beforeAll(() => {
    docker = dockerFor(client, engine);
  });
  afterAll(() => docker.killRunning());

  test.each(["node ls", "service ls", "stack ls", "secret ls", "config ls", "swarm ca", "service ps web", "node ps x"])(
    "docker %s",
    async (line) => {
      const { stderr, code } = await docker.run(line.split(" "));
      expect([stderr, code]).toEqual([expect.stringContaining(NOT_A_MANAGER), 1]);
    },
  );

  test("docker swarm leave, init and join", async () => {
    expect((await docker.run(["swarm", "leave"])).stderr).toContain("This node is not part of a swarm");
    for (const args of [["init"], ["join", "--token", "x", "127.0.0.1:2377"]])
      expect((await docker.run(["swarm", ...args])).stderr).toContain("swarm mode is not supported");
    expect(await docker.ok(["info", "--format", "{{.Swarm.LocalNodeState}}"])).toBe("inactive");
  });

  test("docker plugin: none is there, none can be had", async () => {
    expect(await docker.ok(["plugin", "ls", "-q"])).toBe("");
    expect((await docker.run(["plugin", "inspect", "x/y:z"])).stderr).toMatch(/No such plugin|not found/i);
    for (const args of [
      ["enable", "x"],
      ["disable", "x"],
      ["rm", "x"],
      ["set", "x", "a=b"],
    ])
      expect((await docker.run(["plugin", ...args])).stderr).toMatch(/No such plugin|not found/);
    expect((await docker.run(["plugin", "install", "--grant-all-permissions", "example/x"])).stderr).toContain(
      "plugins are not supported",
    );
  });
});

test("nothing is left", () => engine.expectClean());
