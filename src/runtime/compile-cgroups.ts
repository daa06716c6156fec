/** Control groups: the process goes into its cgroup, and sees it at /sys/fs/cgroup. */
import { AT_FDCWD, type Reg, reg } from "../plan/ops.ts";
import { FSMOUNT, FSOPEN, MOUNT_ATTR, O } from "../sys/constants.ts";
import { errno } from "../sys/errno.ts";
import type { CgroupJoin } from "./cgroups/types.ts";
import type { Writer } from "./compile-builder.ts";
import { AT_EMPTY_PATH, type Context, PATH_DIRECTORY } from "./compile-context.ts";
import { both, newFileSystem, ONTO, type PlannedMount, setAttributes, TREE } from "./compile-filesystem.ts";
import { openTarget } from "./compile-targets.ts";
import { type MountOptions, noMountOptions } from "./mount-options.ts";

/** v2, whole or hybrid: the directory clone3 puts the child into. */
export function compileCloneInto(before: Writer, { cloneInto }: CgroupJoin): Reg | undefined {
  if (cloneInto === null) return undefined;
  before.about("cgroups", "be born in the cgroup");
  return before.keep({ kind: "open", dir: AT_FDCWD, path: cloneInto, flags: PATH_DIRECTORY, mode: 0, resolve: 0 });
}

/**
 * v1 and hybrid: the child moves itself into the cgroup of each hierarchy, before it does anything else. The shim opens the
 * files, because the kernel judges a write by the opener's credentials. Returns their registers.
 */
export function compileCgroupTasks(before: Writer, child: Writer, { tasks }: CgroupJoin): Reg[] {
  const self = new TextEncoder().encode("0");
  return tasks.map((path) => {
    before.about("cgroups", "open the cgroup for the process to enter");
    const flags = O.O_WRONLY | O.O_CLOEXEC;
    const fd = before.keep({ kind: "open", dir: AT_FDCWD, path, flags, mode: 0, resolve: 0 });
    child.about("cgroups", "enter the cgroup").do({ kind: "write", fd, data: self });
    return fd;
  });
}

export function compileOomWatch(before: Writer, { oom }: CgroupJoin): void {
  if (oom === null) return;
  before.about("cgroups", "let the shim see whether memory ran out");
  const flags = O.O_RDONLY | O.O_CLOEXEC;
  before.into(reg.oom, { kind: "open", dir: AT_FDCWD, path: oom, flags, mode: 0, resolve: 0, accept: [errno.ENOENT] });
}

/**
 * v1 and hybrid: a tmpfs with a directory per hierarchy. In a cgroup namespace each shows the container's own group as its
 * root; without one the container's group of each hierarchy is bound, so that other containers' stay out of sight.
 */
export function compileCgroupMount(context: Context, root: Reg, planned: PlannedMount): void {
  const { child, input } = context;
  const { destination } = planned;
  const { set } = both(planned.options);
  const attributes = { set: set & ~MOUNT_ATTR.MOUNT_ATTR_RDONLY, clear: 0 };
  const tmpfs: MountOptions = { ...noMountOptions, attributes, data: [["mode", "755"]] };

  child.about("cgroups", `mount ${destination}`);
  const place = openTarget(child, root, destination, { kind: "directory", strict: true });
  const top = newFileSystem(context, child, { type: "tmpfs", mount: { destination, source: "cgroup" }, options: tmpfs });
  child.do({ kind: "moveMount", from: top, fromPath: "", to: place, toPath: "", flags: ONTO }).close(place);

  for (const { mountpoint, options } of input.facts.cgroupHierarchies) {
    const name = mountpoint.slice(mountpoint.lastIndexOf("/") + 1);
    child.about("cgroups", `show the cgroup in hierarchy ${name}`);
    const hierarchy = context.makes("cgroup")
      ? mountHierarchy(child, name, options, set)
      : bindHierarchy(context, mountpoint, set);
    if (hierarchy === null) continue;
    const below = openTarget(child, top, name, { kind: "directory", strict: true });
    child.do({ kind: "moveMount", from: hierarchy, fromPath: "", to: below, toPath: "", flags: ONTO }).close(below, hierarchy);
    const controllers = name.split(",");
    if (controllers.length > 1) {
      for (const controller of controllers) child.do({ kind: "symlink", target: name, dir: top, path: controller });
    }
  }
  child.about("cgroups", `protect ${destination}`);
  setAttributes(child, top, { set: set & MOUNT_ATTR.MOUNT_ATTR_RDONLY, clear: 0 }, 0);
  child.close(top);
}

/** Read-only by the mount's attribute alone: the super block is the host's too. */
function mountHierarchy(child: Writer, name: string, options: string, attrs: number): Reg {
  const unified = name === "unified" || options === "";
  const fs = child.keep({ kind: "fsopen", fstype: unified ? "cgroup2" : "cgroup", flags: FSOPEN.FSOPEN_CLOEXEC });
  child.do({ kind: "fsconfigString", fs, key: "source", value: "cgroup" });
  for (const option of unified ? [] : options.split(",")) {
    const [key = "", value] = option.split("=");
    if (value === undefined) child.do({ kind: "fsconfigFlag", fs, key });
    else child.do({ kind: "fsconfigString", fs, key, value });
  }
  child.do({ kind: "fsconfigCreate", fs });
  const mounted = child.keep({ kind: "fsmount", fs, flags: FSMOUNT.FSMOUNT_CLOEXEC, attrs });
  child.close(fs);
  return mounted;
}

function bindHierarchy({ child, input }: Context, mountpoint: string, set: number): Reg | null {
  const base = mountpoint.startsWith("/") ? mountpoint : `/sys/fs/cgroup/${mountpoint}`;
  const { tasks, cloneInto } = input.cgroup;
  const file = [...tasks, ...(cloneInto === null ? [] : [`${cloneInto}/tasks`])].find((one) => one.startsWith(`${base}/`));
  if (!file) return null;
  const path = file.slice(0, file.lastIndexOf("/"));
  const fd = child.keep({ kind: "openTree", dir: AT_FDCWD, path, flags: TREE });
  child.do({ kind: "mountSetattr", fd, path: "", flags: AT_EMPTY_PATH, set, clear: 0, propagation: 0 });
  return fd;
}
