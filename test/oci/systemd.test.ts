/** The OCI runtime with --systemd-cgroup, where systemd is the first process and has cgroup v2: in a VM (scripts/test-vm). */
import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { detectCgroups } from "../../src/runtime/cgroups/index.ts";
import { TestRuntime } from "../kit/bundle.ts";
import { sh } from "../kit/images.ts";

const usable = process.getuid?.() === 0 && detectCgroups().version === "v2" && existsSync("/run/systemd/system");

describe.skipIf(!usable)("a container in a scope of systemd", () => {
  const runtime = usable ? new TestRuntime() : null;
  afterAll(() => runtime?.close(), 120_000);

  /** A running container whose cgroupsPath names a slice, a prefix and a name. */
  const running = async () => {
    const oci = runtime as TestRuntime;
    const bundle = oci.bundle(["sleep", "1000"], (spec) => {
      spec.linux!.resources = { ...spec.linux!.resources, memory: { limit: 64 << 20 }, pids: { limit: 17 } };
    });
    const unit = `jar-${bundle.id}.scope`;
    bundle.spec.linux!.cgroupsPath = `jars.slice:jar:${bundle.id}`;
    bundle.write();
    await oci.ok(["--systemd-cgroup", "run", "--detach", "--bundle", bundle.directory, bundle.id]);
    return { oci, bundle, unit, group: `/jars.slice/${unit}` };
  };
  const property = (unit: string, name: string): string => sh(["systemctl", "show", "--value", "--property", name, unit]).trim();
  const groupFile = (group: string, file: string): string => readFileSync(`/sys/fs/cgroup${group}/${file}`, "utf8").trim();

  test("is in the unit that cgroupsPath names, with its limits there and in the files", async () => {
    const { oci, bundle, unit, group } = await running();
    const { pid } = await oci.state(bundle.id);
    expect(readFileSync(`/proc/${pid}/cgroup`, "utf8").trim()).toBe(`0::${group}`);
    expect(groupFile(group, "cgroup.procs").split("\n")).toEqual([String(pid)]);
    expect(groupFile(group, "memory.max")).toBe(String(64 << 20));
    expect(groupFile(group, "pids.max")).toBe("17");
    expect(property(unit, "MemoryMax")).toBe(String(64 << 20));
    expect(property(unit, "TasksMax")).toBe("17");
    expect(property(unit, "ActiveState")).toBe("active");
    await oci.ok(["update", "--memory", String(96 << 20), bundle.id]);
    expect(groupFile(group, "memory.max")).toBe(String(96 << 20));
    expect(property(unit, "MemoryMax")).toBe(String(96 << 20));
    await oci.remove(bundle);
    expect(existsSync(`/sys/fs/cgroup${group}`)).toBe(false);
    expect(property(unit, "ActiveState")).toBe("inactive");
  });

  test("execs are in it too, it can be paused, and its end takes it away", async () => {
    const { oci, bundle, group } = await running();
    expect((await oci.ok(["exec", bundle.id, "cat", "/proc/self/cgroup"])).stdout.trim()).toBe(`0::${group}`);
    await oci.ok(["exec", "--detach", bundle.id, "sleep", "1000"]);
    expect(groupFile(group, "cgroup.procs").split("\n")).toHaveLength(2);
    await oci.ok(["pause", bundle.id]);
    expect((await oci.state(bundle.id)).status).toBe("paused");
    await oci.ok(["resume", bundle.id]);
    await oci.ok(["kill", bundle.id, "KILL"]);
    await oci.until(bundle.id, "stopped");
    await oci.ok(["delete", bundle.id]);
    expect(existsSync(`/sys/fs/cgroup${group}`)).toBe(false);
  });

  test("a cgroupsPath that is a path is refused", async () => {
    const oci = runtime as TestRuntime;
    const bundle = oci.bundle(["true"]);
    const { code, stderr } = await oci.call(["--systemd-cgroup", "run", "--bundle", bundle.directory, bundle.id]);
    expect(code).toBe(1);
    expect(stderr).toContain("slice:prefix:name");
    await oci.expectNothingLeft(bundle.id);
  });
});
