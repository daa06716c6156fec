/** `docker cp` and the archive operations on docker.sock. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import type { CommandLine } from "../kit/command.ts";
import { askDocker, dockerClients, dockerFor } from "../kit/docker-api.ts";
import { type Engine, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";

let engine: Engine;
let base: string;
beforeAll(async () => {
  engine = startEngine();
  base = mkdtempSync(join(tmpdir(), "onggi-archive-"));
  await bootstrapBusybox(engine);
  await engine.ok(["run", "-d", "--name", "up", "busybox", "sleep", "inf"]);
  await engine.ok(["create", "--name", "new", "busybox", "true"]);
}, 120_000);
afterAll(async () => {
  await engine.close();
  rmSync(base, { recursive: true });
}, 120_000);

describe.each(dockerClients())("%s", (client) => {
  let docker: CommandLine;
  beforeAll(() => {
    docker = dockerFor(client, engine);
  });
  afterAll(() => docker.killRunning());

  test.each(["up", "new"])("docker cp into and out of a container (%s)", async (container) => {
    const directory = mkdtempSync(join(base, "in-"));
    const place = `${container}:/${basename(directory)}`;
    mkdirSync(join(directory, "site/deep"), { recursive: true });
    writeFileSync(join(directory, "site/deep/page"), "x".repeat(100_000));
    symlinkSync("deep/page", join(directory, "site/link"));
    await docker.ok(["cp", join(directory, "site"), place]);
    await docker.ok(["cp", `${place}/.`, join(directory, "back")]);
    expect(readFileSync(join(directory, "back/deep/page"), "utf8")).toBe("x".repeat(100_000));
    expect(readFileSync(join(directory, "back/link"), "utf8")).toBe("x".repeat(100_000));
    await docker.ok(["cp", "-L", `${place}/link`, join(directory, "followed")]);
    expect(readFileSync(join(directory, "followed"), "utf8")).toBe("x".repeat(100_000));
    const { code, stderr } = await docker.run(["cp", `${container}:/nothing`, directory]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/Could not find the file \/nothing in container|No such container:path/);
  });
});

test("a path's stat is in a header, without a body; what is wrong is told as Docker tells it", async () => {
  const head = await askDocker(engine, "HEAD", "/v1.41/containers/up/archive?path=/bin");
  expect(head.status).toBe(200);
  const stat = JSON.parse(Buffer.from(head.headers.get("x-docker-container-path-stat") ?? "", "base64").toString());
  expect(stat).toMatchObject({ name: "bin", linkTarget: "" });
  // a directory, as Go says it
  expect(stat.mode >>> 31).toBe(1);
  expect((await askDocker(engine, "HEAD", "/v1.41/containers/up/archive?path=/nothing")).status).toBe(404);
  expect((await askDocker(engine, "GET", "/v1.41/containers/nobody/archive?path=/bin")).status).toBe(404);
  expect((await askDocker(engine, "GET", "/v1.41/containers/up/archive")).status).toBe(400);
});
