/**
 * The mounts of the specification, in its order.
 *
 * The shim opens what only the host can give (bind sources; file systems of namespaces the container does not own) as
 * detached mounts, with their attributes, id maps and propagation already set. The child makes the others and attaches
 * each to a place it holds open.
 */
import { OnggiError } from "../lib/errors.ts";
import { lookUp } from "../lib/tables.ts";
import type { IdMapping, Mount, NamespaceType } from "../oci/spec.ts";
import { AT_FDCWD, type Reg, reg } from "../plan/ops.ts";
import { FSMOUNT, FSOPEN, MOUNT_ATTR, MS, O } from "../sys/constants.ts";
import { compileCgroupMount } from "./compile-cgroups.ts";
import { AT_EMPTY_PATH, AT_RECURSIVE, type Context, PATH_DIRECTORY } from "./compile-context.ts";
import { fillDev } from "./compile-devices.ts";
import {
  both,
  isLateReadonly,
  type MadeMounts,
  newFileSystem,
  ONTO,
  type PlannedMount,
  propagate,
  setAttributes,
  TREE,
} from "./compile-filesystem.ts";
import { rootPropagation } from "./compile-root.ts";
import { openTarget } from "./compile-targets.ts";
import { type MountOptions, parseMountOptions } from "./mount-options.ts";
import { cleanPath } from "./paths.ts";

/** Which namespace a file system shows. */
const viewOf: Readonly<Record<string, NamespaceType>> = { proc: "pid", sysfs: "network", mqueue: "ipc", cgroup2: "cgroup" };

/** The shim's part. */
export function compileMountSources(context: Context): PlannedMount[] {
  return (context.spec.mounts ?? []).map((mount, index) => {
    const options = parseMountOptions(mount.options ?? [], mount.type);
    const destination = cleanPath(mount.destination);
    if (destination === "/") throw new OnggiError("invalid_mount", `mounts[${index}].destination: "/" is the root's own place`);
    const type = options.bind ? "bind" : (mount.type ?? "none");
    refuseOverProc(destination, type, index);
    const planned = { index, mount, destination, type: type === "cgroup" ? cgroupType(context) : type, options };
    return { ...planned, detached: hostMount(context, planned) };
  });
}

/** What lxcfs and its like put over single files of /proc, as runc allows them. */
const procFiles = new Set(
  [
    "cpuinfo",
    "diskstats",
    "meminfo",
    "stat",
    "swaps",
    "uptime",
    "loadavg",
    "slabinfo",
    "sys/kernel/ns_last_pid",
    "sys/crypto/fips_enabled",
  ].map((name) => `/proc/${name}`),
);

/**
 * /proc must be a real procfs: masks, sysctls and process attributes are written through it (CVE-2019-16884, CVE-2025-52881).
 */
function refuseOverProc(destination: string, type: string, index: number): void {
  if (type === "proc" || procFiles.has(destination)) return;
  if (destination === "/proc" || destination.startsWith("/proc/")) {
    throw new OnggiError(
      "invalid_mount",
      `mounts[${index}].destination: ${destination} lies in /proc, where nothing but procfs can be mounted`,
    );
  }
}

const cgroupType = ({ input }: Context): string => (input.facts.cgroup === "v2" ? "cgroup2" : "cgroup");

type Unplaced = Omit<PlannedMount, "detached">;

function hostMount(context: Context, planned: Unplaced): Reg | null {
  const { host } = context;
  const { destination, type, options } = planned;
  if (options.bind) return bindSource(context, planned);
  if (destination === "/dev" && type === "tmpfs") {
    host.about("devices", "make the container's /dev");
    const dev = newFileSystem(context, host, planned, [
      ["uid", String(context.hostUid(0))],
      ["gid", String(context.hostGid(0))],
    ]);
    fillDev(context, dev);
    return dev;
  }
  const view = lookUp(viewOf, type);
  if (!view || context.ownsItsView(view)) return null;
  // the new pid namespace can be named only once the child is in it
  const writer = view === "pid" && context.makes("pid") ? context.after : host;
  writer.about("mounts", `make ${destination} with the privileges of the owner of its ${view} namespace`);
  return newFileSystem(context, writer, planned);
}

function bindSource(context: Context, { index, mount, destination, options }: Unplaced): Reg {
  const { host } = context;
  if (!mount.source) throw new OnggiError("invalid_mount", `mounts[${index}].source: a bind mount needs one`);
  const path = mount.source.startsWith("/") ? mount.source : `${bundleOf(context, index)}/${mount.source}`;
  host.about("mounts", `take ${mount.source} for ${destination}`);
  const flags = TREE | (options.recursive ? AT_RECURSIVE : 0);
  const fd = host.keep({ kind: "openTree", dir: AT_FDCWD, path, flags });
  const userns = mountUserns(context, index, mount, options);
  if (userns !== null) {
    const deep = options.idmap === "tree" ? AT_RECURSIVE : 0;
    host.do({ kind: "mountIdmap", fd, flags: AT_EMPTY_PATH | deep, userns });
  }
  setAttributes(host, fd, options.attributes, 0);
  setAttributes(host, fd, options.recursiveAttributes, AT_RECURSIVE);
  propagate(host, fd, inheritedPropagation(context, options));
  propagate(host, fd, options.propagation);
  return fd;
}

/**
 * A mount that is taken from the host is its source's peer. It gets what it would have if it had been made below the new
 * namespace's "/". Only what asks for it stays a peer, and never one of a container whose root is not the host's.
 */
function inheritedPropagation(context: Context, { propagation }: MountOptions): number[] {
  const asked = rootPropagation(context);
  const shares = asked === MS.MS_SHARED || propagation.some((type) => type & MS.MS_SHARED);
  if (!shares) return [(asked || MS.MS_SLAVE) | MS.MS_REC];
  if (!context.userns) return [];
  return asked === MS.MS_SHARED ? [MS.MS_SLAVE | MS.MS_REC, MS.MS_SHARED | MS.MS_REC] : [MS.MS_SLAVE | MS.MS_REC];
}

function bundleOf({ input }: Context, index: number): string {
  if (input.bundle !== undefined) return input.bundle;
  throw new OnggiError(
    "invalid_mount",
    `mounts[${index}].source: ${input.spec.mounts?.[index]?.source} is relative, and there is no bundle`,
  );
}

/** The user namespace whose ids a bind mount shows, null for the host's. */
function mountUserns({ input, userns }: Context, index: number, mount: Mount, options: MountOptions): Reg | null {
  const own = input.mountUserns?.[index];
  if (own !== undefined) return reg.passed + own;
  if (!mount.uidMappings && !options.idmap) return null;
  if (userns && (!mount.uidMappings || sameMappings(mount.uidMappings, userns.uidMappings))) return userns.fd;
  throw new OnggiError(
    "invalid_mount",
    `mounts[${index}]: ${mount.destination} is to be id-mapped, but there is no user namespace with its mappings`,
  );
}

const sameMappings = (a: readonly IdMapping[], b: readonly IdMapping[]): boolean =>
  a.length === b.length &&
  a.every((one, i) => one.containerID === b[i]?.containerID && one.hostID === b[i]?.hostID && one.size === b[i]?.size);

/** The child's part: make what is not made yet and attach everything. */
export function compileMounts(context: Context, root: Reg, planned: readonly PlannedMount[]): MadeMounts {
  const made: { -readonly [K in keyof MadeMounts]: MadeMounts[K] } = {};
  const late: Reg[] = [];
  for (const one of planned) {
    if (one.type === "cgroup") {
      compileCgroupMount(context, root, one);
      continue;
    }
    const fd = attach(context, root, one);
    const readonly = isLateReadonly(one.type) && (both(one.options).set & MOUNT_ATTR.MOUNT_ATTR_RDONLY) !== 0;
    const name = keptMounts[`${one.type} ${one.destination}`];
    if (name) made[name] = fd;
    if (readonly) late.push(fd);
    else if (!name) context.child.close(fd);
  }
  for (const fd of late) {
    context.child.about("mounts", "make the tmpfs read-only, now that everything below it is mounted");
    setAttributes(context.child, fd, { set: MOUNT_ATTR.MOUNT_ATTR_RDONLY, clear: 0 }, 0);
  }
  return made;
}

const keptMounts: Readonly<Record<string, keyof MadeMounts>> = {
  "proc /proc": "proc",
  "devpts /dev/pts": "devpts",
  "tmpfs /dev": "dev",
};

function attach(context: Context, root: Reg, planned: PlannedMount): Reg {
  const { child, input } = context;
  const { destination, type, options, mount } = planned;
  child.about(groupOf(destination), `mount ${destination}`);
  const file = options.bind && input.fileSources?.has(mount.source as string);
  const strict = type === "proc" || type === "sysfs";
  const place = openTarget(child, root, destination, { kind: file ? "file" : "directory", strict });
  const make = () => (options.copyUp ? copyUp(context, planned, place) : newFileSystem(context, child, planned));
  const fd = planned.detached ?? make();
  child.do({ kind: "moveMount", from: fd, fromPath: "", to: place, toPath: "", flags: ONTO }).close(place);
  if (!options.bind) propagate(child, fd, options.propagation);
  return fd;
}

const groupOf = (destination: string) => (destination === "/dev" || destination.startsWith("/dev/") ? "devices" : "mounts");

/**
 * tmpcopyup: the place's present content, writable in memory. A plan cannot copy files, an overlay does it as they are
 * changed: the place below, directories on a new tmpfs above.
 */
function copyUp(context: Context, planned: PlannedMount, place: Reg): Reg {
  const { child, input } = context;
  if (!input.facts.overlayFds) {
    throw new OnggiError(
      "kernel_too_old",
      `mount option tmpcopyup of ${planned.destination}: this kernel's overlayfs takes no descriptors`,
    );
  }
  const memory = newFileSystem(context, child, planned);
  const mode = Number.parseInt(planned.options.data.find(([key]) => key === "mode")?.[1] ?? "755", 8);
  const below = ["upper", "work"].map((path) => {
    child.do({ kind: "mkdir", dir: memory, path, mode: path === "upper" ? mode : 0o700 });
    return child.keep({ kind: "open", dir: memory, path, flags: PATH_DIRECTORY | O.O_NOFOLLOW, mode: 0, resolve: 0 });
  }) as [Reg, Reg];
  const fs = child.keep({ kind: "fsopen", fstype: "overlay", flags: FSOPEN.FSOPEN_CLOEXEC });
  child.do({ kind: "fsconfigString", fs, key: "source", value: "tmpfs" });
  if (context.userns) child.do({ kind: "fsconfigFlag", fs, key: "userxattr" });
  child.do({ kind: "fsconfigFd", fs, key: "lowerdir+", fd: place });
  child
    .do({ kind: "fsconfigFd", fs, key: "upperdir", fd: below[0] })
    .do({ kind: "fsconfigFd", fs, key: "workdir", fd: below[1] });
  child.do({ kind: "fsconfigCreate", fs });
  const attrs = both(planned.options).set & ~MOUNT_ATTR.MOUNT_ATTR_RDONLY;
  const fd = child.keep({ kind: "fsmount", fs, flags: FSMOUNT.FSMOUNT_CLOEXEC, attrs });
  child.close(fs, ...below, memory);
  return fd;
}
