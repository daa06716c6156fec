import { describe, expect, test } from "bun:test";
import type { Spec } from "../oci/spec.ts";
import { type Op, reg } from "../plan/ops.ts";
import type { HostFacts } from "../runtime/types.ts";
import { type CriuInput, compileCriu, hasHostDev } from "./compile-criu.ts";

const facts: HostFacts = {
  kernel: [6, 18],
  arch: "x64",
  overlayFds: true,
  cloneDetached: true,
  idmap: true,
  cgroup: "v2",
  cgroupHierarchies: [],
  lastCap: 40,
};

const spec = (changes: Partial<Spec> = {}): Spec => ({
  ociVersion: "1.3.0",
  linux: { namespaces: [{ type: "mount" }] },
  ...changes,
});

const input = (changes: Partial<CriuInput> = {}): CriuInput => ({
  criu: "/usr/sbin/criu",
  environment: ["PATH=/usr/sbin:/usr/bin"],
  spec: spec(),
  rootfs: "/bundle/rootfs",
  mountpoint: "/state/x/criu-root",
  facts,
  bundle: "/bundle",
  fileSources: new Set(),
  cgroup: { cloneInto: "/sys/fs/cgroup/x", tasks: [], oom: null },
  stopWhenBorn: false,
  passed: 1,
  supervision: { tty: false, openStdin: true, stdinOnce: false, log: null, exitPath: null, durable: false },
  ...changes,
});

/** An operation with its arguments, without its reason. */
function bare({ why: _, group: __, ...op }: Op): Record<string, unknown> {
  return op;
}

const child = (changes: Partial<CriuInput> = {}) => compileCriu(input(changes)).child;
const reasons = (changes: Partial<CriuInput>): string[] =>
  child(changes).flatMap(({ why }, i, all) => (why === all[i - 1]?.why ? [] : [why]));

describe("the plan that becomes criu", () => {
  test("whole, on cgroup v2", () => {
    const { before, clone, after, child } = compileCriu(input());
    expect(before.map(bare)).toEqual([
      { kind: "open", dir: -100, path: "/sys/fs/cgroup/x", flags: 0o12200000, mode: 0, resolve: 0, out: reg.free },
    ]);
    expect(clone).toEqual({ flags: 0, cgroup: reg.free });
    expect(after).toEqual([]);
    const [place] = [reg.free + 1];
    const mount = { kind: "mount", source: "/bundle/rootfs", target: "/state/x/criu-root", fstype: "", flags: 0x5000, data: "" };
    expect(child.map(bare)).toEqual([
      { kind: "unshare", flags: 0x20000 },
      { kind: "mountSetattr", fd: -100, path: "/", flags: 0x8000, set: 0, clear: 0, propagation: 0x80000 },
      mount,
      { kind: "open", dir: -100, path: "/state/x/criu-root", flags: 0o12200000, mode: 0, resolve: 0, out: place },
      { kind: "close", fd: place },
      { kind: "umount", target: "/state/x/criu-root", flags: 2 },
      mount,
      { kind: "unshare", flags: 0x400 },
      { kind: "dup", fd: reg.stdin, target: 0, flags: 0 },
      { kind: "dup", fd: reg.stdout, target: 1, flags: 0 },
      { kind: "dup", fd: reg.stderr, target: 2, flags: 0 },
      { kind: "close", fd: reg.peer },
      { kind: "closeRange", first: 3, last: 0xffffffff, flags: 4 },
      { kind: "dup", fd: reg.passed, target: 100, flags: 0 },
      { kind: "notify", event: 1 },
      { kind: "await" },
      {
        kind: "execve",
        path: "/usr/sbin/criu",
        argv: ["/usr/sbin/criu", "swrk", "100"],
        envp: ["PATH=/usr/sbin:/usr/bin"],
      },
    ]);
  });

  test("on cgroup v1 it enters its groups by itself, and with systemd waits to be put there", () => {
    const v1 = compileCriu(input({ cgroup: { cloneInto: null, tasks: ["/cg/cpu/x/tasks"], oom: null } }));
    expect(v1.clone).toEqual({ flags: 0 });
    expect(bare(v1.child[0]!)).toMatchObject({ kind: "write", fd: reg.free });
    const [born, wait] = child({ stopWhenBorn: true, cgroup: { cloneInto: null, tasks: [], oom: null } });
    expect(bare(born!)).toEqual({ kind: "notify", event: 4 });
    expect(bare(wait!)).toEqual({ kind: "await" });
  });

  test("namespaces come after the socket", () => {
    const dups = child({ passed: 3 }).filter((op) => op.kind === "dup" && op.target >= 100);
    expect(dups.map(bare)).toEqual([0, 1, 2].map((i) => ({ kind: "dup", fd: reg.passed + i, target: 100 + i, flags: 0 })));
  });

  test("places of mounts are made, except on a tmpfs and in cgroups; bind mounts are there meanwhile", () => {
    const mounts: Spec["mounts"] = [
      { destination: "/proc", type: "proc" },
      { destination: "/dev", type: "tmpfs" },
      { destination: "/dev/pts", type: "devpts" },
      { destination: "/sys/fs/cgroup", type: "cgroup" },
      { destination: "/data", type: "bind", source: "data", options: ["rbind"] },
      { destination: "/data/file", type: "bind", source: "/etc/hosts", options: ["bind"] },
      { destination: "/data", type: "none", options: ["remount", "ro"] },
    ];
    const changes = { spec: spec({ mounts }), fileSources: new Set(["/etc/hosts"]) };
    const made = reasons(changes).filter((why) => /^(make the place|take [^i])/.test(why));
    expect(made).toEqual([
      "make the place of /proc",
      "make the place of /dev",
      "make the place of /data",
      "take data for /data",
      "make the place of /data/file",
      "take /etc/hosts for /data/file",
    ]);
    const trees = child(changes).filter((op) => op.kind === "openTree");
    expect(trees.map(({ path }) => path)).toEqual(["/bundle/data", "/etc/hosts"]);
    const apart = reasons(changes).indexOf("take it apart again");
    expect(apart).toBeGreaterThan(reasons(changes).indexOf("take /etc/hosts for /data/file"));
  });
});

describe("a /dev beside a user namespace", () => {
  const mounts: Spec["mounts"] = [
    { destination: "/dev", type: "tmpfs" },
    { destination: "/dev/pts", type: "devpts" },
  ];
  const mappings = [{ containerID: 0, hostID: 200_000, size: 65_536 }];
  const userns = spec({
    mounts,
    linux: { namespaces: [{ type: "mount" }, { type: "user" }], uidMappings: mappings, gidMappings: mappings },
  });

  test("is made by the host, with its devices and the places of mounts", () => {
    expect(hasHostDev(userns)).toBe(true);
    const ops = child({ spec: userns });
    expect(ops.filter((op) => op.kind === "mknod").map(({ path }) => path)).toContain("null");
    expect(ops.filter((op) => op.kind === "chown")).not.toEqual([]);
    expect(ops.some((op) => op.kind === "open" && op.path === "/proc/fs/nfsd")).toBe(true);
    expect(reasons({ spec: userns })).toContain("make the place of /dev/pts");
  });

  test("is saved by criu otherwise", () => {
    expect(hasHostDev(spec({ mounts }))).toBe(false);
    expect(hasHostDev({ ...userns, mounts: [{ destination: "/dev", type: "bind", source: "/dev" }] })).toBe(false);
    expect(child({ spec: spec({ mounts }) }).some(({ kind }) => kind === "mknod")).toBe(false);
  });
});
