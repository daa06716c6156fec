import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { control } from "../kit/control.ts";
import { type Engine, eventually, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";
import { skipLoudly } from "../kit/skip.ts";

let engine: Engine;
beforeAll(async () => {
  engine = startEngine();
  await bootstrapBusybox(engine);
}, 120_000);
afterAll(() => engine.close(), 120_000);

async function started(...flags: string[]): Promise<{ id: string; pid: number }> {
  const id = await engine.ok(["run", "-d", ...flags, "busybox", "sleep", "1000"]);
  return { id, pid: (await engine.inspect(id)).State.Pid };
}

describe("memory", () => {
  test("--memory 32m really kills: 137, OOMKilled, and an event", async () => {
    const { code } = await engine.onggi(
      [
        "run",
        "--name",
        "hungry",
        "--memory",
        "32m",
        "busybox",
        "sh",
        "-c",
        "x=$(head -c 200000000 /dev/zero | tr '\\0' x); echo survived",
      ],
      {
        timeout: 60_000,
      },
    );
    expect(code).toBe(137);
    expect((await engine.inspect("hungry")).State).toMatchObject({ OOMKilled: true, ExitCode: 137, Status: "exited" });
    const events = await engine.ok([
      "events",
      "--since",
      "5m",
      "--until",
      "0s",
      "--filter",
      "container=hungry",
      "--format",
      "{{.Action}}",
    ]);
    expect(events.split("\n")).toContain("oom");
    await engine.ok(["rm", "hungry"]);
  }, 120_000);

  test("an exit with 137 that was no OOM is not reported as one", async () => {
    await engine.onggi(["run", "--name", "shot", "--memory", "32m", "busybox", "sh", "-c", "kill -9 $$; exit 137"]);
    expect((await engine.inspect("shot")).State.OOMKilled).toBe(false);
    await engine.ok(["rm", "shot"]);
  });

  test("the limit is in the kernel, and the container sees it", async () => {
    const { id, pid } = await started("--memory", "64m", "--memory-reservation", "32m");
    expect(control(pid, "memory.max", { controller: "memory", file: "memory.limit_in_bytes" })).toBe(String(64 << 20));
    expect(control(pid, "memory.low", { controller: "memory", file: "memory.soft_limit_in_bytes" })).toBe(String(32 << 20));
    await engine.ok(["rm", "-f", id]);
  });

  test("sizes take b, k, m, g in either case", async () => {
    for (const [asked, bytes] of [
      ["33554432", 33554432],
      ["40000K", 40960000],
      ["0.5g", 1 << 29],
    ] as const) {
      const { id, pid } = await started("--memory", asked);
      expect(control(pid, "memory.max", { controller: "memory", file: "memory.limit_in_bytes" })).toBe(String(bytes));
      await engine.ok(["rm", "-f", id]);
    }
  });
});

describe("cpu", () => {
  test("--cpus 0.5 really throttles", async () => {
    const { id, pid } = await started("--cpus", "0.5");
    const busy = engine.spawn(["exec", id, "sh", "-c", "for i in 1 2 3 4; do (while :; do :; done) & done; wait"], {
      timeout: 60_000,
    });
    await Bun.sleep(300);
    const usage = (): number => {
      const v2 = existsSync("/sys/fs/cgroup/cgroup.controllers");
      if (v2)
        return Number(/usage_usec (\d+)/.exec(control(pid, "cpu.stat", { controller: "cpu", file: "cpu.stat" }))![1]) * 1000;
      return Number(control(pid, "", { controller: "cpuacct", file: "cpuacct.usage" }));
    };
    const [from, at] = [usage(), performance.now()];
    await Bun.sleep(2000);
    const share = (usage() - from) / 1e6 / (performance.now() - at);
    // a loaded machine may give less, never more, and is throttled when it has time again
    expect(share).toBeLessThan(0.6);
    const throttled = (): number =>
      Number(/nr_throttled (\d+)/.exec(control(pid, "cpu.stat", { controller: "cpu", file: "cpu.stat" }))![1]);
    await eventually("it was held back", () => throttled() > 0);
    await engine.ok(["rm", "-f", id]);
    await busy.done;
  }, 60_000);

  test("--cpu-shares, --cpuset-cpus", async () => {
    const { id, pid } = await started("--cpu-shares", "512", "--cpuset-cpus", "0");
    // Docker's conversion: 1 + (shares - 2) * 9999 / 262142
    expect(["512", "20", "59"]).toContain(control(pid, "cpu.weight", { controller: "cpu", file: "cpu.shares" }));
    expect(await engine.ok(["exec", id, "grep", "Cpus_allowed_list", "/proc/self/status"])).toMatch(/\t0$/);
    await engine.ok(["rm", "-f", id]);
  });
});

const realtime = existsSync("/sys/fs/cgroup/cpu/cpu.rt_runtime_us") && Bun.which("chrt");
if (!realtime) skipLoudly("--cpu-rt-runtime: this kernel has no groups of realtime processes, or there is no chrt");
describe.skipIf(!realtime)("realtime", () => {
  const mayBe = (pid: number): boolean => Bun.spawnSync(["chrt", "-f", "-p", "1", String(pid)]).exitCode === 0;
  const runtime = (pid: number): string => control(pid, "", { controller: "cpu", file: "cpu.rt_runtime_us" });

  test("--cpu-rt-runtime lets processes be realtime ones, in that container alone, and can be changed", async () => {
    const [some, none] = [await started("--cpu-rt-period", "500000", "--cpu-rt-runtime", "5000"), await started()];
    expect([mayBe(some.pid), mayBe(none.pid)]).toEqual([true, false]);
    expect([runtime(some.pid), runtime(none.pid)]).toEqual(["5000", "0"]);
    await engine.ok(["update", "--cpu-rt-runtime", "10000", some.id]);
    await engine.ok(["update", "--cpu-rt-period", "100000", "--cpu-rt-runtime", "1000", none.id]);
    expect([runtime(some.pid), runtime(none.pid), mayBe(none.pid)]).toEqual(["10000", "1000", true]);
    expect((await engine.inspect(some.id)).HostConfig).toMatchObject({ CpuRealtimePeriod: 500_000, CpuRealtimeRuntime: 10_000 });
    await engine.ok(["rm", "-f", some.id, none.id]);
  });

  test.each([
    [["--cpu-rt-period", "100", "--cpu-rt-runtime", "200"], "cpu real-time runtime cannot be higher than cpu real-time period"],
    [["--cpu-rt-runtime", "1000000"], "the host has not so much left for realtime processes"],
    [["--cpu-rt-runtime", "1000", "--cgroup-parent", "/onggi-test-rt"], "the group above has not so much left"],
  ])("%j is refused, and nothing is left of it", async (flags, words) => {
    const { code, stderr } = await engine.onggi(["run", "--rm", ...flags, "busybox", "true"]);
    expect([code, stderr]).toEqual([125, expect.stringContaining(words)]);
    expect(await engine.ok(["ps", "-aq"])).toBe("");
    expect(existsSync("/sys/fs/cgroup/cpu/onggi-test-rt")).toBe(false);
  });
});

test.skipIf(!!realtime)("--cpu-rt-runtime without that is refused in Docker's words", async () => {
  const { code, stderr } = await engine.onggi(["run", "--rm", "--cpu-rt-runtime", "1000", "busybox", "true"]);
  expect([code, stderr]).toEqual([125, expect.stringContaining("Your kernel does not support CPU real-time scheduler")]);
});

describe("pids", () => {
  test("--pids-limit holds: the fork beyond it fails, those below go on", async () => {
    const { stdout, stderr, code } = await engine.onggi([
      ...["run", "--rm", "--pids-limit", "12", "busybox", "sh", "-c"],
      "for i in $(seq 1 30); do sleep 20 & done; echo all",
    ]);
    expect(code).not.toBe(0);
    expect(stdout).not.toContain("all");
    expect(stderr).toMatch(/fork|Resource temporarily unavailable/);
  });

  test("a fork bomb ends with its container", async () => {
    const { id } = await started("--pids-limit", "40", "--cpus", "0.5");
    await engine.ok(["exec", "-d", id, "sh", "-c", "b() { b | b & }; b"]);
    await Bun.sleep(500);
    await engine.ok(["rm", "-f", id], { timeout: 60_000 });
  }, 90_000);
});

describe("devices", () => {
  test("making a device node of the host is refused even where mknod is allowed", async () => {
    const { stdout, stderr } = await engine.onggi([
      "run",
      "--rm",
      "--userns",
      "host",
      "busybox",
      "sh",
      "-c",
      "mknod /disk b 7 0 && head -c 1 /disk && echo read",
    ]);
    expect(stdout).not.toContain("read");
    expect(stderr).toMatch(/not permitted|Permission denied/i);
  });

  test("--device-cgroup-rule and --device allow what they name", async () => {
    const flags = ["--userns", "host", "--device-cgroup-rule", "c 1:7 rwm"];
    const { stdout } = await engine.onggi([
      "run",
      "--rm",
      ...flags,
      "busybox",
      "sh",
      "-c",
      "mknod /full c 1 7 && echo x > /full || echo refused by the device itself",
    ]);
    expect(stdout).toBe("refused by the device itself\n");
  });
});

describe("update", () => {
  test("limits change while it runs, inspect says the new ones, and they survive the engine", async () => {
    const { id, pid } = await started("--memory", "64m");
    await engine.ok(["update", "--memory", "96m", "--memory-swap", "96m", "--cpus", "0.75", "--pids-limit", "77", id]);
    expect(control(pid, "memory.max", { controller: "memory", file: "memory.limit_in_bytes" })).toBe(String(96 << 20));
    expect(control(pid, "pids.max", { controller: "pids", file: "pids.max" })).toBe("77");
    const quota = control(pid, "cpu.max", { controller: "cpu", file: "cpu.cfs_quota_us" });
    expect(["75000 100000", "75000"]).toContain(quota);
    await engine.murder();
    const config = (await engine.inspect(id)).HostConfig as { Memory: number; PidsLimit: number };
    expect(config).toMatchObject({ Memory: 96 << 20, PidsLimit: 77 });
    await engine.ok(["rm", "-f", id]);
  });

  test("a limit below what is used is refused or applied, never half", async () => {
    const { id, pid } = await started("--memory", "64m");
    const { code } = await engine.onggi(["update", "--memory", "nonsense", "--pids-limit", "5", id]);
    expect(code).not.toBe(0);
    expect(control(pid, "memory.max", { controller: "memory", file: "memory.limit_in_bytes" })).toBe(String(64 << 20));
    expect(control(pid, "pids.max", { controller: "pids", file: "pids.max" })).toBe("max");
    await engine.ok(["rm", "-f", id]);
  });

  test("what the kernel refuses is named, and leaves the other limits as they were, in the kernel and in inspect", async () => {
    const { id, pid } = await started("--memory", "64m", "--cpu-shares", "512", "--cpuset-cpus", "0");
    const kernel = (): string[] => [
      control(pid, "memory.max", { controller: "memory", file: "memory.limit_in_bytes" }),
      control(pid, "cpu.weight", { controller: "cpu", file: "cpu.shares" }),
      control(pid, "cpuset.cpus", { controller: "cpuset", file: "cpuset.cpus" }),
    ];
    const config = async (): Promise<unknown> => (await engine.inspect(id)).HostConfig;
    const [there, said] = [kernel(), await config()];
    // a millisecond is the least the kernel takes
    const flags = ["--memory", "96m", "--memory-swap", "96m", "--cpu-shares", "2048", "--cpu-quota", "500"];
    const { code, stderr } = await engine.onggi(["update", ...flags, id]);
    expect([code, stderr]).toEqual([1, expect.stringMatching(/limit cpu.quota = ".*500.*": the kernel refused it with EINVAL/)]);
    expect(kernel()).toEqual(there);
    expect(await config()).toEqual(said);
    await engine.ok(["update", ...flags.slice(0, -2), id]);
    expect(kernel()).not.toEqual(there);
    await engine.ok(["rm", "-f", id]);
  });

  test.skipIf(existsSync("/sys/fs/cgroup/cgroup.controllers"))(
    "memory below what is used is refused, and CPUs stay",
    async () => {
      const { id, pid } = await started("--memory", "64m", "--memory-swap", "64m", "--tmpfs", "/held");
      await engine.ok(["exec", id, "dd", "if=/dev/zero", "of=/held/bytes", "bs=1M", "count=40"]);
      const cpus = (): string => control(pid, "", { controller: "cpuset", file: "cpuset.cpus" });
      const there = cpus();
      const { code, stderr } = await engine.onggi(["update", "--cpuset-cpus", "0", "--memory", "16m", id]);
      expect([code, stderr]).toEqual([1, expect.stringMatching(/limit memory.limit = .*more is in use than that/)]);
      expect(cpus()).toBe(there);
      await engine.ok(["rm", "-f", id]);
    },
  );
});

test("blkio weight: applied where the kernel has it, a warning where not", async () => {
  const { stderr, code } = await engine.onggi(["run", "--rm", "--blkio-weight", "300", "busybox", "true"]);
  if (code !== 0) {
    expect(stderr).toMatch(/blkio|io/);
    skipLoudly("--blkio-weight: this kernel has no block I/O weights");
  }
});

test("what a container used is told by its cgroup until it is removed, then the cgroup is gone", async () => {
  const { id, pid } = await started();
  const path = readFileSync(`/proc/${pid}/cgroup`, "utf8")
    .split("\n")
    .map((line) => line.split(":")[2])
    .find((part) => part?.includes(id))!;
  expect(path).toBeDefined();
  await engine.ok(["rm", "-f", id]);
  await eventually("no hierarchy has it", () =>
    ["", "pids", "memory", "unified"].every((hierarchy) => !existsSync(join("/sys/fs/cgroup", hierarchy, path))),
  );
});
