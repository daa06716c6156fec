/**
 * DNS messages, RFC 1035 section 4, as bytes: questions are read, answers of our own are written, those of others are looked over and
 * passed on as they are. Nothing here throws for foreign bytes.
 */

export const TYPE = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  TXT: 16,
  AAAA: 28,
  OPT: 41,
  IXFR: 251,
  AXFR: 252,
  ANY: 255,
} as const;
export const RCODE = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, NOTIMP: 4, REFUSED: 5, BADVERS: 16 } as const;
export const FLAG = { QR: 0x8000, OPCODE: 0x7800, AA: 0x400, TC: 0x200, RD: 0x100, RA: 0x80, AD: 0x20, CD: 0x10 } as const;

export const HEADER = 12;
/** Bytes of a datagram that everyone takes, RFC 1035 section 2.3.4. */
export const PLAIN_SIZE = 512;
/** What we say that we take: it fits every path without fragments, RFC 9715. */
const OUR_SIZE = 1232;
const OPT_SIZE = 11;
const NAME_MAX = 255;
const CLASS_IN = 1;

export interface Edns {
  /** Bytes of a datagram that the sender takes. */
  readonly size: number;
  /** The DO bit, RFC 3225. */
  readonly dnssecOk: boolean;
}

export interface Query {
  readonly id: number;
  readonly flags: number;
  /** In lower case, without the last dot; dots and backslashes within a label have a backslash before them. */
  readonly name: string;
  readonly type: number;
  readonly class: number;
  /** Where the question ends: it begins at `HEADER`. */
  readonly end: number;
  readonly edns: Edns | null;
}

const u16 = (bytes: Uint8Array, at: number): number => (bytes[at]! << 8) | bytes[at + 1]!;
const u32 = (bytes: Uint8Array, at: number): number => u16(bytes, at) * 0x10000 + u16(bytes, at + 2);

function put16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >> 8;
  bytes[at + 1] = value;
}

function put32(bytes: Uint8Array, at: number, value: number): void {
  put16(bytes, at, value >>> 16);
  put16(bytes, at + 2, value & 0xffff);
}

/** Where the name at `at` ends, or -1. A pointer ends it; it must point back, so that no chain of them is a loop. */
function skipName(bytes: Uint8Array, at: number, length: number): number {
  for (const from = at; at < length; ) {
    const size = bytes[at]!;
    if (size === 0) return at + 1;
    if (size >= 0xc0) return at + 2 <= length && (u16(bytes, at) & 0x3fff) < from ? at + 2 : -1;
    if (size > 63) return -1;
    at += 1 + size;
    if (at - from >= NAME_MAX) return -1;
  }
  return -1;
}

/** The text of a name without pointers that `skipName` has found well-formed. */
function nameText(bytes: Uint8Array, at: number): string {
  let text = "";
  for (let size = bytes[at]!; size !== 0; size = bytes[at]!) {
    if (text !== "") text += ".";
    for (const end = at + size; at < end; ) {
      at += 1;
      const byte = bytes[at]!;
      if (byte === 0x2e || byte === 0x5c) text += "\\";
      text += String.fromCharCode(byte >= 0x41 && byte <= 0x5a ? byte + 32 : byte);
    }
    at += 1;
  }
  return text;
}

/** The bytes of a name, or null if a label is empty or longer than 63, or the whole too long. */
export function encodeName(name: string): Uint8Array | null {
  const bytes: number[] = [];
  for (const label of name === "" ? [] : name.split(".")) {
    const encoded = new TextEncoder().encode(label);
    if (encoded.length === 0 || encoded.length > 63) return null;
    bytes.push(encoded.length, ...encoded);
  }
  bytes.push(0);
  return bytes.length > NAME_MAX ? null : Uint8Array.from(bytes);
}

/**
 * The one question of a message. Otherwise the code to refuse it with, or null for what gets no answer at all: what is shorter than a
 * header, and answers.
 */
export function decodeQuery(bytes: Uint8Array, length: number): Query | number | null {
  if (length < HEADER) return null;
  const flags = u16(bytes, 2);
  if ((flags & FLAG.QR) !== 0) return null;
  if ((flags & FLAG.OPCODE) !== 0) return RCODE.NOTIMP;
  const nameEnd = skipName(bytes, HEADER, length);
  if (u16(bytes, 4) !== 1 || nameEnd < 0 || nameEnd + 4 > length || bytes[nameEnd - 1] !== 0) return RCODE.FORMERR;
  // a name that ends in a pointer may end with a zero byte too, but then it points to the header
  if (!isPlain(bytes, HEADER, nameEnd)) return RCODE.FORMERR;
  const end = nameEnd + 4;
  let edns: Edns | null = null;
  const records = u16(bytes, 6) + u16(bytes, 8) + u16(bytes, 10);
  for (let at = end, index = 0; index < records; index++) {
    const record = recordAt(bytes, at, length);
    if (record === null) return RCODE.FORMERR;
    if (record.type === TYPE.OPT) {
      if (edns !== null || record.start !== at + 1) return RCODE.FORMERR;
      if (((record.ttl >>> 16) & 0xff) !== 0) return RCODE.BADVERS;
      edns = { size: record.class, dnssecOk: (record.ttl & 0x8000) !== 0 };
    }
    at = record.end;
  }
  return {
    id: u16(bytes, 0),
    flags,
    name: nameText(bytes, HEADER),
    type: u16(bytes, nameEnd),
    class: u16(bytes, nameEnd + 2),
    end,
    edns,
  };
}

/** True if a name that ends before `end` has no pointer in it. */
function isPlain(bytes: Uint8Array, at: number, end: number): boolean {
  while (at < end && bytes[at]! !== 0) {
    if (bytes[at]! > 63) return false;
    at += 1 + bytes[at]!;
  }
  return at === end - 1;
}

interface RecordAt {
  readonly type: number;
  readonly class: number;
  readonly ttl: number;
  /** Where its name ends; the TTL is four bytes further. */
  readonly start: number;
  readonly data: number;
  readonly end: number;
}

function recordAt(bytes: Uint8Array, at: number, length: number): RecordAt | null {
  const start = skipName(bytes, at, length);
  if (start < 0 || start + 10 > length) return null;
  const end = start + 10 + u16(bytes, start + 8);
  if (end > length) return null;
  return {
    type: u16(bytes, start),
    class: u16(bytes, start + 2),
    ttl: u32(bytes, start + 4),
    start,
    data: start + 10,
    end,
  };
}

/** A record about the name that was asked for. */
export interface Answer {
  readonly type: number;
  readonly data: Uint8Array;
}

const scratch = new Uint8Array(65_536);

/** Bytes of a datagram that the asker takes. */
export const datagramSize = ({ edns }: Query): number =>
  edns === null ? PLAIN_SIZE : Math.min(Math.max(edns.size, PLAIN_SIZE), 4096);

/** Writes id, flags, counts and the question of the query. */
function begin(query: Query, asked: Uint8Array, flags: number, rcode: number): number {
  put16(scratch, 0, query.id);
  put16(scratch, 2, FLAG.QR | FLAG.RA | (query.flags & FLAG.RD) | flags | (rcode & 15));
  scratch.fill(0, 4, HEADER);
  scratch[5] = 1;
  scratch.set(asked.subarray(HEADER, query.end), HEADER);
  return query.end;
}

function putOpt(bytes: Uint8Array, at: number, rcode: number, dnssecOk: boolean): number {
  bytes.fill(0, at, at + OPT_SIZE);
  bytes[at + 2] = TYPE.OPT;
  put16(bytes, at + 3, OUR_SIZE);
  bytes[at + 5] = rcode >> 4;
  if (dnssecOk) bytes[at + 7] = 0x80;
  put16(bytes, 10, u16(bytes, 10) + 1);
  return at + OPT_SIZE;
}

/**
 * An answer of our own, for a query and its bytes. Records that do not fit `limit` are left out, and the answer then says that it is
 * truncated. Valid until the next message is written.
 */
export function encodeAnswer(
  query: Query,
  asked: Uint8Array,
  { rcode = RCODE.NOERROR, answers = [], ttl = 0, limit, authoritative = false }: AnswerOptions,
): Uint8Array {
  let at = begin(query, asked, authoritative ? FLAG.AA : 0, rcode);
  const room = limit - (query.edns === null ? 0 : OPT_SIZE);
  let count = 0;
  for (const { type, data } of answers) {
    if (at + 12 + data.length > room) {
      scratch[2]! |= FLAG.TC >> 8;
      break;
    }
    put16(scratch, at, 0xc000 | HEADER);
    put16(scratch, at + 2, type);
    put16(scratch, at + 4, CLASS_IN);
    put32(scratch, at + 6, ttl);
    put16(scratch, at + 10, data.length);
    scratch.set(data, at + 12);
    at += 12 + data.length;
    count += 1;
  }
  put16(scratch, 6, count);
  if (query.edns !== null) at = putOpt(scratch, at, rcode, query.edns.dnssecOk);
  return scratch.subarray(0, at);
}

export interface AnswerOptions {
  readonly rcode?: number;
  readonly answers?: readonly Answer[];
  /** Seconds. */
  readonly ttl?: number;
  readonly limit: number;
  readonly authoritative?: boolean;
}

/** The refusal of bytes whose question could not be read: their header alone. */
export function encodeRefusal(asked: Uint8Array, rcode: number): Uint8Array {
  scratch.fill(0, 0, HEADER);
  put16(scratch, 0, u16(asked, 0));
  put16(scratch, 2, FLAG.QR | FLAG.RA | (u16(asked, 2) & (FLAG.OPCODE | FLAG.RD)) | (rcode & 15));
  return rcode < 16 ? scratch.subarray(0, HEADER) : scratch.subarray(0, putOpt(scratch, HEADER, rcode, false));
}

/** The query, as we ask it of somebody else: with our id, and with EDNS unless he does not know it. */
export function encodeForwarded(query: Query, asked: Uint8Array, id: number, edns: boolean): Uint8Array {
  const bytes = new Uint8Array(query.end + (edns ? OPT_SIZE : 0));
  bytes.set(asked.subarray(0, query.end));
  put16(bytes, 0, id);
  put16(bytes, 2, query.flags & (FLAG.RD | FLAG.AD | FLAG.CD));
  bytes.fill(0, 4, HEADER);
  bytes[5] = 1;
  if (edns) putOpt(bytes, query.end, 0, query.edns?.dnssecOk ?? false);
  return bytes;
}

/** What somebody else has answered, without his EDNS. */
export interface Response {
  readonly bytes: Uint8Array;
  readonly rcode: number;
  readonly truncated: boolean;
  /** Seconds for which it may be kept; 0: not at all. */
  readonly ttl: number;
  /** Where the TTLs of its records are. */
  readonly ttlsAt: readonly number[];
}

const sameQuestion = (bytes: Uint8Array, asked: Uint8Array, end: number): boolean => {
  for (let at = HEADER; at < end; at++) {
    const one = bytes[at]!;
    const other = asked[at]!;
    // Bytes of lengths are below 64 and the others' case does not count: a letter is the same but for one bit.
    if (one !== other && ((one ^ other) !== 32 || (one | 32) < 0x61 || (one | 32) > 0x7a)) return false;
  }
  return true;
};

/** How long what there is, and what there is not, is kept at most: RFC 8767 section 4, RFC 2308 section 5. */
const MAX_TTL = 86_400;
const MAX_NEGATIVE_TTL = 10_800;

/**
 * The answer to `asked`, whose question ends at `end`, a copy; null if it is none: not an answer, another id or question, records
 * that do not fit. TTLs of negative answers are those of RFC 2308 section 5.
 */
export function decodeResponse(bytes: Uint8Array, length: number, asked: Uint8Array, end: number): Response | null {
  if (length < HEADER || u16(bytes, 0) !== u16(asked, 0)) return null;
  const flags = u16(bytes, 2);
  if ((flags & (FLAG.QR | FLAG.OPCODE)) !== FLAG.QR) return null;
  const truncated = (flags & FLAG.TC) !== 0;
  const rcode = flags & 15;
  // Some refuse a message without repeating its question.
  if (length === HEADER && (rcode === RCODE.FORMERR || rcode === RCODE.NOTIMP))
    return { bytes: bytes.slice(0, HEADER), rcode, truncated, ttl: 0, ttlsAt: [] };
  if (u16(bytes, 4) !== 1 || length < end || !sameQuestion(bytes, asked, end)) return null;
  const found = truncated ? EMPTY : walk(bytes, end, length, u16(asked, end - 4), rcode);
  if (found === null) return null;
  const copy = bytes.slice(0, truncated ? end : found.end);
  if (truncated) copy.fill(0, 6, HEADER);
  else put16(copy, 10, found.additional);
  return { bytes: copy, rcode: rcode | found.extended, truncated, ttl: found.ttl, ttlsAt: found.ttlsAt };
}

interface Walked {
  readonly end: number;
  readonly additional: number;
  readonly extended: number;
  readonly ttl: number;
  readonly ttlsAt: readonly number[];
}

const EMPTY: Walked = { end: 0, additional: 0, extended: 0, ttl: 0, ttlsAt: [] };

/** All records. Those from the OPT record on are left out: they are additional, and nothing before refers to them. */
function walk(bytes: Uint8Array, at: number, length: number, type: number, rcode: number): Walked | null {
  const answers = u16(bytes, 6);
  const authority = answers + u16(bytes, 8);
  const all = authority + u16(bytes, 10);
  let least = MAX_TTL;
  let negative = -1;
  let has = false;
  const ttlsAt: number[] = [];
  for (let index = 0; index < all; index++) {
    const record = recordAt(bytes, at, length);
    if (record === null) return null;
    if (record.type === TYPE.OPT && index >= authority) {
      const extended = ((record.ttl >>> 24) & 0xff) << 4;
      return { end: at, additional: index - authority, extended, ttl: keep(), ttlsAt };
    }
    // RFC 2181 section 8: a TTL with the first bit set is 0
    const ttl = record.ttl > 0x7fff_ffff ? 0 : record.ttl;
    if (index < answers) {
      least = Math.min(least, ttl);
      has ||= record.type === type || type === TYPE.ANY;
    } else if (index < authority && record.type === TYPE.SOA && record.end - record.data >= 20) {
      negative = Math.min(ttl, u32(bytes, record.end - 4), MAX_NEGATIVE_TTL);
    }
    ttlsAt.push(record.start + 4);
    at = record.end;
  }
  return { end: at, additional: all - authority, extended: 0, ttl: keep(), ttlsAt };

  function keep(): number {
    if (rcode === RCODE.NOERROR && has) return least;
    if (rcode === RCODE.NXDOMAIN || rcode === RCODE.NOERROR) return Math.max(0, Math.min(negative, least));
    return 0;
  }
}

/**
 * Somebody else's answer for one who asked the same: with his id and spelling, the TTLs less by `age` seconds, cut off if it does not
 * fit. Valid until the next message is written.
 */
export function encodePassed(response: Response, query: Query, asked: Uint8Array, age: number, limit: number): Uint8Array {
  const { bytes } = response;
  const opt = query.edns === null ? 0 : OPT_SIZE;
  if (response.truncated || bytes.length + opt > limit || bytes.length < query.end) {
    if (bytes.length < query.end) return encodeAnswer(query, asked, { rcode: response.rcode, limit });
    const at = begin(query, asked, FLAG.TC, response.rcode);
    return scratch.subarray(0, query.edns === null ? at : putOpt(scratch, at, response.rcode, query.edns.dnssecOk));
  }
  scratch.set(bytes);
  put16(scratch, 0, query.id);
  const kept = u16(bytes, 2) & (FLAG.AA | FLAG.AD | FLAG.CD);
  put16(scratch, 2, FLAG.QR | FLAG.RA | kept | (query.flags & FLAG.RD) | (response.rcode & 15));
  scratch.set(asked.subarray(HEADER, query.end), HEADER);
  if (age > 0) for (const at of response.ttlsAt) put32(scratch, at, Math.max(0, u32(bytes, at) - age));
  let at = bytes.length;
  if (query.edns !== null) at = putOpt(scratch, at, response.rcode, query.edns.dnssecOk);
  return scratch.subarray(0, at);
}

/** What of a query an answer depends on, beside whom it was asked of: a key. */
export const questionKey = ({ name, type, flags, edns }: Query): string =>
  `${type} ${(flags & (FLAG.RD | FLAG.AD | FLAG.CD)) | (edns?.dnssecOk ? 1 : 0)} ${name}`;
