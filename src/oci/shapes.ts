/** The shape of config.json, as spec.ts types it, with the ranges of single values. */
import {
  absentIfEmpty,
  absolutePath,
  choice,
  flag,
  list,
  map,
  nonEmpty,
  object,
  type Shape,
  show,
  text,
  whole,
} from "./schema.ts";

/** 2^32 - 1 is "no id" for the kernel. */
const id = whole(0, 2 ** 32 - 2);
const idMapping = object({ containerID: id, hostID: id, size: whole(1, 2 ** 32 - 1) });
const strings = list(text());
/** HOST_NAME_MAX, sethostname(2). */
const hostName = text((name) => {
  const bytes = new TextEncoder().encode(name).length;
  return bytes <= 64 ? null : `want at most 64 bytes, got ${bytes}`;
});
const count = whole(0);
const limit = whole(-1);

const hook = object({ path: absolutePath }, { args: strings, env: strings, timeout: whole(1) });
const hooks = list(hook);

const schedulerFlag = choice(
  ...["RESET_ON_FORK", "RECLAIM", "DL_OVERRUN", "KEEP_POLICY", "KEEP_PARAMS", "UTIL_CLAMP_MIN", "UTIL_CLAMP_MAX"].map(
    (name) => `SCHED_FLAG_${name}`,
  ),
);
const cpuList = text((value) => (/^[0-9, -]*$/.test(value) ? null : `want a list like "0-2,7", got ${show(value)}`));

const process: Shape = object(
  { cwd: absolutePath },
  {
    terminal: flag,
    consoleSize: object({ height: count, width: count }),
    env: strings,
    args: list(text(), 1),
    commandLine: text(),
    user: object({}, { uid: id, gid: id, umask: whole(0, 0o777), additionalGids: list(id), username: text() }),
    rlimits: list(object({ type: text(), soft: whole(-1), hard: whole(-1) })),
    apparmorProfile: text(),
    selinuxLabel: text(),
    capabilities: object(
      {},
      {
        effective: strings,
        bounding: strings,
        inheritable: strings,
        permitted: strings,
        ambient: strings,
      },
    ),
    noNewPrivileges: flag,
    oomScoreAdj: whole(-1000, 1000),
    scheduler: object(
      { policy: choice("SCHED_OTHER", "SCHED_FIFO", "SCHED_RR", "SCHED_BATCH", "SCHED_ISO", "SCHED_IDLE", "SCHED_DEADLINE") },
      {
        nice: whole(-20, 19),
        priority: whole(0, 99),
        flags: list(schedulerFlag),
        runtime: count,
        deadline: count,
        period: count,
      },
    ),
    ioPriority: object({ class: choice("IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE") }, { priority: whole(0, 7) }),
    execCPUAffinity: object({}, { initial: cpuList, final: cpuList }),
  },
);

const device = object(
  { type: choice("c", "b", "u", "p"), path: absolutePath },
  { major: whole(0, 4095), minor: whole(0, 2 ** 20 - 1), fileMode: whole(0, 0o177777), uid: id, gid: id },
);
const number = whole(0, 2 ** 32 - 1);
const pageSize = text((value) => (/^[1-9][0-9]*[KMG]B$/.test(value) ? null : `want a size like "2MB", got ${show(value)}`));
const throttle = list(object({ major: whole(0), minor: whole(0), rate: count }));
const resources = object(
  {},
  {
    devices: list(
      object(
        { allow: flag },
        {
          type: absentIfEmpty(choice("a", "b", "c")),
          major: whole(-1),
          minor: whole(-1),
          access: text((value) => (/^[rwm]*$/.test(value) ? null : `want any of r, w and m, got ${show(value)}`)),
        },
      ),
    ),
    memory: object(
      {},
      {
        limit,
        reservation: limit,
        swap: limit,
        kernel: limit,
        kernelTCP: limit,
        swappiness: whole(0, 200),
        disableOOMKiller: flag,
        useHierarchy: flag,
        checkBeforeUpdate: flag,
      },
    ),
    cpu: object(
      {},
      {
        shares: count,
        quota: whole(),
        burst: count,
        period: count,
        realtimeRuntime: whole(),
        realtimePeriod: count,
        cpus: text(),
        mems: text(),
        idle: whole(),
      },
    ),
    pids: object({}, { limit: whole() }),
    blockIO: object(
      {},
      {
        weight: whole(0, 65_535),
        leafWeight: whole(0, 65_535),
        weightDevice: list(
          object({ major: whole(0), minor: whole(0) }, { weight: whole(0, 65_535), leafWeight: whole(0, 65_535) }),
        ),
        throttleReadBpsDevice: throttle,
        throttleWriteBpsDevice: throttle,
        throttleReadIOPSDevice: throttle,
        throttleWriteIOPSDevice: throttle,
      },
    ),
    hugepageLimits: list(object({ pageSize, limit: count })),
    network: object({}, { classID: number, priorities: list(object({ name: text(), priority: number })) }),
    rdma: map(object({}, { hcaHandles: number, hcaObjects: number })),
    unified: map(text()),
  },
);

const action = choice(
  ...["KILL", "KILL_PROCESS", "KILL_THREAD", "TRAP", "ERRNO", "TRACE", "ALLOW", "LOG", "NOTIFY"].map(
    (name) => `SCMP_ACT_${name}`,
  ),
);
const architectures = [
  ...["X86", "X86_64", "X32", "ARM", "AARCH64", "LOONGARCH64", "M68K", "MIPS", "MIPS64", "MIPS64N32", "MIPSEL", "MIPSEL64"],
  ...["MIPSEL64N32", "PPC", "PPC64", "PPC64LE", "S390", "S390X", "SH", "SHEB", "PARISC", "PARISC64", "RISCV64"],
];
const seccompArchitecture = choice(...architectures.map((name) => `SCMP_ARCH_${name}`));
const seccompFlag = choice(...["TSYNC", "LOG", "SPEC_ALLOW", "WAIT_KILLABLE_RECV"].map((name) => `SECCOMP_FILTER_FLAG_${name}`));
const operator = choice(...["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"].map((name) => `SCMP_CMP_${name}`));
const seccomp = object(
  { defaultAction: action },
  {
    defaultErrnoRet: number,
    architectures: list(seccompArchitecture),
    flags: list(seccompFlag),
    listenerPath: text(),
    listenerMetadata: text(),
    syscalls: list(
      object(
        { names: list(nonEmpty, 1), action },
        {
          errnoRet: number,
          args: list(object({ index: whole(0, 5), value: whole(0), op: operator }, { valueTwo: whole(0) })),
        },
      ),
    ),
  },
);

export const namespaceTypes = ["pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time"] as const;
/** With an "r", of the whole tree: runc takes those too, and Kubernetes sends them. */
const propagations = ["shared", "slave", "private", "unbindable", "rshared", "rslave", "rprivate", "runbindable"];
const memoryModes = ["DEFAULT", "BIND", "INTERLEAVE", "WEIGHTED_INTERLEAVE", "PREFERRED", "PREFERRED_MANY", "LOCAL"];
const memoryFlags = ["NUMA_BALANCING", "RELATIVE_NODES", "STATIC_NODES"];
const line = (start = "") =>
  text((value) => {
    if (value.includes("\n")) return `must be one line, got ${show(value)}`;
    return value.startsWith(start) ? null : `must start with ${show(start)}, got ${show(value)}`;
  });
const intelRdt = object(
  {},
  {
    closID: text(),
    schemata: list(line()),
    l3CacheSchema: line(),
    memBwSchema: absentIfEmpty(line("MB:")),
    enableMonitoring: flag,
    // of the versions 1.1 to 1.2
    enableCMT: flag,
    enableMBM: flag,
  },
);
const clockOffset = object({}, { secs: whole(), nanosecs: whole(0, 999_999_999) });

const linux = object(
  {},
  {
    namespaces: list(object({ type: choice(...namespaceTypes) }, { path: absentIfEmpty(absolutePath) })),
    uidMappings: list(idMapping),
    gidMappings: list(idMapping),
    timeOffsets: object({}, { monotonic: clockOffset, boottime: clockOffset }),
    devices: list(device),
    cgroupsPath: text(),
    resources,
    sysctl: map(text()),
    seccomp,
    rootfsPropagation: absentIfEmpty(choice(...propagations)),
    maskedPaths: list(absolutePath),
    readonlyPaths: list(absolutePath),
    mountLabel: text(),
    intelRdt,
    memoryPolicy: object(
      { mode: choice(...memoryModes.map((name) => `MPOL_${name}`)) },
      { nodes: cpuList, flags: list(choice(...memoryFlags.map((name) => `MPOL_F_${name}`))) },
    ),
    personality: object({ domain: choice("LINUX", "LINUX32") }, { flags: strings }),
    netDevices: map(object({}, { name: text() })),
  },
);

export const spec: Shape = object(
  { ociVersion: text() },
  {
    root: object({ path: nonEmpty }, { readonly: flag }),
    mounts: list(
      object(
        // an old specification's relative path starts from "/"
        { destination: nonEmpty },
        { source: text(), type: text(), options: strings, uidMappings: list(idMapping), gidMappings: list(idMapping) },
      ),
    ),
    process,
    hostname: hostName,
    domainname: hostName,
    hooks: object(
      {},
      { prestart: hooks, createRuntime: hooks, createContainer: hooks, startContainer: hooks, poststart: hooks, poststop: hooks },
    ),
    annotations: map(text()),
    linux,
  },
);
