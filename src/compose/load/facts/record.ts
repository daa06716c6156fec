/**
 * Records what Docker's compose makes of the projects beside this file, as root: `bun record.ts /path/to/docker-compose`. Of each:
 * docker.json, the whole project, and docker.hash, the hashes that its containers are labelled with. Paths are as if the project were
 * at /mnt. Compose is told that it speaks to an engine that has every image and makes every container.
 */
import { existsSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const compose = process.argv[2];
if (compose === undefined) throw new Error("usage: record.ts /path/to/docker-compose");
const here = import.meta.dir;
const socket = `/tmp/record-${process.pid}.sock`;
let hashes: string[] = [];

const id = "c".repeat(64);
const answers: readonly (readonly [RegExp, unknown])[] = [
  [/^GET \/version/, { Version: "28.0.0", ApiVersion: "1.51", MinAPIVersion: "1.24", Os: "linux", Arch: "amd64" }],
  [/^GET \/info/, { OSType: "linux", Architecture: "x86_64", ServerVersion: "28.0.0" }],
  [/^GET \/(containers|images)\/json/, []],
  [/^GET \/networks$/, []],
  [/^POST \/networks\/create/, { Id: id }],
  [/^POST \/images\/create/, {}],
  [/^POST \/volumes\/create/, { Name: "v" }],
  [
    /^GET \/images\/.*\/json/,
    { Id: `sha256:${id}`, Os: "linux", Architecture: "amd64", Config: {}, Created: "2024-01-01T00:00:00Z" },
  ],
  [
    /^GET \/containers\/.*\/json/,
    { Id: id, Name: "/x", State: {}, Config: {}, HostConfig: {}, NetworkSettings: { Networks: {} } },
  ],
];
const server = Bun.serve({
  unix: socket,
  async fetch(request) {
    const call = `${request.method} ${new URL(request.url).pathname.replace(/^\/v1\.\d+/, "")}`;
    const headers = { "Api-Version": "1.51", Ostype: "linux" };
    if (call.endsWith("/_ping")) return new Response("OK", { headers });
    if (call === "POST /containers/create") {
      const { Labels } = (await request.json()) as { Labels: Record<string, string> };
      hashes.push(`${Labels["com.docker.compose.service"]} ${Labels["com.docker.compose.config-hash"]}\n`);
      return Response.json({ Id: id, Warnings: [] }, { status: 201, headers });
    }
    const answer = answers.find(([pattern]) => pattern.test(call));
    return answer
      ? Response.json(answer[1], { headers })
      : Response.json({ message: `not found: ${call}` }, { status: 404, headers });
  },
});

async function run(project: string, words: readonly string[]): Promise<string> {
  const files = ["compose.yaml", "two.yaml", "three.yaml"].filter((file) => existsSync(join(here, project, file)));
  const command = [compose, ...files.flatMap((file) => ["-f", file]), "--profile", "'*'", "--all-resources", ...words].join(" ");
  const variables = `HOME=/home/me CALLERS=callers PASSWORD=pw DOCKER_HOST=unix://${socket}`;
  const script = `mount --bind '${here}/${project}' /mnt && cd /mnt && env -i ${variables} ${command}`;
  const { exited, stdout, stderr } = Bun.spawn(["unshare", "-m", "sh", "-c", script], { stdout: "pipe", stderr: "pipe" });
  const [text, problem] = await Promise.all([new Response(stdout).text(), new Response(stderr).text()]);
  if ((await exited) !== 0) throw new Error(`${project}: ${problem}`);
  return text;
}

for (const project of readdirSync(here).filter((name) => statSync(join(here, name)).isDirectory())) {
  hashes = [];
  try {
    writeFileSync(join(here, project, "docker.json"), await run(project, ["config", "--format", "json"]));
    await run(project, ["create", "--no-build"]);
    writeFileSync(join(here, project, "docker.hash"), [...new Set(hashes)].sort().join(""));
  } catch (error) {
    console.error((error as Error).message);
  }
}
await server.stop(true);
