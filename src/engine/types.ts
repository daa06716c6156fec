/** The values that cross the engine's boundary: what clients ask for and what they are told. Types only. */

export type { Image, ImageConfig } from "../images/types.ts";

/** How strongly a container is isolated from the host. */
export type Isolation = "container" | "userns";

export interface Resources {
  /** Bytes; 0 or absent: no limit. */
  memory?: number;
  /** Memory plus swap in bytes, -1: unlimited swap. */
  memorySwap?: number;
  memoryReservation?: number;
  /** CPUs in billionths: 1.5 CPUs is 1_500_000_000. */
  nanoCpus?: number;
  cpuShares?: number;
  /** Microseconds. */
  cpuPeriod?: number;
  cpuQuota?: number;
  /** List syntax of cpuset(7): "0-2,7". */
  cpusetCpus?: string;
  cpusetMems?: string;
  /** -1: unlimited. */
  pidsLimit?: number;
  /** 10 to 1000. */
  blkioWeight?: number;
}

export interface Ulimit {
  /** Without RLIMIT_, lower case: "nofile". */
  name: string;
  soft: number;
  hard: number;
}

export interface DeviceRequest {
  hostPath: string;
  containerPath: string;
  /** Any of r, w, m. */
  access: string;
}

export interface MountRequest {
  type: "bind" | "tmpfs";
  source?: string;
  target: string;
  readonly?: boolean;
  /** Mount options as in mount(8), passed through to the runtime. */
  options?: string[];
}

export interface LogConfig {
  driver: "json-file" | "cri" | "none";
  /** Bytes, 0: never rotated. */
  maxSize: number;
  maxFiles: number;
}

/** What `create` is asked for. Absent means the image's value, then Docker's default. */
export interface ContainerRequest {
  image: string;
  name?: string;
  command?: string[];
  entrypoint?: string[];
  env?: string[];
  workdir?: string;
  /** "user", "uid", "user:group", "uid:gid". */
  user?: string;
  groupAdd?: string[];
  hostname?: string;
  domainname?: string;
  tty?: boolean;
  openStdin?: boolean;
  stdinOnce?: boolean;
  labels?: Record<string, string>;
  autoRemove?: boolean;
  network?: string;
  pid?: string;
  ipc?: string;
  uts?: string;
  cgroupns?: "private" | "host";
  /** "host": no user namespace; absent: one of its own. */
  userns?: string;
  privileged?: boolean;
  readonlyRootfs?: boolean;
  init?: boolean;
  capAdd?: string[];
  capDrop?: string[];
  /** Docker's `--security-opt` values: no-new-privileges, seccomp=..., systempaths=unconfined. */
  securityOpt?: string[];
  sysctls?: Record<string, string>;
  ulimits?: Ulimit[];
  devices?: DeviceRequest[];
  deviceCgroupRules?: string[];
  mounts?: MountRequest[];
  /** Path to tmpfs options, as `--tmpfs`. */
  tmpfs?: Record<string, string>;
  shmSize?: number;
  resources?: Resources;
  oomScoreAdj?: number;
  oomKillDisable?: boolean;
  stopSignal?: string;
  /** Seconds. */
  stopTimeout?: number;
  log?: LogConfig;
  cgroupParent?: string;
  /** Another root file system: start from this host directory instead of an image (tests, sandboxes). */
  rootfs?: string;
}

export type ContainerStatus = "created" | "running" | "paused" | "exited" | "removing" | "dead";

export interface ContainerState {
  status: ContainerStatus;
  pid: number;
  exitCode: number;
  oomKilled: boolean;
  /** Why it is dead or could not start; empty when all is well. */
  error: string;
  /** RFC 3339 with nanoseconds; "0001-01-01T00:00:00Z" when it has not happened. */
  startedAt: string;
  finishedAt: string;
}

/** One container as `inspect` shows it. */
export interface ContainerInfo {
  id: string;
  name: string;
  created: string;
  image: string;
  /** Digest of the image's configuration. */
  imageId: string;
  /** Entry point and command as executed. */
  args: string[];
  state: ContainerState;
  request: ContainerRequest;
  isolation: { userns: boolean; reason: string };
  logPath: string;
  /** Host ids the container's ids 0 to 65535 are mapped to, null without user namespace. */
  idMap: { hostId: number; size: number } | null;
  cgroupPath: string;
}

/** One line of `ps`. */
export interface ContainerSummary {
  id: string;
  names: string[];
  image: string;
  imageId: string;
  command: string;
  /** Unix seconds. */
  created: number;
  state: ContainerStatus;
  /** As `docker ps` words it: "Up 3 seconds", "Exited (0) 2 minutes ago". */
  status: string;
  labels: Record<string, string>;
  networks: string[];
}

export interface ExecRequest {
  command: string[];
  env?: string[];
  user?: string;
  workdir?: string;
  tty?: boolean;
  openStdin?: boolean;
  privileged?: boolean;
  detach?: boolean;
}

export interface ImageSummary {
  /** Configuration digest, "sha256:...". */
  id: string;
  /** "busybox:latest". */
  names: string[];
  /** Unix seconds. */
  created: number;
  /** Bytes of all layers, uncompressed. */
  size: number;
  labels: Record<string, string>;
}

/** One sample of a container's use, with the units in the names. Absent: this kernel does not say. */
export interface StatsSample {
  id: string;
  name: string;
  /** RFC 3339. */
  read: string;
  cpu: {
    usageNs: number;
    userNs: number;
    systemNs: number;
    throttledPeriods: number;
    throttledNs: number;
    onlineCpus: number;
    systemUsageNs: number;
  };
  memory: {
    usageBytes: number;
    limitBytes: number;
    cacheBytes: number;
    maxUsageBytes: number;
    swapBytes: number;
    failures: number;
    oomKills: number;
  };
  pids: { current: number; limit: number };
  io: { readBytes: number; writeBytes: number; readOps: number; writeOps: number };
  network: Record<string, { rxBytes: number; rxPackets: number; txBytes: number; txPackets: number }>;
}

/** Something that happened; `action` is Docker's word for it (create, start, die, ...). */
export interface EngineEvent {
  type: "container" | "image";
  action: string;
  id: string;
  attributes: Record<string, string>;
  /** Unix nanoseconds as a decimal string. */
  timeNano: string;
}

export interface EngineStatus {
  pid: number;
  version: string;
  root: string;
  run: string;
  startedAt: string;
  containers: { running: number; paused: number; stopped: number };
  images: number;
  cgroup: "v1" | "v2" | "hybrid";
  kernel: string;
  /** What this kernel can do, as probed at start. */
  features: Record<string, boolean>;
  rssBytes: number;
}
