import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { messageIn, runtimeCommand } from "../../../test/runtime-cli-harness.ts";

const directory = mkdtempSync(join(tmpdir(), "onggi-runtime-exec-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const processFile = (value: unknown): string => {
  const file = join(directory, `${Bun.randomUUIDv7()}.json`);
  writeFileSync(file, typeof value === "string" ? value : JSON.stringify(value));
  return file;
};

describe("by flags", () => {
  test.each([
    [["x", "ls"], { overrides: { args: ["ls"], terminal: false } }],
    // from the id on nothing is a flag
    [["x", "ls", "-t", "--cwd", "/"], { overrides: { args: ["ls", "-t", "--cwd", "/"], terminal: false } }],
    [["x", "--", "ls"], { overrides: { args: ["--", "ls"], terminal: false } }],
    [["-t", "x", "sh"], { overrides: { args: ["sh"], terminal: true } }],
    [["-u", "5", "x", "id"], { overrides: { args: ["id"], terminal: false, user: { uid: 5 } } }],
    [["--no-new-privs=false", "x", "id"], { overrides: { args: ["id"], terminal: false, noNewPrivileges: false } }],
    [["--cgroup", "a/b", "x", "id"], { overrides: { args: ["id"], terminal: false }, cgroups: ["a/b"] }],
    [
      ["--cgroup", "cpu,memory:a", "--cgroup", "pids:b", "x", "id"],
      { overrides: { args: ["id"], terminal: false }, cgroups: ["cpu,memory:a", "pids:b"] },
    ],
    [
      [
        ["-t", "-d", "--console-socket", "tty", "--pidfd-socket", "p", "--pid-file", "pid", "--preserve-fds", "1"],
        ["--cwd", "/tmp", "-e", "A=1", "-e", "B=", "--user", "1:2", "-g", "3", "-g", "4", "--process-label", "l"],
        ["--apparmor", "prof", "--no-new-privs", "-c", "CAP_KILL", "-c", "CAP_CHOWN", "--ignore-paused", "x", "a", "b"],
      ].flat(),
      {
        overrides: {
          args: ["a", "b"],
          terminal: true,
          cwd: "/tmp",
          env: ["A=1", "B="],
          user: { uid: 1, gid: 2 },
          additionalGids: [3, 4],
          selinuxLabel: "l",
          apparmorProfile: "prof",
          noNewPrivileges: true,
          capabilities: ["CAP_KILL", "CAP_CHOWN"],
        },
        detach: true,
        consoleSocket: "/jars/tty",
        pidfdSocket: "/jars/p",
        pidFile: "/jars/pid",
        preserveFds: 1,
        ignorePaused: true,
      },
    ],
  ] as [string[], object][])("%j", async (argv, options) => {
    const { status, calls, stderr } = await runtimeCommand(["exec", ...argv]);
    expect(stderr).toBe("");
    expect(status).toBe(9);
    expect(calls).toEqual([["exec", { id: "x", ...options }]]);
  });

  test("descriptors of systemd are not for an exec", async () => {
    const env = { LISTEN_FDS: "2", LISTEN_PID: String(process.pid) };
    const { calls } = await runtimeCommand(["exec", "x", "ls"], { env });
    expect(calls).toEqual([["exec", { id: "x", overrides: { args: ["ls"], terminal: false } }]]);
  });
});

describe("by a file", () => {
  const whole = {
    terminal: true,
    user: { uid: 1, gid: 2, additionalGids: [3] },
    args: ["sh"],
    env: ["A=1"],
    cwd: "/",
    capabilities: { bounding: ["CAP_KILL"] },
    noNewPrivileges: true,
  };

  test("the whole process", async () => {
    const { status, calls, stderr } = await runtimeCommand(["exec", "-p", processFile(whole), "x"]);
    expect([status, stderr]).toEqual([9, ""]);
    expect(calls).toEqual([["exec", { id: "x", process: whole }]]);
  });

  test("its path is from the current directory, and null is not set", async () => {
    const file = processFile({ ...whole, rlimits: null, apparmorProfile: null, unknown: 1 });
    const relative = file.slice(directory.length + 1);
    const { calls } = await runtimeCommand(["exec", `--process=${relative}`, "x"], { cwd: directory });
    expect(calls).toEqual([["exec", { id: "x", process: whole }]]);
  });

  test.each([
    ["{", "process: is not JSON: "],
    [[], "process: want an object, got a list"],
    [null, "process: is missing"],
    [{ args: ["sh"] }, "process.cwd: is missing"],
    [{ cwd: "x", args: ["sh"] }, String.raw`process.cwd: must be an absolute path, got \"x\"`],
    [{ cwd: "/" }, "process.args: is missing"],
    [{ cwd: "/", args: [] }, "process.args: want at least 1 entry, got 0"],
    [{ ...whole, env: [1] }, "process.env[0]: want a string, got 1"],
  ])("refused: %j", async (value, message) => {
    const { status, calls, stderr } = await runtimeCommand(["exec", "-p", processFile(value), "x"]);
    expect([status, calls]).toEqual([255, []]);
    expect(messageIn(stderr)).toStartWith(`exec failed: ${message}`);
  });

  test("that is not there", async () => {
    const { status, stderr } = await runtimeCommand(["exec", "-p", "none.json", "x"], { cwd: directory });
    expect([status, messageIn(stderr)]).toEqual([255, `exec failed: open ${directory}/none.json: no such file or directory`]);
  });
});

test.each([
  [["x"], "exec args cannot be empty"],
  [["--cwd", "tmp", "x", "ls"], "Cwd must be an absolute path"],
  [["-u", "root", "x", "ls"], String.raw`bad uid: strconv.Atoi: parsing \"root\": invalid syntax`],
  [["-u", "1:", "x", "ls"], String.raw`bad gid: strconv.Atoi: parsing \"\": invalid syntax`],
  [["-u", "4294967295", "x", "ls"], String.raw`bad uid: strconv.Atoi: parsing \"4294967295\": value out of range`],
  [["-g", "-1", "x", "ls"], "additional-gids must be a positive number -1"],
  [["-t", "-d", "x", "ls"], "cannot allocate tty if onggi-runtime will detach without setting console socket"],
  [["-t", "--console-socket", "s", "x", "ls"], "cannot use console socket if onggi-runtime will not detach or allocate tty"],
  [["-d", "--console-socket", "s", "x", "ls"], "cannot use console socket if onggi-runtime will not detach or allocate tty"],
  [["--cgroup", "a", "--cgroup", "cpu:b", "x", "ls"], "invalid --cgroup argument: a (missing <controller>: prefix)"],
  [["--cgroup", ":b", "x", "ls"], "invalid --cgroup argument: :b (empty <controller> prefix)"],
  [
    ["--cgroup", "cpu:a", "--cgroup", "pids,cpu:b", "x", "ls"],
    "invalid --cgroup argument(s): controller cpu specified multiple times",
  ],
] as [string[], string][])("refused: %j", async (argv, message) => {
  const { status, calls, stderr } = await runtimeCommand(["exec", ...argv]);
  expect([status, messageIn(stderr), calls]).toEqual([255, `exec failed: ${message}`, []]);
});
