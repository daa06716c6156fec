/**
 * The fields of a tar header block and the records of a PAX extended header.
 * Sources: POSIX.1-2017 pax (ustar interchange format, extended header), the tar(5) manual of libarchive, GNU tar's manual
 * ("Basic Tar Format", "Extended Sparse Headers").
 */

import { byteString } from "./bytes.ts";

export const BLOCK = 512;

/** What is wrong with a header; the decoder adds the entry's name and offset. */
export class FieldError extends Error {}

/** End of a NUL-terminated field of at most `length` bytes. */
const endOf = (block: Uint8Array, at: number, length: number): number => {
  const limit = at + length;
  let end = at;
  while (end < limit && block[end] !== 0) end++;
  return end;
};

export const stringField = (block: Buffer, at: number, length: number): string => byteString(block, at, endOf(block, at, length));

/**
 * The name field as a clean path, when that takes no more than leaving out a leading "./" and a trailing "/"; null when the
 * name needs more care. Nearly every name is of this kind, and a name is what costs most in a header.
 */
export const simpleName = (block: Buffer, at: number): string | null => {
  const start = block[at] === 0x2e && block[at + 1] === 0x2f ? at + 2 : at;
  const limit = at + 100;
  let before = 0x2f;
  let end = start;
  for (; end < limit; end++) {
    const byte = block[end]!;
    if (byte === 0) break;
    if (before === 0x2f && (byte === 0x2f || byte === 0x2e)) return null;
    before = byte;
  }
  return end === start ? null : byteString(block, start, before === 0x2f ? end - 1 : end);
};

/** A number in octal, or in base 256 when the first byte's top bit is set. Throws FieldError. */
export const numberField = (block: Uint8Array, at: number, length: number, what: string): number => {
  const first = block[at]!;
  if (first & 0x80) return base256(block, at, length, what);
  const limit = at + length;
  let value = 0;
  let pos = at;
  while (pos < limit && block[pos] === 0x20) pos++;
  for (; pos < limit; pos++) {
    const digit = block[pos]! - 0x30;
    if (digit >= 0 && digit <= 7) value = value * 8 + digit;
    else break;
  }
  for (; pos < limit; pos++) {
    const byte = block[pos]!;
    if (byte === 0) break;
    if (byte !== 0x20) throw new FieldError(`${what} is not an octal number`);
  }
  return value;
};

const base256 = (block: Uint8Array, at: number, length: number, what: string): number => {
  const negative = (block[at]! & 0x40) !== 0;
  let value = BigInt(negative ? (block[at]! & 0x7f) - 0x80 : block[at]! & 0x7f);
  for (let i = 1; i < length; i++) value = (value << 8n) | BigInt(block[at + i]!);
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw new FieldError(`${what} is out of range`);
  return number;
};

const LANES = 0x00ff00ff;

/** Sum of a block's bytes with the checksum field counted as spaces. */
const sumOf = (block: Uint8Array, at: number): number => {
  let sum = 0;
  const address = block.byteOffset + at;
  if ((address & 3) === 0) {
    // Two 16-bit lanes of two bytes each: 128 words of at most 2 * 255 stay below 65536.
    const words = new Uint32Array(block.buffer, address, BLOCK / 4);
    let lanes = 0;
    for (let i = 0; i < BLOCK / 4; i++) {
      const word = words[i]!;
      lanes = (lanes + (word & LANES) + ((word >>> 8) & LANES)) | 0;
    }
    sum = (lanes & 0xffff) + (lanes >>> 16);
  } else {
    for (let i = 0; i < BLOCK; i++) sum += block[at + i]!;
  }
  for (let i = at + 148; i < at + 156; i++) sum += 0x20 - block[i]!;
  return sum;
};

/** Whether the checksum fits, by unsigned sum or by the signed one of some old writers. */
export const checksumFits = (block: Uint8Array, at: number): boolean => {
  let stored: number;
  try {
    stored = numberField(block, at + 148, 8, "checksum");
  } catch {
    return false;
  }
  const sum = sumOf(block, at);
  if (sum === stored) return true;
  let high = 0;
  for (let i = 0; i < BLOCK; i++) if ((i < 148 || i >= 156) && block[at + i]! > 127) high++;
  return high > 0 && sum - 256 * high === stored;
};

export const isZeroBlock = (block: Uint8Array, at: number): boolean => {
  if (block[at] !== 0) return false;
  for (let i = at + 1; i < at + BLOCK; i++) if (block[i] !== 0) return false;
  return true;
};

/** The records of a PAX extended header as byte strings, in order. Throws FieldError. */
export function* paxRecords(payload: Buffer): Generator<[key: string, value: string]> {
  let pos = 0;
  while (pos < payload.length) {
    let length = 0;
    let digits = 0;
    while (pos + digits < payload.length && digits < 8) {
      const digit = payload[pos + digits]! - 0x30;
      if (digit < 0 || digit > 9) break;
      length = length * 10 + digit;
      digits++;
    }
    // Some writers pad the payload with zeros.
    if (digits === 0 && payload[pos] === 0) return;
    const end = pos + length;
    if (digits === 0 || payload[pos + digits] !== 0x20 || end > payload.length || length < digits + 4) {
      throw new FieldError("PAX record has a wrong length");
    }
    if (payload[end - 1] !== 0x0a) throw new FieldError("PAX record does not end in a line feed");
    const equals = payload.indexOf(0x3d, pos + digits + 1);
    if (equals < 0 || equals >= end) throw new FieldError("PAX record has no =");
    yield [byteString(payload, pos + digits + 1, equals), byteString(payload, equals + 1, end - 1)];
    pos = end;
  }
}

/** A decimal number of a PAX record. Throws FieldError. */
export const paxNumber = (text: string, what: string): number => {
  if (!/^-?\d{1,20}$/.test(text)) throw new FieldError(`${what} "${text.slice(0, 40)}" is not a number`);
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new FieldError(`${what} is out of range`);
  return value;
};

/** A PAX time, "-1.5": whole seconds (rounded down) and nanoseconds. Digits beyond nanoseconds are cut. */
export const paxTime = (text: string): { seconds: number; nanoseconds: number } => {
  const match = /^(-?)(\d{1,15})(?:\.(\d*))?$/.exec(text);
  if (!match) throw new FieldError(`time "${text.slice(0, 40)}" is not a number`);
  const whole = Number(match[2]);
  const nanoseconds = Number(`${match[3] ?? ""}000000000`.slice(0, 9));
  if (!match[1]) return { seconds: whole, nanoseconds };
  return nanoseconds === 0
    ? { seconds: whole && -whole, nanoseconds: 0 }
    : { seconds: -whole - 1, nanoseconds: 1e9 - nanoseconds };
};
