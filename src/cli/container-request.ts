import type {
  ContainerRequest,
  DeviceRequest,
  DriverRequest,
  HealthCheck,
  LogConfig,
  MountRequest,
  Resources,
  Ulimit,
} from "../api/control/types.ts";
import { logConfigOf } from "../api/shapes/log.ts";
import { messageOf } from "../lib/errors.ts";
import { omitAbsent } from "../lib/tables.ts";
import { isCdiName } from "../oci/cdi.ts";
import type { containerFlags, resourceFlags } from "./container-flags.ts";
import type { Context } from "./context.ts";
import { UsageError } from "./errors.ts";
import { fromEnvironment, keyValueLines, readText } from "./files.ts";
import type { Values } from "./flags.ts";
import { labelsOf } from "./labels.ts";
import { parseMount, parseTmpfs, parseVolume } from "./mounts.ts";
import { networkRequest } from "./network-flags.ts";
import { pairs } from "./pairs.ts";
import { parseSecret } from "./secrets.ts";

type Given = Values<typeof containerFlags>;

/** What the flags and arguments of `run`, `create` and `explain` ask for. Throws UsageError. */
export async function containerRequest(flags: Given, args: readonly string[], context: Context): Promise<ContainerRequest> {
  const given = withoutEmpty(flags);
  const [image = "", ...command] = args;
  const { env, cwd } = context;
  return {
    ...omitAbsent({
      platform: given.platform,
      name: given.name,
      command: command.length > 0 ? command : undefined,
      entrypoint: flags.entrypoint === "" ? [] : given.entrypoint === undefined ? undefined : [given.entrypoint],
      env: nonEmpty(await environment(given, env)),
      workdir: given.workdir,
      user: given.user,
      groupAdd: given["group-add"],
      hostname: given.hostname,
      domainname: given.domainname,
      tty: given.tty,
      openStdin: given.interactive,
      labels: await labels(given),
      annotations: annotations(given.annotation),
      pid: given.pid,
      ipc: given.ipc,
      uts: given.uts,
      cgroupns: given.cgroupns,
      userns: given.userns,
      privileged: given.privileged,
      readonlyRootfs: given["read-only"],
      init: given.init,
      capAdd: given["cap-add"]?.map(capability),
      capDrop: given["cap-drop"]?.map(capability),
      securityOpt: await securityOptions(given["security-opt"]),
      sysctls: pairs(given.sysctl, "--sysctl"),
      ulimits: given.ulimit?.map(parseUlimit),
      devices: nonEmpty((given.device ?? []).filter((spec) => !isCdiName(spec)).map(parseDevice)),
      driverRequests: driverRequests(given),
      deviceCgroupRules: given["device-cgroup-rule"]?.map(parseDeviceRule),
      mounts: nonEmpty([
        ...(given.volume ?? []).map((spec) => withDriver(parseVolume(spec, cwd), given["volume-driver"])),
        ...(given.mount ?? []).map((spec) => parseMount(spec, cwd)),
      ]),
      volumesFrom: given["volumes-from"],
      tmpfs: given.tmpfs ? Object.fromEntries(given.tmpfs.map(parseTmpfs)) : undefined,
      secrets: nonEmpty(await Promise.all((given.secret ?? []).map((spec) => parseSecret(spec, context)))),
      shmSize: given["shm-size"],
      resources: resources(given),
      oomScoreAdj: given["oom-score-adj"],
      oomKillDisable: given["oom-kill-disable"],
      restart: given.restart?.name === "no" ? undefined : given.restart,
      health: health(given),
      stopSignal: given["stop-signal"],
      stopTimeout: given["stop-timeout"],
      ...logRequest(given["log-driver"], given["log-opt"]),
      cgroupParent: given["cgroup-parent"],
      runtime: given.runtime?.includes("/") ? absolute(given.runtime, cwd) : given.runtime,
      rootfs: given.rootfs === undefined ? undefined : absolute(given.rootfs, cwd),
    }),
    image,
    ...networkRequest(given),
  };
}

/** `-w ""` is as none at all: scripts give flags whose values are empty. */
export const withoutEmpty = <T extends object>(values: T): T =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== "")) as T;

/** Of the volumes that `-v` names, as with Docker. */
const withDriver = (mount: MountRequest, driver: string | undefined): MountRequest =>
  driver === undefined || mount.type !== "volume" ? mount : { ...mount, driver };

const absolute = (path: string, cwd: string): string => (path.startsWith("/") ? path : `${cwd}/${path}`);

function health(given: Given): HealthCheck | undefined {
  const asked = omitAbsent({
    test: given["health-cmd"] ? ["CMD-SHELL", given["health-cmd"]] : undefined,
    interval: given["health-interval"],
    timeout: given["health-timeout"],
    retries: given["health-retries"],
    startPeriod: given["health-start-period"],
    startInterval: given["health-start-interval"],
  });
  const some = Object.keys(asked).length > 0;
  if (!given["no-healthcheck"]) return some ? asked : undefined;
  if (some) throw new UsageError("--no-healthcheck conflicts with --health-* options");
  return { test: ["NONE"] };
}

/** The limits that were given; undefined if none was. */
export function resources(given: Values<typeof resourceFlags>): Resources | undefined {
  const found = omitAbsent({
    memory: given.memory,
    memorySwap: given["memory-swap"],
    memoryReservation: given["memory-reservation"],
    memorySwappiness: given["memory-swappiness"],
    nanoCpus: given.cpus,
    cpuShares: given["cpu-shares"],
    cpuPeriod: given["cpu-period"],
    cpuQuota: given["cpu-quota"],
    cpuRealtimePeriod: given["cpu-rt-period"],
    cpuRealtimeRuntime: given["cpu-rt-runtime"],
    cpusetCpus: given["cpuset-cpus"],
    cpusetMems: given["cpuset-mems"],
    pidsLimit: given["pids-limit"],
    blkioWeight: given["blkio-weight"],
    blkioWeightDevice: given["blkio-weight-device"],
    deviceReadBps: given["device-read-bps"],
    deviceWriteBps: given["device-write-bps"],
    deviceReadIops: given["device-read-iops"],
    deviceWriteIops: given["device-write-iops"],
    networkReceive: given["network-receive"],
    networkSend: given["network-send"],
  });
  if (found.nanoCpus !== undefined && (found.cpuPeriod !== undefined || found.cpuQuota !== undefined)) {
    throw new UsageError("--cpus says the same as --cpu-period and --cpu-quota: give one or the other");
  }
  return Object.keys(found).length > 0 ? found : undefined;
}

const nonEmpty = <T>(items: T[]): T[] | undefined => (items.length > 0 ? items : undefined);

/** Files first, then -e, as Docker: what comes later wins. */
export async function environment(given: { env?: string[]; "env-file"?: string[] }, env: Context["env"]): Promise<string[]> {
  const found: string[] = [];
  for (const file of given["env-file"] ?? []) found.push(...keyValueLines(await readText(file, "--env-file"), file, env));
  for (const pair of given.env ?? []) {
    if (pair === "" || pair.startsWith("=")) throw new UsageError(`-e "${pair}": write NAME=VALUE or NAME`);
    const known = fromEnvironment(pair, env);
    if (known !== undefined) found.push(known);
  }
  return found;
}

async function labels(given: Given): Promise<Record<string, string> | undefined> {
  const lines: string[] = [];
  for (const file of given["label-file"] ?? []) {
    lines.push(...keyValueLines(await readText(file, "--label-file"), file, new Proxy({}, { get: () => "" })));
  }
  lines.push(...(given.label ?? []));
  return labelsOf(lines);
}

function driverRequests({ gpus, device = [] }: Given): DriverRequest[] | undefined {
  const ids = device.filter(isCdiName);
  return nonEmpty([...(gpus ? [gpus] : []), ...(ids.length > 0 ? [{ driver: "cdi", ids }] : [])]);
}

/** As Docker: a key alone has an empty value. */
const annotations = (given: readonly string[] | undefined): Record<string, string> | undefined =>
  given && Object.fromEntries(given.map((pair) => pair.split(/=(.*)/s)).map(([key = "", value = ""]) => [key, value]));

/** "net_admin" and "CAP_NET_ADMIN" are the same; ALL stays. */
export function capability(name: string): string {
  const upper = name.toUpperCase();
  if (!/^[A-Z_]+$/.test(upper)) throw new UsageError(`"${name}" is not a capability; see capabilities(7), as in NET_ADMIN`);
  return upper === "ALL" || upper.startsWith("CAP_") ? upper : `CAP_${upper}`;
}

/** A seccomp profile named by file is read here, where its path means something, and travels as JSON. */
async function securityOptions(options: readonly string[] | undefined): Promise<string[] | undefined> {
  if (!options) return undefined;
  return Promise.all(
    options.map(async (option) => {
      const [, profile] = /^seccomp[=:](.*)$/s.exec(option) ?? [];
      if (profile === undefined || profile === "unconfined" || profile === "builtin" || profile.startsWith("{")) return option;
      const content = await readText(profile, "--security-opt seccomp");
      try {
        return `seccomp=${JSON.stringify(JSON.parse(content))}`;
      } catch {
        throw new UsageError(`--security-opt seccomp=${profile}: the file is not JSON`);
      }
    }),
  );
}

const limits = "as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack".split(" ");

/** "nofile=1024:2048", "core=unlimited". -1: unlimited. Throws UsageError. */
export function parseUlimit(spec: string): Ulimit {
  const [, name = "", soft = "", hard = soft] = /^(\w+)=(-1|\d+|unlimited)(?::(-1|\d+|unlimited))?$/.exec(spec) ?? [];
  const number = (text: string): number => (text === "unlimited" ? -1 : Number(text));
  if (!limits.includes(name))
    throw new UsageError(`--ulimit "${spec}": write NAME=SOFT[:HARD] with a NAME of ${limits.join(", ")}`);
  const limit = { name, soft: number(soft), hard: number(hard) };
  if (limit.hard !== -1 && (limit.soft === -1 || limit.soft > limit.hard)) {
    throw new UsageError(`--ulimit "${spec}": the soft limit is above the hard one`);
  }
  return limit;
}

/** "/dev/fuse", "/dev/sda:/dev/xvda:r". Throws UsageError. */
export function parseDevice(spec: string): DeviceRequest {
  const parts = spec.split(":");
  const isAccess = (text: string | undefined): text is string => text !== undefined && /^[rwm]{1,3}$/.test(text);
  const access = parts.length > 1 && isAccess(parts.at(-1)) ? parts.pop()! : "rwm";
  const [hostPath = "", containerPath = hostPath] = parts;
  if (parts.length > 2 || !hostPath.startsWith("/") || !containerPath.startsWith("/")) {
    throw new UsageError(`--device "${spec}": write HOST[:PATH[:rwm]] with absolute paths`);
  }
  return { hostPath, containerPath, access };
}

function parseDeviceRule(rule: string): string {
  if (/^[acb] (\d+|\*):(\d+|\*) [rwm]{1,3}$/.test(rule)) return rule;
  throw new UsageError(`--device-cgroup-rule "${rule}": write TYPE MAJOR:MINOR ACCESS, as in 'c 42:* rmw'`);
}

/** What belongs to which driver the engine knows, and which driver is meant where none is named. Throws UsageError for bounds that are none. */
export function logRequest(
  driver: LogConfig["driver"] | undefined,
  options: readonly string[] | undefined,
): Pick<ContainerRequest, "log" | "logOptions"> {
  if (!driver && !options) return {};
  const given = pairs(options, "--log-opt") ?? {};
  try {
    const log = logConfigOf(driver, given);
    return driver ? { log } : { logOptions: given };
  } catch (error) {
    throw new UsageError(`--log-opt ${messageOf(error)}`);
  }
}
