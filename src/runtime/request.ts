/** A container request -> OCI specification, with Docker's defaults. Pure: whatever needs the host is passed in. */
import { OnggiError } from "../lib/errors.ts";
import type { DeviceRule, Linux, LinuxDevice, Mount, NamespaceType, Process, Rlimit, Seccomp, Spec } from "../oci/spec.ts";
import { validateSpec } from "../oci/validate.ts";
import type { BlockDevices } from "./block-io.ts";
import { allCapabilities, tweakCapabilities } from "./capabilities.ts";
import { cleanPath, components } from "./paths.ts";
import type { ContainerRequest, MountRequest } from "./request-types.ts";
import { deviceRules, resourcesToLinux } from "./resources.ts";
import type { HostFacts } from "./types.ts";
import type { ResolvedUser } from "./users.ts";

/** What the image says, as far as the specification needs it. */
export interface ImageDefaults {
  readonly Env?: readonly string[];
  readonly WorkingDir?: string;
}

/** A device of the host for the container: its path inside, its numbers, and what may be done with it. */
export interface ResolvedDevice extends LinuxDevice {
  /** Any of r, w, m. */
  readonly access: string;
}

export interface SpecInput {
  readonly request: ContainerRequest;
  readonly image: ImageDefaults;
  readonly id: string;
  readonly hostname: string;
  /** Entry point and command. */
  readonly args: readonly string[];
  readonly user: ResolvedUser;
  readonly facts: HostFacts;
  readonly cgroupPath: string;
  /** Host ids of the container's ids 0 to `size` - 1; null: no user namespace. */
  readonly idMap: { readonly hostId: number; readonly size: number } | null;
  /** `request.devices` with their numbers; for a privileged container every device of the host. */
  readonly devices?: readonly ResolvedDevice[];
  /** Of those that limits name. */
  readonly blockDevices?: BlockDevices;
  /** Files of the host's that are bound over the container's own. */
  readonly files?: { readonly hostname?: string; readonly hosts?: string; readonly resolvConf?: string };
  /** Absent: unconfined. */
  readonly seccomp?: Seccomp;
  /** Path of a network namespace to join instead of having one. */
  readonly networkNamespace?: string;
  readonly pidNamespace?: string;
  readonly ipcNamespace?: string;
  /** The host's directory that is its /dev/shm, with what joins or shares it. */
  readonly shm?: string;
}

export const maskedPaths: readonly string[] = [
  "/proc/acpi",
  "/proc/asound",
  "/proc/interrupts",
  "/proc/kcore",
  "/proc/keys",
  "/proc/latency_stats",
  "/proc/timer_list",
  "/proc/timer_stats",
  "/proc/sched_debug",
  "/proc/scsi",
  "/sys/firmware",
  "/sys/devices/virtual/powercap",
];
export const readonlyPaths: readonly string[] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const DEFAULT_SHM_SIZE = 64 * 2 ** 20;

/**
 * The specification of what was asked for, validated. Throws OnggiError for a value that cannot be, InvalidSpec for values
 * that do not go together (a kernel parameter of a namespace the container does not have).
 */
export function specFromRequest(input: SpecInput): Spec {
  const { request, hostname } = input;
  const process = processOf(input);
  return validateSpec({
    ociVersion: "1.2.0",
    root: { path: "rootfs", readonly: request.readonlyRootfs ?? false },
    ...(request.uts === "host" ? {} : { hostname, ...(request.domainname ? { domainname: request.domainname } : {}) }),
    process,
    mounts: mountsOf(input),
    ...annotationsOf(request),
    linux: linuxOf(input),
  });
}

export interface SecurityOptions {
  noNewPrivileges: boolean;
  /** A profile's path or text, "unconfined", or undefined for the default. */
  seccomp?: string;
  apparmor?: string;
  selinuxLabel?: string;
  /** Nothing in /proc and /sys is masked or read-only. */
  systemPathsUnconfined: boolean;
}

/** Docker's --security-opt values, with "=" or ":" between name and value. Throws OnggiError `invalid_security_option`. */
export function parseSecurityOptions(options: readonly string[] = []): SecurityOptions {
  const result: SecurityOptions = { noNewPrivileges: false, systemPathsUnconfined: false };
  for (const option of options) {
    const [, name = "", , value = ""] = /^([^=:]*)([=:](.*))?$/s.exec(option) ?? [];
    if (name === "no-new-privileges" && ["", "true", "false"].includes(value)) result.noNewPrivileges = value !== "false";
    else if (name === "systempaths" && value === "unconfined") result.systemPathsUnconfined = true;
    else if (name === "seccomp" && value !== "") result.seccomp = value;
    else if (name === "apparmor" && value !== "") result.apparmor = value;
    else if (name === "label" && value === "disable") delete result.selinuxLabel;
    else if (name === "label" && value !== "") result.selinuxLabel = value;
    else {
      const known = "no-new-privileges, seccomp=, apparmor=, label=, systempaths=unconfined";
      throw new OnggiError("invalid_security_option", `security option ${JSON.stringify(option)}: want one of ${known}`);
    }
  }
  return result;
}

function processOf({ request, image, args, user, hostname, facts }: SpecInput): Process {
  const { apparmor, selinuxLabel, noNewPrivileges } = parseSecurityOptions(request.securityOpt);
  const tty = request.tty ?? false;
  const profile = apparmor !== undefined && apparmor !== "unconfined" ? { apparmorProfile: apparmor } : {};
  return {
    terminal: tty,
    cwd: workingDirectory(request.workdir ?? (image.WorkingDir || "/")),
    args: [...args],
    env: environment([image.Env ?? [], request.env ?? []], { hostname, tty, home: user.home }),
    user: { uid: user.uid, gid: user.gid, additionalGids: [...user.additionalGids] },
    capabilities: capabilitiesOf(request, facts, user.uid),
    noNewPrivileges,
    rlimits: rlimitsOf(request),
    ...(request.oomScoreAdj ? { oomScoreAdj: request.oomScoreAdj } : {}),
    ...profile,
    ...(selinuxLabel === undefined ? {} : { selinuxLabel }),
  };
}

function workingDirectory(path: string): string {
  if (path.startsWith("/")) return cleanPath(path);
  throw new OnggiError("invalid_workdir", `working directory ${JSON.stringify(path)}: it must be an absolute path`);
}

/**
 * Docker's environment: defaults, then each list over what is before it. "NAME" without "=" takes a variable away.
 * HOME comes last, if nobody set it.
 */
export function environment(
  lists: readonly (readonly string[])[],
  { hostname, tty, home }: { hostname?: string; tty: boolean; home: string },
): string[] {
  const variables = new Map<string, string>([["PATH", DEFAULT_PATH]]);
  if (hostname !== undefined) variables.set("HOSTNAME", hostname);
  if (tty) variables.set("TERM", "xterm");
  for (const entry of lists.flat()) {
    const equals = entry.indexOf("=", 1);
    if (equals < 0) variables.delete(entry);
    else variables.set(entry.slice(0, equals), entry.slice(equals + 1));
  }
  if (!variables.has("HOME")) variables.set("HOME", home);
  return [...variables].map(([name, value]) => `${name}=${value}`);
}

/** A user other than root has the set as a bound only, as with Docker: nothing is inherited or ambient. */
function capabilitiesOf({ privileged, capAdd = [], capDrop = [] }: ContainerRequest, { lastCap }: HostFacts, uid: number) {
  const names = privileged ? allCapabilities(lastCap) : tweakCapabilities(capAdd, capDrop, lastCap);
  const held = uid === 0 ? names : [];
  return { bounding: names, effective: held, permitted: held };
}

function rlimitsOf({ ulimits = [] }: ContainerRequest): Rlimit[] {
  return ulimits.map(({ name, soft, hard }) => ({ type: `RLIMIT_${name.toUpperCase()}`, soft, hard }));
}

function linuxOf(input: SpecInput): Linux {
  const { request, idMap, devices = [], cgroupPath, seccomp } = input;
  const mapping = idMap && [{ containerID: 0, hostID: idMap.hostId, size: idMap.size }];
  const resources = resourcesToLinux(request.resources ?? {}, input.blockDevices);
  if (request.oomKillDisable) resources.memory = { ...resources.memory, disableOOMKiller: true };
  const rules: DeviceRule[] = request.privileged
    ? [{ allow: true, access: "rwm" }]
    : deviceRules(devices, request.deviceCgroupRules ?? []);
  const paths: Partial<Record<NamespaceType, string | undefined>> = {
    network: input.networkNamespace,
    pid: input.pidNamespace,
    ipc: input.ipcNamespace,
  };
  const joined = (type: NamespaceType) => (paths[type] === undefined ? {} : { path: paths[type] });
  return {
    namespaces: namespacesOf(request, idMap !== null).map((type) => ({ type, ...joined(type) })),
    ...(mapping ? { uidMappings: mapping, gidMappings: mapping } : {}),
    devices: devices.map(({ access: _, ...device }) => device),
    cgroupsPath: cgroupPath,
    resources: { ...resources, devices: rules },
    sysctl: sysctlsOf(input),
    ...(seccomp && !request.privileged ? { seccomp } : {}),
    ...systemPaths(request),
  };
}

/** What of /proc and /sys is hidden or read-only. Absent: nothing, for it is privileged. */
export function systemPaths(request: ContainerRequest): Pick<Linux, "maskedPaths" | "readonlyPaths"> {
  const unconfined = parseSecurityOptions(request.securityOpt).systemPathsUnconfined;
  const paths = (asked: readonly string[] | undefined, usual: readonly string[]) =>
    asked ?? (unconfined ? [] : request.privileged ? undefined : usual);
  const masked = paths(request.maskedPaths, maskedPaths);
  const readonly = paths(request.readonlyPaths, readonlyPaths);
  return { ...(masked ? { maskedPaths: [...masked] } : {}), ...(readonly ? { readonlyPaths: [...readonly] } : {}) };
}

function annotationsOf({ annotations = {} }: ContainerRequest): Pick<Spec, "annotations"> {
  const keys = Object.keys(annotations);
  if (keys.includes(""))
    throw new OnggiError("invalid_annotation", "invalid Annotations: the empty string is not permitted as an annotation key");
  return keys.length === 0 ? {} : { annotations };
}

function namespacesOf(request: ContainerRequest, user: boolean): NamespaceType[] {
  const types: NamespaceType[] = ["mount"];
  if (request.network !== "host") types.push("network");
  if (request.uts !== "host") types.push("uts");
  if (request.pid !== "host") types.push("pid");
  if (request.ipc !== "host") types.push("ipc");
  if (request.cgroupns !== "host") types.push("cgroup");
  if (user) types.push("user");
  return types;
}

/** Docker lets everybody ping and use low ports in a network namespace of their own. */
function sysctlsOf({ request, idMap, networkNamespace }: SpecInput): Record<string, string> {
  const shared = request.network === "host" || networkNamespace !== undefined;
  const groups = idMap ? idMap.size - 1 : 2147483647;
  const open = { "net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": `0 ${groups}` };
  return { ...(shared ? {} : open), ...request.sysctls };
}

const plain = ["nosuid", "noexec", "nodev"];

/** Bytes of a container's /dev/shm. */
export const shmSize = ({ shmSize: size }: ContainerRequest): number => size ?? DEFAULT_SHM_SIZE;

function defaultMounts({ request, shm: shared }: SpecInput): Mount[] {
  const writable = request.privileged ? [] : ["ro"];
  return [
    { destination: "/proc", type: "proc", source: "proc", options: plain },
    { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "strictatime", "mode=755", "size=65536k"] },
    {
      destination: "/dev/pts",
      type: "devpts",
      source: "devpts",
      options: ["nosuid", "noexec", "ptmxmode=0666", "mode=0620", "gid=5"],
    },
    { destination: "/sys", type: "sysfs", source: "sysfs", options: [...plain, ...writable] },
    { destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: [...plain, ...writable] },
    { destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: plain },
    ...(request.ipc === "none" ? [] : [shm(request, request.ipc === "host" ? "/dev/shm" : shared)]),
  ];
}

const shm = (request: ContainerRequest, source: string | undefined): Mount =>
  source !== undefined
    ? { destination: "/dev/shm", type: "bind", source, options: ["rbind", ...plain] }
    : { destination: "/dev/shm", type: "tmpfs", source: "shm", options: [...plain, "mode=1777", `size=${shmSize(request)}`] };

/** Shallow destinations first, so that nothing is mounted over; what is asked for replaces the default at its place. */
function mountsOf(input: SpecInput): Mount[] {
  const { request, files = {}, idMap } = input;
  const own: Mount[] = [];
  const bindFile = (source: string | undefined, destination: string) => {
    if (source !== undefined) own.push({ destination, source, type: "bind", options: ["bind", "rprivate"] });
  };
  bindFile(files.resolvConf, "/etc/resolv.conf");
  bindFile(files.hostname, "/etc/hostname");
  bindFile(files.hosts, "/etc/hosts");
  const asked = [
    ...(request.mounts ?? []).map((mount) => requestedMount(mount, idMap !== null)),
    ...Object.entries(request.tmpfs ?? {}).map(([target, options]) =>
      requestedMount({ type: "tmpfs", target, options: options.split(",").filter((option) => option !== "") }, false),
    ),
  ];
  const byPlace = new Map<string, Mount>();
  for (const mount of [...defaultMounts(input), ...own]) byPlace.set(mount.destination, mount);
  const seen = new Set<string>();
  for (const mount of asked) {
    if (seen.has(mount.destination)) {
      throw new OnggiError("duplicate_mount", `mount target ${mount.destination} is asked for twice; give each target once`);
    }
    seen.add(mount.destination);
    byPlace.set(mount.destination, mount);
  }
  const depth = ({ destination }: Mount) => components(destination).length;
  return [...byPlace.values()].sort((a, b) => depth(a) - depth(b));
}

function requestedMount(request: MountRequest, idmap: boolean): Mount {
  const { type, source, target, readonly, readonlyBelow, options = [] } = request;
  if (!target.startsWith("/"))
    throw new OnggiError("invalid_mount", `mount target ${JSON.stringify(target)}: want an absolute path`);
  const destination = cleanPath(target);
  if (destination === "/")
    throw new OnggiError("invalid_mount", `mount target ${JSON.stringify(target)}: the root itself cannot be one`);
  if (type === "tmpfs") {
    return {
      destination,
      type,
      source: "tmpfs",
      options: ["noexec", "nosuid", "nodev", ...options, ...(readonly ? ["ro"] : [])],
    };
  }
  if (!source?.startsWith("/")) {
    throw new OnggiError(
      "invalid_mount",
      `mount source ${JSON.stringify(source ?? "")} for ${destination}: want an absolute path`,
    );
  }
  const has = (names: readonly string[]) => options.some((option) => names.includes(option));
  const recursion = has(["bind", "rbind"]) ? [] : ["rbind"];
  const kinds = ["shared", "slave", "private", "unbindable"].flatMap((kind) => [kind, `r${kind}`]);
  const propagation = has(kinds) ? [] : ["rprivate"];
  // everything below a read-only mount is read-only too, unless it is to be left alone
  const access = readonly ? [readonlyBelow === "writable" ? "ro" : "rro"] : [];
  const ids = idmap && !has(["idmap", "ridmap"]) ? ["idmap"] : [];
  return { destination, type: "bind", source, options: [...recursion, ...propagation, ...options, ...access, ...ids] };
}

export interface ExecProcessInput {
  /** The container's own process. */
  readonly container: Process;
  readonly command: readonly string[];
  readonly user: ResolvedUser;
  readonly env?: readonly string[];
  readonly workdir?: string;
  readonly tty?: boolean;
  readonly privileged?: boolean;
  readonly size?: { readonly height: number; readonly width: number };
  readonly facts: HostFacts;
}

/** The process of an exec: the container's environment, limits and privileges, with what was asked for over them. */
export function execProcess(input: ExecProcessInput): Process {
  const { container, command, user, env = [], workdir, tty = false, privileged, size, facts } = input;
  const bounding = privileged ? allCapabilities(facts.lastCap) : (container.capabilities?.bounding ?? []);
  const held = user.uid === 0 ? bounding : [];
  const inherited = (container.env ?? []).filter((entry) => !entry.startsWith("HOME=") && !entry.startsWith("TERM="));
  return {
    terminal: tty,
    ...(tty && size ? { consoleSize: { ...size } } : {}),
    cwd: workdir === undefined ? container.cwd : workingDirectory(workdir),
    args: [...command],
    env: environment([inherited, env], { tty, home: user.home }),
    user: { uid: user.uid, gid: user.gid, additionalGids: [...user.additionalGids] },
    capabilities: { bounding, effective: held, permitted: held },
    noNewPrivileges: container.noNewPrivileges ?? false,
    rlimits: container.rlimits ?? [],
    ...(container.oomScoreAdj === undefined ? {} : { oomScoreAdj: container.oomScoreAdj }),
    ...(container.apparmorProfile === undefined ? {} : { apparmorProfile: container.apparmorProfile }),
  };
}
