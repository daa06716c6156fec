/**
 * The on-disk format of EROFS as far as an index needs it: superblock, device table, extended inodes, extended attributes.
 * Source: the kernel's Documentation/filesystems/erofs.rst and fs/erofs/erofs_fs.h (facts of the format, kernels 6.4 and later
 * for blocks of 512 bytes). All numbers are little-endian.
 */
import { writeBytes } from "../archive/bytes.ts";
import type { Inode } from "./tree.ts";
import { shownXattrs } from "./tree-xattrs.ts";

export const BLOCK_BITS = 9;
export const BLOCK_SIZE = 1 << BLOCK_BITS;
export const INODE_SIZE = 64;
/** Inode numbers count in these units from the start of the file. */
export const NID_UNIT = 32;
export const DIRENT_SIZE = 12;
export const SUPER_OFFSET = 1024;
const SUPER_SIZE = 128;
const DEVICE_SLOT = 128;
const MAGIC = 0xe0f5e1e2;
const COMPAT_MTIME = 0x2;
const INCOMPAT_CHUNKED_FILE = 0x4;
const INCOMPAT_DEVICE_TABLE = 0x8;
/** Address of a chunk that is a hole. */
export const HOLE = 0xffffffff;

/** The largest address a 32-bit block number gives: 2 TiB. */
export const MAX_BLOCKS = 0xfffffffe;

/** Layout of an inode's data. */
export const layout = { plain: 0, inline: 2, chunks: 4 } as const;

const modeBits = {
  file: 0o100000,
  dir: 0o040000,
  symlink: 0o120000,
  char: 0o020000,
  block: 0o060000,
  fifo: 0o010000,
  link: 0,
} as const;
const direntTypes = { file: 1, dir: 2, char: 3, block: 4, fifo: 5, symlink: 7, link: 0 } as const;

export const direntType = (inode: Inode): number => direntTypes[inode.entry.type];

/** The kernel's 32-bit device number. */
export const deviceNumber = (major: number, minor: number): number =>
  ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0;

export const roundUp = (value: number, unit: number): number => Math.ceil(value / unit) * unit;
export const blocksOf = (bytes: number): number => Math.ceil(bytes / BLOCK_SIZE);

/** First byte after superblock and device table. */
export const headSize = (devices: number): number => SUPER_OFFSET + SUPER_SIZE + devices * DEVICE_SLOT;

export interface DeviceSlot {
  /** Names the device, at most 64 bytes. */
  readonly tag: string;
  readonly blocks: number;
  /** First block of the device in the common address space. */
  readonly start: number;
}

export const writeHead = (
  image: Buffer,
  options: { rootNid: number; inodes: number; blocks: number; devices: readonly DeviceSlot[]; uuid: Uint8Array },
): void => {
  const { devices } = options;
  const at = SUPER_OFFSET;
  image.writeUInt32LE(MAGIC, at);
  image.writeUInt32LE(COMPAT_MTIME, at + 8);
  image[at + 12] = BLOCK_BITS;
  image.writeUInt16LE(options.rootNid, at + 14);
  image.writeUInt32LE(options.inodes, at + 16);
  image.writeUInt32LE(options.blocks, at + 36);
  image.set(options.uuid.subarray(0, 16), at + 48);
  image.writeUInt32LE(INCOMPAT_CHUNKED_FILE | (devices.length > 0 ? INCOMPAT_DEVICE_TABLE : 0), at + 80);
  image.writeUInt16LE(devices.length, at + 86);
  image.writeUInt16LE((SUPER_OFFSET + SUPER_SIZE) / DEVICE_SLOT, at + 88);
  devices.forEach((device, i) => {
    const slot = SUPER_OFFSET + SUPER_SIZE + i * DEVICE_SLOT;
    writeBytes(image, device.tag.slice(0, 64), slot);
    image.writeUInt32LE(device.blocks, slot + 64);
    image.writeUInt32LE(device.start, slot + 68);
  });
};

/** Writes an extended inode. `words` and `halves` are views of the whole index; `at` is a multiple of 32. */
export const writeInode = (
  words: Uint32Array,
  halves: Uint16Array,
  inode: Inode,
  at: number,
  xattrBytes: number,
  address: number,
  ino: number,
): void => {
  const { entry } = inode;
  const half = at >>> 1;
  const word = at >>> 2;
  halves[half] = 1 | (inode.layout << 1);
  halves[half + 1] = xattrBytes === 0 ? 0 : (xattrBytes - 12) / 4 + 1;
  // Linux knows no other mode of a symbolic link, whatever a tar says.
  halves[half + 2] = modeBits[entry.type] | (entry.type === "symlink" ? 0o777 : entry.mode);
  words[word + 2] = inode.dataSize >>> 0;
  words[word + 3] = Math.floor(inode.dataSize / 2 ** 32);
  words[word + 4] = address;
  words[word + 5] = ino;
  words[word + 6] = entry.uid;
  words[word + 7] = entry.gid;
  words[word + 8] = entry.mtime >>> 0;
  words[word + 9] = Math.floor(entry.mtime / 2 ** 32) >>> 0;
  words[word + 10] = entry.mtimeNs;
  words[word + 11] = inode.links;
};

/** Prefixes with an index of their own. The ACL names are whole: nothing follows them. */
const prefixes: readonly (readonly [prefix: string, index: number])[] = [
  ["user.", 1],
  ["system.posix_acl_access", 2],
  ["system.posix_acl_default", 3],
  ["trusted.", 4],
  ["security.", 6],
];

/** One extended attribute of an inode with its name split; null when EROFS has no place for its name space. */
const splitName = (name: string): { index: number; rest: string } | null => {
  for (const [prefix, index] of prefixes) {
    const whole = !prefix.endsWith(".");
    if (whole ? name === prefix : name.startsWith(prefix) && name.length > prefix.length) {
      return { index, rest: name.slice(prefix.length) };
    }
  }
  return null;
};

/** The body of an inode's inline extended attributes, its size a multiple of 4; null when there are none. */
export const encodeXattrs = (inode: Inode): Buffer | null => {
  const parts: Buffer[] = [];
  for (const { name, value } of shownXattrs(inode)) {
    const split = splitName(name);
    if (!split) continue;
    const part = Buffer.alloc(roundUp(4 + split.rest.length + value.length, 4));
    part[0] = split.rest.length;
    part[1] = split.index;
    part.writeUInt16LE(value.length, 2);
    writeBytes(part, split.rest, 4);
    part.set(value, 4 + split.rest.length);
    parts.push(part);
  }
  return parts.length === 0 ? null : Buffer.concat([Buffer.alloc(12), ...parts]);
};

/** The most bytes a 16-bit count of 4-byte units after the 12-byte header can say. */
export const MAX_XATTR_BODY = 12 + 4 * 0xfffe;
