/**
 * Read-only and masked paths.
 *
 * Each is opened inside the root and then worked on by descriptor, so what was looked at is what is covered. The
 * covers come from the host's /dev/null and from a tmpfs of ours, never from a path in the image (CVE-2025-31133).
 */
import type { Reg } from "../plan/ops.ts";
import { FSMOUNT, FSOPEN, MOUNT_ATTR, O } from "../sys/constants.ts";
import { errno } from "../sys/errno.ts";
import { AT_EMPTY_PATH, AT_RECURSIVE, type Context, IN_ROOT, PATH_DIRECTORY } from "./compile-context.ts";
import { ONTO, TREE } from "./compile-filesystem.ts";
import { cleanPath, components } from "./paths.ts";

/** A path that is not there needs no protection. */
const missing = [errno.ENOENT, errno.ENOTDIR];

export function compileReadonlyPaths({ child, spec }: Context, root: Reg): void {
  for (const path of spec.linux?.readonlyPaths ?? []) {
    child.about("mounts", `make ${path} read-only`);
    const place = openIfThere(child, root, path, O.O_PATH | O.O_CLOEXEC);
    const tree = child.keep({ kind: "openTree", dir: place, path: "", flags: TREE | AT_EMPTY_PATH | AT_RECURSIVE });
    const flags = AT_EMPTY_PATH | AT_RECURSIVE;
    child.do({ kind: "mountSetattr", fd: tree, path: "", flags, set: MOUNT_ATTR.MOUNT_ATTR_RDONLY, clear: 0, propagation: 0 });
    child.do({ kind: "moveMount", from: tree, fromPath: "", to: place, toPath: "", flags: ONTO }).close(tree, place);
  }
}

/** What the usual masked paths are is the kernel's decision and known; both covers are tried for the rest. */
const knownFiles = new Set([
  "/proc/kcore",
  "/proc/keys",
  "/proc/latency_stats",
  "/proc/timer_list",
  "/proc/timer_stats",
  "/proc/sched_debug",
  "/proc/interrupts",
]);
const knownDirectories = new Set(["/proc/acpi", "/proc/asound", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap"]);

export function compileMaskedPaths(context: Context, root: Reg): void {
  const paths = (context.spec.linux?.maskedPaths ?? []).map(cleanPath);
  if (paths.length === 0) return;
  const { child } = context;
  const empty = paths.every((path) => knownFiles.has(path)) ? null : emptyDirectory(context);
  for (const path of paths) {
    child.about("mounts", `mask ${path}`);
    const place = openIfThere(child, root, path, O.O_PATH | O.O_CLOEXEC);
    if (!knownDirectories.has(path)) {
      // an absolute path takes no directory; naming `place` makes the executor skip the call where there is nothing to mask
      const cover = child.keep({ kind: "openTree", dir: place, path: "/dev/null", flags: TREE });
      // what a file on a directory is called has changed between kernels; a directory gets its cover below in any case
      const accept = knownFiles.has(path) ? [] : [errno.ENOTDIR, errno.EINVAL];
      child.do({ kind: "moveMount", from: cover, fromPath: "", to: place, toPath: "", flags: ONTO, accept }).close(cover);
    }
    if (!knownFiles.has(path) && empty !== null) {
      const accept = [errno.ENOTDIR];
      const directory = child.keep({ kind: "open", dir: place, path: ".", flags: PATH_DIRECTORY, mode: 0, resolve: 0, accept });
      const cover = coverOf(context, empty);
      child.do({ kind: "moveMount", from: cover, fromPath: "", to: directory, toPath: "", flags: ONTO }).close(cover, directory);
    }
    child.close(place);
  }
  if (empty !== null) child.close(empty);
}

function openIfThere(child: Context["child"], root: Reg, path: string, flags: number): Reg {
  const inside = components(path).join("/") || ".";
  return child.keep({ kind: "open", dir: root, path: inside, flags, mode: 0, resolve: IN_ROOT, accept: missing });
}

const READ_ONLY =
  MOUNT_ATTR.MOUNT_ATTR_RDONLY | MOUNT_ATTR.MOUNT_ATTR_NOSUID | MOUNT_ATTR.MOUNT_ATTR_NODEV | MOUNT_ATTR.MOUNT_ATTR_NOEXEC;

/** A file system to clone covers from; on a kernel that cannot clone what is mounted nowhere, one whose mount each cover is. */
function emptyDirectory({ child }: Context): Reg {
  child.about("mounts", "make an empty directory to mask others with");
  const fs = child.keep({ kind: "fsopen", fstype: "tmpfs", flags: FSOPEN.FSOPEN_CLOEXEC });
  child.do({ kind: "fsconfigString", fs, key: "mode", value: "755" });
  child.do({ kind: "fsconfigString", fs, key: "nr_inodes", value: "1" }).do({ kind: "fsconfigCreate", fs });
  const empty = child.keep({ kind: "fsmount", fs, flags: FSMOUNT.FSMOUNT_CLOEXEC, attrs: READ_ONLY });
  child.close(fs);
  return empty;
}

function coverOf(context: Context, empty: Reg): Reg {
  if (!context.input.facts.cloneDetached) return emptyDirectory(context);
  return context.child.keep({ kind: "openTree", dir: empty, path: "", flags: TREE | AT_EMPTY_PATH });
}
