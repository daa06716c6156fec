import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { ControlHarness } from "../../test/control-harness.ts";
import { commandsDocument, entryOf, isAbout, judgeFlag, parseDockerCommands, shortestName, whyOf } from "./docker-compat.ts";
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

describe("every difference", () => {
  test.each(differences.map((one) => [`${one.commands.join(", ")} ${one.flags?.join(", ") ?? ""}`, one] as const))(
    "%s: is one of Docker's, and still one",
    async (_, difference) => {
      const { commands, flags, here = false } = difference;
      const meant = docker.filter(({ name }) => isAbout(difference, shortestName(name)));
      for (const name of commands.filter((one) => !one.endsWith("*")))
        expect(meant.map((command) => shortestName(command.name))).toContain(name);
      for (const command of meant) {
        const entry = entryOf(command.name);
        if (flags === undefined) expect([command.name, entry !== undefined]).toEqual([command.name, here]);
        const ours = (await entry?.load())?.flags as Flags | undefined;
        for (const flag of flags ?? []) {
          const isThere = ours !== undefined && flag in ours && !ours[flag]!.help.startsWith("not there yet");
          expect([command.name, flag, isThere]).toEqual([command.name, flag, here]);
          expect(command.flags.map((one) => one.name)).toContain(flag);
        }
      }
    },
  );
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
    expect((await harness.command(["plugin", "ls"])).stderr).toContain("there are no plugins");
  } finally {
    harness.stop();
  }
});
