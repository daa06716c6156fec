/**
 * The options of the driver "local", Docker's names (docker volume create): `type`, `o` and `device` as mount(8) has -t, -o and the
 * device, and `size`. Pure.
 */
import { OnggiError } from "../lib/errors.ts";
import { lookUp } from "../lib/tables.ts";
import { parseBytes } from "../lib/units.ts";
import { MOUNT_ATTR } from "../sys/constants.ts";

/** What a volume's directory shows. */
export type VolumeSource =
  /** Its own files. */
  | { readonly kind: "directory" }
  /** A file system in a file beside it, of fixed size. */
  | { readonly kind: "image"; readonly type: "ext4" | "xfs"; readonly size: number; readonly how: MountHow }
  /** A directory or file system of the host's. */
  | { readonly kind: "bind"; readonly device: string; readonly recursive: boolean; readonly how: MountHow }
  | { readonly kind: "mount"; readonly type: string; readonly device: string; readonly how: MountHow };

export interface MountHow {
  /** `MOUNT_ATTR` bits. */
  readonly attributes: number;
  /** Options of the file system, in order. */
  readonly data: readonly (readonly [key: string, value?: string])[];
  /** As it was written, for mount(8). */
  readonly text: string;
}

const { MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC } = MOUNT_ATTR;
const attributes: Readonly<Record<string, number>> = {
  ro: MOUNT_ATTR_RDONLY,
  nosuid: MOUNT_ATTR_NOSUID,
  nodev: MOUNT_ATTR_NODEV,
  noexec: MOUNT_ATTR_NOEXEC,
  noatime: MOUNT_ATTR.MOUNT_ATTR_NOATIME,
  nodiratime: MOUNT_ATTR.MOUNT_ATTR_NODIRATIME,
};
/** What is the case anyway, or is a note of mount(8)'s. */
const ignored = new Set(["", "rw", "suid", "dev", "exec", "relatime", "defaults", "auto", "noauto", "nofail", "_netdev", "loop"]);

/** The smallest that mke2fs and mkfs.xfs make. */
const SMALLEST = { ext4: 1 << 20, xfs: 300 << 20 } as const;
const NAMES = ["type", "o", "device", "size"];

const IN_MEMORY = new Set(["tmpfs", "ramfs"]);

const invalid = (message: string): OnggiError => new OnggiError("invalid_volume_option", message);

/** Throws `invalid_volume_option`. */
export function parseVolumeOptions(options: Readonly<Record<string, string>>): VolumeSource {
  const unknown = Object.keys(options).find((name) => !NAMES.includes(name));
  if (unknown !== undefined) throw invalid(`volume option ${unknown}: known are ${NAMES.join(", ")}`);
  const { type = "", o = "", device = "" } = options;
  const size = options.size === undefined ? null : sizeOf(options.size);
  const bind = o.split(",").find((option) => option === "bind" || option === "rbind");
  if (device === "" && (type === "" || type === "ext4" || type === "xfs")) {
    if (size !== null) return imageOf(type === "xfs" ? "xfs" : "ext4", size, o);
    if (type === "" && o === "") return { kind: "directory" };
    throw invalid(`volume option device is missing: what is to be mounted? (size=SIZE makes a file system of its own)`);
  }
  if (bind !== undefined || type === "none" || type === "bind") {
    if (size !== null) throw invalid("volume option size: a directory elsewhere has no size of its own");
    if (!device.startsWith("/")) throw invalid(`volume option device=${device}: a bind mount needs an absolute path`);
    return { kind: "bind", device, recursive: bind === "rbind", how: howOf(o, new Set(["bind", "rbind"])) };
  }
  if (type === "") throw invalid(`volume option type is missing: which file system is ${device}?`);
  if (!/^[a-z][a-z0-9_.]*$/.test(type)) throw invalid(`volume option type=${type}: no name of a file system`);
  if (size !== null && type !== "tmpfs")
    throw invalid(`volume option size: it is for tmpfs, and without a device for ext4 and xfs`);
  if (device === "" && !IN_MEMORY.has(type)) throw invalid(`volume option device is missing: which ${type} is to be mounted?`);
  const how = howOf(size === null ? o : [o, `size=${size}`].filter(Boolean).join(","));
  return { kind: "mount", type, device: device || type, how };
}

function imageOf(type: "ext4" | "xfs", size: number, o: string): VolumeSource {
  if (size < SMALLEST[type]) throw invalid(`volume option size: ${type} needs ${SMALLEST[type] >> 20}m at least`);
  return { kind: "image", type, size, how: howOf(o) };
}

function sizeOf(text: string): number {
  try {
    return parseBytes(text, "volume option size");
  } catch (error) {
    throw invalid((error as Error).message);
  }
}

/** "ro,size=1m" taken apart. */
function howOf(o: string, left: ReadonlySet<string> = new Set()): MountHow {
  const words = o.split(",").filter((word) => !ignored.has(word) && !left.has(word));
  const data: [string, string?][] = [];
  let bits = 0;
  for (const word of words) {
    const attribute = lookUp(attributes, word);
    if (attribute !== undefined) bits |= attribute;
    else {
      const equals = word.indexOf("=");
      data.push(equals < 1 ? [word] : [word.slice(0, equals), word.slice(equals + 1)]);
    }
  }
  return { attributes: bits, data, text: words.join(",") };
}
