/**
 * fs-verity: a file that nobody can write to any more, and whose every read the kernel checks against a Merkle tree.
 * Source: the kernel's Documentation/filesystems/fsverity.rst.
 */
import { VERITY } from "./constants.ts";
import { isErrno } from "./errno.ts";
import { stable } from "./ffi.ts";
import { ioctl } from "./io.ts";

/** Block size of the trees, in bytes. */
export const VERITY_BLOCK = 4096;

/**
 * Enables fs-verity with SHA-256, blocks of 4 KiB and no salt for a file that is open for reading and nowhere for writing. False
 * where kernel or file system do not have it. EEXIST if it is enabled, ETXTBSY if somebody has the file open for writing.
 */
export function enableVerity(fd: number): boolean {
  const argument = new DataView(stable(128).buffer);
  for (const [i, value] of [1, VERITY.FS_VERITY_HASH_ALG_SHA256, VERITY_BLOCK].entries()) argument.setUint32(4 * i, value, true);
  try {
    ioctl(fd, VERITY.FS_IOC_ENABLE_VERITY, new Uint8Array(argument.buffer));
    return true;
  } catch (error) {
    if (isErrno(error, "ENOTTY", "EOPNOTSUPP", "EINVAL", "ENOPKG")) return false;
    throw error;
  }
}

/** The digest by which the kernel checks a file; null where fs-verity is not enabled for it. Costs no read. */
export function measureVerity(fd: number): Uint8Array | null {
  const answer = stable(4 + 64);
  new DataView(answer.buffer).setUint16(2, 64, true);
  try {
    ioctl(fd, VERITY.FS_IOC_MEASURE_VERITY, answer);
  } catch (error) {
    if (isErrno(error, "ENOTTY", "EOPNOTSUPP", "ENODATA")) return null;
    throw error;
  }
  return answer.slice(4, 4 + new DataView(answer.buffer).getUint16(2, true));
}
