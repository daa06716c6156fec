/** The engine's values, as the SDK shows them. Types only. */

export type ContainerStatus = "created" | "running" | "paused" | "restarting" | "exited" | "removing" | "dead";

/** One line of output. */
export interface LogLine {
  readonly stream: "stdout" | "stderr";
  /** Without the line's end. */
  readonly text: string;
  /** RFC 3339 with nanoseconds. */
  readonly time: string;
}

export interface ExitStatus {
  readonly exitCode: number;
  /** Why it could not be started. */
  readonly error?: string;
}

/** What a buffered command has said. */
export interface ExecResult {
  readonly exitCode: number;
  /** Decoded as UTF-8. */
  readonly stdout: string;
  readonly stderr: string;
}

export interface HealthResult {
  readonly start: string;
  readonly end: string;
  /** 0: healthy; -1: it could not be run, or took too long. */
  readonly exitCode: number;
  readonly output: string;
}

/** A published port. */
export interface PublishedPort {
  readonly protocol: "tcp" | "udp" | "sctp";
  /** The container's. */
  readonly port: number;
  /** The host's address: "0.0.0.0" and "::" are all of a family. */
  readonly host: string;
  readonly hostPort: number;
}

/** A container's place in a network; addresses are there while it runs. */
export interface ContainerNetwork {
  readonly name: string;
  readonly id: string;
  readonly aliases: readonly string[];
  readonly ipv4: string | null;
  readonly ipv6: string | null;
  readonly mac: string | null;
  readonly gateway: string | null;
}

export interface ContainerDetails {
  readonly id: string;
  readonly name: string;
  /** As it was given. */
  readonly image: string;
  readonly imageId: string;
  /** RFC 3339. */
  readonly created: string;
  readonly status: ContainerStatus;
  /** On the host; 0 when it does not run. */
  readonly pid: number;
  readonly exitCode: number;
  readonly oomKilled: boolean;
  /** Why it is dead or could not start. */
  readonly error: string;
  /** RFC 3339; null when it has not happened. */
  readonly startedAt: string | null;
  readonly finishedAt: string | null;
  readonly restartCount: number;
  /** Entry point and command as executed. */
  readonly command: readonly string[];
  readonly env: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  /** Null where nobody looks. */
  readonly health: {
    readonly status: "starting" | "healthy" | "unhealthy";
    readonly failingStreak: number;
    readonly log: readonly HealthResult[];
  } | null;
  readonly ports: readonly PublishedPort[];
  /** "none", "host", "container:ID"; null where it has networks of its own. */
  readonly networkMode: string | null;
  readonly networks: readonly ContainerNetwork[];
  readonly mounts: readonly {
    readonly type: "bind" | "volume" | "tmpfs" | "image";
    readonly name?: string;
    readonly source: string;
    readonly destination: string;
    readonly readonly: boolean;
  }[];
  /** Whether root inside is nobody outside, and why not. */
  readonly isolation: { readonly userns: boolean; readonly reason: string };
}

export interface ContainerSummary {
  readonly id: string;
  readonly names: readonly string[];
  readonly image: string;
  readonly imageId: string;
  readonly command: string;
  /** Unix seconds. */
  readonly created: number;
  readonly state: ContainerStatus;
  /** "Up 3 seconds", "Exited (0) 2 minutes ago" */
  readonly status: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly networks: readonly string[];
  readonly ports: readonly PublishedPort[];
}

/** What a container uses. Counters run from its start. */
export interface Stats {
  readonly id: string;
  readonly name: string;
  /** RFC 3339. */
  readonly read: string;
  readonly cpu: {
    readonly usageNs: number;
    readonly userNs: number;
    readonly systemNs: number;
    readonly throttledPeriods: number;
    readonly throttledNs: number;
    readonly onlineCpus: number;
    readonly systemUsageNs: number;
  };
  readonly memory: {
    readonly usageBytes: number;
    readonly limitBytes: number;
    readonly cacheBytes: number;
    readonly inactiveFileBytes: number;
    readonly maxUsageBytes: number;
    readonly swapBytes: number;
    readonly failures: number;
    readonly oomKills: number;
  };
  readonly pids: { readonly current: number; readonly limit: number };
  readonly io: {
    readonly readBytes: number;
    readonly writeBytes: number;
    readonly readOps: number;
    readonly writeOps: number;
  };
  /** By interface. */
  readonly network: Readonly<
    Record<
      string,
      {
        readonly rxBytes: number;
        readonly rxPackets: number;
        readonly rxErrors: number;
        readonly rxDropped: number;
        readonly txBytes: number;
        readonly txPackets: number;
        readonly txErrors: number;
        readonly txDropped: number;
      }
    >
  >;
}

/** The processes of a container, one row each. */
export interface ProcessList {
  readonly titles: readonly string[];
  readonly processes: readonly (readonly string[])[];
}

export interface FileChange {
  /** Added, changed, deleted. */
  readonly kind: "A" | "C" | "D";
  readonly path: string;
}

/** Something that happened; `action` is Docker's word for it: "start", "die", "health_status: healthy". */
export interface EngineEvent {
  readonly type: "container" | "daemon" | "image" | "network" | "node" | "volume";
  readonly action: string;
  readonly id: string;
  readonly attributes: Readonly<Record<string, string>>;
  /** Unix nanoseconds. */
  readonly timeNano: bigint;
}

export interface EngineInfo {
  readonly pid: number;
  readonly version: string;
  readonly root: string;
  readonly run: string;
  readonly startedAt: string;
  readonly containers: { readonly running: number; readonly paused: number; readonly stopped: number };
  readonly images: number;
  readonly cgroup: "v1" | "v2" | "hybrid";
  readonly cgroupDriver: "cgroupfs" | "systemd";
  readonly kernel: string;
  /** What this kernel can do. */
  readonly features: Readonly<Record<string, boolean>>;
  readonly rssBytes: number;
}

export interface ImageSummary {
  /** "sha256:..." */
  readonly id: string;
  readonly names: readonly string[];
  readonly repoDigests: readonly string[];
  /** Unix seconds. */
  readonly created: number;
  readonly platform: string;
  /** Bytes of all layers, uncompressed. */
  readonly size: number;
  readonly labels: Readonly<Record<string, string>>;
}

export interface ImageDetails {
  readonly id: string;
  readonly names: readonly string[];
  readonly repoDigests: readonly string[];
  readonly platform: string;
  readonly size: number;
  readonly created: string | null;
  readonly env: readonly string[];
  readonly entrypoint: readonly string[];
  readonly command: readonly string[];
  readonly workdir: string;
  readonly user: string;
  readonly labels: Readonly<Record<string, string>>;
  /** "80/tcp" */
  readonly ports: readonly string[];
  readonly volumes: readonly string[];
  /** diffIDs, lowest first. */
  readonly layers: readonly string[];
}

/** One step of what takes time: of a layer, mostly. */
export interface Progress {
  /** What it is about: a layer's digest, or the like. */
  readonly id: string;
  /** Bytes. */
  readonly current: number;
  readonly total?: number;
  readonly message: string;
}

export interface NetworkDetails {
  readonly id: string;
  readonly name: string;
  readonly driver: string;
  readonly created: string;
  readonly internal: boolean;
  readonly subnets: readonly { readonly subnet: string; readonly gateway: string | null }[];
  readonly labels: Readonly<Record<string, string>>;
  /** Those that run. */
  readonly containers: readonly { readonly id: string; readonly name: string }[];
}

export interface VolumeDetails {
  readonly name: string;
  readonly driver: string;
  readonly created: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly options: Readonly<Record<string, string>>;
  readonly anonymous: boolean;
  /** On the host. */
  readonly mountpoint: string;
  /** Names of the containers that have it, running or not. */
  readonly containers: readonly string[];
}

export interface SnapshotSummary {
  readonly id: string;
  readonly name: string;
  /** RFC 3339. */
  readonly created: string;
  /** The container it is of, as it was called then. */
  readonly container: { readonly id: string; readonly name: string };
  readonly image: string;
  readonly imageId: string;
  /** Bytes that it takes beside its container's image. */
  readonly size: number;
}

export interface Pruned {
  /** Ids, or names of volumes. */
  readonly deleted: readonly string[];
  /** Bytes. */
  readonly reclaimed: number;
}
