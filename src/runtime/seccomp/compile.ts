/**
 * A runtime-spec seccomp section as the program and flags of one seccomp(2) call.
 *
 * The rules are libseccomp's business; what this adds is what runc adds: names the library does not know are left out, and
 * a system call newer than every one the profile names answers ENOSYS instead of the default action, because programs
 * take ENOSYS as "try the older call" and EPERM as the end (`enosys.ts`).
 */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { OnggiError } from "../../lib/errors.ts";
import type { Seccomp, SeccompAction, SeccompRule } from "../../oci/spec.ts";
import {
  isErrno,
  SCMP_ACT,
  SCMP_CMP,
  SCMP_FLTATR,
  type SeccompComparison,
  SeccompFilter,
  seccompArch,
  seccompNativeArch,
  seccompSyscall,
  seccompVersion,
} from "../../sys/index.ts";
import { enosysStub } from "./enosys.ts";

export interface CompiledSeccomp {
  /** struct sock_filter each (8 bytes), for SECCOMP_SET_MODE_FILTER. */
  readonly program: Uint8Array;
  /** SECCOMP_FILTER_FLAG_*; with NEW_LISTENER (8) the call returns a descriptor. */
  readonly flags: number;
}

export interface CompileOptions {
  /** Directory, made if need be, that keeps programs by the digest of their profile. */
  readonly cacheDir?: string;
}

/** SECCOMP_FILTER_FLAG_* of linux/seccomp.h. */
export const FLAGS: Readonly<Record<string, number>> = {
  SECCOMP_FILTER_FLAG_TSYNC: 1,
  SECCOMP_FILTER_FLAG_LOG: 2,
  SECCOMP_FILTER_FLAG_SPEC_ALLOW: 4,
  SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV: 32,
};
const NEW_LISTENER = 8;
const MAX_ERRNO = 4095;
const EPERM = 1;
/** BPF_MAXINSNS: the kernel takes no longer program. */
const MAX_INSTRUCTIONS = 4096;
/** From this many rules on a binary tree of system calls beats libseccomp's plain list. */
const TREE_FROM = 32;
/** Part of the cache key: what this file makes of a profile. */
const FORMAT = 1;

/** The operators of conditions, by the specification's names. */
export const OPERATORS: Readonly<Record<string, number>> = {
  SCMP_CMP_NE: SCMP_CMP.NE,
  SCMP_CMP_LT: SCMP_CMP.LT,
  SCMP_CMP_LE: SCMP_CMP.LE,
  SCMP_CMP_EQ: SCMP_CMP.EQ,
  SCMP_CMP_GE: SCMP_CMP.GE,
  SCMP_CMP_GT: SCMP_CMP.GT,
  SCMP_CMP_MASKED_EQ: SCMP_CMP.MASKED_EQ,
};

function invalid(message: string): never {
  throw new OnggiError("invalid_seccomp_profile", `seccomp profile: ${message}`);
}

const memory = new Map<string, CompiledSeccomp>();
const KEPT = 64;

/**
 * The compiled profile, from memory, from `cacheDir`, or made (some milliseconds). The result is shared: do not change it.
 * Throws `invalid_seccomp_profile`, or `seccomp_library_missing`.
 */
export function compileSeccomp(profile: Seccomp, { cacheDir }: CompileOptions = {}): CompiledSeccomp {
  const digest = digestOf(profile);
  const known = memory.get(digest);
  if (known) return known;
  const file = cacheDir === undefined ? null : `${cacheDir}/${digest}.bpf`;
  let compiled = file === null ? null : readCached(file);
  if (!compiled) {
    compiled = compile(profile);
    if (file !== null) writeCached(file, compiled);
  }
  const [oldest] = memory.keys();
  if (memory.size >= KEPT && oldest !== undefined) memory.delete(oldest);
  memory.set(digest, compiled);
  return compiled;
}

/** JSON with the keys of objects in order, so that equal profiles are equal text. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value === "bigint") return String(value);
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const entries = Object.entries(value).filter(([, field]) => field !== undefined);
  entries.sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, field]) => `${JSON.stringify(key)}:${canonical(field)}`).join(",")}}`;
}

function digestOf({ listenerPath: _path, listenerMetadata: _metadata, ...profile }: Seccomp): string {
  const key = `${FORMAT} ${seccompVersion()} ${process.arch} ${canonical(profile)}`;
  return new Bun.CryptoHasher("sha256").update(key).digest("hex");
}

function compile(profile: Seccomp): CompiledSeccomp {
  const rules = profile.syscalls ?? [];
  const defaultAction = action(profile.defaultAction, profile.defaultErrnoRet);
  const architectures = architecturesOf(profile);
  const native = seccompNativeArch();
  const filter = new SeccompFilter(defaultAction);
  try {
    for (const token of architectures) filter.addArch(token);
    filter.set(SCMP_FLTATR.CTL_NNP, 0);
    if (rules.length > TREE_FROM || rules.some((rule) => rule.names.length > TREE_FROM)) filter.set(SCMP_FLTATR.CTL_OPTIMIZE, 2);
    checkMergeable(rules);
    for (const rule of rules) addRule(filter, rule, defaultAction, native);
    const stub = enosysStub(profile, native, new Set([native, ...architectures]), seccompSyscall);
    const program = Buffer.concat([stub, filter.export()]);
    if (program.length / 8 > MAX_INSTRUCTIONS) {
      invalid(
        `it makes ${program.length / 8} instructions, the kernel takes ${MAX_INSTRUCTIONS}: use fewer rules or architectures`,
      );
    }
    return { program, flags: flagsOf(profile) };
  } finally {
    filter.close();
  }
}

function architecturesOf(profile: Seccomp): number[] {
  return (profile.architectures ?? []).map((name) => {
    const token = name.startsWith("SCMP_ARCH_") ? seccompArch(name.slice("SCMP_ARCH_".length).toLowerCase()) : null;
    return token ?? invalid(`architecture ${JSON.stringify(name)} is not one libseccomp ${seccompVersion()} knows`);
  });
}

function action(name: SeccompAction, errnoRet: number | undefined): number {
  const data = errnoRet ?? EPERM;
  if (name === "SCMP_ACT_ERRNO" || name === "SCMP_ACT_TRACE") {
    const most = name === "SCMP_ACT_ERRNO" ? MAX_ERRNO : 0xffff;
    if (!Number.isInteger(data) || data < 0 || data > most) invalid(`errnoRet ${data} of ${name} is not within 0 and ${most}`);
  }
  switch (name) {
    case "SCMP_ACT_KILL":
    case "SCMP_ACT_KILL_THREAD":
      return SCMP_ACT.killThread;
    case "SCMP_ACT_KILL_PROCESS":
      return SCMP_ACT.killProcess;
    case "SCMP_ACT_TRAP":
      return SCMP_ACT.trap;
    case "SCMP_ACT_ERRNO":
      return SCMP_ACT.errno(data);
    case "SCMP_ACT_TRACE":
      return SCMP_ACT.trace(data);
    case "SCMP_ACT_ALLOW":
      return SCMP_ACT.allow;
    case "SCMP_ACT_LOG":
      return SCMP_ACT.log;
    case "SCMP_ACT_NOTIFY":
      return SCMP_ACT.notify;
    default:
      return invalid(`action ${JSON.stringify(name satisfies never)} is unknown`);
  }
}

function addRule(filter: SeccompFilter, rule: SeccompRule, defaultAction: number, native: number): void {
  const answer = action(rule.action, rule.errnoRet);
  // libseccomp refuses a rule that changes nothing.
  if (answer === defaultAction) return;
  const comparisons = (rule.args ?? []).map(comparison);
  const indexes = new Set(comparisons.map(({ index }) => index));
  // Several conditions on one argument are alternatives, as runc has always taken them; on different ones they are joint.
  const alternatives = indexes.size === comparisons.length ? [comparisons] : comparisons.map((one) => [one]);
  for (const name of rule.names) {
    const number = seccompSyscall(native, name);
    if (number === null) continue;
    for (const alternative of alternatives) {
      try {
        filter.addRule(answer, number, alternative, name);
      } catch (error) {
        // The same rule again, or one that a wider rule covers.
        if (!isErrno(error, "EEXIST"))
          throw new OnggiError("invalid_seccomp_profile", `seccomp profile: rule for ${name}`, { cause: error });
      }
    }
  }
}

/** Comparisons that libseccomp makes of more than a test for equality. */
const ORDERING = new Set(["SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_GT", "SCMP_CMP_GE"]);

/**
 * Refuses what libseccomp 2.5.4 gets wrong when it merges several alternatives for one call, at least one of them with an
 * ordering comparison: joined with another condition it never comes back (a loop in its tree), and with a value of more
 * than 32 bits the program answers wrongly, in both directions.
 */
function checkMergeable(rules: readonly SeccompRule[]): void {
  const seen = new Map<string, { alternatives: number; ordering: boolean; joint: boolean; wide: boolean }>();
  for (const { names, args = [] } of rules) {
    const repeated = new Set(args.map(({ index }) => index)).size < args.length;
    const ordering = args.some(({ op }) => ORDERING.has(op));
    const wide = args.some(({ value }) => value > 0xffff_ffff);
    for (const name of new Set(names)) {
      const sum = seen.get(name) ?? { alternatives: 0, ordering: false, joint: false, wide: false };
      sum.alternatives += repeated ? args.length : 1;
      sum.ordering ||= ordering;
      sum.joint ||= ordering && !repeated && args.length > 1;
      sum.wide ||= wide;
      seen.set(name, sum);
      if (sum.alternatives < 2 || !sum.ordering || !(sum.joint || sum.wide)) continue;
      const what = sum.joint ? "joins an ordering comparison with another condition" : "compares with more than 32 bits";
      invalid(`rules for ${name}: libseccomp cannot merge several alternatives when one ${what}; use one rule, or equality`);
    }
  }
}

function comparison({ index, value, valueTwo = 0, op }: NonNullable<SeccompRule["args"]>[number]): SeccompComparison {
  const operator = OPERATORS[op];
  if (operator === undefined) invalid(`operator ${JSON.stringify(op)} is unknown`);
  if (!Number.isInteger(index) || index < 0 || index > 5) invalid(`argument index ${index} is not within 0 and 5`);
  return { index, operator, a: word(value), b: word(valueTwo) };
}

/** A 64-bit value. A JSON number above 2^53 is not exact any more, and a filter must not guess. */
function word(value: number | bigint): bigint {
  const exact = typeof value === "bigint" || Number.isSafeInteger(value);
  if (!exact || value < 0 || value >= 2n ** 64n) invalid(`argument value ${value} is no exact unsigned 64-bit integer`);
  return BigInt(value);
}

/** Without a word about flags SPEC_ALLOW is set, as runc does: the filter then does not switch off speculation. */
function flagsOf(profile: Seccomp): number {
  let flags = 0;
  for (const name of profile.flags ?? ["SECCOMP_FILTER_FLAG_SPEC_ALLOW"]) {
    flags |= FLAGS[name] ?? invalid(`flag ${JSON.stringify(name)} is unknown`);
  }
  const notifies = [profile.defaultAction, ...(profile.syscalls ?? []).map((rule) => rule.action)].includes("SCMP_ACT_NOTIFY");
  if (notifies) flags |= NEW_LISTENER;
  if (flags & 32 && !notifies) invalid("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV needs a rule with SCMP_ACT_NOTIFY");
  return flags;
}

const MAGIC = 0x4342_474f; // "OGBC"
const HEADER = 4 + 4 + 32;

const checksum = (bytes: Uint8Array): Buffer => new Bun.CryptoHasher("sha256").update(bytes).digest();

/** u32 magic, u32 flags, SHA-256 of the program, the program. Anything that does not hold together counts as missing. */
function readCached(file: string): CompiledSeccomp | null {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch {
    return null;
  }
  if (bytes.length <= HEADER || bytes.readUInt32LE(0) !== MAGIC) return null;
  const program = bytes.subarray(HEADER);
  if (!checksum(program).equals(bytes.subarray(8, HEADER))) return null;
  return { program, flags: bytes.readUInt32LE(4) };
}

/** Written beside and renamed: a reader sees a whole file or none. A cache that cannot be written is no cache, not an error. */
function writeCached(file: string, { program, flags }: CompiledSeccomp): void {
  const header = Buffer.alloc(8);
  header.writeUInt32LE(MAGIC, 0);
  header.writeUInt32LE(flags, 4);
  const temporary = `${file}.${crypto.randomUUID()}`;
  try {
    mkdirSync(file.slice(0, file.lastIndexOf("/")), { recursive: true, mode: 0o700 });
    writeFileSync(temporary, Buffer.concat([header, checksum(program), program]), { mode: 0o600 });
    renameSync(temporary, file);
  } catch {
    rmSync(temporary, { force: true });
  }
}
