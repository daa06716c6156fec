/** Sockets of ip(7) and ipv6(7) that hold a port. */
import { AF, IPPROTO, SO, SOCK } from "./constants.ts";
import { sys } from "./ffi.ts";
import { close } from "./file.ts";
import { parseIp } from "./ipaddress.ts";
import { setSocketOption } from "./socket.ts";

/** struct sockaddr_in or sockaddr_in6. */
function inetAddress(ip: Uint8Array, port: number): Uint8Array {
  const bytes = new Uint8Array(ip.length === 4 ? 16 : 28);
  new DataView(bytes.buffer).setUint16(0, ip.length === 4 ? AF.AF_INET : AF.AF_INET6, true);
  bytes[2] = port >> 8;
  bytes[3] = port & 0xff;
  bytes.set(ip, ip.length === 4 ? 4 : 8);
  return bytes;
}

const kinds = {
  tcp: [SOCK.SOCK_STREAM, IPPROTO.IPPROTO_TCP],
  udp: [SOCK.SOCK_DGRAM, IPPROTO.IPPROTO_UDP],
  sctp: [SOCK.SOCK_STREAM, IPPROTO.IPPROTO_SCTP],
} as const;

export interface InetBind {
  readonly protocol: keyof typeof kinds;
  readonly ip: string;
  readonly port: number;
  /** Also where connections that have ended, or whose listener has, still hold the port; the socket then listens. */
  readonly reuse?: boolean;
}

/**
 * A socket bound to an address and port of this thread's network namespace, and nothing more: it neither listens nor is read, so it
 * only keeps others from the port. "::" stands for IPv6 alone.
 * @throws SysError EADDRINUSE, EADDRNOTAVAIL if this host has no such address, EPROTONOSUPPORT, EAFNOSUPPORT
 */
export function inetBind({ protocol, ip, port, reuse = false }: InetBind): number {
  const bytes = parseIp(ip);
  const [type, number] = kinds[protocol];
  const about = `${protocol} ${ip.includes(":") ? `[${ip}]` : ip}:${port}`;
  const fd = sys("socket", about, bytes.length === 4 ? AF.AF_INET : AF.AF_INET6, type | SOCK.SOCK_CLOEXEC, number);
  try {
    if (bytes.length === 16) setSocketOption(fd, IPPROTO.IPPROTO_IPV6, IPPROTO.IPV6_V6ONLY, 1);
    if (reuse) setSocketOption(fd, SO.SOL_SOCKET, SO.SO_REUSEADDR, 1);
    const to = inetAddress(bytes, port);
    sys("bind", about, fd, to, to.length);
    // A bound socket with SO_REUSEADDR keeps nobody out; one that listens does.
    if (reuse) sys("listen", about, fd, 0);
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}
