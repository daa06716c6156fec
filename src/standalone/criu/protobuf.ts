/**
 * As much of the Protocol Buffers wire format as CRIU's messages need: varints, strings and messages in messages. Pure.
 * Source: protobuf.dev, "Encoding".
 */
import { OnggiError } from "../../lib/errors.ts";

/** A field's value: a number is an int32, int64 or enum; bytes are a message that is encoded already. */
export type Value = boolean | number | string | Uint8Array;
/** A field without a value is left out. */
export type Field = readonly [number: number, value: Value | undefined];

/** What a field can be read as: a varint, which may have 64 bits, or the bytes of a string or message. */
export type Raw = bigint | Uint8Array;

const VARINT = 0;
const FIXED64 = 1;
const LENGTH_DELIMITED = 2;
const FIXED32 = 5;

const utf8 = new TextEncoder();

function appendVarint(bytes: number[], value: bigint): void {
  let rest = BigInt.asUintN(64, value);
  while (rest > 0x7fn) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
}

/** The fields in their order; a number that comes twice is a repeated field. */
export function encodeMessage(fields: readonly Field[]): Uint8Array {
  const bytes: number[] = [];
  for (const [number, value] of fields) {
    if (value === undefined) continue;
    const plain = typeof value === "number" || typeof value === "boolean";
    appendVarint(bytes, BigInt((number << 3) | (plain ? VARINT : LENGTH_DELIMITED)));
    if (plain) {
      appendVarint(bytes, BigInt(value));
      continue;
    }
    const content = typeof value === "string" ? utf8.encode(value) : value;
    appendVarint(bytes, BigInt(content.length));
    for (const byte of content) bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}

const malformed = (what: string) => new OnggiError("criu_failed", `criu's answer is no protobuf message: ${what}`);

/** Every field's values by its number, in their order. Throws OnggiError `criu_failed` for what is no message. */
export function decodeMessage(bytes: Uint8Array): Map<number, Raw[]> {
  const fields = new Map<number, Raw[]>();
  const reader = new Reader(bytes);
  while (!reader.atEnd) {
    const tag = Number(reader.varint());
    const number = Math.floor(tag / 8);
    if (number === 0 || number > 0x1fff_ffff) throw malformed(`field number ${number}`);
    const values = fields.get(number) ?? [];
    values.push(reader.value(tag % 8));
    fields.set(number, values);
  }
  return fields;
}

class Reader {
  private readonly bytes: Uint8Array;
  private at = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  get atEnd(): boolean {
    return this.at === this.bytes.length;
  }

  varint(): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.take(1)[0] as number;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
    throw malformed("a number of more than 64 bits");
  }

  value(wireType: number): Raw {
    switch (wireType) {
      case VARINT:
        return this.varint();
      case FIXED64:
        return this.take(8);
      case LENGTH_DELIMITED:
        return this.take(Number(this.varint()));
      case FIXED32:
        return this.take(4);
      default:
        throw malformed(`wire type ${wireType}`);
    }
  }

  private take(length: number): Uint8Array {
    if (length > this.bytes.length - this.at) throw malformed("it ends too early");
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }
}
