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
    [["netwrok", "ls"], 1, "did you mean network?"],
    [["compose", "psx"], 1, "did you mean ps?"],
    [["bootstrap", "busybox"], 1, "did you mean image bootstrap?"],
    [["volumes"], 1, "did you mean volume or compose volumes?"],
    [["frobnicate"], 1, "see onggi --help"],
    [["network", "frobnicate"], 1, "see onggi network --help"],
    [["help", "frobnicate"], 1, "see onggi --help"],
    [["network", "--foo", "ls"], 125, "unknown flag: --foo; see onggi network --help-all"],
    [["snapshot", "--foo", "web"], 125, "unknown flag: --foo; see onggi snapshot create --help-all"],
    [["--foo", "ps"], 125, "unknown flag: --foo; see onggi --help"],
    [["ps", "--foo"], 125, "unknown flag: --foo; see onggi ps --help-all"],
    [["run", "--pull", "alwasy", "busybox"], 125, '--pull "alwasy" is not one of missing, never, always'],
    [["run", "--restart", "alwasy", "busybox"], 125, "use one of no, always"],
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
  const screen = 24;
  const long = /^(container )?(run|create)$|^explain$|^engine start$/;
  const fits = (text: string, rows: number): void => {
    expect(text.trimEnd().split("\n").length).toBeLessThanOrEqual(rows);
    for (const line of text.split("\n")) expect(Bun.stringWidth(line), line).toBeLessThanOrEqual(80);
  };

  test.each(all)("%s %s fits a screen", async (...words) => {
    const argv = words.filter((word) => typeof word === "string");
    const { exitCode, stdout, stderr } = await harness.command([...argv, "--help"]);
    expect([exitCode, stderr]).toEqual([0, ""]);
    expect(stdout).toStartWith(`Usage: onggi ${argv.join(" ")}`);
    fits(stdout, long.test(argv.join(" ")) ? 2 * screen : screen);
    const [first = "", second] = argv;
    const entry = second === undefined ? commands[first] : groups[first]?.commands[second];
    if (!entry!.hidden) expect(stdout).toContain("\nExamples:\n  onggi ");
    fits((await harness.command([...argv, "--help-all"])).stdout, Number.POSITIVE_INFINITY);
  });

  const others = ["exec", "attach", "start", "compose run", "compose exec", "compose up", "compose wait", "system check"];
  test.each(["run", "create", ...others])("%s says what its exit codes mean", async (line) => {
    expect((await harness.command([...line.split(" "), "--help"])).stdout).toMatch(/^Exit code: /m);
  });

  test.each(Object.keys(groups))("of the group %s", async (group) => {
    const { stdout } = await harness.command([group]);
    fits(stdout, 2 * screen);
    for (const argv of [
      ["help", group],
      [group, "help"],
      [group, "--help"],
      [group, "-h"],
    ]) {
      expect(await harness.command(argv)).toEqual({ exitCode: 0, stdout, stderr: "" });
    }
  });

  test("the overview names every command and group", async () => {
    const { stdout } = await harness.command([]);
    fits(stdout, 50);
    const listed = Object.keys(commands).filter((name) => !commands[name]!.hidden);
    for (const name of [...listed, ...Object.keys(groups)]) expect(stdout).toMatch(new RegExp(`[ ,]${name}\\b`));
    for (const argv of [["help"], ["--help"], ["-h"], ["help", "help"]]) {
      expect((await harness.command(argv)).stdout).toBe(stdout);
    }
  });

  test("of a command by way of help, and everything", async () => {
    const { stdout } = await harness.command(["image", "ls", "--help"]);
    expect((await harness.command(["help", "image", "ls"])).stdout).toBe(stdout);
    expect((await harness.command(["image", "help", "ls"])).stdout).toBe(stdout);
    expect((await harness.command(["run", "--help-all"])).stdout).toContain("--oom-score-adj");
    expect((await harness.command(["compose", "--help-all"])).stdout).toContain("--ansi");
    expect((await harness.command(["run", "--help"])).stdout).toMatch(/Exit code: the container's; 125 .* 126 .*\n.*127/);
  });
});

describe("completion", () => {
  test.each(["bash", "zsh", "fish"])("%s knows commands, groups and flags", async (shell) => {
    const { exitCode, stdout } = await harness.command(["completion", shell]);
    expect(exitCode).toBe(0);
    for (const word of ["bootstrap", "engine", "memory-swap", "unpause"]) expect(stdout).toContain(word);
    expect(stdout).not.toContain("storage-opt");
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
    expect(await complete("onggi", "run", "--memory-r")).toEqual(["--memory-reservation"]);
    expect(await complete("onggi", "run", "--userns", "h")).toEqual(["host"]);
    expect(await complete("onggi", "image", "bootstrap", "d")).toEqual(["debian"]);
    expect(await complete("onggi", "--root", "/x", "-c=y", "container", "rena")).toEqual(["rename"]);
    expect(await complete("onggi", "run", "--userns=h")).toEqual(["host"]);
    expect(await complete("onggi", "volume", "remo")).toEqual([""]);
  });
});
