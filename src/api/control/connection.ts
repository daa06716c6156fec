import { OnggiError } from "../../lib/errors.ts";
import { shortSocketPath, systemCode } from "../../lib/socket-path.ts";
import { decodeJson, encodeJson, encodeRequest, type Frame, FrameDecoder } from "./frames.ts";
import { Outbox, type Writable } from "./outbox.ts";
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
 * A client's end of the control protocol, over whatever connects: Bun's sockets (client.ts) or Node's (src/sdk).
 *
 *     const { exitCode } = await callOver(connect, socket, "run", { container, detach: false, attach }, { stdout: (bytes) => sink.write(bytes) });
 */

/** What a connection tells, in this order. */
export interface TransportEvents {
  open(socket: TransportSocket): void;
  /** The chunk may be kept. */
  data(chunk: Uint8Array): void;
  /** After a write that took not everything: more can be written. */
  drain(): void;
  /** The other end has ended, or the connection is broken, with what is known of why; may be told twice. */
  end(why?: string): void;
}

export interface TransportSocket extends Writable {
  pause(): void;
  resume(): void;
  /** Closes at once; nothing more is told. */
  terminate(): void;
}

/**
 * Connects to a unix socket. Rejects with the system's error, whose `code` is "ENOENT" and the like. `signal` is aborted when nobody waits
 * for the connection any more: what makes it is left.
 */
export type Transport = (path: string, events: TransportEvents, signal?: AbortSignal) => Promise<void>;

/** No engine answers on the socket; `cause.code` is the system's reason ("ENOENT", "ECONNREFUSED", "ECONNRESET", "EACCES"). */
export class EngineUnreachable extends OnggiError {
  readonly reason: string;

  constructor(path: string, cause: unknown) {
    const reason = systemCode(cause);
    const advice = reason === "EACCES" || reason === "EPERM" ? "; run as root" : "";
    super("engine_unreachable", `no engine answers on ${path} (${reason || cause})${advice}`, { cause });
    this.reason = reason;
  }
}

/** The connection ended without a result: the engine died or was stopped, or the way to it broke, which `why` then says. */
export class ConnectionLost extends OnggiError {
  constructor(name: string, why?: string) {
    const what = why === undefined ? "the engine went away" : "the connection was lost";
    super("connection_lost", `${what} during "${name}"${why === undefined ? "" : ` (${why})`}; containers run on, see onggi ps`);
  }
}

/** An error the engine answered with. */
export class RemoteError extends OnggiError {
  readonly exitCode: number | undefined;

  constructor(error: WireError) {
    super(error.code, error.message);
    this.exitCode = error.exitCode;
  }
}

/** What may be sent while a call runs. Everything is dropped once the call has ended. */
export interface CallInput {
  /** Resolves when the next chunk may be sent; bytes are free for reuse then. */
  stdin(chunk: Uint8Array): Promise<void>;
  /** End of standard input. */
  endStdin(): void;
  resize(size: TerminalSize): void;
  /** A signal's name, "SIGINT". */
  signal(name: string): void;
  /** Asks to leave; the call then ends with a result that says `detached`. */
  detach(): void;
}

/** A handler that returns a promise holds everything back until it resolves: memory stays bounded. */
export interface CallHandlers<K extends CallName> {
  item?: (item: Calls[K]["item"]) => void | Promise<void>;
  progress?: (progress: unknown) => void | Promise<void>;
  stdout?: (chunk: Uint8Array) => void | Promise<void>;
  stderr?: (chunk: Uint8Array) => void | Promise<void>;
  /** Called once, when the engine has taken the connection. */
  opened?: (input: CallInput) => void;
}

/**
 * One call over a connection of its own. Aborting `signal` closes the connection, which cancels the call in the engine, and
 * rejects with the signal's reason. Throws EngineUnreachable, ConnectionLost, RemoteError, and what a handler throws.
 */
export async function callOver<K extends CallName>(
  connect: Transport,
  path: string,
  name: K,
  request: Calls[K]["request"],
  handlers: CallHandlers<K> = {},
  signal?: AbortSignal,
): Promise<Calls[K]["result"]> {
  signal?.throwIfAborted();
  const short = await shortSocketPath(path).catch((error: unknown) => {
    throw new EngineUnreachable(path, error);
  });
  const connection = new Connection(path, name, handlers as CallHandlers<CallName>);
  const abort = (): void => connection.fail(signal?.reason);
  signal?.addEventListener("abort", abort, { once: true });
  if (signal?.aborted) abort();
  const connecting = connect(short.path, connection, signal)
    .catch((error: unknown) => {
      throw new EngineUnreachable(path, error);
    })
    .finally(() => short.release());
  try {
    // an abort does not wait for what takes its time: a login by ssh
    await Promise.race([connecting, connection.result]);
    const payload: RequestPayload = { version: CONTROL_VERSION, call: name, request };
    connection.start(payload);
    return (await connection.result) as Calls[K]["result"];
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}

class Connection implements TransportEvents {
  readonly result: Promise<unknown>;
  readonly #path: string;
  readonly #name: string;
  readonly #handlers: CallHandlers<CallName>;
  readonly #decoder = new FrameDecoder();
  #outbox: Outbox | undefined;
  #socket: TransportSocket | undefined;
  #resolve: (value: unknown) => void = () => {};
  #reject: (reason: unknown) => void = () => {};
  #settled = false;
  /** A handler's promise is awaited; frames wait in the decoder, bytes in the kernel. */
  #busy = false;
  #ended = false;
  #why: string | undefined;
  #welcomed = false;
  #credit = STDIN_WINDOW;
  #creditGranted: (() => void) | undefined;

  constructor(path: string, name: string, handlers: CallHandlers<CallName>) {
    this.#path = path;
    this.#name = name;
    this.#handlers = handlers;
    this.result = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // a failure before anybody awaits it must not count as unhandled
    this.result.catch(() => {});
  }

  open(socket: TransportSocket): void {
    if (this.#settled) {
      socket.terminate();
      return;
    }
    this.#socket = socket;
    this.#outbox = new Outbox(socket);
  }

  data(chunk: Uint8Array): void {
    this.#decoder.push(chunk);
    this.#pump();
  }

  drain(): void {
    this.#outbox?.drained();
  }

  end(why?: string): void {
    this.#ended = true;
    this.#why ??= why;
    if (!this.#busy) this.#pump();
  }

  start(payload: RequestPayload): void {
    this.#outbox?.send(encodeRequest(frame.request, payload));
  }

  fail(reason: unknown): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#close();
    this.#reject(reason);
  }

  #succeed(value: unknown): void {
    this.#settled = true;
    this.#close();
    this.#resolve(value);
  }

  #close(): void {
    this.#outbox?.close();
    this.#creditGranted?.();
    this.#socket?.terminate();
  }

  #pump(): void {
    if (this.#busy || this.#settled) return;
    try {
      for (let next = this.#decoder.next(); next; next = this.#decoder.next()) {
        const waiting = this.#dispatch(next);
        if (this.#settled) return;
        if (waiting instanceof Promise) {
          this.#hold(waiting);
          return;
        }
      }
    } catch (error) {
      this.fail(error);
      return;
    }
    if (!this.#ended) return;
    // the socket of an engine that is being killed takes connections until the last of its threads has gone
    const unheard = Object.assign(new Error("the connection ended before the engine took it"), { code: "ECONNRESET" });
    this.fail(this.#welcomed ? new ConnectionLost(this.#name, this.#why) : new EngineUnreachable(this.#path, unheard));
  }

  #hold(waiting: Promise<void>): void {
    this.#busy = true;
    this.#socket?.pause();
    waiting.then(
      () => {
        this.#busy = false;
        this.#pump();
        if (!this.#busy && !this.#settled) this.#socket?.resume();
      },
      (error: unknown) => this.fail(error),
    );
  }

  #dispatch(received: Frame): void | Promise<void> {
    const handlers = this.#handlers;
    switch (received.type) {
      case frame.welcome:
        this.#welcomed = true;
        handlers.opened?.(this.#input());
        return;
      case frame.stdout:
        return handlers.stdout?.(received.payload);
      case frame.stderr:
        return handlers.stderr?.(received.payload);
      case frame.item:
        return handlers.item?.(decodeJson(received) as never);
      case frame.progress:
        return handlers.progress?.(decodeJson(received));
      case frame.window:
        this.#credit += (decodeJson(received) as { bytes: number }).bytes;
        this.#creditGranted?.();
        return;
      case frame.result:
        this.#succeed(decodeJson(received));
        return;
      case frame.error:
        this.fail(new RemoteError(decodeJson(received) as WireError));
        return;
      default:
        // a newer engine may say more
        return;
    }
  }

  #input(): CallInput {
    const send = (type: number, value: unknown): void => {
      this.#outbox?.send(encodeJson(type, value));
    };
    return {
      stdin: (chunk) => this.#stdin(chunk),
      endStdin: () => {
        this.#outbox?.sendData(frame.stdin, new Uint8Array(0));
      },
      resize: (size) => send(frame.resize, size),
      signal: (name) => send(frame.signal, { signal: name }),
      detach: () => send(frame.detach, {}),
    };
  }

  async #stdin(chunk: Uint8Array): Promise<void> {
    let rest = chunk;
    while (rest.length > 0 && !this.#settled) {
      if (this.#credit <= 0) {
        await new Promise<void>((resolve) => {
          this.#creditGranted = resolve;
        });
        continue;
      }
      const part = rest.subarray(0, Math.min(this.#credit, 65536));
      this.#credit -= part.length;
      await this.#outbox?.sendData(frame.stdin, part);
      rest = rest.subarray(part.length);
    }
  }
}
