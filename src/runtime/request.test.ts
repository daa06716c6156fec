import { describe, expect, test } from "bun:test";
import { facts } from "../../test/runtime/plans.ts";
import { tweakCapabilities } from "./capabilities.ts";
import { environment, execProcess, parseSecurityOptions, type SpecInput, specFromRequest } from "./request.ts";
import type { ContainerRequest } from "./request-types.ts";
import { parseDeviceRule, resourcesToLinux } from "./resources.ts";

const host = { ...facts, lastCap: 40 };
const specOf = (request: Partial<ContainerRequest>, rest: Partial<SpecInput> = {}) =>
  specFromRequest({
    request: { image: "i", ...request },
    image: { Env: ["A=image", "B=image"], WorkingDir: "/jars" },
    id: "abc",
    hostname: "jar",
    args: ["sh"],
    user: { uid: 0, gid: 0, additionalGids: [], home: "/root" },
    facts: host,
    cgroupPath: "/onggi/abc",
    idMap: null,
    ...rest,
  });
const namespaces = (request: Partial<ContainerRequest>) => specOf(request).linux?.namespaces?.map(({ type }) => type);
const mountAt = (request: Partial<ContainerRequest>, place: string, rest: Partial<SpecInput> = {}) =>
  specOf(request, rest).mounts?.find(({ destination }) => destination === place);

describe("a container request", () => {
  test("that asks for nothing gets Docker's defaults", () => {
    const { process, linux, mounts, hostname, root } = specOf({});
    expect({ hostname, root }).toEqual({ hostname: "jar", root: { path: "rootfs", readonly: false } });
    expect(process).toMatchObject({
      terminal: false,
      cwd: "/jars",
      args: ["sh"],
      noNewPrivileges: false,
      user: { uid: 0, gid: 0 },
    });
    expect(process?.env).toEqual([
      "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      "HOSTNAME=jar",
      "A=image",
      "B=image",
      "HOME=/root",
    ]);
    expect(process?.capabilities?.bounding?.length).toBe(14);
    expect(process?.capabilities?.effective).toEqual(process?.capabilities?.bounding as string[]);
    expect(mounts?.map(({ destination }) => destination)).toEqual([
      "/proc",
      "/dev",
      "/sys",
      "/dev/pts",
      "/dev/mqueue",
      "/dev/shm",
      "/sys/fs/cgroup",
    ]);
    expect(linux?.namespaces?.map(({ type }) => type)).toEqual(["mount", "network", "uts", "pid", "ipc", "cgroup"]);
    expect(linux?.sysctl).toEqual({ "net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647" });
    expect(linux?.maskedPaths).toContain("/proc/kcore");
    expect(linux?.resources?.devices?.[0]).toEqual({ allow: false, access: "rwm" });
  });

  test("with an id map gets a user namespace, and its volumes with its ids", () => {
    const idMap = { hostId: 100_000, size: 65_536 };
    const { linux } = specOf({}, { idMap });
    expect(linux?.uidMappings).toEqual([{ containerID: 0, hostID: 100_000, size: 65_536 }]);
    expect(linux?.sysctl?.["net.ipv4.ping_group_range"]).toBe("0 65535");
    const mounts = [{ type: "bind" as const, source: "/srv", target: "/srv/", readonly: true }];
    expect(mountAt({ mounts }, "/srv", { idMap })?.options).toEqual(["rbind", "rprivate", "rro", "idmap"]);
    expect(mountAt({ mounts }, "/srv")?.options).toEqual(["rbind", "rprivate", "rro"]);
  });

  test("shares the host's namespaces it names, and what belongs to them", () => {
    expect(namespaces({ network: "host", pid: "host", ipc: "host", uts: "host", cgroupns: "host" })).toEqual(["mount"]);
    expect(mountAt({ ipc: "none" }, "/dev/shm")).toBeUndefined();
    expect(mountAt({ ipc: "host" }, "/dev/shm")).toMatchObject({ type: "bind", source: "/dev/shm" });
    expect(specOf({ network: "host" }).linux?.sysctl).toEqual({});
    expect(specOf({ uts: "host" }).hostname).toBeUndefined();
  });

  test("cannot set a kernel parameter of a namespace it shares", () => {
    expect(() => specOf({ network: "host", sysctls: { "net.ipv4.ip_forward": "1" } })).toThrow("needs a network namespace");
    expect(() => specOf({ sysctls: { "vm.swappiness": "1" } })).toThrow("would change the host's");
    expect(specOf({ sysctls: { "net.ipv4.ping_group_range": "1 0" } }).linux?.sysctl?.["net.ipv4.ping_group_range"]).toBe("1 0");
  });

  test("that is privileged has every capability and device, and nothing is masked", () => {
    const { process, linux, mounts } = specOf({ privileged: true });
    expect(process?.capabilities?.bounding?.length).toBe(41);
    expect(linux?.maskedPaths).toBeUndefined();
    expect(linux?.resources?.devices).toEqual([{ allow: true, access: "rwm" }]);
    expect(mounts?.flatMap(({ options = [] }) => options)).not.toContain("ro");
  });

  test("hides and locks the paths that it names, also of a privileged one", () => {
    const masked = (request: Partial<ContainerRequest>) => specOf(request).linux?.maskedPaths;
    expect(masked({ maskedPaths: ["/proc/kcore"] })).toEqual(["/proc/kcore"]);
    expect(masked({ maskedPaths: [] })).toEqual([]);
    expect(masked({ maskedPaths: ["/a"], privileged: true })).toEqual(["/a"]);
    expect(masked({ securityOpt: ["systempaths=unconfined"] })).toEqual([]);
    expect(specOf({ maskedPaths: [] }).linux?.readonlyPaths).toContain("/proc/sys");
    expect(() => specOf({ readonlyPaths: ["proc/sys"] })).toThrow(
      'linux.readonlyPaths[0]: must be an absolute path, got "proc/sys"',
    );
  });

  test("hands its annotations to the specification", () => {
    expect(specOf({ annotations: { "a.b/c": "", d: "e=f" } }).annotations).toEqual({ "a.b/c": "", d: "e=f" });
    expect(specOf({})).not.toHaveProperty("annotations");
    expect(() => specOf({ annotations: { "": "x" } })).toThrow("the empty string is not permitted as an annotation key");
  });

  test("replaces a default mount, and mounts shallow places first", () => {
    const mounts = [
      { type: "bind" as const, source: "/b", target: "/a/b/c" },
      { type: "tmpfs" as const, target: "/dev/shm", options: ["size=5m"] },
      { type: "bind" as const, source: "/a", target: "/a" },
    ];
    const spec = specOf({ mounts });
    const places = spec.mounts?.map(({ destination }) => destination) ?? [];
    expect(places.indexOf("/a")).toBeLessThan(places.indexOf("/a/b/c"));
    expect(places.filter((place) => place === "/dev/shm")).toHaveLength(1);
    expect(mountAt({ mounts }, "/dev/shm")?.options).toEqual(["noexec", "nosuid", "nodev", "size=5m"]);
    expect(() => specOf({ mounts, tmpfs: { "/a/": "" } })).toThrow("mount target /a is asked for twice");
    expect(() => specOf({ mounts: [{ type: "bind", source: "rel", target: "/x" }] })).toThrow("want an absolute path");
    expect(() => specOf({ tmpfs: { "/..": "" } })).toThrow("the root itself cannot be one");
  });

  test("joins another IPC namespace, with the /dev/shm that goes with it", () => {
    const spec = specOf({ ipc: "container:x" }, { ipcNamespace: "/proc/7/ns/ipc", shm: "/c/x/ipc/shm" });
    expect(spec.linux?.namespaces).toContainEqual({ type: "ipc", path: "/proc/7/ns/ipc" });
    expect(spec.mounts?.find(({ destination }) => destination === "/dev/shm")).toEqual({
      ...{ destination: "/dev/shm", type: "bind", source: "/c/x/ipc/shm" },
      options: ["rbind", "nosuid", "noexec", "nodev"],
    });
  });

  test("as another user holds no capability but may gain them", () => {
    const { process } = specOf({}, { user: { uid: 5, gid: 5, additionalGids: [7], home: "/" } });
    expect(process?.capabilities?.effective).toEqual([]);
    expect(process?.capabilities?.bounding).toHaveLength(14);
    expect(process?.user).toEqual({ uid: 5, gid: 5, additionalGids: [7] });
  });
});

test("capabilities are added and dropped as Docker does it", () => {
  expect(tweakCapabilities(["net_admin"], ["CAP_CHOWN"], 40)).toContain("CAP_NET_ADMIN");
  expect(tweakCapabilities(["net_admin"], ["CAP_CHOWN"], 40)).not.toContain("CAP_CHOWN");
  expect(tweakCapabilities(["KILL"], ["all"], 40)).toEqual(["CAP_KILL"]);
  expect(tweakCapabilities(["ALL"], ["SYS_ADMIN"], 40)).toHaveLength(40);
  expect(() => tweakCapabilities(["FLY"], [], 40)).toThrow('unknown capability "FLY"');
});

test("a variable without a value takes one away", () => {
  const options = { tty: true, home: "/h", hostname: "x" };
  expect(
    environment(
      [
        ["A=1", "B=2"],
        ["A", "TERM=dumb", "HOME=/own"],
      ],
      options,
    ).slice(2),
  ).toEqual(["TERM=dumb", "B=2", "HOME=/own"]);
});

test("security options", () => {
  expect(parseSecurityOptions(["no-new-privileges", "seccomp=unconfined", "systempaths=unconfined", "apparmor:x"])).toEqual({
    noNewPrivileges: true,
    systemPathsUnconfined: true,
    seccomp: "unconfined",
    apparmor: "x",
  });
  expect(parseSecurityOptions(["no-new-privileges:false"]).noNewPrivileges).toBeFalse();
  expect(() => parseSecurityOptions(["sandbox=1"])).toThrow('security option "sandbox=1"');
});

test("limits in the specification's units", () => {
  expect(resourcesToLinux({ memory: 1000, nanoCpus: 1_500_000_000, pidsLimit: 5, cpusetCpus: "0" })).toEqual({
    memory: { limit: 1000, swap: 2000 },
    cpu: { quota: 150_000, period: 100_000, cpus: "0" },
    pids: { limit: 5 },
  });
  expect(resourcesToLinux({ memory: 1000, memorySwap: -1 }).memory).toEqual({ limit: 1000, swap: -1 });
  expect(resourcesToLinux({ cpuRealtimePeriod: 1000, cpuRealtimeRuntime: 500 })).toEqual({
    cpu: { realtimePeriod: 1000, realtimeRuntime: 500 },
  });
  expect(resourcesToLinux({ memorySwappiness: 0 })).toEqual({ memory: { swappiness: 0 } });
  expect(resourcesToLinux({})).toEqual({});
  expect(() => resourcesToLinux({ memory: 1000, memorySwap: 999 })).toThrow("cannot be below");
});

test("limits of block devices by their numbers", () => {
  const devices = new Map([
    ["/dev/sda", { major: 8, minor: 0 }],
    ["/dev/sdb", { major: 8, minor: 16 }],
  ]);
  const limit = (value: number, path = "/dev/sda") => ({ path, value });
  const all = {
    blkioWeight: 300,
    blkioWeightDevice: [limit(500)],
    deviceReadBps: [limit(1), limit(2, "/dev/sdb")],
    deviceWriteBps: [limit(3)],
    deviceReadIops: [limit(4)],
    deviceWriteIops: [limit(0)],
  };
  expect(resourcesToLinux(all, devices)).toEqual({
    blockIO: {
      weight: 300,
      weightDevice: [{ major: 8, minor: 0, weight: 500 }],
      throttleReadBpsDevice: [
        { major: 8, minor: 0, rate: 1 },
        { major: 8, minor: 16, rate: 2 },
      ],
      throttleWriteBpsDevice: [{ major: 8, minor: 0, rate: 3 }],
      throttleReadIOPSDevice: [{ major: 8, minor: 0, rate: 4 }],
      throttleWriteIOPSDevice: [{ major: 8, minor: 0, rate: 0 }],
    },
  });
  expect(resourcesToLinux({ deviceReadBps: [] }, devices)).toEqual({});
  expect(() => resourcesToLinux({ deviceReadBps: [limit(1, "/dev/sdc")] }, devices)).toThrow("/dev/sdc");
});

test("device rules in Docker's form", () => {
  expect(parseDeviceRule("c 42:* rw")).toEqual({ allow: true, type: "c", major: 42, access: "rw" });
  expect(() => parseDeviceRule("c 42 rw")).toThrow('want "TYPE MAJOR:MINOR ACCESS"');
});

test("an exec has the container's environment and bounds, and its own user's rest", () => {
  const container = specOf({ env: ["X=1"], tty: true }).process!;
  const process = execProcess({
    container,
    command: ["id"],
    user: { uid: 9, gid: 9, additionalGids: [], home: "/nine" },
    env: ["X=2"],
    workdir: "/a/../b",
    facts: host,
  });
  expect(process).toMatchObject({ terminal: false, cwd: "/b", args: ["id"], capabilities: { effective: [] } });
  expect(process.env).toContain("X=2");
  expect(process.env).toContain("HOME=/nine");
  expect(process.env?.some((entry) => entry.startsWith("TERM="))).toBeFalse();
});
