import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { fail, runtimeCommand } from "../../../test/runtime-cli-harness.ts";
import { logLine } from "./log.ts";

const directory = mkdtempSync(join(tmpdir(), "onggi-runtime-log-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const time = new Date("2024-05-06T07:08:09.999Z");

describe("a line", () => {
  test.each([
    ["container does not exist", 'msg="container does not exist"'],
    ["plain", "msg=plain"],
    ["a/b@c^d+e.f_g-h", "msg=a/b@c^d+e.f_g-h"],
    ["", "msg="],
    ['say "no"\n\t\\', String.raw`msg="say \"no\"\n\t\\"`],
    ["\x00\x1b\x7f\x07", String.raw`msg="\x00\x1b\x7f\a"`],
    ["옹기", 'msg="옹기"'],
  ])("as text: %j", (message, written) => {
    expect(logLine("text", "error", message, time)).toBe(`time="2024-05-06T07:08:09Z" level=error ${written}\n`);
  });

  test("as JSON", () => {
    expect(logLine("json", "warning", 'a "b"\n', time)).toBe(
      '{"level":"warning","msg":"a \\"b\\"\\n","time":"2024-05-06T07:08:09Z"}\n',
    );
  });

  test("is one line, whatever the message", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.constantFrom("text" as const, "json" as const), (message, format) => {
        const line = logLine(format, "error", message, time);
        expect(line.indexOf("\n")).toBe(line.length - 1);
        if (format === "json") expect(JSON.parse(line)).toEqual({ level: "error", msg: message, time: "2024-05-06T07:08:09Z" });
      }),
    );
  });
});

describe("a failure", () => {
  const missing = { runtime: { start: fail("container_not_found") } };

  test("is logged to standard error", async () => {
    const { status, stdout, stderr } = await runtimeCommand(["start", "x"], missing);
    expect([status, stdout]).toEqual([1, ""]);
    expect(stderr).toMatch(/^time="\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ" level=error msg="container does not exist"\n$/);
  });

  test("is logged as JSON", async () => {
    const { stderr } = await runtimeCommand(["--log-format=json", "start", "x"], missing);
    expect(JSON.parse(stderr)).toEqual({ level: "error", msg: "container does not exist", time: expect.any(String) });
  });

  test("goes to the log file, which is appended to, and plainly to standard error", async () => {
    const log = join(directory, "log.json");
    const args = ["--log", "log.json", "--log-format", "json", "start", "x"];
    for (let i = 0; i < 2; i++) {
      const { status, stderr } = await runtimeCommand(args, { ...missing, cwd: directory });
      expect([status, stderr]).toEqual([1, "container does not exist\n"]);
    }
    const lines = readFileSync(log, "utf8").trimEnd().split("\n");
    expect(lines.map((line) => JSON.parse(line).msg)).toEqual(["container does not exist", "container does not exist"]);
    expect(statSync(log).mode & 0o777).toBe(0o644 & ~process.umask());
  });

  test("is told all the same if the log cannot be written", async () => {
    const { status, stderr } = await runtimeCommand(["--log", `${directory}/none/log`, "start", "x"], missing);
    expect(status).toBe(1);
    expect(stderr).toContain(`level=error msg="open ${directory}/none/log: no such file or directory"`);
    expect(stderr).toContain('level=error msg="container does not exist"');
    expect(stderr.endsWith("\ncontainer does not exist\n")).toBe(true);
  });

  test("of a wrong command line is logged too", async () => {
    const log = join(directory, "usage.log");
    const { stderr, stdout } = await runtimeCommand(["--log", log, "kill"]);
    expect(stdout).toStartWith("Incorrect Usage.\n\nNAME:\n   onggi-runtime kill - ");
    expect(stderr).toBe('onggi-runtime: "kill" requires a minimum of 1 argument(s)\n');
    expect(readFileSync(log, "utf8")).toContain(String.raw`msg="onggi-runtime: \"kill\" requires a minimum of 1 argument(s)"`);
  });

  test("comes with its stack if asked for", async () => {
    const { stderr } = await runtimeCommand(["--debug", "start", "x"], missing);
    expect(stderr).toMatch(/^time="[^"]*" level=debug msg="OnggiError: container_not_found\\n {4}at /);
    expect(stderr).toContain('\ntime="');
  });

  test("is not there when all went well, nor is a log file", async () => {
    const log = join(directory, "none.log");
    const { status, stderr } = await runtimeCommand(["--log", log, "start", "x"]);
    expect([status, stderr]).toEqual([0, ""]);
    expect(() => statSync(log)).toThrow("ENOENT");
  });
});
