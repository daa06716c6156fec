import { OnggiError } from "../../lib/errors.ts";
import { MAX_PAYLOAD } from "./protocol.ts";

/** Frames on the wire: `u32 length, little-endian | u8 type | payload`. See protocol.ts. */

export const HEADER = 5;

export interface Frame {
  readonly type: number;
  /** Valid until the next call of the decoder: a view into what was received. */
  readonly payload: Uint8Array;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** One frame as bytes. Throws `protocol_error` for a payload above MAX_PAYLOAD. */
export function encodeFrame(type: number, payload: Uint8Array): Uint8Array {
  if (payload.length > MAX_PAYLOAD) {
    throw new OnggiError(
      "protocol_error",
      `a frame of ${payload.length} bytes does not fit the control protocol (${MAX_PAYLOAD})`,
    );
  }
  const bytes = new Uint8Array(HEADER + payload.length);
  new DataView(bytes.buffer).setUint32(0, payload.length, true);
  bytes[4] = type;
  bytes.set(payload, HEADER);
  return bytes;
}

export const encodeJson = (type: number, value: unknown): Uint8Array =>
  encodeFrame(type, encoder.encode(JSON.stringify(value ?? null)));

/** A REQUEST: as `encodeJson`, padded so that its first byte is no upper-case letter. */
export function encodeRequest(type: number, value: unknown): Uint8Array {
  const payload = encoder.encode(JSON.stringify(value));
  let length = payload.length;
  while (startsLikeHttp(length & 0xff)) length++;
  const padded = new Uint8Array(length).fill(0x20);
  padded.set(payload);
  return encodeFrame(type, padded);
}

/** Whether a connection whose first byte is this speaks HTTP: every method is upper-case letters. */
export const startsLikeHttp = (byte: number): boolean => byte >= 0x41 && byte <= 0x5a;

/** The payload as JSON. Throws `protocol_error` if it is none. */
export function decodeJson(frame: Frame): unknown {
  try {
    return JSON.parse(decoder.decode(frame.payload));
  } catch (error) {
    throw new OnggiError("protocol_error", `frame of type ${frame.type} is not JSON`, { cause: error });
  }
}

/**
 * Cuts a byte stream into frames, however the stream was cut into chunks. Holds at most one frame of `limit` bytes plus one
 * chunk. A length above `limit` throws `protocol_error` as soon as the header is there; the connection cannot go on then.
 */
export class FrameDecoder {
  readonly #limit: number;
  /** Received and not yet handed out: `#bytes[#start, #end)`. */
  #bytes: Uint8Array = new Uint8Array(0);
  #start = 0;
  #end = 0;
  /** `#bytes` was made here and may be written to. */
  #owned = false;

  constructor(limit: number = MAX_PAYLOAD) {
    this.#limit = limit;
  }

  /** Adds what was received. The chunk is kept as it is when nothing is pending; else it is copied. */
  push(chunk: Uint8Array): void {
    const pending = this.#end - this.#start;
    if (pending === 0) {
      this.#bytes = chunk;
      this.#owned = false;
      this.#start = 0;
      this.#end = chunk.length;
      return;
    }
    const needed = pending + chunk.length;
    if (this.#owned && this.#end + chunk.length <= this.#bytes.length) {
      this.#bytes.set(chunk, this.#end);
      this.#end += chunk.length;
      return;
    }
    const grown = new Uint8Array(Math.max(needed, Math.min(2 * needed, HEADER + this.#limit)));
    grown.set(this.#bytes.subarray(this.#start, this.#end));
    grown.set(chunk, pending);
    this.#bytes = grown;
    this.#owned = true;
    this.#start = 0;
    this.#end = needed;
  }

  /** The next whole frame, or undefined until more is pushed. */
  next(): Frame | undefined {
    const available = this.#end - this.#start;
    if (available < HEADER) return undefined;
    const at = this.#start;
    const bytes = this.#bytes;
    const length = (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
    if (length > this.#limit) {
      throw new OnggiError("protocol_error", `a frame of ${length} bytes was announced; at most ${this.#limit} are allowed`);
    }
    if (available < HEADER + length) return undefined;
    this.#start = at + HEADER + length;
    return { type: bytes[at + 4]!, payload: bytes.subarray(at + HEADER, this.#start) };
  }

  /** Bytes received that are not part of a frame handed out. */
  get pending(): number {
    return this.#end - this.#start;
  }
}
