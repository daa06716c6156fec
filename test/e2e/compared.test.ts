/** One image, the same commands run in it by onggi, docker and podman: what diff, export and commit make of that is the same. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type SnapshotOptions, snapshot } from "../images/snapshot.ts";
import type { CommandLine } from "../kit/command.ts";
import { type Docker, dockerUnavailable, startDocker } from "../kit/docker.ts";
import { type Engine, eventually, startEngine } from "../kit/engine.ts";
import { dockerArchive, LAYERED, sh } from "../kit/images.ts";
import { makePodman, type Podman, podmanUnavailable } from "../kit/podman.ts";
import { skipLoudly } from "../kit/skip.ts";

const missing = dockerUnavailable() ?? podmanUnavailable();
if (missing) skipLoudly(`diff, export and commit beside docker's and podman's: ${missing}`);

/** Every kind of change, at times of its own. */
const CHANGE = `set -e
rm /data/kept
echo new > /data/replaced
mkdir -p /made/deep; echo a > /made/deep/a
chmod 600 /check
chown 12:34 /data/target
ln -s ../x /made/sym; ln /made/deep/a /made/twin; mkfifo /made/fifo
echo s > /made/suid; chown 5:6 /made/suid; chmod 4755 /made/suid
head -c 100000 /dev/zero > /made/zeros
rm -r /opaque; mkdir /opaque; echo b > /opaque/b
rm -r /srv; echo file > /srv
rm /bin/tac; mkdir /bin/tac
for n in /data/replaced /made/deep/a /made/sym /made/fifo /made/suid /made/zeros /opaque/b /opaque /made/deep /made /data /srv \
  /bin/tac /bin /; do touch -h -d @1600000000 $n; done
`;

let engine: Engine;
let docker: Docker;
let podman: Podman;
let directory: string;
let clients: Record<"onggi" | "docker" | "podman", Pick<CommandLine, "ok">>;

beforeAll(async () => {
  if (missing) return;
  directory = mkdtempSync(join(tmpdir(), "onggi-compared-"));
  engine = startEngine();
  podman = makePodman("/usr/sbin/runc");
  docker = await startDocker();
  clients = { onggi: engine, docker: docker.client, podman: podman.client };
  for (const [name, client] of Object.entries(clients)) {
    await client.ok(["load", "-q", "-i", dockerArchive()]);
    const own = name === "onggi" ? ["--userns", "host"] : ["--network", "none"];
    await client.ok(["run", "--name", "pot", "--user", "0", "-e", "GLAZE=green", ...own, LAYERED.name, "sh", "-c", CHANGE]);
  }
}, 120_000);
afterAll(async () => {
  if (missing) return;
  rmSync(directory, { recursive: true, force: true });
  await docker?.stop();
  await podman?.close();
  await engine?.close();
}, 120_000);

const lines = (text: string): string[] => text.split("\n").sort();

/** What a container manager puts into every container. */
const without = new Set(["dev", "proc", "sys", "run", "etc/hostname", "etc/hosts", "etc/resolv.conf", "etc/mtab", ".dockerenv"]);

/** The tree of a tar, unpacked by GNU tar; of etc, where each manager makes files, not the time. */
function treeOfTar(name: string, file: string, options: SnapshotOptions = {}): Record<string, string> {
  const root = join(directory, `${name}-tree`);
  mkdirSync(root);
  sh(["tar", "--numeric-owner", "--xattrs", "--xattrs-include=*", "-xpf", file, "-C", root]);
  const tree = snapshot(root, { without, ...options });
  for (const one of [".", "etc"]) tree[one] = tree[one]!.replace(/mtime \d+/, "mtime of its own");
  return tree;
}

describe.skipIf(missing !== null)("beside docker and podman", () => {
  test("diff", async () => {
    const ours = lines(await clients.onggi.ok(["diff", "pot"]));
    expect(ours).toEqual(lines(await clients.docker.ok(["diff", "pot"])));
    // To podman what was replaced is deleted; and its own files in /etc have changed that.
    const replaced = ["C /bin/tac", "C /opaque", "D /opaque/new"];
    const theirs = [...ours.filter((line) => !replaced.includes(line)), "D /bin/tac", "D /opaque", "C /etc"];
    expect(lines(await clients.podman.ok(["diff", "pot"]))).toEqual(theirs.sort());
  });

  test("export", async () => {
    const trees: Record<string, Record<string, string>> = {};
    for (const [name, client] of Object.entries(clients)) {
      const file = join(directory, `${name}.tar`);
      await client.ok(["export", "-o", file, "pot"]);
      trees[name] = treeOfTar(name, file);
    }
    expect(trees.onggi!["made/twin"]).toContain("2 links with made/deep/a");
    expect(trees.onggi).toEqual(trees.docker!);
    expect(trees.onggi).toEqual(trees.podman!);
  });

  test("commit with author, message and instructions", async () => {
    const instructions = [
      ...["ENV A=b", "ENV COLOUR=white", 'CMD ["a", "b"]', 'ENTRYPOINT ["/e"]', "EXPOSE 80/tcp", "EXPOSE 53/udp", "LABEL k=v"],
      ...["LABEL other=two", "VOLUME /vol", "WORKDIR /made", "USER 7", "ONBUILD RUN x"],
    ].flatMap((instruction) => ["-c", instruction]);
    const told = ["-a", "me <me@x>", "-m", "fired", ...instructions, "pot", "onggi-test/made:1"];
    await clients.docker.ok(["commit", ...told]);
    await clients.podman.ok(["commit", "-q", "-f", "docker", ...told]);
    const id = await engine.ok(["commit", ...told]);
    const inspect = async (client: Pick<CommandLine, "ok">) => JSON.parse(await client.ok(["image", "inspect", told.at(-1)!]))[0];
    const [ours, theirs, podmans] = await Promise.all([inspect(engine), inspect(docker.client), inspect(podman.client)]);

    const keys = ["User", "ExposedPorts", "Env", "Cmd", "Entrypoint", "Volumes", "WorkingDir", "Labels", "OnBuild"] as const;
    for (const key of keys) expect([key, ours.Config[key]]).toEqual([key, theirs.Config[key]]);
    // Podman makes no ONBUILD of an OCI image, and has variables of its own.
    for (const key of keys.filter((key) => !["Env", "OnBuild"].includes(key)))
      expect([key, ours.Config[key]]).toEqual([key, podmans.Config[key]]);
    for (const image of [theirs, podmans]) expect([image.Author, image.Comment]).toEqual([ours.Author, ours.Comment]);
    expect(ours.RootFS.Layers.slice(0, -1)).toEqual(theirs.RootFS.Layers.slice(0, -1));
    expect((await engine.ok(["history", "--no-trunc", "-q", "onggi-test/made:1"])).split("\n")[0]).toBe(id);

    // The layers that were made of it say the same.
    const saved = join(directory, "by-docker.tar");
    await docker.client.ok(["save", "-o", saved, "onggi-test/made:1"]);
    await engine.ok(["tag", id, "ours:1"]);
    await engine.ok(["load", "-q", "-i", saved]);
    const trees: Record<string, string>[] = [];
    for (const image of ["ours:1", "onggi-test/made:1"]) {
      const container = await engine.ok(["create", "--userns", "host", image]);
      const file = join(directory, `${trees.length}.tar`);
      await engine.ok(["export", "-o", file, container]);
      trees.push(treeOfTar(`${trees.length}`, file));
      await engine.ok(["rm", container]);
    }
    expect(trees[0]).toEqual(trees[1]!);
    await engine.ok(["rmi", "-f", "ours:1", "onggi-test/made:1"]);
  }, 60_000);

  test.each([
    [["ENV A=1 B='2 3' C=\"4 $GLAZE\"", `ENV D=$A-\${GLAZE:-none}-\${NONE:-none}`, "ENV GLAZE=white"]],
    [["ENV OLD some words of $GLAZE", "LABEL a=1 'b c'=\"d e\" f=$GLAZE", "LABEL old words of it"]],
    [['ENTRYPOINT ["/e", "$A"]']],
    [["CMD echo $A", "ENTRYPOINT exec it"]],
    [["WORKDIR a/b", "WORKDIR ../c", "WORKDIR $GLAZE", "USER $GLAZE:1"]],
    [["EXPOSE 80 443/tcp 53/udp", "EXPOSE 8000-8002", "VOLUME /a /b/$GLAZE", 'VOLUME ["/c d"]']],
    [["ONBUILD ENV A=$B", "HEALTHCHECK --interval=1m30s --retries=2 CMD test -e /x", "cmd lower"]],
  ])("commit --change %j", async (lines) => {
    const flags = lines.flatMap((line) => ["-c", line]);
    const config = async (client: Pick<CommandLine, "ok">) => {
      const id = await client.ok(["commit", ...flags, "pot"]);
      const [image] = JSON.parse(await client.ok(["image", "inspect", id]));
      await client.ok(["rmi", id]);
      const { Env, Cmd, Entrypoint, WorkingDir, User, Labels, ExposedPorts, Volumes, OnBuild, Healthcheck } = image.Config;
      const all = { Env, Cmd, Entrypoint, WorkingDir, User, Labels, ExposedPorts, Volumes, OnBuild, Healthcheck };
      return Object.fromEntries(Object.entries(all).filter(([, value]) => value && Object.keys(value).length > 0));
    };
    expect(await config(engine)).toEqual(await config(docker.client));
  });

  test("commit freezes what runs, unless it is told not to", async () => {
    for (const client of [engine, docker.client]) {
      const own = client === engine ? [] : ["--network", "none"];
      await client.ok(["run", "-d", "--name", "live", ...own, LAYERED.name, "sleep", "1000"]);
      const events = client.spawn(["events", "--filter", "container=live", "--format", "{{.Action}}"]);
      const paused = async (flags: readonly string[]): Promise<string[]> => {
        const before = events.output().length;
        await client.ok(["commit", ...flags, "live", "live:1"]);
        // Events come in their order: after this one nothing of the commit is missing.
        await client.ok(["kill", "-s", "URG", "live"]);
        const since = (): string => events.output().slice(before);
        await eventually("the signal is told", () => since().includes("kill\n"));
        return since()
          .split("\n")
          .filter((action) => /pause/.test(action));
      };
      expect(await paused(["-p=false"])).toEqual([]);
      expect(await paused(["-p"])).toEqual(["pause", "unpause"]);
      expect(await paused([])).toEqual(["pause", "unpause"]);
      events.process.kill();
      await client.ok(["rm", "-f", "live"]);
    }
  }, 60_000);
});
