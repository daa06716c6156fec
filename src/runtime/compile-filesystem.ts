/** Making file systems and changing mounts, by descriptor. */
import { messageOf, OnggiError } from "../lib/errors.ts";
import type { Mount } from "../oci/spec.ts";
import type { Reg } from "../plan/ops.ts";
import { FSMOUNT, FSOPEN, MOUNT_ATTR, MOVE_MOUNT, MS, OPEN_TREE } from "../sys/constants.ts";
import type { Writer } from "./compile-builder.ts";
import { AT_EMPTY_PATH, AT_RECURSIVE, type Context } from "./compile-context.ts";
import type { Attributes, MountOptions } from "./mount-options.ts";

/** A detached copy of a mount. */
export const TREE = OPEN_TREE.OPEN_TREE_CLONE | OPEN_TREE.OPEN_TREE_CLOEXEC;
/** What one descriptor holds goes onto the place another holds. */
export const ONTO = MOVE_MOUNT.MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT.MOVE_MOUNT_T_EMPTY_PATH;

/** A mount of the specification, decoded. */
export interface PlannedMount {
  readonly index: number;
  readonly mount: Mount;
  /** Clean. */
  readonly destination: string;
  readonly type: string;
  readonly options: MountOptions;
  /** Made by the shim already. */
  readonly detached: Reg | null;
}

/** Mounts that later parts of the plan work with by descriptor, whatever is mounted over them. */
export interface MadeMounts {
  readonly proc?: Reg;
  readonly devpts?: Reg;
  /** The tmpfs on /dev that the shim has filled. */
  readonly dev?: Reg;
}

/** Makes a file system and mounts it nowhere. The caller has said what it is about. */
export function newFileSystem(
  context: Context,
  writer: Writer,
  planned: Pick<PlannedMount, "type" | "mount" | "options"> & { readonly index?: number },
  extra: readonly (readonly [string, string?])[] = [],
): Reg {
  const { type, mount, options } = planned;
  const fs = writer.keep({ kind: "fsopen", fstype: type, flags: FSOPEN.FSOPEN_CLOEXEC });
  if (mount.source) writer.do({ kind: "fsconfigString", fs, key: "source", value: short(mount.source) });
  for (const key of options.superFlags) writer.do({ kind: "fsconfigFlag", fs, key });
  const label = context.spec.linux?.mountLabel;
  const labelled = label && !["proc", "sysfs", "cgroup", "cgroup2"].includes(type) ? [["context", label] as const] : [];
  for (const [key, value] of [...extra, ...imageMode(context, planned), ...idOptions(context, writer, planned), ...labelled]) {
    if (value === undefined) writer.do({ kind: "fsconfigFlag", fs, key });
    else writer.do({ kind: "fsconfigString", fs, key, value: short(value) });
  }
  // made by the shim, which is in none of the container's pid namespaces (kernel 6.17)
  const pidns = type === "proc" && writer !== context.child ? context.pidNamespace(writer) : null;
  if (pidns !== null) writer.do({ kind: "fsconfigFd", fs, key: "pidns", fd: pidns });
  writer.do({ kind: "fsconfigCreate", fs });
  const { set } = both(options);
  const attrs = isLateReadonly(type) ? set & ~MOUNT_ATTR.MOUNT_ATTR_RDONLY : set;
  const fd = writer.keep({ kind: "fsmount", fs, flags: FSMOUNT.FSMOUNT_CLOEXEC, attrs });
  writer.close(fs);
  return fd;
}

/** A tmpfs over a directory of the image has that directory's mode, as with runc, unless its options say another. */
function imageMode({ input }: Context, { index }: { readonly index?: number }): [string, string][] {
  const mode = index === undefined ? undefined : input.tmpfsModes?.[index];
  return mode === undefined ? [] : [["mode", mode.toString(8)]];
}

/** Options that are ids, as whoever makes the file system has them; "gid=5" of a devpts the kernel takes only if 5 is mapped. */
function idOptions(
  context: Context,
  writer: Writer,
  { options, mount, index }: Pick<PlannedMount, "mount" | "options"> & { readonly index?: number },
): (readonly [string, string?])[] {
  return options.data.map((option): readonly [string, string?] => {
    const [key, value] = option;
    if (!context.userns || (key !== "uid" && key !== "gid") || !/^\d{1,10}$/.test(value ?? "")) return option;
    try {
      const id = Number(value);
      const hostId = key === "uid" ? context.hostUid(id) : context.hostGid(id);
      return [key, String(writer === context.child ? id : hostId)];
    } catch (error) {
      const where = index === undefined ? mount.destination : `mounts[${index}].options`;
      throw new OnggiError("unmapped_id", `${where}: ${key}=${value}: ${messageOf(error)}`, { cause: error });
    }
  });
}

/** fsconfig(2) takes values of up to 255 bytes. */
function short(value: string): string {
  if (new TextEncoder().encode(value).length <= 255) return value;
  throw new OnggiError("invalid_mount_option", `mount option value of ${value.length} characters: the kernel takes 255 bytes`);
}

/** A tmpfs becomes read-only at the end: places for other mounts may have to be made in it. */
export const isLateReadonly = (type: string): boolean => type === "tmpfs";

/** On a file system that was just made there is nothing below, so the recursive attributes are its own. */
export const both = ({ attributes, recursiveAttributes }: MountOptions): Attributes => ({
  set: (attributes.set & ~recursiveAttributes.clear) | recursiveAttributes.set,
  clear: attributes.clear | recursiveAttributes.clear,
});

export function setAttributes(writer: Writer, fd: Reg, { set, clear }: Attributes, flags: number): void {
  if (set === 0 && clear === 0) return;
  writer.do({ kind: "mountSetattr", fd, path: "", flags: AT_EMPTY_PATH | flags, set, clear, propagation: 0 });
}

export function propagate(writer: Writer, fd: Reg, types: readonly number[]): void {
  for (const type of types) {
    const flags = AT_EMPTY_PATH | (type & MS.MS_REC ? AT_RECURSIVE : 0);
    writer.do({ kind: "mountSetattr", fd, path: "", flags, set: 0, clear: 0, propagation: type & ~MS.MS_REC });
  }
}
