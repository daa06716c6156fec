/**
 * D-Bus messages as bytes: the D-Bus specification, "Type System" and "Message Protocol", little-endian. Pure.
 *
 * Values by type code: y n q i u b as number (b as boolean), x t as bigint, d as number, s o g as string, a as array
 * (ay as Uint8Array too), r as array of its fields, v as `Variant`.
 */
import { OnggiError } from "../../lib/errors.ts";

export interface Variant {
  readonly signature: string;
  readonly value: unknown;
}

export const variant = (signature: string, value: unknown): Variant => ({ signature, value });

export const MESSAGE = Object.freeze({ call: 1, reply: 2, error: 3, signal: 4 });

export interface Message {
  readonly type: number;
  readonly flags: number;
  readonly serial: number;
  readonly path?: string;
  readonly interface?: string;
  readonly member?: string;
  readonly error?: string;
  readonly replySerial?: number;
  readonly destination?: string;
  readonly sender?: string;
  readonly signature?: string;
  readonly body: readonly unknown[];
}

/** Header fields by their number: name in `Message`, type. */
const FIELDS = [
  [1, "path", "o"],
  [2, "interface", "s"],
  [3, "member", "s"],
  [4, "error", "s"],
  [5, "replySerial", "u"],
  [6, "destination", "s"],
  [7, "sender", "s"],
  [8, "signature", "g"],
] as const;

/** "Message Protocol": a message is at most 128 MiB, an array 64 MiB. */
const MAX_MESSAGE = 1 << 27;
const MAX_ARRAY = 1 << 26;
const MAX_DEPTH = 64;

const wrong = (reason: string): never => {
  throw new OnggiError("dbus_protocol", `D-Bus message: ${reason}`);
};

/** The first complete type of a signature: "a{sv}" of "a{sv}us". */
export function firstType(signature: string, at = 0): string {
  const code = signature[at];
  if (code === undefined) return wrong(`signature ${JSON.stringify(signature)} ends early`);
  if (code === "a") return code + firstType(signature, at + 1);
  if (code !== "(" && code !== "{")
    return "ybnqiuxtdsogvh".includes(code) ? code : wrong(`type ${JSON.stringify(code)} is unknown`);
  const close = code === "(" ? ")" : "}";
  let end = at + 1;
  while (signature[end] !== close) end += firstType(signature, end).length;
  if (end === at + 1) wrong(`signature ${JSON.stringify(signature)} has an empty structure`);
  return signature.slice(at, end + 1);
}

/** The complete types of a signature, in order. */
export function typesOf(signature: string): string[] {
  const types: string[] = [];
  for (let at = 0; at < signature.length; at += types.at(-1)?.length ?? 1) types.push(firstType(signature, at));
  return types;
}

const ALIGNMENT: Readonly<Record<string, number>> = {
  y: 1,
  g: 1,
  v: 1,
  n: 2,
  q: 2,
  b: 4,
  i: 4,
  u: 4,
  h: 4,
  s: 4,
  o: 4,
  a: 4,
  x: 8,
  t: 8,
  d: 8,
  "(": 8,
  "{": 8,
};
const alignmentOf = (type: string): number => ALIGNMENT[type[0] ?? ""] ?? wrong(`type ${JSON.stringify(type)} is unknown`);

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/** Grows as values are appended; alignment counts from its start. */
export class Writer {
  #bytes = new Uint8Array(256);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  get bytes(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  align(to: number): void {
    this.#reserve((to - (this.#length % to)) % to);
  }

  /** Appends values by the types of a signature. */
  append(signature: string, values: readonly unknown[]): this {
    const types = typesOf(signature);
    if (types.length !== values.length) wrong(`signature ${signature} is for ${types.length} values, there are ${values.length}`);
    for (const [index, type] of types.entries()) this.#one(type, values[index]);
    return this;
  }

  #reserve(size: number): number {
    const at = this.#length;
    this.#length += size;
    if (this.#length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(this.#length, this.#bytes.length * 2));
      larger.set(this.#bytes);
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return at;
  }

  #one(type: string, value: unknown): void {
    const align = alignmentOf(type);
    this.align(align);
    const code = type[0] as string;
    if (code === "s" || code === "o") this.#text(value as string, 4);
    else if (code === "g") this.#text(value as string, 1);
    else if (code === "v")
      this.append("g", [(value as Variant).signature]).append((value as Variant).signature, [(value as Variant).value]);
    else if (code === "a") this.#array(type.slice(1), value);
    else if (code === "(" || code === "{") this.append(type.slice(1, -1), value as unknown[]);
    else this.#number(code, align, value);
  }

  #number(code: string, size: number, value: unknown): void {
    const at = this.#reserve(size);
    if (code === "x" || code === "t") this.#view.setBigUint64(at, BigInt.asUintN(64, BigInt(value as bigint)), true);
    else if (code === "d") this.#view.setFloat64(at, value as number, true);
    else if (size === 4) this.#view.setUint32(at, Number(value) >>> 0, true);
    else if (size === 2) this.#view.setUint16(at, Number(value) & 0xffff, true);
    else this.#view.setUint8(at, Number(value) & 0xff);
  }

  #text(text: string, lengthSize: 1 | 4): void {
    if (text.includes("\0")) wrong("a string holds a NUL");
    const bytes = encoder.encode(text);
    if (lengthSize === 1 && bytes.length > 255) wrong("a signature has more than 255 bytes");
    this.#number(lengthSize === 1 ? "y" : "u", lengthSize, bytes.length);
    const at = this.#reserve(bytes.length + 1);
    this.#bytes.set(bytes, at);
  }

  /** The length does not count the padding between it and the first element. */
  #array(element: string, value: unknown): void {
    const lengthAt = this.#reserve(4);
    this.align(alignmentOf(element));
    const start = this.#length;
    for (const item of value as Iterable<unknown>) this.#one(element, item);
    this.#view.setUint32(lengthAt, this.#length - start, true);
  }
}

/** Takes values out of foreign bytes. Throws `dbus_protocol` for anything malformed; never reads outside of them. */
export class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  align(to: number): void {
    this.#take((to - (this.#at % to)) % to);
  }

  read(signature: string, depth = 0): unknown[] {
    if (depth > MAX_DEPTH) wrong("it is nested too deeply");
    return typesOf(signature).map((type) => this.#one(type, depth));
  }

  #take(size: number): number {
    const at = this.#at;
    if (at + size > this.#bytes.length) wrong("it ends early");
    this.#at += size;
    return at;
  }

  #one(type: string, depth: number): unknown {
    const align = alignmentOf(type);
    this.align(align);
    const code = type[0] as string;
    switch (code) {
      case "s":
      case "o":
        return this.#text(this.#view.getUint32(this.#take(4), true));
      case "g":
        return this.#text(this.#view.getUint8(this.#take(1)));
      case "v": {
        const signature = this.#text(this.#view.getUint8(this.#take(1)));
        const values = this.read(signature, depth + 1);
        return values.length === 1 ? variant(signature, values[0]) : wrong("a variant holds exactly one value");
      }
      case "a":
        return this.#array(type.slice(1), depth);
      case "(":
      case "{":
        return this.read(type.slice(1, -1), depth + 1);
      default:
        return this.#number(code, align);
    }
  }

  #number(code: string, size: number): unknown {
    const at = this.#take(size);
    if (code === "y") return this.#view.getUint8(at);
    if (code === "b") return this.#view.getUint32(at, true) === 1;
    if (code === "n") return this.#view.getInt16(at, true);
    if (code === "q") return this.#view.getUint16(at, true);
    if (code === "i") return this.#view.getInt32(at, true);
    if (code === "x") return this.#view.getBigInt64(at, true);
    if (code === "t") return this.#view.getBigUint64(at, true);
    return code === "d" ? this.#view.getFloat64(at, true) : this.#view.getUint32(at, true);
  }

  #text(length: number): string {
    const at = this.#take(length + 1);
    if (this.#bytes[at + length] !== 0) wrong("a string has no NUL at its end");
    try {
      return decoder.decode(this.#bytes.subarray(at, at + length));
    } catch {
      return wrong("a string is no UTF-8");
    }
  }

  #array(element: string, depth: number): unknown[] {
    if (depth > MAX_DEPTH) wrong("it is nested too deeply");
    const length = this.#view.getUint32(this.#take(4), true);
    if (length > MAX_ARRAY) wrong(`an array has ${length} bytes`);
    this.align(alignmentOf(element));
    const end = this.#at + length;
    if (end > this.#bytes.length) wrong("an array is longer than the message");
    const items: unknown[] = [];
    while (this.#at < end) items.push(this.#one(element, depth + 1));
    return this.#at === end ? items : wrong("an array ends within an element");
  }
}

/** A message as bytes. */
export function encodeMessage(message: Message): Uint8Array {
  const body = new Writer().append(message.signature ?? "", message.body).bytes;
  const fields = FIELDS.flatMap(([code, name, type]) => {
    const value = message[name];
    return value === undefined ? [] : [[code, variant(type, value)]];
  });
  const header = new Writer();
  header.append("yyyyuua(yv)", [0x6c, message.type, message.flags, 1, body.length, message.serial, fields]);
  header.align(8);
  return Buffer.concat([header.bytes, body]);
}

/** How many bytes the message that starts here has; null if even that is not there yet. */
export function messageSize(bytes: Uint8Array): number | null {
  if (bytes.length < 16) return null;
  if (bytes[0] !== 0x6c) wrong("it is not little-endian");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const size = 16 + Math.ceil(view.getUint32(12, true) / 8) * 8 + view.getUint32(4, true);
  return size <= MAX_MESSAGE ? size : wrong(`it claims ${size} bytes`);
}

/** A whole message of `messageSize` bytes. Unknown header fields are left out, as the specification says. */
export function decodeMessage(bytes: Uint8Array): Message {
  const reader = new Reader(bytes);
  const [, type, flags, , , serial, fields] = reader.read("yyyyuua(yv)") as [
    number,
    number,
    number,
    number,
    number,
    number,
    [number, Variant][],
  ];
  const named: Record<string, unknown> = {};
  for (const [code, { signature, value }] of fields) {
    const field = FIELDS.find(([number]) => number === code);
    if (!field) continue;
    if (signature !== field[2]) wrong(`header field ${field[1]} has type ${signature}`);
    named[field[1]] = value;
  }
  reader.align(8);
  return { type, flags, serial, ...named, body: reader.read((named.signature as string | undefined) ?? "") };
}
