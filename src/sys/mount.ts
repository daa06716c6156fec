/**
 * Mounts, by the descriptor-based calls of Linux 5.2 and later: a file system is configured in a **context** (`fsopen`),
 * becomes a **detached** mount that only its descriptor holds (`fsmount`, `openTree` with OPEN_TREE_CLONE) and is attached
 * by `moveMount`. A detached mount disappears with its last descriptor, so a failure half way leaves nothing behind.
 */
import { AT, FSCONFIG, FSMOUNT, FSOPEN, FSPICK, MOUNT_ATTR, MOVE_MOUNT, OPEN_TREE } from "./constants.ts";
import { errno, SysError } from "./errno.ts";
import { cstring, type Path, printable, stable, sys, sysRaw } from "./ffi.ts";
import { close } from "./file.ts";

/** fsopen(2): a context for a file system type. ENODEV if the kernel does not know the type. */
export const fsopen = (type: string, flags: number = FSOPEN.FSOPEN_CLOEXEC): number =>
  sys("fsopen", type, cstring(type, "fsopen"), flags | FSOPEN.FSOPEN_CLOEXEC);

/** fspick(2): a context that reconfigures the mounted file system at a path. */
export const fspick = (dir: number, path: Path, flags = 0): number =>
  sys("fspick", path, dir, cstring(path, "fspick"), flags | FSPICK.FSPICK_CLOEXEC | (path === "" ? FSPICK.FSPICK_EMPTY_PATH : 0));

/** The messages the kernel left in a context, oldest first, and gone from it: "e overlay: missing 'lowerdir'". */
export function contextLog(fd: number): string[] {
  const buffer = new Uint8Array(8192);
  const messages: string[] = [];
  for (;;) {
    const length = sysRaw("read", fd, buffer, buffer.length);
    if (length <= 0) return messages;
    messages.push(new TextDecoder().decode(buffer.subarray(0, length)).trimEnd());
  }
}

function configure(fd: number, command: number, key: string | null, value: Uint8Array | number | null, aux: number): void {
  const result = sysRaw("fsconfig", fd, command, key === null ? null : cstring(key, "fsconfig"), value, aux);
  if (result < 0) throw new SysError("fsconfig", -result, { path: key ?? undefined, detail: contextLog(fd).join("; ") });
}

// Each throws SysError with the context's messages as `detail`.
/** Sets an option that has no value: "ro". */
export const fsconfigFlag = (fd: number, key: string): void => configure(fd, FSCONFIG.FSCONFIG_SET_FLAG, key, null, 0);
/** Sets an option; at most 255 bytes of value. */
export const fsconfigString = (fd: number, key: string, value: Path): void =>
  configure(fd, FSCONFIG.FSCONFIG_SET_STRING, key, cstring(value, "fsconfig"), 0);
/** Sets an option to an open file: a layer of an overlay. */
export const fsconfigFd = (fd: number, key: string, value: number): void =>
  configure(fd, FSCONFIG.FSCONFIG_SET_FD, key, null, value);
export const fsconfigBinary = (fd: number, key: string, value: Uint8Array): void =>
  configure(fd, FSCONFIG.FSCONFIG_SET_BINARY, key, value, value.byteLength);
/** Makes, or finds, the file system that the options describe. */
export const fsconfigCreate = (fd: number): void => configure(fd, FSCONFIG.FSCONFIG_CMD_CREATE, null, null, 0);
/** Applies the options to the file system that was picked. */
export const fsconfigReconfigure = (fd: number): void => configure(fd, FSCONFIG.FSCONFIG_CMD_RECONFIGURE, null, null, 0);

/** fsmount(2): the context's file system as a detached mount. `attributes`: `MOUNT_ATTR`. */
export const fsmount = (fd: number, attributes = 0, flags: number = FSMOUNT.FSMOUNT_CLOEXEC): number =>
  sys("fsmount", fd, fd, flags | FSMOUNT.FSMOUNT_CLOEXEC, attributes);

/**
 * open_tree(2). With OPEN_TREE_CLONE a detached copy of the mount at a path (with AT_RECURSIVE of the tree), else as O_PATH.
 * A path "" means `dir` itself.
 */
export const openTree = (dir: number, path: Path, flags = 0): number =>
  sys("open_tree", path || dir, dir, cstring(path, "open_tree"), emptyPath(path) | flags | OPEN_TREE.OPEN_TREE_CLOEXEC);

const emptyPath = (path: Path): number => (path.length === 0 ? AT.AT_EMPTY_PATH : 0);

/** move_mount(2): attaches, or moves, a mount. A path "" means the descriptor itself. */
export function moveMount(from: number, fromPath: Path, to: number, toPath: Path, flags = 0): void {
  const empty =
    (fromPath.length === 0 ? MOVE_MOUNT.MOVE_MOUNT_F_EMPTY_PATH : 0) |
    (toPath.length === 0 ? MOVE_MOUNT.MOVE_MOUNT_T_EMPTY_PATH : 0);
  sys("move_mount", toPath || to, from, cstring(fromPath, "move_mount"), to, cstring(toPath, "move_mount"), flags | empty);
}

/** Attaches a detached mount at a path. */
export const attachMount = (mountFd: number, path: Path, dir: number = AT.AT_FDCWD): void => moveMount(mountFd, "", dir, path);

export interface MountAttr {
  /** `MOUNT_ATTR` bits to set; to set an access time mode, its siblings are cleared by MOUNT_ATTR__ATIME in `clear`. */
  readonly set?: number;
  readonly clear?: number;
  /** One of MS_SHARED, MS_SLAVE, MS_PRIVATE, MS_UNBINDABLE; absent or 0 keeps it. */
  readonly propagation?: number;
  /** A user namespace whose map the mount shall have; sets MOUNT_ATTR_IDMAP. The mount must be detached and not idmapped. */
  readonly userns?: number;
}

const attributes = new BigUint64Array(4);

/** mount_setattr(2). `flags`: AT_RECURSIVE applies it to the whole tree, all or nothing. A path "" means `fd` itself. */
export function mountSetattr(fd: number, path: Path, flags: number, attr: MountAttr): void {
  const idmap = attr.userns === undefined ? 0 : MOUNT_ATTR.MOUNT_ATTR_IDMAP;
  attributes[0] = BigInt((attr.set ?? 0) | idmap);
  attributes[1] = BigInt(attr.clear ?? 0);
  attributes[2] = BigInt(attr.propagation ?? 0);
  attributes[3] = BigInt(attr.userns ?? 0);
  sys("mount_setattr", path || fd, fd, cstring(path, "mount_setattr"), flags | emptyPath(path), attributes, 32);
}

/** mount(2), for what the newer calls do not cover. `MS` flags; `data` are the file system's own options. */
export function mount(source: Path | null, target: Path, type: string | null, flags: number, data: string | null = null): void {
  const text = (value: Path | null) => (value === null ? null : cstring(value, "mount"));
  sys("mount", target, text(source), cstring(target, "mount"), text(type), flags, text(data));
}

/** umount2(2). With MNT_DETACH it succeeds although the mount is busy: it goes when it is not used any more. */
export const umount = (path: Path, flags = 0): void => {
  sys("umount2", path, cstring(path, "umount2"), flags);
};

/** pivot_root(2) */
export const pivotRoot = (newRoot: Path, putOld: Path): void => {
  sys("pivot_root", newRoot, cstring(newRoot, "pivot_root"), cstring(putOld, "pivot_root"));
};

/** `true` for an option without a value, a descriptor for options that take one. */
export type MountOption = string | true | { readonly fd: number };

export interface MountFsOptions {
  /** In order; as pairs where a key occurs more than once. */
  readonly options?: Readonly<Record<string, MountOption>> | readonly (readonly [key: string, value: MountOption])[];
  /** `MOUNT_ATTR` of the mount. */
  readonly flags?: number;
  /** The "source" option: a device, or an image file. */
  readonly source?: Path;
}

/**
 * Makes a file system and returns it as a detached mount.
 * @throws SysError with the kernel's own messages as `detail`, for example ENOTBLK, EINVAL, ENODEV
 */
export function mountFs(type: string, { options = [], flags = 0, source }: MountFsOptions = {}): number {
  const context = fsopen(type);
  try {
    if (source !== undefined) fsconfigString(context, "source", source);
    for (const [key, value] of Array.isArray(options) ? options : Object.entries(options)) {
      if (value === true) fsconfigFlag(context, key);
      else if (typeof value === "string") fsconfigString(context, key, value);
      else fsconfigFd(context, key, value.fd);
    }
    fsconfigCreate(context);
    return fsmount(context, flags);
  } catch (error) {
    if (error instanceof SysError)
      throw new SysError(error.call, error.errno, { path: aboutMount(type, source, error), detail: error.detail });
    throw error;
  } finally {
    close(context);
  }
}

const aboutMount = (type: string, source: Path | undefined, { path }: SysError): string =>
  [...new Set([type, printable(source), path])].filter((part) => part !== undefined).join(" ");

/** A detached copy of the mount (with `recursive` of the mount tree) at a path. */
export const pickTree = (path: Path, { dir = AT.AT_FDCWD as number, recursive = false } = {}): number =>
  openTree(dir, path, OPEN_TREE.OPEN_TREE_CLONE | (recursive ? AT.AT_RECURSIVE : 0));

/** True if `fd` is the root of a mount, by its STATX_ATTR_MOUNT_ROOT. */
export function isMountRoot(dir: number, path: Path): boolean {
  const buffer = stable(256);
  const result = sysRaw("statx", dir, cstring(path, "statx"), AT.AT_SYMLINK_NOFOLLOW | emptyPath(path), 0, buffer);
  if (result === -errno.ENOENT || result === -errno.ENOTDIR) return false;
  if (result < 0) throw new SysError("statx", -result, { path: printable(path) });
  return (buffer[9]! & 0x20) !== 0;
}
