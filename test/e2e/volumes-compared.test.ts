/** The same command lines to onggi and to docker: what containers find in their volumes, and what inspect says, is the same. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CommandLine } from "../kit/command.ts";
import { type Docker, dockerUnavailable, startDocker } from "../kit/docker.ts";
import { type Engine, startEngine } from "../kit/engine.ts";
import { skipLoudly } from "../kit/skip.ts";
import { DATA, volumeImage } from "../kit/volumes.ts";

const missing = dockerUnavailable();
if (missing) skipLoudly(`volumes beside docker's: ${missing}`);

let engine: Engine;
let docker: Docker;
let host: string;
let clients: readonly Pick<CommandLine, "run">[];
beforeAll(async () => {
  if (missing) return;
  host = mkdtempSync(join(tmpdir(), "onggi-volumes-"));
  writeFileSync(join(host, "file"), "host");
  engine = startEngine();
  docker = await startDocker();
  clients = [{ run: (args, options) => engine.onggi(args, options) }, docker.client];
  for (const client of [engine, docker.client]) await volumeImage(client, "data", ["VOLUME /data", "VOLUME /none"], DATA);
}, 120_000);
afterAll(async () => {
  if (missing) return;
  rmSync(host, { recursive: true, force: true });
  await docker?.stop();
  await engine?.close();
}, 120_000);

const LOOK = "find /data -exec stat -c '%n %a %u:%g %F %s %h' {} + | sort";
const run = (...args: string[]): string[] => ["run", "--rm", "--network", "none", ...args];
const MOUNTS = "{{range .Mounts}}{{.Type}} {{.Destination}} {{.RW}} {{.Driver}} ; {{end}}";

/** Command lines in turn; of those that fail only that they do is compared. HOST stands for a directory. */
const scripts: Readonly<Record<string, readonly string[][]>> = {
  "a fresh volume has what the image has": [
    run("-v", "a1:/data", "data", "sh", "-c", LOOK),
    run("-v", "a1:/x", "data", "cat", "/x/file"),
  ],
  "an anonymous one too": [run("data", "sh", "-c", LOOK), ["volume", "ls", "-q"]],
  nocopy: [run("-v", "b1:/data:nocopy", "data", "sh", "-c", LOOK), run("-v", "b1:/data", "data", "ls", "/data")],
  "a volume that is not empty stays as it is": [
    run("-v", "c1:/c", "data", "touch", "/c/own"),
    run("-v", "c1:/data", "data", "ls", "/data"),
  ],
  "what inspect tells of mounts": [
    ["create", "--name", "dd", "-v", "d1:/v:ro", "-v", "HOST:/h", "--mount", "type=tmpfs,dst=/t", "data", "true"],
    ["inspect", "-f", MOUNTS, "dd"],
    ["inspect", "-f", "{{len .HostConfig.Binds}}", "dd"],
    ["volume", "inspect", "-f", "{{.Name}} {{.Driver}} {{.Scope}} {{.Options}} {{.Labels}}", "d1"],
    ["volume", "rm", "d1"],
    ["rm", "dd"],
    ["volume", "rm", "d1"],
  ],
  "--volumes-from": [
    ["create", "--name", "ee", "-v", "e1:/v", "-v", "HOST:/h:ro", "data", "true"],
    run("--volumes-from", "ee", "data", "sh", "-c", "cat /h/file; ls /data; touch /v/x; touch /h/x 2>/dev/null || echo refused"),
    run("--volumes-from", "ee:ro", "data", "sh", "-c", "ls /v; touch /v/y 2>/dev/null || echo refused"),
    ["rm", "-v", "ee"],
  ],
  "a destination through a link of the image": [
    run("-v", "f1:/bin/../data/below/", "data", "sh", "-c", "ls /data/below"),
    run("-v", "f2:/data/link", "data", "sh", "-c", "ls /data"),
  ],
  "what is refused": [
    run("-v", "g1:relative", "data", "true"),
    run("-v", "g1:/g:what", "data", "true"),
    run("--mount", "type=bind,src=/no/such/place,dst=/g", "data", "true"),
    run("--mount", "type=volume,src=g1,dst=/g,bind-propagation=rslave", "data", "true"),
    run("-v", "g1:/g", "-v", "g2:/g", "data", "true"),
    run("--volumes-from", "nobody", "data", "true"),
    ["volume", "rm", "nothing"],
    ["volume", "create", "-o", "colour=red", "g4"],
  ],
};

describe.skipIf(missing !== null)("volumes, beside docker's", () => {
  test.each(Object.keys(scripts))("%s", async (name) => {
    const outcomes = await Promise.all(
      clients.map(async (client) => {
        const told: unknown[] = [];
        for (const command of scripts[name]!) {
          const { stdout, code } = await client.run(command.map((word) => word.replace("HOST", host)));
          // containers' ids, and volumes' of nobody's choice, are each one's own
          told.push(
            code === 0
              ? stdout
                  .replaceAll(/\b[0-9a-f]{64}\b/g, "ID")
                  .split(/\n| ; ?/)
                  .sort()
              : "failed",
          );
        }
        return told;
      }),
    );
    expect(outcomes[0]).toEqual(outcomes[1]!);
  });
});
