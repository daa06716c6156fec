/**
 * The control protocol: how the command line talks to its engine, over the unix stream socket `onggi.sock`.
 *
 * One connection carries one call. The engine sends WELCOME as soon as it has accepted the connection: one that ends without it has
 * reached no living engine, and the call can be made again. The client sends REQUEST; the engine answers any number of PROGRESS, ITEM, STDOUT and
 * STDERR frames and ends with RESULT or ERROR. While a call that attaches runs, the client may send STDIN, RESIZE, SIGNAL and
 * DETACH. Closing the connection cancels the call. A frame is
 *
 *     u32 length of the payload, little-endian | u8 type | payload
 *
 * with JSON payloads except in STDIN, STDOUT and STDERR. Payloads are at most 16 MiB.
 * REQUEST is padded with spaces until the low byte of its length is no upper-case letter: an HTTP request on this socket is
 * told apart by its first byte.
 *
 * A client may send `STDIN_WINDOW` bytes of STDIN unasked, and as many more as WINDOW frames grant: `{"bytes": n}`. So the
 * engine never has to stop reading a connection, and a SIGNAL, a DETACH or the end of the client is never stuck behind input
 * that the container does not read.
 */
import type {
  AnyNetwork,
  AttachRequest,
  ClonedVolume,
  ClusterStatus,
  Collection,
  CollectRequest,
  ContainerChanges,
  ContainerInfo,
  ContainerRequest,
  ContainerSummary,
  CopyTarget,
  DetachRequest,
  DiskUsage,
  EngineEvent,
  EngineStatus,
  ExecRequest,
  FetchedFile,
  FetchRequest,
  ForkRequest,
  FoundRepository,
  GuestAttachment,
  GuestReference,
  GuestRequest,
  HistoryEntry,
  Image,
  ImageSearchRequest,
  ImageSummary,
  ImageTree,
  JoinRequest,
  LeaseEnd,
  LeaseInfo,
  LoginRequest,
  MadeVolume,
  ManifestAnnotateRequest,
  ManifestCreateRequest,
  ManifestDocument,
  ManifestInspectRequest,
  ManifestList,
  ManifestPushRequest,
  MountedPath,
  Network,
  NetworkEndpoint,
  NetworkInfo,
  NetworkRequest,
  Node,
  PathStat,
  PortRequest,
  ProcessList,
  PulledName,
  PullRequest,
  PushedManifest,
  PushedName,
  PushRequest,
  ReferrersRequest,
  ReferrersResult,
  Reloaded,
  Resources,
  RestartPolicy,
  RuntimeInfo,
  SettingsReport,
  SignRequest,
  SnapshotInfo,
  SnapshotRequest,
  StatsSample,
  StoreReport,
  VerifiedImage,
  VerifyRequest,
  VolumeInfo,
} from "../../engine/types.ts";

export const CONTROL_VERSION = 1;

/** Largest payload, bytes. */
export const MAX_PAYLOAD = 16 * 1024 * 1024;

/** STDIN bytes a client may have sent that the engine has not consumed. */
export const STDIN_WINDOW = 256 * 1024;

/** What REQUEST carries. */
export interface RequestPayload {
  version: number;
  call: string;
  request: unknown;
}

export const frame = {
  // client to engine
  request: 1,
  stdin: 2,
  resize: 3,
  signal: 4,
  detach: 5,
  // engine to client
  result: 64,
  error: 65,
  progress: 66,
  item: 67,
  stdout: 68,
  stderr: 69,
  window: 70,
  welcome: 71,
} as const;

export interface WireError {
  /** Stable: "container_not_found", "name_in_use", ... */
  code: string;
  message: string;
  /** What the command line exits with, where the condition has a number of its own (125, 126, 127). */
  exitCode?: number;
}

/** Which streams a client wants to be attached to. */
export interface AttachStreams {
  stdin: boolean;
  stdout: boolean;
  stderr: boolean;
}

export interface TerminalSize {
  rows: number;
  columns: number;
}

/**
 * Every call: what is asked, what single value it ends with, and what ITEM frames carry meanwhile.
 * `container` arguments are a name, an id or a unique prefix of one.
 */
export interface Calls {
  ping: { request: Record<never, never>; result: { version: string; pid: number }; item: never };
  status: { request: Record<never, never>; result: EngineStatus; item: never };
  /** What is in force, and by what it was said. */
  settings: { request: Record<never, never>; result: SettingsReport; item: never };
  /** Reads the settings anew. */
  reload: { request: Record<never, never>; result: Reloaded; item: never };
  /** Stops the engine process; containers run on. */
  shutdown: { request: Record<never, never>; result: Record<never, never>; item: never };

  create: { request: { container: ContainerRequest }; result: { id: string; warnings: string[] }; item: never };
  /**
   * create + attach + start + wait in one round trip; with `detach` it ends once the process runs. ITEM: the id, with what the
   * user should hear, when the container is made; input is not read before. Then the trace.
   */
  run: {
    request: {
      container: ContainerRequest;
      detach: boolean;
      attach: AttachStreams;
      size?: TerminalSize;
      trace?: boolean;
      sigProxy?: boolean;
    };
    result: { id: string; exitCode: number; detached?: boolean; error?: string };
    item: { id: string; warnings: string[] } | { trace: TraceStage[] };
  };
  /** `unnamed`: nobody finds it by name until it takes another's place. */
  start: {
    request: { container: string; attach?: AttachStreams; size?: TerminalSize; unnamed?: boolean };
    result: { id: string; exitCode?: number; detached?: boolean };
    item: never;
  };
  /**
   * Of two that run: `container` publishes these ports from now on; those that `from` has answer all the while, and new connections go at
   * once to `container`. Others find it by its names, and `from` no longer.
   */
  takeOver: {
    request: { container: string; from: string; publish: PortRequest[] };
    result: Record<never, never>;
    item: never;
  };
  /** A name that one client has at a time: ITEM when it is this one's, until it leaves. Those who ask meanwhile wait in turn. */
  hold: { request: { name: string }; result: Record<never, never>; item: Record<never, never> };
  /** Ends with what was stopped; `timeout` seconds, then SIGKILL. */
  stop: { request: { container: string; signal?: string; timeout?: number }; result: { id: string }; item: never };
  /** Stops it, if it runs, and starts it. */
  restart: { request: { container: string; signal?: string; timeout?: number }; result: { id: string }; item: never };
  rename: { request: { container: string; name: string }; result: { id: string }; item: never };
  /** `args`: those of ps(1); none: -ef. */
  top: { request: { container: string; args?: string[] }; result: ProcessList; item: never };
  kill: { request: { container: string; signal?: string }; result: { id: string }; item: never };
  pause: { request: { container: string }; result: { id: string }; item: never };
  unpause: { request: { container: string }; result: { id: string }; item: never };
  wait: {
    request: { container: string; condition?: "not-running" | "next-exit" | "removed" };
    result: { exitCode: number; error?: string };
    item: never;
  };
  remove: { request: { container: string; force?: boolean; volumes?: boolean }; result: { id: string }; item: never };
  /** "/web/db": that link of the default network. */
  removeLink: { request: { link: string }; result: Record<never, never>; item: never };
  inspect: { request: { container: string }; result: ContainerInfo; item: never };
  list: {
    request: { all?: boolean; filters?: Record<string, string[]>; limit?: number };
    result: { containers: ContainerSummary[] };
    item: never;
  };
  /** Output as STDOUT and STDERR frames. `since` and `until`: RFC 3339, unix seconds or a duration like "10m". */
  logs: {
    request: {
      container: string;
      follow?: boolean;
      tail?: number;
      since?: string;
      until?: string;
      timestamps?: boolean;
      /** Each entry with what the log's options name of labels and variables. */
      details?: boolean;
      stdout?: boolean;
      stderr?: boolean;
    };
    result: Record<never, never>;
    item: never;
  };
  logsClear: { request: { container: string }; result: { id: string }; item: never };
  attach: {
    request: { container: string; attach: AttachStreams; size?: TerminalSize; sigProxy?: boolean };
    result: { exitCode: number; detached?: boolean };
    item: never;
  };
  /** ITEM, once: it runs, as that process of the host. */
  exec: {
    request: { container: string; exec: ExecRequest; attach: AttachStreams; size?: TerminalSize; sigProxy?: boolean };
    result: { exitCode: number; detached?: boolean };
    item: { pid: number };
  };
  /** One item with a sample of each container, and with `stream` one more every second. */
  stats: {
    request: { containers: string[]; all?: boolean; stream?: boolean };
    result: Record<never, never>;
    item: { samples: StatsSample[] };
  };
  /** Of `changes` ports alone are changed while it runs; otherwise it is stopped and started. */
  update: {
    request: { container: string; resources: Resources; restart?: RestartPolicy; changes?: ContainerChanges };
    result: { id: string; warnings: string[] };
    item: never;
  };
  events: {
    request: { since?: string; until?: string; filters?: Record<string, string[]> };
    result: Record<never, never>;
    item: EngineEvent;
  };
  /**
   * Holds a lease for as long as the connection is open. What is made under its id (`lease` of a container's request, networkCreate,
   * volumeCreate, volumeClone, snapshot, fork) is removed by force when the connection ends, however it ends. ITEM, once: it is held. DETACH ends
   * it too; the result then says what went. `id`: the client's choice, absent: the engine's. When the engine goes (the connection is
   * lost, or ends with `engine_stopping`), the same call with the same id takes the lease up again, within the grace period of the
   * next engine; with `resume` it never makes a new one. Errors: invalid_lease, lease_held, lease_ended, lease_not_found.
   */
  lease: { request: { id?: string; resume?: boolean }; result: LeaseEnd; item: LeaseInfo };
  /** The plan of the container `create` would make, without making it. */
  explain: { request: { container: ContainerRequest }; result: { text: string; plan: unknown }; item: never };
  runtimes: { request: Record<never, never>; result: { runtimes: RuntimeInfo[] }; item: never };
  /** In Docker's shape. */
  info: { request: Record<never, never>; result: { info: Record<string, unknown> }; item: never };

  diff: { request: { container: string }; result: { changes: { kind: "A" | "C" | "D"; path: string }[] }; item: never };
  /** The tar as STDOUT frames. */
  export: { request: { container: string }; result: Record<never, never>; item: never };
  /** What is at a path of a container or a volume. */
  copyStat: { request: CopyTarget; result: PathStat; item: never };
  /** It, as an ITEM, then the tar as STDOUT frames. */
  copyOut: { request: CopyTarget; result: Record<never, never>; item: PathStat };
  /** The tar travels as STDIN frames, an empty one ends it. */
  copyIn: {
    request: CopyTarget & { copyUidGid?: boolean; noOverwriteDirNonDir?: boolean };
    result: Record<never, never>;
    item: never;
  };
  commit: {
    request: { container: string; name?: string; author?: string; message?: string; changes?: string[]; pause?: boolean };
    result: { id: string };
    item: never;
  };

  /** The container's files as they are at one moment; its processes are frozen while they are read. */
  snapshot: { request: SnapshotRequest; result: SnapshotInfo; item: never };
  snapshots: { request: Record<never, never>; result: { snapshots: SnapshotInfo[] }; item: never };
  /** Forks of it stay. */
  snapshotRemove: { request: { snapshot: string }; result: { id: string }; item: never };
  /** New containers on the files of a container, as they are now, or of a snapshot: all or none. */
  fork: {
    request: ForkRequest;
    result: { containers: { id: string; name: string }[]; warnings: string[] };
    item: never;
  };

  images: { request: { filters?: Record<string, string[]> }; result: { images: ImageSummary[] }; item: never };
  imageInspect: { request: { image: string; platform?: string }; result: Image; item: never };
  imageRemove: {
    request: { image: string; force?: boolean; platform?: string };
    result: { untagged: string[]; deleted: string[] };
    item: never;
  };
  imageTag: { request: { image: string; name: string }; result: Record<never, never>; item: never };
  /** The tar travels as STDIN frames, an empty one ends it; or `path` names a file the engine opens itself. */
  import: {
    request: { path?: string; name?: string; message?: string; platform?: string; changes?: string[] };
    result: Image;
    item: never;
  };
  load: { request: { path?: string; platform?: string }; result: { images: Image[] }; item: never };
  /** From a registry; with `allTags` everything a repository has. Progress is per layer. */
  pull: { request: PullRequest; result: { images: PulledName[] }; item: never };
  /** Hosts that may be asked in place of the registry, each with credentials of its own. */
  mirrors: { request: { image: string }; result: { hosts: string[] }; item: never };
  /** To a registry; with `allTags` every name of a repository. Progress is per layer. */
  push: { request: PushRequest; result: { images: PushedName[] }; item: never };
  /** Repositories of a registry by a word. */
  imageSearch: { request: ImageSearchRequest; result: { repositories: FoundRepository[] }; item: never };
  /** Asks a registry whether it takes credentials; keeps nothing. */
  login: { request: LoginRequest; result: { identityToken?: string }; item: never };
  /** Makes a manifest list, or with `amend` adds to it. */
  manifestCreate: { request: ManifestCreateRequest; result: { name: string }; item: never };
  manifestAnnotate: { request: ManifestAnnotateRequest; result: Record<never, never>; item: never };
  /** A list of this store, or what a registry has; `documents` are its manifests where `verbose` asks for them. */
  manifestInspect: {
    request: ManifestInspectRequest;
    result: { text: string; documents: ManifestDocument[] };
    item: never;
  };
  manifestPush: { request: ManifestPushRequest; result: PushedManifest; item: never };
  manifestRemove: { request: { list: string }; result: Record<never, never>; item: never };
  manifestLists: { request: Record<never, never>; result: { lists: ManifestList[] }; item: never };
  /** Signs what a registry has under a name; the key is used and not kept. */
  imageSign: { request: SignRequest; result: { digests: string[] }; item: never };
  imageVerify: { request: VerifyRequest; result: VerifiedImage; item: never };
  imageReferrers: { request: ReferrersRequest; result: ReferrersResult; item: never };
  /** Files, which the engine opens itself, as an artifact that refers to an image. */
  imageAttach: { request: AttachRequest; result: PushedName; item: never };
  imageDetach: { request: DetachRequest; result: { deleted: boolean }; item: never };
  /** Files of artifacts into a directory, or one as STDOUT frames. */
  imageFetch: { request: FetchRequest; result: { files: FetchedFile[] }; item: never };
  /** The archive as STDOUT frames, or into `path`, which the engine writes itself. */
  save: {
    request: { images: string[]; format: "docker-archive" | "oci-archive" | "oci-dir"; path?: string; platform?: string };
    result: Record<never, never>;
    item: never;
  };
  /** Without a target in a directory of its own. */
  imageMount: { request: { image: string; platform?: string; target?: string }; result: MountedPath; item: never };
  imageMounts: { request: Record<never, never>; result: { mounts: MountedPath[] }; item: never };
  /** An image's mounts, by whatever names it, or one by its path; null: all. */
  imageUnmount: { request: { mount: string | null; force?: boolean }; result: { mounts: MountedPath[] }; item: never };
  imageHistory: { request: { image: string; platform?: string }; result: { entries: HistoryEntry[] }; item: never };
  imageTree: { request: { image?: string }; result: { images: ImageTree[] }; item: never };
  imagePrune: {
    request: { all?: boolean; filters?: Record<string, string[]> };
    result: { untagged: string[]; deleted: string[]; reclaimed: number };
    item: never;
  };
  collectImages: { request: CollectRequest; result: Collection; item: never };
  containerPrune: {
    request: { filters?: Record<string, string[]> };
    result: { deleted: string[]; reclaimed: number };
    item: never;
  };
  networkCreate: { request: NetworkRequest; result: Network; item: never };
  networkInspect: { request: { network: string }; result: NetworkInfo; item: never };
  networkList: { request: { filters?: Record<string, string[]> }; result: { networks: AnyNetwork[] }; item: never };
  /** Asks the plugins of a CNI network whether they are content with it and with the containers in it. */
  networkCheck: { request: { network: string }; result: { problems: string[] }; item: never };
  networkRemove: { request: { network: string }; result: Network; item: never };
  networkPrune: { request: { filters?: Record<string, string[]> }; result: { deleted: string[] }; item: never };
  /** What the network is in the kernel, in the words of ip(8) and nft(8). */
  networkExplain: { request: { network: string }; result: { text: string }; item: never };
  networkConnect: { request: { container: string; endpoint: NetworkEndpoint }; result: Record<never, never>; item: never };
  networkDisconnect: {
    request: { network: string; container: string; force?: boolean };
    result: Record<never, never>;
    item: never;
  };
  guestAttach: { request: GuestRequest; result: GuestAttachment; item: never };
  guestDetach: { request: GuestReference; result: Record<never, never>; item: never };
  guestCheck: { request: GuestReference & { readonly netns: string }; result: GuestAttachment; item: never };
  /** Ends with an error where guestAttach would. */
  guestStatus: { request: { network: string }; result: Record<never, never>; item: never };
  /** Of what the CNI configuration has asked for all goes but `valid`. */
  guestCollect: { request: { configuration: string; valid: GuestReference[] }; result: { count: number }; item: never };
  nodeJoin: { request: JoinRequest; result: Node; item: never };
  nodeLeave: { request: Record<never, never>; result: Node; item: never };
  nodeList: { request: Record<never, never>; result: { nodes: readonly Node[] }; item: never };
  nodeRemove: { request: { node: string }; result: Node; item: never };
  /** Null: the host is in no cluster. */
  nodeStatus: { request: Record<never, never>; result: { status: ClusterStatus | null }; item: never };
  volumeCreate: {
    request: {
      name?: string;
      driver?: string;
      options?: Record<string, string>;
      labels?: Record<string, string>;
      lease?: string;
    };
    result: MadeVolume;
    item: never;
  };
  volumes: { request: { filters?: Record<string, string[]> }; result: { volumes: VolumeInfo[] }; item: never };
  volumeInspect: { request: { volume: string }; result: VolumeInfo; item: never };
  /** With `force` one that is not there is no error. */
  volumeRemove: { request: { volume: string; force?: boolean }; result: { name: string }; item: never };
  volumePrune: {
    request: { all?: boolean; filters?: Record<string, string[]> };
    result: { deleted: string[]; reclaimed: number };
    item: never;
  };
  /** The tar as STDOUT frames. */
  volumeExport: { request: { volume: string }; result: Record<never, never>; item: never };
  /** The tar travels as STDIN frames, an empty one ends it; or `path` names a file the engine opens itself. */
  volumeImport: { request: { volume: string; path?: string; merge?: boolean }; result: VolumeInfo; item: never };
  volumeClone: {
    request: { source: string; name?: string; labels?: Record<string, string>; lease?: string };
    result: ClonedVolume;
    item: never;
  };
  diskUsage: { request: Record<never, never>; result: DiskUsage; item: never };
  systemCheck: { request: { repair?: boolean; quick?: boolean }; result: StoreReport; item: never };
  bootstrap: { request: { distribution: string; name?: string }; result: Image; item: never };
}

export type CallName = keyof Calls;

/** Where the time of one start went. */
export interface TraceStage {
  stage: string;
  microseconds: number;
  /** What the kernel alone takes for it, on the machine the design was measured on. */
  floor?: number;
  /** Ran in another process while the engine waited or went on: no part of the total. */
  aside?: true;
}
