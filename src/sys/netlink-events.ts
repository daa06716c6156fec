/** What the kernel tells a multicast group of netlink, as it comes. */
import { AF, CLONE, SO, SOCK } from "./constants.ts";
import { address, keep, stable, sys } from "./ffi.ts";
import { close } from "./file.ts";
import { inNamespace, networkNamespaceOf } from "./namespace.ts";
import { NETLINK } from "./netconstants.ts";
import { decodeMessages, type NetlinkMessage, type NetlinkSocket } from "./netlink.ts";
import { NFNL } from "./nfconstants.ts";
import { setSocketOption } from "./socket.ts";

/** Bytes of events that may wait to be taken. */
const BACKLOG = 1 << 20;

export interface NetlinkEventsOptions {
  /** A netlink socket: the events are those of its network namespace, without what it has done itself. */
  readonly beside: NetlinkSocket;
  onMessage(message: NetlinkMessage): void;
  /** Events were lost, or may have been; no more will come. */
  onEnd(): void;
}

/**
 * A filter of classic BPF, four instructions of struct sock_filter: load the header's nlmsg_pid (as if it were big-endian); if it is
 * that number, take nothing of the datagram, else all. All messages of a datagram are one socket's.
 */
function leaveOut(fd: number, portId: number): void {
  const swapped = new DataView(new ArrayBuffer(4));
  swapped.setUint32(0, portId, true);
  const program = stable(32);
  const view = new DataView(program.buffer);
  const instruction = (index: number, code: number, ifTrue: number, value: number): void => {
    view.setUint16(index * 8, code, true);
    view.setUint8(index * 8 + 2, ifTrue);
    view.setUint32(index * 8 + 4, value, true);
  };
  instruction(0, 0x20, 0, 12); // ld [12]
  instruction(1, 0x15, 1, swapped.getUint32(0)); // jeq, skip one
  instruction(2, 0x06, 0, 0xffff_ffff); // ret all
  instruction(3, 0x06, 0, 0); // ret nothing
  const header = stable(16);
  const headerView = new DataView(header.buffer);
  headerView.setUint16(0, 4, true);
  headerView.setBigUint64(8, address(program), true);
  sys("setsockopt", fd, fd, SO.SOL_SOCKET, SO.SO_ATTACH_FILTER, header, header.length);
  keep(program);
}

/**
 * Joins a multicast group, and hands every message over from the event loop, which it does not keep
 * from ending.
 * @returns a function that ends it
 */
export function netlinkEvents(protocol: number, group: number, options: NetlinkEventsOptions): () => void {
  const namespace = networkNamespaceOf(options.beside.fd);
  let fd: number;
  try {
    const type = SOCK.SOCK_RAW | SOCK.SOCK_CLOEXEC | SOCK.SOCK_NONBLOCK;
    fd = inNamespace(namespace, CLONE.CLONE_NEWNET, () => sys("socket", "netlink", AF.AF_NETLINK, type, protocol));
  } finally {
    close(namespace);
  }
  try {
    // Without an address of its own a socket is told nothing.
    const any = Uint8Array.of(AF.AF_NETLINK, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    sys("bind", "netlink", fd, any, any.length);
    setSocketOption(fd, SO.SOL_SOCKET, SO.SO_RCVBUFFORCE, BACKLOG);
    leaveOut(fd, options.beside.portId);
    setSocketOption(fd, NETLINK.SOL_NETLINK, NFNL.NETLINK_ADD_MEMBERSHIP, group);
  } catch (error) {
    close(fd);
    throw error;
  }
  let ended = false;
  const end = (): void => {
    if (ended) return;
    ended = true;
    options.onEnd();
  };
  // Every read of the event loop is one datagram. The descriptor is the socket's from here on.
  const connection = Bun.connect({
    fd,
    socket: {
      data(_: unknown, bytes: Uint8Array) {
        if (!ended) for (const message of decodeMessages(bytes)) options.onMessage(message);
      },
      close: end,
      error: end,
    },
  } as unknown as Bun.TCPSocketConnectOptions).then((socket) => {
    socket.unref();
    return socket;
  });
  connection.catch(end);
  return () => {
    ended = true;
    void connection.then((socket) => socket.terminate()).catch(() => {});
  };
}
