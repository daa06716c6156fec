/** A server's end of WebSockets, RFC 6455: bytes both ways, in frames. */
import { createHash } from "node:crypto";
import { FlowGate } from "../../lib/flow-gate.ts";
import { HttpError } from "./errors.ts";
import { ByteSource } from "./source.ts";
import type { HttpAnswer, HttpRequest, RawStream } from "./types.ts";
import { closeCode, closeFrame, FrameDecoder, FrameError, frameOf, opcode } from "./websocket-frames.ts";

/** RFC 6455, 1.3. */
const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const has = (value: string | undefined, word: string): boolean =>
  (value ?? "").split(",").some((item) => item.trim().toLowerCase() === word);

/** The client said that it is done. */
class ClientClosed extends Error {}

/**
 * Takes a connection over as a WebSocket. What `serve` reads is what messages of either kind carry, without their bounds; each of
 * its writes is one binary message. The connection is closed in good order when what it returns has resolved. Its `signal` aborts when the
 * client has gone, has closed, or has broken the protocol. Throws HttpError for a request that asks for no WebSocket.
 */
export function takeOverWebSocket({ headers }: HttpRequest, serve: (stream: RawStream) => Promise<void>): HttpAnswer {
  const key = headers.get("sec-websocket-key") ?? "";
  if (!has(headers.get("upgrade"), "websocket") || !has(headers.get("connection"), "upgrade"))
    throw new HttpError(400, "not a WebSocket: the request has not Upgrade: websocket and Connection: Upgrade");
  if (headers.get("sec-websocket-version") !== "13")
    throw new HttpError(400, "WebSocket version 13 is spoken here, and no other");
  if (!/^[A-Za-z0-9+/]{22}==$/.test(key)) throw new HttpError(400, "Sec-WebSocket-Key is no key");
  const accept = createHash("sha1").update(`${key}${GUID}`).digest("base64");
  return {
    status: 101,
    headers: { Connection: "Upgrade", Upgrade: "websocket", "Sec-WebSocket-Accept": accept },
    hijack: (stream) => converse(stream, serve),
  };
}

async function converse(raw: RawStream, serve: (stream: RawStream) => Promise<void>): Promise<void> {
  const gone = new AbortController();
  const signal = AbortSignal.any([raw.signal, gone.signal]);
  let closed = false;
  const close = (code: number | undefined): void | Promise<void> => {
    if (closed) return;
    closed = true;
    return raw.write(closeFrame(code));
  };
  const flow = new FlowGate();
  const input = new ByteSource(flow);
  const leave = (code: number | undefined, reason: Error): void => {
    void close(code);
    input.end();
    gone.abort(reason);
  };
  const decoder = new FrameDecoder({
    data: (bytes) => input.push(bytes),
    ping: (payload) => {
      if (!closed) void raw.write(frameOf(opcode.pong, payload));
    },
    close: (code) => leave(code, new ClientClosed("the client closed the WebSocket")),
  });
  void (async () => {
    for await (const chunk of raw.input) {
      decoder.push(chunk);
      await flow.open;
    }
    // a client that ends its side without a word has gone
    leave(closeCode.normal, new ClientClosed("the client ended the connection"));
  })().catch((error: unknown) =>
    leave(error instanceof FrameError ? closeCode.protocolError : closeCode.internalError, error as Error),
  );
  try {
    await serve({ input, signal, write: (chunk) => (closed ? undefined : raw.write(frameOf(opcode.binary, chunk))) });
    await close(closeCode.normal);
  } catch (error) {
    await close(closeCode.internalError);
    throw error;
  }
}
