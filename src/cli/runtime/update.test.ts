import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { messageIn, runtimeCommand } from "../../../test/runtime-cli-harness.ts";

const directory = mkdtempSync(join(tmpdir(), "onggi-runtime-update-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

test.each([
  [[], {}],
  [["--memory", "64m"], { memory: { limit: 64 * 2 ** 20 } }],
  [["--memory=-1"], { memory: { limit: -1, swap: -1 } }],
  [["--memory", "-1", "--memory-swap", "5"], { memory: { limit: -1, swap: 5 } }],
  [["--memory-reservation", "1.5k"], { memory: { reservation: 1536 } }],
  [["--pids-limit", "7", "--blkio-weight", "10"], { pids: { limit: 7 }, blockIO: { weight: 10 } }],
  [["--pids-limit", "-1", "--cpu-share", ""], { pids: { limit: -1 } }],
  [
    [
      ["--cpu-period", "100000", "--cpu-quota", "-1", "--cpu-burst", "5", "--cpu-share", "2", "--cpu-rt-period", "3"],
      ["--cpu-rt-runtime", "4", "--cpuset-cpus", "0-1", "--cpuset-mems", "0", "--cpu-idle", "1"],
    ].flat(),
    {
      cpu: {
        period: 100_000,
        quota: -1,
        burst: 5,
        shares: 2,
        realtimePeriod: 3,
        realtimeRuntime: 4,
        cpus: "0-1",
        mems: "0",
        idle: 1,
      },
    },
  ],
] as [string[], object][])("%j", async (argv, resources) => {
  const { status, stderr, calls } = await runtimeCommand(["update", ...argv, "x"]);
  expect([status, stderr]).toEqual([0, ""]);
  expect(calls).toEqual([["update", "x", resources, undefined]]);
});

test("Intel RDT", async () => {
  const { calls } = await runtimeCommand(["update", "--l3-cache-schema", "L3:0=f", "--mem-bw-schema", "MB:0=20", "x"]);
  expect(calls).toEqual([["update", "x", {}, { l3CacheSchema: "L3:0=f", memBwSchema: "MB:0=20" }]]);
});

test("limits of the kernel's memory are taken with a warning", async () => {
  const { status, stderr, calls } = await runtimeCommand(["update", "--kernel-memory", "1m", "x"]);
  expect([status, calls]).toEqual([0, [["update", "x", { memory: { kernel: 2 ** 20 } }, undefined]]]);
  expect(stderr).toContain('level=warning msg="Kernel memory settings are ignored and will be removed"');
});

describe("resources from a file", () => {
  const resources = { memory: { limit: 1024 }, cpu: { cpus: "0" }, unified: { "memory.high": "1" } };

  test("are all there is", async () => {
    writeFileSync(join(directory, "r.json"), JSON.stringify({ ...resources, pids: null }));
    const { status, calls } = await runtimeCommand(["update", "-r", "r.json", "--pids-limit", "5", "x"], { cwd: directory });
    expect([status, calls]).toEqual([0, [["update", "x", resources, undefined]]]);
  });

  test("or from standard input", async () => {
    const { calls } = await runtimeCommand(["update", "--resources", "-", "x"], { stdin: JSON.stringify(resources) });
    expect(calls).toEqual([["update", "x", resources, undefined]]);
  });

  test.each([
    ["{", "linux.resources: is not JSON: "],
    ["[]", "linux.resources: want an object, got a list"],
    ['{"memory":{"limit":"1m"}}', String.raw`linux.resources.memory.limit: want a whole number, got \"1m\"`],
  ])("are checked: %s", async (stdin, message) => {
    const { status, stderr, calls } = await runtimeCommand(["update", "-r", "-", "x"], { stdin });
    expect([status, calls]).toEqual([1, []]);
    expect(messageIn(stderr)).toStartWith(message);
  });

  test("that is not there", async () => {
    const { stderr } = await runtimeCommand(["update", "-r", "none", "x"], { cwd: directory });
    expect(messageIn(stderr)).toBe(`open ${directory}/none: no such file or directory`);
  });
});

test.each([
  [["--memory", "x"], "invalid value for memory: invalid size: 'x'"],
  [["--cpu-share", "-2"], String.raw`invalid value for cpu-share: strconv.ParseUint: parsing \"-2\": invalid syntax`],
  [["--cpu-quota", "1.5"], String.raw`invalid value for cpu-quota: strconv.ParseInt: parsing \"1.5\": invalid syntax`],
  [
    ["--cpu-period", "99999999999999999999"],
    String.raw`invalid value for cpu-period: strconv.ParseUint: parsing \"99999999999999999999\": value out of range`,
  ],
] as [string[], string][])("refused: %j", async (argv, message) => {
  const { status, stderr, calls } = await runtimeCommand(["update", ...argv, "x"]);
  expect([status, messageIn(stderr), calls]).toEqual([1, message, []]);
});
