/** The child's part of the mounts: what is not made yet is made, and each is attached to a place that is held open. */
import { OnggiError } from "../lib/errors.ts";
import { AT_FDCWD, type Reg } from "../plan/ops.ts";
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
import { hidesCgroups, isOwnDev, newDev, openBindSource } from "./compile-mount-sources.ts";
import { rootPropagation } from "./compile-root.ts";
import { openTarget, symlinkTarget } from "./compile-targets.ts";

/**
 * Binds are made before procfs: one whose place turns out to lie in /proc, by a link in the image, is then below procfs, not over
 * it or a part of it (CVE-2019-16884). What the specification itself places in /proc comes after procfs all the same.
 */
function procfsAfterBinds(planned: readonly PlannedMount[]): PlannedMount[] {
  const inProc = ({ destination }: PlannedMount) => destination === "/proc" || destination.startsWith("/proc/");
  const lastBind = planned.findLastIndex((one) => one.type === "bind" && !inProc(one));
  const early = planned.slice(0, lastBind + 1);
  return [...early.filter((one) => !inProc(one)), ...early.filter(inProc), ...planned.slice(lastBind + 1)];
}

/** In the specification's order, but for procfs. */
export function compileMounts(context: Context, root: Reg, planned: readonly PlannedMount[]): MadeMounts {
  const made: { -readonly [K in keyof MadeMounts]: MadeMounts[K] } = {};
  const late: Reg[] = [];
  const aside = openAside(context, planned);
  for (const one of procfsAfterBinds(planned)) {
    if (compileSpecialMount(context, root, one)) continue;
    const fd = attach(context, root, one, aside);
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
  if (aside) context.child.close(aside.directory, aside.file);
  return made;
}

const keptMounts: Readonly<Record<string, keyof MadeMounts>> = {
  "proc /proc": "proc",
  // only a procfs gets there
  "bind /proc": "proc",
  "devpts /dev/pts": "devpts",
  "tmpfs /dev": "dev",
};

/** What is more, or less, than one mount. */
function compileSpecialMount(context: Context, root: Reg, one: PlannedMount): boolean {
  const { child, input } = context;
  const link = input.linkSources?.get(one.mount.source ?? "");
  if (one.options.remount) compileRemount(context, root, one);
  else if (link !== undefined && one.options.copySymlink) symlinkTarget(child, root, one.destination, link);
  else if (one.type === "cgroup" && !hidesCgroups(context, one)) compileCgroupMount(context, root, one);
  else return hidesCgroups(context, one);
  return true;
}

/** Changes the mount that is at the place, by its attributes; fails with EINVAL where none is. */
function compileRemount({ child }: Context, root: Reg, { destination, options, index }: PlannedMount): void {
  child.about("mounts", `change the mount on ${destination}`);
  const place = openTarget(child, root, destination, { kind: "directory" });
  if (options.attributes.set === 0 && options.attributes.clear === 0 && options.propagation.length === 0) {
    throw new OnggiError("invalid_mount", `mounts[${index}].options: a remount needs an option that it is to set`);
  }
  setAttributes(child, place, options.attributes, 0);
  setAttributes(child, place, options.recursiveAttributes, AT_RECURSIVE);
  propagate(child, place, options.propagation);
  child.close(place);
}

function attach(context: Context, root: Reg, planned: PlannedMount, aside: Aside | null): Reg {
  const { child, input } = context;
  const { destination, type, options, mount } = planned;
  child.about(groupOf(destination), `mount ${destination}`);
  const file = options.bind && input.fileSources?.has(mount.source as string);
  const strict = type === "proc" || type === "sysfs";
  const place = openTarget(child, root, destination, {
    kind: file ? "file" : "directory",
    strict,
    noFollow: options.placeNoFollow,
  });
  const fd = planned.detached === null ? make(context, planned, place) : inTurn(context, planned.detached, planned, aside);
  child.about(groupOf(destination), `mount ${destination}`);
  child.do({ kind: "moveMount", from: fd, fromPath: "", to: place, toPath: "", flags: ONTO }).close(place);
  if (!options.bind) propagate(child, fd, options.propagation);
  // attached first: devices that are bind mounts need a place in the namespace
  if (isOwnDev(planned) && planned.detached === null) fillDev(context, child, fd);
  return fd;
}

/** Two places of the host's that the container will not see. */
interface Aside {
  readonly directory: Reg;
  readonly file: Reg;
}

function openAside({ child, input }: Context, planned: readonly PlannedMount[]): Aside | null {
  if (!input.mountsInOrder || planned.every(({ detached }) => detached === null)) return null;
  child.about("mounts", "open places out of the container's sight");
  const open = (path: string) =>
    child.keep({ kind: "open", dir: AT_FDCWD, path, flags: O.O_PATH | O.O_CLOEXEC, mode: 0, resolve: 0 });
  return { directory: open("/proc"), file: open("/proc/version") };
}

/**
 * What the shim has made, as a copy that is made now: a mount's place in the kernel's list is decided when it is made. Only what
 * is mounted in the child's namespace can be copied by it, so the original first goes aside, and away with the host's root. A
 * shared mount must not: what is then mounted on it would reach its peers.
 */
function inTurn(context: Context, detached: Reg, { options, destination, mount }: PlannedMount, aside: Aside | null): Reg {
  const { child, input } = context;
  const asked = [...options.propagation, rootPropagation(context)];
  const stays = asked.some((type) => (type & (MS.MS_SHARED | MS.MS_UNBINDABLE)) !== 0);
  if (!aside || stays) return detached;
  child.about(groupOf(destination), `list ${destination} where the specification has it`);
  const file = options.bind && input.fileSources?.has(mount.source as string);
  const to = file ? aside.file : aside.directory;
  child.do({ kind: "moveMount", from: detached, fromPath: "", to, toPath: "", flags: ONTO });
  const copy = child.keep({ kind: "openTree", dir: detached, path: "", flags: TREE | AT_EMPTY_PATH | AT_RECURSIVE });
  child.close(detached);
  return copy;
}

function make(context: Context, planned: PlannedMount, place: Reg): Reg {
  if (planned.options.bind) return openBindSource(context, context.child, planned);
  if (isOwnDev(planned)) return newDev(context, context.child, planned);
  return planned.options.copyUp ? copyUp(context, planned, place) : newFileSystem(context, context.child, planned);
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
  const asked = planned.options.data.find(([key]) => key === "mode")?.[1];
  const mode = asked === undefined ? (input.tmpfsModes?.[planned.index] ?? 0o755) : Number.parseInt(asked, 8);
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
