import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { messageIn, runtimeCommand } from "../../../test/runtime-cli-harness.ts";
import { commandNames, loadCommand } from "./commands.ts";

const directory = mkdtempSync(join(tmpdir(), "onggi-runtime-main-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

test.each([["-v"], ["--version"], ["-version"], ["--version=true"]])("%s", async (flag) => {
  const { status, stdout, stderr } = await runtimeCommand([flag, "list"]);
  expect([status, stdout, stderr]).toEqual([0, "onggi-runtime version 1.2.3\nspec: 1.3.0\n", ""]);
});

describe("help", () => {
  test.each([[[]], [["help"]], [["h"]], [["--help"]], [["-h"]], [["--help", "list"]]])("of the program: %j", async (argv) => {
    const { status, stdout, stderr } = await runtimeCommand(argv);
    expect([status, stderr]).toEqual([0, ""]);
    for (const name of commandNames) expect(stdout).toMatch(new RegExp(`^   ${name} +\\S`, "m"));
    for (const flag of ["--debug", "--log value", "--log-format value", "--root value", "--systemd-cgroup", "--rootless value"])
      expect(stdout).toContain(`\n   ${flag} `);
    expect(stdout).not.toContain("--criu");
  });

  test.each([...commandNames])("of %s", async (name) => {
    const { status, stdout, stderr } = await runtimeCommand([name, "--help"]);
    expect([status, stderr]).toEqual([0, ""]);
    expect(stdout).toStartWith(`NAME:\n   onggi-runtime ${name} - `);
    expect(await runtimeCommand(["help", name])).toMatchObject({ status: 0, stdout });
    const { flags } = (await loadCommand(name))!;
    for (const [flag, { hidden }] of Object.entries(flags)) expect(stdout.includes(`--${flag}`)).toBe(hidden !== true);
  });
});

describe("wrong use", () => {
  test.each([
    [["bogus"], 3, "", "No help topic for 'bogus'"],
    [["help", "bogus"], 3, "", "No help topic for 'bogus'"],
    [["constructor"], 3, "", "No help topic for 'constructor'"],
    [
      ["--bogus", "list"],
      1,
      "Incorrect Usage. flag provided but not defined: -bogus\n\nNAME:\n   onggi-runtime - ",
      "flag provided",
    ],
    [
      ["list", "--bogus"],
      1,
      "Incorrect Usage: flag provided but not defined: -bogus\n\nNAME:\n   onggi-runtime list",
      "flag provided",
    ],
    [
      ["list", "x"],
      1,
      "Incorrect Usage.\n\nNAME:\n   onggi-runtime list",
      String.raw`onggi-runtime: \"list\" requires exactly 0 argument(s)`,
    ],
    [["kill", "a", "b", "c"], 1, "Incorrect Usage.\n\n", String.raw`onggi-runtime: \"kill\" requires a maximum of 2 argument(s)`],
    [["exec"], 1, "Incorrect Usage.\n\n", String.raw`onggi-runtime: \"exec\" requires a minimum of 1 argument(s)`],
    [["create"], 1, "Incorrect Usage.\n\n", String.raw`onggi-runtime: \"create\" requires exactly 1 argument(s)`],
    [["--log-format", "xml", "list"], 1, "", "invalid log-format: xml"],
    [["--root", "/", "list"], 1, "", "Option --root argument should not be set to /"],
    [["--root=../../..", "list"], 1, "", "Option --root argument should not be set to /"],
    [["--rootless", "maybe", "list"], 1, "", String.raw`strconv.ParseBool: parsing \"maybe\": invalid syntax`],
  ] as [string[], number, string, string][])("%j", async (argv, status, heading, message) => {
    const outcome = await runtimeCommand(argv);
    expect(outcome.status).toBe(status);
    expect(outcome.stdout).toStartWith(heading);
    if (heading === "") expect(outcome.stdout).toBe("");
    expect(messageIn(outcome.stderr)).toStartWith(message);
    expect(outcome.calls).toEqual([]);
  });
});

describe("the runtime is opened", () => {
  const opened = async (argv: string[], world = {}) => (await runtimeCommand([...argv, "list"], world)).options;

  test.each([
    [[], { root: "/run/onggi-runtime", systemdCgroup: false, rootless: "auto" }],
    [["--root", "r/./s/"], { root: "/jars/r/s", systemdCgroup: false, rootless: "auto" }],
    [["--root="], { root: "/jars", systemdCgroup: false, rootless: "auto" }],
    [["-root", "/a", "--systemd-cgroup"], { root: "/a", systemdCgroup: true, rootless: "auto" }],
    [["--rootless=true"], { root: "/run/onggi-runtime", systemdCgroup: false, rootless: true }],
    [["--rootless", "0"], { root: "/run/onggi-runtime", systemdCgroup: false, rootless: false }],
    [
      ["--rootless", "AUTO", "--criu", "/usr/bin/criu", "--debug"],
      { root: "/run/onggi-runtime", systemdCgroup: false, rootless: "auto" },
    ],
  ] as [string[], object][])("%j", async (argv, options) => {
    expect(await opened(argv)).toEqual(options as never);
  });

  test("below $XDG_RUNTIME_DIR for a user, in a directory of the user's alone", async () => {
    const runtimeDir = join(directory, "run");
    mkdirSync(runtimeDir);
    const env = { XDG_RUNTIME_DIR: runtimeDir };
    expect((await opened([], { env, uid: 1000 }))?.root).toBe(`${runtimeDir}/onggi-runtime`);
    expect(statSync(`${runtimeDir}/onggi-runtime`).mode & 0o7777).toBe(0o1700);
    expect((await opened(["--root", "/x"], { env, uid: 1000 }))?.root).toBe("/x");
    expect((await opened([], { uid: 1000 }))?.root).toBe("/run/onggi-runtime");
    expect((await opened([], { env: { ...env, USER: "root" }, uid: 0 }))?.root).toBe("/run/onggi-runtime");
  });

  test("not for what needs no containers", async () => {
    expect((await runtimeCommand(["features"])).options).toBeUndefined();
    expect((await runtimeCommand(["create", "--help"])).options).toBeUndefined();
    expect((await runtimeCommand(["create"])).options).toBeUndefined();
  });
});

test("any list of words is a call, a help or an error", async () => {
  const commands = await Promise.all(commandNames.map(async (name) => (await loadCommand(name))!));
  const flags = commands.flatMap((command) => Object.keys(command.flags)).flatMap((name) => [`--${name}`, `-${name[0]}`]);
  const globals = ["--root", "--log-format", "json", "--debug", "--rootless", "--systemd-cgroup", "-v", "-h"];
  // nothing with a "/": a word may become the name of a file that is written
  const anything = fc.string().filter((text) => !text.includes("/"));
  const word = fc.oneof(fc.constantFrom(...flags, ...globals, "--", "-", "c1", "x", "9", "table"), anything);
  const line = fc.tuple(
    fc.array(fc.constantFrom(...globals), { maxLength: 2 }),
    fc.oneof({ arbitrary: fc.constantFrom<string>(...commandNames), weight: 9 }, { arbitrary: anything, weight: 1 }),
    fc.array(word, { maxLength: 6 }),
  );
  const cwd = join(directory, "a", "b", "c");
  mkdirSync(cwd, { recursive: true });
  await fc.assert(
    fc.asyncProperty(line, async ([before, name, after]) => {
      const { status, stdout, stderr, calls } = await runtimeCommand([...before, name, ...after], { cwd, stdin: "{}" });
      expect([0, 1, 3, 5, 7, 9, 255]).toContain(status);
      expect(calls.length).toBeLessThanOrEqual(1);
      if ([5, 7, 9].includes(status)) expect(calls).toHaveLength(1);
      if ([1, 3, 255].includes(status)) {
        expect(stderr).toContain("error");
        expect(calls).toEqual([]);
      }
      if (stdout.startsWith("Incorrect Usage")) expect(status).toBe(1);
    }),
    { numRuns: 500 },
  );
}, 30_000);
