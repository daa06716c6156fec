/**
 * The same command lines of Docker's, at onggi's socket and at a dockerd: what they print, and how they end, is the same. Where the
 * words of an error are onggi's own (docs/api.md), there are some on both sides.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { CallResult, CommandLine } from "../kit/command.ts";
import { type Docker, dockerUnavailable, startDocker } from "../kit/docker.ts";
import { dockerClients, dockerFor } from "../kit/docker-api.ts";
import { type Engine, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";
import { skipLoudly } from "../kit/skip.ts";

const missing = dockerUnavailable();
if (missing) skipLoudly(`docker's command line beside dockerd: ${missing}`);

const INSIDE = ["unshare", "--net", "sh", "-c", 'ip link set lo up; exec "$@"', "sh"];
/** The newest there is: what an old one shows is tested by docker-cli.test.ts. */
const client = dockerClients().at(-1) ?? "";
let engine: Engine;
let docker: Docker;
let onggis: CommandLine;
let dockers: CommandLine;

beforeAll(async () => {
  if (missing) return;
  engine = startEngine();
  await bootstrapBusybox(engine);
  docker = await startDocker({ bridge: true, within: () => INSIDE });
  const archive = `${engine.base}/busybox.tar`;
  await engine.ok(["save", "-o", archive, "busybox"]);
  await docker.client.ok(["load", "-q", "-i", archive]);
  onggis = dockerFor(client, engine);
  dockers = new (onggis.constructor as typeof CommandLine)([client], { env: docker.env });
}, 120_000);
afterAll(async () => {
  await docker?.stop();
  await engine?.close();
}, 120_000);

/** What is different each time: ids, moments, how long ago. */
const settled = (text: string): string =>
  text
    .replace(/\b[0-9a-f]{64}\b/g, "ID")
    .replace(/\b[0-9a-f]{12}\b/g, "SHORT")
    .replace(/(About )?\b(a|an|\d+) (second|minute)s?( ago)?/g, "AGO")
    .replace(/Less than AGO/g, "AGO")
    .replace(/ {2,}/g, "  ");

const words = (line: string | readonly string[]): readonly string[] => (typeof line === "string" ? line.split(" ") : line);

async function both(line: string | readonly string[]): Promise<[CallResult, CallResult]> {
  return Promise.all([onggis.run(words(line)), dockers.run(words(line))]);
}

const shown = ({ stdout, stderr, code }: CallResult, ownWords: boolean): object => ({
  stdout: settled(stdout),
  stderr: ownWords ? stderr !== "" : settled(stderr),
  code,
});

type Row = string | readonly string[];

/** One after the other: later rows find what earlier ones made. */
function compared(name: string, rows: readonly Row[], ownWords: readonly Row[] = []): void {
  describe.skipIf(missing !== null)(name, () => {
    test.each(rows.map((row) => [row]))("%j", async (row) => {
      const [ours, theirs] = await both(row);
      expect(shown(ours, false)).toEqual(shown(theirs, false));
    });
    test.each(ownWords.map((row) => [row]))("%j, in words of its own", async (row) => {
      const [ours, theirs] = await both(row);
      expect(shown(ours, true)).toEqual(shown(theirs, true));
    });
  });
}

const sh = (script: string): readonly string[] => ["run", "--rm", "busybox", "sh", "-c", script];

compared(
  "run",
  [
    sh("echo out; echo err >&2; exit 3"),
    sh("grep -E 'Cap|Seccomp|NoNew' /proc/self/status; id; env | grep -v HOSTNAME | sort"),
    [
      "run",
      "--rm",
      "-u",
      "5:6",
      "--group-add",
      "7",
      "--read-only",
      "--init",
      "busybox",
      "sh",
      "-c",
      "id; touch /x; cat /proc/1/comm",
    ],
    ["run", "--rm", "-a", "stdout", "busybox", "sh", "-c", "echo out; echo err >&2"],
    "run -it --rm busybox true",
    sh("ls -A / /.dockerenv"),
    "run --rm --name _bad busybox true",
    "run --rm --memory 1k busybox true",
    "run --rm --memory 32m --memory-reservation 64m busybox true",
    "run --rm --cpus 1000 busybox true",
    "run --rm --cpuset-cpus 99 busybox true",
    "run --rm --device-read-bps sda:1mb busybox true",
    "run --rm --device-write-iops /dev/sda:1mb busybox true",
    "run --rm --blkio-weight-device /dev/sda:5 busybox true",
    "run --rm --memory-swappiness 101 busybox true",
    "run --rm --memory-swappiness 60 busybox true",
    "run --rm --stop-signal BAD busybox true",
    "run --rm --mount type=bind,src=/nosuch,dst=/x busybox true",
    "run --rm --mount type=tmpfs,src=x,dst=/x busybox true",
    "run --rm --pull never nosuch true",
    "run --rm --ipc none busybox ls /dev/shm",
    "run --rm --pid bad busybox true",
    "run --rm --uts host --hostname x busybox true",
    ["run", "--rm", "--hostname", "web.example.com", "busybox", "grep", "-o", "web.example.com web", "/etc/hosts"],
    "run --rm --link nosuch:x busybox true",
    "run --rm -p 99999:80 busybox true",
    "run --rm --network nosuch busybox true",
    "run --rm --gpus all busybox true",
  ],
  [
    "run --rm busybox /nope",
    "run --rm busybox /etc",
    "run --rm busybox nope",
    "run --rm --device-read-bps /dev/nosuch:1mb busybox true",
    "run --rm -w relative busybox true",
    "run --rm --volumes-from nosuch busybox true",
    "run --rm --cap-add NOPE busybox true",
    "run --rm --user nosuch busybox true",
    "run --rm --ipc bad busybox true",
    "run --rm --memory 10m --memory-swap 8m busybox true",
    "run --rm --oom-score-adj 5000 busybox true",
  ],
);

compared("the IPC of another container", [
  "run -d --name shares --ipc shareable busybox sleep 1000",
  "exec shares sh -c true",
  ["exec", "shares", "sh", "-c", "echo x > /dev/shm/a"],
  "run --rm --ipc container:shares busybox cat /dev/shm/a",
  "run -d --name keeps busybox sleep 1000",
  "run -d --name joins --ipc container:keeps busybox true",
  "start joins",
  "create --name rests --ipc shareable busybox true",
  "run --rm --ipc container:rests busybox true",
  "run --rm --ipc container:nosuch busybox true",
  ["inspect", "-f", "{{.HostConfig.IpcMode}}", "shares", "keeps"],
  "rm -f shares keeps joins rests",
]);

compared("a container's life", [
  ["run", "-d", "--name", "web", "--label", "a=b", "-p", "127.0.0.1:0:80", "-v", "vol:/data", "-e", "X=y", "busybox"].concat([
    "sh",
    "-c",
    "echo out; echo err >&2; exec sleep 1000",
  ]),
  "run -d --name web busybox true",
  ["ps", "--no-trunc", "--format", "{{.Names}} {{.Image}} {{.Command}} {{.State}} {{.Labels}} {{.Mounts}} {{.Networks}}"],
  ["ps", "--format", "{{.ID}} {{.Command}} {{.RunningFor}} {{.Status}} {{.LocalVolumes}}"],
  "ps -aq --filter label=a=b --filter ancestor=busybox --filter volume=vol",
  ["inspect", "-f", "{{json .State.Status}} {{json .Config.Env}} {{json .Config.Cmd}} {{json .HostConfig.RestartPolicy}}", "web"],
  ["inspect", "-f", "{{json .HostConfig.Binds}} {{json .HostConfig.Memory}} {{json .Config.ExposedPorts}}", "web"],
  "logs web",
  "logs nosuch",
  "inspect nosuch",
  ["exec", "web", "sh", "-c", "echo $X; exit 42"],
  "exec -u 1:2 web id",
  "exec nosuch true",
  "port nosuch",
  "port web 81",
  "rename web web2",
  "rename web2 web",
  "pause web",
  "unpause web",
  "kill -s BAD web",
  "update --memory 64m --memory-swap 64m web",
  "restart -t 0 web",
  "cp web:/nosuch /tmp",
  "cp /etc/hostname web:/h",
  ["exec", "web", "sh", "-c", "rm /bin/tac; cat /h | wc -l"],
  "commit -m fired web pot:1",
  ["image", "inspect", "-f", "{{json .Config.ExposedPorts}} {{json .Config.Env}} {{.Comment}}", "pot:1"],
  "tag pot:1 other/pot:2",
  "rmi other/pot:2",
  "stop -t 0 web",
  "attach web",
  "rm web",
  "rm web",
  "wait nosuch",
  "rmi nosuch:1",
  "rmi nosuch",
  "rmi -f nosuch",
  "rm -f nosuch",
  "ps extra",
]);

compared(
  "networks and volumes",
  [
    "network create n1",
    "network create n1",
    "network create bridge",
    ["network", "create", "--subnet", "10.213.7.0/24", "--label", "a=b", "--internal", "n2"],
    ["network", "ls", "--format", "{{.Name}} {{.Driver}} {{.Scope}} {{.Internal}} {{.Labels}}"],
    "run -d --name one --network n1 --network-alias al busybox sleep 1000",
    "network connect n2 one",
    ["exec", "one", "sh", "-c", "ip addr | grep -c 'inet '"],
    "create --name two --network container:one busybox true",
    ["inspect", "-f", "{{json .NetworkSettings.Networks}} {{json .HostConfig.NetworkMode}}", "two"],
    ["ps", "-a", "--filter", "name=two", "--format", "[{{.Networks}}]"],
    "rm two",
    "network rm nosuch",
    "network inspect nosuch",
    "network disconnect n2 one",
    "network rm bridge",
    "volume create v1",
    "volume create v1",
    "volume create --label a=b --opt type=tmpfs --opt device=tmpfs v3",
    ["volume", "inspect", "-f", "{{json .Options}} {{json .Labels}} {{.Driver}} {{.Scope}}", "v3"],
    "volume inspect nosuch",
    "volume rm nosuch",
    "volume rm -f nosuch",
    "volume rm v1 v3 vol",
    "rm -f one",
    "network rm n1 n2",
    "node ls",
    "swarm leave",
    "plugin ls",
  ],
  ["network create --subnet bad n3"],
);

test.skipIf(missing !== null)(
  "events of what a container has while it runs, of its forced removal, of save and prune",
  async () => {
    const since = String(Date.now() / 1000);
    for (const line of [
      "run --rm --name told -v /anonymous busybox true",
      "run -d --name told -v told:/x:ro --network none busybox sleep 1000",
      "commit -m words told told:committed",
      "rm -f told",
      "container prune -f",
      "volume rm told",
      `save -o ${engine.base}/told.tar busybox`,
    ])
      await both(line);
    const query = ["events", "--since", since, "--until", String(Date.now() / 1000 + 0.1), "--format", "{{json .}}"];
    const [ours, theirs] = (await both(query)).map(({ stdout }) =>
      stdout
        .trim()
        .split("\n")
        .flatMap((line) => {
          const { Type, Action, Actor } = JSON.parse(line);
          const { execDuration: _, ...attributes } = Actor.Attributes;
          // dockerd tells of volumes that were there as if they were made, and lets a container go on later in a commit
          if ((Type === "volume" && Action === "create") || Action === "unpause") return [];
          return [settled(JSON.stringify([Type, Action, Object.entries(attributes).sort()]))];
        }),
    );
    await both("rmi told:committed");
    expect(ours).toEqual(theirs!);
    expect(ours!.length).toBeGreaterThan(20);
  },
  60_000,
);
