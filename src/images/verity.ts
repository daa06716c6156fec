/**
 * Indexes under fs-verity. The digest of a new index is kept with it as an attribute; where kernel and file system have fs-verity
 * (ext4 with the feature, btrfs, f2fs), the kernel checks each of its blocks when it is read. Layers are not: their digest would
 * have to be computed beside the diffID, which takes as long as that; see docs/images.md.
 * Source of the digest: the kernel's Documentation/filesystems/fsverity.rst, "File digest computation".
 */
import * as fs from "node:fs";
import { close, enableVerity, fgetxattr, isErrno, O, open, setxattr, VERITY, VERITY_BLOCK } from "../sys/index.ts";

const HASH_BYTES = 32;
const LOG_BLOCK = Math.log2(VERITY_BLOCK);
const ATTRIBUTE = "user.onggi.fsverity";
/** Larger ones (a sparse file of a hostile image can make them) are not read for this. */
const MAX_BYTES = 256 << 20;

/** Hashes of the blocks of some data, the last one padded with zeros, into `into` from block `first` on. */
const hashBlocks = (data: Uint8Array, into: Buffer, first: number): void => {
  for (let at = 0; at < data.length; at += VERITY_BLOCK) {
    let block = data.subarray(at, at + VERITY_BLOCK);
    if (block.length < VERITY_BLOCK) block = Buffer.concat([block], VERITY_BLOCK);
    const place = (first + at / VERITY_BLOCK) * HASH_BYTES;
    Bun.SHA256.hash(block, into.subarray(place, place + HASH_BYTES));
  }
};

const levelOf = (bytes: number): Buffer => Buffer.alloc(Math.ceil(bytes / VERITY_BLOCK) * HASH_BYTES);

/** The fs-verity digest of an open file, in hexadecimal: SHA-256, blocks of 4 KiB, no salt. */
export const verityDigest = (fd: number): string => {
  const { size } = fs.fstatSync(fd);
  let level = levelOf(size);
  const buffer = Buffer.alloc(1 << 20);
  for (let at = 0; at < size; ) {
    let bytes = 0;
    while (bytes < buffer.length && at + bytes < size) {
      const count = fs.readSync(fd, buffer, bytes, Math.min(buffer.length, size - at) - bytes, at + bytes);
      if (count === 0) throw new Error("the file has become shorter");
      bytes += count;
    }
    hashBlocks(buffer.subarray(0, bytes), level, at / VERITY_BLOCK);
    at += bytes;
  }
  while (level.length > HASH_BYTES) {
    const next = levelOf(level.length);
    hashBlocks(level, next, 0);
    level = next;
  }
  const descriptor = Buffer.alloc(256);
  descriptor.set([1, VERITY.FS_VERITY_HASH_ALG_SHA256, LOG_BLOCK]);
  descriptor.writeBigUInt64LE(BigInt(size), 8);
  descriptor.set(level, 16);
  return new Bun.CryptoHasher("sha256").update(descriptor).digest("hex");
};

/** Records a whole file's digest with it and puts it under fs-verity, each as far as it can be had. Nobody may have it open. */
export const sealIndex = (path: string): void => {
  const fd = open(path, O.O_RDONLY);
  try {
    if (fs.fstatSync(fd).size > MAX_BYTES) return;
    setxattr(path, ATTRIBUTE, verityDigest(fd));
    enableVerity(fd);
  } catch (error) {
    if (!isErrno(error, "EOPNOTSUPP", "ENOSPC", "EDQUOT", "EPERM")) throw error;
  } finally {
    close(fd);
  }
};

/** Whether a file still has the digest it was sealed with; null where none is recorded. */
export const isSealed = (path: string): boolean | null => {
  const fd = open(path, O.O_RDONLY);
  try {
    const recorded = fgetxattr(fd, ATTRIBUTE);
    return recorded && new TextDecoder().decode(recorded) === verityDigest(fd);
  } catch (error) {
    if (isErrno(error, "EOPNOTSUPP")) return null;
    throw error;
  } finally {
    close(fd);
  }
};
