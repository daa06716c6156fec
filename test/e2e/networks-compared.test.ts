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

describe.skipIf(missing !== null)("network ls, inspect, rm and prune", () => {
  /** Networks with and without containers and labels. */
  const some = async (ask: Ask): Promise<void> => {
    await ask("network", "create", "--label", "tier=front", "--label", "keep", "web10");
    await ask("network", "create", "--label", "tier=back", "--internal", "web9");
    await ask("network", "create", "--subnet", "10.213.9.0/24", "lonely");
    await ask("run", "-d", "--name", "in", "--network", "web10", "IMAGE", "sleep", "1000");
  };

  const filters = async (ask: Ask) => {
    const asked = [
      [],
      ["name=web"],
      ["name=^web9$"],
      ["name=eb9"],
      ["name=lonely", "name=host"],
      ["driver=bridge"],
      ["driver=brid"],
      ["driver=host", "driver=null"],
      ["scope=local"],
      ["scope=global"],
      ["scope=swarm"],
      ["type=custom"],
      ["type=builtin"],
      ["label=tier"],
      ["label=tier=back"],
      ["label=tier", "label=keep"],
      ["label=nothing"],
      ["type=custom", "label=tier", "driver=bridge"],
    ];
    const found: Record<string, string> = {};
    for (const filter of asked) {
      const words = filter.flatMap((one) => ["--filter", one]);
      found[filter.join(" ")] = await ask("network", "ls", "--format", "{{.Name}}", ...words);
    }
    const id = await ask("network", "ls", "--no-trunc", "-q", "-f", "name=web9");
    const byId = await ask("network", "ls", "--format", "{{.Name}}", "-f", `id=${id.slice(0, 8)}`);
    const inside = await ask("network", "ls", "--format", "{{.Name}}", "-f", `id=${id.slice(4, 30)}`);
    return { found, byId, inside, lengths: [id.length, (await ask("network", "ls", "-q", "-f", "name=web9")).length] };
  };

  const forms = async (ask: Ask) => {
    const plain = (text: string) =>
      text
        .replace(/\b[0-9a-f]{12}\b/g, "ID")
        .replace(/\d{4}-\d\d-\d\d[^"\n]*(?= UTC)/g, "DATE")
        .replace(/ +$/gm, "");
    const asked = [
      [],
      ["--format", "table {{.Name}}\t{{.Driver}}\t{{.Scope}}\t{{.IPv6}}\t{{.Internal}}"],
      ["--format", '{{.Name}}: {{.Label "tier"}} {{.CreatedAt}}'],
      ["--format", "{{.Name}}: {{.Labels}}", "--filter", "name=web9"],
    ];
    const shown = await Promise.all(asked.map(async (form) => plain(await ask("network", "ls", ...form))));
    // what newer dockers show as well
    const { IPv4, Subnets, ...json } = JSON.parse(plain(await ask("network", "ls", "--format", "{{json .}}", "-f", "name=web9")));
    return [...shown, json];
  };

  const inspected = async (ask: Ask, refused: Ask) => {
    const [web] = JSON.parse(await ask("network", "inspect", "web10"));
    const [container] = Object.values(web.Containers) as Record<string, string>[];
    const missing = await refused("network", "inspect", "nothing");
    return {
      keys: Object.keys(web).filter((key) => !["EnableIPv4", "Onggi", "Status"].includes(key)),
      container: [container!.Name, Object.keys(container!)],
      texts: await ask(
        "network",
        "inspect",
        "-f",
        "{{.Name}} {{.Driver}} {{json .Labels}} {{.Internal}}",
        "web10",
        "web9",
        "host",
      ),
      config: await ask("network", "inspect", "-f", "{{range .IPAM.Config}}{{.Subnet}}{{end}}", "lonely"),
      running: await ask("network", "inspect", "-f", "{{range .Containers}}{{.Name}} {{end}}", "web10"),
      missing: missing.includes("nothing"),
    };
  };

  test("ls and inspect", async () => {
    await both(async (ask, refused) => {
      await some(ask);
      return [await filters(ask), await forms(ask), await inspected(ask, refused)];
    });
  });

  test("rm and prune", async () => {
    await both(async (ask) => {
      await some(ask);
      const past = await ask("network", "prune", "-f", "--filter", "until=1h");
      const labelled = await ask("network", "prune", "-f", "--filter", "label=tier=back");
      await ask("network", "create", "--label", "keep", "kept");
      const others = await ask("network", "prune", "-f", "--filter", "label!=keep");
      const removed = await ask("network", "rm", "kept");
      await ask("network", "create", "one");
      await ask("network", "create", "two");
      const several = await ask("network", "rm", "one", "two");
      const rest = await ask("network", "prune", "-f");
      return { past, labelled, others, removed, several, rest, left: await ask("network", "ls", "--format", "{{.Name}}") };
    });
  });

  test("configurations", async () => {
    await both(async (ask, refused) => {
      const create = (...words: string[]) => ask("network", "create", ...words);
      await create("--config-only", "--subnet", "10.77.5.0/24", "--label", "tier=back", "-d", "macvlan", "plan");
      await create("--config-only", "--subnet", "10.77.5.0/24", "--gateway", "10.77.5.9", "--ip-range", "10.77.5.64/26", "other");
      await create("--config-from", "other", "made");
      const said = async (...words: string[]) =>
        (await refused("network", ...words)).replace(
          /^(onggi|Error response from daemon): (error while removing network: )?/,
          "",
        );
      const fields =
        "{{.Name}} {{.Driver}} {{.Scope}} {{.ConfigOnly}} {{json .ConfigFrom}} {{json .IPAM.Config}} {{json .Labels}} {{json .Options}}";
      return {
        inspect: await ask("network", "inspect", "-f", fields, "plan", "other", "made"),
        ls: await ask("network", "ls", "--format", "{{.Name}} {{.Driver}} {{.Scope}} {{.Labels}}", "-f", "type=custom"),
        overlap: (await said("create", "--config-from", "plan", "again")) !== "",
        refusals: [
          await said("create", "--config-only", "--internal", "x"),
          await said("create", "--config-only", "--attachable", "x"),
          await said("create", "--config-only", "--config-from", "plan", "x"),
          await said("create", "--config-from", "plan", "--subnet", "10.77.6.0/24", "x"),
          await said("create", "--config-from", "plan", "--label", "a=b", "x"),
          await said("create", "--config-from", "plan", "--ipv6", "x"),
          await said("create", "--config-from", "plan", "-o", "a=b", "x"),
          await said("create", "--config-from", "nothing", "x"),
          await said("create", "--config-from", "made", "x"),
          (await said("rm", "other")).replace(" by made: remove them first", ""),
          // as newer dockers write it
        ].map((text) => text.replace("user specified", "user-specified")),
        pruned: await ask("network", "prune", "-f"),
        left: await ask("network", "ls", "--format", "{{.Name}}"),
        removed: await ask("network", "rm", "plan", "other"),
      };
    });
  });

  test("filters that are not there", async () => {
    for (const { client } of clients) {
      for (const word of ["colour=red", "dangling=maybe", "type=strange"]) {
        const { code, stderr } = await client.run(["network", "ls", "--filter", word]);
        expect([code, stderr]).toEqual([1, expect.stringMatching(/filter/i)]);
      }
    }
  });
});
