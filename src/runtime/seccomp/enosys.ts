/**
 * The prologue of a filter: system calls that are newer than the profile answer ENOSYS.
 *
 * "Newer" is a number above the largest that the profile names on that architecture. A profile cannot mean to forbid what
 * did not exist when it was written with a particular errno, and the C libraries try a new call first and fall back to the
 * old one only on ENOSYS: with EPERM, programs of a newer libc than the profile's fail at random places.
 */
import type { Seccomp } from "../../oci/spec.ts";

const ENOSYS = 38;
const AUDIT_ARCH_X86_64 = 0xc000_003e;
/** Set in the numbers of the x32 ABI, which shares AUDIT_ARCH_X86_64. */
const X32_BIT = 0x4000_0000;

/** Default actions that let an unknown call through, or hand it to somebody who decides. */
const PERMISSIVE: readonly string[] = ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE", "SCMP_ACT_NOTIFY"];

/** Classic BPF, linux/bpf_common.h; struct seccomp_data is { i32 nr; u32 arch; u64 ip; u64 args[6] }. */
const LOAD = 0x20;
const JUMP_IF_EQUAL = 0x15;
const JUMP_IF_GREATER = 0x25;
const JUMP_IF_AT_LEAST = 0x35;
const RETURN = 0x06;
const NUMBER = 0;
const ARCH = 4;

type Instruction = readonly [code: number, ifTrue: number, ifFalse: number, operand: number];

/**
 * Instructions to put before the filter; none if the default action is permissive or ENOSYS itself.
 * @param tokens the architectures of the filter, by libseccomp's tokens (AUDIT_ARCH_*, and one of its own for x32)
 * @param numberOf a system call's number on an architecture, negative or null if it has none
 */
export function enosysStub(
  profile: Seccomp,
  native: number,
  tokens: ReadonlySet<number>,
  numberOf: (arch: number, name: string) => number | null,
): Uint8Array {
  if (PERMISSIVE.includes(profile.defaultAction) || profile.defaultErrnoRet === ENOSYS) return new Uint8Array();
  const names = new Set((profile.syscalls ?? []).flatMap((rule) => rule.names));
  const largest = new Map<number, number>();
  for (const token of tokens) {
    let most = -1;
    for (const name of names) most = Math.max(most, numberOf(token, name) ?? -1);
    if (most >= 0) largest.set(token, most);
  }
  const blocks: Instruction[][] = [];
  for (const [token, most] of largest) {
    if (isX32(token)) continue;
    const x32 = [...largest].find(([other]) => isX32(other))?.[1];
    // The native one is asked most, so its test comes first.
    blocks[token === native ? "unshift" : "push"](blockFor(token, most, token === AUDIT_ARCH_X86_64 ? (x32 ?? null) : null));
  }
  if (blocks.length === 0) return new Uint8Array();
  return encode([[LOAD, 0, 0, ARCH], ...blocks.flat()]);
}

/** libseccomp's SCMP_ARCH_X32: i386's machine with the 64-bit convention. */
const isX32 = (token: number): boolean => token === 0x4000_003e;

/** For one architecture; the accumulator holds the architecture, and still does when another one's block follows. */
function blockFor(audit: number, most: number, x32: number | null): Instruction[] {
  const answer: Instruction = [RETURN, 0, 0, 0x0005_0000 | ENOSYS];
  if (audit !== AUDIT_ARCH_X86_64) {
    return withTest(audit, [[LOAD, 0, 0, NUMBER], [JUMP_IF_GREATER, 0, 1, most], answer]);
  }
  if (x32 === null) {
    return withTest(audit, [[LOAD, 0, 0, NUMBER], [JUMP_IF_AT_LEAST, 2, 0, X32_BIT], [JUMP_IF_GREATER, 0, 1, most], answer]);
  }
  return withTest(audit, [
    [LOAD, 0, 0, NUMBER],
    [JUMP_IF_AT_LEAST, 1, 0, X32_BIT],
    [JUMP_IF_GREATER, 1, 2, most],
    [JUMP_IF_GREATER, 0, 1, x32],
    answer,
  ]);
}

/** The body for this architecture only; after it the accumulator is loaded with the architecture again for the next block. */
const withTest = (audit: number, body: Instruction[]): Instruction[] => [
  [JUMP_IF_EQUAL, 0, body.length + 1, audit],
  ...body,
  [LOAD, 0, 0, ARCH],
];

function encode(instructions: readonly Instruction[]): Uint8Array {
  const bytes = new Uint8Array(instructions.length * 8);
  const view = new DataView(bytes.buffer);
  instructions.forEach(([code, ifTrue, ifFalse, operand], index) => {
    view.setUint16(index * 8, code, true);
    view.setUint8(index * 8 + 2, ifTrue);
    view.setUint8(index * 8 + 3, ifFalse);
    view.setUint32(index * 8 + 4, operand >>> 0, true);
  });
  return bytes;
}
