/** An engine with the systemd cgroup driver, where systemd is the first process and has cgroup v2: in a VM (scripts/test-vm). */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { detectCgroups } from "../../src/runtime/cgroups/index.ts";
import { type Engine, eventually, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";
import { engineGroup } from "../kit/leaks.ts";

const usable = process.getuid?.() === 0 && detectCgroups().version === "v2" && existsSync("/run/systemd/system");
const groupOf = (pid: number): string => readFileSync(`/proc/${pid}/cgroup`, "utf8").trim().slice(3);
const isThere = (group: string): boolean => existsSync(`/sys/fs/cgroup${group}`);

describe.skipIf(!usable)("the systemd cgroup driver", () => {
  const env = { ONGGI_CGROUP_DRIVER: "systemd" };
  let engine: Engine;
  beforeAll(async () => {
    engine = startEngine({ env });
    await bootstrapBusybox(engine);
  }, 120_000);
  afterAll(() => engine.close(), 120_000);

  const started = async (...flags: string[]): Promise<{ id: string; pid: number }> => {
    const id = await engine.ok(["run", "-d", ...flags, "busybox", "sleep", "1000"]);
    return { id, pid: (await engine.inspect(id)).State.Pid };
  };

  test("status tells it; a container is a scope in the engine's slice, with its limits", async () => {
    expect(await engine.ok(["engine", "status", "--format", "{{.CgroupDriver}}"])).toBe("systemd");
    const { id, pid } = await started("--memory", "64m", "--pids-limit", "9", "--cpus", "0.5");
    const group = `${engineGroup(engine.base, "systemd")}/onggi-${id}.scope`;
    expect(groupOf(pid)).toBe(group);
    const file = (name: string): string => readFileSync(`/sys/fs/cgroup${group}/${name}`, "utf8").trim();
    expect([file("memory.max"), file("pids.max"), file("cpu.max")]).toEqual([String(64 << 20), "9", "50000 100000"]);
    await engine.ok(["update", "--memory", "96m", "--memory-swap", "96m", id]);
    expect(file("memory.max")).toBe(String(96 << 20));
    await engine.ok(["pause", id]);
    await engine.ok(["unpause", id]);
    expect(await engine.ok(["exec", id, "cat", "/proc/self/cgroup"])).toBe("0::/");
    await engine.ok(["rm", "-f", id]);
    await eventually("the scope is gone", () => !isThere(group));
  });

  test("running out of memory is told, though systemd removes the group", async () => {
    const run = ["run", "--name", "greedy", "--memory", "32m", "--memory-swap", "32m", "busybox"];
    expect((await engine.onggi([...run, "dd", "if=/dev/zero", "of=/dev/null", "bs=128M", "count=1"])).code).toBe(137);
    expect((await engine.inspect("greedy")).State.OOMKilled).toBe(true);
    await engine.ok(["rm", "greedy"]);
  });

  test("--cgroup-parent is a slice", async () => {
    const { id, pid } = await started("--cgroup-parent", "onggi_parent.slice");
    expect(groupOf(pid)).toBe(`/onggi_parent.slice/onggi-${id}.scope`);
    await engine.ok(["rm", "-f", id]);
    const { code, stderr } = await engine.onggi(["create", "--cgroup-parent", "/jobs", "busybox"]);
    expect(code).not.toBe(0);
    expect(stderr).toContain("--cgroup-parent /jobs: with the systemd cgroup driver give a slice");
    Bun.spawnSync(["systemctl", "stop", "onggi_parent.slice"]);
  });

  test("a container outlives its engine, which finds it again; another engine leaves it alone", async () => {
    const { id, pid } = await started();
    const other = startEngine({ env });
    await bootstrapBusybox(other);
    await engine.murder();
    expect(await other.ok(["run", "--rm", "busybox", "echo", "hi"])).toBe("hi");
    await other.close();
    expect((await engine.inspect(id)).State).toMatchObject({ Running: true, Pid: pid });
    await engine.murder();
    process.kill(pid, "SIGKILL");
    expect((await engine.inspect(id)).State).toMatchObject({ Running: false, ExitCode: 137 });
    await engine.ok(["start", id]);
    await engine.ok(["rm", "-f", id]);
  });

  test("the driver can change while a container runs; started again, it is where the new one puts it", async () => {
    const { id, pid } = await started();
    await engine.ok(["engine", "stop"]);
    await engine.ok(["engine", "start", "--cgroup-driver", "cgroupfs"]);
    expect((await engine.inspect(id)).State).toMatchObject({ Running: true, Pid: pid });
    const refused = await engine.onggi(["engine", "start", "--cgroup-driver", "systemd"]);
    expect(refused.stderr).toContain("has the cgroupfs cgroup driver, not systemd");
    await engine.ok(["stop", "-t", "0", id]);
    await engine.ok(["start", id]);
    expect(readFileSync(`/proc/${await pidOf(id)}/cgroup`, "utf8")).toContain(`${engineGroup(engine.base, "cgroupfs")}/${id}`);
    await engine.ok(["engine", "stop"]);
    await engine.ok(["ps", "-q"]);
    expect(await engine.ok(["engine", "status", "--format", "{{.CgroupDriver}}"])).toBe("systemd");
    await engine.ok(["rm", "-f", id]);
    await eventually("its group is gone", () => !isThere(`${engineGroup(engine.base, "cgroupfs")}/${id}`));
  });

  const pidOf = async (id: string): Promise<number> => Number(await engine.ok(["inspect", "--format", "{{.State.Pid}}", id]));
});
