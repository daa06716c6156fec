/** @devcontainers/cli, which drives Docker's command line, on docker.sock. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CommandLine } from "../kit/command.ts";
import { composeVariables, dockerClients } from "../kit/docker-api.ts";
import { type Engine, repository, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";

const [docker] = dockerClients().slice(-1);
let engine: Engine;
let cli: CommandLine;
beforeAll(async () => {
  engine = startEngine();
  await bootstrapBusybox(engine);
  // a user of its own, as images for development have
  const script = "echo dev:x:1000:1000::/home/dev:/bin/sh >> /etc/passwd; mkdir -p /home/dev; chown 1000:1000 /home/dev";
  const id = await engine.ok(["create", "busybox", "sh", "-c", script]);
  await engine.ok(["start", "-a", id]);
  await engine.ok(["commit", id, "onggi-test/dev:1"]);
  await engine.ok(["rm", id]);
  writeDocker();
  cli = new CommandLine(["node", join(repository, "node_modules/@devcontainers/cli/devcontainer.js")], {
    env: { DOCKER_HOST: `unix://${engine.run}/docker.sock`, DOCKER_CONFIG: `${engine.base}/docker-config`, HOME: engine.base },
    timeout: 60_000,
  });
}, 120_000);
afterAll(() => engine.close(), 120_000);

/** A workspace of that name, with its devcontainer.json. */
function workspace(name: string, configuration: object): string {
  const directory = join(engine.base, name);
  mkdirSync(join(directory, ".devcontainer"), { recursive: true });
  writeFileSync(join(directory, ".devcontainer/devcontainer.json"), JSON.stringify(configuration));
  writeFileSync(join(directory, "source"), "of the workspace\n");
  return directory;
}

interface Outcome {
  readonly outcome: string;
  readonly containerId: string;
  readonly remoteUser: string;
  readonly remoteWorkspaceFolder: string;
}

/**
 * The CLI hears of a container's start by a `docker events` of its own, and does not wait for that to listen before it runs `docker run`:
 * on a busy machine the container starts sooner, and the CLI waits for ever, whatever the engine. So here `run` is held back.
 */
function writeDocker(): void {
  writeFileSync(join(engine.base, "docker"), `#!/bin/sh\n[ "$1" != run ] || sleep 1\nexec ${docker} "$@"\n`, { mode: 0o755 });
}

const words = (verb: string, directory: string): string[] => [
  ...[verb, "--docker-path", join(engine.base, "docker"), "--workspace-folder", directory],
];
const up = async (directory: string, more: readonly string[] = []): Promise<Outcome> =>
  JSON.parse(await cli.ok([...words("up", directory), ...more])) as Outcome;
const exec = (directory: string, ...command: string[]): Promise<string> => cli.ok([...words("exec", directory), ...command]);

test.skipIf(docker === undefined)(
  "up and exec of an image",
  async () => {
    const cache = join(engine.base, "cache");
    mkdirSync(cache);
    const directory = workspace("image", {
      image: "onggi-test/dev:1",
      remoteUser: "dev",
      updateRemoteUserUID: false,
      init: true,
      runArgs: ["--hostname", "jar"],
      appPort: [28090],
      mounts: ["source=devdata,target=/data,type=volume", { type: "bind", source: cache, target: "/cache" }],
      containerEnv: { INSIDE: "container" },
      // biome-ignore lint/suspicious/noTemplateCurlyInString: the CLI's own variables
      remoteEnv: { REMOTE: "${containerEnv:INSIDE} of ${localWorkspaceFolderBasename}" },
      onCreateCommand: "echo created >> /home/dev/order",
      postCreateCommand: { one: "id -un > /home/dev/one", two: ["sh", "-c", "pwd > /home/dev/two"] },
      postStartCommand: "echo started >> /home/dev/order",
    });
    const { outcome, containerId, remoteUser, remoteWorkspaceFolder } = await up(directory);
    expect({ outcome, remoteUser, remoteWorkspaceFolder }).toEqual({
      ...{ outcome: "success", remoteUser: "dev", remoteWorkspaceFolder: "/workspaces/image" },
    });
    const script = "hostname; cat source ~/order ~/one ~/two; echo $REMOTE; cut -d' ' -f2 /proc/1/stat; echo x | wc -l; exit 3";
    const result = await cli.run([...words("exec", directory), "sh", "-c", script]);
    expect(result.stdout.split("\n")).toEqual([
      ...["jar", "of the workspace", "created", "started", "dev", "/workspaces/image", "container of image"],
      ...["(docker-init)", "1", ""],
    ]);
    expect(result.code).toBe(3);
    // found again, started again: what is done after a start is done again, and nothing else
    await engine.ok(["stop", "-t", "0", containerId]);
    expect((await up(directory)).containerId).toBe(containerId);
    expect(await exec(directory, "cat", "/home/dev/order")).toBe("created\nstarted\nstarted");
    const { containerId: another } = await up(directory, ["--remove-existing-container"]);
    expect(another).not.toBe(containerId);
    expect(JSON.parse(await cli.ok(words("read-configuration", directory))).configuration.image).toBe("onggi-test/dev:1");
  },
  120_000,
);

test.skipIf(docker === undefined)(
  "a command that fails is told",
  async () => {
    const directory = workspace("fails", { image: "onggi-test/dev:1", postCreateCommand: "exit 7" });
    const { stdout, code } = await cli.run(words("up", directory));
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ outcome: "error", message: expect.stringContaining("failed") });
  },
  120_000,
);

const PROJECT = `
services:
  app: {image: "onggi-test/dev:1", command: sleep 1000, init: true, volumes: ["..:/workspace"], stop_grace_period: 0s}
  db: {image: busybox, command: sleep 1000, stop_grace_period: 0s}
`;

test("a service of a compose project", async () => {
  const variables = composeVariables(engine);
  if (!variables) return;
  const directory = workspace("project", {
    ...{ dockerComposeFile: "compose.yaml", service: "app", workspaceFolder: "/workspace", remoteUser: "dev" },
    ...{ updateRemoteUserUID: false, postCreateCommand: "id -un > /tmp/who", shutdownAction: "stopCompose" },
  });
  writeFileSync(join(directory, ".devcontainer/compose.yaml"), PROJECT);
  const env = { ...variables, HOME: engine.base };
  const started = JSON.parse(await cli.ok(words("up", directory), { env }));
  expect(started).toMatchObject({ outcome: "success", remoteUser: "dev", composeProjectName: "project_devcontainer" });
  const script = "cat /tmp/who source; nslookup db > /dev/null && echo found";
  expect(await cli.ok([...words("exec", directory), "sh", "-c", script], { env })).toBe("dev\nof the workspace\nfound");
  expect((await engine.ok(["ps", "-q"])).split("\n").length).toBeGreaterThanOrEqual(2);
}, 120_000);

test("what was mounted is the host's", async () => {
  expect(readFileSync(join(engine.base, "image/source"), "utf8")).toBe("of the workspace\n");
});
