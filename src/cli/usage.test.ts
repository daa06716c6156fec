import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ControlHarness } from "../../test/control-harness.ts";
import { commands, groups } from "./commands.ts";

const harness = new ControlHarness();
beforeAll(() => harness.start());
afterAll(() => harness.stop());
beforeEach(() => {
  harness.handlers = {};
});

describe("wrong use", () => {
  test.each([
    [["rnu"], 1, 'there is no command "rnu"; did you mean run?'],
    [["image", "bootsrap"], 1, "did you mean bootstrap?"],
    [["frobnicate"], 1, "see onggi --help"],
    [["run"], 1, '"onggi run" takes at least 1 argument: onggi run [flags] IMAGE'],
    [["ps", "x"], 1, '"onggi ps" takes no arguments'],
    [["tag", "a"], 1, "takes 2 arguments"],
    [["run", "--meory", "1m", "busybox"], 125, "unknown flag: --meory; did you mean --memory?"],
    [["ps", "-x"], 125, "unknown shorthand flag: -x; see onggi ps --help-all"],
    [["run", "-d", "-a", "stdin", "busybox"], 125, "exclude each other"],
    [["run", "-it", "busybox"], 125, "needs a terminal"],
    [["update", "web"], 125, "say what to change"],
    [["completion", "tcsh"], 125, "choose one of bash, zsh, fish"],
  ] as [string[], number, string][])("%j", async (argv, code, message) => {
    const { exitCode, stderr } = await harness.command(argv);
    expect(exitCode).toBe(code);
    expect(stderr).toStartWith("onggi: ");
    expect(stderr).toContain(message);
  });
});

test("the id of a container goes to --cidfile, which must not exist", async () => {
  const file = join(harness.directory, "cid");
  harness.handlers.create = async () => ({ id: "abc", warnings: ["careful"] });
  expect(await harness.command(["create", "--cidfile", file, "busybox"])).toEqual({
    exitCode: 0,
    stdout: "abc\n",
    stderr: "WARNING: careful\n",
  });
  expect(readFileSync(file, "utf8")).toBe("abc");
  expect((await harness.command(["create", "--cidfile", file, "busybox"])).exitCode).toBe(125);
  expect(existsSync(file)).toBe(true);
  const { exitCode, stderr } = await harness.command(["create", "--cidfile", `${file}s/deep`, "busybox"]);
  expect([exitCode, stderr, existsSync(`${file}s`)]).toEqual([
    125,
    `onggi: --cidfile ${file}s/deep: there is no directory ${file}s\n`,
    false,
  ]);
});

describe("help", () => {
  const all = [
    ...Object.keys(commands).map((name) => [name]),
    ...Object.entries(groups).flatMap(([group, { commands }]) => Object.keys(commands).map((name) => [group, name])),
  ];
  test.each(all)("%s %s fits a screen", async (...words) => {
    const argv = words.filter((word) => typeof word === "string");
    const { exitCode, stdout } = await harness.command([...argv, "--help"]);
    expect(exitCode).toBe(0);
    expect(stdout).toStartWith(`Usage: onggi ${argv.join(" ")}`);
    const lines = stdout.split("\n");
    expect(lines.length).toBeLessThan(40);
    for (const line of lines) expect(line.length).toBeLessThan(120);
    const [first = "", second] = argv;
    const entry = second === undefined ? commands[first] : groups[first]?.commands[second];
    if (!entry!.hidden) expect(stdout).toContain("\nExamples:\n  onggi ");
  });

  test("the overview, groups and everything", async () => {
    expect((await harness.command([])).stdout).toContain("Commands:");
    expect((await harness.command(["help", "run"])).stdout).toContain("Usage: onggi run");
    expect((await harness.command(["image"])).stdout).toContain("bootstrap");
    expect((await harness.command(["run", "--help-all"])).stdout).toContain("--oom-score-adj");
  });
});

describe("completion", () => {
  test.each(["bash", "zsh", "fish"])("%s knows commands, groups and flags", async (shell) => {
    const { exitCode, stdout } = await harness.command(["completion", shell]);
    expect(exitCode).toBe(0);
    for (const word of ["bootstrap", "engine", "memory-swap", "unpause"]) expect(stdout).toContain(word);
    expect(stdout).not.toContain("gpus");
  });

  test("bash completes commands, flags and values", async () => {
    const { stdout: script } = await harness.command(["completion", "bash"]);
    const complete = async (...words: string[]): Promise<string[]> => {
      const line = words.join(" ");
      const probe = `${script}\nCOMP_LINE='${line}'; COMP_POINT=${line.length}; _onggi; printf '%s\\n' "\${COMPREPLY[@]}"`;
      return (await Bun.$`bash -c ${probe}`.text()).trim().split("\n");
    };
    expect(await complete("onggi", "unp")).toEqual(["unpause"]);
    expect(await complete("onggi", "image", "boot")).toEqual(["bootstrap"]);
    expect(await complete("onggi", "run", "--memory-s")).toEqual(["--memory-swap"]);
    expect(await complete("onggi", "run", "--userns", "h")).toEqual(["host"]);
    expect(await complete("onggi", "image", "bootstrap", "d")).toEqual(["debian"]);
    expect(await complete("onggi", "--root", "/x", "-c=y", "container", "rena")).toEqual(["rename"]);
    expect(await complete("onggi", "run", "--userns=h")).toEqual(["host"]);
    expect(await complete("onggi", "volume", "remo")).toEqual([""]);
  });
});
