import { readFileSync } from "node:fs";
import { availableParallelism, hostname, machine, totalmem } from "node:os";
import { nowNs, rfc3339 } from "../../../lib/time.ts";
import { json, operation } from "../operation.ts";

/** PRETTY_NAME of os-release(5). */
function operatingSystem(): string {
  try {
    return /^PRETTY_NAME="?(.*?)"?$/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1] ?? "Linux";
  } catch {
    return "Linux";
  }
}

export const info = operation({
  id: "SystemInfo",
  tag: "System",
  summary: "the engine, its host and what lies on it",
  needs: "read",
  method: "GET",
  path: "/info",
  answers: { 200: "what there is" },
  run: async ({ engine }) => {
    const status = engine.status();
    const { containers, cgroup, features } = status;
    const runtimes = await engine.listRuntimes();
    return json(200, {
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
        Network: ["bridge", "host", "macvlan", "null"],
        Authorization: null,
        Log: ["cri", "json-file", "none"],
      },
      MemoryLimit: true,
      SwapLimit: true,
      CpuCfsPeriod: true,
      CpuCfsQuota: true,
      CPUShares: true,
      CPUSet: true,
      PidsLimit: true,
      OomKillDisable: cgroup !== "v2",
      IPv4Forwarding: true,
      Debug: false,
      NFd: 0,
      NGoroutines: 0,
      NEventsListener: 0,
      SystemTime: rfc3339(nowNs()),
      LoggingDriver: "json-file",
      CgroupDriver: status.cgroupDriver,
      CgroupVersion: cgroup === "v2" ? "2" : "1",
      KernelVersion: status.kernel,
      OperatingSystem: operatingSystem(),
      OSVersion: "",
      OSType: "linux",
      Architecture: machine(),
      IndexServerAddress: "https://index.docker.io/v1/",
      RegistryConfig: { IndexConfigs: {}, InsecureRegistryCIDRs: [], Mirrors: [] },
      NCPU: availableParallelism(),
      MemTotal: totalmem(),
      GenericResources: null,
      DockerRootDir: status.root,
      HttpProxy: "",
      HttpsProxy: "",
      NoProxy: "",
      Name: hostname(),
      Labels: [],
      ExperimentalBuild: false,
      ServerVersion: status.version,
      Runtimes: Object.fromEntries(runtimes.map(({ name, path }) => [name, { path }])),
      DefaultRuntime: runtimes.find((one) => one.default)?.name ?? "",
      Swarm: { NodeID: "", NodeAddr: "", LocalNodeState: "inactive", ControlAvailable: false, Error: "", RemoteManagers: null },
      LiveRestoreEnabled: true,
      Isolation: "",
      InitBinary: "",
      ContainerdCommit: { ID: "" },
      RuncCommit: { ID: "" },
      InitCommit: { ID: "" },
      SecurityOptions: ["name=seccomp,profile=builtin", ...(features.userNamespaces ? ["name=userns"] : [])],
      Warnings: null,
    });
  },
});
