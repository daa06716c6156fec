/**
 * The mounts of the specification, decoded, and what of them is taken from the host.
 *
 * Beside a user namespace the shim opens what only the host can give (bind sources, /dev, file systems of namespaces the
 * container does not own) as detached mounts, with their attributes, id maps and propagation already set. Without one the
 * child can do all of it itself, each mount in its turn: the kernel lists a namespace's mounts in the order they were made in
 * (since 6.8), not attached, and the specification's order is what a reader of mountinfo expects.
 */
import { OnggiError } from "../lib/errors.ts";
import { lookUp } from "../lib/tables.ts";
import type { IdMapping, Mount, NamespaceType } from "../oci/spec.ts";
import { AT_FDCWD, type Reg, reg } from "../plan/ops.ts";
import { AT, MS } from "../sys/constants.ts";
import type { Writer } from "./compile-builder.ts";
import { AT_EMPTY_PATH, AT_RECURSIVE, type Context } from "./compile-context.ts";
import { fillDev } from "./compile-devices.ts";
import { newFileSystem, type PlannedMount, propagate, setAttributes, TREE } from "./compile-filesystem.ts";
import { rootPropagation } from "./compile-root.ts";
import { type MountOptions, parseMountOptions } from "./mount-options.ts";
import { cleanPath } from "./paths.ts";

/** Which namespace a file system shows, and where the host has it. */
const viewOf: Readonly<Record<string, { readonly namespace: NamespaceType; readonly host: string }>> = {
  proc: { namespace: "pid", host: "/proc" },
  sysfs: { namespace: "network", host: "/sys" },
  mqueue: { namespace: "ipc", host: "/dev/mqueue" },
  cgroup2: { namespace: "cgroup", host: "/sys/fs/cgroup" },
};

/** The shim's part. */
export function compileMountSources(context: Context): PlannedMount[] {
  return (context.spec.mounts ?? []).map((mount, index) => {
    const planned = decode(context, mount, index);
    return context.shimMounts ? { ...planned, detached: shimMount(context, planned) } : planned;
  });
}

function decode(context: Context, mount: Mount, index: number): PlannedMount {
  const options = parseMountOptions(mount.options ?? [], mount.type);
  const destination = cleanPath(mount.destination);
  if (destination === "/") throw new OnggiError("invalid_mount", `mounts[${index}].destination: "/" is the root's own place`);
  const type = options.bind ? "bind" : (mount.type ?? "none");
  if (type === "none" && !options.remount)
    throw new OnggiError("invalid_mount", `mounts[${index}].type: a mount that is no bind mount needs a file system's type`);
  const planned = { index, mount, destination, type, options, detached: null };
  refuseOverProc(context, planned);
  if (mount.uidMappings && !options.bind)
    throw new OnggiError("invalid_mount", `mounts[${index}].uidMappings: only bind mounts can be id-mapped`);
  const known = type === "cgroup" && context.input.facts.cgroup === "v2" ? { ...planned, type: "cgroup2" } : planned;
  return hostsView(context, known) ?? known;
}

/** Without privileges nobody has given a user's container a cgroup: what could be mounted would show the groups of others. */
export const hidesCgroups = ({ input, unprivileged }: Context, { type }: PlannedMount): boolean =>
  unprivileged && (type === "cgroup" || type === "cgroup2") && input.cgroup.cloneInto === null && input.cgroup.tasks.length === 0;

/** Without privileges nobody can mount a view of a namespace the container does not own: the host's own is shown. */
function hostsView(context: Context, planned: PlannedMount): PlannedMount | null {
  const view = lookUp(viewOf, planned.type);
  if (!context.unprivileged || !view || context.ownsItsView(view.namespace) || hidesCgroups(context, planned)) return null;
  const options: MountOptions = { ...planned.options, bind: true, recursive: true, data: [], superFlags: [] };
  return { ...planned, type: "bind", options, mount: { ...planned.mount, source: view.host } };
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
 * One of the host's may be bound there.
 */
function refuseOverProc({ input }: Context, { destination, type, index, mount }: PlannedMount): void {
  if (type === "proc" || procFiles.has(destination)) return;
  if (destination === "/proc" && type === "bind" && input.procSources?.has(mount.source ?? "")) return;
  if (destination === "/proc" || destination.startsWith("/proc/")) {
    throw new OnggiError(
      "invalid_mount",
      `mounts[${index}].destination: ${destination} lies in /proc, where nothing but procfs can be mounted`,
    );
  }
}

export const isOwnDev = ({ destination, type, options }: PlannedMount): boolean =>
  destination === "/dev" && type === "tmpfs" && !options.remount;

function shimMount(context: Context, planned: PlannedMount): Reg | null {
  const { host } = context;
  const { destination, type, options, mount } = planned;
  if (options.remount || context.input.linkSources?.has(mount.source ?? "")) return null;
  if (options.bind) return openBindSource(context, host, planned);
  if (isOwnDev(planned)) {
    const dev = newDev(context, host, planned);
    fillDev(context, host, dev);
    return dev;
  }
  const view = lookUp(viewOf, type)?.namespace;
  if (!view || context.ownsItsView(view)) return null;
  // the new pid namespace can be named only once the child is in it
  const writer = view === "pid" && context.makes("pid") ? context.after : host;
  writer.about("mounts", `make ${destination} with the privileges of the owner of its ${view} namespace`);
  return newFileSystem(context, writer, planned);
}

/** A tmpfs that belongs to the container's root. */
export function newDev(context: Context, writer: Writer, planned: PlannedMount): Reg {
  writer.about("devices", "make the container's /dev");
  const owner = context.shimMounts
    ? ([
        ["uid", String(context.hostUid(0))],
        ["gid", String(context.hostGid(0))],
      ] as const)
    : [];
  return newFileSystem(context, writer, planned, owner);
}

/** A bind source as a detached mount that is as the specification wants it. */
export function openBindSource(context: Context, writer: Writer, { index, mount, destination, options }: PlannedMount): Reg {
  if (!mount.source) throw new OnggiError("invalid_mount", `mounts[${index}].source: a bind mount needs one`);
  const path = mount.source.startsWith("/") ? mount.source : `${bundleOf(context, index)}/${mount.source}`;
  writer.about("mounts", `take ${mount.source} for ${destination}`);
  const flags = TREE | (options.recursive ? AT_RECURSIVE : 0) | (options.sourceNoFollow ? AT.AT_SYMLINK_NOFOLLOW : 0);
  const passed = lookUp(context.input.passedSources ?? {}, destination);
  const fd = writer.keep(
    passed === undefined
      ? { kind: "openTree", dir: AT_FDCWD, path, flags }
      : { kind: "openTree", dir: reg.passed + passed, path: "", flags: flags | AT_EMPTY_PATH },
  );
  const userns = mountUserns(context, index, mount, options);
  if (userns !== null) {
    const deep = options.idmap === "tree" ? AT_RECURSIVE : 0;
    writer.do({ kind: "mountIdmap", fd, flags: AT_EMPTY_PATH | deep, userns });
  }
  setAttributes(writer, fd, options.attributes, 0);
  setAttributes(writer, fd, options.recursiveAttributes, AT_RECURSIVE);
  propagate(writer, fd, inheritedPropagation(context, options));
  propagate(writer, fd, options.propagation);
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
function mountUserns(context: Context, index: number, mount: Mount, options: MountOptions): Reg | null {
  const { input, userns, unprivileged } = context;
  if (!mount.uidMappings && !options.idmap) return null;
  const refuse = (why: string): never => {
    throw new OnggiError("invalid_mount", `mounts[${index}]: ${mount.destination} is to be id-mapped, but ${why}`);
  };
  if (unprivileged) return refuse("that takes root's privileges");
  const own = input.mountUserns?.[index];
  if (own !== undefined) return reg.passed + own;
  if (userns && (!mount.uidMappings || sameMaps(mount, userns))) return userns.fd;
  return refuse("there is no user namespace with its mappings");
}

interface IdMaps {
  readonly uidMappings?: readonly IdMapping[];
  readonly gidMappings?: readonly IdMapping[];
}

/** Whether two are mapped alike. */
export const sameMaps = (a: IdMaps, b: IdMaps): boolean =>
  sameMappings(a.uidMappings ?? [], b.uidMappings ?? []) && sameMappings(a.gidMappings ?? [], b.gidMappings ?? []);

const sameMappings = (a: readonly IdMapping[], b: readonly IdMapping[]): boolean =>
  a.length === b.length &&
  a.every((one, i) => one.containerID === b[i]?.containerID && one.hostID === b[i]?.hostID && one.size === b[i]?.size);
