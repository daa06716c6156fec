import { readFileSync } from "node:fs";
import { availableParallelism, hostname, machine, totalmem } from "node:os";
import type { Configuration, Engine } from "../../engine/index.ts";
import { nowNs, rfc3339 } from "../../lib/time.ts";

/** What Docker's clients are told of registries; this machine's own are always insecure. */
function registryConfig({ insecure, mirrors }: Configuration["registries"]): Record<string, unknown> {
  const index = (Name: string, Secure: boolean, Mirrors: readonly string[]) => ({ Name, Mirrors, Secure, Official: Secure });
  const hosts = insecure.filter((name) => !name.includes("/"));
  const cidrs = insecure.filter((name) => name.includes("/"));
  const all = [...hosts.map((name) => index(name, false, [])), index("docker.io", true, mirrors)];
  return {
    IndexConfigs: Object.fromEntries(all.map((one) => [one.Name, one])),
    InsecureRegistryCIDRs: [...cidrs, "::1/128", "127.0.0.0/8"],
    Mirrors: mirrors,
  };
}

const withoutCredentials = (url: string): string => url.replace(/\/\/[^/@\s]+@/, "//xxxxx:xxxxx@");

/** Words of `docker info`. */
function securityOptions({ seccomp, noNewPrivileges }: Configuration["containers"], hasUserns: boolean): string[] {
  return [
    `name=seccomp,profile=${seccomp ?? "builtin"}`,
    ...(hasUserns ? ["name=userns"] : []),
    ...(noNewPrivileges ? ["name=no-new-privileges"] : []),
  ];
}

/** Whether the host passes packets on from one interface to another. */
function isForwarding(): boolean {
  try {
    return readFileSync("/proc/sys/net/ipv4/ip_forward", "utf8").trim() === "1";
  } catch {
    return false;
  }
}

/** What the host lacks, in Docker's words; null if nothing. */
function warningsOf(limits: ReturnType<Engine["limits"]>, forwarding: boolean, cdi: readonly string[]): string[] | null {
  const missing: [boolean, string][] = [
    [limits.memory, "No memory limit support"],
    [limits.swap, "No swap limit support"],
    [limits.cpuPeriod, "No cpu cfs period support"],
    [limits.cpuQuota, "No cpu cfs quota support"],
    [limits.cpuShares, "No cpu shares support"],
    [limits.cpuset, "No cpuset support"],
    [limits.pids, "No pids limit support"],
    [forwarding, "IPv4 forwarding is disabled"],
  ];
  const said = [...missing.flatMap(([there, words]) => (there ? [] : [words])), ...cdi.map((problem) => `CDI: ${problem}`)];
  const warnings = said.map((words) => `WARNING: ${words}`);
  return warnings.length > 0 ? warnings : null;
}

/** PRETTY_NAME of os-release(5). */
function operatingSystem(): string {
  try {
    return /^PRETTY_NAME="?(.*?)"?$/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1] ?? "Linux";
  } catch {
    return "Linux";
  }
}

/** As `docker info` shows it (Docker Engine API, SystemInfo). */
export async function dockerInfo(engine: Engine): Promise<Record<string, unknown>> {
  const status = engine.status();
  const { containers, cgroup, features } = status;
  const { labels, debug, registries, networks, containers: defaults, cdiDirectories } = engine.configuration;
  const limits = engine.limits();
  const forwarding = isForwarding();
  const proxyOf = (name: string): string => withoutCredentials(registries.proxies?.[name] ?? process.env[name] ?? "");
  const runtimes = await engine.listRuntimes();
  const cdi = engine.cdi();
  return {
    ID: engine.id,
    Containers: containers.running + containers.paused + containers.stopped,
    ContainersRunning: containers.running,
    ContainersPaused: containers.paused,
    ContainersStopped: containers.stopped,
    Images: status.images,
    Driver: "onggi",
    DriverStatus: Object.entries(features).map(([name, has]) => [name, String(has)]),
    SystemStatus: null,
    Plugins: {
      Volume: ["local"],
      Network: ["bridge", "host", "ipvlan", "macvlan", "null", "overlay"],
      Authorization: null,
      Log: ["cri", "journald", "json-file", "local", "none", "syslog"],
    },
    MemoryLimit: limits.memory,
    SwapLimit: limits.swap,
    CpuCfsPeriod: limits.cpuPeriod,
    CpuCfsQuota: limits.cpuQuota,
    CPUShares: limits.cpuShares,
    CPUSet: limits.cpuset,
    PidsLimit: limits.pids,
    OomKillDisable: limits.oomKillDisable,
    IPv4Forwarding: forwarding,
    Debug: debug,
    NFd: 0,
    NGoroutines: 0,
    NEventsListener: 0,
    SystemTime: rfc3339(nowNs()),
    LoggingDriver: defaults.log.driver,
    CgroupDriver: status.cgroupDriver,
    CgroupVersion: cgroup === "v2" ? "2" : "1",
    KernelVersion: status.kernel,
    OperatingSystem: operatingSystem(),
    OSVersion: "",
    OSType: "linux",
    Architecture: machine(),
    IndexServerAddress: "https://index.docker.io/v1/",
    RegistryConfig: registryConfig(registries),
    NCPU: availableParallelism(),
    MemTotal: totalmem(),
    GenericResources: null,
    DockerRootDir: status.root,
    HttpProxy: proxyOf("HTTP_PROXY"),
    HttpsProxy: proxyOf("HTTPS_PROXY"),
    NoProxy: proxyOf("NO_PROXY"),
    Name: hostname(),
    Labels: labels,
    ExperimentalBuild: false,
    ServerVersion: status.version,
    Runtimes: Object.fromEntries(runtimes.map(({ name, path }) => [name, { path }])),
    DefaultRuntime: runtimes.find((one) => one.default)?.name ?? "",
    Swarm: { NodeID: "", NodeAddr: "", LocalNodeState: "inactive", ControlAvailable: false, Error: "", RemoteManagers: null },
    LiveRestoreEnabled: true,
    Isolation: "",
    ...(networks.pools.length === 0
      ? {}
      : { DefaultAddressPools: networks.pools.map(({ base, size }) => ({ Base: base, Size: size })) }),
    InitBinary: "",
    ContainerdCommit: { ID: "" },
    RuncCommit: { ID: "" },
    InitCommit: { ID: "" },
    SecurityOptions: securityOptions(defaults, features.userNamespaces ?? false),
    CDISpecDirs: cdiDirectories,
    DiscoveredDevices: [...cdi.devices.keys()].map((ID) => ({ Source: "cdi", ID })),
    Warnings: warningsOf(limits, forwarding, cdi.problems),
  };
}
