/** Connections to the engine by node:net, which Node, Bun and Deno have. */
import { connect, type Socket } from "node:net";
import type { Transport, TransportSocket } from "../api/control/connection.ts";
import type { Held } from "../api/control/ssh.ts";

/** Connects; `made` is told of the connection, to let the process end while it is open. */
export type Connect = (made?: (held: Held) => void) => Transport;

export const nodeTransport: Connect = (made) => (path, events) =>
  new Promise((resolve, reject) => {
    const socket = connect({ path });
    made?.(socket);
    socket.once("error", reject);
    socket.once("connect", () => {
      events.open(writable(socket));
      socket.on("data", (chunk: Uint8Array) => events.data(chunk));
      socket.on("drain", () => events.drain());
      for (const over of ["end", "close", "error"]) socket.on(over, () => events.end());
      resolve();
    });
  });

function writable(socket: Socket): TransportSocket {
  return {
    write(bytes) {
      if (socket.destroyed) return -1;
      // what was handed over before is still on its way: `drain` will be told
      if (socket.writableNeedDrain) return 0;
      // the caller may use its buffer again, Node has not written it yet
      socket.write(bytes.slice());
      return bytes.length;
    },
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    terminate: () => void socket.destroy(),
  };
}
