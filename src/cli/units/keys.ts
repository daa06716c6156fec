/**
 * The keys of Podman's unit files, podman-systemd.unit(5), and what becomes of each. docs/systemd.md has them as a table. Pure.
 *
 * `flag`: one flag for each value; `words`: one for each word of the values, which are written as in a shell; `last`: one flag, the
 * last value; `switch`: a flag for a value that is true; `own`: read where the service is made; `refused`: not to be had.
 */
export type UnitKey =
  | { readonly kind: "flag" | "words" | "last" | "switch"; readonly flag: string; readonly note: string }
  | { readonly kind: "own"; readonly note: string }
  | { readonly kind: "refused"; readonly note: string };

const flag = (name: string, note = ""): UnitKey => ({ kind: "flag", flag: name, note });
const words = (name: string, note = ""): UnitKey => ({ kind: "words", flag: name, note });
const last = (name: string, note = ""): UnitKey => ({ kind: "last", flag: name, note });
const when = (name: string, note = ""): UnitKey => ({ kind: "switch", flag: name, note });
const own = (note: string): UnitKey => ({ kind: "own", note });
const refused = (note: string): UnitKey => ({ kind: "refused", note });

const mappings = refused("each container has a range of ids of its own; UserNS=host gives it none");
const startup = refused("there is one health check, with a start period");
const healthLog = refused("the last results are kept, as with Docker: inspect");
const noPods = refused("there are no pods");
const labels = refused("the whole label is given: PodmanArgs=--security-opt label=...");
const again = refused("what will pass is tried five times");
const credentials = refused("credentials are those of onggi login: credentials.md");
const module = refused("there is no containers.conf");
const global = own("words before the command");
const more = own("more words of the command, for what has no key");
const service = own("the service's name without .service");

const container: Readonly<Record<string, UnitKey>> = {
  AddCapability: words("--cap-add"),
  AddDevice: own("--device; `-` before it: if it is there"),
  AddHost: flag("--add-host"),
  Annotation: words("--annotation"),
  AutoUpdate: own("the label io.containers.autoupdate, which nothing here looks at"),
  CgroupsMode: refused("a container's cgroup is the engine's"),
  ContainerName: own("--name; absent: systemd-%N"),
  ContainersConfModule: module,
  DNS: flag("--dns"),
  DNSOption: flag("--dns-option"),
  DNSSearch: flag("--dns-search"),
  DropCapability: words("--cap-drop"),
  Entrypoint: last("--entrypoint"),
  Environment: words("-e"),
  EnvironmentFile: own("--env-file, relative to the unit file"),
  EnvironmentHost: refused("a service's environment is no container's business: name it with Environment="),
  Exec: own("the command and its arguments"),
  ExposeHostPort: flag("--expose"),
  GIDMap: mappings,
  GlobalArgs: global,
  Group: own("with User, --user USER:GROUP"),
  GroupAdd: flag("--group-add"),
  HealthCmd: last("--health-cmd"),
  HealthInterval: last("--health-interval"),
  HealthLogDestination: healthLog,
  HealthMaxLogCount: healthLog,
  HealthMaxLogSize: healthLog,
  HealthOnFailure: own("`none` alone: PodmanArgs=--restart on-unhealthy restarts it"),
  HealthRetries: last("--health-retries"),
  HealthStartPeriod: last("--health-start-period"),
  HealthStartupCmd: startup,
  HealthStartupInterval: startup,
  HealthStartupRetries: startup,
  HealthStartupSuccess: startup,
  HealthStartupTimeout: startup,
  HealthTimeout: last("--health-timeout"),
  HostName: last("--hostname"),
  IP: last("--ip"),
  IP6: last("--ip6"),
  Image: own("an image's name, or NAME.image"),
  Label: words("--label"),
  LogDriver: own("--log-driver; `passthrough`: the engine's; what is said goes to the service's journal in any case"),
  LogOpt: flag("--log-opt"),
  Mask: refused("what Docker masks is masked"),
  Memory: last("--memory"),
  Mount: own("--mount; source=NAME.volume, NAME.image"),
  Network: own("--network; NAME.network, NAME.container"),
  NetworkAlias: flag("--network-alias"),
  NoNewPrivileges: when("--security-opt=no-new-privileges"),
  Notify: own("`healthy`: started when it is; `yes`, by the container itself, is refused"),
  PidsLimit: last("--pids-limit"),
  Pod: noPods,
  PodmanArgs: more,
  PublishPort: flag("--publish"),
  Pull: own("--pull; `newer` is refused"),
  ReadOnly: own("--read-only, with tmpfs on /run, /tmp and /var/tmp"),
  ReadOnlyTmpfs: own("false: without those"),
  ReloadCmd: own("what systemctl reload runs in the container"),
  ReloadSignal: own("the signal that it sends"),
  RemapGid: mappings,
  RemapUid: mappings,
  RemapUidSize: mappings,
  RemapUsers: mappings,
  Retry: again,
  RetryDelay: again,
  Rootfs: own("--rootfs, in place of Image"),
  RunInit: when("--init"),
  SeccompProfile: own("--security-opt seccomp=..."),
  Secret: refused("secrets are files: PodmanArgs=--secret id=NAME,src=FILE"),
  SecurityLabelDisable: when("--security-opt=label=disable"),
  SecurityLabelFileType: labels,
  SecurityLabelLevel: labels,
  SecurityLabelNested: labels,
  SecurityLabelType: labels,
  ServiceName: service,
  ShmSize: last("--shm-size"),
  StartWithPod: noPods,
  StopSignal: last("--stop-signal"),
  StopTimeout: last("--stop-timeout"),
  SubGIDMap: mappings,
  SubUIDMap: mappings,
  Sysctl: words("--sysctl"),
  Timezone: refused("Environment=TZ=... says it to the container"),
  Tmpfs: flag("--tmpfs"),
  UIDMap: mappings,
  Ulimit: flag("--ulimit"),
  Unmask: own("`ALL`: --security-opt systempaths=unconfined; single paths are refused"),
  User: own("--user"),
  UserNS: own("`host`, `auto` and `private`"),
  VolatileTmp: own("a tmpfs of 512 MB on /tmp"),
  Volume: own("-v; NAME.volume, and paths relative to the unit file"),
  WorkingDir: last("--workdir"),
};

const network: Readonly<Record<string, UnitKey>> = {
  ContainersConfModule: module,
  DNS: refused("its containers' name server asks the host's; theirs: DNS= of the container"),
  DisableDNS: refused("its containers are found by their names"),
  Driver: last("--driver"),
  Gateway: own("--gateway, one for each Subnet"),
  GlobalArgs: global,
  IPAMDriver: own("`host-local` alone"),
  IPRange: own("--ip-range, one for each Subnet"),
  IPv6: when("--ipv6"),
  InterfaceName: own("--opt com.docker.network.bridge.name="),
  Internal: when("--internal"),
  Label: words("--label"),
  NetworkDeleteOnStop: own("it goes with its service"),
  NetworkName: own("absent: systemd-%N without -network"),
  Options: words("--opt"),
  PodmanArgs: more,
  ServiceName: service,
  Subnet: own("--subnet"),
};

const volume: Readonly<Record<string, UnitKey>> = {
  ContainersConfModule: module,
  Copy: own("false is refused: say nocopy where it is mounted"),
  Device: own("--opt device="),
  Driver: own("`local` alone"),
  GlobalArgs: global,
  Group: own("--opt o=gid="),
  Image: refused("a volume has no image's files: Mount=type=image of a container"),
  Label: words("--label"),
  Options: own("--opt o="),
  PodmanArgs: more,
  ServiceName: service,
  Type: own("--opt type="),
  User: own("--opt o=uid="),
  VolumeName: own("absent: systemd-%N without -volume"),
};

const image: Readonly<Record<string, UnitKey>> = {
  AllTags: when("--all-tags"),
  Arch: own("--platform"),
  AuthFile: credentials,
  CertDir: refused("registries.toml says it"),
  ContainersConfModule: module,
  Creds: credentials,
  DecryptionKey: refused("images are not encrypted here"),
  GlobalArgs: global,
  Image: own("what is pulled"),
  ImageTag: own("what NAME.image means in place of Image"),
  OS: own("--platform"),
  PodmanArgs: more,
  Retry: again,
  RetryDelay: again,
  ServiceName: service,
  TLSVerify: refused("registries.toml says it"),
  Variant: own("--platform"),
};

export type UnitType = "container" | "network" | "volume" | "image";

export const unitTypes: Readonly<
  Record<UnitType, { readonly section: string; readonly keys: Readonly<Record<string, UnitKey>> }>
> = {
  container: { section: "Container", keys: container },
  network: { section: "Network", keys: network },
  volume: { section: "Volume", keys: volume },
  image: { section: "Image", keys: image },
};

/** Unit files of Podman's that are none here. */
export const otherTypes: Readonly<Record<string, string>> = {
  pod: "there are no pods",
  kube: "Kubernetes' files are for a kubelet, over CRI",
  build: "images are built before: onggi build",
};
