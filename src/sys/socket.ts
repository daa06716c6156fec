/** Unix sockets, unix(7): long paths, passing descriptors, peers. */
import { AF, F, MSG, O, SO, SOCK } from "./constants.ts";
import { errno, SysError } from "./errno.ts";
import { address, keep, stable, sys, sysRaw } from "./ffi.ts";
import { close, fchmod } from "./file.ts";

const PATH_MAX = 107;

/** struct sockaddr_un for a path; its length is exact. */
function unixAddress(call: "bind" | "connect", path: string): Uint8Array {
  const name = new TextEncoder().encode(path);
  if (name.length > PATH_MAX) {
    throw new SysError(call, errno.ENAMETOOLONG, {
      path,
      detail: `a socket address holds ${PATH_MAX} bytes, this has ${name.length}`,
    });
  }
  const bytes = new Uint8Array(2 + name.length + 1);
  bytes[0] = AF.AF_UNIX;
  bytes.set(name, 2);
  return bytes;
}

/**
 * The path by which a socket in the directory `dirFd` is connected, however long the directory's own path is:
 * "/proc/self/fd/N/name". It works in this process while the descriptor is open.
 */
export const unixConnectPath = (dirFd: number, name: string): string => `/proc/self/fd/${dirFd}/${name}`;

export interface UnixOptions {
  /** `SOCK`: SOCK_STREAM if absent. */
  readonly type?: number;
  /** Permissions of the socket file, before the umask; 0777 if absent. */
  readonly mode?: number;
  readonly nonblock?: boolean;
}

const open = (type: number, nonblock: boolean): number =>
  sys("socket", undefined, AF.AF_UNIX, type | SOCK.SOCK_CLOEXEC | (nonblock ? SOCK.SOCK_NONBLOCK : 0), 0);

/**
 * A listening socket named `name` in a directory, which may be O_PATH. The file has its mode from the start.
 * @throws SysError EADDRINUSE if the name exists: nobody removes a stale socket here
 */
export function unixListen(dirFd: number, name: string, backlog = 128, options: UnixOptions = {}): number {
  const path = unixConnectPath(dirFd, name);
  const { type = SOCK.SOCK_STREAM, mode, nonblock = false } = options;
  const fd = open(type, nonblock);
  try {
    if (mode !== undefined) fchmod(fd, mode);
    const to = unixAddress("bind", path);
    sys("bind", path, fd, to, to.length);
    if (type !== SOCK.SOCK_DGRAM) sys("listen", path, fd, backlog);
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}

/**
 * So many clients may wait to be accepted, at most net.core.somaxconn. Beyond it connecting to a unix socket fails at once (EAGAIN), or
 * waits where it may: listen(2), connect(2).
 */
export const setBacklog = (fd: number, backlog: number): void => void sys("listen", undefined, fd, backlog);

/** Connects to a socket in a directory. ECONNREFUSED if nobody listens, ENOENT if there is none. */
export function unixConnect(dirFd: number, name: string, options: UnixOptions = {}): number {
  const path = unixConnectPath(dirFd, name);
  const fd = open(options.type ?? SOCK.SOCK_STREAM, options.nonblock ?? false);
  try {
    const to = unixAddress("connect", path);
    sys("connect", path, fd, to, to.length);
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}

/** Connects to an address as it is written in NOTIFY_SOCKET: a path of at most 107 bytes, or "@NAME" without one, unix(7). */
export function unixConnectTo(address: string, options: UnixOptions = {}): number {
  const fd = open(options.type ?? SOCK.SOCK_STREAM, options.nonblock ?? false);
  try {
    const to = unixAddress("connect", address);
    // the kernel takes all bytes of a name that has no path: there is no end to mark
    const isAbstract = address.startsWith("@");
    if (isAbstract) to[2] = 0;
    sys("connect", address, fd, to, isAbstract ? to.length - 1 : to.length);
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}

/** accept4(2). EAGAIN on a non-blocking socket with nobody waiting. */
export const accept = (fd: number, nonblock = false): number =>
  sys("accept4", fd, fd, null, null, SOCK.SOCK_CLOEXEC | (nonblock ? SOCK.SOCK_NONBLOCK : 0));

const pair = new Int32Array(2);

/** Two connected unix sockets. `type`: SOCK_STREAM, SOCK_DGRAM or SOCK_SEQPACKET, with SOCK_NONBLOCK if wanted. */
export function socketpair(type: number = SOCK.SOCK_STREAM): [number, number] {
  sys("socketpair", undefined, AF.AF_UNIX, type | SOCK.SOCK_CLOEXEC, 0, pair);
  return [pair[0]!, pair[1]!];
}

/** shutdown(2): no more reading (0), writing (1) or both (2). */
export const shutdown = (fd: number, how: 0 | 1 | 2): void => {
  sys("shutdown", fd, fd, how);
};

const HEADER = 56;
const CONTROL_HEADER = 16;
const align = (length: number): number => (length + 7) & ~7;

/** struct msghdr with one buffer and room for control messages. */
function messageHeader(data: Uint8Array, control: Uint8Array): { header: Uint8Array; view: DataView; vector: Uint8Array } {
  const vector = stable(16);
  const vectorView = new DataView(vector.buffer);
  vectorView.setBigUint64(0, address(data), true);
  vectorView.setBigUint64(8, BigInt(data.length), true);
  const header = stable(HEADER);
  const view = new DataView(header.buffer);
  view.setBigUint64(16, address(vector), true);
  view.setBigUint64(24, 1n, true);
  view.setBigUint64(32, address(control), true);
  view.setBigUint64(40, BigInt(control.length), true);
  return { header, view, vector };
}

/**
 * Sends bytes (at least one on a stream) and with them duplicates of descriptors, at most 253, SCM_RIGHTS.
 * @returns bytes sent; the descriptors go with the first of them
 */
export function sendFds(socket: number, data: Uint8Array, fds: readonly number[], flags: number = MSG.MSG_NOSIGNAL): number {
  const bytes = stable(data.length);
  bytes.set(data);
  const control = stable(fds.length === 0 ? 0 : CONTROL_HEADER + align(fds.length * 4));
  if (fds.length > 0) {
    const view = new DataView(control.buffer);
    view.setBigUint64(0, BigInt(CONTROL_HEADER + fds.length * 4), true);
    view.setInt32(8, SO.SOL_SOCKET, true);
    view.setInt32(12, SO.SCM_RIGHTS, true);
    for (const [index, fd] of fds.entries()) view.setInt32(CONTROL_HEADER + index * 4, fd, true);
  }
  const { header, vector } = messageHeader(bytes, control);
  const sent = sys("sendmsg", socket, socket, header, flags);
  keep(bytes, control, vector);
  return sent;
}

export interface Received {
  /** Empty at the end of the stream. */
  readonly data: Uint8Array;
  /** New descriptors, close-on-exec; the receiver closes them. */
  readonly fds: readonly number[];
}

/**
 * Receives up to `size` bytes and the descriptors sent with them.
 * @throws SysError EMSGSIZE if there were more than `maxFds`, or no room for them in this process; those that did arrive
 *   are closed. EAGAIN on a non-blocking socket with nothing there.
 */
export function recvFds(socket: number, size: number, maxFds = 16, flags = 0): Received {
  const bytes = stable(size);
  const control = stable(CONTROL_HEADER + align(maxFds * 4));
  const { header, view, vector } = messageHeader(bytes, control);
  const length = sys("recvmsg", socket, socket, header, flags | MSG.MSG_CMSG_CLOEXEC);
  keep(bytes, control, vector);
  const fds = descriptorsIn(new DataView(control.buffer, 0, Number(view.getBigUint64(40, true))));
  if ((view.getInt32(48, true) & MSG.MSG_CTRUNC) !== 0) {
    for (const fd of fds) close(fd);
    throw new SysError("recvmsg", errno.EMSGSIZE, {
      path: `fd ${socket}`,
      detail: `more than ${maxFds} descriptors, or no room for them`,
    });
  }
  return { data: bytes.subarray(0, length), fds };
}

function descriptorsIn(control: DataView): number[] {
  const fds: number[] = [];
  for (let at = 0; at + CONTROL_HEADER <= control.byteLength; ) {
    const length = Number(control.getBigUint64(at, true));
    if (length < CONTROL_HEADER) break;
    if (control.getInt32(at + 8, true) === SO.SOL_SOCKET && control.getInt32(at + 12, true) === SO.SCM_RIGHTS) {
      for (let fd = at + CONTROL_HEADER; fd + 4 <= at + length; fd += 4) fds.push(control.getInt32(fd, true));
    }
    at += align(length);
  }
  return fds;
}

export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** Who connected, or listened, when the connection was made, SO_PEERCRED. */
export function peerCredentials(fd: number): PeerCredentials {
  const credentials = new Int32Array(3);
  sys("getsockopt", fd, fd, SO.SOL_SOCKET, SO.SO_PEERCRED, credentials, new Uint32Array([12]));
  return { pid: credentials[0]!, uid: credentials[1]! >>> 0, gid: credentials[2]! >>> 0 };
}

/** The supplementary groups of whoever connected, when the connection was made, SO_PEERGROUPS (Linux 4.13). */
export function peerGroups(fd: number): number[] {
  for (let room = 64; ; room *= 4) {
    const groups = new Uint32Array(room);
    const length = new Uint32Array([groups.byteLength]);
    const result = sysRaw("getsockopt", fd, SO.SOL_SOCKET, SO.SO_PEERGROUPS, groups, length);
    if (result === -errno.ERANGE) continue;
    if (result < 0) throw new SysError("getsockopt", -result);
    return [...groups.subarray(0, length[0]! / 4)];
  }
}

/** Sets a socket option that is a number. */
export const setSocketOption = (fd: number, level: number, option: number, value: number): void => {
  sys("setsockopt", fd, fd, level, option, new Int32Array([value]), 4);
};

/** Puts a descriptor into, or out of, non-blocking mode. */
export function setNonblocking(fd: number, on: boolean): void {
  const flags = sys("fcntl", fd, fd, F.F_GETFL, 0);
  const wanted = on ? flags | O.O_NONBLOCK : flags & ~O.O_NONBLOCK;
  if (wanted !== flags) sys("fcntl", fd, fd, F.F_SETFL, wanted);
}

/** True if a connection is over: the peer has closed it. Takes nothing from it. */
export function isHungUp(socket: number): boolean {
  const result = sysRaw("recvfrom", socket, new Uint8Array(1), 1, MSG.MSG_PEEK | MSG.MSG_DONTWAIT, null, null);
  return result === 0 || result === -errno.ECONNRESET;
}

/** send(2) of one message on a connected socket. EAGAIN where it does not block and the receiver's queue is full; raises no SIGPIPE. */
export const writeSocket = (socket: number, data: Uint8Array): number =>
  sys("sendto", socket, socket, data, data.length, MSG.MSG_NOSIGNAL, null, 0);
