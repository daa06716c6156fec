import type {
  ContainerInfo,
  ContainerRequest,
  DeviceLimit,
  DiskUsage,
  Endpoint,
  HealthCheck,
  HealthState,
  LogConfig,
  MountPoint,
  MountRequest,
} from "../../engine/types.ts";

/**
 * Containers under the names Docker's API gives them (Docker Engine API v1.41, ContainerInspect), with what only onggi knows under
 * "Onggi".
 */

/** What it takes of the disk: alone, and with its image. */
export function containerSizes({ id, imageId }: ContainerInfo, usage: DiskUsage): { SizeRw: number; SizeRootFs: number } {
  const own = usage.containers.find((container) => container.id === id)?.size ?? 0;
  return { SizeRw: own, SizeRootFs: own + (usage.images.find((image) => image.id === imageId)?.size ?? 0) };
}

export function dockerContainer(info: ContainerInfo): object {
  const { state, request } = info;
  return {
    Id: info.id,
    Created: info.created,
    Path: info.args[0] ?? "",
    Args: info.args.slice(1),
    State: {
      Status: state.status,
      Running: ["running", "paused", "restarting"].includes(state.status),
      Paused: state.status === "paused",
      Restarting: state.status === "restarting",
      OOMKilled: state.oomKilled,
      Dead: state.status === "dead",
      Pid: state.pid,
      ExitCode: state.exitCode,
      Error: state.error,
      StartedAt: state.startedAt,
      FinishedAt: state.finishedAt,
      ...(info.health ? { Health: healthState(info.health) } : {}),
    },
    Image: info.imageId,
    ResolvConfPath: `${info.directory}/resolv.conf`,
    HostnamePath: `${info.directory}/hostname`,
    HostsPath: `${info.directory}/hosts`,
    LogPath: info.logPath,
    Name: `/${info.name}`,
    RestartCount: info.restartCount,
    Driver: "onggi",
    Platform: "linux",
    MountLabel: "",
    ProcessLabel: "",
    AppArmorProfile: "",
    ExecIDs: null,
    HostConfig: { ...hostConfig(info), Links: info.links.length > 0 ? info.links : null, Runtime: info.runtime },
    GraphDriver: { Name: "onggi", Data: null },
    Mounts: info.mounts.map(mountPoint),
    Config: config(info),
    NetworkSettings: networkSettings(info),
    Onggi: {
      Isolation: { UserNamespace: info.isolation.userns, Reason: info.isolation.reason },
      IdMap: info.idMap ? { HostId: info.idMap.hostId, Size: info.idMap.size } : null,
      CgroupPath: info.cgroupPath,
      ...(request.rootfs === undefined ? {} : { Rootfs: request.rootfs }),
    },
  };
}

const healthState = ({ status, failingStreak, log }: HealthState): object => ({
  Status: status,
  FailingStreak: failingStreak,
  Log: log.map(({ start, end, exitCode, output }) => ({ Start: start, End: end, ExitCode: exitCode, Output: output })),
});

const hostConfig = ({ request, systemPaths }: ContainerInfo): object => ({
  Binds: (request.mounts ?? []).filter((mount) => !isLong(mount) && mount.source).map(bindText),
  ...((request.mounts ?? []).some(isLong) ? { Mounts: (request.mounts ?? []).filter(isLong).map(mountShape) } : {}),
  VolumesFrom: request.volumesFrom ?? null,
  LogConfig: logConfig(request.log),
  NetworkMode: request.network ?? request.networks?.[0]?.network ?? "bridge",
  PortBindings: portBindings(request),
  PublishAllPorts: request.publishAll ?? false,
  Dns: request.dns ?? [],
  DnsSearch: request.dnsSearch ?? [],
  DnsOptions: request.dnsOptions ?? [],
  ExtraHosts: request.extraHosts ?? null,
  RestartPolicy: {
    Name: request.restart?.name ?? "no",
    MaximumRetryCount: request.restart?.maximumRetryCount ?? 0,
  },
  AutoRemove: request.autoRemove ?? false,
  ...(request.annotations ? { Annotations: request.annotations } : {}),
  CgroupParent: request.cgroupParent ?? "",
  ...(request.init === undefined ? {} : { Init: request.init }),
  Tmpfs: request.tmpfs ?? {},
  ShmSize: request.shmSize ?? 64 * 1024 * 1024,
  OomScoreAdj: request.oomScoreAdj ?? 0,
  OomKillDisable: request.oomKillDisable ?? false,
  ...isolation(request),
  MaskedPaths: systemPaths.maskedPaths ?? null,
  ReadonlyPaths: systemPaths.readonlyPaths ?? null,
  ...limits(request),
});

const logConfig = (log: LogConfig = { driver: "json-file", maxSize: 0, maxFiles: 1 }): object => ({
  Type: log.driver,
  Config: {
    ...(log.maxSize > 0 ? { "max-size": String(log.maxSize), "max-file": String(log.maxFiles) } : {}),
    ...log.options,
  },
});

const isolation = (request: ContainerRequest): object => ({
  CapAdd: request.capAdd ?? null,
  CapDrop: request.capDrop ?? null,
  GroupAdd: request.groupAdd ?? null,
  SecurityOpt: securityOptions(request.securityOpt),
  Sysctls: request.sysctls ?? {},
  CgroupnsMode: request.cgroupns ?? "private",
  IpcMode: request.ipc ?? "private",
  PidMode: request.pid ?? "",
  UTSMode: request.uts ?? "",
  UsernsMode: request.userns === "host" ? "host" : "",
  Privileged: request.privileged ?? false,
  ReadonlyRootfs: request.readonlyRootfs ?? false,
  Devices: (request.devices ?? []).map(({ hostPath, containerPath, access }) => ({
    PathOnHost: hostPath,
    PathInContainer: containerPath,
    CgroupPermissions: access,
  })),
  DeviceCgroupRules: request.deviceCgroupRules ?? null,
  DeviceRequests:
    request.driverRequests?.map(({ driver = "", count = 0, ids, capabilities, options }) => ({
      Driver: driver,
      Count: count,
      DeviceIDs: ids ?? null,
      Capabilities: capabilities ?? null,
      Options: options ?? {},
    })) ?? null,
});

/** Without the one that Docker says by its lists of paths. */
function securityOptions(options: readonly string[] = []): string[] | null {
  const shown = options.filter((option) => !/^systempaths[=:]/.test(option));
  return shown.length > 0 ? shown : null;
}
const deviceRates = (limits: readonly DeviceLimit[] = []): object[] =>
  limits.map(({ path, value }) => ({ Path: path, Rate: value }));

const limits = ({ resources = {}, ulimits = [] }: ContainerRequest): object => ({
  Memory: resources.memory ?? 0,
  MemorySwap: resources.memorySwap || 2 * (resources.memory ?? 0),
  MemoryReservation: resources.memoryReservation ?? 0,
  NanoCpus: resources.nanoCpus ?? 0,
  CpuShares: resources.cpuShares ?? 0,
  CpuPeriod: resources.cpuPeriod ?? 0,
  CpuQuota: resources.cpuQuota ?? 0,
  CpuRealtimePeriod: resources.cpuRealtimePeriod ?? 0,
  CpuRealtimeRuntime: resources.cpuRealtimeRuntime ?? 0,
  CpusetCpus: resources.cpusetCpus ?? "",
  CpusetMems: resources.cpusetMems ?? "",
  PidsLimit: resources.pidsLimit ?? null,
  MemorySwappiness: resources.memorySwappiness ?? null,
  BlkioWeight: resources.blkioWeight ?? 0,
  BlkioWeightDevice: (resources.blkioWeightDevice ?? []).map(({ path, value }) => ({ Path: path, Weight: value })),
  BlkioDeviceReadBps: deviceRates(resources.deviceReadBps),
  BlkioDeviceWriteBps: deviceRates(resources.deviceWriteBps),
  BlkioDeviceReadIOps: deviceRates(resources.deviceReadIops),
  BlkioDeviceWriteIOps: deviceRates(resources.deviceWriteIops),
  Ulimits: ulimits.map(({ name, soft, hard }) => ({ Name: name, Soft: soft, Hard: hard })),
});

/** What was asked for over what the image says, as it is run. */
const config = ({ id, request, image, imageConfig, healthcheck, args }: ContainerInfo): object => {
  const ports = [
    ...Object.keys(imageConfig?.ExposedPorts ?? {}),
    ...(request.expose ?? []),
    ...(request.publish ?? []).map(({ containerPort, protocol }) => `${containerPort}/${protocol}`),
  ];
  const entrypoint = request.entrypoint ?? imageConfig?.Entrypoint ?? null;
  const attach = request.attach ?? [...(request.stdinOnce ? ["stdin"] : []), "stdout", "stderr"];
  const stopSignal = request.stopSignal ?? imageConfig?.StopSignal;
  return {
    Hostname: request.hostname ?? id.slice(0, 12),
    Domainname: request.domainname ?? "",
    User: request.user ?? imageConfig?.User ?? "",
    AttachStdin: attach.includes("stdin"),
    AttachStdout: attach.includes("stdout"),
    AttachStderr: attach.includes("stderr"),
    ...(ports.length > 0 ? { ExposedPorts: Object.fromEntries(ports.map((port) => [port, {}])) } : {}),
    Tty: request.tty ?? false,
    OpenStdin: request.openStdin ?? false,
    StdinOnce: request.stdinOnce ?? false,
    Env: environment(imageConfig?.Env ?? [], request.env ?? []),
    Cmd: args.length > (entrypoint?.length ?? 0) ? args.slice(entrypoint?.length ?? 0) : null,
    Image: image,
    Volumes: imageConfig?.Volumes ?? null,
    WorkingDir: request.workdir ?? imageConfig?.WorkingDir ?? "",
    Entrypoint: entrypoint,
    OnBuild: null,
    Labels: { ...imageConfig?.Labels, ...request.labels },
    ...(healthcheck ? { Healthcheck: healthcheckConfig(healthcheck) } : {}),
    ...(stopSignal === undefined ? {} : { StopSignal: stopSignal }),
    ...(request.stopTimeout === undefined ? {} : { StopTimeout: request.stopTimeout }),
  };
};

/** What is asked for takes the place of the image's of that name. */
function environment(image: readonly string[], asked: readonly string[]): string[] {
  const nameOf = (pair: string): string => pair.split("=", 1)[0]!;
  const named = new Set(asked.map(nameOf));
  return [...asked, ...image.filter((pair) => !named.has(nameOf(pair)))];
}

const healthcheckConfig = (check: Required<HealthCheck>): object => ({
  Test: check.test,
  Interval: check.interval,
  Timeout: check.timeout,
  StartPeriod: check.startPeriod,
  StartInterval: check.startInterval,
  Retries: check.retries,
});

/** It says what `-v` cannot: it was asked for by `--mount`. */
const isLong = (mount: MountRequest): boolean => {
  const { type, mode, createSource, readonly, nocopy, subpath, driver, driverOptions, labels } = mount;
  if (type === "tmpfs" || type === "image") return true;
  if (type === "bind") return mode === undefined && !createSource;
  return mode === undefined && Boolean(readonly || nocopy || subpath || driver || driverOptions || labels);
};

/** As HostConfig.Mounts has it. */
const mountShape = ({ type, source, target, readonly, options = [], nocopy, ...volume }: MountRequest): object => {
  const { subpath, driver, driverOptions, labels } = volume;
  const propagation = options.find((option) => /^r?(private|shared|slave)$/.test(option));
  const size = options.find((option) => option.startsWith("size="))?.slice("size=".length);
  const driverConfig = { ...(driver ? { Name: driver } : {}), ...(driverOptions ? { Options: driverOptions } : {}) };
  const asked = {
    ...(nocopy ? { NoCopy: true } : {}),
    ...(labels ? { Labels: labels } : {}),
    ...(subpath ? { Subpath: subpath } : {}),
    ...(Object.keys(driverConfig).length > 0 ? { DriverConfig: driverConfig } : {}),
  };
  return {
    Type: type,
    ...(source ? { Source: source } : {}),
    Target: target,
    ...(readonly ? { ReadOnly: true } : {}),
    ...(type === "bind" && propagation ? { BindOptions: { Propagation: propagation } } : {}),
    ...(type === "tmpfs" && /^\d+$/.test(size ?? "") ? { TmpfsOptions: { SizeBytes: Number(size) } } : {}),
    ...(type === "volume" && Object.keys(asked).length > 0 ? { VolumeOptions: asked } : {}),
    ...(type === "image" && subpath ? { ImageOptions: { Subpath: subpath } } : {}),
  };
};

const bindText = ({ source, target, readonly, options = [], mode }: MountRequest): string =>
  [source, target, mode ?? [...(readonly ? ["ro"] : []), ...options].join(",")].filter((part) => part !== "").join(":");

export const mountPoint = ({
  type,
  name,
  source,
  destination,
  readonly,
  options,
  mode,
  subpath,
  imageId,
}: MountPoint): object => ({
  Type: type,
  Name: type === "volume" ? name : "",
  Source: imageId ?? source,
  Destination: destination,
  Driver: type === "volume" ? "local" : "",
  Mode: mode === "" && type !== "tmpfs" ? options.join(",") : mode,
  RW: !readonly,
  Propagation: options.find((option) => /^r?(private|shared|slave)$/.test(option)) ?? (type === "bind" ? "rprivate" : ""),
  ...(subpath === undefined ? {} : { Subpath: subpath }),
});

/** Bindings by the container's port. */
const byPort = <T>(ports: readonly T[], keyOf: (port: T) => string, bindingOf: (port: T) => object): Record<string, object[]> => {
  const found: Record<string, object[]> = {};
  for (const port of ports) found[keyOf(port)] = [...(found[keyOf(port)] ?? []), bindingOf(port)];
  return found;
};

const portBindings = ({ publish = [] }: ContainerRequest): object =>
  byPort(
    publish,
    ({ containerPort, protocol }) => `${containerPort}/${protocol}`,
    ({ hostIp, hostPort, hostPortEnd }) => ({
      HostIp: hostIp,
      HostPort: hostPort === 0 ? "" : hostPort === hostPortEnd ? String(hostPort) : `${hostPort}-${hostPortEnd}`,
    }),
  );

const networkSettings = ({ networks, ports, request, id, name }: ContainerInfo): object => {
  const first = networks.find(({ networkName }) => networkName === "bridge") ?? networks[0];
  const isShared = request.network === "host" || request.network === "none";
  const shared = isShared ? { [request.network!]: sharedEndpoint } : {};
  return {
    Bridge: "",
    SandboxID: id,
    SandboxKey: "",
    HairpinMode: false,
    LinkLocalIPv6Address: "",
    LinkLocalIPv6PrefixLen: 0,
    SecondaryIPAddresses: null,
    SecondaryIPv6Addresses: null,
    EndpointID: first?.attached ? first.id : "",
    Ports: byPort(
      ports,
      ({ containerPort, protocol }) => `${containerPort}/${protocol}`,
      ({ hostIp, hostPort }) => ({ HostIp: hostIp, HostPort: String(hostPort) }),
    ),
    IPAddress: first?.attached?.ipv4 ?? "",
    IPPrefixLen: first?.attached?.ipv4 ? first.attached.ipv4PrefixLength : 0,
    Gateway: first?.attached?.ipv4Gateway ?? "",
    GlobalIPv6Address: first?.attached?.ipv6 ?? "",
    GlobalIPv6PrefixLen: first?.attached?.ipv6 ? first.attached.ipv6PrefixLength : 0,
    IPv6Gateway: first?.attached?.ipv6Gateway ?? "",
    MacAddress: first?.attached?.mac ?? "",
    Networks:
      networks.length > 0
        ? Object.fromEntries(networks.map((endpoint) => [endpoint.networkName, endpointSettings(endpoint, { id, name })]))
        : shared,
  };
};

/** Of the host's network, or of none. */
const sharedEndpoint = {
  IPAMConfig: null,
  Links: null,
  Aliases: null,
  MacAddress: "",
  DriverOpts: null,
  NetworkID: "",
  EndpointID: "",
  Gateway: "",
  IPAddress: "",
  IPPrefixLen: 0,
  IPv6Gateway: "",
  GlobalIPv6Address: "",
  GlobalIPv6PrefixLen: 0,
  DNSNames: null,
};

export const endpointSettings = (
  { id, network, networkName, aliases, links, fixed, attached, gatewayPriority, bandwidth }: Endpoint,
  container: Pick<ContainerInfo, "id" | "name">,
): object => ({
  IPAMConfig:
    fixed.ipv4 === undefined && fixed.ipv6 === undefined
      ? null
      : {
          ...(fixed.ipv4 === undefined ? {} : { IPv4Address: fixed.ipv4 }),
          ...(fixed.ipv6 === undefined ? {} : { IPv6Address: fixed.ipv6 }),
        },
  Links: links ? links.map(({ container, alias }) => `${container}:${alias}`) : null,
  Aliases: aliases.length > 0 ? aliases : null,
  MacAddress: attached?.mac ?? fixed.mac ?? "",
  DriverOpts: null,
  GwPriority: gatewayPriority,
  NetworkID: network,
  EndpointID: attached ? id : "",
  Gateway: attached?.ipv4Gateway ?? "",
  IPAddress: attached?.ipv4 ?? "",
  IPPrefixLen: attached?.ipv4 ? attached.ipv4PrefixLength : 0,
  IPv6Gateway: attached?.ipv6Gateway ?? "",
  GlobalIPv6Address: attached?.ipv6 ?? "",
  GlobalIPv6PrefixLen: attached?.ipv6 ? attached.ipv6PrefixLength : 0,
  // the default network has no names
  DNSNames: networkName === "bridge" ? null : [...new Set([container.name, ...aliases, container.id.slice(0, 12)])],
  Onggi: { ReceiveBytesPerSecond: bandwidth?.receive ?? 0, SendBytesPerSecond: bandwidth?.send ?? 0 },
});
