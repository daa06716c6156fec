/** What an HTTP server of ours hands to its handler, and what it takes back. Types only. */
import type { Peer } from "../rights/types.ts";
import type { ByteSource } from "./source.ts";

/** The head of one request, as it was sent and found to be sound. */
export interface RequestHead {
  /** Upper case: "GET". */
  readonly method: string;
  /** "/containers/json?all=1"; an absolute target has lost its scheme and host. */
  readonly target: string;
  readonly minorVersion: 0 | 1;
  /** Names in lower case; the values of a name that came several times are joined by ", ". */
  readonly headers: ReadonlyMap<string, string>;
  /** How long the body is: bytes, or in chunks. */
  readonly framing: number | "chunked";
  readonly keepAlive: boolean;
}

export interface HttpRequest extends Pick<RequestHead, "method" | "headers" | "framing"> {
  /** Without query, not decoded. */
  readonly path: string;
  /** Behind the "?", not decoded; empty when there is none. */
  readonly query: string;
  /** Who asks. Throws where that is not known any more: the connection is gone. */
  readonly peer: Peer;
  /** What the client sends; one reader. */
  readonly body: ByteSource;
  /** Aborted when the client has gone, or has ended its side while an answer is being made. */
  readonly signal: AbortSignal;
}

/** A connection that does not speak HTTP any more: bytes both ways, each way ending on its own. */
export interface RawStream {
  /** What the client sends, until it ends its side. */
  readonly input: ByteSource;
  readonly signal: AbortSignal;
  /** Await what it returns before sending more. The chunk may be reused at once. */
  write(chunk: Uint8Array): Promise<void> | undefined;
}

export type Chunks = AsyncIterable<Uint8Array | string> | Iterable<Uint8Array | string>;

export interface HttpAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Text and bytes get a Content-Length. Anything else is sent as it comes, its head at once, before the first chunk. */
  readonly body?: string | Uint8Array | Chunks;
  /** Takes the connection over behind the head; it is closed when what this returns has resolved. */
  readonly hijack?: (stream: RawStream) => Promise<void>;
}

/** Throws for what it has no answer to: the client is told 500. */
export type HttpHandler = (request: HttpRequest) => HttpAnswer | Promise<HttpAnswer>;
