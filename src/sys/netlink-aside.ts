/** Requests that take the kernel long, such as the removal of a link or of a table of rules: on a thread of the pool. */
import { write } from "node:fs";
import { MSG } from "./constants.ts";
import { errno, SysError } from "./errno.ts";
import { sysRaw } from "./ffi.ts";
import { NETLINK, NLM_F, NLMSG } from "./netconstants.ts";
import {
  concat,
  decodeError,
  decodeMessages,
  encodeMessage,
  NetlinkError,
  type NetlinkRequest,
  NetlinkSocket,
} from "./netlink.ts";
import { transaction } from "./nfnetlink.ts";

/** So many at once, that their acknowledgements fit the socket's receive buffer. */
const BATCH = 64;

/**
 * Like `NetlinkSocket.tryBatch`, but this thread goes on while the kernel runs the requests. The network namespace is the one that the
 * thread is in at the call.
 */
export async function tryBatchAside(
  protocol: number,
  requests: readonly NetlinkRequest[],
): Promise<(NetlinkError | undefined)[]> {
  const socket = new NetlinkSocket(protocol);
  try {
    const results: (NetlinkError | undefined)[] = new Array(requests.length).fill(undefined);
    for (let from = 0; from < requests.length; from += BATCH) {
      const block = requests.slice(from, from + BATCH);
      const flags = NLM_F.NLM_F_REQUEST | NLM_F.NLM_F_ACK;
      const messages = block.map((request, index) =>
        encodeMessage({ ...request, flags: request.flags | flags, seq: from + index + 1 }),
      );
      await writeAside(socket.fd, concat(messages));
      for (let open = block.length; open > 0; ) open -= readResults(socket.fd, requests, results);
    }
    return results;
  } finally {
    socket.close();
  }
}

/** Like `Nfnetlink.commit`, but this thread goes on meanwhile. @throws NetlinkError */
export async function commitAside(requests: readonly NetlinkRequest[]): Promise<void> {
  const socket = new NetlinkSocket(NETLINK.NETLINK_NETFILTER);
  try {
    const messages = transaction(requests).map((request, seq) => {
      const acknowledged = seq === requests.length ? NLM_F.NLM_F_ACK : 0;
      return encodeMessage({ ...request, flags: request.flags | NLM_F.NLM_F_REQUEST | acknowledged, seq });
    });
    await writeAside(socket.fd, concat(messages));
    const buffer = new Uint8Array(65_536);
    for (;;) {
      const length = sysRaw("recvfrom", socket.fd, buffer, buffer.length, MSG.MSG_DONTWAIT, null, null);
      if (length === -errno.EAGAIN) return;
      if (length < 0) throw new SysError("recvfrom", -length, { path: "netlink" });
      for (const message of decodeMessages(buffer.subarray(0, length))) {
        const { errno: number, detail } = decodeError(message);
        const index = Math.max(message.seq - 1, 0);
        if (number !== 0) throw new NetlinkError(number, requests[index]?.about ?? "nf_tables transaction", detail, index);
      }
    }
  } finally {
    socket.close();
  }
}

/** write(2) on a thread of the pool: to a netlink socket it is a send to the kernel, which has answered when it returns. */
const writeAside = (fd: number, bytes: Uint8Array): Promise<void> =>
  new Promise((resolve, reject) => write(fd, bytes, (error) => (error === null ? resolve() : reject(error))));

/** Enters what the next datagram tells of the requests; returns of how many. */
function readResults(fd: number, requests: readonly NetlinkRequest[], results: (NetlinkError | undefined)[]): number {
  const buffer = new Uint8Array(65_536);
  const length = sysRaw("recvfrom", fd, buffer, buffer.length, MSG.MSG_TRUNC, null, null);
  if (length === -errno.EINTR) return 0;
  if (length < 0) throw new SysError("recvfrom", -length, { path: "netlink" });
  let told = 0;
  for (const message of decodeMessages(buffer.subarray(0, length))) {
    const index = message.seq - 1;
    if (message.type !== NLMSG.NLMSG_ERROR || requests[index] === undefined) continue;
    const { errno: number, detail } = decodeError(message);
    if (number !== 0) results[index] = new NetlinkError(number, requests[index].about, detail, index);
    told += 1;
  }
  return told;
}
