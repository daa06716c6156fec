import { type CallHandlers, callOver, type Transport } from "./connection.ts";
import type { CallName, Calls } from "./protocol.ts";

/** The command line's end of the control protocol: Bun's sockets, which connect in microseconds. */

const connect: Transport = async (path, events) => {
  await Bun.connect({
    unix: path,
    socket: {
      binaryType: "uint8array",
      open: (socket) => events.open(socket),
      data: (_, chunk) => events.data(chunk),
      drain: () => events.drain(),
      end: () => events.end(),
      close: () => events.end(),
      error: () => events.end(),
    },
  });
};

/** One call to an engine that is known already. */
export type Caller = <K extends CallName>(
  name: K,
  request: Calls[K]["request"],
  handlers?: CallHandlers<K>,
  signal?: AbortSignal,
) => Promise<Calls[K]["result"]>;

/** One call; see `callOver`. */
export const call = <K extends CallName>(
  path: string,
  name: K,
  request: Calls[K]["request"],
  handlers: CallHandlers<K> = {},
  signal?: AbortSignal,
): Promise<Calls[K]["result"]> => callOver(connect, path, name, request, handlers, signal);

export { type CallHandlers, type CallInput, ConnectionLost, EngineUnreachable, RemoteError } from "./connection.ts";
