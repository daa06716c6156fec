import { listenAt, unlinkIfThere } from "../../lib/unix-listener.ts";
import { HttpConnection } from "./connection.ts";
import type { HttpHandler } from "./types.ts";

/**
 * An HTTP/1.1 server on a unix socket, for protocols that take connections over (Docker's attach and exec), which Bun's own
 * servers do not let go of unless the client asks for an upgrade.
 *
 *     const server = await serveHttp({ path: "/run/onggi/docker.sock", mode: 0o660, handler, log });
 *     ...
 *     await server.close();
 *
 * A handler turns a request into an answer and knows nothing of sockets; see `connection.ts` for what is guaranteed.
 */

export interface HttpServerOptions {
  readonly path: string;
  /** Of the socket, as in chmod(2). */
  readonly mode: number;
  readonly handler: HttpHandler;
  /** Told of what handlers throw. */
  readonly log: (message: string) => void;
  /** Told the descriptor of the socket that listens. */
  readonly bound?: (fd: number) => void;
}

export interface HttpServer {
  readonly connections: number;
  /** Takes no new connection, waits for what is being answered, at most `grace` ms, then cuts it off. Removes the socket. */
  close(grace?: number): Promise<void>;
}

/** More than any client has; what comes beyond is closed at once. */
const MAX_CONNECTIONS = 4096;

/** Listens in place of whatever socket lies at the path. Throws what bind(2) says. */
export async function serveHttp({ path, mode, handler, log, bound }: HttpServerOptions): Promise<HttpServer> {
  const connections = new Set<HttpConnection>();
  const listener = await listenAt(path, mode, bound, (at) =>
    Bun.listen<HttpConnection>({
      unix: at,
      allowHalfOpen: true,
      socket: {
        binaryType: "uint8array",
        open(socket) {
          if (connections.size >= MAX_CONNECTIONS) {
            socket.terminate();
            return;
          }
          socket.data = new HttpConnection(socket, handler, log);
          connections.add(socket.data);
        },
        data: (socket, chunk) => socket.data.received(chunk),
        drain: (socket) => socket.data.drained(),
        end: (socket) => socket.data.ended(),
        close: (socket) => {
          socket.data?.closed();
          connections.delete(socket.data);
        },
        error: (socket) => socket.data?.closed(),
      },
    }),
  );
  const watch = setInterval(() => {
    const now = Date.now();
    for (const connection of connections) if (connection.deadline <= now) connection.expire();
  }, 1000);
  watch.unref();
  return {
    get connections() {
      return connections.size;
    },
    async close(grace = 2000) {
      clearInterval(watch);
      listener.stop();
      unlinkIfThere(path);
      const deadline = Date.now() + grace;
      const busy = (): boolean => [...connections].some((connection) => !connection.isIdle);
      while (busy() && Date.now() < deadline) await Bun.sleep(10);
      for (const connection of connections) connection.closed();
    },
  };
}
