/** What `POST /containers/create` takes: Docker's Config, HostConfig and NetworkingConfig. */
import { anything, flag, integer, list, map, nullable, object, text, word, words } from "../schema.ts";

export const healthcheck = object({
  Test: list(text(), '["NONE"], ["CMD", word...] or ["CMD-SHELL", line]'),
  Interval: integer("nanoseconds"),
  Timeout: integer("nanoseconds"),
  Retries: integer(),
  StartPeriod: integer("nanoseconds"),
  StartInterval: integer("nanoseconds"),
});

export const restartPolicy = object({
  Name: word(["no", "always", "unless-stopped", "on-failure", "on-unhealthy"]),
  MaximumRetryCount: integer(),
});

const deviceRates = (unit: string) => list(object({ Path: text("/dev/sda"), Rate: integer(`${unit} per second; 0: no limit`) }));

/** What `update` can change, too. */
export const resourceFields = {
  Memory: integer("bytes; 0: no limit"),
  MemorySwap: integer("with memory, bytes; -1: no limit"),
  MemoryReservation: integer("bytes"),
  MemorySwappiness: integer("0 to 100; cgroup v1 only"),
  NanoCpus: integer("billionths of a CPU"),
  CpuShares: integer(),
  CpuPeriod: integer("microseconds"),
  CpuQuota: integer("microseconds"),
  CpuRealtimePeriod: integer("microseconds; cgroup v1 only"),
  CpuRealtimeRuntime: integer("microseconds"),
  CpusetCpus: text("0-2,7"),
  CpusetMems: text(),
  PidsLimit: integer("-1 or 0: no limit"),
  BlkioWeight: integer("10 to 1000"),
  BlkioWeightDevice: list(object({ Path: text("/dev/sda"), Weight: integer("10 to 1000") })),
  BlkioDeviceReadBps: deviceRates("bytes"),
  BlkioDeviceWriteBps: deviceRates("bytes"),
  BlkioDeviceReadIOps: deviceRates("operations"),
  BlkioDeviceWriteIOps: deviceRates("operations"),
  KernelMemory: integer(),
  CgroupParent: text(),
};

const device = object({ PathOnHost: text(), PathInContainer: text(), CgroupPermissions: text() });

const deviceRequest = object({
  Driver: text('"cdi", "nvidia"; absent: whichever can'),
  Count: integer("-1: all"),
  DeviceIDs: list(text(), "with cdi as vendor.com/class=name"),
  Capabilities: list(list(text()), "one of these lists in whole"),
  Options: map(text()),
});

const mount = object({
  Type: word(["bind", "volume", "tmpfs", "image"]),
  Source: text(),
  Target: text(),
  ReadOnly: flag(),
  Consistency: text(),
  BindOptions: object({
    Propagation: text(),
    NonRecursive: flag(),
    CreateMountpoint: flag(),
    ReadOnlyNonRecursive: flag(),
    ReadOnlyForceRecursive: flag(),
  }),
  VolumeOptions: object({
    NoCopy: flag(),
    Labels: map(text()),
    DriverConfig: object({ Name: text(), Options: map(text()) }),
    Subpath: text(),
  }),
  TmpfsOptions: object({ SizeBytes: integer(), Mode: integer(), Options: list(list(text())) }),
  ImageOptions: object({ Subpath: text() }),
});

export const endpointConfig = object({
  IPAMConfig: object({ IPv4Address: text(), IPv6Address: text(), LinkLocalIPs: list(text()) }),
  Links: list(text()),
  Aliases: list(text()),
  MacAddress: text(),
  DriverOpts: map(text()),
  GwPriority: integer(),
  NetworkID: text(),
});

export const hostConfig = object({
  ...resourceFields,
  Binds: list(text("SOURCE:TARGET[:OPTIONS]")),
  Mounts: list(mount),
  VolumesFrom: list(text()),
  VolumeDriver: text(),
  Tmpfs: map(text()),
  NetworkMode: text(),
  PortBindings: map(nullable(list(object({ HostIp: text(), HostPort: text() })))),
  PublishAllPorts: flag(),
  Dns: list(text()),
  DnsSearch: list(text()),
  DnsOptions: list(text()),
  ExtraHosts: list(text()),
  Links: list(text()),
  RestartPolicy: restartPolicy,
  AutoRemove: flag(),
  Annotations: map(text("of the OCI specification")),
  LogConfig: object({ Type: text(), Config: map(text()) }),
  CapAdd: list(text()),
  CapDrop: list(text()),
  GroupAdd: list(text()),
  Privileged: flag(),
  ReadonlyRootfs: flag(),
  SecurityOpt: list(text()),
  Sysctls: map(text()),
  CgroupnsMode: text(),
  Cgroup: text(),
  IpcMode: text(),
  PidMode: text(),
  UTSMode: text(),
  UsernsMode: text(),
  Devices: list(device),
  DeviceCgroupRules: list(text()),
  DeviceRequests: list(deviceRequest),
  Ulimits: list(object({ Name: text(), Soft: integer(), Hard: integer() })),
  ShmSize: integer("bytes"),
  OomScoreAdj: integer(),
  OomKillDisable: flag(),
  Init: flag(),
  Runtime: text(),
  Isolation: text(),
  StorageOpt: map(text()),
  MaskedPaths: list(text(), "null: the usual ones"),
  ReadonlyPaths: list(text(), "null: the usual ones"),
});

export const createConfig = object({
  Image: text(),
  Cmd: words(),
  Entrypoint: words(),
  Env: list(text()),
  User: text(),
  WorkingDir: text(),
  Hostname: text(),
  Domainname: text(),
  Labels: map(text()),
  Tty: flag(),
  OpenStdin: flag(),
  StdinOnce: flag(),
  AttachStdin: flag(),
  AttachStdout: flag(),
  AttachStderr: flag(),
  ExposedPorts: map(anything()),
  Volumes: map(anything()),
  StopSignal: text(),
  StopTimeout: integer("seconds"),
  Healthcheck: healthcheck,
  MacAddress: text("of the first network"),
  NetworkDisabled: flag(),
  HostConfig: hostConfig,
  NetworkingConfig: object({ EndpointsConfig: map(nullable(endpointConfig)) }),
});
