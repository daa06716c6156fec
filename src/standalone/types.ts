/**
 * The OCI runtime: containers without an engine, one invocation at a time. State lives below a root directory; the first
 * process of a container is a child of whoever adopts the orphans of the invocation that made it.
 *
 * Life: `create` -> `start` -> (`exec`, `pause`, `resume`, `update`, `kill`) -> `delete`; `run` is create, start and, in the
 * foreground, wait and delete. Source: runtime-spec, runtime.md.
 */
import type { LinuxResources, Process, Spec } from "../oci/spec.ts";

/** What every operation of one invocation works with. */
export interface RuntimeOptions {
  /** Directory of the containers' states; one directory each. */
  readonly root: string;
  /** Let systemd make the cgroups; `linux.cgroupsPath` is then "slice:prefix:name". */
  readonly systemdCgroup: boolean;
  /** Cgroups may be done without; "auto" finds out whether this is so. */
  readonly rootless: boolean | "auto";
}

export interface CreateOptions {
  readonly id: string;
  /** The bundle's directory, absolute. */
  readonly bundle: string;
  /** Unix socket that receives the terminal's master. */
  readonly consoleSocket?: string;
  /** Unix socket that receives a pidfd of the first process. */
  readonly pidfdSocket?: string;
  /** File that receives the first process's pid. */
  readonly pidFile?: string;
  readonly noPivot?: boolean;
  readonly noNewKeyring?: boolean;
  /** Descriptors 3 to 2 + n are passed on to the program. */
  readonly preserveFds?: number;
  /** Of those the first n are sockets from systemd: the program is told by LISTEN_FDS=n and LISTEN_PID=1, sd_listen_fds(3). */
  readonly listenFds?: number;
}

export interface RunOptions extends CreateOptions {
  readonly detach?: boolean;
  /** Leave the container's state there when it has ended. */
  readonly keep?: boolean;
  /** Do not adopt the container's orphans. */
  readonly noSubreaper?: boolean;
}

export interface ExecOptions {
  readonly id: string;
  /** The whole process ... */
  readonly process?: Process;
  /** ... or what differs from the container's own. */
  readonly overrides?: ExecOverrides;
  readonly detach?: boolean;
  readonly consoleSocket?: string;
  readonly pidfdSocket?: string;
  readonly pidFile?: string;
  readonly preserveFds?: number;
  /** Paths below the container's cgroup: "sub", or "controller[,controller]:sub". */
  readonly cgroups?: readonly string[];
  /** A paused container too. */
  readonly ignorePaused?: boolean;
}

/** Each absent member is the container's own. */
export interface ExecOverrides {
  readonly args: readonly string[];
  readonly cwd?: string;
  readonly env?: readonly string[];
  readonly terminal?: boolean;
  readonly user?: { readonly uid: number; readonly gid?: number };
  readonly additionalGids?: readonly number[];
  readonly capabilities?: readonly string[];
  readonly noNewPrivileges?: boolean;
  readonly apparmorProfile?: string;
  readonly selinuxLabel?: string;
}

/** Options of criu(8) that checkpoint and restore share. */
export interface CriuOptions {
  /** Directory of the image files, absolute; made by a checkpoint if need be. */
  readonly imagePath: string;
  /** Directory of criu's work files and logs, absolute; made if need be; absent: that of the image files. */
  readonly workPath?: string;
  readonly tcpEstablished?: boolean;
  readonly externalUnixSockets?: boolean;
  readonly shellJob?: boolean;
  /** Restore memory on demand, by userfaultfd. */
  readonly lazyPages?: boolean;
  readonly fileLocks?: boolean;
  /** Absent: "soft". */
  readonly cgroupsMode?: "soft" | "full" | "strict" | "ignore";
  readonly autoDedup?: boolean;
}

export interface CheckpointOptions extends CriuOptions {
  readonly id: string;
  /** Directory of an earlier pre-dump, relative to `imagePath`. */
  readonly parentPath?: string;
  readonly leaveRunning?: boolean;
  readonly tcpSkipInFlight?: boolean;
  readonly linkRemap?: boolean;
  /** Descriptor that gets a zero byte once lazy pages are served. */
  readonly statusFd?: number;
  readonly pageServer?: { readonly address: string; readonly port: number };
  /** Save memory only, and let the container run on. */
  readonly preDump?: boolean;
}

export interface RestoreOptions extends RunOptions, CriuOptions {
  /** "TYPE:NAME" */
  readonly lsmProfile?: string;
  readonly lsmMountContext?: string;
}

export type Status = "creating" | "created" | "running" | "paused" | "stopped";

/** runtime.md, "State", with what runc adds to it. */
export interface State {
  readonly ociVersion: string;
  readonly id: string;
  /** 0 once it has stopped. */
  readonly pid: number;
  readonly status: Status;
  readonly bundle: string;
  /** Absolute path of the root file system. */
  readonly rootfs: string;
  /** RFC 3339, nanoseconds. */
  readonly created: string;
  readonly annotations?: Readonly<Record<string, string>>;
  /** Name of the owner of the state. */
  readonly owner: string;
}

/** One reading of a container's meters, in the shape `runc events` prints under "data". */
export type Stats = Readonly<Record<string, unknown>>;

export interface OciRuntime {
  create(options: CreateOptions): Promise<void>;
  start(id: string): Promise<void>;
  /** Resolves with the program's exit status (128 + n for a signal); 0 with `detach`. */
  run(options: RunOptions): Promise<number>;
  /** Resolves like `run`. */
  exec(options: ExecOptions): Promise<number>;
  /** `all`: every process in the container. */
  kill(id: string, signal: number, all?: boolean): Promise<void>;
  /** `force`: kill it first, and do not mind if there is no such container. */
  delete(id: string, force?: boolean): Promise<void>;
  state(id: string): Promise<State>;
  list(): Promise<State[]>;
  /** Pids as the host numbers them. */
  processes(id: string): Promise<number[]>;
  pause(id: string): Promise<void>;
  resume(id: string): Promise<void>;
  update(id: string, resources: LinuxResources, rdt?: { l3CacheSchema?: string; memBwSchema?: string }): Promise<void>;
  stats(id: string): Promise<Stats>;
  /** Calls back for every OOM kill until the container has stopped. */
  watchOom(id: string, onOom: () => void): Promise<void>;
  /** The container is deleted afterwards, unless it is left running. When it throws, it runs on. */
  checkpoint(options: CheckpointOptions): Promise<void>;
  /** Resolves like `run`. */
  restore(options: RestoreOptions): Promise<number>;
}

/** runtime-spec, features.md. */
export type Features = Readonly<Record<string, unknown>>;

/** Statics of the runtime, which need no state. */
export interface RuntimeFacts {
  features(): Features;
  defaultSpec(options: { readonly rootless: boolean }): Spec;
}
