/** One endpoint of etcd: requests to it, each on a connection of its own and limited in time and size. */
import { connect } from "node:net";
import { printable } from "../../../lib/printable.ts";
import { unproxied } from "../../../lib/unproxied.ts";
import type { Body } from "./encode.ts";
import { EtcdError, type EtcdErrorCode } from "./errors.ts";
import { LineSplitter, tooLong } from "./lines.ts";
import type { Tls } from "./tls.ts";

/** Bytes of one answer, and of one message in a stream. */
export const MAX_ANSWER = 64 * 1024 * 1024;

/** An endpoint has not answered as etcd does; another one may. */
export class EndpointFailure extends Error {
  readonly code: EtcdErrorCode;
  /** Whether it may have carried the request out. */
  readonly uncertain: boolean;
  /** Whether it may soon answer otherwise, by its own word. */
  readonly passes: boolean;

  constructor(message: string, { code = "etcd_unavailable" as EtcdErrorCode, uncertain = true, passes = false } = {}) {
    super(message);
    this.code = code;
    this.uncertain = uncertain;
    this.passes = passes;
  }
}

/** What fetch says when no connection could be made: nothing was sent. */
const unreached: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  ENOTFOUND: "host not found",
  EHOSTUNREACH: "no route to it",
  ENETUNREACH: "no route to it",
  FailedToOpenSocket: "no connection could be made",
  EPROTO: "no TLS could be agreed on: it speaks none, or wants to see a certificate",
};

const CLOSED = "the connection was closed";

const isCertificate = (code: string): boolean => /CERT|SIGNATURE|ISSUER|SELF_SIGNED|CRL/.test(code);

/** Whatever was thrown while an endpoint was asked. */
export function failureOf(error: unknown): EndpointFailure {
  if (error instanceof EndpointFailure) return error;
  if (error instanceof EtcdError) return new EndpointFailure(error.message, { code: error.code });
  const { code, message } = error as { code?: unknown; message?: unknown };
  const name = String(code ?? "");
  if (unreached[name] !== undefined) return new EndpointFailure(unreached[name], { uncertain: false });
  if (isCertificate(name)) return new EndpointFailure(`its certificate is not trusted (${name})`, { uncertain: false });
  if (name === "ECONNRESET") return new EndpointFailure(CLOSED);
  return new EndpointFailure(String(message));
}

/** An answer that is not JSON: of something else, of what stands before etcd, or of etcd before it looks at the request. */
export function failureOfText(status: number, text: string): EndpointFailure {
  if (status >= 500) return new EndpointFailure(`answers with HTTP status ${status}`);
  // Said by server/embed/serve.go.
  if (text.startsWith("CommonName of client"))
    return new EndpointFailure(
      "with users, etcd's gateway takes certificates only from clients whose certificate has no common name (CN)",
      {
        code: "etcd_unauthorized",
        uncertain: false,
      },
    );
  const what = status === 404 ? "onggi needs etcd 3.4 or newer, with its gateway" : `not as etcd does: "${printable(text, 100)}"`;
  const message = `answers with HTTP status ${status}: ${what}`;
  return new EndpointFailure(message, { code: "etcd_invalid_answer", uncertain: status < 400 });
}

/** A request under way: a limit of time, and an end from outside. */
class Attempt {
  readonly #controller = new AbortController();
  readonly #signal: AbortSignal;
  readonly #timer: ReturnType<typeof setTimeout>;
  readonly #stop = (): void => this.#controller.abort(new EndpointFailure("the request was ended"));

  constructor(milliseconds: number, signal: AbortSignal, uncertain = true) {
    this.#signal = signal;
    const seconds = Math.round(milliseconds / 100) / 10;
    const late = (): void => this.#controller.abort(new EndpointFailure(`no answer within ${seconds} s`, { uncertain }));
    this.#timer = setTimeout(late, Math.max(0, milliseconds));
    signal.addEventListener("abort", this.#stop, { once: true });
    if (signal.aborted) this.#stop();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Takes the limit of time away. */
  unlimit(): void {
    clearTimeout(this.#timer);
  }

  /** Ends the connection if it is still there. */
  close(): void {
    this.unlimit();
    this.#signal.removeEventListener("abort", this.#stop);
    this.#stop();
  }
}

export interface RawAnswer {
  readonly status: number;
  readonly text: string;
}

/** A stream of messages that etcd has begun. */
export interface MessageStream {
  readonly status: number;
  /** One after the other, as JSON. Throws EndpointFailure; ends when etcd ends it. */
  messages(): AsyncGenerator<string>;
  /** Takes the limit of time away, which holds from the request on. */
  unlimit(): void;
  /** Ends the connection if it is still there. */
  close(): void;
}

export class Endpoint {
  readonly url: string;
  readonly #tls: Tls;
  /** Whether it was ever heard. */
  #known = false;

  constructor(url: string, tls: Tls) {
    this.url = url;
    this.#tls = tls;
  }

  /** Whether a connection can be made at all. Throws EndpointFailure. */
  async reach(milliseconds: number, signal: AbortSignal): Promise<void> {
    const { hostname, port, protocol } = new URL(this.url);
    const attempt = new Attempt(milliseconds, signal, false);
    const socket = connect({ host: hostname.replace(/^\[|\]$/g, ""), port: Number(port || (protocol === "https:" ? 443 : 80)) });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    attempt.signal.addEventListener("abort", () => reject(attempt.signal.reason));
    if (attempt.signal.aborted) reject(attempt.signal.reason);
    socket.once("connect", resolve);
    socket.on("error", reject);
    try {
      await promise;
    } catch (error) {
      const { message, uncertain: _, code } = failureOf(error);
      throw new EndpointFailure(message, { code, uncertain: false });
    } finally {
      attempt.close();
      socket.destroy();
    }
  }

  /** One request, one answer whatever its status. Throws EndpointFailure. */
  async ask(path: string, body: Body, token: string, milliseconds: number, signal: AbortSignal): Promise<RawAnswer> {
    const attempt = new Attempt(milliseconds, signal);
    try {
      const response = await this.#post(path, body, token, attempt.signal);
      const parts: Uint8Array[] = [];
      let size = 0;
      for await (const chunk of chunksOf(response)) {
        size += chunk.length;
        if (size > MAX_ANSWER) throw tooLong(MAX_ANSWER);
        parts.push(chunk);
      }
      return { status: response.status, text: Buffer.concat(parts).toString("utf8") };
    } catch (error) {
      throw this.#failure(attempt, error);
    } finally {
      attempt.close();
    }
  }

  /** A request that is answered by messages without an end. The first has to come in time. Throws EndpointFailure. */
  async stream(path: string, body: Body, token: string, milliseconds: number, signal: AbortSignal): Promise<MessageStream> {
    const attempt = new Attempt(milliseconds, signal);
    const failure = (error: unknown): EndpointFailure => this.#failure(attempt, error);
    try {
      const response = await this.#post(path, body, token, attempt.signal);
      return {
        status: response.status,
        async *messages() {
          try {
            yield* linesOf(response);
          } catch (error) {
            throw failure(error);
          }
        },
        unlimit: () => attempt.unlimit(),
        close: () => attempt.close(),
      };
    } catch (error) {
      attempt.close();
      throw failure(error);
    }
  }

  /**
   * No connection is used again: one that has died would hold a request up, and fetch by itself sends a request a second time where a
   * connection that was used before breaks, while etcd may have carried out the first.
   */
  async #post(path: string, body: Body, token: string, signal: AbortSignal): Promise<Response> {
    const response = await unproxied(`${this.url}${path}`, {
      method: "POST",
      headers: {
        "Content-Type": "application/json",
        "Accept-Encoding": "identity",
        // A member that has lost the cluster says so, in place of waiting for it.
        "Grpc-Metadata-hasleader": "true",
        ...(token === "" ? {} : { Authorization: token }),
      },
      body: JSON.stringify(body),
      redirect: "manual",
      decompress: false,
      keepalive: false,
      timeout: false,
      signal,
      ...(this.url.startsWith("https:") ? { tls: this.#tls } : {}),
    } as RequestInit);
    this.#known = true;
    return response;
  }

  #failure(attempt: Attempt, error: unknown): EndpointFailure {
    const failure = failureOf(attempt.signal.aborted ? attempt.signal.reason : error);
    if (failure.message === CLOSED && !this.#known)
      failure.message += ": etcds:// is for servers with TLS, etcd:// for those without";
    return failure;
  }
}

async function* chunksOf(response: Response): AsyncGenerator<Uint8Array> {
  const reader = response.body?.getReader();
  if (!reader) return;
  let ended = false;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      ended = done;
      if (done) return;
      yield value;
    }
  } finally {
    if (!ended) await reader.cancel().catch(() => {});
  }
}

async function* linesOf(response: Response): AsyncGenerator<string> {
  const splitter = new LineSplitter(MAX_ANSWER);
  for await (const chunk of chunksOf(response)) yield* splitter.push(chunk);
  yield* splitter.end();
}
