/** The shape of config.json, as spec.ts types it, with the ranges of single values. */
import { absolutePath, anything, choice, flag, list, map, nonEmpty, object, type Shape, show, text, whole } from "./schema.ts";

/** 2^32 - 1 is "no id" for the kernel. */
const id = whole(0, 2 ** 32 - 2);
const idMapping = object({ containerID: id, hostID: id, size: whole(1, 2 ** 32 - 1) });
const strings = list(text());
const capability = text((name) =>
  /^CAP_[A-Z0-9_]+$/.test(name) ? null : `want a capability's name, CAP_..., got ${show(name)}`,
);
/** HOST_NAME_MAX, sethostname(2). */
const hostName = text((name) => {
  const bytes = new TextEncoder().encode(name).length;
  return bytes <= 64 ? null : `want at most 64 bytes, got ${bytes}`;
});
const count = whole(0);
const limit = whole(-1);

const hook = object({ path: absolutePath }, { args: strings, env: strings, timeout: whole(1) });
const hooks = list(hook);

const process: Shape = object(
  { cwd: absolutePath },
  {
    terminal: flag,
    consoleSize: object({ height: whole(0, 65_535), width: whole(0, 65_535) }),
    env: strings,
    args: list(text(), 1),
    commandLine: text(),
    user: object({ uid: id, gid: id }, { umask: whole(0, 0o7777), additionalGids: list(id) }),
    rlimits: list(object({ type: text(), soft: whole(-1), hard: whole(-1) })),
    apparmorProfile: text(),
    selinuxLabel: text(),
    capabilities: object(
      {},
      {
        effective: list(capability),
        bounding: list(capability),
        inheritable: list(capability),
        permitted: list(capability),
        ambient: list(capability),
      },
    ),
    noNewPrivileges: flag,
    oomScoreAdj: whole(-1000, 1000),
    scheduler: object(
      { policy: choice("SCHED_OTHER", "SCHED_FIFO", "SCHED_RR", "SCHED_BATCH", "SCHED_IDLE", "SCHED_DEADLINE") },
      {
        nice: whole(-20, 19),
        priority: whole(0, 99),
        flags: strings,
        runtime: count,
        deadline: count,
        period: count,
      },
    ),
    ioPriority: object({ class: choice("IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE") }, { priority: whole(0, 7) }),
    execCPUAffinity: object({}, { initial: text(), final: text() }),
  },
);

const device = object(
  { type: choice("c", "b", "u", "p"), path: absolutePath },
  { major: whole(0, 4095), minor: whole(0, 2 ** 20 - 1), fileMode: whole(0, 0o177777), uid: id, gid: id },
);
const number = whole(0, 2 ** 32 - 1);
const throttle = list(object({ major: whole(0), minor: whole(0), rate: count }));
const resources = object(
  {},
  {
    devices: list(
      object(
        { allow: flag },
        {
          type: choice("a", "b", "c"),
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
    hugepageLimits: list(object({ pageSize: text(), limit: count })),
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
const seccomp = object(
  { defaultAction: action },
  {
    defaultErrnoRet: number,
    architectures: strings,
    flags: strings,
    listenerPath: text(),
    listenerMetadata: text(),
    syscalls: list(
      object(
        { names: list(nonEmpty, 1), action },
        {
          errnoRet: number,
          args: list(object({ index: whole(0, 5), value: whole(0), op: text() }, { valueTwo: whole(0) })),
        },
      ),
    ),
  },
);

export const namespaceTypes = ["pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time"] as const;
const clockOffset = object({}, { secs: whole(), nanosecs: whole(0, 999_999_999) });

const linux = object(
  {},
  {
    namespaces: list(object({ type: choice(...namespaceTypes) }, { path: absolutePath })),
    uidMappings: list(idMapping),
    gidMappings: list(idMapping),
    timeOffsets: object({}, { monotonic: clockOffset, boottime: clockOffset }),
    devices: list(device),
    cgroupsPath: text(),
    resources,
    sysctl: map(text()),
    seccomp,
    rootfsPropagation: choice("shared", "slave", "private", "unbindable"),
    maskedPaths: list(absolutePath),
    readonlyPaths: list(absolutePath),
    mountLabel: text(),
    intelRdt: map(anything),
    memoryPolicy: object({ mode: text() }, { nodes: text(), flags: strings }),
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
        { destination: absolutePath },
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
