/** Sockets of ip(7) and ipv6(7) that hold a port. */
import { IPPROTO, SO, SOCK } from "./constants.ts";
import { sys } from "./ffi.ts";
import { close } from "./file.ts";
import { socketAddress } from "./inet.ts";
import { parseIp } from "./ipaddress.ts";
import { setSocketOption } from "./socket.ts";

const kinds = {
  tcp: [SOCK.SOCK_STREAM, IPPROTO.IPPROTO_TCP],
  udp: [SOCK.SOCK_DGRAM, IPPROTO.IPPROTO_UDP],
  sctp: [SOCK.SOCK_STREAM, IPPROTO.IPPROTO_SCTP],
} as const;

export interface PortHold {
  readonly protocol: keyof typeof kinds;
  readonly ip: string;
  readonly port: number;
  /** Of TCP: also where connections that have ended, or whose listener has, still hold the port; the socket then listens. */
  readonly reuse?: boolean;
}

/**
 * A socket bound to an address and port of this thread's network namespace, and nothing more: it neither listens nor is read, so it
 * only keeps others from the port. "::" stands for IPv6 alone.
 * @throws SysError EADDRINUSE, EADDRNOTAVAIL if this host has no such address, EPROTONOSUPPORT, EAFNOSUPPORT
 */
export function holdPort({ protocol, ip, port, reuse = false }: PortHold): number {
  const to = socketAddress(parseIp(ip), port);
  const [type, number] = kinds[protocol];
  const about = `${protocol} ${ip.includes(":") ? `[${ip}]` : ip}:${port}`;
  const fd = sys("socket", about, to[0]!, type | SOCK.SOCK_CLOEXEC, number);
  try {
    if (ip.includes(":")) setSocketOption(fd, IPPROTO.IPPROTO_IPV6, IPPROTO.IPV6_V6ONLY, 1);
    if (reuse) setSocketOption(fd, SO.SOL_SOCKET, SO.SO_REUSEADDR, 1);
    sys("bind", about, fd, to, to.length);
    // A bound socket with SO_REUSEADDR keeps nobody out; one that listens does.
    if (reuse) sys("listen", about, fd, 0);
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}
