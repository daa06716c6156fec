/** What others know of volumes. */

/** What a volume is asked to be. */
export interface VolumeRequest {
  /** Absent: 64 hex digits; the volume is anonymous. */
  readonly name?: string;
  /** Absent or "local". */
  readonly driver?: string;
  /** Of the driver: "type", "o", "device", "size"; see options.ts. */
  readonly options?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  /** The name was chosen by nobody; so it is where no name is given. */
  readonly anonymous?: boolean;
  /** Id of the container that it goes away with; see `Volumes.disown`. */
  readonly owner?: string;
  /** Whose it is: kept, and told. */
  readonly lease?: string;
  /** Survives a power cut once it is made; true unless it is said otherwise. */
  readonly durable?: boolean;
}

export interface Volume {
  readonly name: string;
  readonly driver: "local";
  /** RFC 3339, UTC. */
  readonly created: string;
  readonly options: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly anonymous: boolean;
  /** The directory with its files; of a volume that is mounted only while it is in use. */
  readonly mountpoint: string;
  readonly owner: string | null;
  readonly lease?: string;
}

/** What a copy shares with its source takes no room. Bytes. */
export interface Filled {
  readonly bytes: number;
  readonly shared: number;
}

/**
 * All volumes of one data root. Errors have the codes volume_not_found, volume_exists, volume_in_use, volume_not_empty,
 * invalid_volume_name, invalid_volume_option, volume_driver_unknown, volume_mount_failed, volume_failed.
 */
export interface Volumes {
  /** Makes a volume, or gives the one of that name: then with what it has, unless other options are asked for (volume_exists). */
  create(request: VolumeRequest): Promise<{ readonly volume: Volume; readonly made: boolean }>;
  get(name: string): Volume;
  find(name: string): Volume | undefined;
  list(): readonly Volume[];
  /**
   * Refused while it is held or in use, and where `check`, which is called at the last moment, throws. Its files are out of sight when
   * this returns, and deleted while nobody waits.
   */
  remove(name: string, check?: () => void): Promise<void>;
  /** Keeps a volume from being removed, until the function that is returned is called. */
  hold(name: string): () => void;
  /** The volume outlives its container from now on. */
  disown(name: string): void;

  /** One user more: the first has it mounted. Nothing that waits for a network holds the engine up. */
  acquire(name: string): Promise<void>;
  /** One user less: the last has it unmounted. Never throws. */
  release(name: string): Promise<void>;
  /** How many have acquired it. */
  users(name: string): number;
  /** Calls `work` with the volume's directory, open (O_PATH), and mounted meanwhile. */
  use<T>(name: string, work: (directory: number) => Promise<T> | T): Promise<T>;
  /**
   * Fills an empty volume: `work` fills a directory beside, whose content then becomes the volume's, wholly or not at all. False,
   * and nothing is called, where the volume is not empty.
   */
  fill(name: string, work: (directory: number) => Promise<unknown>): Promise<boolean>;
  /** A new volume with another one's files: blocks are shared where the file system can. */
  clone(source: string, request: VolumeRequest): Promise<{ readonly volume: Volume } & Filled>;
  /** Bytes of its files; null where it is not mounted. */
  size(name: string): number | null;
  /** A path whose file system is the volume's, or the type that it will have: for those who ask what it can do. */
  fileSystem(request: { readonly name?: string; readonly options?: Readonly<Record<string, string>> }): {
    readonly path: string | null;
    readonly type: string | null;
  };
  /** After a start of the engine. `inUse`: names, as often as running containers have them. `owners`: ids of the containers there are. */
  reconcile(inUse: readonly string[], owners: ReadonlySet<string>): Promise<void>;
  close(): void;
}

export interface VolumesOptions {
  /** Volumes lie in directories below it. */
  readonly directory: string;
  /** Path of the database. */
  readonly database: string;
  /** Takes a path out of sight and deletes it while nobody waits. */
  readonly discard: (path: string) => void;
  readonly log: (message: string) => void;
}
