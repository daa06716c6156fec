/** The same commands about networks to onggi and to docker, which has a network namespace of its own: what they print is the same. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import type { CommandLine } from "../kit/command.ts";
import { type Docker, dockerUnavailable, startDocker } from "../kit/docker.ts";
import { type Engine, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox, busyboxArchive } from "../kit/images.ts";
import { skipLoudly } from "../kit/skip.ts";

const missing = dockerUnavailable();
if (missing) skipLoudly(`networks beside docker's: ${missing}`);

const INSIDE = ["unshare", "--net", "sh", "-c", 'ip link set lo up; exec "$@"', "sh"];
let engine: Engine;
let docker: Docker;
let clients: { client: Pick<CommandLine, "ok" | "run">; image: string }[];

beforeAll(async () => {
  if (missing) return;
  engine = startEngine();
  await bootstrapBusybox(engine);
  docker = await startDocker({ bridge: true, within: () => INSIDE });
  await docker.client.ok(["load", "-q", "-i", busyboxArchive()]);
  clients = [
    { client: { ok: (args) => engine.ok(args), run: (args) => engine.onggi(args) }, image: "busybox" },
    { client: docker.client, image: "onggi-test/busybox:latest" },
  ];
}, 120_000);
afterEach(async () => {
  for (const { client } of clients ?? []) {
    const containers = await client.ok(["ps", "-aq"]);
    if (containers !== "") await client.ok(["rm", "-f", ...containers.split("\n")]);
    await client.ok(["network", "prune", "-f"]);
  }
});
afterAll(async () => {
  await docker?.stop();
  await engine?.close();
}, 120_000);

type Ask = (...args: string[]) => Promise<string>;

/** What both answer, in one form; "IMAGE" is an image with busybox. */
async function both(work: (ask: Ask, refused: Ask) => Promise<unknown>): Promise<void> {
  const [ours, dockers] = await Promise.all(
    clients.map(({ client, image }) => {
      const words = (args: string[]) => args.map((word) => (word === "IMAGE" ? image : word));
      const refused: Ask = async (...args) => {
        const { stderr } = await client.run(words(args));
        return stderr.trim().split("\n")[0]!;
      };
      return work((...args) => client.ok(words(args)), refused);
    }),
  );
  expect(ours).toEqual(dockers);
}

/** Counters by interface, as Docker's API has them. */
async function dockerCounters(container: string): Promise<Record<string, Record<string, number>>> {
  const address = `http://docker/containers/${container}/stats?stream=false&one-shot=true`;
  const answer = await fetch(address, { unix: docker.base.at("docker.sock") });
  return ((await answer.json()) as { networks?: Record<string, Record<string, number>> }).networks ?? {};
}

describe.skipIf(missing !== null)("stats", () => {
  test("have the same interfaces and counters as docker's", async () => {
    const named = (counters: Record<string, Record<string, number>>) =>
      Object.entries(counters)
        .sort()
        .map(([name, values]) => [name, Object.keys(values).sort()]);
    const modes = {
      plain: [],
      host: ["--network", "host"],
      none: ["--network", "none"],
      guest: ["--network", "container:plain"],
    };
    await both(async (ask) => {
      await ask("network", "create", "second");
      for (const [name, words] of Object.entries(modes)) {
        await ask("run", "-d", "--name", name, ...words, "IMAGE", "sleep", "1000");
      }
      await ask("network", "connect", "second", "plain");
    });
    const lines = (await engine.ok(["stats", "--no-stream", "--format", "json"])).split("\n");
    expect(lines).toHaveLength(4);
    const compared = lines.map(async (line) => {
      const { Name, Networks } = JSON.parse(line);
      expect([Name, named(Networks)]).toEqual([Name, named(await dockerCounters(Name))]);
    });
    await Promise.all(compared);
  });
});

describe.skipIf(missing !== null)("links of the default network", () => {
  test("variables and /etc/hosts", async () => {
    await both(async (ask) => {
      const ports = ["--expose", "80-82", "--expose", "5432", "--expose", "9053/udp"];
      await ask(
        "run",
        "-d",
        "--name",
        "my-db",
        "-h",
        "store",
        ...ports,
        "-e",
        "MODE=a=b",
        "-e",
        "EMPTY=",
        "IMAGE",
        "sleep",
        "1000",
      );
      const address = await ask("inspect", "-f", "{{.NetworkSettings.IPAddress}}", "my-db");
      await ask("run", "-d", "--name", "web", "-h", "web", "--link", "my-db:sql", "--link", "my-db", "IMAGE", "sleep", "1000");
      const own = await ask("inspect", "-f", "{{.NetworkSettings.IPAddress}}", "web");
      const told = async (...args: string[]) => (await ask(...args)).replaceAll(address, "DB").replaceAll(own, "WEB");
      const variables = (text: string) => text.split("\n").filter((line) => /^(SQL|MY_DB)_/.test(line));
      return {
        started: variables(await told("exec", "web", "sh", "-c", "tr '\\0' '\\n' < /proc/1/environ")).sort(),
        exec: variables(await told("exec", "web", "env")).sort(),
        hosts: (await told("exec", "web", "tail", "-3", "/etc/hosts")).split("\n").sort(),
        links: JSON.parse(await ask("inspect", "-f", "{{json .HostConfig.Links}}", "web")).sort(),
      };
    });
  });

  test("what is refused", async () => {
    await both(async (ask, refused) => {
      await ask("create", "--name", "db", "IMAGE", "true");
      await ask("create", "--name", "web", "--link", "db:sql", "IMAGE", "true");
      const words = async (...args: string[]) =>
        (await refused(...args)).replace(
          /^.*(could not get container for \S+: [nN]o such container: \w+|Cannot link to .*).*$/,
          "$1",
        );
      return [await words("create", "--link", "nobody:x", "IMAGE", "true"), await words("start", "web")];
    });
  });
});
