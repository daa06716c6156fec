import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { fail, messageIn, runtimeCommand } from "../../../test/runtime-cli-harness.ts";
import type { OciRuntime } from "../../standalone/types.ts";
import { SysError } from "../../sys/errno.ts";
import { wordsOf } from "./errors.ts";

const argv: Partial<Record<keyof OciRuntime, string[]>> = {
  create: ["create", "x"],
  run: ["run", "x"],
  start: ["start", "x"],
  exec: ["exec", "x", "ls"],
  kill: ["kill", "x"],
  delete: ["delete", "x"],
  state: ["state", "x"],
  pause: ["pause", "x"],
  resume: ["resume", "x"],
  update: ["update", "x"],
  processes: ["ps", "x"],
  checkpoint: ["checkpoint", "x"],
  restore: ["restore", "x"],
};

describe("the words callers look for", () => {
  test.each([
    ["state", "container_not_found", "", 1, "container does not exist"],
    ["kill", "container_not_found", "", 1, "container does not exist"],
    ["delete", "container_not_found", "", 1, "container does not exist"],
    ["processes", "container_not_found", "", 1, "container does not exist"],
    ["update", "container_not_found", "", 1, "container does not exist"],
    ["create", "container_exists", "", 1, "onggi-runtime create failed: container with given ID already exists"],
    ["run", "container_exists", "", 1, "onggi-runtime run failed: container with given ID already exists"],
    ["restore", "container_exists", "", 1, "container with given ID already exists"],
    ["state", "invalid_id", "", 1, "invalid container ID format"],
    ["start", "already_running", "", 1, "cannot start an already running container"],
    ["start", "already_stopped", "", 1, "cannot start a container that has stopped"],
    ["kill", "not_running", "", 1, "container not running"],
    ["pause", "not_running", "", 1, "container not running"],
    ["resume", "not_paused", "", 1, "container not paused"],
    ["exec", "container_not_found", "", 255, "exec failed: container does not exist"],
    ["exec", "not_running", "", 255, "exec failed: cannot exec in a stopped container"],
    ["exec", "paused", "", 255, "exec failed: cannot exec in a paused container (use --ignore-paused to override)"],
    ["exec", "exec_not_running", "cannot exec in a stopped container", 255, "exec failed: cannot exec in a stopped container"],
    [
      "exec",
      "command_not_found",
      'unable to start container process: exec: "x": executable file not found in $PATH',
      255,
      'exec failed: unable to start container process: exec: "x": executable file not found in $PATH',
    ],
    [
      "run",
      "command_not_executable",
      'unable to start container process: exec: "/x": permission denied',
      1,
      'onggi-runtime run failed: unable to start container process: exec: "/x": permission denied',
    ],
    [
      "run",
      "bundle_unreadable",
      "JSON specification file config.json not found",
      1,
      "onggi-runtime run failed: JSON specification file config.json not found",
    ],
    [
      "delete",
      "not_stopped",
      "cannot delete container x that is not stopped: running",
      1,
      "cannot delete container x that is not stopped: running",
    ],
    ["create", "invalid_spec", "process.cwd: is missing", 1, "onggi-runtime create failed: process.cwd: is missing"],
    ["start", "constructor", "an odd code", 1, "an odd code"],
  ] as [keyof OciRuntime, string, string, number, string][])("%s: %s %j", async (operation, code, message, status, words) => {
    const outcome = await runtimeCommand(argv[operation]!, { runtime: { [operation]: fail(code, message) } });
    expect(outcome.status).toBe(status);
    expect(messageIn(outcome.stderr)?.replaceAll('\\"', '"')).toBe(words);
    expect(outcome.stdout).toBe("");
  });

  test("--all does not mind that nobody is left", async () => {
    const runtime = { kill: fail("not_running") };
    expect(await runtimeCommand(["kill", "--all", "x", "9"], { runtime })).toMatchObject({ status: 0, stderr: "" });
    const missing = { kill: fail("container_not_found") };
    expect((await runtimeCommand(["kill", "--all", "x", "9"], { runtime: missing })).status).toBe(1);
  });
});

describe("errors of system calls read as Go's", () => {
  test("of node:fs", () => {
    const thrown = (() => {
      try {
        return readFileSync("/nonexistent/x");
      } catch (error) {
        return error;
      }
    })();
    expect(wordsOf(thrown, "create")).toBe("open /nonexistent/x: no such file or directory");
  });

  test("of Bun.file", async () => {
    const thrown = await Bun.file("/nonexistent/x")
      .text()
      .catch((error: unknown) => error);
    expect(wordsOf(thrown, "exec")).toBe("open /nonexistent/x: no such file or directory");
  });

  test("of src/sys", () => {
    expect(wordsOf(new SysError("mkdir", 13, { path: "/a (b)" }), "create")).toBe("mkdir /a (b): permission denied");
    expect(wordsOf(new SysError("fork", 11), "create")).toBe("fork: resource temporarily unavailable");
    expect(wordsOf(new SysError("mount", 1, { path: "/x", detail: "in a user namespace" }), "create")).toBe(
      "mount /x: operation not permitted: in a user namespace",
    );
  });

  test("others stay", () => {
    expect(wordsOf(new Error("x"), "create")).toBe("x");
    expect(wordsOf("thrown text", "create")).toBe("thrown text");
    expect(wordsOf(Object.assign(new Error("odd"), { code: "EODD" }), "create")).toBe("odd");
  });
});
