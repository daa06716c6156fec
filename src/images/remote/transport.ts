/**
 * HTTP as registries need it, on Bun's fetch: nothing is decompressed, no redirect followed, no proxy but the one asked for; a server
 * that says nothing for too long is given up. HTTP/1.1, and HTTP/2 with servers that refuse it (docs/registries.md says why).
 */
import { connect } from "node:net";
import { OnggiError } from "../../lib/errors.ts";
import { unproxied } from "../../lib/unproxied.ts";
import { type Environment, proxyFor } from "./proxy.ts";

export interface Tls {
  /** PEM, in place of the well-known authorities. */
  readonly ca?: readonly string[];
  readonly cert?: string;
  readonly key?: string;
  readonly rejectUnauthorized?: boolean;
}

/** Milliseconds. */
export interface Timeouts {
  /** Until the head of an answer is there: 30 s; ten times that where the server has work to do. */
  readonly answer: number;
  /** Between two pieces of a body: 60 s. */
  readonly stall: number;
  /** Before the second try: 200; doubled before each one after it. */
  readonly pause: number;
}

export const defaultTimeouts: Timeouts = { answer: 30_000, stall: 60_000, pause: 200 };

export interface Request {
  readonly method: "GET" | "HEAD" | "POST" | "PATCH" | "PUT" | "DELETE";
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string | (() => AsyncIterable<Uint8Array>);
  readonly tls?: Tls;
  readonly signal?: AbortSignal | undefined;
}

export interface Answer {
  readonly url: URL;
  readonly status: number;
  readonly headers: Headers;
  /** The body; once. */
  chunks(): AsyncGenerator<Uint8Array>;
  /** The body, of at most `limit` bytes; null if it is longer: then the rest is not read. */
  bytes(limit: number): Promise<Uint8Array | null>;
  /** Ends the connection without reading. */
  discard(): Promise<void>;
}

const USER_AGENT = "onggi";

/** Aborts its signal when nothing was heard for too long. */
class Watch {
  readonly #controller = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  arm(milliseconds: number, what: string): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(
      () => this.stop(new OnggiError("registry_unreachable", `${what} for ${milliseconds / 1000} s`)),
      milliseconds,
    );
  }

  disarm(): void {
    clearTimeout(this.#timer);
  }

  stop(reason: OnggiError): void {
    this.disarm();
    this.#controller.abort(reason);
  }
}

/** How fetch calls a TLS handshake that the server ended, as one does that has no protocol in common with its client. */
const refusedHandshake = (error: unknown): boolean => (error as { code?: unknown } | null)?.code === "EPROTO";

export class Transport {
  readonly #env: Environment;
  readonly timeouts: Timeouts;
  /** Origins that speak HTTP/2 alone. */
  readonly #http2 = new Set<string>();

  constructor(env: Environment, timeouts: Timeouts) {
    this.#env = env;
    this.timeouts = timeouts;
  }

  /** One request, one answer, whatever its status. Throws what fetch throws, or "registry_unreachable" for a time-out. */
  async send(url: URL, request: Request): Promise<Answer> {
    if (url.protocol !== "https:" || this.#http2.has(url.origin)) return this.#send(url, request);
    try {
      return await this.#send(url, request);
    } catch (error) {
      if (!refusedHandshake(error)) throw error;
      this.#http2.add(url.origin);
      try {
        return await this.#send(url, request);
      } catch {
        this.#http2.delete(url.origin);
        throw error;
      }
    }
  }

  /**
   * Whether a connection to a URL's host can be made at all: within `milliseconds`, and without a proxy, which would answer for it.
   * Throws Error.
   */
  async reach(url: URL, milliseconds: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (proxyFor(url, this.#env)) return;
    const port = Number(url.port || (url.protocol === "https:" ? 443 : 80));
    const socket = connect({ host: url.hostname.replace(/^\[|\]$/g, ""), port });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer = setTimeout(() => reject(new Error(`no connection within ${milliseconds / 1000} s`)), milliseconds);
    const abort = (): void => reject(signal?.reason);
    signal?.addEventListener("abort", abort, { once: true });
    socket.once("connect", resolve);
    socket.on("error", reject);
    socket.once("close", () => reject(new Error("the connection was closed")));
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
      socket.destroy();
    }
  }

  async #send(url: URL, { method, headers, body, tls, signal }: Request): Promise<Answer> {
    signal?.throwIfAborted();
    const { answer: wait, stall } = this.timeouts;
    const watch = new Watch();
    const answerIn = method === "GET" || method === "HEAD" ? wait : wait * 10;
    const stream = typeof body === "function" ? this.#upload(body, watch, answerIn) : body;
    watch.arm(answerIn, "no answer");
    try {
      const proxy = proxyFor(url, this.#env);
      const response = await unproxied(url, {
        method,
        headers: { "User-Agent": USER_AGENT, "Accept-Encoding": "identity", ...headers },
        redirect: "manual",
        decompress: false,
        timeout: false,
        ...(this.#http2.has(url.origin) ? { protocol: "http2" } : {}),
        ...(proxy ? { proxy } : {}),
        signal: signal ? AbortSignal.any([signal, watch.signal]) : watch.signal,
        ...(url.protocol === "https:" && tls ? { tls } : {}),
        ...(stream === undefined ? {} : { body: stream }),
      } as RequestInit);
      watch.disarm();
      return new Received(url, response, watch, stall);
    } catch (error) {
      watch.disarm();
      signal?.throwIfAborted();
      throw watch.signal.aborted ? watch.signal.reason : error;
    }
  }

  #upload(open: () => AsyncIterable<Uint8Array>, watch: Watch, answerIn: number): ReadableStream<Uint8Array> {
    const { stall } = this.timeouts;
    let iterator: AsyncIterator<Uint8Array> | null = null;
    return new ReadableStream<Uint8Array>({
      async pull(controller) {
        iterator ??= open()[Symbol.asyncIterator]();
        // The source may take its time; the server may not.
        watch.disarm();
        const { done, value } = await iterator.next();
        watch.arm(done ? answerIn : stall, done ? "no answer" : "the registry has taken nothing");
        if (done) controller.close();
        else controller.enqueue(value);
      },
      async cancel() {
        await iterator?.return?.();
      },
    });
  }
}

class Received implements Answer {
  readonly url: URL;
  readonly status: number;
  readonly headers: Headers;
  readonly #response: Response;
  readonly #watch: Watch;
  readonly #stall: number;

  constructor(url: URL, response: Response, watch: Watch, stall: number) {
    this.url = url;
    this.status = response.status;
    this.headers = response.headers;
    this.#response = response;
    this.#watch = watch;
    this.#stall = stall;
  }

  async *chunks(): AsyncGenerator<Uint8Array> {
    const reader = this.#response.body?.getReader();
    if (!reader) return;
    let ended = false;
    try {
      for (;;) {
        // Only the server is timed, not whoever takes the chunks.
        this.#watch.arm(this.#stall, "the registry has sent nothing");
        const { done, value } = await reader.read();
        this.#watch.disarm();
        ended = done;
        if (done) return;
        if (value.length > 0) yield value;
      }
    } catch (error) {
      throw this.#watch.signal.aborted ? this.#watch.signal.reason : error;
    } finally {
      this.#watch.disarm();
      if (!ended) await reader.cancel().catch(() => {});
    }
  }

  async bytes(limit: number): Promise<Uint8Array | null> {
    const parts: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of this.chunks()) {
      size += chunk.length;
      if (size > limit) return null;
      parts.push(chunk);
    }
    return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
  }

  async discard(): Promise<void> {
    await this.#response.body?.cancel().catch(() => {});
  }
}
