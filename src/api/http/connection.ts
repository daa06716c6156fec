import { Outbox } from "../../lib/outbox.ts";
import type { Peer } from "../rights/types.ts";
import { headOf, isBodiless } from "./answer.ts";
import { type BodyDecoder, bodyDecoder } from "./body.ts";
import { HttpError } from "./errors.ts";
import { headLength, MAX_HEAD, parseHead } from "./head.ts";
import { ByteSource } from "./source.ts";
import type { Chunks, HttpAnswer, HttpHandler, RawStream, RequestHead } from "./types.ts";

/** The socket below a connection, as Bun's. */
export interface Transport {
  /** Takes what it can and says how much that was; -1: closed. */
  write(bytes: Uint8Array): number;
  pause(): void;
  resume(): void;
  /** Ends this side: the other one reads an end. */
  shutdown(): void;
  /** Closes in good order; on TCP `terminate` resets the connection instead, and the other side may lose what it has not read. */
  end(): void;
  terminate(): void;
}

/** Milliseconds: for a whole head from its first byte, between requests, and for a client to close what has been ended. */
const HEAD_TIME = 10_000;
const IDLE_TIME = 120_000;
const LINGER_TIME = 5_000;

/** Bytes of further requests that are kept while one is answered. */
const MAX_AHEAD = 2 * MAX_HEAD;

/** Bytes that are rather copied than sent by a call of their own. */
const SMALL = 4096;

const EMPTY = new Uint8Array(0);
const encoder = new TextEncoder();

/** The client closed the connection; what `signal.reason` is then. */
export class ClientGone extends Error {
  constructor() {
    super("the client closed the connection");
    this.name = "ClientGone";
  }
}

/**
 * One connection of the server: requests one after the other, each answered before the next is read.
 *
 * Guarantees: memory is bounded however fast the client sends or slowly it reads; an answer whose making fails behind its head
 * ends the connection without an end of the answer, so that nobody takes it for whole; input that is not HTTP is answered 4xx
 * and ends the connection.
 */
export class HttpConnection {
  /** When whoever watches over connections is to call `expire`, in the time of `Date.now`. */
  deadline = Date.now() + IDLE_TIME;
  readonly #transport: Transport;
  readonly #handler: HttpHandler;
  readonly #log: (message: string) => void;
  readonly #outbox: Outbox;
  readonly #askPeer: () => Peer;
  #knownPeer: Peer | undefined;
  /** `head`: between requests; `busy`: one is read or answered; `raw`: taken over; `lingering`: ended, the client has not closed. */
  #state: "head" | "busy" | "raw" | "lingering" | "closed" = "head";
  /** Received and not used. */
  #pending: Uint8Array = EMPTY;
  #feeding = false;
  #ended = false;
  #decoder: BodyDecoder | undefined;
  #body: ByteSource | undefined;
  /** The handler has asked for the request's body. */
  #bodyWanted = false;
  #gone: AbortController | undefined;

  /** `peer` is asked once, when a handler first wants to know. */
  constructor(transport: Transport, handler: HttpHandler, log: (message: string) => void, peer: () => Peer) {
    this.#transport = transport;
    this.#askPeer = peer;
    this.#handler = handler;
    this.#log = log;
    this.#outbox = new Outbox(transport);
  }

  received(chunk: Uint8Array): void {
    if (this.#state === "closed" || this.#state === "lingering") return;
    if (this.#state === "raw" && this.#decoder === undefined) {
      this.#body?.push(chunk);
      return;
    }
    // what the client had to say ended with the body
    if (this.#state === "raw" && this.#decoder?.done) return;
    this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    this.#feed();
  }

  drained(): void {
    this.#outbox.drained();
  }

  /** The client has ended its side. In a stream that was taken over it may go on reading; elsewhere it has lost interest. */
  ended(): void {
    this.#ended = true;
    if (this.#state === "head" || this.#state === "lingering") {
      void this.#outbox.flushed().then(() => this.#transport.end());
      return;
    }
    if (this.#state === "raw" && this.#decoder === undefined) {
      this.#body?.end();
      return;
    }
    if (this.#state === "raw" && this.#decoder?.done) return;
    if (this.#decoder?.done === false) this.#body?.end(new ClientGone());
    this.#gone?.abort(new ClientGone());
  }

  closed(): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#pending = EMPTY;
    this.#outbox.close();
    this.#body?.end(new ClientGone());
    this.#gone?.abort(new ClientGone());
    this.#transport.terminate();
  }

  /** The deadline has passed. */
  expire(): void {
    if (this.#state === "head" && this.#pending.length > 0) this.#refuse(new HttpError(408, "the head did not come in time"));
    else this.closed();
  }

  get isClosed(): boolean {
    return this.#state === "closed";
  }

  /** Nothing is being answered. */
  get isIdle(): boolean {
    return this.#state === "head";
  }

  /** Uses what has been received as far as it goes. */
  #feed(): void {
    if (this.#feeding) return;
    this.#feeding = true;
    try {
      for (;;) {
        if (this.#state === "head" && !this.#takeHead()) break;
        if (this.#decoder && !this.#decoder.done) this.#takeBody(this.#decoder);
        if (this.#state !== "head") break;
      }
    } catch (error) {
      this.#refuse(error);
    } finally {
      this.#feeding = false;
    }
    if (this.#state === "busy" && this.#decoder?.done && this.#pending.length > MAX_AHEAD) this.#transport.pause();
  }

  #takeHead(): boolean {
    if (this.#pending.length === 0) return false;
    const length = headLength(this.#pending);
    if (length > MAX_HEAD || (length < 0 && this.#pending.length > MAX_HEAD)) throw new HttpError(431, "the head is too long");
    if (length < 0) {
      this.deadline = Math.min(this.deadline, Date.now() + HEAD_TIME);
      return false;
    }
    const head = parseHead(this.#pending.subarray(0, length));
    this.#pending = this.#pending.subarray(length);
    this.#begin(head);
    return true;
  }

  #takeBody(decoder: BodyDecoder): void {
    if (this.#pending.length === 0) return;
    const body = this.#body!;
    try {
      const used = decoder.push(this.#pending, (data) => body.push(data));
      this.#pending = this.#pending.subarray(used);
    } catch (error) {
      body.end(error);
      throw error;
    }
    if (decoder.done) body.end();
  }

  #begin(head: RequestHead): void {
    this.#state = "busy";
    this.deadline = Number.POSITIVE_INFINITY;
    const decoder = bodyDecoder(head.framing);
    const continues = head.headers.has("expect") && head.framing !== 0 && head.minorVersion === 1;
    this.#bodyWanted = false;
    const body = new ByteSource(this.#transport, () => {
      this.#bodyWanted = true;
      if (continues && !decoder.done) this.#outbox.send(encoder.encode("HTTP/1.1 100 Continue\r\n\r\n"));
    });
    if (decoder.done) body.end();
    this.#decoder = decoder;
    this.#body = body;
    this.#gone = undefined;
    const mark = head.target.indexOf("?");
    const connection = this;
    const request = {
      method: head.method,
      path: mark < 0 ? head.target : head.target.slice(0, mark),
      query: mark < 0 ? "" : head.target.slice(mark + 1),
      headers: head.headers,
      framing: head.framing,
      body,
      get peer() {
        return connection.#peer;
      },
      get signal() {
        return connection.#signal();
      },
    };
    let answer: HttpAnswer | Promise<HttpAnswer>;
    try {
      answer = this.#handler(request);
    } catch (error) {
      answer = this.#unforeseen(error);
    }
    if (answer instanceof Promise) {
      void answer
        .catch((error: unknown) => this.#unforeseen(error))
        .then((made) => this.#send(head, made))
        .catch((error: unknown) => this.#broken(error));
    } else {
      void this.#send(head, answer).catch((error: unknown) => this.#broken(error));
    }
  }

  get #peer(): Peer {
    this.#knownPeer ??= this.#askPeer();
    return this.#knownPeer;
  }

  #signal(): AbortSignal {
    if (!this.#gone) {
      this.#gone = new AbortController();
      if (this.#state === "closed" || (this.#ended && this.#state !== "raw")) this.#gone.abort(new ClientGone());
    }
    return this.#gone.signal;
  }

  #unforeseen(error: unknown): HttpAnswer {
    if (error instanceof HttpError) return { status: error.status, body: `${error.message}\n` };
    if (!(error instanceof ClientGone)) this.#log(error instanceof Error ? (error.stack ?? error.message) : String(error));
    return { status: 500, body: "internal error\n" };
  }

  /** Behind the head nothing can be told but that there is no more. */
  #broken(error: unknown): void {
    if (!(error instanceof ClientGone) && this.#state !== "closed")
      this.#log(`an answer broke off: ${error instanceof Error ? (error.stack ?? error.message) : error}`);
    this.closed();
  }

  async #send(head: RequestHead, answer: HttpAnswer): Promise<void> {
    if (this.#state !== "busy") return;
    if (answer.hijack) {
      await this.#takeOver(head, answer, answer.hijack);
      return;
    }
    // what the handler left of the body would have to be read to its end
    const keepAlive = head.keepAlive && (this.#decoder?.done ?? true) && !this.#ended;
    const { body = "" } = answer;
    const bodiless = head.method === "HEAD" || isBodiless(answer.status);
    if (typeof body === "string" || body instanceof Uint8Array) {
      const bytes = typeof body === "string" ? encoder.encode(body) : body;
      const text = encoder.encode(headOf(answer, bytes.length, keepAlive));
      await (bodiless ? this.#outbox.send(text) : this.#outbox.sendParts(text, bytes));
    } else {
      const chunked = head.minorVersion === 1;
      await this.#outbox.send(encoder.encode(headOf(answer, chunked ? "chunked" : 0, keepAlive && chunked)));
      if (!bodiless) await this.#stream(body, chunked);
      if (!chunked) {
        this.#linger();
        return;
      }
    }
    if (keepAlive && this.#decoder?.done) this.#next();
    else this.#linger();
  }

  async #stream(chunks: Chunks, chunked: boolean): Promise<void> {
    const tail = encoder.encode("\r\n");
    for await (const chunk of chunks) {
      if (this.isClosed) return;
      const bytes = typeof chunk === "string" ? encoder.encode(chunk) : chunk;
      if (bytes.length === 0) continue;
      if (!chunked) {
        await this.#outbox.sendParts(EMPTY, bytes);
        continue;
      }
      const head = encoder.encode(`${bytes.length.toString(16)}\r\n`);
      if (bytes.length <= SMALL) {
        await this.#outbox.send(Buffer.concat([head, bytes, tail]));
        continue;
      }
      this.#outbox.sendParts(head, bytes);
      await this.#outbox.send(tail);
    }
    if (chunked) await this.#outbox.send(encoder.encode("0\r\n\r\n"));
  }

  /**
   * Bytes both ways from here on. What the client sends is a body that comes in chunks, unless the handler has read one; else what is
   * behind the head and the body.
   */
  async #takeOver({ framing }: RequestHead, answer: HttpAnswer, serve: (stream: RawStream) => Promise<void>): Promise<void> {
    await this.#outbox.send(encoder.encode(headOf(answer, null, false)));
    if (this.isClosed) return;
    this.#state = "raw";
    if (this.#decoder?.done && (framing !== "chunked" || this.#bodyWanted)) {
      this.#decoder = undefined;
      this.#body = new ByteSource(this.#transport);
      this.#transport.resume();
      this.#body.push(this.#pending);
      this.#pending = EMPTY;
      if (this.#ended) this.#body.end();
    }
    await serve({ input: this.#body!, signal: this.#signal(), write: (chunk) => this.#outbox.sendParts(EMPTY, chunk) });
    this.#linger();
  }

  #next(): void {
    if (this.#state !== "busy") return;
    this.#state = "head";
    this.#decoder = undefined;
    this.#body = undefined;
    this.#gone = undefined;
    this.deadline = Date.now() + IDLE_TIME;
    if (this.#ended) this.closed();
    else if (this.#pending.length > 0) {
      this.#transport.resume();
      this.#feed();
    }
  }

  #refuse(error: unknown): void {
    // while a request is answered its answer is being sent, or its handler hears of the body's error
    if (this.#state !== "head") return;
    const { status = 500, message = "" } = error instanceof HttpError ? error : {};
    this.#state = "busy";
    const bytes = encoder.encode(`${headOf({ status }, encoder.encode(`${message}\n`).length, false)}${message}\n`);
    this.#outbox.send(bytes);
    this.#linger();
  }

  /**
   * Everything has been sent. Closing with input unread would make the kernel reset the connection, and the client lose the end of
   * the answer: what still comes is dropped until the client closes, for a while.
   */
  #linger(): void {
    if (this.#state === "closed") return;
    this.#state = "lingering";
    this.#body?.drop();
    this.#pending = EMPTY;
    this.deadline = Date.now() + LINGER_TIME;
    void this.#outbox.flushed().then(() => {
      if (this.isClosed) return;
      if (this.#ended) {
        this.#transport.end();
        return;
      }
      this.#transport.shutdown();
      this.#transport.resume();
    });
  }
}
