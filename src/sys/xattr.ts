/**
 * Extended attributes, xattr(7). A path is followed through a last symbolic link; `l...` is not; a number is a descriptor
 * (not O_PATH: there `/proc/self/fd/N` is the way). Values are bytes, names text with their namespace: "trusted.overlay.opaque".
 */
import { errno, SysError } from "./errno.ts";
import { cstring, type Path, printable, sys, sysRaw } from "./ffi.ts";
import type { Call } from "./numbers.ts";

type Target = Path | number;
const argument = (target: Target, call: Call) => (typeof target === "number" ? target : cstring(target, call));

/** Calls with a growing buffer until the answer fits. Null for ENODATA. */
function sized(call: Call, target: Target, name: string | undefined): Uint8Array | null {
  for (let size = 1024; ; size = 65536) {
    const buffer = new Uint8Array(size);
    const result =
      name === undefined
        ? sysRaw(call, argument(target, call), buffer, size)
        : sysRaw(call, argument(target, call), cstring(name, call), buffer, size);
    if (result >= 0) return buffer.slice(0, result);
    if (result === -errno.ENODATA) return null;
    if (result === -errno.EINTR || (result === -errno.ERANGE && size < 65536)) continue;
    throw new SysError(call, -result, { path: printable(target), detail: name });
  }
}

const decode = (list: Uint8Array | null): string[] =>
  new TextDecoder()
    .decode(list ?? undefined)
    .split("\0")
    .slice(0, -1);

/** The value of an attribute; null if the file has none of that name. EOPNOTSUPP where the file system has no attributes. */
export const getxattr = (target: Target, name: string): Uint8Array | null =>
  sized(typeof target === "number" ? "fgetxattr" : "getxattr", target, name);
export const lgetxattr = (path: Path, name: string): Uint8Array | null => sized("lgetxattr", path, name);
export const fgetxattr = (fd: number, name: string): Uint8Array | null => sized("fgetxattr", fd, name);

/** All names that the caller may see. */
export const listxattr = (target: Target): string[] =>
  decode(sized(typeof target === "number" ? "flistxattr" : "listxattr", target, undefined));
export const llistxattr = (path: Path): string[] => decode(sized("llistxattr", path, undefined));
export const flistxattr = (fd: number): string[] => decode(sized("flistxattr", fd, undefined));

function set(call: Call, target: Target, name: Path, value: Uint8Array | string, flags: number): void {
  const bytes = typeof value === "string" ? new TextEncoder().encode(value) : value;
  sys(
    call,
    `${printable(target)} ${printable(name)}`,
    argument(target, call),
    cstring(name, call),
    bytes,
    bytes.byteLength,
    flags,
  );
}

/** Sets an attribute. `flags`: XATTR_CREATE (EEXIST if it is there), XATTR_REPLACE (ENODATA if it is not). */
export const setxattr = (target: Target, name: string, value: Uint8Array | string, flags = 0): void =>
  set(typeof target === "number" ? "fsetxattr" : "setxattr", target, name, value, flags);
/** As setxattr, of a link itself; a name that is not UTF-8 is given as bytes. */
export const lsetxattr = (path: Path, name: Path, value: Uint8Array | string, flags = 0): void =>
  set("lsetxattr", path, name, value, flags);
export const fsetxattr = (fd: number, name: string, value: Uint8Array | string, flags = 0): void =>
  set("fsetxattr", fd, name, value, flags);

function remove(call: Call, target: Target, name: string): void {
  sys(call, `${printable(target)} ${name}`, argument(target, call), cstring(name, call));
}

/** Removes an attribute. ENODATA if there is none. */
export const removexattr = (target: Target, name: string): void =>
  remove(typeof target === "number" ? "fremovexattr" : "removexattr", target, name);
export const lremovexattr = (path: Path, name: string): void => remove("lremovexattr", path, name);
export const fremovexattr = (fd: number, name: string): void => remove("fremovexattr", fd, name);
