/** What callers say of containers, in the SDK's words. Types only. */

/** Bytes, or text with a unit by powers of 1024: "64m", "1.5g". */
export type Size = number | string;

/** Milliseconds, or text with units: "500ms", "1m30s". */
export type Duration = number | string;

/** What can be cancelled. Aborting rejects with the signal's reason, and leaves nothing half-made. */
export interface Cancellable {
  readonly signal?: AbortSignal | undefined;
}

/** How an engine is found. */
export interface ConnectOptions extends Cancellable {
  /**
   * An engine elsewhere: "ssh://[USER@]HOST[:PORT][/SOCKET]", or "unix:///SOCKET" for a socket that is named; by default $ONGGI_HOST. Not
   * with `run` and `root`.
   */
  readonly host?: string;
  /**
   * An engine elsewhere, by its name: of `onggi context create`; "default" is the engine of this host. By default $ONGGI_CONTEXT, else what
   * `onggi context use` has chosen. Not with `host`, `run` and `root`.
   */
  readonly context?: string;
  /** The engine's run directory, where its socket is; by default $ONGGI_RUN, or /run/onggi. */
  readonly run?: string;
  /** The data root of an engine that is started here; by default $ONGGI_ROOT, or /var/lib/onggi. */
  readonly root?: string;
  /** The executable an engine is started with; by default $ONGGI_BINARY, the package @onggi/linux-x64, `onggi` on the PATH. */
  readonly binary?: string;
  /** False: do not start an engine where none answers. */
  readonly start?: boolean;
}

export type Protocol = "tcp" | "udp" | "sctp";

/** A port of the host that leads to one of the container. */
export interface PortMapping {
  /** The container's. */
  readonly port: number;
  /** Of the host; absent: any free one, see `container.port()`. */
  readonly hostPort?: number;
  /** The address of the host that answers: by default "127.0.0.1", this machine alone; "" or "0.0.0.0": whoever reaches it. */
  readonly host?: string;
  readonly protocol?: Protocol;
}

/** A directory, volume or file system of its own at a path of the container. */
export type Mount =
  | {
      readonly type: "bind";
      /** On the host; relative to the working directory. */
      readonly source: string;
      readonly target: string;
      readonly readonly?: boolean;
      /** Makes a directory where the source is not there. */
      readonly create?: boolean;
    }
  | {
      readonly type: "volume";
      /** A volume's name; absent: one of its own that goes with the container. */
      readonly source?: string;
      readonly target: string;
      readonly readonly?: boolean;
      /** What of the volume is mounted. */
      readonly subpath?: string;
    }
  | { readonly type: "tmpfs"; readonly target: string; readonly size?: Size; readonly mode?: number }
  | { readonly type: "image"; readonly source: string; readonly target: string; readonly subpath?: string };

/** A place in a network. */
export interface NetworkPlace {
  /** Name or id. */
  readonly name: string;
  /** Names by which others in the network find the container, besides its own. */
  readonly aliases?: readonly string[];
  readonly ipv4?: string;
  readonly ipv6?: string;
  readonly mac?: string;
}

/** How it is found out whether the container does what it is for. */
export interface HealthOptions {
  /** A line for the shell, or a program with its arguments; it exits with 0 when all is well. */
  readonly command: string | readonly string[];
  readonly interval?: Duration;
  readonly timeout?: Duration;
  /** Failures in a row that make it unhealthy. */
  readonly retries?: number;
  /** After a start, as long as failures do not count, and how often it is looked at until it is healthy. */
  readonly startPeriod?: Duration;
  readonly startInterval?: Duration;
}

export type RestartOptions =
  | "no"
  | "always"
  | "unless-stopped"
  | "on-failure"
  | "on-unhealthy"
  | { readonly policy: "on-failure" | "on-unhealthy"; readonly maximumRetries: number };

/** Limits of one block device. 0: no limit. */
export interface BlockDeviceLimits {
  /** Of a second. */
  readonly readBytes?: Size;
  readonly writeBytes?: Size;
  readonly readOperations?: number;
  readonly writeOperations?: number;
  /** Against other containers, 10 to 1000. */
  readonly weight?: number;
}

/** Limits of what a container uses, also of one that runs. */
export interface Limits {
  readonly memory?: Size;
  /** Memory and swap together; -1: as much swap as there is. */
  readonly memorySwap?: Size;
  readonly memoryReservation?: Size;
  /** 1.5 is one and a half. */
  readonly cpus?: number;
  readonly cpuShares?: number;
  /** "0-2,7" */
  readonly cpuset?: string;
  /** Most processes and threads; -1: any number. */
  readonly pids?: number;
  /** By the device's path on the host: { "/dev/sda": { readBytes: "10mb" } }. */
  readonly blockDevices?: Readonly<Record<string, BlockDeviceLimits>>;
}

/** What of a container can be changed; see docs/update.md. Mounts and variables take a stop and a start where it runs. */
export interface ContainerUpdate extends Limits, Cancellable {
  readonly restart?: RestartOptions;
  /** Published besides those that are. */
  readonly ports?: readonly (number | PortMapping)[];
  /** Ports of the container that nothing of the host leads to any more. */
  readonly removePorts?: readonly number[];
  /** In place of what is mounted at their targets. */
  readonly mounts?: readonly Mount[];
  /** Targets. */
  readonly removeMounts?: readonly string[];
  /** Null takes a variable away. */
  readonly env?: Readonly<Record<string, string | null>>;
}

/** Who asks a registry. */
export interface RegistryCredentials {
  readonly username?: string;
  readonly password?: string;
  readonly identityToken?: string;
  readonly registryToken?: string;
}

/** Whether an image is brought from its registry. */
export interface PullPolicy {
  /** "missing", the default: where the engine does not have it. */
  readonly pull?: "missing" | "always" | "never";
  /** "linux/arm64"; by default this machine's. */
  readonly platform?: string;
  /** By registry: { "registry.example:5000": { username, password } }; by default those that `docker login` or `onggi login` has kept. */
  readonly credentials?: Readonly<Record<string, RegistryCredentials>>;
}

/** A file that the container reads, and that is in no image, snapshot, log or `inspect`. */
export interface Secret {
  readonly data: string | Uint8Array;
  /** Below /run/secrets, unless absolute; by default its name. */
  readonly target?: string;
  /** As the container sees them; root by default. */
  readonly uid?: number;
  readonly gid?: number;
  /** 0o400 by default. */
  readonly mode?: number;
}

/** Variables; those that are undefined are left out: `{ TOKEN: process.env.TOKEN }`. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Soft and hard limit; a number is both, -1 none. */
export type Ulimit = number | { readonly soft: number; readonly hard: number };

/** What is put into a container: a file by what is in it, or a file or directory of this machine. */
export type FileContent =
  | string
  | Uint8Array
  | (FileOwner & { readonly data: string | Uint8Array /** 0o644 by default. */; readonly mode?: number })
  | (FileOwner & { readonly source: string });

/** Root by default, as the container sees it. */
export interface FileOwner {
  readonly uid?: number;
  readonly gid?: number;
}

/** What a container is to be. What is absent is as the image says, else as Docker has it. */
export interface ContainerOptions extends Limits, PullPolicy, Cancellable {
  readonly name?: string;
  readonly entrypoint?: readonly string[];
  readonly env?: Environment;
  readonly labels?: Readonly<Record<string, string>>;
  /** Ports that the host answers on: a number is a port of the container, given a free one of the host on 127.0.0.1. */
  readonly ports?: readonly (number | PortMapping)[];
  readonly mounts?: readonly Mount[];
  /** What is put into it before it starts, by path; directories on the way are made. */
  readonly files?: Readonly<Record<string, FileContent>>;
  /** Files below /run/secrets, by name; at most 500 KiB each. */
  readonly secrets?: Readonly<Record<string, string | Uint8Array | Secret>>;
  /** Networks, by name or with what it is called there; "none" and "host" alone. Absent: the default bridge. */
  readonly networks?: readonly (string | NetworkPlace)[];
  /** Lines of its /etc/hosts: name to address. */
  readonly hosts?: Readonly<Record<string, string>>;
  /** Servers of names, instead of the host's. */
  readonly dns?: readonly string[];
  readonly hostname?: string;
  /** "user", "uid", "user:group", "uid:gid" */
  readonly user?: string;
  readonly workdir?: string;
  readonly health?: HealthOptions | false;
  readonly restart?: RestartOptions;
  /** It removes itself when it ends. */
  readonly autoRemove?: boolean;
  /**
   * True: it stays when this process, the engine object or the scope of `await using` ends. Absent: it is removed then, even where
   * this process is killed.
   */
  readonly keep?: boolean;
  /** A process 1 that reaps orphans and passes signals on. */
  readonly init?: boolean;
  readonly tty?: boolean;
  /** Its standard input stays open, for `attach`. */
  readonly stdin?: boolean;
  readonly privileged?: boolean;
  readonly readonlyRootfs?: boolean;
  readonly capAdd?: readonly string[];
  readonly capDrop?: readonly string[];
  readonly securityOpt?: readonly string[];
  readonly sysctls?: Readonly<Record<string, string>>;
  /** { nofile: 65536 } */
  readonly ulimits?: Readonly<Record<string, Ulimit>>;
  readonly shmSize?: Size;
  /** "SIGTERM": how it is stopped. */
  readonly stopSignal?: string;
  /** How long a stop waits before it kills. */
  readonly stopTimeout?: Duration;
  /** Name or path of another OCI runtime. */
  readonly runtime?: string;
}

/** A command in a running container. */
export interface ExecOptions extends Cancellable {
  readonly env?: Environment;
  readonly user?: string;
  readonly workdir?: string;
  readonly privileged?: boolean;
}

export interface SpawnOptions extends ExecOptions {
  /** A terminal: output comes by stdout alone. */
  readonly tty?: boolean;
  /** Of the terminal. */
  readonly size?: TerminalSize;
}

export interface TerminalSize {
  readonly rows: number;
  readonly columns: number;
}

export interface LogOptions extends Cancellable {
  /** Go on with what comes, until the container ends. */
  readonly follow?: boolean;
  /** The last so many lines. */
  readonly tail?: number;
  readonly since?: Date | Duration;
  readonly until?: Date | Duration;
  readonly stdout?: boolean;
  readonly stderr?: boolean;
}

export interface SnapshotOptions extends Cancellable {
  /** By default the container's with a number behind it: "web@1". */
  readonly name?: string;
  /** True: it stays when this process ends, and when its object's scope does. */
  readonly keep?: boolean;
}

export interface StopOptions extends Cancellable {
  readonly timeout?: Duration | undefined;
  /** "SIGINT" */
  readonly stopSignal?: string | undefined;
}

export interface CommitOptions extends Cancellable {
  /** "team/app:1" */
  readonly name?: string;
  readonly author?: string;
  readonly message?: string;
  /** Lines of a Dockerfile: 'CMD ["sh"]'. */
  readonly changes?: readonly string[];
  /** False: it goes on while its files are read. */
  readonly pause?: boolean;
}
