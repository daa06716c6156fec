import { afterEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import fc from "fast-check";
import { cgroupFacts, detectCgroups, parseCgroupMounts, parseProcCgroups } from "./detect.ts";
import { openCgroups } from "./index.ts";

const roots: string[] = [];

/** A root directory with these mounts and, where there is a v2 tree, these controllers. */
function host(mountinfo: string[], v2?: { at: string; controllers: string }, procCgroups = ""): string {
  const root = mkdtempSync(`${tmpdir()}/onggi-detect-`);
  roots.push(root);
  mkdirSync(`${root}/proc/self`, { recursive: true });
  writeFileSync(`${root}/proc/self/mountinfo`, mountinfo.map((line, index) => `${30 + index} 1 0:${index} / ${line}`).join("\n"));
  writeFileSync(`${root}/proc/cgroups`, procCgroups);
  if (v2) {
    mkdirSync(root + v2.at, { recursive: true });
    writeFileSync(`${root}${v2.at}/cgroup.controllers`, `${v2.controllers}\n`);
  }
  return root;
}

afterEach(() => {
  for (const root of roots.splice(0)) rmSync(root, { recursive: true });
});

const TMPFS = "/sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755";
const CPU = "/sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct";
const MEMORY = "/sys/fs/cgroup/memory rw - cgroup cgroup rw,memory";
const SYSTEMD = "/sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,release_agent=/x,name=systemd";

describe("detectCgroups", () => {
  test("v2", () => {
    const root = host(["/sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate"], {
      at: "/sys/fs/cgroup",
      controllers: "cpu io memory",
    });
    const layout = detectCgroups(root);
    expect(layout.version).toBe("v2");
    expect([...(layout.v2?.controllers ?? [])]).toEqual(["cpu", "io", "memory"]);
    expect(cgroupFacts(layout)).toEqual({ cgroup: "v2", cgroupHierarchies: [] });
  });

  test("v1, with combined and named hierarchies", () => {
    const layout = detectCgroups(host([TMPFS, CPU, MEMORY, SYSTEMD]));
    expect(layout.version).toBe("v1");
    expect(cgroupFacts(layout)).toEqual({
      cgroup: "v1",
      cgroupHierarchies: [
        { mountpoint: "cpu,cpuacct", options: "cpu,cpuacct" },
        { mountpoint: "memory", options: "memory" },
        { mountpoint: "systemd", options: "name=systemd" },
      ],
    });
  });

  test("hybrid", () => {
    const unified = { at: "/sys/fs/cgroup/unified", controllers: "hugetlb" };
    const root = host([TMPFS, MEMORY, "/sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw"], unified);
    expect(detectCgroups(root).version).toBe("hybrid");
    expect([...openCgroups({ root }).controllers].sort()).toEqual(["core", "devices", "freezer", "hugetlb", "memory"]);
    expect(() => openCgroups({ root, systemd: true })).toThrow(/systemd driver needs cgroup v2/);
  });

  test("a named v1 hierarchy beside a whole v2 tree is left alone", () => {
    const root = host(["/sys/fs/cgroup rw - cgroup2 cgroup2 rw", "/mnt/systemd rw - cgroup cgroup rw,name=systemd"], {
      at: "/sys/fs/cgroup",
      controllers: "memory",
    });
    expect(detectCgroups(root)).toMatchObject({ version: "v2", v1: [] });
  });

  test("a hierarchy mounted twice counts where /sys/fs/cgroup has it; an overmounted one does not count", () => {
    const layout = detectCgroups(
      host(["/srv/memory rw - cgroup cgroup rw,memory", TMPFS, MEMORY, CPU, "/sys/fs/cgroup/cpu,cpuacct rw - tmpfs tmpfs rw"]),
    );
    expect(layout.v1.map(({ mountpoint }) => mountpoint)).toEqual(["/sys/fs/cgroup/memory"]);
  });

  test("none is an error", () => {
    expect(() => detectCgroups(host(["/ rw - ext4 /dev/sda rw"]))).toThrow(/no cgroup hierarchy is mounted/);
    expect(() => detectCgroups("/nowhere")).toThrow(/no cgroup hierarchy is mounted/);
  });

  test("why a controller is missing", () => {
    const table = "#subsys_name\thierarchy\tnum_cgroups\tenabled\nmemory\t0\t1\t0\npids\t0\t1\t1\n";
    const cgroups = openCgroups({ root: host([TMPFS, CPU], undefined, table) });
    expect(() => cgroups.create("/a", { memory: { limit: 5 } })).toThrow(
      /memory.limit = "5" needs the memory controller.*disabled at boot/,
    );
    expect(() => cgroups.create("/a", { pids: { limit: 5 } })).toThrow(
      /no hierarchy that has it is mounted; available: cpu, cpuacct/,
    );
    expect(() => cgroups.create("/a", { network: { classID: 5 } })).toThrow(/this kernel does not have it/);
  });

  test("any text is parsed without a throw, and escapes are undone", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        parseCgroupMounts(text);
        parseProcCgroups(text);
      }),
    );
    expect(parseCgroupMounts("1 2 0:3 / /a\\040b rw - cgroup c rw,cpu")[0]?.mountpoint).toBe("/a b");
  });
});
