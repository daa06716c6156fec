/**
 * One request to `criu swrk` and what follows until it is answered (criu.org, "RPC").
 *
 * criu tells of every step and waits for an answer, so that whoever asked can do its part in between: run hooks while the
 * namespaces are there and the processes are not, write down a process that does not run yet.
 */
import { OnggiError } from "../../lib/errors.ts";
import { isErrno } from "../../sys/errno.ts";
import { close } from "../../sys/file.ts";
import { recvFds, sendFds } from "../../sys/socket.ts";
import { type CriuResponse, decodeResponse, encodeNotified, request } from "./rpc.ts";

/** criu's own limit is lower; a response is some hundred bytes. */
const RESPONSE_MAX = 40_960;

/** Called by the names criu gives its notifications; what it throws makes criu give up. `fd`: closed afterwards. */
export type Notified = (script: string, pid: number, fd: number | null) => void;

const typeNames = new Map(Object.entries(request).map(([name, number]) => [number as number, name]));

/** criu has said no, and in its log why. The response's own message is but the first line of that, which may be a warning. */
export class CriuRefused extends OnggiError {
  constructor({ type, errno }: CriuResponse) {
    super("criu_failed", `criu failed: type ${typeNames.get(type) ?? type} errno ${errno}`);
    this.name = "CriuRefused";
  }
}

/** criu has ended without an answer. */
export class CriuGone extends OnggiError {
  constructor(options?: ErrorOptions) {
    super("criu_failed", "criu failed: it ended without an answer", options);
    this.name = "CriuGone";
  }
}

/**
 * Sends a request and returns its response. Throws CriuRefused, CriuGone, and whatever `notified` has thrown, then after criu has
 * been told so and has undone what it did.
 */
export function converse(socket: number, bytes: Uint8Array, notified: Notified = () => {}): CriuResponse {
  send(socket, bytes);
  let failure: unknown;
  for (;;) {
    const { response, fd } = receive(socket);
    try {
      if (response.type !== request.notify) {
        if (failure !== undefined) throw failure;
        if (!response.success) throw new CriuRefused(response);
        return response;
      }
      // what is told once something has failed is of no interest any more, except that criu waits
      if (failure === undefined) failure = tell(response, fd, notified);
      send(socket, encodeNotified(failure === undefined));
    } finally {
      if (fd !== null) close(fd);
    }
  }
}

/** What the listener has thrown. */
function tell({ notification }: CriuResponse, fd: number | null, notified: Notified): unknown {
  try {
    notified(notification?.script ?? "", notification?.pid ?? 0, fd);
    return undefined;
  } catch (error) {
    return error ?? new Error("unknown");
  }
}

function receive(socket: number): { response: CriuResponse; fd: number | null } {
  try {
    const { data, fds } = recvFds(socket, RESPONSE_MAX, 1);
    if (data.length > 0) return { response: decodeResponse(data), fd: fds[0] ?? null };
  } catch (error) {
    if (!isErrno(error, "ECONNRESET")) throw error;
    throw new CriuGone({ cause: error });
  }
  throw new CriuGone();
}

function send(socket: number, bytes: Uint8Array): void {
  try {
    sendFds(socket, bytes, []);
  } catch (error) {
    if (!isErrno(error, "EPIPE", "ECONNRESET")) throw error;
    throw new CriuGone({ cause: error });
  }
}
