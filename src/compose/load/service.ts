import type { BlockIo, Service, WatchRule } from "../project.ts";
import {
  build,
  dependency,
  deploy,
  deviceRequest,
  envFile,
  fileReference,
  healthcheck,
  hook,
  hosts,
  mount,
  port,
  serviceNetwork,
  ulimits,
  watchRule,
} from "./parts.ts";
import {
  always,
  asWritten,
  bool,
  bytes,
  type Codec,
  decimal,
  dict,
  duration,
  flag,
  integer,
  list,
  listOrNone,
  nonZero,
  nullable,
  object,
  printing,
  reading,
  type Shape,
  text,
  textDict,
  texts,
  word,
} from "./shape.ts";

/** Docker's JSON has these keys as Go's fields are called. */
const goFields = <T extends object>(inner: Codec<T>): Codec<T> =>
  printing(inner, (value, style) => {
    const printed = inner.print(value, style) as Record<string, unknown>;
    if (style !== "docker") return printed;
    return Object.fromEntries(Object.entries(printed).map(([key, item]) => [key[0]!.toUpperCase() + key.slice(1), item]));
  });

const rate = goFields(object<{ path: string; rate: number }>({ path: text, rate: bytes }));

const blockIo = object<BlockIo>({
  weight: integer,
  weight_device: list(goFields(object<{ path: string; weight: number }>({ path: text, weight: integer }))),
  device_read_bps: list(rate),
  device_read_iops: list(rate),
  device_write_bps: list(rate),
  device_write_iops: list(rate),
});

/** An empty one, of a variable that is not set, is none. */
const someText = reading(text, (node, path, problems) => text.read(node, path, problems) || undefined);

/** Printed as a number if it is one. */
const microseconds = printing(text, (value) => (/^\d+$/.test(value) ? Number(value) : value));

/** JSON names them where they are the image's. */
const command = always(listOrNone(text), null);

const shape: Shape<Omit<Service, "name">> = {
  profiles: texts,
  annotations: textDict,
  attach: bool,
  build,
  develop: object<{ watch: WatchRule[] }>({ watch: list(watchRule) }),
  blkio_config: blockIo,
  cap_add: texts,
  cap_drop: texts,
  cgroup_parent: text,
  cgroup: text,
  cpu_count: nonZero(integer),
  cpu_percent: nonZero(decimal),
  cpu_period: nonZero(integer),
  cpu_quota: nonZero(integer),
  cpu_rt_period: microseconds,
  cpu_rt_runtime: microseconds,
  cpus: nonZero(decimal),
  cpuset: text,
  cpu_shares: nonZero(integer),
  command,
  configs: list(fileReference),
  container_name: text,
  credential_spec: asWritten,
  depends_on: dict(dependency),
  deploy,
  device_cgroup_rules: texts,
  devices: list(object({ source: text, target: text, permissions: text })),
  dns: list(someText),
  dns_opt: texts,
  dns_search: texts,
  domainname: text,
  entrypoint: command,
  provider: asWritten,
  environment: dict(nullable(text)),
  env_file: list(envFile),
  expose: texts,
  external_links: texts,
  extra_hosts: hosts,
  group_add: texts,
  gpus: list(deviceRequest),
  hostname: text,
  healthcheck,
  image: text,
  init: bool,
  ipc: text,
  isolation: text,
  labels: textDict,
  label_file: texts,
  links: texts,
  logging: object({ driver: text, options: textDict }),
  mem_limit: nonZero(bytes),
  mem_reservation: nonZero(bytes),
  memswap_limit: nonZero(bytes),
  mem_swappiness: nonZero(bytes),
  mac_address: text,
  models: dict(asWritten),
  network_mode: text,
  networks: dict(nullable(serviceNetwork)),
  oom_kill_disable: flag,
  oom_score_adj: nonZero(integer),
  pid: text,
  pids_limit: nonZero(integer),
  platform: text,
  ports: list(port),
  privileged: flag,
  pull_policy: word(),
  read_only: flag,
  restart: text,
  runtime: text,
  scale: integer,
  secrets: list(fileReference),
  security_opt: texts,
  shm_size: nonZero(bytes),
  stdin_open: flag,
  stop_grace_period: duration,
  stop_signal: text,
  storage_opt: textDict,
  sysctls: textDict,
  tmpfs: texts,
  tty: flag,
  ulimits,
  use_api_socket: flag,
  user: text,
  userns_mode: text,
  uts: text,
  volumes: list(mount),
  volumes_from: texts,
  working_dir: text,
  pre_start: list(asWritten),
  post_start: list(hook),
  pre_stop: list(hook),
};

/** The keys of a service that are read; the specification has no others. */
export const serviceKeys: readonly string[] = Object.keys(shape);

export const service: Codec<Omit<Service, "name">> = object(shape);
