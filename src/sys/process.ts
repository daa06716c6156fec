/** Processes: signals, waiting, privileges, limits, and what the machine says of itself. */
import { CAP, O, PR, WAIT } from "./constants.ts";
import { errno, SysError } from "./errno.ts";
import { sys, sysRaw } from "./ffi.ts";
import { close, open } from "./file.ts";
import { readAll } from "./io.ts";

/** kill(2). A negative pid is a process group. A pid may be reused: prefer a pidfd for a process that is not a child. */
export const kill = (pid: number, signal: number): void => {
  sys("kill", `pid ${pid}`, pid, signal);
};

export interface Exit {
  readonly pid: number;
  /** Exit code; null if a signal ended the process. */
  readonly code: number | null;
  readonly signal: number | null;
}

const status = new Int32Array(1);

/**
 * wait4(2) for a child that has ended.
 * @param pid a child, or -1 for any. Children that Bun started belong to Bun.
 * @returns null with WNOHANG if none has ended yet
 * @throws SysError ECHILD
 */
export function waitpid(pid: number, flags = 0): Exit | null {
  const ended = sys("wait4", `pid ${pid}`, pid, status, flags | WAIT.__WALL, null);
  if (ended === 0) return null;
  const signal = status[0]! & 0x7f;
  return { pid: ended, code: signal === 0 ? (status[0]! >> 8) & 0xff : null, signal: signal === 0 ? null : signal };
}

/** prctl(2) with numbers as arguments (`PR`). */
export const prctl = (option: number, arg2 = 0, arg3 = 0, arg4 = 0, arg5 = 0): number =>
  sys("prctl", `option ${option}`, option, arg2, arg3, arg4, arg5);

/** This process adopts orphaned descendants. */
export const setChildSubreaper = (on: boolean): void => {
  prctl(PR.PR_SET_CHILD_SUBREAPER, on ? 1 : 0);
};

/** No limit. */
export const RLIM_INFINITY = 0xffff_ffff_ffff_ffffn;

export interface Limit {
  readonly soft: bigint;
  readonly hard: bigint;
}

const oldLimit = new BigUint64Array(2);

/** prlimit(2): sets a limit (`RLIMIT`) if one is given, and returns the former one. `pid` 0 is this process. */
export function prlimit(pid: number, resource: number, limit?: Limit): Limit {
  const wanted = limit === undefined ? null : new BigUint64Array([limit.soft, limit.hard]);
  sys("prlimit64", `resource ${resource}`, pid, resource, wanted, oldLimit);
  return { soft: oldLimit[0]!, hard: oldLimit[1]! };
}

/** Capability sets as bit masks: bit `CAP.CAP_CHOWN` and so on. */
export interface CapabilitySets {
  readonly effective: bigint;
  readonly permitted: bigint;
  readonly inheritable: bigint;
}

/** capget(2). `pid` 0 is the calling thread. */
export function capget(pid = 0): CapabilitySets {
  const version3 = 0x20080522;
  const data = new Uint32Array(6);
  sys("capget", `pid ${pid}`, new Int32Array([version3, pid]), data);
  const set = (at: number) => BigInt(data[at]!) | (BigInt(data[at + 3]!) << 32n);
  return { effective: set(0), permitted: set(1), inheritable: set(2) };
}

/** The capabilities this process could still hand on (its bounding set), as a bit mask. */
export function boundingSet(): bigint {
  let set = 0n;
  for (let capability = 0; capability < 64; capability++) {
    const result = sysRaw("prctl", PR.PR_CAPBSET_READ, capability);
    if (result === -errno.EINVAL) break;
    if (result === 1) set |= 1n << BigInt(capability);
  }
  return set;
}

/** True if a set holds a capability. */
export const hasCapability = (set: bigint, capability: number): boolean => ((set >> BigInt(capability)) & 1n) === 1n;

/** The names in a set: ["CAP_CHOWN", ...]. Numbers newer than this program's table are left out. */
export const capabilityList = (set: bigint): (keyof typeof CAP)[] =>
  (Object.keys(CAP) as (keyof typeof CAP)[]).filter((name) => hasCapability(set, CAP[name]));

/** Of PR_SET_SECUREBITS: capabilities stay as they are when ids change, capabilities(7). */
const SECBIT_NO_SETUID_FIXUP = 4;

/**
 * Runs `work`, which must not await, with these ids for what it makes in file systems, setfsuid(2), and its capabilities as they are.
 * On an id-mapped mount nothing can be made by ids that it does not have (EOVERFLOW). Needs CAP_SETUID, CAP_SETGID and CAP_SETPCAP.
 */
export function asFileOwner<T>(uid: number, gid: number, work: () => T): T {
  const bits = prctl(PR.PR_GET_SECUREBITS);
  // the kernel takes this from the whole process when one thread's ids change
  const dumpable = prctl(PR.PR_GET_DUMPABLE);
  prctl(PR.PR_SET_SECUREBITS, bits | SECBIT_NO_SETUID_FIXUP);
  const [oldUid, oldGid] = [sysRaw("setfsuid", uid), sysRaw("setfsgid", gid)];
  try {
    return work();
  } finally {
    sysRaw("setfsuid", oldUid);
    sysRaw("setfsgid", oldGid);
    prctl(PR.PR_SET_SECUREBITS, bits);
    if (dumpable === 1) prctl(PR.PR_SET_DUMPABLE, 1);
  }
}

export const getuid = (): number => sys("getuid", undefined);
export const geteuid = (): number => sys("geteuid", undefined);
export const getgid = (): number => sys("getgid", undefined);
export const getegid = (): number => sys("getegid", undefined);
export const getpid = (): number => sys("getpid", undefined);
export const getppid = (): number => sys("getppid", undefined);
/** The id of the JavaScript thread. */
export const gettid = (): number => sys("gettid", undefined);

/** Supplementary groups, getgroups(2). */
export function getgroups(): number[] {
  const groups = new Uint32Array(sys("getgroups", undefined, 0, null));
  const count = groups.length === 0 ? 0 : sys("getgroups", undefined, groups.length, groups);
  return [...groups.subarray(0, count)];
}

/** setsid(2): a session and process group of its own. EPERM if this process leads a group already. */
export const setsid = (): number => sys("setsid", undefined);

/** umask(2). Returns the former mask. */
export const umask = (mask: number): number => sys("umask", undefined, mask);

/** What sysconf(3) tells: ticks per second of /proc/PID/stat, bytes of a page, processors this process may run on. */
export function sysconf(name: "CLK_TCK" | "PAGESIZE" | "NPROCESSORS"): number {
  if (name === "NPROCESSORS") return affinityCount();
  const type = name === "CLK_TCK" ? 17n : 6n;
  auxiliary ??= readAuxiliary();
  const value = auxiliary.get(type);
  if (value === undefined) throw new SysError("sysconf", errno.EINVAL, { path: name, detail: "not in /proc/self/auxv" });
  return value;
}

let auxiliary: Map<bigint, number> | undefined;

/** The auxiliary vector, getauxval(3), where the kernel says AT_PAGESZ (6) and AT_CLKTCK (17). */
function readAuxiliary(): Map<bigint, number> {
  const fd = open("/proc/self/auxv", O.O_RDONLY);
  try {
    const words = new BigUint64Array(readAll(fd).slice().buffer);
    const entries = new Map<bigint, number>();
    for (let at = 0; at + 1 < words.length; at += 2) entries.set(words[at]!, Number(words[at + 1]!));
    return entries;
  } finally {
    close(fd);
  }
}

function affinityCount(): number {
  const mask = new Uint8Array(8192);
  const length = sys("sched_getaffinity", undefined, 0, mask.length, mask);
  let count = 0;
  for (const byte of mask.subarray(0, length)) for (let bits = byte; bits !== 0; bits &= bits - 1) count++;
  return count;
}
