/**
 * The root file system: assembled by the shim as a detached mount that no mount namespace sees, attached by the child in its
 * own, and entered at the end.
 *
 * With a user namespace the overlay's lower layer is an id-mapped clone, so that the image's root is the container's. The
 * overlay itself and its upper directory are not id-mapped: the upper directory holds host ids.
 */
import { OnggiError } from "../lib/errors.ts";
import type { Propagation } from "../oci/spec.ts";
import { AT_FDCWD, type Reg, reg } from "../plan/ops.ts";
import { FSMOUNT, FSOPEN, MNT, MOUNT_ATTR, MS } from "../sys/constants.ts";
import { errno } from "../sys/errno.ts";
import { AT_EMPTY_PATH, AT_RECURSIVE, type Context, type CreateInput, PATH_DIRECTORY } from "./compile-context.ts";
import { ONTO, TREE } from "./compile-filesystem.ts";
import type { RootSource } from "./types.ts";

/** How the child gets at the root. */
export interface RootPlan {
  /** The root mount, detached; null when the child makes it by mount(2). */
  readonly detached: Reg | null;
  /** Directory the root is attached to until it becomes the root. */
  readonly mountpoint: string;
}

type Overlay = Extract<RootSource, { kind: "overlay" }>;

/** The shim's part. */
export function compileRootSource(context: Context): RootPlan {
  const { input, host } = context;
  const { root, facts } = input;
  if (root.kind === "directory") {
    host.about("rootfs", "take the root directory, with what is mounted below it");
    const detached = host.keep({ kind: "openTree", dir: AT_FDCWD, path: root.path, flags: TREE | AT_RECURSIVE });
    host.about("rootfs", "let no mount event of the root reach the host");
    const propagation = rootPropagation(context) === MS.MS_PRIVATE ? MS.MS_PRIVATE : MS.MS_SLAVE;
    setPropagation(host, detached, propagation, AT_RECURSIVE);
    return { detached, mountpoint: root.path };
  }
  if (context.unprivileged)
    throw new OnggiError("not_permitted", "an overlay of layers takes root's privileges; give a directory as the root");
  if (!facts.overlayFds && "passed" in root.lower) {
    throw new OnggiError("kernel_too_old", "this kernel's overlayfs takes no descriptors; give the layers as directories");
  }
  return { detached: facts.overlayFds ? overlay(context, root) : null, mountpoint: root.mountpoint };
}

/** An overlay from descriptors. A path could be swapped, and its length is limited. */
function overlay(context: Context, { lower, upper, work }: Overlay): Reg {
  const { host, spec } = context;
  const lowers =
    "passed" in lower ? [idmapped(context, reg.passed + lower.passed)] : lower.paths.map((path) => lowerPath(context, path));
  host.about("rootfs", "open the container's own layer");
  const upperFd = host.keep({ kind: "open", dir: AT_FDCWD, path: upper, flags: PATH_DIRECTORY, mode: 0, resolve: 0 });
  const workFd = host.keep({ kind: "open", dir: AT_FDCWD, path: work, flags: PATH_DIRECTORY, mode: 0, resolve: 0 });
  host.about("rootfs", "lay the container's own layer over the image");
  const fs = host.keep({ kind: "fsopen", fstype: "overlay", flags: FSOPEN.FSOPEN_CLOEXEC });
  for (const fd of lowers) host.do({ kind: "fsconfigFd", fs, key: "lowerdir+", fd });
  host.do({ kind: "fsconfigFd", fs, key: "upperdir", fd: upperFd });
  host.do({ kind: "fsconfigFd", fs, key: "workdir", fd: workFd });
  if (spec.linux?.mountLabel) host.do({ kind: "fsconfigString", fs, key: "context", value: spec.linux.mountLabel });
  host.do({ kind: "fsconfigCreate", fs });
  const detached = host.keep({ kind: "fsmount", fs, flags: FSMOUNT.FSMOUNT_CLOEXEC, attrs: 0 });
  const opened = lowers.filter((fd) => fd >= reg.free);
  host.close(fs, upperFd, workFd, ...opened);
  return detached;
}

/** A clone of a read-only layer that shows its files with the container's ids; the layer itself without user namespace. */
function idmapped({ host, userns }: Context, layer: Reg): Reg {
  if (!userns) return layer;
  host.about("rootfs", "show the image's files with the container's ids");
  const clone = host.keep({ kind: "openTree", dir: layer, path: "", flags: TREE | AT_EMPTY_PATH });
  host.do({ kind: "mountIdmap", fd: clone, flags: AT_EMPTY_PATH, userns: userns.fd });
  return clone;
}

function lowerPath({ host, userns }: Context, path: string): Reg {
  host.about("rootfs", userns ? "show the layer's files with the container's ids" : "open a layer of the image");
  if (!userns) return host.keep({ kind: "open", dir: AT_FDCWD, path, flags: PATH_DIRECTORY, mode: 0, resolve: 0 });
  const clone = host.keep({ kind: "openTree", dir: AT_FDCWD, path, flags: TREE });
  host.do({ kind: "mountIdmap", fd: clone, flags: AT_EMPTY_PATH, userns: userns.fd });
  return clone;
}

/** The child's part: attach the root in its own mount namespace. Returns the root mount. */
export function compileRootAttach(context: Context, { detached, mountpoint }: RootPlan): Reg {
  const { child, input } = context;
  // slave: what the host unmounts goes away here too, what is mounted here never reaches the host
  child.about("rootfs", "let no mount event of this namespace reach the host");
  child.do({ kind: "mountSetattr", fd: AT_FDCWD, path: "/", flags: AT_RECURSIVE, set: 0, clear: 0, propagation: MS.MS_SLAVE });
  const open = (path: string) => ({ kind: "open", dir: AT_FDCWD, path, flags: PATH_DIRECTORY, mode: 0, resolve: 0 }) as const;
  if (detached === null) {
    child.about("rootfs", "lay the container's own layer over the image");
    child.do(overlayMount(input.root, mountpoint));
    return child.keep(open(mountpoint));
  }
  if (attachedBelow(input)) {
    child.about("rootfs", "attach the root file system where it lies, for the hooks that look for it there");
    const place = child.keep(open(mountpoint));
    child.do({ kind: "moveMount", from: detached, fromPath: "", to: place, toPath: "", flags: ONTO }).close(place);
    return detached;
  }
  // On top of "/": the one directory that a container's root can reach whatever the modes of the engine's directories are.
  // Paths still start at the host's root below it, until pivot_root.
  child.about("rootfs", "attach the root file system");
  const place = child.keep(open("/"));
  child.do({ kind: "moveMount", from: detached, fromPath: "", to: place, toPath: "", flags: ONTO }).close(place);
  return detached;
}

/** The overlay by mount(2), for kernels whose overlayfs takes no descriptors. */
export const overlayMount = (root: RootSource, target: string) =>
  ({ kind: "mount", source: "overlay", target, fstype: "overlay", flags: 0, data: overlayOptions(root as Overlay) }) as const;

/** Hooks get the root's path, on the host and in the container's mount namespace (config.md, "createContainer Hooks"). */
const attachedBelow = ({ root, standalone, hookState }: CreateInput): boolean =>
  hookState !== undefined || (root.kind === "directory" && (standalone?.stopWhenMounted ?? false));

/** mount(2) data is one page; overlayfs splits it at commas and the lower directories at colons. */
function overlayOptions({ lower, upper, work }: Overlay): string {
  const paths = "paths" in lower ? lower.paths : [];
  const comma = (path: string) => path.replace(/[\\,]/g, "\\$&");
  const colon = (path: string) => path.replace(/[\\:,]/g, "\\$&");
  const data = `lowerdir=${paths.map(colon).join(":")},upperdir=${comma(upper)},workdir=${comma(work)}`;
  if (data.length > 4095) {
    throw new OnggiError("too_many_layers", `the layers' paths take ${data.length} bytes, this kernel's overlayfs takes 4095`);
  }
  return data;
}

/** The child's last step in the file system: the assembled root becomes the root, the host's goes out of sight. */
export function compileRootEntry(context: Context, { detached }: RootPlan, root: Reg): void {
  const { child, spec, input } = context;
  if (spec.root?.readonly) {
    child.about("rootfs", "make the root read-only");
    const set = MOUNT_ATTR.MOUNT_ATTR_RDONLY;
    child.do({ kind: "mountSetattr", fd: root, path: "", flags: AT_EMPTY_PATH, set, clear: 0, propagation: 0 });
  }
  child.about("rootfs", "enter the root").do({ kind: "fchdir", fd: root });
  if (input.noPivot) {
    const gone = { flags: MNT.MNT_DETACH, accept: [errno.EINVAL, errno.EPERM, errno.ENOENT] };
    child.about("rootfs", "take away what a process that escapes the chroot could use");
    child.do({ kind: "umount", target: "/proc", ...gone }).do({ kind: "umount", target: "/sys", ...gone });
    child.about("rootfs", "make it this process's root, on top of the host's");
    // a detached root was attached there to begin with
    if (detached === null || attachedBelow(input))
      child.do({ kind: "mount", source: ".", target: "/", fstype: "", flags: MS.MS_MOVE, data: "" });
    child.do({ kind: "chroot", path: "." });
  } else {
    child.about("rootfs", "make it the root of this mount namespace").do({ kind: "pivotRoot", newRoot: ".", putOld: "." });
    // pivot_root(2): "." now is the old root, stacked on the new one
    child.about("rootfs", "let go of the host's root").do({ kind: "umount", target: ".", flags: MNT.MNT_DETACH });
  }
  const propagation = rootPropagation(context);
  if (propagation !== 0 && propagation !== MS.MS_PRIVATE) {
    child.about("rootfs", `propagate mounts of the root as ${spec.linux?.rootfsPropagation}`);
    setPropagation(child, root, propagation, spec.linux?.rootfsPropagation?.startsWith("r") ? AT_RECURSIVE : 0);
  }
}

const propagationTypes = {
  shared: MS.MS_SHARED,
  slave: MS.MS_SLAVE,
  private: MS.MS_PRIVATE,
  unbindable: MS.MS_UNBINDABLE,
} as const;

/** What `rootfsPropagation` asks for, 0 when it asks for nothing. */
export function rootPropagation({ spec }: Context): number {
  const asked = spec.linux?.rootfsPropagation;
  return asked === undefined ? 0 : propagationTypes[asked.replace(/^r/, "") as Propagation];
}

export function setPropagation(writer: Context["host"], fd: Reg, propagation: number, flags: number): void {
  writer.do({ kind: "mountSetattr", fd, path: "", flags: AT_EMPTY_PATH | flags, set: 0, clear: 0, propagation });
}
