import { messageOf, OnggiError } from "../../lib/errors.ts";
import { systemCode } from "../../lib/socket-path.ts";
import { listenOn, type UnixPlace } from "../../lib/unix-listener.ts";
import { certificatePeer } from "../rights/certificate.ts";
import type { Peer, ProcessPeer } from "../rights/types.ts";
import { HttpConnection } from "./connection.ts";
import { Handshakes } from "./handshakes.ts";
import { SocketTransport } from "./transport.ts";
import type { HttpHandler } from "./types.ts";

/**
 * An HTTP/1.1 server on a unix socket or, with mutual TLS, on TCP, for protocols that take connections over (Docker's attach and
 * exec), which Bun's own servers do not let go of unless the client asks for an upgrade.
 *
 *     const server = await serveHttp({ at: { path: "/run/onggi/docker.sock", mode: 0o660 }, handler, log });
 *     ...
 *     await server.close();
 *
 * A handler turns a request into an answer and knows nothing of sockets; see `connection.ts` for what is guaranteed.
 */

/** A unix socket, with its permissions as in chmod(2); or a port, for those who have a certificate. */
export type Place = UnixPlace | SecurePort;

export interface SecurePort {
  readonly hostname: string;
  /** 0: any that is free. */
  readonly port: number;
  readonly tls: MutualTls;
}

/** In PEM. */
export interface MutualTls {
  /** Clients must show a certificate that one of these has signed, for use by clients. The system's authorities count for nothing. */
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

export interface HttpServerOptions {
  readonly at: Place;
  readonly handler: HttpHandler;
  readonly system: SocketSystem;
  /** Told of what handlers throw, and of clients that are refused in the TLS handshake. */
  readonly log: (message: string) => void;
  /** Told the descriptor of the socket that listens. */
  readonly bound?: (fd: number) => void;
}

/** What the kernel says of a socket, by its descriptor. */
export interface SocketSystem {
  /** Who has connected to a unix socket. */
  processPeer(fd: number): ProcessPeer;
  /** Both its ends are closed, or it is broken. */
  isHungUp(fd: number): boolean;
}

export interface HttpServer {
  readonly connections: number;
  /** Of a place on TCP. */
  readonly port: number | undefined;
  /** Takes no new connection, waits for what is being answered, at most `grace` ms, then cuts it off. Removes the socket. */
  close(grace?: number): Promise<void>;
}

/** More than any client has; what comes beyond is closed at once. */
const MAX_CONNECTIONS = 4096;

/** Milliseconds before the kernel asks a silent client on TCP whether it is still there; as Docker's. */
const KEEP_ALIVE = 15_000;

type Data = HttpConnection | undefined;

function certificateOf(socket: Bun.Socket<Data>): Uint8Array {
  const { raw } = socket.getPeerCertificate() as { raw?: Uint8Array };
  if (!raw) throw new Error("the client has no certificate");
  return raw;
}

function listenSecurely({ hostname, port, tls }: SecurePort, socket: Bun.SocketHandler<Data>): Bun.TCPSocketListener<Data> {
  try {
    const secure = { ...tls, requestCert: true, rejectUnauthorized: true };
    return Bun.listen<Data>({ hostname, port, allowHalfOpen: true, tls: secure, socket });
  } catch (error) {
    const reason = systemCode(error) || messageOf(error);
    throw new OnggiError("address_unavailable", `tcp://${hostname}:${port} cannot be listened at: ${reason}`, { cause: error });
  }
}

/** Listens, in place of whatever socket lies at the path. Throws what bind(2) says, and for certificates that are none. */
export async function serveHttp({ at, handler, system, log, bound }: HttpServerOptions): Promise<HttpServer> {
  const connections = new Map<HttpConnection, SocketTransport>();
  const handshakes = new Handshakes(log);
  const begin = (socket: Bun.Socket<Data>): void => {
    const transport = new SocketTransport(socket, system.isHungUp);
    const peer = (): Peer => ("tls" in at ? certificatePeer(certificateOf(socket)) : system.processPeer(transport.fd));
    socket.data = new HttpConnection(transport, handler, log, peer);
    connections.set(socket.data, transport);
  };
  const events: Bun.SocketHandler<Data> = {
    binaryType: "uint8array",
    open(socket) {
      if (connections.size + handshakes.size >= MAX_CONNECTIONS) socket.terminate();
      else if (!("tls" in at)) begin(socket);
      else {
        socket.setKeepAlive(true, KEEP_ALIVE);
        socket.setNoDelay(true);
        handshakes.begin(socket);
      }
    },
    // of a place with TLS only
    handshake(socket, success, error) {
      if (handshakes.end(socket, success, error)) begin(socket);
    },
    data: (socket, chunk) => socket.data?.received(chunk),
    drain: (socket) => socket.data?.drained(),
    end: (socket) => (socket.data ? socket.data.ended() : void socket.terminate()),
    close(socket) {
      handshakes.forget(socket);
      if (!socket.data) return;
      socket.data.closed();
      connections.delete(socket.data);
    },
    error: (socket) => socket.data?.closed(),
  };
  const listener =
    "tls" in at ? listenSecurely(at, events) : await listenOn<Data>(at, { allowHalfOpen: true, socket: events }, bound);
  const watch = setInterval(() => {
    const now = Date.now();
    for (const [connection, transport] of connections) {
      if (connection.deadline <= now) connection.expire();
      else if (transport.isLost) connection.closed();
    }
    handshakes.expire(now);
  }, 1000);
  watch.unref();
  return {
    get connections() {
      return connections.size;
    },
    port: "port" in listener ? (listener.port as number) : undefined,
    async close(grace = 2000) {
      clearInterval(watch);
      if ("close" in listener) listener.close();
      else listener.stop();
      const deadline = Date.now() + grace;
      const busy = (): boolean => [...connections.keys()].some((connection) => !connection.isIdle);
      while (busy() && Date.now() < deadline) await Bun.sleep(10);
      for (const connection of connections.keys()) connection.closed();
      handshakes.expire(Number.POSITIVE_INFINITY);
    },
  };
}
