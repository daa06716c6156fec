import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { ControlHarness } from "../../test/control-harness.ts";
import { commandsDocument, entryOf, judgeFlag, parseDockerCommands, shortestName, whyOf } from "./docker-compat.ts";
import { differences } from "./docker-differences.ts";
import { bool, type Flags, list, text } from "./flags.ts";

const repository = `${import.meta.dir}/../..`;
const docker = parseDockerCommands(readFileSync(`${repository}/scripts/docker-commands.tsv`, "utf8"));

test("docs/docker-compat.md ends as the commands say (bun scripts/generate-compat.ts)", async () => {
  expect(readFileSync(`${repository}/docs/docker-compat.md`, "utf8")).toEndWith(`\n${await commandsDocument(docker)}`);
});

describe("every command of Docker's", () => {
  test.each(docker.map(({ name }) => [name]))("%s and its flags are here, or said why not", async (name) => {
    const entry = entryOf(name);
    if (!entry) return expect(whyOf(name)).toBeString();
    const ours = (await entry.load()).flags as Flags;
    const { flags } = docker.find((command) => command.name === name)!;
    expect(flags.filter((flag) => judgeFlag(name, flag, ours).how === "unknown").map((flag) => flag.name)).toEqual([]);
  });
});

test("what is said of a command or flag is said of one that Docker has", () => {
  const byName = new Map(docker.map((command) => [shortestName(command.name), command]));
  const gone = differences.flatMap(({ commands, flags = [] }) =>
    commands.flatMap((name) => {
      const known = byName.get(name);
      if (!known) return [name];
      return flags.filter((flag) => !known.flags.some((one) => one.name === flag)).map((flag) => `${name} --${flag}`);
    }),
  );
  expect(gone).toEqual([]);
});

test("a flag is done only with Docker's letter and with a value where Docker's has one", () => {
  const ours = { env: list("e", "X", ""), quiet: bool("", ""), later: text("", "X", "not there yet: it needs Y") };
  const how = (name: string, short: string, takesValue: boolean) => judgeFlag("ps", { name, short, takesValue }, ours).how;
  expect([how("env", "e", true), how("env", "x", true), how("env", "e", false)]).toEqual(["done", "unknown", "unknown"]);
  expect([how("quiet", "q", false), how("later", "", true), how("nothing", "", false)]).toEqual(["unknown", "absent", "unknown"]);
});

test("who calls a command of Docker's that is not here is told why", async () => {
  const harness = new ControlHarness();
  harness.start();
  try {
    const { exitCode, stderr } = await harness.command(["swarm", "init"]);
    expect([exitCode, stderr]).toEqual([1, expect.stringContaining('there is no command "swarm init": there is no swarm mode')]);
    expect((await harness.command(["search", "x"])).stderr).toContain("registries have no search");
  } finally {
    harness.stop();
  }
});
