import { messageOf, OnggiError } from "../../lib/errors.ts";
import { type Bound, listenOn } from "../../lib/unix-listener.ts";
import { decodeJson, encodeJson, type Frame, FrameDecoder, startsLikeHttp } from "./frames.ts";
import { Inbox } from "./inbox.ts";
import { Outbox } from "./outbox.ts";
import {
  type CallName,
  type Calls,
  CONTROL_VERSION,
  frame,
  type RequestPayload,
  STDIN_WINDOW,
  type TerminalSize,
  type WireError,
} from "./protocol.ts";

/**
 * The engine's end of the control protocol: a unix socket, one call per connection.
 *
 *     const server = await serve({ path: "/run/onggi/onggi.sock", handlers });
 *     ...
 *     await server.close();
 *
 * Guarantees: a client that reads slowly makes its own handler wait (`await call.stdout(...)`), never memory grow; a client
 * that goes away aborts `call.signal`; a client that breaks the protocol loses its connection and nothing else happens.
 */

/** Seconds without any progress after which a client that was sent everything is cut off. */
const LINGER = 30;

/** One call while it runs. */
export interface Call<K extends CallName> {
  readonly name: K;
  readonly request: Calls[K]["request"];
  /** Aborted when the client has closed the connection. What is sent after that is dropped. */
  readonly signal: AbortSignal;
  item(item: Calls[K]["item"]): Promise<void> | undefined;
  progress(progress: unknown): Promise<void> | undefined;
  /** Await what these return before sending more. The chunk may be reused at once. */
  stdout(chunk: Uint8Array): Promise<void> | undefined;
  stderr(chunk: Uint8Array): Promise<void> | undefined;
  /** Standard input until its end; one reader. Ends early when the client goes away: check `signal`. */
  readonly stdin: AsyncIterable<Uint8Array>;
  /** One listener each. What came before a listener was set is told when it is set: the last size, every signal. */
  onResize(listener: (size: TerminalSize) => void): void;
  onSignal(listener: (name: string) => void): void;
  onDetach(listener: () => void): void;
}

/** What a handler returns becomes RESULT. What it throws becomes ERROR: an OnggiError with its code, else "internal". */
export type Handlers = { [K in CallName]: (call: Call<K>) => Promise<Calls[K]["result"]> };

export interface ServeOptions {
  /** Where it listens; `fd`: a socket that is open there already. */
  path: string;
  fd?: number | undefined;
  handlers: Handlers;
  /** Who may open the socket, as in chmod(2) and chown(2), instead of its owner alone. */
  access?: { mode: number; gid: number };
  /** Throws an OnggiError for a call that this client, by the descriptor of its connection, may not make. */
  authorize?: (fd: number, name: CallName, request: unknown) => void;
  /** Told of what handlers throw that is no OnggiError. */
  log?: (message: string) => void;
  /** Whether that is told of every call. */
  isDebugged?: () => boolean;
  /** Told the descriptor of the socket that listens. */
  bound?: Bound;
  /** Seconds a client has to send its request. */
  requestTimeout?: number;
}

export interface ControlServer {
  /** Calls that run now. */
  readonly active: number;
  /** Takes no new connection, waits for the calls that run, at most `grace` ms, then cuts them off. Removes the socket. */
  close(grace?: number): Promise<void>;
}

/**
 * Listens on `path`, unless it is listened at already, for its owner alone unless told otherwise, in place of whatever socket lies
 * there: the caller holds the lock that makes this engine the only one. The path is never missing while it is replaced. Throws what
 * bind(2) says.
 */
export async function serve(options: ServeOptions): Promise<ControlServer> {
  const connections = new Set<ServerConnection>();
  const { path, fd, access = { mode: 0o600 }, bound } = options;
  const socket: Bun.SocketHandler<ServerConnection> = {
    binaryType: "uint8array",
    open(socket) {
      const connection = new ServerConnection(socket, options, () => connections.delete(connection));
      socket.data = connection;
      connections.add(connection);
      connection.welcome();
      socket.timeout(options.requestTimeout ?? 10);
    },
    data: (socket, chunk) => socket.data.received(chunk),
    drain: (socket) => socket.data.drained(),
    // a client that has ended its side has gone: there is no half-open call
    end: (socket) => socket.data.closed(),
    close: (socket) => socket.data.closed(),
    timeout: (socket) => socket.data.timedOut(),
    error: (socket) => socket.data?.closed(),
  };
  const listener = await listenOn<ServerConnection>(fd === undefined ? { path, ...access } : { fd }, { socket }, bound);
  return {
    get active() {
      return connections.size;
    },
    async close(grace = 2000) {
      listener.close();
      const deadline = Date.now() + grace;
      while (connections.size > 0 && Date.now() < deadline) await Bun.sleep(10);
      for (const connection of connections) connection.closed();
    },
  };
}

/** Bun's type does not tell of it. */
const descriptorOf = (socket: object): number => (socket as { readonly fd: number }).fd;

class ServerConnection {
  readonly #socket: Bun.Socket<ServerConnection>;
  readonly #options: ServeOptions;
  readonly #forget: () => void;
  readonly #decoder = new FrameDecoder();
  readonly #outbox: Outbox;
  readonly #gone = new AbortController();
  readonly #stdin: Inbox;
  readonly #size = new Mailbox<TerminalSize>(1);
  readonly #signals = new Mailbox<string>(64);
  readonly #detach = new Mailbox<void>(1);
  #started = false;
  #finished = false;
  #closed = false;
  #first = true;

  constructor(socket: Bun.Socket<ServerConnection>, options: ServeOptions, forget: () => void) {
    this.#socket = socket;
    this.#options = options;
    this.#forget = forget;
    this.#outbox = new Outbox(socket);
    this.#stdin = new Inbox(STDIN_WINDOW, (bytes) => {
      this.#outbox.send(encodeJson(frame.window, { bytes }));
    });
  }

  welcome(): void {
    this.#outbox.send(encodeJson(frame.welcome, {}));
  }

  received(chunk: Uint8Array): void {
    if (this.#closed || this.#finished) return;
    try {
      if (this.#first && startsLikeHttp(chunk[0] ?? 0)) throw new OnggiError("protocol_error", "this socket does not speak HTTP");
      this.#first = false;
      this.#decoder.push(chunk);
      for (let next = this.#decoder.next(); next; next = this.#decoder.next()) this.#dispatch(next);
    } catch (error) {
      this.#finish(encodeJson(frame.error, wireError(error)));
    }
  }

  drained(): void {
    this.#outbox.drained();
  }

  timedOut(): void {
    if (!this.#started || this.#finished) this.closed();
  }

  closed(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#outbox.close();
    this.#stdin.end();
    if (!this.#finished) this.#gone.abort(new OnggiError("client_gone", "the client closed the connection"));
    this.#socket.terminate();
    this.#forget();
  }

  #dispatch(received: Frame): void {
    if (!this.#started) {
      if (received.type !== frame.request) throw new OnggiError("protocol_error", `the first frame is of type ${received.type}`);
      this.#started = true;
      this.#socket.timeout(0);
      void this.#run(decodeJson(received) as RequestPayload);
      return;
    }
    switch (received.type) {
      case frame.stdin:
        this.#stdin.push(received.payload);
        return;
      case frame.resize:
        this.#size.put(sizeOf(decodeJson(received)));
        return;
      case frame.signal:
        this.#signals.put(String((decodeJson(received) as { signal?: unknown })?.signal));
        return;
      case frame.detach:
        this.#detach.put();
        return;
      default:
        // a newer client may say more
        return;
    }
  }

  async #run(payload: RequestPayload): Promise<void> {
    try {
      const handler = this.#handler(payload);
      const { isDebugged, log, authorize } = this.#options;
      if (isDebugged?.()) log?.(`call ${payload.call}`);
      authorize?.(descriptorOf(this.#socket), payload.call as CallName, payload.request);
      const result = await handler(this.#call(payload.call as CallName, payload.request));
      this.#finish(encodeJson(frame.result, result));
    } catch (error) {
      if (!(error instanceof OnggiError)) {
        this.#options.log?.(`${payload?.call}: ${error instanceof Error ? (error.stack ?? error.message) : error}`);
      }
      this.#finish(encodeJson(frame.error, wireError(error)));
    }
  }

  #handler(payload: RequestPayload): (call: Call<CallName>) => Promise<unknown> {
    if (payload?.version !== CONTROL_VERSION) {
      throw new OnggiError(
        "version_mismatch",
        `the client speaks control protocol ${payload?.version}, this engine ${CONTROL_VERSION}: stop the engine that runs (onggi engine stop) and try again`,
      );
    }
    const name = payload.call;
    if (!Object.hasOwn(this.#options.handlers, name)) throw new OnggiError("unknown_call", `this engine knows no call "${name}"`);
    return this.#options.handlers[name as CallName] as (call: Call<CallName>) => Promise<unknown>;
  }

  #call(name: CallName, request: unknown): Call<CallName> {
    const outbox = this.#outbox;
    return {
      name,
      request: request as never,
      signal: this.#gone.signal,
      item: (item) => outbox.send(encodeJson(frame.item, item)),
      progress: (progress) => outbox.send(encodeJson(frame.progress, progress)),
      stdout: (chunk) => outbox.sendData(frame.stdout, chunk),
      stderr: (chunk) => outbox.sendData(frame.stderr, chunk),
      stdin: this.#stdin,
      onResize: (listener) => this.#size.listen(listener),
      onSignal: (listener) => this.#signals.listen(listener),
      onDetach: (listener) => this.#detach.listen(listener),
    };
  }

  /**
   * Sends the last frame. The client closes when it has it: closing here, with input unread, would make the kernel reset the
   * connection. One that does not close in time is cut off.
   */
  #finish(last: Uint8Array): void {
    if (this.#closed || this.#finished) return;
    this.#finished = true;
    this.#stdin.end();
    this.#outbox.send(last);
    this.#socket.timeout(LINGER);
  }
}

/** Keeps what arrives until somebody listens; at most `limit` values, the oldest go first. */
class Mailbox<T> {
  readonly #limit: number;
  #kept: T[] = [];
  #listener: ((value: T) => void) | undefined;

  constructor(limit: number) {
    this.#limit = limit;
  }

  put(value: T): void {
    if (this.#listener) {
      this.#listener(value);
      return;
    }
    this.#kept.push(value);
    if (this.#kept.length > this.#limit) this.#kept.shift();
  }

  listen(listener: (value: T) => void): void {
    this.#listener = listener;
    const kept = this.#kept;
    this.#kept = [];
    for (const value of kept) listener(value);
  }
}

function sizeOf(value: unknown): TerminalSize {
  const { rows, columns } = (value ?? {}) as Partial<TerminalSize>;
  const ok = (n: unknown): n is number => Number.isInteger(n) && (n as number) >= 0 && (n as number) <= 0xffff;
  if (!ok(rows) || !ok(columns)) throw new OnggiError("protocol_error", "a terminal's size is two numbers from 0 to 65535");
  return { rows, columns };
}

/** Any error as it travels. An `exitCode` property of an OnggiError goes along. */
export function wireError(error: unknown): WireError {
  if (!(error instanceof OnggiError)) return { code: "internal", message: messageOf(error) };
  const { exitCode } = error as { exitCode?: unknown };
  return { code: error.code, message: error.message, ...(typeof exitCode === "number" ? { exitCode } : {}) };
}
