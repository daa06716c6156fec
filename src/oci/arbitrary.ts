/**
 * Generators of specifications, for tests: every one is valid by the specification, and one that a plan can carry out on the
 * host that `test/runtime/plans.ts` describes.
 */
import fc from "fast-check";
import type { Spec } from "./spec.ts";

type Member = fc.Arbitrary<unknown>;

/** An object of which any members may be missing. */
const some = (members: Record<string, Member>, required: readonly string[] = []): fc.Arbitrary<Record<string, unknown>> =>
  fc.record(members, { requiredKeys: [...required] }) as fc.Arbitrary<Record<string, unknown>>;

const word = fc.stringMatching(/^[a-z][a-z0-9_]{0,7}$/);
const path = fc.array(fc.stringMatching(/^[a-z.]{1,8}$/), { minLength: 1, maxLength: 4 }).map((parts) => `/${parts.join("/")}`);
/** "." and ".." taken out it is still no root, nor in /proc. */
const place = path.filter((text) => !/^\/(proc(\/|$)|$)/.test(new URL(text, "file:///").pathname));
const count = fc.nat(2 ** 31);
const number16 = fc.nat(65_535);
const lists = fc.constantFrom("0", "0-3", "1,3", "0-1,5-7");
const ids = fc.nat(999);

export const mapping = { containerID: 0, hostID: 100_000, size: 1000 };

const attributes = ["ro", "rw", "suid", "nosuid", "dev", "nodev", "exec", "noexec", "symfollow", "nosymfollow"];
const times = ["atime", "noatime", "diratime", "nodiratime", "relatime", "norelatime", "strictatime", "nostrictatime"];
const deep = ["rro", "rnosuid", "rnodev", "rnoexec", "rnoatime", "rrelatime", "rstrictatime", "rnodiratime", "rsymfollow"];
const propagation = ["shared", "rshared", "slave", "rslave", "private", "rprivate", "unbindable", "runbindable"];
const common = [...attributes, ...times, ...deep, "defaults", "silent", "loud", "iversion", "noiversion", "sync", "lazytime"];
const options = (...more: string[]) => fc.subarray([...common, ...propagation, ...more]);

const mount = fc.oneof(
  some(
    {
      destination: place,
      source: word,
      type: fc.constantFrom("tmpfs", "sysfs", "mqueue", "cgroup", "ext4"),
      options: options("mode=700"),
    },
    ["destination", "type"],
  ),
  fc.record({ destination: fc.constantFrom("/proc", "/dev/pts"), type: fc.constant("proc") }),
  fc.record({ destination: fc.constant("/dev/pts"), type: fc.constant("devpts"), options: options("gid=5", "newinstance") }),
  some({ destination: place, source: path, type: fc.constant("bind"), options: options("rbind", "idmap", "mode=755") }, [
    "destination",
    "source",
    "type",
  ]),
  fc.record({ destination: place, type: fc.constant("tmpfs"), options: fc.constant(["remount", "ro"]) }),
);

const capabilities = fc.subarray(["CAP_CHOWN", "CAP_KILL", "CAP_SYS_ADMIN", "CAP_FUTURE", "nonsense"]);
const limits = ["RLIMIT_NOFILE", "RLIMIT_CORE", "RLIMIT_NPROC", "RLIMIT_STACK"];
const rlimits = fc
  .subarray(limits)
  .chain((types) =>
    fc.tuple(
      ...types.map((type) => fc.record({ type: fc.constant(type), soft: fc.nat(100), hard: fc.constantFrom(-1, 100, 2 ** 64) })),
    ),
  );
const scheduler = fc.oneof(
  some({ policy: fc.constantFrom("SCHED_OTHER", "SCHED_BATCH", "SCHED_IDLE"), nice: fc.integer({ min: -20, max: 19 }) }, [
    "policy",
  ]),
  fc.record({
    policy: fc.constantFrom("SCHED_FIFO", "SCHED_RR"),
    priority: fc.integer({ min: 1, max: 99 }),
    flags: fc.subarray(["SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_RECLAIM"]),
  }),
  fc.record({ policy: fc.constant("SCHED_DEADLINE"), runtime: count, deadline: count, period: count }),
);
const process = some(
  {
    terminal: fc.boolean(),
    consoleSize: fc.record({ height: number16, width: number16 }),
    cwd: path,
    args: fc.array(fc.stringMatching(/^[a-z/]{1,9}$/), { minLength: 1, maxLength: 3 }),
    env: fc.array(fc.stringMatching(/^[A-Z]{1,4}=[a-z/:]{0,9}$/)),
    user: some({ uid: ids, gid: ids, umask: fc.nat(0o777), additionalGids: fc.array(ids, { maxLength: 4 }) }),
    rlimits,
    capabilities: some({
      bounding: capabilities,
      effective: capabilities,
      permitted: capabilities,
      inheritable: capabilities,
      ambient: capabilities,
    }),
    noNewPrivileges: fc.boolean(),
    oomScoreAdj: fc.integer({ min: -1000, max: 1000 }),
    scheduler,
    ioPriority: some({ class: fc.constantFrom("IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE"), priority: fc.nat(7) }, [
      "class",
    ]),
    execCPUAffinity: some({ initial: lists, final: lists }),
  },
  ["cwd", "args"],
);

const deviceRule = some(
  {
    allow: fc.boolean(),
    type: fc.constantFrom("a", "b", "c", ""),
    major: fc.integer({ min: -1, max: 255 }),
    minor: fc.integer({ min: -1, max: 255 }),
    access: fc.constantFrom("r", "rw", "rwm", "m"),
  },
  ["allow"],
);
const throttle = fc.array(fc.record({ major: number16, minor: number16, rate: count }), { maxLength: 2 });
const weight = some({ major: number16, minor: number16, weight: number16, leafWeight: number16 }, ["major", "minor"]);
const resources = some({
  devices: fc.array(deviceRule, { maxLength: 4 }),
  memory: some({
    limit: count,
    reservation: count,
    swap: fc.constantFrom(-1, 2 ** 40),
    kernel: count,
    kernelTCP: count,
    swappiness: fc.nat(100),
    disableOOMKiller: fc.boolean(),
    useHierarchy: fc.boolean(),
    checkBeforeUpdate: fc.boolean(),
  }),
  cpu: some({
    shares: count,
    quota: fc.integer(),
    burst: count,
    period: count,
    realtimeRuntime: fc.integer(),
    realtimePeriod: count,
    cpus: lists,
    mems: lists,
    idle: fc.integer({ min: 0, max: 1 }),
  }),
  pids: some({ limit: fc.integer() }),
  blockIO: some({
    weight: number16,
    leafWeight: number16,
    weightDevice: fc.array(weight, { maxLength: 2 }),
    throttleReadBpsDevice: throttle,
    throttleWriteBpsDevice: throttle,
    throttleReadIOPSDevice: throttle,
    throttleWriteIOPSDevice: throttle,
  }),
  hugepageLimits: fc.array(fc.record({ pageSize: fc.constantFrom("2MB", "64KB", "1GB"), limit: count }), { maxLength: 2 }),
  network: some({ classID: count, priorities: fc.array(fc.record({ name: word, priority: count }), { maxLength: 2 }) }),
  rdma: fc.dictionary(word, some({ hcaHandles: count, hcaObjects: count }), { maxKeys: 2 }),
  unified: fc.dictionary(fc.constantFrom("memory.high", "cpu.max"), word, { maxKeys: 2 }),
});

const comparison = some(
  {
    index: fc.nat(5),
    value: fc.maxSafeNat(),
    valueTwo: fc.maxSafeNat(),
    op: fc.constantFrom(...["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"].map((name) => `SCMP_CMP_${name}`)),
  },
  ["index", "value", "op"],
);
const actions = ["KILL", "KILL_PROCESS", "KILL_THREAD", "TRAP", "ERRNO", "TRACE", "ALLOW", "LOG"].map(
  (name) => `SCMP_ACT_${name}`,
);
const seccomp = some(
  {
    defaultAction: fc.constantFrom(...actions),
    defaultErrnoRet: fc.nat(4095),
    architectures: fc.subarray(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_AARCH64", "SCMP_ARCH_RISCV64"]),
    flags: fc.subarray(["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_TSYNC"]),
    syscalls: fc.array(
      some(
        {
          names: fc.array(word, { minLength: 1, maxLength: 3 }),
          action: fc.constantFrom(...actions, "SCMP_ACT_NOTIFY"),
          errnoRet: fc.nat(4095),
          args: fc.array(comparison, { maxLength: 3 }),
        },
        ["names", "action"],
      ).filter(({ names, action }) => action !== "SCMP_ACT_NOTIFY" || !(names as string[]).includes("write")),
      { maxLength: 4 },
    ),
  },
  ["defaultAction"],
);

const device = fc.oneof(
  some(
    {
      type: fc.constantFrom("c", "b", "u"),
      path: place.map((text) => `/dev${text}/x`),
      major: fc.nat(4095),
      minor: fc.nat(2 ** 20 - 1),
      fileMode: fc.nat(0o777),
      uid: ids,
      gid: ids,
    },
    ["type", "path", "major", "minor"],
  ),
  fc.record({ type: fc.constant("p"), path: place.map((text) => `/dev${text}/fifo`) }),
);
const memoryPolicy = fc.oneof(
  fc.record({ mode: fc.constantFrom("MPOL_DEFAULT", "MPOL_LOCAL") }),
  some(
    {
      mode: fc.constantFrom("MPOL_BIND", "MPOL_INTERLEAVE", "MPOL_WEIGHTED_INTERLEAVE", "MPOL_PREFERRED", "MPOL_PREFERRED_MANY"),
      nodes: lists,
      flags: fc.constantFrom([], ["MPOL_F_STATIC_NODES"], ["MPOL_F_RELATIVE_NODES", "MPOL_F_NUMA_BALANCING"]),
    },
    ["mode", "nodes"],
  ),
);
const intelRdt = some({
  closID: fc.oneof(word, fc.constant("/")),
  schemata: fc.array(fc.constantFrom("L2:0=f", "MB:0=10"), { maxLength: 2 }),
  l3CacheSchema: fc.constant("L3:0=ff"),
  memBwSchema: fc.constant("MB:0=20"),
  enableMonitoring: fc.boolean(),
});
const offset = some({ secs: fc.integer(), nanosecs: fc.nat(999_999_999) });

const sysctls = fc.subarray(["net.ipv4.ip_forward", "kernel.shmmax", "fs.mqueue.msg_max", "user.max_mnt_namespaces"]);
const linux = fc.subarray(["pid", "network", "ipc", "cgroup", "time"]).chain((types) => {
  const has = (type: string) => types.includes(type);
  const members: Record<string, Member> = {
    devices: fc.array(device, { maxLength: 3 }),
    cgroupsPath: fc.oneof(
      path.filter((text) => !text.split("/").includes("..")),
      fc.constant("system.slice:onggi:a"),
    ),
    resources,
    sysctl: sysctls.map((names) =>
      Object.fromEntries(
        names
          .filter((name) => (!name.startsWith("net.") || has("network")) && (!/^(kernel|fs)/.test(name) || has("ipc")))
          .map((name) => [name, "1"]),
      ),
    ),
    seccomp,
    rootfsPropagation: fc.constantFrom(...propagation, ""),
    maskedPaths: fc.array(path, { maxLength: 3 }),
    readonlyPaths: fc.array(path, { maxLength: 3 }),
    mountLabel: word,
    intelRdt,
    memoryPolicy,
    personality: fc.record({ domain: fc.constantFrom("LINUX", "LINUX32") }),
    ...(has("network") ? { netDevices: fc.dictionary(word, some({ name: fc.constant("") }), { maxKeys: 2 }) } : {}),
    ...(has("time") ? { timeOffsets: some({ monotonic: offset, boottime: offset }) } : {}),
  };
  return some(members).map((rest) => ({
    ...rest,
    namespaces: ["mount", "uts", "user", ...types].map((type) => ({ type })),
    uidMappings: [mapping],
    gidMappings: [mapping],
  }));
});

const hook = some({ path, args: fc.array(word), env: fc.array(word), timeout: fc.integer({ min: 1, max: 100 }) }, ["path"]);
const hooks = fc.array(hook, { maxLength: 2 });

/** A valid specification, as JSON has it. */
export const arbitrarySpec = some(
  {
    ociVersion: fc.constantFrom("1.0.0", "1.0.2-dev", "1.1.0", "1.2.0", "1.3.0"),
    root: some({ path, readonly: fc.boolean() }, ["path"]),
    mounts: fc.array(mount, { maxLength: 8 }),
    process,
    hostname: fc.stringMatching(/^[a-z]{0,20}$/),
    domainname: fc.stringMatching(/^[a-z]{0,20}$/),
    hooks: some({
      prestart: hooks,
      createRuntime: hooks,
      createContainer: hooks,
      startContainer: hooks,
      poststart: hooks,
      poststop: hooks,
    }),
    annotations: fc.dictionary(word, word, { maxKeys: 3 }),
    linux,
  },
  ["ociVersion", "process", "linux"],
) as unknown as fc.Arbitrary<Spec>;
