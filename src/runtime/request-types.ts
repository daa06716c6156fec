/**
 * What a container is asked to be: the values a client's create request is made of, as the runtime reads them.
 * Types only; `src/engine/types.ts` hands them on to the layers above.
 */

/** A limit of one block device of the host. */
export interface DeviceLimit {
  /** Of the device's file on the host: "/dev/sda". */
  path: string;
  /** A weight from 10 to 1000, or bytes or operations per second; 0: no limit. */
  value: number;
}

export interface Resources {
  /** Bytes; 0 or absent: no limit. */
  memory?: number;
  /** Memory plus swap in bytes, -1: unlimited swap. */
  memorySwap?: number;
  memoryReservation?: number;
  /** 0 to 100: how soon the kernel swaps; of cgroup v1 alone. */
  memorySwappiness?: number;
  /** CPUs in billionths: 1.5 CPUs is 1_500_000_000. */
  nanoCpus?: number;
  cpuShares?: number;
  /** Microseconds. */
  cpuPeriod?: number;
  cpuQuota?: number;
  /** Of realtime processes: in a period, so much CPU time; of cgroup v1 alone. */
  cpuRealtimePeriod?: number;
  cpuRealtimeRuntime?: number;
  /** List syntax of cpuset(7): "0-2,7". */
  cpusetCpus?: string;
  cpusetMems?: string;
  /** -1: unlimited. */
  pidsLimit?: number;
  /** 10 to 1000. */
  blkioWeight?: number;
  blkioWeightDevice?: DeviceLimit[];
  deviceReadBps?: DeviceLimit[];
  deviceWriteBps?: DeviceLimit[];
  deviceReadIops?: DeviceLimit[];
  deviceWriteIops?: DeviceLimit[];
  /** Bytes per second that it receives and sends in each of its networks; 0: no limit. */
  networkReceive?: number;
  networkSend?: number;
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
  type: "bind" | "tmpfs" | "volume" | "image";
  /** A path of the host; a volume's name, absent: an anonymous one; an image's name. */
  source?: string;
  target: string;
  readonly?: boolean;
  /** Mount options as in mount(8), passed through to the runtime. */
  options?: string[];
  /** Of a read-only bind mount: "writable" keeps what is mounted below it as it is; absent: all of it is read-only. */
  readonlyBelow?: "writable";
  /** What was written behind `-v HOST:PATH:`, for inspect. */
  mode?: string;
  /** A directory of the host that is missing is made, as `-v` does. */
  createSource?: boolean;
  /** A new volume does not get what the image has at its place. */
  nocopy?: boolean;
  /** Of the volume, or the image, what is mounted: a relative path. */
  subpath?: string;
  /** How a volume is made that is not there. */
  driver?: string;
  driverOptions?: Record<string, string>;
  labels?: Record<string, string>;
}

/** A file that the container reads, and that is no part of its root file system. */
export interface SecretRequest {
  name: string;
  /** Its contents in base64; not in what a container's record and `inspect` have of it. */
  data?: string;
  /** Below /run/secrets, unless absolute; absent: the name. */
  target?: string;
  /** Of the container; 0 if absent. */
  uid?: number;
  gid?: number;
  /** Permission bits; 0o400 if absent. */
  mode?: number;
}

/** When a container that has ended is started again. */
export interface RestartPolicy {
  name: "no" | "always" | "unless-stopped" | "on-failure" | "on-unhealthy";
  /** Of `on-failure` and `on-unhealthy`; 0: no limit. */
  maximumRetryCount: number;
}

/** How it is found out whether a container does what it is for. Durations in nanoseconds; absent or 0: the image's value, then Docker's default. */
export interface HealthCheck {
  /** ["NONE"], ["CMD", word...] or ["CMD-SHELL", line]. */
  test?: string[];
  interval?: number;
  timeout?: number;
  /** Failures in a row that make it unhealthy. */
  retries?: number;
  /** After a start, as long as failures do not count, and how often it is looked at until it is healthy. */
  startPeriod?: number;
  startInterval?: number;
}

export interface LogConfig {
  /** What `journald` and `syslog` forward is kept as with `json-file`; `local` is that. */
  driver: "json-file" | "local" | "cri" | "journald" | "syslog" | "none";
  /** Bytes, 0: never rotated. */
  maxSize: number;
  maxFiles: number;
  /** The driver's other options, as Docker spells them: "tag", "labels", "syslog-address". */
  options?: Record<string, string>;
}

/** Another container, and a name by which one container knows it. */
export interface ContainerLink {
  container: string;
  alias: string;
}

/** A container's place in one network, as it is asked for. */
export interface NetworkEndpoint {
  /** Name or id. */
  network: string;
  aliases?: string[];
  ipv4?: string;
  ipv6?: string;
  mac?: string;
  /** The interface's name inside. */
  interface?: string;
  gatewayPriority?: number;
  /** Names for others in the network that it alone knows. */
  links?: ContainerLink[];
  /** Bytes per second, instead of what holds for all of the container's networks; 0: no limit. */
  bandwidth?: { receive?: number; send?: number };
  /** For CNI plugins: "cni.arg.NAME". */
  driverOptions?: Record<string, string>;
}

/** A port that the host answers on. */
export interface PortRequest {
  protocol: "tcp" | "udp" | "sctp";
  containerPort: number;
  /** "": every address of the host. */
  hostIp: string;
  /** First and last to choose from; 0 and 0: any that is free. */
  hostPort: number;
  hostPortEnd: number;
  /** A process of the host may have the port, and hears nothing. */
  unreserved?: true;
}

export type AttachedStream = "stdin" | "stdout" | "stderr";

/** Devices by what they can, or by names that a driver knows. */
export interface DriverRequest {
  /** "cdi", "nvidia"; absent: whichever can. */
  driver?: string;
  /** -1: all. */
  count?: number;
  ids?: string[];
  /** One of these lists in whole. */
  capabilities?: string[][];
  options?: Record<string, string>;
}

/** What `create` is asked for. Absent means the image's value, then Docker's default. */
export interface ContainerRequest {
  image: string;
  /** Which of the name's images: "linux/arm64"; absent: the best for this machine. */
  platform?: string;
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
  /** Which of its streams whoever made it would have; nothing but `inspect` asks. Absent: output, and input that ends with its client. */
  attach?: AttachedStream[];
  labels?: Record<string, string>;
  autoRemove?: boolean;
  /** Of the specification, for its hooks and the runtime that makes it. */
  annotations?: Record<string, string>;
  restart?: RestartPolicy;
  health?: HealthCheck;
  /** "none", "host", "container:ID", "ns:PATH"; absent: the networks of `networks`, or the default one. */
  network?: string;
  networks?: NetworkEndpoint[];
  /** Of the first network; in a container's record those of the default network alone, with ids. */
  links?: ContainerLink[];
  publish?: PortRequest[];
  /** Every port of `expose` and of the image, on any free port. */
  publishAll?: boolean;
  /** "80/tcp". */
  expose?: string[];
  /** Name servers, search domains and options instead of the host's. */
  dns?: string[];
  dnsSearch?: string[];
  dnsOptions?: string[];
  /** "NAME:ADDRESS", also "NAME:host-gateway". */
  extraHosts?: string[];
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
  /** Paths that are hidden, and that are read-only, in place of the usual ones, whatever else is asked for; []: none. */
  maskedPaths?: string[];
  readonlyPaths?: string[];
  sysctls?: Record<string, string>;
  ulimits?: Ulimit[];
  devices?: DeviceRequest[];
  deviceCgroupRules?: string[];
  driverRequests?: DriverRequest[];
  mounts?: MountRequest[];
  /** Containers whose volumes and bind mounts it gets too: "NAME", "NAME:ro". */
  volumesFrom?: string[];
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
  /** Without `log`: options for the engine's default driver, as Docker spells them. */
  logOptions?: Record<string, string>;
  cgroupParent?: string;
  secrets?: SecretRequest[];
  /** The lease it ends with; see the control call `lease`. */
  lease?: string;
  /** Name or path of the OCI runtime that makes it; absent: the engine's default. */
  runtime?: string;
  /** Another root file system: start from this host directory instead of an image (tests, sandboxes). */
  rootfs?: string;
}
