/** `onggi compose` and Docker's compose side by side on one engine: each sees the other's projects, and makes nothing anew. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startCommand } from "../kit/command.ts";
import { type Engine, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";
import { toolPath } from "../kit/tools.ts";

const program = toolPath("docker-compose");
let engine: Engine;
let cwd = "";
beforeAll(async () => {
  engine = startEngine();
  await bootstrapBusybox(engine);
  cwd = join(engine.base, "both");
  mkdirSync(cwd);
  writeFileSync(
    join(cwd, "compose.yaml"),
    `services:
  web:
    image: busybox
    command: ["sh", "-c", "echo from web; trap 'exit 0' TERM; while :; do sleep 0.1; done"]
    depends_on: { db: { condition: service_healthy } }
    ports: ["80"]
    environment: { A: "1" }
  db:
    image: busybox
    command: ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"]
    healthcheck: { test: ["CMD", "true"], interval: 200ms }
    volumes: ["data:/data"]
volumes: { data: }
`,
  );
}, 120_000);
afterAll(() => engine.close(), 120_000);

type Compose = (...words: string[]) => Promise<string>;
const checked = (
  { stdout, stderr, code }: { stdout: string; stderr: string; code: number },
  words: readonly string[],
): string => {
  if (code !== 0) throw new Error(`${words.join(" ")} exited with ${code}\n${stdout}\n${stderr}`);
  return stdout.trimEnd();
};
const onggi: Compose = async (...words) => checked(await engine.onggi(["compose", ...words], { cwd, timeout: 60_000 }), words);
const docker: Compose = async (...words) => {
  const env = { DOCKER_HOST: `unix://${engine.run}/docker.sock`, DOCKER_CONFIG: join(engine.base, "docker") };
  return checked(await startCommand([program!, ...words], { cwd, env, timeout: 60_000 }).done, words);
};

for (const [by, one, other] of [
  ["onggi compose", onggi, docker],
  ["docker compose", docker, onggi],
] as const) {
  test.skipIf(program === null)(
    `made by ${by}`,
    async () => {
      await one("up", "-d");
      const ids = await one("ps", "-q");
      expect((await other("ps", "-q")).split("\n").sort()).toEqual(ids.split("\n").sort());
      expect(await other("ls", "-q")).toBe("both");
      expect(JSON.parse(await other("ls", "--format", "json"))).toEqual([
        { Name: "both", Status: "running(2)", ConfigFiles: `${cwd}/compose.yaml` },
      ]);
      expect(await other("logs", "--no-color", "--no-log-prefix", "web")).toBe("from web");
      expect(await other("port", "web", "80")).toBe(await one("port", "web", "80"));
      await other("up", "-d");
      expect((await one("ps", "-q")).split("\n").sort()).toEqual(ids.split("\n").sort());
      await other("down", "-v");
      expect(await engine.ok(["ps", "-aq"])).toBe("");
      expect(await engine.ok(["volume", "ls", "-q"])).toBe("");
      expect(await engine.ok(["network", "ls", "-q", "--filter", "name=both"])).toBe("");
    },
    120_000,
  );
}
