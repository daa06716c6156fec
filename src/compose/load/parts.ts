import { isIP } from "node:net";
import type {
  Build,
  Dependency,
  Deploy,
  DeviceRequest,
  EnvFile,
  FileReference,
  HealthCheck,
  Hook,
  Mount,
  Port,
  ProjectFile,
  ProjectNetwork,
  ProjectVolume,
  ResourceLimits,
  ServiceNetwork,
  UpdateConfig,
  WatchRule,
} from "../project.ts";
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
  mode,
  natural,
  nonZero,
  nullable,
  object,
  octalMode,
  printing,
  reading,
  sorted,
  text,
  textDict,
  texts,
  word,
} from "./shape.ts";

/** Shapes of what services and projects are made of; keys in the order in which Docker's compose prints them. */

type Ulimit = { soft: number; hard: number };
const softAndHard = object<Ulimit>({ soft: integer, hard: integer });

/** One number for both, or each. */
const ulimit: Codec<Ulimit> = {
  read(node, path, problems) {
    if (node.kind === "map") return softAndHard.read(node, path, problems);
    const both = integer.read(node, path, problems);
    return both === undefined ? undefined : { soft: both, hard: both };
  },
  print: (value, style) => (value.soft === value.hard ? value.soft : softAndHard.print(value, style)),
};
export const ulimits = dict(ulimit);

/** Printed as a list: "NAME=ADDRESS". */
export const hosts = printing(dict(list(text)), (names) =>
  Object.entries(names)
    .flatMap(([name, addresses]) => addresses.map((address) => `${name}=${address}`))
    .sort(),
);

export const fileReference = object<FileReference>({ source: text, target: text, uid: text, gid: text, mode: octalMode });

export const build = object<Build>({
  context: text,
  dockerfile: text,
  dockerfile_inline: text,
  entitlements: texts,
  args: dict(nullable(text)),
  provenance: text,
  sbom: text,
  ssh: printing(textDict, (keys) => sorted(keys).map(([id, path]) => (path === "" ? id : `${id}=${path}`))),
  labels: textDict,
  cache_from: texts,
  cache_to: texts,
  no_cache: flag,
  no_cache_filter: texts,
  additional_contexts: textDict,
  pull: flag,
  extra_hosts: hosts,
  isolation: text,
  network: text,
  target: text,
  secrets: list(fileReference),
  shm_size: nonZero(bytes),
  tags: texts,
  ulimits,
  platforms: texts,
  privileged: flag,
});

const count = reading(integer, (node, path, problems) =>
  node.kind === "scalar" && node.text.toLowerCase() === "all" ? -1 : integer.read(node, path, problems),
);
const device = object<DeviceRequest>({ capabilities: texts, driver: text, count, device_ids: texts, options: textDict });

/** Of GPUs and the like: all of them, if nothing else is said. */
export const deviceRequest = reading(device, (node, path, problems) => {
  const request = device.read(node, path, problems);
  if (request?.count !== undefined && request.device_ids !== undefined) {
    problems.add(node.at, path, `"count" and "device_ids" attributes are exclusive; keep one`);
  }
  return request === undefined || request.count !== undefined || request.device_ids !== undefined
    ? request
    : { ...request, count: -1 };
});

const limits = object<ResourceLimits>({
  cpus: printing(text, Number),
  memory: nonZero(bytes),
  pids: nonZero(integer),
  devices: list(deviceRequest),
  generic_resources: asWritten,
});

const updateConfig = object<UpdateConfig>({
  parallelism: natural,
  delay: duration,
  failure_action: text,
  monitor: duration,
  max_failure_ratio: decimal,
  order: word(),
});

const placement = object({
  constraints: texts,
  preferences: list(object({ spread: text })),
  max_replicas_per_node: nonZero(integer),
});

export const deploy = object<Deploy>({
  mode: word(),
  replicas: natural,
  labels: textDict,
  update_config: updateConfig,
  rollback_config: updateConfig,
  resources: always(object({ limits, reservations: limits }), {}),
  restart_policy: object({ condition: text, delay: duration, max_attempts: natural, window: duration }),
  placement: always(placement, {}) as Codec<unknown>,
  endpoint_mode: text,
});

export const dependency = object<Dependency>({ condition: word(), restart: flag, required: bool });

export const healthcheck = object<HealthCheck>({
  test: texts,
  timeout: duration,
  interval: duration,
  retries: natural,
  start_period: duration,
  start_interval: duration,
  disable: flag,
});

export const hook = object<Hook>({
  command: always(listOrNone(text), null),
  user: text,
  privileged: flag,
  working_dir: text,
  environment: dict(nullable(text)),
});

export const watchRule = object<WatchRule>({
  path: text,
  action: word(),
  target: text,
  exec: always(hook, { command: null }),
  include: texts,
  ignore: texts,
  initial_sync: flag,
});

export const serviceNetwork = object<ServiceNetwork>({
  aliases: texts,
  driver_opts: textDict,
  gw_priority: nonZero(integer),
  interface_name: text,
  ipv4_address: text,
  ipv6_address: text,
  link_local_ips: texts,
  mac_address: text,
  priority: nonZero(integer),
});

const longPort = object<Port>({
  name: text,
  mode: word(),
  host_ip: text,
  target: natural,
  published: text,
  protocol: text,
  app_protocol: text,
});

export const port = reading(longPort, (node, path, problems) => {
  const read = longPort.read(node, path, problems);
  if (read === undefined) return undefined;
  if (read.target === undefined || read.target > 65535) problems.add(node.at, path, `needs "target", a port of the container's`);
  if (read.host_ip !== undefined && isIP(read.host_ip) === 0)
    problems.add(node.at, path, `host_ip "${read.host_ip}" is not an IP address`);
  return { ...read, mode: read.mode ?? "ingress", protocol: read.protocol ?? "tcp" };
});

export const mount = object<Mount>({
  type: word(),
  source: text,
  target: text,
  read_only: flag,
  consistency: text,
  bind: object({
    selinux: word<"z" | "Z">(),
    propagation: text,
    create_host_path: printing(bool, (value, style) => (style === "docker" ? value || undefined : value)),
    recursive: text,
  }),
  volume: object({ labels: textDict, nocopy: flag, subpath: text }),
  tmpfs: object({ size: nonZero(bytes), mode }),
  image: object({ subpath: text }),
});

export const envFile = object<EnvFile>({ path: text, required: bool, format: text });

export const projectNetwork = object<Partial<ProjectNetwork>>({
  name: text,
  driver: text,
  driver_opts: textDict,
  ipam: always(
    object({
      driver: text,
      config: list(object({ subnet: text, gateway: text, ip_range: text, aux_addresses: textDict })),
      options: textDict,
    }),
    {},
  ),
  external: flag,
  internal: flag,
  attachable: flag,
  labels: textDict,
  enable_ipv4: bool,
  enable_ipv6: bool,
});

export const projectVolume = object<Partial<ProjectVolume>>({
  name: text,
  driver: text,
  driver_opts: textDict,
  external: flag,
  labels: textDict,
});

export const projectFile = object<Partial<ProjectFile>>({
  name: text,
  file: text,
  environment: text,
  content: text,
  external: flag,
  labels: textDict,
  driver: text,
  driver_opts: textDict,
  template_driver: text,
});
