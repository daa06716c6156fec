/**
 * From a service to the container that the engine is asked for. Pure: what it needs to know of others is given to it. What the
 * engine cannot do is refused, with the key that asks for it; what means nothing without a swarm is told.
 */
import type { ContainerRequest, HealthCheck, RestartPolicy } from "../api/control/types.ts";
import { logConfigOf } from "../api/shapes/log.ts";
import { messageOf } from "../lib/errors.ts";
import { omitAbsent } from "../lib/tables.ts";
import { parseDuration } from "../lib/time.ts";
import { compileDevices } from "./compile-devices.ts";
import { invalid, unsupported } from "./compile-errors.ts";
import { compileFiles, type InjectedFile } from "./compile-files.ts";
import { compileMounts, compileTmpfs } from "./compile-mounts.ts";
import { compileNetworking, compilePorts } from "./compile-networks.ts";
import { compileResources } from "./compile-resources.ts";
import { imageName, serviceOfMode } from "./names.ts";
import type { Project, Service } from "./project.ts";

/** What is not in the project's files. */
export interface Surroundings {
  readonly name: string;
  /** Of all containers of the service, this one's; null: it is none of them (`run`). */
  readonly number: number | null;
  readonly labels: Readonly<Record<string, string>>;
  /** The container that another service's namespaces and volumes are those of; undefined: there is none. */
  peer(service: string): string | undefined;
  /** Anonymous volumes of the container that it replaces, by path. */
  readonly inherited?: ReadonlyMap<string, string>;
  /** Seccomp profiles that are named in `security_opt`, by their path, as JSON. */
  readonly profiles?: ReadonlyMap<string, string>;
  /** Of `run`: the service's names in networks are not this container's. */
  readonly withoutAliases?: boolean;
}

export interface Compiled {
  readonly request: ContainerRequest;
  /** Written into the container before it is started. */
  readonly files: readonly InjectedFile[];
  readonly warnings: readonly string[];
}

/** Throws `compose_unsupported`, `compose_invalid`. */
export function compileRequest(project: Project, service: Service, around: Surroundings): Compiled {
  refuse(service);
  const { mounts, secrets, files } = compileFiles(project, service);
  const request: ContainerRequest = {
    ...omitAbsent({
      platform: service.platform,
      command: service.command ?? undefined,
      entrypoint: service.entrypoint ?? undefined,
      env: environmentOf(service.environment),
      workdir: service.working_dir,
      user: service.user,
      groupAdd: service.group_add,
      hostname: service.hostname,
      domainname: service.domainname,
      tty: service.tty,
      openStdin: service.stdin_open,
      annotations: some(service.annotations),
      restart: restartOf(service),
      health: healthOf(service),
      expose: exposed(service),
      publish: compilePorts(service),
      pid: namespaceOf(service, "pid", around),
      ipc: namespaceOf(service, "ipc", around),
      uts: service.uts,
      cgroupns: cgroupnsOf(service),
      userns: service.userns_mode || undefined,
      privileged: service.privileged,
      readonlyRootfs: service.read_only,
      init: service.init,
      capAdd: service.cap_add?.map(capability),
      capDrop: service.cap_drop?.map(capability),
      securityOpt: securityOf(service, around),
      sysctls: service.sysctls,
      ulimits: ulimitsOf(service),
      ...compileDevices(service),
      deviceCgroupRules: service.device_cgroup_rules,
      mounts: compileMounts(project, service, mounts, around.inherited),
      secrets: secrets.length > 0 ? secrets : undefined,
      volumesFrom: service.volumes_from?.map((from) => volumesFrom(service, from, around)),
      tmpfs: compileTmpfs(service),
      shmSize: service.shm_size,
      resources: compileResources(service),
      oomScoreAdj: service.oom_score_adj,
      oomKillDisable: service.oom_kill_disable,
      stopSignal: service.stop_signal,
      stopTimeout:
        service.stop_grace_period === undefined
          ? undefined
          : Math.ceil(nanoseconds(service, "stop_grace_period", service.stop_grace_period) / 1e9),
      ...loggingOf(service),
      cgroupParent: service.cgroup_parent,
      runtime: service.runtime,
    }),
    image: imageName(project.name, service),
    name: around.name,
    labels: { ...service.labels, ...around.labels },
    ...compileNetworking(project, service, around),
  };
  return { request, files, warnings: warningsOf(service) };
}

/** Keys that the engine has nothing for. */
function refuse(service: Service): void {
  const windows = "that is for Windows";
  const reasons: [key: string, asked: unknown, why: string][] = [
    ["storage_opt", some(service.storage_opt), "containers share the disk of the data root"],
    ["credential_spec", service.credential_spec, windows],
    ["isolation", service.isolation === "default" ? undefined : service.isolation, windows],
    ["models", some(service.models), "nothing here runs models"],
    ["provider", service.provider, "there are no plugins for services that are no containers"],
    ["pre_start", some(service.pre_start), "there are post_start and pre_stop"],
    ["use_api_socket", service.use_api_socket || undefined, "mount docker.sock of the engine's run directory"],
    ["cpu_count", service.cpu_count, windows],
    ["cpu_percent", service.cpu_percent, windows],
    ["deploy.resources.limits.devices", some(service.deploy?.resources?.limits?.devices), "write them in reservations"],
  ];
  for (const [key, asked, why] of reasons) if (asked !== undefined) throw unsupported(service, key, why);
}

const some = <T extends object>(value: T | undefined): T | undefined =>
  value !== undefined && Object.keys(value).length > 0 ? value : undefined;

/** What only a swarm obeys. */
function warningsOf({ name, deploy }: Service): string[] {
  const { mode, endpoint_mode, placement, resources, restart_policy, update_config } = deploy ?? {};
  const ignored: [key: string, asked: boolean][] = [
    ["deploy.mode", mode !== undefined && mode !== "replicated"],
    ["deploy.endpoint_mode", endpoint_mode !== undefined],
    ["deploy.placement", placement !== undefined],
    ["deploy.resources.reservations.cpus", resources?.reservations?.cpus !== undefined],
    ["deploy.restart_policy.delay", restart_policy?.delay !== undefined],
    ["deploy.restart_policy.window", restart_policy?.window !== undefined],
    ["deploy.update_config.delay", update_config?.delay !== undefined],
    ["deploy.update_config.failure_action", update_config?.failure_action !== undefined],
  ];
  return ignored.filter(([, asked]) => asked).map(([key]) => `service ${name}: ${key} is for swarms and is not obeyed`);
}

/** Nanoseconds. */
function nanoseconds(service: Service, key: string, text: string): number {
  const duration = parseDuration(text);
  if (duration === undefined) throw invalid(service, key, `"${text}" is no duration; write it as in 1m30s`);
  return Number(duration);
}

/** A name without a value takes the image's variable away. */
export const environmentOf = (environment: Service["environment"]): string[] | undefined =>
  environment && Object.entries(environment).map(([name, value]) => (value === null ? name : `${name}=${value}`));

/** Without a swarm a condition says what `restart` says. */
function restartOf(service: Service): RestartPolicy | undefined {
  const { condition, max_attempts } = service.deploy?.restart_policy ?? {};
  const [asked = "no", count = "0"] = (service.restart ?? "no").split(":");
  const given = service.deploy?.restart_policy === undefined ? asked : (condition ?? "any");
  const words: Readonly<Record<string, RestartPolicy["name"]>> = { none: "no", any: "always" };
  const name = (words[given] ?? given) as RestartPolicy["name"];
  if (!["no", "always", "unless-stopped", "on-failure", "on-unhealthy"].includes(name))
    throw invalid(service, "restart", `"${given}" is not one of no, always, unless-stopped, on-failure[:N], on-unhealthy[:N]`);
  if (!/^\d+$/.test(count)) throw invalid(service, "restart", `"${count}" is no number of attempts`);
  const maximumRetryCount = service.deploy?.restart_policy === undefined ? Number(count) : (max_attempts ?? 0);
  const counts = name === "on-failure" || name === "on-unhealthy";
  return name === "no" ? undefined : { name, maximumRetryCount: counts ? maximumRetryCount : 0 };
}

function healthOf(service: Service): HealthCheck | undefined {
  const check = service.healthcheck;
  if (check === undefined) return undefined;
  if (check.disable) return { test: ["NONE"] };
  const duration = (key: "interval" | "timeout" | "start_period" | "start_interval"): number | undefined =>
    check[key] === undefined ? undefined : nanoseconds(service, `healthcheck.${key}`, check[key]);
  return omitAbsent({
    test: check.test,
    interval: duration("interval"),
    timeout: duration("timeout"),
    startPeriod: duration("start_period"),
    startInterval: duration("start_interval"),
    retries: check.retries,
  });
}

/** As Docker's compose: what is published is exposed, too. */
function exposed(service: Service): string[] | undefined {
  const ports = [...(service.ports ?? []).map(({ target, protocol }) => `${target}/${protocol}`), ...(service.expose ?? [])];
  const single = ports.flatMap((text) => {
    const [, first = "", last = first, protocol = "tcp"] = /^(\d+)(?:-(\d+))?(?:\/(\w+))?$/.exec(text) ?? [];
    if (first === "") throw invalid(service, "expose", `"${text}" is no port`);
    return Array.from({ length: Number(last) - Number(first) + 1 }, (_, index) => `${Number(first) + index}/${protocol}`);
  });
  return single.length > 0 ? [...new Set(single)] : undefined;
}

function namespaceOf(service: Service, key: "pid" | "ipc", around: Surroundings): string | undefined {
  const mode = service[key];
  const name = serviceOfMode(mode);
  return name === undefined ? mode || undefined : `container:${peerOf(service, key, name, around)}`;
}

/** The container that stands for a service that this one shares something with. */
export function peerOf(service: Service, key: string, name: string, around: Surroundings): string {
  const peer = around.peer(name);
  if (peer === undefined) throw invalid(service, key, `service ${name} has no container to share with`);
  return peer;
}

function volumesFrom(service: Service, from: string, around: Surroundings): string {
  const [, container] = /^container:(.+)$/.exec(from) ?? [];
  if (container !== undefined) return container;
  const [name = "", mode] = from.split(/:(.*)/s);
  const peer = peerOf(service, "volumes_from", name, around);
  return mode === undefined ? peer : `${peer}:${mode}`;
}

function cgroupnsOf(service: Service): "private" | "host" | undefined {
  const { cgroup } = service;
  if (cgroup === undefined || cgroup === "private" || cgroup === "host") return cgroup;
  throw invalid(service, "cgroup", `"${cgroup}" is neither private nor host`);
}

/** "net_admin" and "CAP_NET_ADMIN" are the same. */
function capability(name: string): string {
  const upper = name.toUpperCase();
  return upper === "ALL" || upper.startsWith("CAP_") ? upper : `CAP_${upper}`;
}

/** The path of a seccomp profile that an option names; undefined for the other options. */
export function seccompProfile(option: string): string | undefined {
  const [, profile] = /^seccomp[=:](.*)$/s.exec(option) ?? [];
  return profile === undefined || profile === "unconfined" || profile === "builtin" || profile.startsWith("{")
    ? undefined
    : profile;
}

function securityOf(service: Service, { profiles }: Surroundings): string[] | undefined {
  return service.security_opt?.map((option) => {
    const path = seccompProfile(option);
    return path === undefined ? option : `seccomp=${profiles?.get(path) ?? ""}`;
  });
}

const ulimitsOf = (service: Service): ContainerRequest["ulimits"] =>
  service.ulimits && Object.entries(service.ulimits).map(([name, { soft, hard }]) => ({ name, soft, hard }));

const drivers = ["json-file", "local", "cri", "journald", "syslog", "none"] as const;

function loggingOf(service: Service): Pick<ContainerRequest, "log" | "logOptions"> {
  if (service.logging === undefined) return {};
  const { driver: asked, options = {} } = service.logging;
  const driver = drivers.find((one) => one === (asked ?? "json-file"));
  if (driver === undefined) throw unsupported(service, `logging.driver ${asked}`, `there are ${drivers.join(", ")}`);
  try {
    const log = logConfigOf(driver, options);
    return asked === undefined ? { logOptions: options } : { log };
  } catch (error) {
    throw invalid(service, "logging.options", messageOf(error));
  }
}
