/** From Docker's create request to the engine's: what cannot be had is refused. */
import type { AttachedStream, ContainerRequest, DriverRequest, HealthCheck, MountRequest } from "../../../engine/types.ts";
import { parseBytes } from "../../../lib/units.ts";
import { parseBind } from "../../shapes/bind.ts";
import { ApiError } from "../errors.ts";
import type { Of } from "../schema.ts";
import type { createConfig, healthcheck, hostConfig } from "./config.ts";
import { networkingOf } from "./networking.ts";
import { resourcesOf } from "./resources.ts";

type Config = Of<typeof createConfig>;
type Host = Of<typeof hostConfig>;
type DeviceRequest = NonNullable<Host["DeviceRequests"]>[number];
type Mount = NonNullable<Host["Mounts"]>[number];

/** Of a log that nothing else is said of: bytes of a file, and files. */
const MOST_LOG = 100 * 2 ** 20;
const MOST_FILES = 3;

/** Throws ApiError, and OnggiError for binds. */
export function containerRequestOf(config: Config, name: string | undefined, platform: string | undefined): ContainerRequest {
  const host = config.HostConfig ?? {};
  if (!config.Image) throw new ApiError(400, "no image specified");
  refuse(host);
  const mounts = mountsOf(config, host);
  const resources = resourcesOf(host);
  const request = {
    image: config.Image,
    platform,
    name,
    command: some(config.Cmd),
    // [""] resets the image's entry point
    entrypoint: config.Entrypoint?.length === 1 && config.Entrypoint[0] === "" ? [] : some(config.Entrypoint),
    env: some(config.Env?.filter((pair) => pair.includes("="))),
    workdir: config.WorkingDir || undefined,
    user: config.User || undefined,
    groupAdd: some(host.GroupAdd),
    hostname: config.Hostname || undefined,
    domainname: config.Domainname || undefined,
    tty: config.Tty || undefined,
    openStdin: config.OpenStdin || undefined,
    stdinOnce: config.StdinOnce || undefined,
    attach: attachOf(config),
    labels: filled(config.Labels),
    autoRemove: host.AutoRemove || undefined,
    annotations: filled(host.Annotations),
    restart: restartOf(host),
    health: healthOf(config.Healthcheck),
    pid: host.PidMode || undefined,
    ipc: host.IpcMode || undefined,
    uts: host.UTSMode || undefined,
    cgroupns: cgroupnsOf(host.CgroupnsMode),
    userns: host.UsernsMode || undefined,
    privileged: host.Privileged || undefined,
    readonlyRootfs: host.ReadonlyRootfs || undefined,
    init: host.Init ?? undefined,
    capAdd: some(host.CapAdd?.map(capability)),
    capDrop: some(host.CapDrop?.map(capability)),
    securityOpt: some(host.SecurityOpt),
    maskedPaths: host.MaskedPaths,
    readonlyPaths: host.ReadonlyPaths,
    sysctls: host.Sysctls,
    ulimits: host.Ulimits?.map(({ Name = "", Soft = 0, Hard = 0 }) => ({ name: Name, soft: Soft, hard: Hard })),
    devices: host.Devices?.map(({ PathOnHost = "", PathInContainer, CgroupPermissions }) => ({
      hostPath: PathOnHost,
      containerPath: PathInContainer || PathOnHost,
      access: CgroupPermissions || "rwm",
    })),
    deviceCgroupRules: some(host.DeviceCgroupRules),
    driverRequests: some(host.DeviceRequests?.map(driverRequest)),
    mounts: some(mounts),
    volumesFrom: some(host.VolumesFrom),
    tmpfs: filled(host.Tmpfs),
    shmSize: host.ShmSize || undefined,
    resources: Object.keys(resources).length > 0 ? resources : undefined,
    oomScoreAdj: host.OomScoreAdj || undefined,
    oomKillDisable: host.OomKillDisable || undefined,
    stopSignal: config.StopSignal || undefined,
    stopTimeout: config.StopTimeout,
    ...logOf(host.LogConfig),
    cgroupParent: host.CgroupParent || undefined,
    runtime: host.Runtime || undefined,
    ...networkingOf(config),
  };
  return Object.fromEntries(Object.entries(request).filter(([, value]) => value !== undefined)) as unknown as ContainerRequest;
}

const some = <T>(items: T[] | undefined): T[] | undefined => (items && items.length > 0 ? items : undefined);

const filled = <T extends object>(table: T | undefined): T | undefined =>
  table && Object.keys(table).length > 0 ? table : undefined;

function refuse(host: Host): void {
  const no = (field: string, why: string): never => {
    throw new ApiError(400, `HostConfig.${field} is not supported: ${why}`);
  };
  if (host.StorageOpt && Object.keys(host.StorageOpt).length > 0) no("StorageOpt", "containers share the disk of the data root");
  if (host.Isolation && host.Isolation !== "default") no("Isolation", "that is for Windows");
  if (host.Cgroup) no("Cgroup", "a container has a cgroup of its own");
}

function attachOf({ AttachStdin, AttachStdout, AttachStderr }: Config): AttachedStream[] {
  const asked: [AttachedStream, boolean | undefined][] = [
    ["stdin", AttachStdin],
    ["stdout", AttachStdout],
    ["stderr", AttachStderr],
  ];
  return asked.filter(([, wanted]) => wanted).map(([stream]) => stream);
}

const driverRequest = ({ Driver, Count, DeviceIDs, Capabilities, Options }: DeviceRequest): DriverRequest => ({
  ...(Driver ? { driver: Driver } : {}),
  ...(Count ? { count: Count } : {}),
  ...(DeviceIDs?.length ? { ids: DeviceIDs } : {}),
  ...(Capabilities?.length ? { capabilities: Capabilities } : {}),
  ...(filled(Options) ? { options: Options } : {}),
});

function capability(name: string): string {
  const upper = name.toUpperCase();
  return upper === "ALL" || upper.startsWith("CAP_") ? upper : `CAP_${upper}`;
}

function cgroupnsOf(mode: string | undefined): "private" | "host" | undefined {
  if (!mode) return undefined;
  if (mode === "private" || mode === "host") return mode;
  throw new ApiError(400, `invalid cgroup namespace mode: ${mode}`);
}

function restartOf({ RestartPolicy: policy = {} }: Host): ContainerRequest["restart"] {
  const { Name: name = "", MaximumRetryCount: count = 0 } = policy;
  return name === "" || name === "no" ? undefined : { name, maximumRetryCount: count };
}

function healthOf(check: Of<typeof healthcheck> | undefined): HealthCheck | undefined {
  if (!check) return undefined;
  const found: Record<string, unknown> = {
    test: some(check.Test),
    interval: check.Interval || undefined,
    timeout: check.Timeout || undefined,
    retries: check.Retries || undefined,
    startPeriod: check.StartPeriod || undefined,
    startInterval: check.StartInterval || undefined,
  };
  const given = Object.entries(found).filter(([, value]) => value !== undefined);
  return given.length > 0 ? (Object.fromEntries(given) as HealthCheck) : undefined;
}

const drivers = ["json-file", "local", "cri", "journald", "syslog", "none"] as const;

/** The options themselves the engine looks at. */
function logOf(given: Host["LogConfig"]): Pick<ContainerRequest, "log" | "logOptions"> {
  const { Type: asked = "", Config: options = {} } = given ?? {};
  if (asked === "") return Object.keys(options).length === 0 ? {} : { logOptions: options };
  const driver = drivers.find((one) => one === asked);
  if (!driver) throw new ApiError(400, `logger: no log driver named '${asked}' is registered`);
  const size = options["max-size"] ?? options["cache-max-size"];
  const files = options["max-file"] ?? options["cache-max-file"];
  if (files !== undefined && !/^[1-9]\d*$/.test(files)) throw new ApiError(400, `max-file: ${files} is no number from 1 on`);
  const log = {
    driver,
    maxSize: size === undefined ? MOST_LOG : size === "-1" ? 0 : parseBytes(size, "log-opt max-size"),
    // a size alone means one file
    maxFiles: files === undefined ? (size === undefined ? MOST_FILES : 1) : Number(files),
    ...(Object.keys(options).length > 0 ? { options } : {}),
  };
  return { log };
}

function mountsOf(config: Config, host: Host): MountRequest[] {
  const binds = (host.Binds ?? []).map((spec): MountRequest => {
    const mount = parseBind(spec, "/");
    return mount.type === "volume" && host.VolumeDriver ? { ...mount, driver: host.VolumeDriver } : mount;
  });
  const mounts = (host.Mounts ?? []).map(mountOf);
  const taken = new Set([...binds, ...mounts].map(({ target }) => target));
  // a volume for every path that nothing else is mounted on
  const anonymous = Object.keys(config.Volumes ?? {})
    .map((spec) => (spec.includes(":") ? parseBind(spec, "/") : { type: "volume" as const, target: spec }))
    .filter(({ target }) => !taken.has(target));
  return [...binds, ...mounts, ...anonymous];
}

function mountOf(given: Mount): MountRequest {
  const {
    Type: type = "",
    Source,
    Target: target = "",
    ReadOnly,
    BindOptions,
    VolumeOptions,
    TmpfsOptions,
    ImageOptions,
  } = given;
  if (type === "") throw new ApiError(400, "invalid mount config: the type is missing");
  if (target === "") throw new ApiError(400, "invalid mount config: field Target must not be empty");
  if (type === "tmpfs" && Source)
    throw new ApiError(400, 'invalid mount config for type "tmpfs": field Source must not be specified');
  const options = [
    ...(BindOptions?.Propagation ? [BindOptions.Propagation] : []),
    ...(BindOptions?.NonRecursive ? ["bind"] : []),
    ...(TmpfsOptions?.SizeBytes ? [`size=${TmpfsOptions.SizeBytes}`] : []),
    ...(TmpfsOptions?.Mode ? [`mode=${TmpfsOptions.Mode.toString(8)}`] : []),
    ...(TmpfsOptions?.Options ?? []).map((pair) => pair.join("=")),
  ];
  const subpath = VolumeOptions?.Subpath || ImageOptions?.Subpath;
  const driver = VolumeOptions?.DriverConfig;
  return {
    type,
    target,
    ...(Source ? { source: Source } : {}),
    ...(ReadOnly ? { readonly: true } : {}),
    ...(options.length > 0 ? { options } : {}),
    ...(BindOptions?.CreateMountpoint ? { createSource: true } : {}),
    ...(BindOptions?.ReadOnlyNonRecursive ? { readonlyBelow: "writable" as const } : {}),
    ...(VolumeOptions?.NoCopy ? { nocopy: true } : {}),
    ...(subpath ? { subpath } : {}),
    ...(driver?.Name ? { driver: driver.Name } : {}),
    ...(driver?.Options ? { driverOptions: driver.Options } : {}),
    ...(VolumeOptions?.Labels ? { labels: VolumeOptions.Labels } : {}),
  };
}
