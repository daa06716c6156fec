/** Sockets of IPv4 and IPv6, ip(7), ipv6(7). All are non-blocking. */
import { AF, SOCK } from "./constants.ts";
import { errno, SysError } from "./errno.ts";
import { sys, sysRaw } from "./ffi.ts";
import { close } from "./file.ts";
import { formatIp } from "./ipaddress.ts";

/** struct sockaddr_in or sockaddr_in6. `scope`: index of the interface, for an address of link scope. */
export function socketAddress(ip: Uint8Array, port: number, scope = 0): Uint8Array {
  const bytes = new Uint8Array(ip.length === 4 ? 16 : 28);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, ip.length === 4 ? AF.AF_INET : AF.AF_INET6, true);
  view.setUint16(2, port);
  bytes.set(ip, ip.length === 4 ? 4 : 8);
  if (ip.length === 16) view.setUint32(24, scope, true);
  return bytes;
}

const portOf = (address: Uint8Array): number => (address[2]! << 8) | address[3]!;
const text = (address: Uint8Array): string =>
  `${formatIp(address[0] === AF.AF_INET ? address.subarray(4, 8) : address.subarray(8, 24))} port ${portOf(address)}`;

/** A socket of the family of an address, SOCK_STREAM or SOCK_DGRAM. */
const openFor = (address: Uint8Array, type: number): number =>
  sys("socket", undefined, address[0]!, type | SOCK.SOCK_CLOEXEC | SOCK.SOCK_NONBLOCK, 0);

/** A socket bound to an address; a stream listens. @throws SysError */
export function bindSocket(address: Uint8Array, type: number, backlog = 128): number {
  const fd = openFor(address, type);
  try {
    sys("bind", text(address), fd, address, address.length);
    if (type === SOCK.SOCK_STREAM) sys("listen", text(address), fd, backlog);
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}

/** A socket connected to an address, or for a stream about to be: writable when it is. @throws SysError */
export function connectSocket(address: Uint8Array, type: number): number {
  const fd = openFor(address, type);
  const result = sysRaw("connect", fd, address, address.length);
  if (result === 0 || result === -errno.EINPROGRESS) return fd;
  close(fd);
  throw new SysError("connect", -result, { path: text(address) });
}

/** The port that a socket is bound to. */
export function localPort(fd: number): number {
  const address = new Uint8Array(28);
  sys("getsockname", fd, fd, address, new Uint32Array([address.length]));
  return portOf(address);
}
