/**
 * Namespaces and process descriptors.
 *
 * `setns` and `unshare` change the calling **thread**. Bun has many: what they change is the JavaScript thread only, and
 * user, mount and pid namespaces cannot be changed at all from here (EINVAL); those are the shim's work.
 */
import { CFunction, FFIType, type Pointer, toArrayBuffer } from "bun:ffi";
import { AF, CLONE, NS, O, SIG, SO, SOCK, WAIT } from "./constants.ts";
import { errno, isErrno, SysError } from "./errno.ts";
import { sys, sysRaw } from "./ffi.ts";
import { close, open } from "./file.ts";
import { ioctl, writeAll } from "./io.ts";

/** unshare(2) */
export const unshare = (flags: number): void => {
  sys("unshare", undefined, flags);
};

/** setns(2): joins the namespace behind `fd`, or with a pidfd those that `types` (CLONE_NEW*) names. */
export const setns = (fd: number, types = 0): void => {
  sys("setns", fd, fd, types);
};

/**
 * Runs `work`, which must not await, with the JavaScript thread in another namespace (of the kinds net, uts, ipc, cgroup),
 * and returns to the former one. A socket opened inside belongs to that namespace for good.
 * @param fd a namespace descriptor; `kind` its CLONE_NEW* flag
 */
export function inNamespace<T>(fd: number, kind: number, work: () => T): T {
  const name = kindNames[kind];
  if (name === undefined) throw new SysError("setns", errno.EINVAL, { detail: `${kind} is not one of net, uts, ipc, cgroup` });
  const home = open(`/proc/thread-self/ns/${name}`, O.O_RDONLY);
  try {
    setns(fd, kind);
    try {
      return work();
    } finally {
      setns(home, kind);
    }
  } finally {
    close(home);
  }
}

const kindNames: Readonly<Record<number, string>> = {
  [CLONE.CLONE_NEWNET]: "net",
  [CLONE.CLONE_NEWUTS]: "uts",
  [CLONE.CLONE_NEWIPC]: "ipc",
  [CLONE.CLONE_NEWCGROUP]: "cgroup",
};

/** The user namespace that owns a namespace, ioctl_ns(2). EPERM if it is outside the caller's own. */
export const ownerUserNamespace = (fd: number): number => ioctl(fd, NS.NS_GET_USERNS);

/** The kind of a namespace descriptor, as CLONE_NEW*. ENOTTY if `fd` is something else. */
export const namespaceKind = (fd: number): number => ioctl(fd, NS.NS_GET_NSTYPE);

/** The network namespace that a socket belongs to, as a descriptor. Needs CAP_NET_ADMIN in it. */
export const networkNamespaceOf = (socket: number): number => ioctl(socket, SO.SIOCGSKNS);

/**
 * A number that no other network namespace has until the machine is restarted (SO_NETNS_COOKIE, Linux 5.14), while inode numbers come
 * again. @throws SysError ENOPROTOOPT on older kernels
 */
export function networkNamespaceCookie(netns: number): bigint {
  const socket = inNamespace(netns, CLONE.CLONE_NEWNET, () =>
    sys("socket", undefined, AF.AF_UNIX, SOCK.SOCK_DGRAM | SOCK.SOCK_CLOEXEC, 0),
  );
  try {
    const cookie = new BigUint64Array(1);
    sys("getsockopt", socket, socket, SO.SOL_SOCKET, SO.SO_NETNS_COOKIE, cookie, new Uint32Array([cookie.byteLength]));
    return cookie[0]!;
  } finally {
    close(socket);
  }
}

/** pidfd_open(2): a descriptor that stays with this process; it polls readable when the process has ended. */
export const pidfdOpen = (pid: number, flags = 0): number => sys("pidfd_open", `pid ${pid}`, pid, flags);

/** pidfd_send_signal(2). ESRCH if the process has ended. Signal 0 only asks. */
export const pidfdSendSignal = (pidfd: number, signal: number): void => {
  sys("pidfd_send_signal", pidfd, pidfd, signal, null, 0);
};

/** pidfd_getfd(2): a duplicate of another process's descriptor. Needs the right to trace it. */
export const pidfdGetfd = (pidfd: number, target: number): number => sys("pidfd_getfd", pidfd, pidfd, target, 0);

/** A line of /proc/PID/uid_map: `size` ids from `containerID` on stand for those from `hostID` on. */
export interface IdMap {
  readonly containerID: number;
  readonly hostID: number;
  readonly size: number;
}

/** Maps as the kernel writes them, user_namespaces(7): one "inside outside count" per line. */
export const formatIdMap = (map: readonly IdMap[]): string =>
  map.map(({ containerID, hostID, size }) => `${containerID} ${hostID} ${size}\n`).join("");

/**
 * A user namespace with these maps, as a descriptor: for idmapped mounts and for containers to join. It lives as long as
 * somebody refers to it. A map is text as in /proc/PID/uid_map, or its lines.
 * @throws SysError EPERM where user namespaces are forbidden or the caller may not map these ids; ENOSPC over the limit in
 *   /proc/sys/user/max_user_namespaces; EINVAL for a map that overlaps
 */
export function createUserNamespace(uidMap: string | readonly IdMap[], gidMap: string | readonly IdMap[]): number {
  return createUserNamespaceWith((pid) => {
    writeMap(pid, "uid_map", typeof uidMap === "string" ? uidMap : formatIdMap(uidMap));
    const gids = typeof gidMap === "string" ? gidMap : formatIdMap(gidMap);
    try {
      writeMap(pid, "gid_map", gids);
    } catch (error) {
      // Without privileges one may map one's own group only, and only once setgroups(2) is given up.
      if (!isErrno(error, "EPERM")) throw error;
      writeMap(pid, "setgroups", "deny");
      writeMap(pid, "gid_map", gids);
    }
  });
}

function writeMap(pid: number, file: string, text: string): void {
  const path = `/proc/${pid}/${file}`;
  const fd = open(path, O.O_WRONLY);
  try {
    writeAll(fd, text);
  } catch (error) {
    if (error instanceof SysError) throw new SysError("write", error.errno, { path, detail: JSON.stringify(text) });
    throw error;
  } finally {
    close(fd);
  }
}

/**
 * A user namespace whose maps `writeMaps` writes, given the id of a process inside (for newuidmap(1), for example).
 * The process is gone when this returns or throws.
 */
export function createUserNamespaceWith(writeMaps: (pid: number) => void): number {
  const pid = cloneSleeper();
  try {
    writeMaps(pid);
    return open(`/proc/${pid}/ns/user`, O.O_RDONLY);
  } finally {
    sysRaw("kill", pid, SIG.SIGKILL);
    sys("wait4", `pid ${pid}`, pid, null, WAIT.__WALL, null);
  }
}

/*
 * The process that holds a new user namespace while its maps are written. A process with threads cannot unshare one, and a
 * fork of Bun would copy the page tables of its whole heap. So the child shares this process's memory (CLONE_VM) and runs
 * nothing but these few instructions, which touch neither stack nor memory; CLONE_CLEAR_SIGHAND keeps our signal handlers
 * from running in it, PR_SET_PDEATHSIG ends it should this thread end first.
 *
 *   clone3(args, size); if not child: return
 *   prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); for ever: pause()     [arm64: ppoll(0, 0, 0, 0, 0)]
 */
// biome-ignore format: machine code, one instruction per item
const sleeperX64 = [
  0xb8, 0xb3, 0x01, 0x00, 0x00,  0x0f, 0x05,  0x85, 0xc0,  0x74, 0x01,  0xc3, // mov eax,435 syscall test jz+1 ret
  0xb8, 0x9d, 0x00, 0x00, 0x00,  0xbf, 0x01, 0x00, 0x00, 0x00,  0xbe, 0x09, 0x00, 0x00, 0x00, // eax=157 edi=1 esi=9
  0x31, 0xd2,  0x45, 0x31, 0xd2,  0x45, 0x31, 0xc0,  0x0f, 0x05, // edx=r10=r8=0 syscall
  0xb8, 0x22, 0x00, 0x00, 0x00,  0x0f, 0x05,  0xeb, 0xf7, // mov eax,34 syscall jmp back
];
// biome-ignore format: machine code
const sleeperArm64 = [
  0xd2803668, 0xd4000001, 0xb4000040, 0xd65f03c0, // mov x8,435  svc  cbz x0,+2  ret
  0xd28014e8, 0xd2800020, 0xd2800121, 0xd2800002, 0xd2800003, 0xd2800004, 0xd4000001, // x8=167 x0=1 x1=9 x2..x4=0 svc
  0xd2800928, 0xd2800000, 0xd2800001, 0xd2800002, 0xd2800003, 0xd2800004, 0xd4000001, 0x17fffff9, // x8=73 x0..x4=0 svc b back
];

type Sleeper = (args: BigUint64Array, size: number) => number;
let sleeper: Sleeper | undefined;

function loadSleeper(): Sleeper {
  const code = process.arch === "arm64" ? new Uint8Array(Uint32Array.from(sleeperArm64).buffer) : Uint8Array.from(sleeperX64);
  const readWrite = 3;
  const readExecute = 5;
  const privateAnonymous = 0x22;
  const page = sys("mmap", undefined, null, 4096, readWrite, privateAnonymous, -1, 0) as Pointer;
  new Uint8Array(toArrayBuffer(page, 0, 4096)).set(code);
  sys("mprotect", undefined, page, 4096, readExecute);
  return CFunction({ ptr: page, args: [FFIType.ptr, FFIType.u64], returns: FFIType.i64_fast }) as unknown as Sleeper;
}

/** Clones the sleeping process into a new user namespace; its exit sends no signal. Returns its pid. */
function cloneSleeper(): number {
  sleeper ??= loadSleeper();
  const { CLONE_VM, CLONE_FILES, CLONE_NEWUSER, CLONE_CLEAR_SIGHAND } = CLONE;
  const args = new BigUint64Array(8);
  args[0] = BigInt(CLONE_VM + CLONE_FILES + CLONE_NEWUSER + CLONE_CLEAR_SIGHAND);
  const pid = sleeper(args, args.byteLength);
  if (pid < 0) throw new SysError("clone3", -pid, { detail: "a new user namespace" });
  return pid;
}
