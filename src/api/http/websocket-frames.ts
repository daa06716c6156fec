/** Frames of the WebSocket protocol, RFC 6455, as a server reads and writes them. Pure. */

export const opcode = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/** Why a connection is closed, RFC 6455, 7.4.1. */
export const closeCode = { normal: 1000, protocolError: 1002, internalError: 1011 } as const;

/** What the other side sends is no WebSocket. */
export class FrameError extends Error {}

/** One frame, whole and unmasked, as a server sends it. */
export function frameOf(code: number, payload: Uint8Array): Uint8Array {
  const { length } = payload;
  const extra = length < 126 ? 0 : length <= 0xffff ? 2 : 8;
  const bytes = new Uint8Array(2 + extra + length);
  bytes[0] = 0x80 | code;
  bytes[1] = extra === 0 ? length : extra === 2 ? 126 : 127;
  const view = new DataView(bytes.buffer);
  if (extra === 2) view.setUint16(2, length);
  if (extra === 8) view.setBigUint64(2, BigInt(length));
  bytes.set(payload, 2 + extra);
  return bytes;
}

/** A close frame; without a code it has no payload. */
export function closeFrame(code?: number): Uint8Array {
  if (code === undefined) return frameOf(opcode.close, new Uint8Array(0));
  return frameOf(opcode.close, Uint8Array.of(code >> 8, code & 0xff));
}

export interface FrameEvents {
  /** Bytes of a message, text or binary, as they come; messages are not told apart. */
  data(bytes: Uint8Array): void;
  ping(payload: Uint8Array): void;
  /** The other side is done; its reason, if it has said one. Nothing is told after it. */
  close(code: number | undefined): void;
}

/** Most of a frame's header: two bytes, eight of length, four of mask. */
const MAX_HEADER = 14;
/** RFC 6455, 5.5. */
const MAX_CONTROL = 125;

/**
 * Takes what a client sends, however it was cut, and tells of what is in it. Holds a header and a control frame at most: data is
 * handed on as it comes. Throws FrameError for what the protocol forbids: frames without a mask, reserved bits and opcodes, control
 * frames that are long or in parts, messages inside messages.
 */
export class FrameDecoder {
  readonly #events: FrameEvents;
  readonly #header = new Uint8Array(MAX_HEADER);
  #headerLength = 0;
  /** Of the frame whose payload is coming; null: a header is. */
  #code: number | null = null;
  #left = 0;
  #mask = new Uint8Array(4);
  #maskAt = 0;
  #control: number[] = [];
  /** Inside a message of several frames. */
  #fragmented = false;
  #closed = false;

  constructor(events: FrameEvents) {
    this.#events = events;
  }

  push(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length && !this.#closed) {
      if (this.#code === null) {
        this.#header[this.#headerLength++] = bytes[at++]!;
        if (this.#headerLength >= 2 && this.#headerLength === this.#expected()) this.#begin();
        continue;
      }
      const part = this.#unmasked(bytes.subarray(at, at + Math.min(this.#left, bytes.length - at)));
      at += part.length;
      this.#left -= part.length;
      if (this.#code >= opcode.close) this.#control.push(...part);
      else this.#events.data(part);
      if (this.#left === 0) this.#end();
    }
  }

  /** How long the header is, by its first two bytes. */
  #expected(): number {
    const [first, second] = this.#header as unknown as [number, number];
    if (this.#headerLength === 2) checkHead(first, second, this.#fragmented);
    const short = second & 0x7f;
    return 2 + (short === 126 ? 2 : short === 127 ? 8 : 0) + 4;
  }

  #begin(): void {
    const header = this.#header;
    const view = new DataView(header.buffer);
    const short = header[1]! & 0x7f;
    const length = short === 127 ? view.getBigUint64(2) : BigInt(short === 126 ? view.getUint16(2) : short);
    if (length > BigInt(Number.MAX_SAFE_INTEGER)) throw new FrameError("a frame is too long");
    this.#mask = header.slice(this.#headerLength - 4, this.#headerLength);
    this.#maskAt = 0;
    this.#headerLength = 0;
    this.#code = header[0]! & 0x0f;
    this.#left = Number(length);
    if (this.#code < opcode.close) this.#fragmented = (header[0]! & 0x80) === 0;
    if (this.#left === 0) this.#end();
  }

  #unmasked(bytes: Uint8Array): Uint8Array {
    const out = new Uint8Array(bytes.length);
    for (let index = 0; index < bytes.length; index++) out[index] = bytes[index]! ^ this.#mask[(this.#maskAt + index) & 3]!;
    this.#maskAt = (this.#maskAt + bytes.length) & 3;
    return out;
  }

  #end(): void {
    const payload = Uint8Array.from(this.#control);
    this.#control = [];
    const code = this.#code;
    this.#code = null;
    if (code === opcode.ping) this.#events.ping(payload);
    if (code !== opcode.close) return;
    if (payload.length === 1) throw new FrameError("a close frame has half a code");
    this.#closed = true;
    this.#events.close(payload.length === 0 ? undefined : (payload[0]! << 8) | payload[1]!);
  }
}

function checkHead(first: number, second: number, fragmented: boolean): void {
  const code = first & 0x0f;
  if ((first & 0x70) !== 0) throw new FrameError("a reserved bit is set");
  if (!(Object.values(opcode) as number[]).includes(code)) throw new FrameError(`opcode ${code} is reserved`);
  if ((second & 0x80) === 0) throw new FrameError("a client's frame has no mask");
  if (code >= opcode.close) {
    if ((first & 0x80) === 0) throw new FrameError("a control frame is in parts");
    if ((second & 0x7f) > MAX_CONTROL) throw new FrameError("a control frame is too long");
  } else if ((code === opcode.continuation) !== fragmented) {
    throw new FrameError(fragmented ? "a message begins inside another" : "nothing is there to be continued");
  }
}
