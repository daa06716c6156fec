/**
 * A compose project, loaded: the canonical form of the compose specification (05-services.md ...), every short form written out,
 * all files merged, all variables filled in, all paths absolute. `compose config` prints it as it is, so keys are the specification's.
 * Types only. Sizes are bytes, durations the specification's strings ("1m30s"), unless said otherwise. What is absent was not said.
 */

/** What has keys "x-...", which mean nothing here and are kept: by key. */
export interface Extensible {
  extensions?: Record<string, unknown>;
}

export interface Project {
  name: string;
  /** Absolute; relative paths of the files are relative to it. */
  working_dir: string;
  /** The files it was made of, absolute, in their order. */
  files: string[];
  /** The profiles that were asked for. */
  profiles: string[];
  /** The variables that interpolation saw: of env files, then of the caller. */
  environment: Record<string, string>;
  /** In the order of the files. */
  services: Record<string, Service>;
  /** Services that no enabled profile wants and that nobody named; what `--profile '*'` would enable. */
  disabled: Record<string, Service>;
  networks: Record<string, ProjectNetwork>;
  volumes: Record<string, ProjectVolume>;
  configs: Record<string, ProjectFile>;
  secrets: Record<string, ProjectFile>;
  /** As written: nothing here runs models. */
  models: Record<string, unknown>;
  extensions: Record<string, unknown>;
}

export interface Service extends Extensible {
  name: string;
  profiles?: string[];
  image?: string;
  build?: Build;
  pull_policy?: "always" | "never" | "missing" | "build" | "daily" | "weekly" | `every_${string}`;
  platform?: string;
  /** Null: the image's. A list: without a shell. */
  command?: string[] | null;
  entrypoint?: string[] | null;
  container_name?: string;
  hostname?: string;
  domainname?: string;
  user?: string;
  group_add?: string[];
  working_dir?: string;
  /** env_file is read and merged in; null: as the caller's environment has it, absent there: unset. */
  environment?: Record<string, string | null>;
  /** Only where they were not to be read. */
  env_file?: EnvFile[];
  labels?: Record<string, string>;
  /** What of it was read is in labels, too. */
  label_file?: string[];
  annotations?: Record<string, string>;
  attach?: boolean;
  scale?: number;
  deploy?: Deploy;
  depends_on?: Record<string, Dependency>;
  develop?: { watch: WatchRule[] };
  healthcheck?: HealthCheck;
  restart?: string;
  init?: boolean;
  stdin_open?: boolean;
  tty?: boolean;
  stop_signal?: string;
  stop_grace_period?: string;
  /** Run in the container once it runs, and before it is stopped. */
  post_start?: Hook[];
  pre_stop?: Hook[];

  /** By the network's key in the project; with network_mode none. */
  networks?: Record<string, ServiceNetwork | null>;
  /** "none", "host", "service:NAME", "container:NAME". */
  network_mode?: string;
  ports?: Port[];
  expose?: string[];
  links?: string[];
  external_links?: string[];
  /** Name to addresses. */
  extra_hosts?: Record<string, string[]>;
  dns?: string[];
  dns_opt?: string[];
  dns_search?: string[];
  mac_address?: string;

  volumes?: Mount[];
  volumes_from?: string[];
  tmpfs?: string[];
  configs?: FileReference[];
  secrets?: FileReference[];
  read_only?: boolean;
  shm_size?: number;
  storage_opt?: Record<string, string>;

  privileged?: boolean;
  cap_add?: string[];
  cap_drop?: string[];
  security_opt?: string[];
  userns_mode?: string;
  pid?: string;
  ipc?: string;
  uts?: string;
  cgroup?: string;
  cgroup_parent?: string;
  devices?: { source: string; target: string; permissions: string }[];
  device_cgroup_rules?: string[];
  gpus?: DeviceRequest[];
  sysctls?: Record<string, string>;
  ulimits?: Record<string, { soft: number; hard: number }>;
  runtime?: string;

  cpus?: number;
  cpu_count?: number;
  cpu_percent?: number;
  cpu_shares?: number;
  cpu_quota?: number;
  cpu_period?: number;
  cpu_rt_period?: string;
  cpu_rt_runtime?: string;
  cpuset?: string;
  blkio_config?: BlockIo;
  mem_limit?: number;
  mem_reservation?: number;
  memswap_limit?: number;
  mem_swappiness?: number;
  oom_kill_disable?: boolean;
  oom_score_adj?: number;
  pids_limit?: number;

  logging?: { driver?: string; options?: Record<string, string> };

  // what is read and checked only, as written
  credential_spec?: unknown;
  isolation?: string;
  models?: Record<string, unknown>;
  pre_start?: unknown[];
  provider?: unknown;
  use_api_socket?: boolean;
}

export interface EnvFile {
  /** Absolute. */
  path: string;
  /** False: it may be missing. */
  required: boolean;
  /** "raw": NAME=value as it stands; absent: with quotes and variables. */
  format?: string;
}

export interface Build extends Extensible {
  /** Absolute path or URL. */
  context: string;
  dockerfile?: string;
  dockerfile_inline?: string;
  args?: Record<string, string | null>;
  additional_contexts?: Record<string, string>;
  cache_from?: string[];
  cache_to?: string[];
  labels?: Record<string, string>;
  network?: string;
  no_cache?: boolean;
  no_cache_filter?: string[];
  entitlements?: string[];
  isolation?: string;
  provenance?: string;
  sbom?: string;
  platforms?: string[];
  pull?: boolean;
  secrets?: FileReference[];
  shm_size?: number;
  ssh?: Record<string, string>;
  tags?: string[];
  target?: string;
  extra_hosts?: Record<string, string[]>;
  ulimits?: Record<string, { soft: number; hard: number }>;
  privileged?: boolean;
}

export interface Dependency extends Extensible {
  condition: "service_started" | "service_healthy" | "service_completed_successfully";
  /** The dependent is started again when compose restarts or recreates the dependency. */
  restart?: boolean;
  /** False: it may be missing. */
  required: boolean;
}

export interface Deploy extends Extensible {
  mode?: "replicated" | "global" | "replicated-job" | "global-job";
  replicas?: number;
  labels?: Record<string, string>;
  resources?: { limits?: ResourceLimits; reservations?: ResourceLimits };
  restart_policy?: { condition?: string; delay?: string; max_attempts?: number; window?: string };
  update_config?: UpdateConfig;
  rollback_config?: UpdateConfig;
  endpoint_mode?: string;
  placement?: unknown;
}

export interface UpdateConfig extends Extensible {
  parallelism?: number;
  delay?: string;
  order?: "start-first" | "stop-first";
  failure_action?: string;
  max_failure_ratio?: number;
  monitor?: string;
}

export interface ResourceLimits extends Extensible {
  cpus?: string;
  memory?: number;
  pids?: number;
  devices?: DeviceRequest[];
  generic_resources?: unknown;
}

export interface DeviceRequest extends Extensible {
  capabilities?: string[];
  driver?: string;
  /** -1: all. */
  count?: number;
  device_ids?: string[];
  options?: Record<string, string>;
}

export interface BlockIo extends Extensible {
  weight?: number;
  weight_device?: { path: string; weight: number }[];
  device_read_bps?: { path: string; rate: number }[];
  device_read_iops?: { path: string; rate: number }[];
  device_write_bps?: { path: string; rate: number }[];
  device_write_iops?: { path: string; rate: number }[];
}

export interface HealthCheck extends Extensible {
  /** "CMD", "CMD-SHELL" or "NONE" first. */
  test?: string[];
  interval?: string;
  timeout?: string;
  start_period?: string;
  start_interval?: string;
  retries?: number;
  disable?: boolean;
}

export interface Hook extends Extensible {
  command: string[];
  user?: string;
  privileged?: boolean;
  working_dir?: string;
  environment?: Record<string, string | null>;
}

export interface ServiceNetwork extends Extensible {
  aliases?: string[];
  ipv4_address?: string;
  ipv6_address?: string;
  link_local_ips?: string[];
  mac_address?: string;
  interface_name?: string;
  driver_opts?: Record<string, string>;
  priority?: number;
  gw_priority?: number;
}

export interface Port extends Extensible {
  name?: string;
  /** The container's. Ranges are written out, one entry for each port. */
  target: number;
  host_ip?: string;
  /** The host's: "8080", a range to choose from "8000-8009", or absent: any. */
  published?: string;
  protocol: string;
  app_protocol?: string;
  mode: "host" | "ingress";
}

export interface Mount extends Extensible {
  type: "bind" | "volume" | "tmpfs" | "image" | "npipe" | "cluster";
  /** Of a bind: absolute. Of a volume: its key in the project; absent: anonymous. */
  source?: string;
  target: string;
  read_only?: boolean;
  consistency?: string;
  /** `create_host_path`: the source is made as a directory if it is not there; short forms say so. */
  bind?: { propagation?: string; create_host_path?: boolean; recursive?: string; selinux?: "z" | "Z" };
  volume?: { nocopy?: boolean; subpath?: string; labels?: Record<string, string> };
  tmpfs?: { size?: number; mode?: number };
  image?: { subpath?: string };
}

/** A secret or a config as a service or a build wants it. */
export interface FileReference extends Extensible {
  /** Its key in the project. */
  source: string;
  /** Path in the container; a secret's is below /run/secrets unless absolute. */
  target?: string;
  uid?: string;
  gid?: string;
  mode?: number;
}

/** A secret or a config of the project. */
export interface ProjectFile extends Extensible {
  /** The name it has outside the project. */
  name: string;
  file?: string;
  environment?: string;
  content?: string;
  external?: boolean;
  labels?: Record<string, string>;
  driver?: string;
  driver_opts?: Record<string, string>;
  template_driver?: string;
}

export interface ProjectNetwork extends Extensible {
  /** The name it has outside the project. */
  name: string;
  driver?: string;
  driver_opts?: Record<string, string>;
  ipam?: {
    driver?: string;
    config?: { subnet?: string; ip_range?: string; gateway?: string; aux_addresses?: Record<string, string> }[];
    options?: Record<string, string>;
  };
  external?: boolean;
  internal?: boolean;
  attachable?: boolean;
  enable_ipv4?: boolean;
  enable_ipv6?: boolean;
  labels?: Record<string, string>;
}

export interface ProjectVolume extends Extensible {
  /** The name it has outside the project. */
  name: string;
  driver?: string;
  driver_opts?: Record<string, string>;
  external?: boolean;
  labels?: Record<string, string>;
}

/** One rule of develop.watch (Develop Specification). */
export interface WatchRule extends Extensible {
  /** Absolute. */
  path: string;
  action: "sync" | "rebuild" | "restart" | "sync+restart" | "sync+exec";
  target?: string;
  ignore?: string[];
  include?: string[];
  initial_sync?: boolean;
  exec?: Hook;
}
