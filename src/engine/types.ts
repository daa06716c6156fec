/** The values that cross the engine's boundary: what clients ask for and what they are told. Types only. */

export type { FoundRepository, RegistryAuth } from "../images/remote/types.ts";
export type {
  AttachedFile,
  AttachFile,
  Image,
  ImageConfig,
  LayerWaste,
  ListDescriptor,
  ListMember,
  ListPlatform,
  ManifestList,
  Progress,
  Referrer,
  StoreProblem,
  StoreReport,
} from "../images/types.ts";
export type { CniNetwork } from "../networks/cni/types.ts";
export type { ClusterStatus, Endpoint, JoinRequest, Network, NetworkRequest, Node, Pool, Published } from "../networks/types.ts";
export type {
  AttachedStream,
  ContainerLink,
  ContainerRequest,
  DeviceLimit,
  DeviceRequest,
  DriverRequest,
  HealthCheck,
  LogConfig,
  MountRequest,
  NetworkEndpoint,
  PortRequest,
  Resources,
  RestartPolicy,
  SecretRequest,
  Ulimit,
} from "../runtime/request-types.ts";
export type * from "./guest-types.ts";
export type * from "./image-types.ts";
export type * from "./settings-types.ts";
export type * from "./snapshot-types.ts";

import type { ImageConfig } from "../images/types.ts";
import type { CniNetwork } from "../networks/cni/types.ts";
import type { Endpoint, InterfaceCounters, Network, Published } from "../networks/types.ts";
import type { ContainerRequest, HealthCheck, MountRequest, PortRequest } from "../runtime/request-types.ts";

/** How strongly a container is isolated from the host. */
export type Isolation = "container" | "userns";

export type ContainerStatus = "created" | "running" | "paused" | "restarting" | "exited" | "removing" | "dead";

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

/** One look at a container's health. */
export interface HealthResult {
  /** RFC 3339. */
  start: string;
  end: string;
  /** 0: healthy; -1: it could not be run, or took too long. */
  exitCode: number;
  output: string;
}

export interface HealthState {
  status: "starting" | "healthy" | "unhealthy";
  failingStreak: number;
  /** The last ones, oldest first. */
  log: HealthResult[];
}

/** One volume as `volume inspect` shows it. */
export interface VolumeInfo {
  name: string;
  driver: string;
  /** RFC 3339. */
  created: string;
  labels: Record<string, string>;
  options: Record<string, string>;
  anonymous: boolean;
  mountpoint: string;
  /** Names of the containers that have it, running or not. */
  containers: string[];
}

/** `made`: it was not there before. */
export interface MadeVolume extends VolumeInfo {
  made: boolean;
}

/** Of the copied bytes those that are shared with the source and take no room. */
export interface ClonedVolume extends VolumeInfo {
  bytes: number;
  shared: number;
}

/** Something that a container has mounted, as it was decided when the container was made. */
export interface MountPoint {
  type: "bind" | "volume" | "tmpfs" | "image";
  /** A volume's name, an image's as it was given. */
  name?: string;
  /** Path of the host; of an image its id; "" for a tmpfs. */
  source: string;
  destination: string;
  readonly: boolean;
  readonlyBelow?: "writable";
  /** As it was written behind `-v`. */
  mode: string;
  /** For the runtime, as in mount(8). */
  options: string[];
  /** Of the volume or image what is mounted. */
  subpath?: string;
  imageId?: string;
  /** A volume that is empty when the container is made gets what the image has there. */
  copy: boolean;
  /** The volume's name was chosen by nobody: it goes with `rm -v`. */
  anonymous?: boolean;
  /** How the volume is made if it is not there. */
  volume?: { driver?: string; options?: Record<string, string>; labels?: Record<string, string> };
  createSource?: boolean;
}

/** One container as `inspect` shows it. */
export interface ContainerInfo {
  id: string;
  name: string;
  created: string;
  image: string;
  /** Digest of the image's configuration. */
  imageId: string;
  /** Id of the snapshot it is a fork of. */
  snapshot?: string;
  /** Entry point and command as executed. */
  args: string[];
  state: ContainerState;
  /** Its state directory. */
  directory: string;
  /** Of its image; null without one, or when that has gone. */
  imageConfig: ImageConfig["config"] | null;
  /** How often its policy has started it since somebody did. */
  restartCount: number;
  /** Null where nobody looks. */
  health: HealthState | null;
  healthcheck: Required<HealthCheck> | null;
  request: ContainerRequest;
  mounts: MountPoint[];
  /** What is hidden and read-only of /proc and /sys; absent: nothing was said. */
  systemPaths: { maskedPaths?: string[]; readonlyPaths?: string[] };
  isolation: { userns: boolean; reason: string };
  logPath: string;
  /** Host ids the container's ids 0 to 65535 are mapped to, null without user namespace. */
  idMap: { hostId: number; size: number } | null;
  cgroupPath: string;
  /** Name of the OCI runtime that makes it. */
  runtime: string;
  /** Of the default network: "/db:/web/alias". */
  links: string[];
  /** Its places in networks, in the order of their names; empty for one that shares a network or has none. */
  networks: Endpoint[];
  /** Ports of the host, while it runs. */
  ports: Published[];
}

/** One of ours, or of CNI plugins. */
export type AnyNetwork = Network | CniNetwork;

/** A published port of a container; what is absent may be any. */
export interface PortReference {
  protocol: "tcp" | "udp" | "sctp";
  containerPort: number;
  hostIp?: string;
  hostPort?: number;
}

/** What is to be other than a container was made with. */
export interface ContainerChanges {
  publish?: PortRequest[];
  unpublish?: PortReference[];
  /** In place of what is mounted at their targets. */
  mounts?: MountRequest[];
  /** Targets. */
  unmount?: string[];
  /** "NAME=VALUE" */
  env?: string[];
  /** Names. */
  unsetEnv?: string[];
  /** Seconds until it is killed, where it has to be stopped; absent: its own. */
  timeout?: number;
}

/** What a collection of images is to remove; absent: as engine.toml says. */
export interface CollectRequest {
  /** Bytes. */
  keepStorage?: number;
  /** Seconds. */
  unusedFor?: number;
  /** Images with names, too. */
  all?: boolean;
  /** Nothing is removed. */
  dryRun?: boolean;
}

export interface Collection {
  /** Sizes in bytes, last uses in RFC 3339. */
  images: { id: string; names: string[]; size: number; lastUsed: string }[];
  /** Bytes of the files that went, or would go. */
  reclaimed: number;
}

/** One network as `network inspect` shows it. */
export type NetworkInfo = AnyNetwork & {
  /** Those that run. */
  containers: { id: string; name: string; endpoint: Endpoint }[];
  /** Addresses of its subnets, counted; absent where others than this engine give them too. */
  usage?: { subnet: string; inUse: number; free: number }[];
};

/** An OCI runtime that containers can be made by. */
export interface RuntimeInfo {
  name: string;
  /** Empty for the one that is built in. */
  path: string;
  version: string;
  /** Newest version of the runtime specification it knows. */
  oci: string;
  features: string[];
  /** It makes the containers that name none. */
  default: boolean;
  /** Why it could not be asked; empty when all is well. */
  problem: string;
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
  ports: Published[];
  /** While it runs, what it says it serves and does not publish: "80/tcp". */
  exposed?: string[];
  /** What it has mounted: a volume by its name, anything else by its source. */
  mounts: { volume: boolean; name: string }[];
}

/** The processes of a container, as host processes. */
export interface ProcessList {
  titles: string[];
  /** One row each, as long as `titles`. */
  processes: string[][];
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
  /** Which of its outputs whoever starts it later takes; absent: both. */
  attach?: { stdout: boolean; stderr: boolean };
  /** What whoever starts it later types to leave it, as "ctrl-p,ctrl-q"; absent: that. */
  detachKeys?: string;
}

/** An exec of two steps. */
export interface ExecInfo {
  id: string;
  containerId: string;
  request: ExecRequest;
  running: boolean;
  /** On the host; 0 when it does not run. */
  pid: number;
  exitCode: number | null;
}

/** What lies on the disk, in bytes; what images share is counted once. */
export interface DiskUsage {
  images: {
    id: string;
    names: string[];
    created: number;
    size: number;
    /** Of its layers, those that another image has too. */
    shared: number;
    unique: number;
    containers: number;
  }[];
  /** Bytes of all layers, and of those that only images without containers have. */
  layersSize: number;
  layersUnused: number;
  containers: {
    id: string;
    name: string;
    image: string;
    state: ContainerStatus;
    command: string;
    created: number;
    size: number;
  }[];
  /** `size` is null where it cannot be told without mounting. */
  volumes: { name: string; anonymous: boolean; containers: number; size: number | null }[];
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
    /** Pages of files the kernel can drop; not in `usageBytes`. */
    inactiveFileBytes: number;
    maxUsageBytes: number;
    swapBytes: number;
    failures: number;
    oomKills: number;
  };
  pids: { current: number; limit: number };
  io: { readBytes: number; writeBytes: number; readOps: number; writeOps: number };
  /** By interface, without the loopback device; empty for one in the host's network. */
  network: Record<string, InterfaceCounters>;
}

/** Something that happened; `action` is Docker's word for it (create, start, die, ...). */
export interface EngineEvent {
  type: "container" | "daemon" | "image" | "network" | "node" | "volume";
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
  cgroupDriver: "cgroupfs" | "systemd";
  kernel: string;
  /** What this kernel can do, as probed at start. */
  features: Record<string, boolean>;
  rssBytes: number;
}

/** A path of a container, named as for other commands, or of a volume. */
export interface CopyTarget {
  container?: string;
  volume?: string;
  path: string;
}

/** As Docker's X-Docker-Container-Path-Stat. */
export interface PathStat {
  name: string;
  size: number;
  /** As Go's os.FileMode: permission bits, and the type in the upper ones. */
  mode: number;
  /** RFC 3339 */
  mtime: string;
  /** Where a link leads in the end, an absolute path; "" for what is none. */
  linkTarget: string;
}
