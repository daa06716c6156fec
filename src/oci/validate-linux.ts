/** What the values of the Linux section say about each other, config-linux.md. */
import { InvalidSpec, show } from "./schema.ts";
import type { IntelRdt, Linux, NamespaceType, Seccomp } from "./spec.ts";

/** Throws InvalidSpec. */
export function checkLinux(linux: Linux): void {
  checkDevices(linux);
  checkCgroupsPath(linux.cgroupsPath);
  checkSysctls(linux);
  checkNetDevices(linux);
  checkMemoryPolicy(linux);
  if (linux.intelRdt) checkIntelRdt(linux.intelRdt);
  if (linux.seccomp) checkSeccomp(linux.seccomp);
}

function checkDevices({ devices = [] }: Linux): void {
  devices.forEach(({ type, major, minor }, i) => {
    if (type === "p") return;
    if (major === undefined) throw new InvalidSpec(`linux.devices[${i}].major`, "is missing");
    if (minor === undefined) throw new InvalidSpec(`linux.devices[${i}].minor`, "is missing");
  });
}

function checkCgroupsPath(path: string | undefined): void {
  if (path?.split("/").includes("..")) throw new InvalidSpec("linux.cgroupsPath", `must not hold "..", got ${show(path)}`);
}

const IPC_SYSCTLS = new Set(
  ["msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced"].map((name) => `kernel.${name}`),
);

/** A kernel parameter that belongs to no namespace of the container's would change the host's. */
function checkSysctls({ sysctl = {}, namespaces = [] }: Linux): void {
  const has = (type: NamespaceType) => namespaces.some((namespace) => namespace.type === type);
  for (const name of Object.keys(sysctl)) {
    const path = `linux.sysctl[${show(name)}]`;
    const dotted =
      name.includes("/") && !(name.indexOf(".") >= 0 && name.indexOf(".") < name.indexOf("/")) ? name.replaceAll("/", ".") : name;
    if (!/^[a-zA-Z0-9_]+([./][a-zA-Z0-9_.:@-]+)+$/.test(name) || dotted.includes(".."))
      throw new InvalidSpec(path, "is no kernel parameter's name");
    if (dotted === "kernel.hostname") throw new InvalidSpec(path, 'is what the specification\'s "hostname" is for');
    const type = namespaceOfSysctl(dotted);
    if (!type) throw new InvalidSpec(path, "is not separate for each namespace and would change the host's");
    if (!has(type)) throw new InvalidSpec(path, `needs a ${type} namespace in linux.namespaces`);
  }
}

function namespaceOfSysctl(name: string): NamespaceType | undefined {
  if (name.startsWith("net.")) return "network";
  if (IPC_SYSCTLS.has(name) || name.startsWith("fs.mqueue.")) return "ipc";
  if (name === "kernel.domainname") return "uts";
  if (name.startsWith("user.")) return "user";
  return undefined;
}

/** dev_valid_name of the kernel: IFNAMSIZ counts the end of the string; "%d" stands for the first free number. */
export function isDeviceName(name: string): boolean {
  const length = new TextEncoder().encode(name).length;
  return length > 0 && length < 16 && name !== "." && name !== ".." && !/[/:\s]/.test(name);
}

function checkNetDevices({ netDevices = {}, namespaces = [] }: Linux): void {
  const names = new Map<string, string>();
  for (const [device, { name }] of Object.entries(netDevices)) {
    const path = `linux.netDevices[${show(device)}]`;
    if (!isDeviceName(device)) throw new InvalidSpec(path, "is no network device's name");
    if (name !== undefined && name !== "" && !isDeviceName(name))
      throw new InvalidSpec(`${path}.name`, `is no network device's name: ${show(name)}`);
    if (!namespaces.some(({ type }) => type === "network"))
      throw new InvalidSpec(path, "needs a network namespace in linux.namespaces");
    const inside = name || device;
    const other = names.get(inside);
    if (other !== undefined && !inside.includes("%d"))
      throw new InvalidSpec(path, `would be ${show(inside)} in the container, and so would ${show(other)}`);
    names.set(inside, device);
  }
}

/** set_mempolicy(2): which modes take nodes. */
function checkMemoryPolicy({ memoryPolicy }: Linux): void {
  if (!memoryPolicy) return;
  const { mode, nodes = "", flags = [] } = memoryPolicy;
  const some = nodes.trim() !== "";
  if (some && (mode === "MPOL_DEFAULT" || mode === "MPOL_LOCAL"))
    throw new InvalidSpec("linux.memoryPolicy.nodes", `${mode} takes no nodes, got ${show(nodes)}`);
  if (!some && mode !== "MPOL_DEFAULT" && mode !== "MPOL_LOCAL" && mode !== "MPOL_PREFERRED")
    throw new InvalidSpec("linux.memoryPolicy.nodes", `${mode} needs at least one node`);
  if (flags.includes("MPOL_F_STATIC_NODES") && flags.includes("MPOL_F_RELATIVE_NODES"))
    throw new InvalidSpec("linux.memoryPolicy.flags", "MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES exclude each other");
}

function checkIntelRdt({ closID = "", enableCMT, enableMBM }: IntelRdt): void {
  if (closID === "." || closID === ".." || (closID.length > 1 && closID.includes("/")))
    throw new InvalidSpec("linux.intelRdt.closID", `want the name of a directory, or "/", got ${show(closID)}`);
  if (enableCMT || enableMBM)
    throw new InvalidSpec(
      `linux.intelRdt.${enableCMT ? "enableCMT" : "enableMBM"}`,
      "version 1.3 of the specification has enableMonitoring instead",
    );
}

/** The process that hands the listener over writes to a socket: it must not wait for the agent that is to get it. */
function checkSeccomp({ defaultAction, syscalls = [], listenerPath, listenerMetadata }: Seccomp): void {
  if (defaultAction === "SCMP_ACT_NOTIFY")
    throw new InvalidSpec("linux.seccomp.defaultAction", "SCMP_ACT_NOTIFY is possible for listed system calls only");
  syscalls.forEach(({ names, action }, i) => {
    if (action === "SCMP_ACT_NOTIFY" && names.includes("write"))
      throw new InvalidSpec(`linux.seccomp.syscalls[${i}]`, "SCMP_ACT_NOTIFY is not possible for write");
  });
  if (listenerMetadata && !listenerPath)
    throw new InvalidSpec("linux.seccomp.listenerMetadata", "needs linux.seccomp.listenerPath");
}
