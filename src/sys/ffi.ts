/**
 * Calls into the kernel. Everything in this folder goes through `sys` or `sysOnce`, which go through libc's `syscall(2)`:
 * so two symbols are bound whatever the number of calls, and a call works whose name this machine's libc does not know.
 *
 * **Arguments** are all bound as pointers, the form that takes everything: an integer up to 2^53 of either sign (a
 * descriptor, flags, an address), a bigint, `null`, or a view, whose address is read at the moment of the call; so a buffer
 * passed directly can neither move nor die before the kernel is done with it. An address *inside* a structure must come
 * from `address`, and its buffer must be made by `stable`.
 *
 * **Blocking**: a call blocks this JavaScript thread. Descriptors that may wait are opened non-blocking or polled by Bun.
 *
 * `errno` belongs to the thread; nothing runs between the call and its reading that could change it.
 */
import { dlopen, FFIType, type Pointer, ptr, toArrayBuffer } from "bun:ffi";
import { errno, SysError } from "./errno.ts";
import { type Call, numbers } from "./numbers.ts";

/** A path. A string is encoded as UTF-8; bytes are taken as they are, without a NUL at the end. */
export type Path = string | Uint8Array;

/** One argument of a system call. */
export type Arg = number | bigint | NodeJS.TypedArray | DataView | null;

type Syscall = (number: number, a: Arg, b: Arg, c: Arg, d: Arg, e: Arg, f: Arg) => number;

const column = process.arch === "arm64" ? 1 : 0;

let errnoCell: Int32Array;

/** The first call binds libc and then replaces itself. */
let syscall: Syscall = (number, a, b, c, d, e, f) => {
  if (process.platform !== "linux" || (process.arch !== "x64" && process.arch !== "arm64")) {
    throw new Error(`system calls need Linux on x86_64 or arm64, this is ${process.platform} on ${process.arch}`);
  }
  const { symbols } = dlopen("libc.so.6", {
    syscall: { args: new Array(7).fill(FFIType.ptr), returns: FFIType.i64_fast },
    __errno_location: { args: [], returns: FFIType.ptr },
  });
  errnoCell = new Int32Array(toArrayBuffer(symbols.__errno_location() as Pointer, 0, 4));
  syscall = symbols.syscall as unknown as Syscall;
  return syscall(number, a, b, c, d, e, f);
};

/** Makes a call once and returns its result, or minus the errno. Never throws for an errno. */
export function sysRaw(call: Call, a: Arg = 0, b: Arg = 0, c: Arg = 0, d: Arg = 0, e: Arg = 0, f: Arg = 0): number {
  const result = syscall(numbers[call][column], a, b, c, d, e, f);
  return result === -1 ? -errnoCell[0]! : result;
}

/**
 * Makes a call, again after EINTR, and returns its result.
 * @param about what an error message tells: a path, a name, or a descriptor
 * @throws SysError
 */
export function sys(call: Call, about: About, a: Arg = 0, b: Arg = 0, c: Arg = 0, d: Arg = 0, e: Arg = 0, f: Arg = 0): number {
  const number = numbers[call][column];
  for (;;) {
    const result = syscall(number, a, b, c, d, e, f);
    if (result !== -1) return result;
    const code = errnoCell[0]!;
    if (code !== errno.EINTR) throw new SysError(call, code, { path: printable(about) });
  }
}

/** What a call is about: a path or name, a descriptor, or nothing worth telling. */
export type About = Path | number | undefined;

/** The text of it for a message; bytes that are not UTF-8 become U+FFFD. */
export function printable<A extends About>(about: A): A extends undefined ? string | undefined : string;
export function printable(about: About): string | undefined {
  if (typeof about === "number") return `fd ${about}`;
  return about instanceof Uint8Array ? new TextDecoder().decode(about) : about;
}

/** Zeroed memory whose address stays the same as long as it is referenced. */
export const stable = (size: number): Uint8Array => new Uint8Array(new ArrayBuffer(size));

/**
 * The address of a buffer made by `stable`, to be put into a structure.
 * The caller keeps the buffer referenced until the call is done: by passing it to `keep` after the call.
 */
export const address = (buffer: Uint8Array): bigint => (buffer.byteLength === 0 ? 0n : BigInt(ptr(buffer)));

const kept: unknown[] = [null];

/** Keeps buffers, whose addresses a structure held, from being collected before this line. */
export function keep(...buffers: readonly unknown[]): void {
  kept[0] = buffers;
  kept[0] = null;
}

const SCRATCH = 4608;
/** Made when first used: the program's start does not pay for them. */
const scratch: (Uint8Array | undefined)[] = [undefined, undefined, undefined, undefined];
let encoder: TextEncoder | undefined;
let turn = 0;

/**
 * A NUL-terminated copy of a path or name. It is valid until the fourth `cstring` from now, so it is for one call only.
 * @throws SysError EINVAL if the path holds a NUL
 */
export function cstring(path: Path, call = "path"): Uint8Array {
  const holdsNul = typeof path === "string" ? path.includes("\0") : path.includes(0);
  if (holdsNul) throw new SysError(call, errno.EINVAL, { path: printable(path).replaceAll("\0", "\\0"), detail: "holds a NUL" });
  const room = typeof path === "string" ? path.length * 3 : path.length;
  turn = (turn + 1) & 3;
  let target = scratch[turn];
  if (target === undefined) {
    target = stable(SCRATCH);
    scratch[turn] = target;
  }
  if (room >= SCRATCH) target = stable(room + 1);
  let length = path.length;
  if (typeof path === "string") {
    encoder ??= new TextEncoder();
    length = encoder.encodeInto(path, target).written;
  } else target.set(path);
  target[length] = 0;
  return target;
}
