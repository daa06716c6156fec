/**
 * libseccomp.so.2 (2.5 or newer): makes the BPF program of a seccomp filter. Bound on first use. See seccomp_init(3) and its
 * neighbours; the numbers are those of <seccomp.h>.
 */
import { dlopen, FFIType, type Pointer, ptr, toArrayBuffer } from "bun:ffi";
import { messageOf, OnggiError } from "../lib/errors.ts";
import { SECCOMP } from "./constants.ts";
import { errno, SysError } from "./errno.ts";
import { sysRaw } from "./ffi.ts";
import { close, memfd } from "./file.ts";
import { lseek, readAll } from "./io.ts";

/** What a filter answers. `errno` and `trace` carry 16 bits of data. */
export const SCMP_ACT = Object.freeze({
  killProcess: 0x8000_0000,
  killThread: 0,
  trap: 0x0003_0000,
  errno: (value: number): number => 0x0005_0000 | (value & 0xffff),
  notify: 0x7fc0_0000,
  trace: (value: number): number => 0x7ff0_0000 | (value & 0xffff),
  log: 0x7ffc_0000,
  allow: 0x7fff_0000,
});

/** enum scmp_filter_attr */
export const SCMP_FLTATR = Object.freeze({ ACT_BADARCH: 2, CTL_NNP: 3, CTL_TSYNC: 4, CTL_LOG: 6, CTL_SSB: 7, CTL_OPTIMIZE: 8 });

/** enum scmp_compare */
export const SCMP_CMP = Object.freeze({ NE: 1, LT: 2, LE: 3, EQ: 4, GE: 5, GT: 6, MASKED_EQ: 7 });

/** struct scmp_arg_cmp. For MASKED_EQ `a` is the mask and `b` the value. */
export interface SeccompComparison {
  readonly index: number;
  readonly operator: number;
  readonly a: bigint;
  readonly b: bigint;
}

const { u32, i32, ptr: pointer } = FFIType;

const bind = () =>
  dlopen("libseccomp.so.2", {
    seccomp_version: { args: [], returns: pointer },
    seccomp_init: { args: [u32], returns: pointer },
    seccomp_release: { args: [pointer], returns: FFIType.void },
    seccomp_arch_native: { args: [], returns: u32 },
    seccomp_arch_resolve_name: { args: [pointer], returns: u32 },
    seccomp_arch_add: { args: [pointer, u32], returns: i32 },
    seccomp_attr_set: { args: [pointer, i32, u32], returns: i32 },
    seccomp_syscall_resolve_name_arch: { args: [u32, pointer], returns: i32 },
    seccomp_rule_add_array: { args: [pointer, u32, i32, u32, pointer], returns: i32 },
    seccomp_export_bpf: { args: [pointer, i32], returns: i32 },
  }).symbols;

let bound: ReturnType<typeof bind> | undefined;

function library(): ReturnType<typeof bind> {
  if (bound) return bound;
  try {
    bound = bind();
    return bound;
  } catch (error) {
    throw new OnggiError(
      "seccomp_library_missing",
      `a seccomp profile needs libseccomp.so.2, which cannot be loaded (${messageOf(error)}): install it (Debian: libseccomp2) or run with seccomp unconfined`,
      { cause: error },
    );
  }
}

const text = (name: string): Uint8Array => Buffer.from(`${name}\0`);

/** "2.5.4". Throws `seccomp_library_missing`, as everything here does. */
export function seccompVersion(): string {
  const version = new Uint32Array(toArrayBuffer(library().seccomp_version() as Pointer, 0, 12));
  return [...version].join(".");
}

/** The token of the architecture this runs on: AUDIT_ARCH_*. */
export const seccompNativeArch = (): number => library().seccomp_arch_native() >>> 0;

/** The token of an architecture ("x86_64", "x32", "aarch64"); null if this libseccomp does not know it. */
export const seccompArch = (name: string): number | null => library().seccomp_arch_resolve_name(ptr(text(name))) >>> 0 || null;

/**
 * The number of a system call on an architecture; a negative pseudo-number if the call exists elsewhere only, null if this
 * libseccomp does not know the name.
 */
export function seccompSyscall(arch: number, name: string): number | null {
  const number = library().seccomp_syscall_resolve_name_arch(arch, ptr(text(name)));
  return number === -1 ? null : number;
}

/** True if the kernel knows all of these SECCOMP_FILTER_FLAG_*. It looks at the flags before it reads the filter, of which there is none. */
export const seccompFlagsSupported = (flags: number): boolean =>
  sysRaw("seccomp", SECCOMP.SECCOMP_SET_MODE_FILTER, flags, null) === -errno.EFAULT;

/** A filter under construction. `close` it. */
export class SeccompFilter {
  readonly #context: Pointer;

  /** With the native architecture in it. Throws SysError EINVAL if this libseccomp or kernel does not know the action. */
  constructor(defaultAction: number) {
    const context = library().seccomp_init(defaultAction) as Pointer | null;
    if (!context) throw new SysError("seccomp_init", 22, { path: `action 0x${defaultAction.toString(16)}` });
    this.#context = context;
  }

  close(): void {
    library().seccomp_release(this.#context);
  }

  /** False if the architecture is in it already. */
  addArch(token: number): boolean {
    const result = library().seccomp_arch_add(this.#context, token);
    if (result === -17) return false;
    check("seccomp_arch_add", result, `0x${token.toString(16)}`);
    return true;
  }

  set(attribute: number, value: number): void {
    check("seccomp_attr_set", library().seccomp_attr_set(this.#context, attribute, value), `attribute ${attribute}`);
  }

  /** `syscall` is the number on the native architecture, or a pseudo-number. All comparisons must hold. */
  addRule(action: number, syscall: number, comparisons: readonly SeccompComparison[], name: string): void {
    const bytes = new Uint8Array(Math.max(1, comparisons.length) * 24);
    const view = new DataView(bytes.buffer);
    comparisons.forEach(({ index, operator, a, b }, at) => {
      view.setUint32(at * 24, index, true);
      view.setUint32(at * 24 + 4, operator, true);
      view.setBigUint64(at * 24 + 8, a, true);
      view.setBigUint64(at * 24 + 16, b, true);
    });
    const result = library().seccomp_rule_add_array(this.#context, action, syscall, comparisons.length, ptr(bytes));
    check("seccomp_rule_add_array", result, name);
  }

  /** The program: struct sock_filter, 8 bytes each. */
  export(): Uint8Array {
    const fd = memfd("seccomp");
    try {
      check("seccomp_export_bpf", library().seccomp_export_bpf(this.#context, fd));
      lseek(fd, 0, 0);
      return readAll(fd);
    } finally {
      close(fd);
    }
  }
}

function check(call: string, result: number, about?: string): void {
  if (result < 0) throw new SysError(call, -result, { path: about });
}
