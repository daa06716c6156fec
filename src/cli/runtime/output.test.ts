import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fail, messageIn, runtimeCommand, stateOf } from "../../../test/runtime-cli-harness.ts";
import { defaultSpec } from "../../standalone/default-spec.ts";

const directory = mkdtempSync(join(tmpdir(), "onggi-runtime-output-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

test("state is JSON, two spaces deep, without a newline at its end", async () => {
  const runtime = { state: async (id: string) => stateOf(id, { annotations: { a: "<&>" } }) };
  const { status, stdout } = await runtimeCommand(["state", "c1"], { runtime });
  expect(status).toBe(0);
  expect(stdout).toBe(`{
  "ociVersion": "1.0.2",
  "id": "c1",
  "pid": 4711,
  "status": "running",
  "bundle": "/bundle",
  "rootfs": "/bundle/rootfs",
  "created": "2024-05-06T07:08:09.123456789Z",
  "annotations": {
    "a": "<&>"
  },
  "owner": "root"
}`);
  expect(JSON.parse((await runtimeCommand(["state", "c1"])).stdout)).not.toHaveProperty("annotations");
});

describe("list", () => {
  const runtime = { list: async () => [stateOf("c1"), stateOf("a-longer-container-id", { pid: 0, status: "stopped" as const })] };

  test("as a table", async () => {
    const { status, stdout } = await runtimeCommand(["list"], { runtime });
    expect(status).toBe(0);
    expect(stdout).toBe(`ID                      PID         STATUS      BUNDLE      CREATED                          OWNER
c1                      4711        running     /bundle     2024-05-06T07:08:09.123456789Z   root
a-longer-container-id   0           stopped     /bundle     2024-05-06T07:08:09.123456789Z   root
`);
  });

  test("of none", async () => {
    const none = { runtime: { list: async () => [] } };
    expect((await runtimeCommand(["list"], none)).stdout).toBe(
      "ID          PID         STATUS      BUNDLE      CREATED     OWNER\n",
    );
    expect((await runtimeCommand(["list", "-f", "json"], none)).stdout).toBe("null\n");
    expect((await runtimeCommand(["list", "-q"], none)).stdout).toBe("");
  });

  test("as JSON", async () => {
    const { stdout } = await runtimeCommand(["list", "--format=json"], { runtime });
    expect(stdout.indexOf("\n")).toBe(stdout.length - 1);
    expect(JSON.parse(stdout)).toEqual(await runtime.list());
  });

  test("as ids", async () => {
    expect((await runtimeCommand(["list", "-q", "-f", "yaml"], { runtime })).stdout).toBe("c1\na-longer-container-id\n");
  });

  test("in no other form", async () => {
    const { status, stderr } = await runtimeCommand(["list", "-f", "yaml"], { runtime });
    expect([status, messageIn(stderr)]).toEqual([1, "invalid format option"]);
  });
});

describe("ps", () => {
  test("is the host's, of the container's processes", async () => {
    const { status, stdout } = await runtimeCommand(["ps", "c1"]);
    const [heading, ...rows] = stdout.trimEnd().split("\n");
    expect(status).toBe(0);
    expect(heading).toMatch(/^UID +PID +PPID/);
    expect(rows).toHaveLength(1);
    expect(rows[0]!.split(/\s+/)[1]).toBe(String(process.pid));
  });

  test("takes the host's options", async () => {
    const { stdout } = await runtimeCommand(["ps", "c1", "-o", "ppid,pid", "-p", String(process.pid)]);
    expect(stdout.split("\n")[0]!.trim().split(/\s+/)).toEqual(["PPID", "PID"]);
    expect(stdout.trimEnd().split("\n")).toHaveLength(2);
  });

  test("as JSON", async () => {
    expect((await runtimeCommand(["ps", "--format", "json", "c1"])).stdout).toBe(`[${process.pid}]\n`);
  });

  test("needs a PID column, and an option ps knows", async () => {
    const { stderr } = await runtimeCommand(["ps", "c1", "-eo", "comm"]);
    expect(messageIn(stderr)).toBe("couldn't find PID field in ps output");
    const wrong = await runtimeCommand(["ps", "c1", "--nope"]);
    expect([wrong.status, messageIn(wrong.stderr)]).toEqual([1, expect.stringContaining("exit status 1: error: unknown")]);
    const format = await runtimeCommand(["ps", "-f", "yaml", "c1"]);
    expect(messageIn(format.stderr)).toBe("invalid format option");
  });
});

describe("events", () => {
  test("--stats is one reading", async () => {
    const { status, stdout } = await runtimeCommand(["events", "--stats", "c1"]);
    expect([status, stdout]).toEqual([0, '{"type":"stats","id":"c1","data":{"pids":{"current":1}}}\n']);
  });

  test("are printed until the container has stopped", async () => {
    const stopped = Promise.withResolvers<void>();
    let readings = 0;
    const runtime = {
      watchOom: async (_: string, onOom: () => void) => {
        onOom();
        await stopped.promise;
      },
      stats: async () => {
        readings++;
        if (readings === 2) throw new Error("no reading");
        if (readings === 3) stopped.resolve();
        return { n: readings };
      },
    };
    const { status, stdout, stderr } = await runtimeCommand(["events", "--interval", "5ms", "c1"], { runtime });
    expect(status).toBe(0);
    expect(stdout).toBe(
      '{"type":"oom","id":"c1"}\n{"type":"stats","id":"c1","data":{"n":1}}\n{"type":"stats","id":"c1","data":{"n":3}}\n',
    );
    expect(messageIn(stderr)).toBe("no reading");
  });

  test("end with the failure of the watch", async () => {
    const { status, stderr } = await runtimeCommand(["events", "c1"], { runtime: { watchOom: fail("odd", "no watch") } });
    expect([status, messageIn(stderr)]).toEqual([1, "no watch"]);
  });

  test.each([
    [["--interval", "0", "c1"], "duration interval must be greater than 0"],
    [["--interval", "-1m", "c1"], "duration interval must be greater than 0"],
    [["none"], "container does not exist"],
    [["--interval", "5", "c1"], String.raw`invalid value \"5\" for flag -interval: parse error`],
  ])("refused: %j", async (argv, message) => {
    const { status, stderr } = await runtimeCommand(["events", ...argv]);
    expect([status, messageIn(stderr)]).toEqual([1, message]);
  });

  test("of a stopped container there are none", async () => {
    const runtime = { state: async (id: string) => stateOf(id, { status: "stopped" }) };
    const { status, stderr } = await runtimeCommand(["events", "c1"], { runtime });
    expect([status, messageIn(stderr)]).toEqual([1, "container with id c1 is not running"]);
  });
});

test("features are JSON, four spaces deep", async () => {
  const { status, stdout } = await runtimeCommand(["features"]);
  expect([status, stdout]).toEqual([0, '{\n    "ociVersionMin": "1.0.0"\n}\n']);
});

describe("spec", () => {
  const bundle = (name: string): string => {
    const path = join(directory, name);
    mkdirSync(path);
    return path;
  };

  test("writes config.json where one stands or where one says", async () => {
    const here = bundle("here");
    expect(await runtimeCommand(["spec"], { cwd: here })).toMatchObject({ status: 0, stdout: "", stderr: "" });
    const text = readFileSync(join(here, "config.json"), "utf8");
    expect(text).toBe(JSON.stringify(defaultSpec({ rootless: false }), null, "\t"));
    expect(statSync(join(here, "config.json")).mode & 0o777).toBe(0o666 & ~process.umask());
    bundle("there");
    expect((await runtimeCommand(["spec", "--rootless", "-b", "there"], { cwd: directory })).status).toBe(0);
    const rootless = JSON.parse(readFileSync(join(directory, "there", "config.json"), "utf8"));
    expect(rootless).toEqual(JSON.parse(JSON.stringify(defaultSpec({ rootless: true }))));
  });

  test("leaves a file alone", async () => {
    const here = bundle("taken");
    writeFileSync(join(here, "config.json"), "mine");
    const { status, stderr } = await runtimeCommand(["spec"], { cwd: here });
    expect([status, messageIn(stderr)]).toEqual([1, "File config.json exists. Remove it first"]);
    expect(readFileSync(join(here, "config.json"), "utf8")).toBe("mine");
  });

  test("needs the directory", async () => {
    const { status, stderr } = await runtimeCommand(["spec", "-b", `${directory}/none`]);
    expect(status).toBe(1);
    expect(messageIn(stderr)).toContain(`${directory}/none: no such file or directory`);
    writeFileSync(join(directory, "file"), "");
    expect(messageIn((await runtimeCommand(["spec", "-b", `${directory}/file`])).stderr)).toContain("not a directory");
  });
});
