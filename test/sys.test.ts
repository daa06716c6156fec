/** The calls of src/sys that need root: mounts, user namespaces, loop devices, network namespaces, BPF. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as sys from "../src/sys/index.ts";

const { AT, BPF, CLONE, MAGIC, MNT, MOUNT_ATTR, MS, O } = sys;

let path: string;
beforeAll(() => {
  path = mkdtempSync(join(tmpdir(), "onggi-sys-"));
});
afterAll(() => rmSync(path, { recursive: true }));

const failure = (work: () => unknown): sys.SysError => {
  try {
    work();
  } catch (error) {
    if (error instanceof sys.SysError) return error;
    throw error;
  }
  throw new Error("did not throw");
};

const mounts = () => sys.parseMountinfo(readFileSync("/proc/self/mountinfo", "utf8"));

/** A directory below the test's own, unmounted and removed at the end. */
function withTarget<T>(name: string, work: (target: string) => T): T {
  const target = join(path, name);
  mkdirSync(target);
  try {
    return work(target);
  } finally {
    while (mounts().some(({ mountPoint }) => mountPoint === target)) sys.umount(target, MNT.MNT_DETACH);
    rmdirSync(target);
  }
}

/** Descriptors to close, in the reverse order. */
class Descriptors {
  #list: number[] = [];
  keep(fd: number): number {
    this.#list.push(fd);
    return fd;
  }
  [Symbol.dispose](): void {
    for (const fd of this.#list.reverse()) sys.close(fd);
  }
}

const isRoot = process.getuid?.() === 0;

describe.skipIf(!isRoot)("mounts", () => {
  test("a detached tmpfs, attached, reconfigured, unmounted", () => {
    withTarget("a place", (target) => {
      using open = new Descriptors();
      const tmpfs = open.keep(
        sys.mountFs("tmpfs", { source: "name", options: { size: "1m", mode: "751" }, flags: MOUNT_ATTR.MOUNT_ATTR_NODEV }),
      );
      expect(sys.statfs(tmpfs)).toMatchObject({ type: MAGIC.TMPFS_MAGIC, blocks: 256, blockSize: 4096 });
      expect(mounts().filter(({ mountPoint }) => mountPoint === target)).toEqual([]);
      sys.mkdirat(tmpfs, "inside", 0o700);
      expect(sys.isMountRoot(AT.AT_FDCWD, target)).toBe(false);
      sys.attachMount(tmpfs, target);
      expect(sys.isMountRoot(AT.AT_FDCWD, target)).toBe(true);
      expect(readdirSync(target)).toEqual(["inside"]);
      const [mount] = mounts().filter(({ mountPoint }) => mountPoint === target);
      expect(mount).toMatchObject({ id: sys.fstat(tmpfs).mountId, type: "tmpfs", source: "name", root: "/" });
      expect(mount!.options).toContain("nodev");
      expect(mount!.superOptions).toContain("size=1024k");
      const picked = open.keep(sys.fspick(AT.AT_FDCWD, target));
      sys.fsconfigString(picked, "size", "2m");
      sys.fsconfigReconfigure(picked);
      expect(sys.statfs(target).blocks).toBe(512);
      sys.mountSetattr(AT.AT_FDCWD, target, 0, { set: MOUNT_ATTR.MOUNT_ATTR_RDONLY, propagation: MS.MS_SHARED });
      expect(failure(() => sys.mkdirat(tmpfs, "more", 0o700)).code).toBe("EROFS");
      expect(mounts().find(({ mountPoint }) => mountPoint === target)!.optional[0]).toStartWith("shared:");
      expect(failure(() => sys.umount(target)).code).toBe("EBUSY");
    });
  });

  test("a copy of a tree, and mount(2)", () => {
    withTarget("old", (target) => {
      sys.mount("tmpfs", target, "tmpfs", MS.MS_NOSUID, "size=64k");
      sys.mount(null, target, null, MS.MS_PRIVATE);
      writeFileSync(join(target, "file"), "content");
      const copy = sys.pickTree(target, { recursive: true });
      sys.umount(target);
      const file = sys.openat(copy, "file", O.O_RDONLY);
      expect(new TextDecoder().decode(sys.readAll(file))).toBe("content");
      sys.close(file);
      sys.close(copy);
      expect(failure(() => sys.umount(target)).code).toBe("EINVAL");
    });
  });

  test("a refusal tells what the kernel says", () => {
    expect(failure(() => sys.mountFs("overlay", { options: { nonsense: "x" } })).message).toMatch(
      /^fsconfig overlay nonsense: EINVAL \(invalid argument\): e overlay: Unknown parameter 'nonsense'$/,
    );
    expect(failure(() => sys.mountFs("tmpfs", { options: { size: "huge" } }))).toMatchObject({
      code: "EINVAL",
      call: "fsconfig",
    });
    expect(failure(() => sys.mountFs("no-such-fs"))).toMatchObject({
      code: "ENODEV",
      message: "fsopen no-such-fs: ENODEV (no such device)",
    });
  });

  test("an overlay of layers given as descriptors", () => {
    using open = new Descriptors();
    const layers = ["lower1", "lower2", "upper"].map((name) => {
      const layer = open.keep(sys.mountFs("tmpfs"));
      for (const directory of ["data", "work"]) sys.mkdirat(layer, directory, 0o755);
      sys.close(sys.openat(layer, `data/${name}`, O.O_CREAT | O.O_WRONLY, 0o644));
      return { data: open.keep(sys.openDir("data", layer)), work: open.keep(sys.openDir("work", layer)) };
    });
    const overlay = open.keep(
      sys.mountFs("overlay", {
        options: [
          ["lowerdir+", { fd: layers[0]!.data }],
          ["lowerdir+", { fd: layers[1]!.data }],
          ["upperdir", { fd: layers[2]!.data }],
          ["workdir", { fd: layers[2]!.work }],
        ],
      }),
    );
    const listing = open.keep(sys.openat(overlay, ".", O.O_RDONLY));
    const names = sys.getdents(listing).map(({ name }) => new TextDecoder().decode(name));
    expect(names.sort()).toEqual(["lower1", "lower2", "upper"]);
  });

  test("a file of an ext4 image through a loop device", () => {
    const image = join(path, "image");
    const source = join(path, "source");
    mkdirSync(source);
    writeFileSync(join(source, "greeting"), "from the image");
    writeFileSync(image, new Uint8Array(1 << 20));
    expect(Bun.spawnSync(["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-d", source, image]).exitCode).toBe(0);
    using open = new Descriptors();
    const file = open.keep(sys.open(image, O.O_RDONLY));
    const loop = sys.attachLoop(file, { name: "onggi test" });
    const number = loop.path.slice("/dev/loop".length);
    expect(readFileSync(`/sys/block/loop${number}/ro`, "utf8")).toBe("1\n");
    expect(readFileSync(`/sys/block/loop${number}/loop/backing_file`, "utf8").trim()).toBe(image);
    const mount = sys.mountFs("ext4", { source: loop.path, options: { ro: true }, flags: MOUNT_ATTR.MOUNT_ATTR_RDONLY });
    sys.close(loop.fd);
    const greeting = sys.openat(mount, "greeting", O.O_RDONLY);
    expect(new TextDecoder().decode(sys.readAll(greeting))).toBe("from the image");
    sys.close(greeting);
    sys.close(mount);
    for (let wait = 0; wait < 100 && existsSync(`/sys/block/loop${number}/loop`); wait++) Bun.sleepSync(20);
    expect(existsSync(`/sys/block/loop${number}/loop`)).toBe(false);
    const again = sys.attachLoop(file, { autoclear: false, offset: 4096, size: 8192 });
    expect(readFileSync(`/sys/block/${again.path.slice(5)}/size`, "utf8")).toBe("16\n");
    sys.detachLoop(again.fd);
    sys.close(again.fd);
  });
});

describe.skipIf(!isRoot)("namespaces", () => {
  const map = [{ containerID: 0, hostID: 100_000, size: 65_536 }];

  test("a user namespace is made without a process left over, and idmaps a mount", () => {
    using open = new Descriptors();
    const userns = open.keep(sys.createUserNamespace(map, "0 200000 1000\n"));
    expect(readlinkSync(`/proc/self/fd/${userns}`)).toStartWith("user:[");
    expect(readlinkSync(`/proc/self/fd/${userns}`)).not.toBe(readlinkSync("/proc/self/ns/user"));
    expect(sys.namespaceKind(userns)).toBe(CLONE.CLONE_NEWUSER);
    const tmpfs = open.keep(sys.mountFs("tmpfs"));
    sys.close(sys.openat(tmpfs, "file", O.O_CREAT | O.O_WRONLY, 0o600));
    sys.fchownat(tmpfs, "file", 1000, 999);
    sys.mountSetattr(tmpfs, "", 0, { userns });
    expect(sys.statx(tmpfs, "file")).toMatchObject({ uid: 101_000, gid: 200_999 });
    sys.fchownat(tmpfs, "file", 100_005, -1);
    expect(sys.statx(tmpfs, "file")).toMatchObject({ uid: 100_005, gid: 200_999 });
    expect(failure(() => sys.fchownat(tmpfs, "file", 5, -1)).code).toBe("EOVERFLOW");
    expect(failure(() => sys.mountSetattr(tmpfs, "", 0, { userns })).code).toBe("EPERM");
  });

  test("a network namespace has a number of its own", () => {
    using open = new Descriptors();
    const own = open.keep(sys.open("/proc/thread-self/ns/net", O.O_RDONLY));
    const cookies = [own, own].map(sys.networkNamespaceCookie);
    for (let round = 0; round < 20; round++) {
      sys.unshare(CLONE.CLONE_NEWNET);
      const fd = sys.open("/proc/thread-self/ns/net", O.O_RDONLY);
      sys.setns(own, CLONE.CLONE_NEWNET);
      cookies.push(sys.networkNamespaceCookie(fd));
      sys.close(fd);
    }
    expect(cookies[0]).toBe(cookies[1]!);
    expect(new Set(cookies).size).toBe(21);
  });

  test("many, one after the other", () => {
    const pids = new Set<number>();
    for (let round = 0; round < 50; round++) {
      sys.close(
        sys.createUserNamespaceWith((pid) => {
          pids.add(pid);
          expect(sys.waitpid(pid, 1)).toBeNull();
        }),
      );
    }
    for (const pid of pids) expect(existsSync(`/proc/${pid}`)).toBe(false);
  });

  test("a map the kernel refuses is an error, and the process is gone", () => {
    const overlapping = [...map, { containerID: 5, hostID: 0, size: 10 }];
    expect(failure(() => sys.createUserNamespace(overlapping, map)).message).toMatch(/^write \/proc\/\d+\/uid_map: EINVAL/);
    const seen: number[] = [];
    expect(() =>
      sys.createUserNamespaceWith((pid) => {
        seen.push(pid);
        throw new Error("no map");
      }),
    ).toThrow("no map");
    expect(existsSync(`/proc/${seen[0]}`)).toBe(false);
  });

  test("without privileges one's own ids can be mapped", () => {
    const program = `
      const sys = await import(${JSON.stringify(join(import.meta.dir, "../src/sys/index.ts"))});
      process.setgroups([]); process.setgid(65534); process.setuid(65534);
      sys.prctl(sys.PR.PR_SET_DUMPABLE, 1);
      const fd = sys.createUserNamespace("0 65534 1", "0 65534 1");
      console.log(sys.namespaceKind(fd) === sys.CLONE.CLONE_NEWUSER);
      try { sys.createUserNamespace("0 0 10", "0 0 10"); } catch (error) { console.log(error.code); }`;
    const child = Bun.spawnSync([process.execPath, "-e", program]);
    expect(child.stdout.toString() + child.stderr.toString()).toBe("true\nEPERM\n");
  });

  test("work in another namespace, and back, whatever happens", () => {
    const home = readlinkSync("/proc/thread-self/ns/uts");
    const child = Bun.spawnSync(["unshare", "-u", "sh", "-c", "readlink /proc/self/ns/uts"]);
    expect(child.stdout.toString().trim()).not.toBe(home);
    const sleeper = Bun.spawn(["unshare", "-u", "sleep", "30"]);
    const theirs = () => readlinkSync(`/proc/${sleeper.pid}/ns/uts`);
    for (let wait = 0; wait < 200 && theirs() === home; wait++) Bun.sleepSync(5);
    const fd = sys.open(`/proc/${sleeper.pid}/ns/uts`, O.O_RDONLY);
    const here = () => readlinkSync("/proc/thread-self/ns/uts");
    expect(sys.inNamespace(fd, CLONE.CLONE_NEWUTS, here)).toBe(theirs());
    expect(here()).toBe(home);
    const failing = () => sys.inNamespace(fd, CLONE.CLONE_NEWUTS, () => JSON.parse("{"));
    expect(failing).toThrow(SyntaxError);
    expect(here()).toBe(home);
    expect(failure(() => sys.inNamespace(fd, CLONE.CLONE_NEWPID, here)).code).toBe("EINVAL");
    expect(failure(() => sys.inNamespace(fd, CLONE.CLONE_NEWNET, here)).code).toBe("EINVAL");
    sys.close(fd);
    sleeper.kill();
  });
});

test.skipIf(!isRoot)("links, addresses, routes and neighbours in network namespaces", () => {
  const child = Bun.spawnSync([process.execPath, join(import.meta.dir, "netns-child.ts")]);
  expect(child.stderr.toString()).toBe("");
  const found = JSON.parse(child.stdout.toString());
  const { bridge, veth, eth0 } = found;
  expect(bridge).toMatchObject({ name: "bridge0", kind: "bridge", up: true });
  expect(veth).toMatchObject({
    kind: "veth",
    up: true,
    mtu: 1400,
    master: bridge.index,
    peer: eth0.index,
    alias: "the host's end",
  });
  expect(eth0).toMatchObject({ kind: "veth", up: true, address: "02:42:0a:09:00:02", peer: veth.index });
  expect(found.addresses.map(({ ip, prefixLength, family }: sys.Address) => [ip, prefixLength, family])).toEqual([
    ["10.9.0.2", 24, 4],
    ["fd00:9::2", 64, 6],
  ]);
  expect(found.routes.map(({ to, gateway, type }: sys.Route) => [to, gateway ?? "", type])).toEqual([
    ["default", "10.9.0.1", 1],
    ["10.9.0.0/24", "", 1],
    ["10.77.0.0/16", "", 6],
    ["fd00:9::/64", "", 1],
    ["default", "fd00:9::1", 1],
  ]);
  expect(found.otherTable).toEqual(["10.78.0.0/16"]);
  expect(found.fdb.map(({ ip, mac }: sys.Neighbour) => [mac, ip]).sort()).toEqual([
    ["00:00:00:00:00:00", "10.9.0.7"],
    ["02:42:0a:09:00:09", "10.9.0.7"],
  ]);
  expect(found.neighbours).toMatchObject([{ mac: "02:42:0a:09:00:09", state: 128 }]);
  expect(found.refusals).toEqual([
    ["EEXIST", "ipv4: Address already assigned", 0],
    null,
    ["EOPNOTSUPP", "Unknown device type", 2],
    ["EINVAL", "Invalid prefix for given prefix length", 3],
    ["EINVAL", "mtu greater than device maximum", 4],
  ]);
  expect(found).toMatchObject({ manyRoutes: 300, moved: "veth", gone: null });
});

describe.skipIf(!isRoot)("bpf", () => {
  const instruction = (code: number, registers: number, immediate: number) => [
    code,
    registers,
    0,
    0,
    immediate & 255,
    immediate >> 8,
    0,
    0,
  ];
  /** r0 = value; exit */
  const returning = (value: number) => Uint8Array.from([...instruction(0xb7, 0, value), ...instruction(0x95, 0, 0)]);

  const cgroup2 = mounts().find(({ type }) => type === "cgroup2")?.mountPoint;

  test.skipIf(cgroup2 === undefined)("device programs on a cgroup: attach several, replace, query, detach", () => {
    const group = join(cgroup2!, `onggi-bpf-${process.pid}`);
    mkdirSync(group);
    try {
      using open = new Descriptors();
      const cgroup = open.keep(sys.openDir(group));
      const { BPF_PROG_TYPE_CGROUP_DEVICE, BPF_CGROUP_DEVICE, BPF_F_ALLOW_MULTI, BPF_F_REPLACE } = BPF;
      const [allow, deny, other] = [returning(1), returning(0), returning(1)].map((code) =>
        open.keep(sys.loadProgram(BPF_PROG_TYPE_CGROUP_DEVICE, code)),
      );
      sys.cgroupAttach(cgroup, allow!, BPF_CGROUP_DEVICE);
      const first = sys.cgroupQuery(cgroup, BPF_CGROUP_DEVICE);
      expect(first.length).toBe(1);
      const readNull = () => Bun.spawnSync(["sh", "-c", `echo $$ > ${group}/cgroup.procs && head -c0 < /dev/null`]).exitCode;
      expect(readNull()).toBe(0);
      sys.cgroupAttach(cgroup, deny!, BPF_CGROUP_DEVICE);
      expect(sys.cgroupQuery(cgroup, BPF_CGROUP_DEVICE).length).toBe(2);
      expect(readNull()).not.toBe(0);
      sys.cgroupAttach(cgroup, other!, BPF_CGROUP_DEVICE, BPF_F_ALLOW_MULTI | BPF_F_REPLACE, deny!);
      expect(readNull()).toBe(0);
      expect(sys.cgroupQuery(cgroup, BPF_CGROUP_DEVICE).length).toBe(2);
      sys.close(sys.programById(first[0]!));
      sys.cgroupDetach(cgroup, allow!, BPF_CGROUP_DEVICE);
      expect(failure(() => sys.cgroupDetach(cgroup, allow!, BPF_CGROUP_DEVICE)).code).toBe("ENOENT");
      expect(sys.cgroupQuery(cgroup, BPF_CGROUP_DEVICE).length).toBe(1);
    } finally {
      for (let wait = 0; wait < 50 && readFileSync(join(group, "cgroup.procs"), "utf8") !== ""; wait++) Bun.sleepSync(10);
      rmdirSync(group);
    }
  });

  test("a program the verifier refuses is an error with its log", () => {
    const error = failure(() => sys.loadProgram(BPF.BPF_PROG_TYPE_CGROUP_DEVICE, Uint8Array.from(instruction(0x95, 0, 0))));
    expect(error.code).toBe("EACCES");
    expect(error.detail).toContain("R0 !read_ok");
  });
});
